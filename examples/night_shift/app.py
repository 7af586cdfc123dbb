"""Night shift: after hours, deallocate every virtual machine of a group that may sleep.

A machine that was shut down from inside its guest is ``stopped``, not ``deallocated``, and goes on
costing: it is the one that this job is for.
"""

from __future__ import annotations

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient

COSTING = ("running", "stopped")
KEEP = {"night-shift": "keep"}


def power_state(client: ComputeManagementClient, group: str, name: str) -> str | None:
    """Give a machine's power state; it may be missing, and is not always the second status."""
    try:
        view = client.virtual_machines.instance_view(group, name)
    except ResourceNotFoundError:  # deleted since it was listed
        return None
    for status in view.statuses or ():
        category, _, state = (status.code or "").partition("/")
        if category == "PowerState":
            return state
    return None


def night_shift(client: ComputeManagementClient, group: str) -> list[str]:
    """Deallocate what costs and may sleep, wait until all of it is done, and give the names."""
    begun = {}
    for vm in client.virtual_machines.list(group):
        if KEEP.items() <= (vm.tags or {}).items():
            continue
        if power_state(client, group, vm.name) in COSTING:
            begun[vm.name] = client.virtual_machines.begin_deallocate(group, vm.name)
    for poller in begun.values():
        poller.result()
    return sorted(begun)
