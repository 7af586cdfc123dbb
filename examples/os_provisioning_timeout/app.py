"""Create a virtual machine, and be neither hasty nor wasteful when its system is slow to set up.

``OSProvisioningTimedOut`` comes after 40 minutes, and may be wrong a little later: "the VM may
still finish provisioning successfully". So we look again for a while, unless Azure calls it
terminal. The machine runs and is billed all that time: what does not come to anything is deleted,
and made anew only as often as we want to pay for.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import sleep
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient

LOOK_EVERY_S = 60


class NoSystemError(Exception):
    """However often the machine was made, its system did not set itself up."""


def provision(
    client: ComputeManagementClient,
    group: str,
    name: str,
    parameters: Mapping[str, Any],
    *,
    attempts: int = 2,
    deadline_s: float = 3_000,
    patience_s: float = 900,
) -> str:
    """Create a machine, and give its ``vmId`` once it is ready.

    An attempt is given *deadline_s* to end, and *patience_s* to recover after it failed.
    """
    for _ in range(attempts):
        poller = client.virtual_machines.begin_create_or_update(group, name, parameters)
        try:
            poller.wait(deadline_s)  # raises what the operation failed of, but no timeout
            if poller.done():
                return str(poller.result().vm_id)
        except HttpResponseError as error:
            if error.error is None or error.error.code != "OSProvisioningTimedOut":
                raise
            terminal = "non-recoverable" in (error.error.message or "")
            if not terminal and _recovers(client, group, name, patience_s):
                return str(client.virtual_machines.get(group, name).vm_id)
        client.virtual_machines.begin_delete(group, name).result()
    raise NoSystemError(f"{name}: not in {attempts} attempts")


def _recovers(client: ComputeManagementClient, group: str, name: str, patience_s: float) -> bool:
    waited_s = 0.0
    while client.virtual_machines.get(group, name).provisioning_state != "Succeeded":
        if waited_s >= patience_s:
            return False
        sleep(LOOK_EVERY_S)
        waited_s += LOOK_EVERY_S
    return True
