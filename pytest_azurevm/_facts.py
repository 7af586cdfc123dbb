"""What a stored resource's defaults are made of, and how they are put beside what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from pytest_azurevm._vm_form import Json


class Addresses:
    """The addresses of one subnet that are taken."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.free_from = 0  # every address before that one is taken, or nobody's to have

    def release(self, address: str) -> None:
        """Let an address be taken again."""
        self.used.discard(address)
        self.free_from = 0


class Facts(NamedTuple):
    """What a resource's defaults are made of."""

    id: str
    name: str
    location: str
    now: str  # as Azure writes an instant
    tenant_id: str
    old: Json  # its properties as they were; {} of a new one
    new_id: Callable[[], str]
    private_ip: Callable[[Json], str | None]  # for an IP configuration of these properties
    public_ip: Callable[[], str]


Fill: TypeAlias = Callable[[Json, Facts], Json]


def in_order(first: Json, asked: Json, last: Json) -> Json:
    """Put *asked* between Azure's members; a member of either that is asked for is as asked."""
    body = {**first, **asked, **{name: item for name, item in last.items() if name not in asked}}
    for name in last:
        body[name] = body.pop(name)
    return body


def kept(facts: Facts, member: str, make: Callable[[], Any]) -> Any:
    """Give what was made once, or make it."""
    return facts.old.get(member) or make()


def properties_of(asked: Json) -> Json:
    """Give a body's properties, to be changed at will."""
    found = asked.get("properties")
    return dict(found) if isinstance(found, dict) else {}


def with_properties(asked: Json, properties: Json, **members: Any) -> Json:
    """Give a body with other properties, and other members besides."""
    return {**asked, **members, "properties": properties}
