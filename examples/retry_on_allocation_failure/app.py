"""Get a virtual machine of any of several sizes or zones, whichever Azure has room for.

A machine whose allocation failed is still there, ``Failed``, with its disk; it is deleted, disk and
all, before the next offer is tried. Its network interface stays reserved for it for 180 seconds
after that. A quota that is used up is used up for the next offer too: that is not tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from time import sleep
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient

NO_ROOM = {
    "AllocationFailed",
    "ZonalAllocationFailed",
    "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest",
    "SkuNotAvailable",
}
RESERVED_S = 180
LOOK_EVERY_S = 20


@dataclass(frozen=True)
class Offer:
    """What we would take."""

    size: str
    zone: str | None = None


class NoRoomError(Exception):
    """Azure has room for none of the offers."""


def code_of(error: HttpResponseError) -> str | None:
    """Give Azure's code. A failed operation has HTTP 200, and a 409 seldom means "exists"."""
    return error.error.code if error.error else None


def launch(
    client: ComputeManagementClient,
    group: str,
    name: str,
    template: Mapping[str, Any],
    offers: Sequence[Offer],
) -> str:
    """Create a machine by the first offer that Azure has room for, and give its name."""
    refused = []
    for number, offer in enumerate(offers, 1):
        candidate = f"{name}-{number}"
        try:
            _create(client, group, candidate, _asked(template, offer))
        except HttpResponseError as error:
            # Whatever went wrong, what is there of the machine goes. Nobody minds if nothing is.
            client.virtual_machines.begin_delete(group, candidate).result()
            if code_of(error) not in NO_ROOM:
                raise
            refused.append(f"{offer}: {code_of(error)}")
        else:
            return candidate
    raise NoRoomError("; ".join(refused))


def _create(
    client: ComputeManagementClient, group: str, name: str, asked: Mapping[str, Any]
) -> None:
    for waited_s in range(0, RESERVED_S + 1, LOOK_EVERY_S):
        try:
            client.virtual_machines.begin_create_or_update(group, name, asked).result()
        except HttpResponseError as error:
            if code_of(error) != "NicReservedForAnotherVm" or waited_s == RESERVED_S:
                raise
        else:
            return
        sleep(LOOK_EVERY_S)


def _asked(template: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    asked = deepcopy(dict(template))
    asked["properties"]["hardwareProfile"] = {"vmSize": offer.size}
    disk = {"createOption": "FromImage", "deleteOption": "Delete"}
    asked["properties"]["storageProfile"]["osDisk"] = disk
    return {**asked, "zones": [offer.zone]} if offer.zone else asked
