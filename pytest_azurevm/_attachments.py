"""What ties stored resources to virtual machines: network interfaces, disks, availability sets.

A machine's disks are resources from the moment they are made; its network interfaces know it. What
is to go with a machine goes when that does. Nobody writes these ties: they follow from what the
machines' models say, and are noted here each time one changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from pytest_azurevm import _resource_types as types
from pytest_azurevm import _vm_model as models
from pytest_azurevm._compute import Compute
from pytest_azurevm._errors import arm_error
from pytest_azurevm._filled_in import filled
from pytest_azurevm._machines import Beside
from pytest_azurevm._records import OperationRecord, VirtualMachine
from pytest_azurevm._resource_ids import Address, address_of_id
from pytest_azurevm._store import Resource
from pytest_azurevm._stored import Stored
from pytest_azurevm._vm_form import Json

_NONE: Final[tuple[str, ...]] = ()
_SEEDED: Final = UUID("6d1a8a40-6f0b-4a39-8d39-5b6c9c1f2e77")  # any constant
_DISKS: Final = UUID("44bc44cc-a60e-4a56-99da-4d4b35541eb8")  # any constant


class _Unmade(NamedTuple):
    """A disk that a machine has, or has left behind, and that nobody has looked at."""

    vm: VirtualMachine
    disk: Json
    at_us: int
    sequence: int
    left_behind: bool = False


class Attachments(Stored, Beside):
    """Stored resources, and the machines that use them."""

    def __init__(self, compute: Compute, *, strict: bool) -> None:
        super().__init__(compute)
        self.strict = strict  # whether what nobody made is not there
        self._nics: dict[str, VirtualMachine] = {}  # by the interface's key: whose it is
        self._nics_of: dict[str, tuple[str, ...]] = {}  # by the machine's
        self._disks: dict[str, VirtualMachine] = {}
        self._disks_of: dict[str, tuple[str, ...]] = {}
        self._unmade: dict[str, _Unmade] = {}  # disks that are no resources yet, by key
        self._unseeded: list[VirtualMachine] = []  # whose references are no resources yet
        self._billed: dict[VirtualMachine, int] = {}  # disks that a machine has left behind
        compute.beside = self

    # --- looked at -----------------------------------------------------------------------------

    def user_of_nic(self, key: str) -> VirtualMachine | None:
        """Give the machine that has a network interface."""
        return self._nics.get(key)

    def user_of_disk(self, key: str) -> VirtualMachine | None:
        """Give the machine that a disk is attached to."""
        return self._disks.get(key)

    def is_primary(self, vm: VirtualMachine, nic: str) -> bool:
        """Whether an interface is the machine's first: the one marked so, or the only one."""
        interfaces = _interfaces(vm.model)
        for interface in interfaces:
            if interface["id"].lower() == nic:
                marked = (interface.get("properties") or {}).get("primary")
                return bool(marked) if marked is not None else len(interfaces) == 1
        return False

    def machines_of(self, availability_set: Resource) -> Iterator[VirtualMachine]:
        """Give the machines of an availability set."""
        address = availability_set.address
        for vm in self.compute.vms.listed(address.subscription.lower(), address.group):
            found = (vm.model["properties"].get("availabilitySet") or {}).get("id") or ""
            if found.lower() == availability_set.key:
                yield vm

    def referrers(self, resource: Resource) -> list[Resource]:
        """Give those that refer to a resource, but for what belongs to it."""
        below = f"{resource.key}/"
        found = self._store.referrers(resource.key)
        return [one for one in found if not one.key.startswith(below)]

    # --- machines, before they change ----------------------------------------------------------

    def completed(self, body: Json) -> Json:
        """Give a machine's body with the sizes of the disks that it attaches and leaves out."""
        properties = body.get("properties") or {}
        storage = properties.get("storageProfile") or {}
        disks = storage.get("dataDisks") or ()
        if not any(_attaches(disk) and not disk.get("diskSizeGB") for disk in disks):
            return body
        sized = [self._sized(disk) for disk in disks]
        return {
            **body,
            "properties": {**properties, "storageProfile": {**storage, "dataDisks": sized}},
        }

    def _sized(self, disk: Json) -> Json:
        known = self.find(disk["managedDisk"]["id"]) if _attaches(disk) else None
        size = None if known is None else known.properties.get("diskSizeGB")
        if known is None or size is None or disk.get("diskSizeGB"):
            return disk
        storage = (known.body.get("sku") or {}).get("name")
        managed = {"storageAccountType": storage, **disk["managedDisk"]}
        return {**disk, "diskSizeGB": size, "managedDisk": managed}

    def judge(self, vm: VirtualMachine, model: Json) -> None:
        """See that a machine may have what its model names.

        Raises:
            ArmError: something of it is another machine's, or, in a strict fake, is not there.
        """
        for nic in models.nics(model):
            key = nic.lower()
            found = self.find(nic) if self.strict else self._store.find(key)
            if found is None and self.strict:
                raise arm_error("no-such-child", id=nic)
            if found is None or found.taken_to_exist:
                continue
            user = self._nics.get(key)
            if user is not None and user is not vm and user.deleted_us is None:
                raise arm_error("nic-in-use", id=nic, by=user.resource_id)
        for disk in models.disks(model):
            if disk.get("createOption") == "Attach" and (disk.get("managedDisk") or {}).get("id"):
                self._judge_disk(vm, disk["managedDisk"]["id"])

    def _judge_disk(self, vm: VirtualMachine, disk_id: str) -> None:
        found = self.find(disk_id)
        name = disk_id.rpartition("/")[2]
        if found is None:
            if self.strict:
                raise arm_error("no-such-disk", name=name)
            return
        user = self._disks.get(found.key)
        shared = (found.properties.get("maxShares") or 1) > 1
        if user is not None and user is not vm and not shared and not found.taken_to_exist:
            raise arm_error("disk-owned", name=name, by=user.resource_id)

    # --- machines that changed -----------------------------------------------------------------

    def attend(self, vm: VirtualMachine) -> None:
        """Note what a machine has now."""
        self.take_group_to_exist(vm.subscription_id, vm.resource_group, vm.location)
        nics = tuple([nic.lower() for nic in models.nics(vm.model)])
        self._note(vm, nics, self._nics, self._nics_of)
        disks = [disk for disk in models.disks(vm.model) if "id" in (disk.get("managedDisk") or ())]
        before = self._disks_of.get(vm.key, _NONE)
        keys = tuple([disk["managedDisk"]["id"].lower() for disk in disks])
        self._note(vm, keys, self._disks, self._disks_of)
        for key, disk in zip(keys, disks, strict=True):
            made = self._unmade.get(key)
            if made is not None and made.vm is vm:
                self._unmade[key] = made._replace(disk=disk)
                continue
            found = self._store.find(key) if made is None else self.find(key)
            if found is None:
                sequence = self.compute.next_sequence()
                self._unmade[key] = _Unmade(vm, disk, self.clock.now_us, sequence)
            elif key not in before:
                self._bill_ends(found)  # from here on it is on this machine's
            if found is not None and disk.get("diskSizeGB"):
                self._resize(found, disk["diskSizeGB"])

    def _note(
        self,
        vm: VirtualMachine,
        keys: tuple[str, ...],
        users: dict[str, VirtualMachine],
        used: dict[str, tuple[str, ...]],
    ) -> None:
        before = used.get(vm.key, _NONE)
        if keys == before:
            return
        for key in before:
            if users.get(key) is vm:
                del users[key]
        for key in keys:
            users[key] = vm
        used[vm.key] = keys

    def take_group_to_exist(self, subscription: str, name: str, region: str) -> None:
        """Take note of a group that nobody made, and that something is in."""

    def seeded(self, vm: VirtualMachine) -> None:
        """Note a machine that has long been there, and so has what it refers to."""
        self._unseeded.append(vm)

    def _seed_references(self, vm: VirtualMachine) -> None:
        """Put into place what a machine refers to, as far as it is not there."""

    def catch_up(self) -> None:
        """Make resources of what machines have had since the last time, or were seeded with.

        Most of it is never looked at, and not worth more than a note until somebody does.
        """
        unmade, self._unmade = self._unmade, {}
        unseeded, self._unseeded = self._unseeded, []
        for made in unmade.values():
            self._make_disk(made)
        for vm in unseeded:
            if vm.deleted_us is None:
                # Ids of their own, lest a look change those that are given out after it.
                self._new_id = partial(_next_of, vm.key, count())
                self._seed_references(vm)
        self._new_id = self.compute.new_id

    def find(self, resource_id: str) -> Resource | None:
        """Give the resource of an ID, in any spelling."""
        if self._unmade or self._unseeded:
            self.catch_up()
        return super().find(resource_id)

    def _make_disk(self, made: _Unmade) -> None:
        disk, vm = made.disk, made.vm
        address = address_of_id(disk["managedDisk"]["id"])
        if address is None or types.spelled_type(address.type) != types.DISK:
            return
        self.take_group_to_exist(address.subscription, address.group, vm.location)
        resource = self._new(address, vm.location)
        resource.sequence, resource.created_us = made.sequence, made.at_us
        resource.taken_to_exist = disk.get("createOption") == "Attach"
        resource.billed_to = vm if made.left_behind else None
        creation: Json = {"createOption": disk.get("createOption") or "Empty"}
        if resource.taken_to_exist:
            creation["createOption"] = "Empty"  # somebody made it so: how, is not known
        asked: Json = {
            "location": vm.location,
            "sku": {"name": disk["managedDisk"].get("storageAccountType")},
            "properties": {"creationData": creation},
        }
        for member in ("osType", "diskSizeGB"):
            if disk.get(member):
                asked["properties"][member] = disk[member]
        facts = self._facts(resource)._replace(
            now=self.clock.calendar(made.at_us).isoformat(), new_id=partial(_unique_id, address)
        )
        resource.body = filled(types.DISK, asked, facts)
        self._store.add(resource)

    def _resize(self, disk: Resource, size_gb: int) -> None:
        if disk.properties.get("diskSizeGB") not in (None, size_gb):
            properties = {**disk.properties, "diskSizeGB": size_gb}
            asked = {**disk.body, "properties": properties}
            self._store.rewrite(disk, filled(disk.type, asked, self._facts(disk)))

    # --- machines that are gone ----------------------------------------------------------------

    def gone(self, vm: VirtualMachine) -> None:
        """Let go what a machine had, and let what is to go with it go [doc delete.md]."""
        nics = self._nics_of.pop(vm.key, _NONE)
        disks = self._disks_of.pop(vm.key, _NONE)
        leaving = {
            nic["id"].lower()
            for nic in _interfaces(vm.model)
            if (nic.get("properties") or {}).get("deleteOption") == "Delete"
        }
        # An eviction that deletes takes the disks along, whatever they say [doc spot-vms.md].
        leaving |= {
            disk["managedDisk"]["id"].lower()
            for disk in models.disks(vm.model)
            if "id" in (disk.get("managedDisk") or ())
            and (vm.evicted or disk.get("deleteOption") == "Delete")
        }
        for users, keys in ((self._nics, nics), (self._disks, disks)):
            for key in keys:
                if users.get(key) is vm:
                    del users[key]
                    self._left_behind(vm, key, leaves=key in leaving)
        for one in self._store.within(vm.resource_id):  # locks, role assignments
            self._drop(one)

    def _left_behind(self, vm: VirtualMachine, key: str, *, leaves: bool) -> None:
        made = self._unmade.get(key)
        if made is not None:
            if leaves:
                del self._unmade[key]
            else:
                self._unmade[key] = made._replace(left_behind=True)
                self._billed[vm] = self._billed.get(vm, 0) + 1
            return
        found = self._store.find(key)
        if found is None:
            return
        if not leaves:
            if found.type == types.DISK:
                found.billed_to = vm
                self._billed[vm] = self._billed.get(vm, 0) + 1
            return
        named = [_public_ip_that_leaves(child) for child in self._all_children(found)]
        self._drop(found)
        for public_ip_id in named:
            public_ip = None if public_ip_id is None else self.find(public_ip_id)
            if public_ip is not None and not self.referrers(public_ip):
                self._drop(public_ip)

    def delete_ended(self, record: OperationRecord) -> None:
        """Hear that a delete of a machine has ended, which may have failed."""

    def _dropped(self, resource: Resource) -> None:
        self._bill_ends(resource)

    def _bill_ends(self, disk: Resource) -> None:
        """A disk that a deleted machine has left costs nothing any more, at least on its bill."""
        vm, disk.billed_to = disk.billed_to, None
        if vm is None:
            return
        self._billed[vm] -= 1
        if not self._billed[vm]:
            del self._billed[vm]
            vm.disks_gone_us = self.clock.now_us


def _next_of(key: str, numbers: Iterator[int]) -> str:
    return str(uuid5(_SEEDED, f"{key} {next(numbers)}"))


def _unique_id(address: Address) -> str:
    """Give a disk's unique id: the one in its name, where Azure chose that [rec]."""
    digits = re.search(r"_([0-9a-f]{32})$", address.name)
    return str(UUID(digits[1]) if digits else uuid5(_DISKS, address.key))


def _attaches(disk: Any) -> bool:
    return bool(disk.get("createOption") == "Attach" and (disk.get("managedDisk") or {}).get("id"))


def _interfaces(model: Json) -> list[Json]:
    profile = model["properties"].get("networkProfile") or {}
    return [one for one in profile.get("networkInterfaces") or () if one.get("id")]


def _public_ip_that_leaves(ip_configuration: Resource) -> str | None:
    public_ip = ip_configuration.properties.get("publicIPAddress") or {}
    leaves = (public_ip.get("properties") or {}).get("deleteOption") == "Delete"
    return str(public_ip.get("id")) if leaves and public_ip.get("id") else None
