"""Resource groups: made, changed, and deleted with everything in them; and the locks at scopes.

A group's delete begins that of each virtual machine in it, and ends when the last of them is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from pytest_azurevm import _resource_types as types
from pytest_azurevm import _vm_model as models
from pytest_azurevm._attachments import Attachments
from pytest_azurevm._compute import Compute
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._records import OperationRecord, VirtualMachine, key_of
from pytest_azurevm._resource_ids import Address, group_id
from pytest_azurevm._store import Resource, ResourceOperation, Verb
from pytest_azurevm._vm_form import LOCATIONS, Json, spelled_region

HOME: Final = "00000000-0000-4000-8000-000000000001"


class Written(NamedTuple):
    """What became of a PUT or a PATCH."""

    resource: Resource
    is_new: bool
    operation: ResourceOperation | None


class ResourceGroups(Attachments):
    """Every resource group of all subscriptions."""

    def __init__(self, compute: Compute, *, strict: bool = False, home: str = HOME) -> None:
        super().__init__(compute, strict=strict)
        self.home = home  # the subscription that there is without anything in it
        self._groups: dict[str, Resource] = {}
        self._gone_groups: set[str] = set()
        self._leaving_groups: dict[str, ResourceOperation] = {}

    def group(self, subscription: str, name: str) -> Resource:
        """Give a group.

        Raises:
            ArmError: it is not there.
        """
        found = self._groups.get(key_of(subscription, name))
        if found is None:
            raise arm_error("no-such-group", group=name)
        return found

    def groups(self, subscription: str, *, after: int = 0) -> Iterator[Resource]:
        """Give a subscription's groups, in the order of their creation."""
        return (
            group
            for group in self._groups.values()
            if group.address.subscription == subscription and group.sequence > after
        )

    def every_group(self) -> Iterator[Resource]:
        """Give the groups of all subscriptions."""
        return iter(self._groups.values())

    def judge_group(self, subscription: str, name: str, *, writes: bool = False) -> None:
        """See that something may be asked of what is in a group.

        In a lenient fake, a group that nobody made, and nobody deleted, is taken to exist.

        Raises:
            ArmError: it is not there, or, for what *writes*, is being deleted.
        """
        if not (self.strict or self._gone_groups or self._leaving_groups):
            return
        key = key_of(subscription, name)
        if key in self._gone_groups or (self.strict and key not in self._groups):
            raise arm_error("no-such-group", group=name)
        if writes and key in self._leaving_groups:
            raise arm_error("group-deleting", group=name)

    def put_group(self, subscription: str, name: str, body: Json) -> Written:
        """Make a group, or write it anew.

        Raises:
            ArmError: it has no location, or another one.
        """
        key = key_of(subscription, name)
        old = self._groups.get(key)
        location = body.get("location")
        if not location:
            raise arm_error("no-location")
        spelled = spelled_region(str(location))
        if spelled not in LOCATIONS:
            raise arm_error("group-location", location=location, locations=",".join(LOCATIONS))
        if key in self._leaving_groups:
            raise arm_error("group-deleting", group=name)
        if old is not None and old.region != spelled:
            raise arm_error("group-moved", new=location, old=old.region)
        self._judge_locks(group_id(subscription, name), "write")
        self.clock.changed()
        group = old or self._new_group(subscription, name, spelled)
        group.body = _group_body(body, spelled)
        return Written(group, old is None, None)

    def patch_group(self, group: Resource, patch: Json) -> Resource:
        """Change a group's tags, which are replaced [doc]."""
        self.judge_group(group.address.subscription, group.name, writes=True)
        self._judge_locks(group.id, "write")
        self.clock.changed()
        members = {name: item for name, item in patch.items() if name in ("tags", "managedBy")}
        group.body = models.merged({**group.body, **dict.fromkeys(members)}, members)
        group.body = _group_body(group.body, group.region)
        return group

    def _new_group(self, subscription: str, name: str, region: str) -> Resource:
        address = Address(subscription, name, f"/subscriptions/{subscription}", "", (), (name,))
        group = self._new(_GroupAddress(*address), region)
        group.type = types.GROUP
        group.row = types.row_of(types.GROUP)
        key = key_of(subscription, name)
        self._groups[key] = group
        self._gone_groups.discard(key)
        return group

    def take_group_to_exist(self, subscription: str, name: str, region: str) -> None:
        """Take note of a group that nobody made, and that something was put in."""
        if name and key_of(subscription, name) not in self._groups:
            self._new_group(subscription, name, region).body = _group_body({}, region)

    def delete_group(self, group: Resource) -> ResourceOperation:
        """Delete a group with everything in it: virtual machines by their own delete.

        Raises:
            ArmError: something is locked; nothing is deleted.
        """
        key = key_of(group.address.subscription, group.name)
        if key in self._leaving_groups:
            return self._leaving_groups[key]
        self._judge_locks(group.id, "delete", within=True)
        self.clock.changed()
        machines = list(self._machines(group))
        change = group.row.delete
        if machines or self._store.within(group.id):
            change = change._replace(seconds=types.GROUP_WITH_RESOURCES_S)
        group.provisioning = "Deleting"
        for vm in machines:
            with suppress(ArmError):  # it is being deleted already
                self.compute.act(vm, "delete")
        operation = ResourceOperation(
            self.compute.new_id(), "delete", group, change, self.clock.now_us
        )
        self._operations[operation.operation_id] = operation
        group.operation = self._leaving_groups[key] = operation
        after_us = self.compute.timing.seconds_us(change.seconds, group.name)
        self.clock.at(self.clock.now_us + after_us, partial(self._group_is_ripe, operation))
        return operation

    def _machines(self, group: Resource) -> Iterator[VirtualMachine]:
        return self.compute.vms.listed(group.address.subscription, group.name)

    def _group_is_ripe(self, operation: ResourceOperation) -> None:
        operation.ripe = True
        self._end_group_if_empty(operation)

    def _end_group_if_empty(self, operation: ResourceOperation) -> None:
        group = operation.resource
        if operation.ended_us is not None or not operation.ripe:
            return
        machines = list(self._machines(group))
        if any(_is_leaving(vm) for vm in machines):
            return  # the last of them ends it
        if machines:
            self._group_stays(operation, machines)
            return
        for resource in self._store.within(group.id):
            self._drop(resource)
        key = key_of(group.address.subscription, group.name)
        del self._groups[key], self._leaving_groups[key]
        self._gone_groups.add(key)
        self._close(operation)

    def gone(self, vm: VirtualMachine) -> None:
        """Let go what a machine had; the last one of a group that is deleted ends that."""
        super().gone(vm)
        operation = self._leaving_groups.get(key_of(vm.subscription_id, vm.resource_group))
        if operation is not None:
            self._end_group_if_empty(operation)

    def delete_ended(self, record: OperationRecord) -> None:
        """Let a group's delete fail with that of a machine in it [seen azure-docs#52282]."""
        vm = record.vm
        operation = self._leaving_groups.get(key_of(vm.subscription_id, vm.resource_group))
        if operation is not None and record.status != "Succeeded":
            self._group_stays(operation, list(self._machines(operation.resource)))

    def _group_stays(self, operation: ResourceOperation, machines: list[VirtualMachine]) -> None:
        group = operation.resource
        left = ",".join(f"Microsoft.Compute/virtualMachines/{vm.name}" for vm in machines)
        error = arm_error(
            "group-stays", group=group.name, resources=left, id=operation.operation_id
        )
        del self._leaving_groups[key_of(group.address.subscription, group.name)]
        group.provisioning = "Succeeded"
        self._close(operation, (error.code, error.message))

    # --- locks ---------------------------------------------------------------------------------

    def _judge_locks(self, resource_id: str, verb: Verb, *, within: bool = False) -> None:
        """See that no lock forbids it: at, or above, what is written; *within* a group, anywhere.

        Raises:
            ArmError: one does.
        """
        if not self._store.has(types.LOCK):
            return
        key = resource_id.lower()
        for lock in self._store.of_type(types.LOCK, ""):
            scope = lock.address.scope.lower()
            covers = key == scope or key.startswith(f"{scope}/")
            if within:
                covers = covers or scope.startswith(f"{key}/")
            level = str(lock.properties.get("level")).lower()
            forbids = level == "readonly" or (level == "cannotdelete" and verb == "delete")
            # A lock itself can be taken back, and is no part of what it locks.
            if covers and forbids and "/microsoft.authorization/locks/" not in key:
                raise arm_error("locked", scope=resource_id, verb=verb, locked=lock.address.scope)

    def judge_machine(self, vm_id: str, verb: Verb) -> None:
        """See that no lock forbids a change of a virtual machine."""
        self._judge_locks(vm_id, verb)


class _GroupAddress(Address):
    """A resource group, which has an ID unlike any other's."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The group's ID."""
        return group_id(self.subscription, self.group)


def _group_body(asked: Json, region: str) -> Json:
    members: Json = {"location": region}
    for member in ("tags", "managedBy"):
        if asked.get(member) is not None:
            members[member] = asked[member]
    return {**members, "properties": {"provisioningState": None}}


def _is_leaving(vm: VirtualMachine) -> bool:
    return vm.operation is not None and vm.operation.operation == "delete"
