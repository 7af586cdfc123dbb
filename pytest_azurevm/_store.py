"""What is stored beside virtual machines: each resource a record, and who refers to whom.

Plain records and their indexes. ``_neighbours`` alone writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pytest_azurevm._facts import Addresses
from pytest_azurevm._records import OperationStatus, VirtualMachine
from pytest_azurevm._resource_ids import Address, references
from pytest_azurevm._resource_types import Change, TypeRow, row_of
from pytest_azurevm._vm_form import Json

Verb: TypeAlias = Literal["write", "delete"]


@dataclass(slots=True, eq=False)
class Resource:
    """A stored resource: as it was asked for, with what Azure has filled in."""

    address: Address
    type: str  # as Azure spells it
    region: str  # where it is, or what it belongs to; "" where neither is anywhere
    sequence: int
    created_us: int
    changed_us: int
    body: Json  # its children are no part of it
    provisioning: str
    etag: str = ""
    operation: ResourceOperation | None = None
    key: str = field(init=False)
    row: TypeRow = field(init=False)
    # Of a disk that a machine has left behind: that one, whose bill it goes on.
    billed_to: VirtualMachine | None = None
    taken_to_exist: bool = False  # nobody made it, and somebody referred to it

    def __post_init__(self) -> None:
        self.key = self.address.key
        self.row = row_of(self.type)

    @property
    def id(self) -> str:
        """The full resource ID, spelled as at creation."""
        return self.address.id

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.address.name

    @property
    def properties(self) -> Json:
        """Its properties; {} where it has none."""
        found = self.body.get("properties")
        return found if isinstance(found, dict) else {}


@dataclass(slots=True, eq=False)
class ResourceOperation:
    """A long-running operation on a stored resource, or on a group."""

    operation_id: str
    verb: Verb
    resource: Resource
    change: Change
    started_us: int
    ended_us: int | None = None
    status: OperationStatus = "InProgress"
    error: tuple[str, str] | None = None
    polled: bool = False  # a client has looked at it once
    ripe: bool = False  # of a group's delete: nothing but its virtual machines is waited for


_NOBODY: Final[dict[str, Resource]] = {}


class Store:
    """Every stored resource, found by ID and type, and by what refers to it."""

    def __init__(self) -> None:
        self._by_key: dict[str, Resource] = {}
        self._by_type: dict[str, dict[str, Resource]] = {}
        self._within: dict[str, dict[str, Resource]] = {}  # by what they directly belong to
        self._referrers: dict[str, dict[str, Resource]] = {}
        self._addresses: dict[str, Addresses] = {}  # by subnet

    def find(self, key: str) -> Resource | None:
        """Give the resource of an ID in lower case."""
        return self._by_key.get(key)

    def has(self, resource_type: str) -> bool:
        """Whether there is any of a type."""
        return bool(self._by_type.get(resource_type.lower()))

    def add(self, resource: Resource) -> None:
        """Add a resource."""
        self._by_key[resource.key] = resource
        self._by_type.setdefault(resource.type.lower(), {})[resource.key] = resource
        self._within.setdefault(_whole(resource), {})[resource.key] = resource
        self._refer(resource)

    def rewrite(self, resource: Resource, body: Json) -> None:
        """Give a resource another body."""
        self._forget_references(resource)
        resource.body = body
        self._refer(resource)

    def drop(self, resource: Resource) -> None:
        """Take a resource off."""
        self._forget_references(resource)
        del self._by_key[resource.key]
        del self._by_type[resource.type.lower()][resource.key]
        others = self._within[_whole(resource)]
        del others[resource.key]
        if not others:
            del self._within[_whole(resource)]

    def of_type(self, resource_type: str, scope: str, *, after: int = 0) -> Iterator[Resource]:
        """Give the resources of a type below a scope, in the order of their creation."""
        below = f"{scope.lower()}/"
        for resource in self._by_type.get(resource_type.lower(), _NOBODY).values():
            if resource.sequence > after and resource.key.startswith(below):
                yield resource

    def within(self, scope: str) -> list[Resource]:
        """Give what directly belongs to a scope: a group, or another resource."""
        return list(self._within.get(scope.lower(), _NOBODY).values())

    def below(self, scope: str) -> list[Resource]:
        """Give everything below a scope, what belongs to others after these."""
        found = self.within(scope)
        for one in found:  # it grows meanwhile
            found += self.within(one.key)
        return found

    def referrers(self, key: str) -> list[Resource]:
        """Give those that refer to an ID, the one that came first before the others."""
        return list(self._referrers.get(key, _NOBODY).values())

    def addresses(self, subnet: str) -> Addresses:
        """Give the addresses of a subnet that are taken, whether or not that is there."""
        return self._addresses.setdefault(subnet, Addresses())

    def _refer(self, resource: Resource) -> None:
        subnet, address = _address_in(resource)
        if address:
            self.addresses(subnet).used.add(address)
        for target in references(resource.body):
            if target.lower() != resource.key:
                self._referrers.setdefault(target.lower(), {})[resource.key] = resource

    def _forget_references(self, resource: Resource) -> None:
        subnet, address = _address_in(resource)
        if address:
            self.addresses(subnet).release(address)
        for target in references(resource.body):
            others = self._referrers.get(target.lower())
            if others is not None:
                others.pop(resource.key, None)
                if not others:
                    del self._referrers[target.lower()]


def _address_in(resource: Resource) -> tuple[str, str]:
    """Give the subnet, and the address in it, that a resource has taken; "" for none."""
    properties = resource.properties
    address, subnet = properties.get("privateIPAddress"), properties.get("subnet")
    if not isinstance(address, str) or not isinstance(subnet, dict):
        return "", ""
    return str(subnet.get("id") or "").lower(), address


def _whole(resource: Resource) -> str:
    """Give the key of what a resource directly belongs to."""
    address = resource.address
    return address.parent.key if address.is_child else address.scope.lower()
