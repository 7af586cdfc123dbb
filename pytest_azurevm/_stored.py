"""Stored resources as they change: written with their children, finished later, taken away.

This is the one place where one changes. What a resource becomes is decided by the table and by what
Azure fills in; when, by the clock. Every method is called with ``lock`` held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm._compute import Compute
from pytest_azurevm._facts import Facts
from pytest_azurevm._filled_compute import FILLED_AT_THE_END, as_asked
from pytest_azurevm._filled_in import filled
from pytest_azurevm._filled_network import DEFAULT_RULES, free_address
from pytest_azurevm._resource_ids import Address
from pytest_azurevm._resource_types import Change
from pytest_azurevm._store import Resource, ResourceOperation, Store, Verb
from pytest_azurevm._vm_form import Json

# What an item of a list says of itself besides what it is.
_OF_AN_ITEM: Final = ("id", "name", "type", "etag")
_PUBLIC: Final = (198, 18)  # public addresses are of the block for benchmarks, nobody's [RFC 2544]


class Stored:
    """Every resource beside virtual machines, and what changes one."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.clock = compute.clock
        self._store = Store()
        self._operations: dict[str, ResourceOperation] = {}
        self._public_ips = 0
        self._new_id = compute.new_id

    def find(self, resource_id: str) -> Resource | None:
        """Give the resource of an ID, in any spelling."""
        return self._store.find(resource_id.lower())

    def find_operation(self, operation_id: str) -> ResourceOperation | None:
        """Give the operation of that id."""
        return self._operations.get(operation_id.lower())

    def children(self, resource: Resource, kind: str) -> Iterator[Resource]:
        """Give the children of one kind, such as a network's ``subnets``."""
        wanted = f"{resource.type}/{kind}".lower()
        return (one for one in self._store.within(resource.key) if one.type.lower() == wanted)

    # --- written -------------------------------------------------------------------------------

    def _new(self, address: Address, region: str) -> Resource:
        """Make a resource that has no body yet."""
        now_us = self.clock.now_us
        return Resource(
            address=address,
            type=types.spelled_type(address.type),
            region=region,
            sequence=self.compute.next_sequence(),
            created_us=now_us,
            changed_us=now_us,
            body={},
            provisioning="Succeeded",
        )

    def _write(
        self, resource: Resource, asked: Json, change: Change, *, keeps: bool = False
    ) -> ResourceOperation | None:
        """Write a resource, and all its children that *asked* holds; give what goes on after.

        Lists of children that are left out stay as they are if it *keeps* them.
        """
        self.clock.changed()
        is_new = self._store.find(resource.key) is None
        final = self._fill(resource, asked, keeps=keeps)
        if not change.headers:
            self._settle(resource)
            return None
        if resource.type.lower() in FILLED_AT_THE_END:
            self._store.rewrite(resource, as_asked(asked, final, is_new=is_new))
        self._show(resource, resource.row.shows or "Succeeded")
        return self._begin(resource, "write", change, partial(self._written, resource, final))

    def _written(self, resource: Resource, final: Json) -> None:
        if self._store.find(resource.key) is resource:  # else its group went before it
            if resource.type.lower() in FILLED_AT_THE_END:
                self._store.rewrite(resource, final)
            self._settle(resource)

    def _settle(self, resource: Resource) -> None:
        self._show(resource, "Succeeded")

    def _show(self, resource: Resource, provisioning: str) -> None:
        """Show a provisioning state, and a new entity tag, of a resource and of its children."""
        etag = f'W/"{self._new_id()}"' if self._has_etag(resource) else ""
        for one in (resource, *self._all_children(resource)):
            one.provisioning, one.etag = provisioning, etag

    @staticmethod
    def _has_etag(resource: Resource) -> bool:
        return resource.row.namespace == "Microsoft.Network"

    def _all_children(self, resource: Resource) -> list[Resource]:
        kinds = types.CHILDREN.get(resource.type.lower(), ())
        return [child for kind in kinds for child in self.children(resource, kind)]

    def _fill(self, resource: Resource, asked: Json, *, keeps: bool = False) -> Json:
        """Put a resource into place, as Azure completes it, and give its body."""
        own, lists = _parted(resource.type, asked, keeps=keeps)
        self._children_first(resource, lists)
        body = filled(resource.type, own, self._facts(resource))
        resource.changed_us = self.clock.now_us
        if self._store.find(resource.key) is None:
            resource.body = body
            self._store.add(resource)
        else:
            self._store.rewrite(resource, body)
        return body

    def _children_first(self, resource: Resource, lists: dict[str, list[Json]]) -> None:
        is_new = self._store.find(resource.key) is None
        if is_new and resource.type == types.SECURITY_GROUP:
            lists = {**lists, "defaultSecurityRules": [dict(rule) for rule in DEFAULT_RULES]}
        for kind, items in lists.items():
            before = {child.name.lower(): child for child in self.children(resource, kind)}
            for item in items:
                child = before.pop(item["name"].lower(), None)
                if child is None:
                    child = self._new(resource.address.child(kind, item["name"]), resource.region)
                self._fill(child, {k: v for k, v in item.items() if k not in _OF_AN_ITEM})
            for left_out in before.values():
                self._drop(left_out)

    def _facts(self, resource: Resource) -> Facts:
        return Facts(
            id=resource.id,
            name=resource.name,
            location=resource.region,
            now=self.clock.calendar(self.clock.now_us).isoformat(),
            tenant_id=self.compute.tenant_id,
            old=resource.properties,
            new_id=self._new_id,
            private_ip=partial(self._private_ip, resource),
            public_ip=self._public_ip,
        )

    def _private_ip(self, resource: Resource, asked: Json) -> str | None:
        """Give an IP configuration its address: the one it names, the one it has, or a free one."""
        subnet_id = str((asked.get("subnet") or {}).get("id") or "").lower()
        if str(asked["privateIPAllocationMethod"]).lower() == "static":
            return asked.get("privateIPAddress")
        old = resource.properties
        if old and str((old.get("subnet") or {}).get("id") or "").lower() == subnet_id:
            return old.get("privateIPAddress")
        subnet = self._store.find(subnet_id)
        taken = self._store.addresses(subnet_id)
        return free_address(None if subnet is None else subnet.body, taken)

    def _public_ip(self) -> str:
        self._public_ips += 1
        high, low = divmod(self._public_ips - 1, 250)
        return f"{_PUBLIC[0]}.{_PUBLIC[1] + high // 256}.{high % 256}.{low + 1}"

    # --- deleted -------------------------------------------------------------------------------

    def _delete(self, resource: Resource) -> ResourceOperation | None:
        """Delete a resource with its children; give what goes on after."""
        self.clock.changed()
        change = resource.row.delete
        if not change.headers:
            self._drop(resource)
            return None
        self._show(resource, "Deleting")
        return self._begin(resource, "delete", change, partial(self._drop, resource))

    def _drop(self, resource: Resource) -> None:
        """Take a resource away, and whatever belongs to it."""
        if self._store.find(resource.key) is not resource:
            return  # its group went before it
        for one in (resource, *self._store.below(resource.key)):
            self._store.drop(one)
            self._dropped(one)

    def _dropped(self, resource: Resource) -> None:
        """Tell of a resource that is no more."""

    # --- operations ----------------------------------------------------------------------------

    def _begin(
        self, resource: Resource, verb: Verb, change: Change, then: Callable[[], None]
    ) -> ResourceOperation:
        now_us = self.clock.now_us
        operation = ResourceOperation(self.compute.new_id(), verb, resource, change, now_us)
        self._operations[operation.operation_id] = operation
        resource.operation = operation
        after_us = self.compute.timing.seconds_us(change.seconds, resource.name)
        self.clock.at(now_us + after_us, partial(self._end, operation, then))
        return operation

    def _end(self, operation: ResourceOperation, then: Callable[[], None]) -> None:
        if operation.resource.operation is operation:  # else a newer one has taken over
            then()
        self._close(operation)

    def _close(self, operation: ResourceOperation, error: tuple[str, str] | None = None) -> None:
        operation.ended_us = self.clock.now_us
        operation.status = "Succeeded" if error is None else "Failed"
        operation.error = error
        if operation.resource.operation is operation:
            operation.resource.operation = None


def _parted(resource_type: str, asked: Json, *, keeps: bool) -> tuple[Json, dict[str, list[Json]]]:
    """Part a body from the lists in it that hold resources of their own.

    One that is left out is emptied, unless the table, or *keeps*, says that it stays.
    """
    kinds = types.CHILDREN.get(resource_type.lower())
    if kinds is None:
        return asked, {}
    properties = asked.get("properties") or {}
    lists = {
        kind: list(properties.get(kind) or ())
        for kind in kinds
        if properties.get(kind) is not None or not (keeps or kind in types.KEPT_IF_LEFT_OUT)
    }
    own = {member: item for member, item in properties.items() if member not in kinds}
    return {**asked, "properties": own}, lists
