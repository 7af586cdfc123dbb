"""Routes of stored resources of any type: one by one, their lists, and operations on them.

Beside ``_arm``, and like it: a request is judged, the engine is asked, the answer is dressed.
"""

from __future__ import annotations

from typing import Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm._arm_groups import GroupRoutes
from pytest_azurevm._arm_tags import answer_about_tags
from pytest_azurevm._door import Door
from pytest_azurevm._errors import arm_error
from pytest_azurevm._http import Answer, Exchange, read_json
from pytest_azurevm._neighbours import Neighbours
from pytest_azurevm._query import (
    action_on,
    judge_conditions,
    not_served,
    object_in,
    only,
    paged,
    skip_token,
    spelled_subscription,
    type_named,
)
from pytest_azurevm._resource_bodies import body_of
from pytest_azurevm._resource_filter import Filter, filter_of
from pytest_azurevm._resource_groups import Written
from pytest_azurevm._resource_ids import Address, address_of, checked_group
from pytest_azurevm._resource_lro import headers_of, looked_at
from pytest_azurevm._store import Resource
from pytest_azurevm._vm_form import Json

_OPERATIONS: Final = ("operations", "operationresults", "diskoperations", "asyncoperations")


class ResourceRoutes:
    """Answers what ``Arm`` has no route of its own for."""

    def __init__(self, neighbours: Neighbours, door: Door) -> None:
        self._neighbours = neighbours
        self._door = door
        self._groups = GroupRoutes(neighbours, door)

    def route(self, exchange: Exchange, method: str) -> Answer:
        """Answer a request.

        Raises:
            ArmError: it is refused, or not served.
        """
        answer = self._groups.route(exchange, method)
        if answer is not None:
            return answer
        if _is_operation(exchange.lowered):
            only(method, "GET")
            return self.poll(exchange, exchange.segments[7])
        return self._route_resource(exchange, method)

    def poll(self, exchange: Exchange, operation_id: str) -> Answer:
        """Answer a look at an operation.

        Raises:
            ArmError: there is none of that id.
        """
        exchange.api_version = exchange.query.get("api-version", "")
        operation = self._neighbours.find_operation(operation_id)
        if operation is None:
            raise arm_error("no-such-operation")
        self._door.admit_poll(exchange, operation.resource.address)
        return looked_at(exchange, operation, self._shown, self._neighbours.clock.calendar)

    def _shown(self, resource: Resource) -> Json:
        return body_of(resource, self._neighbours)

    def _route_resource(self, exchange: Exchange, method: str) -> Answer:
        address = address_of(exchange.segments)
        if address is None:
            raise not_served(exchange, action_on(exchange, type_named(exchange.segments)))
        if address.subscription:
            address = address.of_subscription(spelled_subscription(address.subscription))
        if address.group:
            checked_group(address.group)
        kind = types.spelled_type(address.type)
        action = action_on(exchange, kind)
        if kind.lower() == "microsoft.resources/tags":
            return answer_about_tags(exchange, method, address, self._neighbours, self._door)
        _judge_served(exchange, method, address, action)
        writes = method in ("PUT", "PATCH")
        value, _ = read_json(exchange.request.body) if writes else (None, "")
        self._door.admit_other(exchange, action, address.subscription, address.group, body=value)
        if address.group:
            self._neighbours.judge_group(
                address.subscription, address.group, writes=method in ("PUT", "PATCH")
            )
        if address.is_collection:
            return self._list(exchange, method, address)
        found = self._neighbours.find(address.id)
        if method in ("PUT", "PATCH"):
            judge_conditions(exchange, None if found is None else found.etag or None)
        if method == "PUT":
            return self._written(exchange, self._neighbours.put(address, object_in(value)))
        if method == "HEAD":
            return Answer(404 if found is None else 204)
        if method == "DELETE" and found is None:
            self._neighbours.judge_whole(address)
            return Answer(204)
        if found is None:
            raise self._neighbours.absent(address)
        if method == "PATCH":
            return self._written(exchange, self._neighbours.patch(found, object_in(value)))
        if method == "DELETE":
            judge_conditions(exchange, found.etag or None)
            return self._deleted(exchange, found)
        only(method, "GET")
        headers = {"ETag": found.etag} if found.etag else {}
        return Answer(200, self._shown(found), headers)

    def _list(self, exchange: Exchange, method: str, address: Address) -> Answer:
        only(method, "GET")
        if address.is_child:
            self._neighbours.judge_whole(address)
        wanted: Filter | None = None
        if "$filter" in exchange.query and address.namespace.lower() != "microsoft.authorization":
            wanted = filter_of(exchange)
        scope = address.id
        found = (
            one
            for one in self._neighbours.listed(address.type, scope, after=skip_token(exchange))
            if wanted is None or wanted.fits(self._shown(one))
        )
        return paged(exchange, found, self._shown)

    def _written(self, exchange: Exchange, written: Written) -> Answer:
        row, operation = written.resource.row, written.operation
        change = row.create if written.is_new else row.update
        if exchange.request.method.upper() == "PATCH":
            change = row.patch
        headers = {} if operation is None else headers_of(exchange, operation)
        if change.headers == "location":  # nothing is shown until it is there [rec]
            return Answer(change.status, None, headers)
        body = body_of(written.resource, self._neighbours, written=True)
        request_id = None if operation is None else operation.operation_id
        return Answer(change.status, body, headers, request_id=request_id)

    def _deleted(self, exchange: Exchange, resource: Resource) -> Answer:
        operation = self._neighbours.delete(resource)
        if operation is None:
            return Answer(200)
        headers = headers_of(exchange, operation)
        return Answer(202, None, headers, request_id=operation.operation_id)


def _is_operation(lowered: tuple[str, ...]) -> bool:
    """Whether a path is that of a long-running operation in a region."""
    return (
        len(lowered) == 8
        and (lowered[2], lowered[4]) == ("providers", "locations")
        and lowered[6] in _OPERATIONS
    )


def _judge_served(exchange: Exchange, method: str, address: Address, action: str) -> None:
    """Refuse what it would be a lie to merely store.

    Raises:
        ArmError: it is that.
    """
    lowered = address.type.lower()
    reason = types.refusal_of(lowered)
    if reason is None and method == "POST":
        reason = "actions on resources other than virtual machines are not carried out"
    if reason is None and address.is_collection:
        last = address.types[-1].lower()
        if last in types.CATALOGUES or "locations" in (kind.lower() for kind in address.types):
            reason = "catalogues, quotas and figures of Azure's own are not kept here"
    if reason is not None:
        raise arm_error(
            "not-stored",
            operation=action,
            method=method,
            path="/" + "/".join(exchange.segments),
            reason=reason,
        )
