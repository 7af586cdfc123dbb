"""The protocol of long-running operations: what begins one is answered, and how it is polled.

The document behind ``Azure-AsyncOperation`` tells of an operation; the ``Location`` URL only of its
end. How often a client is to look, it is told operation by operation.
"""

from __future__ import annotations

import datetime as _dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID, uuid5

from pytest_azurevm import _resources as resources
from pytest_azurevm._errors import ArmError
from pytest_azurevm._http import Answer, Exchange
from pytest_azurevm._lifecycle import Operation
from pytest_azurevm._query import flag
from pytest_azurevm._records import OperationRecord, VirtualMachine
from pytest_azurevm._vm_form import Json

_PARTITIONS: Final = UUID("b26caeba-1a35-4884-92ce-d47b44b28157")  # any constant


@dataclass(frozen=True, slots=True)
class Lro:
    """How a long-running operation is answered and polled."""

    status: int
    location: bool  # a Location header, besides Azure-AsyncOperation
    retry_after: int | None
    polls: tuple[int | None, int | None]  # Retry-After of the first look, and of later ones


# [rec: status and headers, n in the hundreds; Retry-After libraries-for-net and service-operator].
# A create's first look gives an estimate, most often 35 or 70. A PUT or PATCH has no Location.
_LRO: Final[dict[Operation, Lro]] = {
    "create": Lro(201, False, 10, (35, 30)),
    "update": Lro(200, False, None, (None, None)),
    "delete": Lro(202, True, 10, (30, 30)),
    "start": Lro(202, True, 10, (9, None)),
    "power_off": Lro(202, True, None, (None, None)),
    "restart": Lro(202, True, None, (None, None)),
    "deallocate": Lro(202, True, 10, (36, None)),
    # A redeploy's Retry-After is known from recordings alone that had it taken out: none, assumed.
    "redeploy": Lro(202, True, None, (None, None)),
    "reapply": Lro(202, True, None, (None, None)),
    "reimage": Lro(202, True, None, (None, None)),
    "extension_create": Lro(201, False, None, (None, None)),
    "extension_update": Lro(200, False, None, (None, None)),
    "extension_delete": Lro(202, True, None, (None, None)),
}


def accepted(exchange: Exchange, record: OperationRecord, body: Json | None = None) -> Answer:
    """Answer a request that began a long-running operation."""
    lro = _LRO[record.operation]
    headers = {
        "Azure-AsyncOperation": _operation_url(exchange, record),
        "Azure-AsyncNotification": "Enabled",
    }
    if lro.location:
        headers["Location"] = _operation_url(exchange, record, monitor=True)
    if lro.retry_after is not None:
        headers["Retry-After"] = str(lro.retry_after)
    headers |= exchange.counted
    return Answer(lro.status, body, headers, request_id=record.operation_id)


def polled(
    exchange: Exchange, record: OperationRecord, calendar: Callable[[int], _dt.datetime]
) -> Answer:
    """Answer a look at an operation."""
    headers = dict(exchange.counted)
    if flag(exchange, "monitor"):
        return _monitored(exchange, record, headers)
    if record.ended_us is None:
        first, later = _LRO[record.operation].polls
        retry_after = later if record.polled else first
        record.polled = True
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
    return Answer(200, resources.operation_text(record, calendar), headers)


def _monitored(exchange: Exchange, record: OperationRecord, headers: dict[str, str]) -> Answer:
    """Answer the ``Location`` URL: 202 with itself, at the end 200, both empty [rec]."""
    if record.ended_us is None:
        headers["Location"] = _operation_url(exchange, record, monitor=True)
        return Answer(202, None, headers)
    if record.error is not None:  # a failed one's answer was never recorded [assumed]
        raise ArmError(409, *record.error)
    return Answer(200, None, headers)


def _operation_url(exchange: Exchange, record: OperationRecord, *, monitor: bool = False) -> str:
    vm = record.vm
    partition = partition_of(region_of(vm))
    return (
        f"{exchange.base}/subscriptions/{vm.subscription_id}/providers/Microsoft.Compute"
        f"/locations/{vm.location}/operations/{record.operation_id}?p={partition}"
        f"{'&monitor=true' if monitor else ''}&api-version={exchange.api_version}"
    )


def region_of(vm: VirtualMachine) -> str:
    """Give the subscription and region of a machine, both as they are compared."""
    return f"{vm.subscription_id}/{vm.location}"


@cache
def partition_of(region: str) -> str:
    """Give the ``p`` of operations' URLs: one for each subscription and region."""
    return str(uuid5(_PARTITIONS, region))
