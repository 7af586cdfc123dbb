"""Waiting for a virtual machine to run, in two ways.

``provision`` creates one and tells how far it has come. It watches the instance view, as a
dashboard would, and gives up after a deadline of its own rather than when Azure does.
``wait_for_running`` is the loop that everybody writes first: look, sleep, look again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import sleep
from typing import Any

from azure.mgmt.compute import ComputeManagementClient

LOOK_EVERY_S = 5


class NotRunningInTimeError(Exception):
    """The machine did not come up before the deadline."""


def provision(
    client: ComputeManagementClient,
    group: str,
    name: str,
    parameters: Mapping[str, Any],
    *,
    deadline_s: float = 600,
    tell: Callable[[str], None] = print,
) -> str:
    """Create a machine, tell each change of its statuses, and give its resource ID once it runs."""
    poller = client.virtual_machines.begin_create_or_update(group, name, parameters)
    told = ""
    waited_s = 0.0
    while not poller.done():
        view = client.virtual_machines.instance_view(group, name)
        now = ", ".join(status.code or "" for status in view.statuses or ())
        if now != told:
            tell(now)
            told = now
        if waited_s >= deadline_s:
            raise NotRunningInTimeError(f"{name} after {waited_s:.0f} s: {told}")
        poller.wait(LOOK_EVERY_S)
        waited_s += LOOK_EVERY_S
    made = poller.result()
    tell("done")
    return str(made.id)


def power_state(client: ComputeManagementClient, group: str, name: str) -> str | None:
    """Give a machine's power state; right after its creation it shows none."""
    view = client.virtual_machines.instance_view(group, name)
    for status in view.statuses or ():
        category, _, state = (status.code or "").partition("/")
        if category == "PowerState":
            return state
    return None


def wait_for_running(client: ComputeManagementClient, group: str, name: str) -> int:
    """Look every five seconds until a machine runs, and give the number of looks in vain."""
    looks = 0
    while power_state(client, group, name) != "running":
        sleep(LOOK_EVERY_S)
        looks += 1
    return looks
