"""Long-running operations on stored resources: how they are followed, provider by provider."""

from __future__ import annotations

import datetime as _dt
from collections.abc import Callable
from typing import TypeAlias

from pytest_azurevm import _resource_types as types
from pytest_azurevm._errors import ArmError
from pytest_azurevm._http import Answer, Exchange
from pytest_azurevm._lro import partition_of
from pytest_azurevm._query import flag
from pytest_azurevm._resource_types import Change
from pytest_azurevm._resources import time_text
from pytest_azurevm._store import Resource, ResourceOperation
from pytest_azurevm._vm_form import Json

Calendar: TypeAlias = Callable[[int], _dt.datetime]


def headers_of(exchange: Exchange, operation: ResourceOperation) -> dict[str, str]:
    """Give the headers by which an operation is followed."""
    change: Change = operation.change
    provider = types.provider_of(operation.resource.type)
    headers = {}
    if change.headers in ("async", "both"):
        headers["Azure-AsyncOperation"] = _operation_url(exchange, operation)
        if provider.notifies:
            headers["Azure-AsyncNotification"] = "Enabled"
    if change.headers in ("location", "both"):
        headers["Location"] = _operation_url(exchange, operation, result=True)
    if change.retry_after is not None:
        headers["Retry-After"] = str(change.retry_after)
    return headers


def _operation_url(
    exchange: Exchange, operation: ResourceOperation, *, result: bool = False
) -> str:
    resource = operation.resource
    provider = types.provider_of(resource.type)
    address, region = resource.address, resource.region or "global"
    subscription = address.subscription
    scope = f"/subscriptions/{subscription}" if subscription else ""
    part = provider.results if result and provider.results else provider.operations
    query = []
    if provider.partition:
        query.append(f"p={partition_of(f'{subscription}/{region}')}")
    if result and not provider.results:
        query.append("monitor=true")
    query.append(f"api-version={exchange.api_version}")
    return (
        f"{exchange.base}{scope}/providers/{address.namespace}/locations/{region}/{part}"
        f"/{operation.operation_id}?{'&'.join(query)}"
    )


def looked_at(
    exchange: Exchange,
    operation: ResourceOperation,
    shown: Callable[[Resource], Json],
    calendar: Calendar,
) -> Answer:
    """Answer a look at an operation, at either of its URLs."""
    provider = types.provider_of(operation.resource.type)
    if exchange.lowered[-2] == provider.results.lower() or flag(exchange, "monitor"):
        return _result(exchange, operation, shown)
    headers = {}
    if operation.ended_us is None:
        retry_after = provider.polls[operation.polled]
        operation.polled = True
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
    return Answer(200, _document(operation, shown, calendar), headers)


def _result(
    exchange: Exchange, operation: ResourceOperation, shown: Callable[[Resource], Json]
) -> Answer:
    """Answer the ``Location`` URL."""
    if operation.ended_us is None:
        headers = {"Location": _operation_url(exchange, operation, result=True)}
        if operation.change.retry_after is not None:
            headers["Retry-After"] = str(operation.change.retry_after)
        return Answer(202, None, headers)
    if operation.error is not None:
        raise ArmError(409, *operation.error)
    if operation.verb == "write":
        return Answer(200, shown(operation.resource))
    network = not types.provider_of(operation.resource.type).timed
    return Answer(204 if network else 200)


def _document(
    operation: ResourceOperation, shown: Callable[[Resource], Json], calendar: Calendar
) -> Json:
    """Give the document behind ``Azure-AsyncOperation`` [rec]."""
    provider = types.provider_of(operation.resource.type)
    if not provider.timed:
        return {"status": operation.status}
    document: Json = {"startTime": time_text(calendar(operation.started_us))}
    if operation.ended_us is not None:
        document["endTime"] = time_text(calendar(operation.ended_us))
    document["status"] = operation.status
    if operation.error is not None:
        document["error"] = dict(zip(("code", "message"), operation.error, strict=True))
    elif (
        operation.verb == "write"
        and operation.ended_us is not None
        and provider.operations == "DiskOperations"
    ):
        document["properties"] = {"output": shown(operation.resource)}
    document["name"] = operation.operation_id
    return document
