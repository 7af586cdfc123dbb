"""What may be asked of stored resources and their groups, judged before anything changes.

Nothing here, or below, knows HTTP. Every method is called with ``lock`` held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from pytest_azurevm import _resource_types as types
from pytest_azurevm import _vm_model as models
from pytest_azurevm._attachments import Attachments
from pytest_azurevm._compute import Compute
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._records import OperationRecord, VirtualMachine, key_of
from pytest_azurevm._resource_ids import (
    Address,
    address_of_id,
    checked_resource_name,
    group_id,
    in_capitals,
    references,
)
from pytest_azurevm._store import Resource, ResourceOperation, Verb
from pytest_azurevm._vm_form import LOCATIONS, Json, checked_location, spelled_region

_HOME: Final = "00000000-0000-4000-8000-000000000001"


class Written(NamedTuple):
    """What became of a PUT or a PATCH."""

    resource: Resource
    is_new: bool
    operation: ResourceOperation | None


class Neighbours(Attachments):
    """Resource groups, and everything in them that is no virtual machine."""

    def __init__(self, compute: Compute, *, strict: bool = False, home: str = _HOME) -> None:
        super().__init__(compute, strict=strict)
        self.home = home  # the subscription that there is without anything in it
        self._groups: dict[str, Resource] = {}
        self._gone_groups: set[str] = set()
        self._leaving_groups: dict[str, ResourceOperation] = {}
        self._subscription_tags: dict[str, Json] = {}

    # --- groups --------------------------------------------------------------------------------

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

    # --- resources -----------------------------------------------------------------------------

    def put(self, address: Address, body: Json) -> Written:
        """Make a resource, or write it anew.

        Raises:
            ArmError: it cannot be, or not now; nothing changed.
        """
        row = types.row_of(address.type)
        old = self._store.find(address.key)
        parent = self._judge_place(address, body, old)
        location = body.get("location")
        if row.located or location:
            if spelled_region(str(location or "")) == "global":
                location = "global"  # where what has no region is [doc]
            else:
                location = checked_location(body, types.spelled_type(address.type))
            if old is not None and old.row.located and old.region != location:
                raise arm_error(
                    "other-location",
                    name=address.name, group=address.group, old=old.region, new=location,
                )  # fmt: skip
        region = location or (parent.region if parent is not None else "")
        members = {name: item for name, item in body.items() if name not in _OWN}
        if location:
            members = {
                "location": location,
                **{k: v for k, v in members.items() if k != "location"},
            }
        self._judge_content(address, members)
        self.clock.changed()
        if address.group:
            where = region or self._region_of_group(address)
            self.take_group_to_exist(address.subscription, address.group, where)
        resource = old or self._new(address, region)
        operation = self._write(resource, members, row.create if old is None else row.update)
        return Written(resource, old is None, operation)

    def patch(self, resource: Resource, patch: Json) -> Written:
        """Change some of a resource; tags are replaced as a whole [doc].

        Raises:
            ArmError: it cannot be changed so, or not now; nothing changed.
        """
        self._judge_place(resource.address, patch, resource)
        changes = {name: item for name, item in patch.items() if name not in (*_OWN, "location")}
        old = {**resource.body, **({"tags": None} if "tags" in changes else {})}
        members = models.merged(old, changes)
        if isinstance(changes.get("tags"), dict):
            members["tags"] = dict(changes["tags"])
        self._judge_content(resource.address, members)
        operation = self._write(resource, members, resource.row.patch, keeps=True)
        return Written(resource, is_new=False, operation=operation)

    def delete(self, resource: Resource) -> ResourceOperation | None:
        """Delete a resource.

        Raises:
            ArmError: something else needs it, or it is locked; nothing changed.
        """
        if resource.provisioning == "Deleting" and resource.operation is not None:
            return resource.operation
        if resource.type.lower() in types.READ_ONLY:
            raise arm_error("no-method", method="DELETE")
        self._judge_locks(resource.id, "delete")
        for one in (resource, *self._all_children(resource)):
            self._judge_use(one, resource)
        return self._delete(resource)

    def _region_of_group(self, address: Address) -> str:
        found = self._groups.get(key_of(address.subscription, address.group))
        return LOCATIONS[0] if found is None else found.region

    # --- judged --------------------------------------------------------------------------------

    def _judge_place(self, address: Address, body: Json, old: Resource | None) -> Resource | None:
        """See that something may be written there; give what it belongs to."""
        checked_resource_name(address.name)
        for member, expected in (("name", address.name), ("type", address.type)):
            given = body.get(member)
            if isinstance(given, str) and given.lower() != expected.lower() and "/" not in given:
                raise arm_error("other-type", member=member, given=given, expected=expected)
        if address.group:
            self.judge_group(address.subscription, address.group, writes=True)
        if address.type.lower() in types.READ_ONLY:
            raise arm_error("no-method", method="PUT")
        self._judge_locks(address.id, "write")
        if old is not None and old.provisioning == "Deleting":
            raise arm_error("being-deleted", id=old.id)
        if address.is_extension:
            self._judge_scope(address)
        if not address.is_child:
            return None
        parent = self._store.find(address.parent.key)
        if parent is None:
            raise arm_error(
                "no-parent",
                action="write",
                type="/".join(address.types),
                parent=address.parent.id,
            )
        return parent

    def _judge_scope(self, address: Address) -> None:
        """See that what an extension is written at is there: a machine, or a stored resource."""
        of = address_of_id(address.scope)
        if of is None or self.find(of.id) is not None:
            return
        vms = self.compute.vms
        if of.type.lower() == "microsoft.compute/virtualmachines" and vms.find(
            of.subscription, of.group, of.name
        ):
            return
        raise arm_error("no-such-vm", type=of.type, name=of.name, group=of.group)

    def _judge_content(self, address: Address, body: Json) -> None:
        kinds = types.CHILDREN.get(address.type.lower(), ())
        properties = body.get("properties")
        if properties is not None and not isinstance(properties, dict):
            reason = "Error converting value to type 'Properties'. Path 'properties'."
            raise arm_error("bad-content", reason=reason)
        if address.namespace.lower() in types.SHAPED:
            _judge_shapes(body, "")
        tags = body.get("tags")
        if tags is not None and not (
            isinstance(tags, dict) and all(isinstance(value, str) for value in tags.values())
        ):
            reason = "Error converting value to type 'String'. Path 'tags'."
            raise arm_error("bad-content", reason=reason)
        for kind in kinds:
            items = (properties or {}).get(kind)
            if items is None:
                continue
            if not isinstance(items, list) or not all(_has_name(item) for item in items):
                raise arm_error("nameless-child", member=kind)
            names = {item["name"].lower() for item in items}
            resource = self._store.find(address.key)
            for child in () if resource is None else self.children(resource, kind):
                if child.name.lower() not in names:
                    self._judge_use(child, child)
        if self.strict:
            self._judge_references(address, body)

    def _judge_references(self, address: Address, body: Json) -> None:
        """See that what a network's resource, or an image, refers to is there [rec]."""
        if address.type.lower() == "microsoft.compute/images":
            for target in references(body):
                of = address_of_id(target)
                if of is not None and of.types[0].lower() in _SOURCES and self.find(target) is None:
                    raise arm_error("no-such-operation", target=target)  # the same words [rec]
        if address.namespace.lower() != "microsoft.network":
            return
        for target in references(body):
            found = address_of_id(target)
            if (
                found is not None
                and found.namespace.lower() == "microsoft.network"
                and found.key != address.key
                and not found.key.startswith(f"{address.key}/")
                and self._store.find(found.key) is None
            ):
                missing = in_capitals(target)
                error = arm_error("no-reference", id=missing, by=address.id)
                detail = arm_error("no-such-child", id=missing)
                raise ArmError(
                    error.status,
                    error.code,
                    error.message,
                    details=[{"code": detail.code, "message": detail.message}],
                )

    def _judge_use(self, resource: Resource, whole: Resource) -> None:
        """See that nobody needs a resource; what belongs to *whole* does not count."""
        if resource.type == types.NIC:
            vm = self.user_of_nic(resource.key)
            if vm is not None:
                raise arm_error("nic-in-use", id=resource.id, by=vm.resource_id)
        if resource.type == types.DISK:
            vm = self.user_of_disk(resource.key)
            if vm is not None:
                raise arm_error("disk-attached", name=resource.name, by=vm.resource_id)
        if resource.type == types.AVAILABILITY_SET and any(
            True for _ in self.machines_of(resource)
        ):
            raise arm_error("set-in-use", name=resource.name)
        held = types.HELD.get(resource.type.lower())
        if held is None:
            return
        below = f"{whole.key}/"
        users = [
            one.id
            for one in self._store.referrers(resource.key)
            if one is not whole and not one.key.startswith(below)
        ]
        if users:
            raise arm_error(
                held.error, id=resource.id, name=resource.name, by=users[0], all=", ".join(users)
            )

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

    # --- tags ----------------------------------------------------------------------------------

    def subscription_tags(self, subscription: str) -> Json:
        """Give the tags of a subscription itself."""
        return self._subscription_tags.get(subscription, {})

    def tag_subscription(self, subscription: str, tags: Json) -> None:
        """Set the tags of a subscription itself."""
        self.clock.changed()
        self._subscription_tags[subscription] = dict(tags)

    # --- seeded --------------------------------------------------------------------------------

    def seed_references(self, vm: VirtualMachine) -> None:
        """Put into place what a machine that has long been there refers to, as far as it is not.

        A network for its group, and its network interfaces in that.
        """
        for nic in models.nics(vm.model):
            address = address_of_id(nic)
            if address is None or self.find(nic) is not None or not address.group:
                continue
            self.take_group_to_exist(address.subscription, address.group, vm.location)
            network = address._replace(types=("virtualNetworks",), names=(f"{address.group}-vnet",))
            if self.find(network.id) is None:
                subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/20"}}
                space = {"addressPrefixes": ["10.0.0.0/16"]}
                self._seed(network, vm, {"addressSpace": space, "subnets": [subnet]})
            subnet_id = network.child("subnets", "default").id
            configuration = {"name": "ipconfig1", "properties": {"subnet": {"id": subnet_id}}}
            self._seed(address, vm, {"ipConfigurations": [configuration]})

    def _seed(self, address: Address, vm: VirtualMachine, properties: Json) -> None:
        resource = self._new(address, vm.location)
        self._fill(resource, {"location": vm.location, "properties": properties})
        self._settle(resource)

    # --- listed --------------------------------------------------------------------------------

    def listed(self, resource_type: str, scope: str, *, after: int = 0) -> Iterator[Resource]:
        """Give the resources of a type below a scope, in the order of their creation."""
        return self._store.of_type(resource_type, scope, after=after)

    def everything(
        self, subscription: str, group: str = "", *, after: int = 0
    ) -> list[Resource | VirtualMachine]:
        """Give a subscription's, or a group's, resources that belong to no other, and machines."""
        groups = [group] if group else [one.name for one in self.groups(subscription)]
        found: list[Resource | VirtualMachine] = [
            one
            for name in groups
            for one in self._store.within(group_id(subscription, name))
            if one.sequence > after and one.row.namespace != "Microsoft.Authorization"
        ]
        found += self.compute.listed(subscription, group, after=after)
        return sorted(found, key=lambda one: one.sequence)


