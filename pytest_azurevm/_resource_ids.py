"""Resource IDs, of whichever type: taken apart and put together, and nothing is known of the types.

After a scope (nothing, a subscription, a group, or any resource) comes ``providers``, a namespace,
and types and names in turn. As many names as types are a resource; one type more is a collection,
or an action on what comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pytest_azurevm._errors import arm_error


class Address(NamedTuple):
    """A resource, or a collection of them, as a path names it."""

    subscription: str  # "" at tenant level
    group: str  # "" outside of any
    scope: str  # the ID that the provider's part comes after
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def is_collection(self) -> bool:
        """Whether no single resource is named."""
        return len(self.types) > len(self.names)

    @property
    def is_child(self) -> bool:
        """Whether it belongs to another resource of its provider."""
        return len(self.types) > 1

    @property
    def is_extension(self) -> bool:
        """Whether its scope is itself a resource."""
        return "/providers/" in self.scope

    @property
    def type(self) -> str:
        """The resource type in full, such as ``Microsoft.Network/virtualNetworks/subnets``."""
        return "/".join((self.namespace, *self.types))

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.names[-1]

    @property
    def id(self) -> str:
        """The resource ID; of a collection, that of what it belongs to."""
        pairs = [part for pair in zip(self.types, self.names, strict=False) for part in pair]
        return "/".join((self.scope, "providers", self.namespace, *pairs)) if pairs else self.scope

    @property
    def key(self) -> str:
        """What the ID goes by in any spelling."""
        return self.id.lower()

    @property
    def parent(self) -> Address:
        """The resource that a child belongs to."""
        return self._replace(types=self.types[:-1], names=self.names[: len(self.types) - 1])

    def of_subscription(self, subscription: str) -> Address:
        """Give the same with the subscription spelled as it is compared."""
        before = f"/subscriptions/{self.subscription}"
        scope = f"/subscriptions/{subscription}{self.scope[len(before) :]}"
        return self._replace(subscription=subscription, scope=scope)

    def child(self, kind: str, name: str) -> Address:
        """Give the address of a child."""
        return self._replace(types=(*self.types, kind), names=(*self.names, name))


def address_of(segments: tuple[str, ...]) -> Address | None:
    """Take a path apart; ``None``: it names no resource of a provider, nor a collection."""
    lowered = [segment.lower() for segment in segments]
    subscription = group = ""
    at = 0
    scope = ""
    if lowered[:1] == ["subscriptions"] and len(segments) > 1:
        subscription, at = segments[1], 2
        scope = f"/subscriptions/{subscription}"
        if lowered[2:3] == ["resourcegroups"] and len(segments) > 3:
            group, at = segments[3], 4
            scope += f"/resourceGroups/{group}"
    while lowered[at : at + 1] == ["providers"] and len(segments) > at + 2:
        after = at + 2
        further = next(
            (i for i in range(after + 2, len(segments), 2) if lowered[i] == "providers"), None
        )
        namespace, rest = segments[at + 1], segments[after:further]
        found = Address(subscription, group, scope, namespace, rest[::2], rest[1::2])
        if further is None:
            return found
        scope, at = found.id, further
    return None


def address_of_id(resource_id: str) -> Address | None:
    """Take a resource ID apart; ``None``: it is no resource's."""
    found = address_of(tuple(part for part in resource_id.split("/") if part))
    return None if found is None or found.is_collection else found


def group_id(subscription: str, group: str) -> str:
    """Give a resource group's ID."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def in_capitals(resource_id: str) -> str:
    """Give an ID as Microsoft.Network's references back and its errors do [rec].

    The group's name and the resource's own names are in capitals, the types as they are.
    """
    parts = resource_id.split("/")
    return "/".join(
        part.upper() if i > 3 and parts[i - 1].lower() != "providers" and i % 2 == 0 else part
        for i, part in enumerate(parts)
    )


def references(value: Any) -> Iterator[str]:
    """Give every resource ID that a body refers to: each member ``id`` of an object in it."""
    if isinstance(value, dict):
        for member, item in value.items():
            if member == "id" and isinstance(item, str):
                if item.lower().startswith("/subscriptions/"):
                    yield item
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


# What a resource group may be called; whatever is not, is looked at closely.
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_BAD_IN_A_NAME = re.compile(r"[<>%&:\\?/#\x00-\x1f]")
_LONGEST = 260  # assumed: the longest that any type takes [doc: naming rules]


def checked_group(group: str) -> None:
    """Judge a resource group's name.

    Raises:
        ArmError: it is empty or too long, holds forbidden characters, or ends badly.
    """
    if not _GROUP.fullmatch(group):
        bad = "".join(sorted(set(re.sub(r"[\w().-]", "", group))))
        raise arm_error("bad-group", group=group, characters=bad or group[90:] or group[-1:])


def checked_characters(name: str) -> None:
    """Judge what the front door judges of any name.

    Raises:
        ArmError: it holds forbidden characters, or ends badly.
    """
    bad = "".join(sorted(set(_BAD_IN_A_NAME.findall(name))))
    if bad:
        raise arm_error("bad-name", name=name, characters=bad)
    if name[-1:] in (".", " "):
        raise arm_error("name-ends-badly", name=name, characters=name[-1])


def checked_resource_name(name: str) -> None:
    """Judge a resource's name as the front door does; a type's own rules are its provider's.

    Raises:
        ArmError: it is too long, holds forbidden characters, or ends badly.
    """
    checked_characters(name)
    if len(name) > _LONGEST:
        raise arm_error("long-resource-name", name=name, longest=_LONGEST)
