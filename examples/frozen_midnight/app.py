"""Lights out: by night, deallocate a group's virtual machines; by day, start them.

The night begins in the evening and ends in the morning of the next day, so that a job which runs
every few minutes crosses midnight again and again. What time it is, ``datetime.now`` tells.
"""

from __future__ import annotations

from datetime import datetime, time, timezone

from azure.mgmt.compute import ComputeManagementClient

NIGHT_FROM = time(23, 30)
NIGHT_UNTIL = time(6, 0)


def is_night(now: datetime) -> bool:
    """Tell whether *now* is between evening and morning, whichever side of midnight it is on."""
    return now.time() >= NIGHT_FROM or now.time() < NIGHT_UNTIL


def power_state(client: ComputeManagementClient, group: str, name: str) -> str | None:
    """Give a machine's power state, if it shows one."""
    view = client.virtual_machines.instance_view(group, name)
    for status in view.statuses or ():
        category, _, state = (status.code or "").partition("/")
        if category == "PowerState":
            return state
    return None


def lights(client: ComputeManagementClient, group: str) -> dict[str, str]:
    """Begin what the hour demands, and tell for each machine what was found or begun.

    A machine that is on its way somewhere is left alone until the next run.
    """
    night = is_night(datetime.now(timezone.utc))
    told = {}
    for vm in client.virtual_machines.list(group):
        state = told[vm.name] = power_state(client, group, vm.name) or "unknown"
        if night and state in ("running", "stopped"):
            client.virtual_machines.begin_deallocate(group, vm.name)
            told[vm.name] = "lights out"
        elif not night and state == "deallocated":
            client.virtual_machines.begin_start(group, vm.name)
            told[vm.name] = "lights on"
    return told