class _GroupAddress(Address):
    """A resource group, which has an ID unlike any other's."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The group's ID."""
        return group_id(self.subscription, self.group)


# What an image is made of, machines aside.
_SOURCES: Final = ("disks", "snapshots")
# What a body says of itself besides what it is; it is known from the URL.
_OWN: Final = ("id", "name", "type", "etag")


def _group_body(asked: Json, region: str) -> Json:
    members: Json = {"location": region}
    for member in ("tags", "managedBy"):
        if asked.get(member) is not None:
            members[member] = asked[member]
    return {**members, "properties": {"provisioningState": None}}


def _judge_shapes(value: Any, path: str) -> None:
    """See that the members that are read here are of their kinds.

    Raises:
        ArmError: one is not.
    """
    if isinstance(value, list):
        for number, item in enumerate(value):
            _judge_shapes(item, f"{path}[{number}]")
    if not isinstance(value, dict):
        return
    for member, item in value.items():
        kind = types.SHAPES.get(member)
        where = f"{path}.{member}".lstrip(".")
        if (
            kind is not None
            and item is not None
            and (not isinstance(item, kind) or isinstance(item, bool))
        ):
            name = f"{member[0].upper()}{member[1:]}"
            reason = f"Error converting value to type '{name}'. Path '{where}'."
            raise arm_error("bad-content", reason=reason)
        _judge_shapes(item, where)


def _is_leaving(vm: VirtualMachine) -> bool:
    return vm.operation is not None and vm.operation.operation == "delete"


def _has_name(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and bool(item["name"])
