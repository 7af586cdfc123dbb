"""Change one virtual machine while others change it too, and let no change be lost.

Azure takes one write of a machine at a time. A newer one pushes the older one aside, which ends
``Canceled``; or it is itself refused, with a 409 that the SDK calls ``ResourceExistsError``. Either
way the machine is not what we had read: we wait, read it again, and make our change on that. What
of the change is there already stays as it is, so that a change can be made twice.
"""

from __future__ import annotations

from collections.abc import Callable
from time import sleep

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import (
    DataDisk,
    HardwareProfile,
    ManagedDiskParameters,
    VirtualMachine,
)

CONTENDED = {
    "OperationPreempted",
    "Conflict",
    "ConflictingConcurrentWriteNotAllowed",
    "PreconditionFailed",
}
FIRST_WAIT_S = 5
Change = Callable[[VirtualMachine], None]


def apply(
    client: ComputeManagementClient, group: str, name: str, change: Change, *, attempts: int = 6
) -> VirtualMachine:
    """Make *change* on the machine as it then is, and give it as it has become."""
    for attempt in range(attempts):
        vm = client.virtual_machines.get(group, name)
        unchanged = getattr(vm, "etag", None)  # older releases of the SDK do not know it
        change(vm)
        try:
            return client.virtual_machines.begin_create_or_update(
                group, name, vm, headers={"If-Match": unchanged} if unchanged else {}
            ).result()
        except HttpResponseError as error:
            code = error.error.code if error.error else None
            if code not in CONTENDED or attempt == attempts - 1:
                raise
        sleep(FIRST_WAIT_S * 2**attempt)
    raise ValueError("attempts must be 1 or more")


def tag(key: str, value: str) -> Change:
    """Set a tag, and leave the others."""

    def change(vm: VirtualMachine) -> None:
        vm.tags = {**(vm.tags or {}), key: value}

    return change


def resize(size: str) -> Change:
    """Set the size."""

    def change(vm: VirtualMachine) -> None:
        vm.hardware_profile = HardwareProfile(vm_size=size)

    return change


def attach(disk_id: str) -> Change:
    """Attach a disk at the first LUN that is free, unless it is attached already."""

    def change(vm: VirtualMachine) -> None:
        disks = list(vm.storage_profile.data_disks or ())
        if any(disk_id.lower() == (disk.managed_disk.id or "").lower() for disk in disks):
            return
        lun = next(lun for lun in range(64) if lun not in {disk.lun for disk in disks})
        disk = ManagedDiskParameters(id=disk_id)
        disks.append(DataDisk(lun=lun, create_option="Attach", managed_disk=disk))
        vm.storage_profile.data_disks = disks

    return change
