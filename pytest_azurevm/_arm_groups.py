"""Routes of what stands above resources: tenants, subscriptions, providers, resource groups."""

from __future__ import annotations

import base64
import datetime as _dt
import json
from typing import Any, Final

from pytest_azurevm import _arm_tenant as tenant
from pytest_azurevm._api_versions import checked_form
from pytest_azurevm._door import Door
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._http import Answer, Exchange, read_json
from pytest_azurevm._neighbours import Neighbours
from pytest_azurevm._query import (
    action_on,
    expanded,
    not_served,
    object_in,
    only,
    paged,
    skip_token,
    spelled_subscription,
)
from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._resource_bodies import body_of, outline_of, outline_of_machine
from pytest_azurevm._resource_filter import filter_of
from pytest_azurevm._resource_ids import checked_group
from pytest_azurevm._resources import provisioning_state_of
from pytest_azurevm._store import Resource, ResourceOperation
from pytest_azurevm._vm_form import Json, spelled_region

_GROUP_ACTION: Final = "Microsoft.Resources/subscriptions/resourceGroups"
_EXPANSIONS: Final = ("createdtime", "changedtime", "provisioningstate")
_EPOCH_TICKS: Final = 621_355_968_000_000_000  # of .NET, at the beginning of 1970


class GroupRoutes:
    """Answers for groups, and for what they are in."""

    def __init__(self, neighbours: Neighbours, door: Door) -> None:
        self._neighbours = neighbours
        self._door = door
        self._clock = neighbours.clock
        # Deletes of groups, by their subscription and the last part of their URL.
        self._jobs: dict[tuple[str, str], ResourceOperation] = {}

    def route(self, exchange: Exchange, method: str) -> Answer | None:
        """Answer a request; ``None``: it is about a resource.

        Raises:
            ArmError: it is refused, or not served.
        """
        lowered = exchange.lowered
        exchange.api_version = checked_form(exchange.query.get("api-version", ""))
        if lowered[:1] != ("subscriptions",) or len(lowered) == 1:
            return self._route_tenant(exchange, method)
        subscription = spelled_subscription(exchange.segments[1])
        rest = lowered[2:]
        if rest in ((), ("locations",)):
            return self._about_subscription(
                exchange, method, subscription, list_locations=bool(rest)
            )
        if rest == ("resourcegroups",):
            return self._groups(exchange, method, subscription)
        if rest[0] == "resourcegroups" and len(rest) == 2:
            checked_group(exchange.segments[3])
            return self._group(exchange, method, subscription, exchange.segments[3])
        if rest == ("resources",):
            return self._everything(exchange, method, subscription, "")
        if rest[0] == "resourcegroups" and rest[2:] == ("resources",):
            return self._everything(exchange, method, subscription, exchange.segments[3])
        if rest[0] == "operationresults" and len(rest) == 2:
            return self._poll_group(exchange, method, subscription, exchange.segments[3])
        if rest[0] == "providers" and len(rest) <= 3:
            return self._about_provider(exchange, method, subscription)
        return None

    def _admit(
        self, exchange: Exchange, action: str, subscription: str, group: str = "", **known: Any
    ) -> None:
        self._door.admit_other(exchange, action, subscription, group, **known)

    # --- tenants, subscriptions, providers -----------------------------------------------------

    def _route_tenant(self, exchange: Exchange, method: str) -> Answer | None:
        lowered = exchange.lowered
        if len(lowered) == 1 and lowered[0] in ("subscriptions", "tenants"):
            only(method, "GET")
            self._admit(exchange, f"Microsoft.Resources/{lowered[0]}/read", "")
            if lowered[0] == "tenants":
                body = tenant.tenant_body(self._neighbours.compute.tenant_id)
                return Answer(200, {"value": [body]})
            bodies = [self._subscription_body(one) for one in self._subscriptions()]
            count = {"type": "Total", "value": len(bodies)}
            return Answer(200, {"value": bodies, "count": count})
        if lowered[:1] == ("providers",) and len(lowered) <= 2:
            return self._about_provider(exchange, method, "")
        if lowered[:1] == ("providers",):
            return None
        raise not_served(exchange, action_on(exchange, "tenant level"))

    def _subscriptions(self) -> list[str]:
        """Give every subscription that something is in, the default one first."""
        found = [self._neighbours.home]
        found += [vm.subscription_id for vm in self._neighbours.compute.vms.listed()]
        found += [group.address.subscription for group in self._neighbours.every_group()]
        return list(dict.fromkeys(found))

    def _subscription_body(self, subscription: str) -> Json:
        return tenant.subscription_body(
            subscription,
            self._neighbours.compute.tenant_id,
            self._neighbours.subscription_tags(subscription),
        )

    def _about_subscription(
        self, exchange: Exchange, method: str, subscription: str, *, list_locations: bool
    ) -> Answer:
        only(method, "GET")
        kind = "subscriptions/locations" if list_locations else "subscriptions"
        self._admit(exchange, f"Microsoft.Resources/{kind}/read", subscription)
        if list_locations:
            return Answer(200, {"value": tenant.locations(subscription)})
        return Answer(200, self._subscription_body(subscription))

    def _about_provider(self, exchange: Exchange, method: str, subscription: str) -> Answer | None:
        path = exchange.segments[exchange.lowered.index("providers") + 1 :]
        registers = len(path) == 2 and path[1].lower() in ("register", "unregister")
        if len(path) == 2 and not registers:
            return None
        only(method, "POST" if registers else "GET")
        if registers:
            self._admit(exchange, f"{path[0]}/{path[1].lower()}/action", subscription)
            return Answer(200, tenant.provider_body(subscription, path[0], path[1].lower()))
        self._admit(exchange, "Microsoft.Resources/subscriptions/providers/read", subscription)
        if path:
            return Answer(200, tenant.provider_body(subscription, path[0]))
        bodies = [tenant.provider_body(subscription, name) for name in tenant.namespaces()]
        return Answer(200, {"value": bodies})

    # --- groups --------------------------------------------------------------------------------

    def _groups(self, exchange: Exchange, method: str, subscription: str) -> Answer:
        only(method, "GET")
        self._admit(exchange, f"{_GROUP_ACTION}/read", subscription)
        wanted = filter_of(exchange)
        found = (
            group
            for group in self._neighbours.groups(subscription, after=skip_token(exchange))
            if wanted is None or wanted.fits(self._shown(group))
        )
        return paged(exchange, found, self._shown)

    def _group(self, exchange: Exchange, method: str, subscription: str, name: str) -> Answer:
        value, _ = read_json(exchange.request.body) if method in ("PUT", "PATCH") else (None, "")
        verb = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}.get(method, "read")
        if method not in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            raise arm_error("no-method", method=method)
        self._admit(exchange, f"{_GROUP_ACTION}/{verb}", subscription, name, body=value)
        if method == "PUT":
            written = self._neighbours.put_group(subscription, name, object_in(value))
            return Answer(201 if written.is_new else 200, self._shown(written.resource))
        if method == "HEAD":
            there = any(
                group.address.group.lower() == name.lower()
                for group in self._neighbours.groups(subscription)
            )
            return Answer(204 if there else 404)
        group = self._neighbours.group(subscription, name)
        if method == "PATCH":
            return Answer(200, self._shown(self._neighbours.patch_group(group, object_in(value))))
        if method == "DELETE":
            operation = self._neighbours.delete_group(group)
            self._jobs[subscription, _job_token(operation)] = operation
            return Answer(202, None, self._job_headers(exchange, operation))
        return Answer(200, self._shown(group))

    def _job_headers(self, exchange: Exchange, operation: ResourceOperation) -> dict[str, str]:
        """Give the headers of a group's delete: each look is told another URL [rec]."""
        subscription = operation.resource.address.subscription
        now = self._clock.calendar(self._clock.now_us)
        ticks = _EPOCH_TICKS + round(now.timestamp() * 1_000_000) * 10
        return {
            "Location": f"{exchange.base}/subscriptions/{subscription}/operationresults/"
            f"{_job_token(operation)}?api-version={exchange.api_version}&t={ticks}",
            "Retry-After": "15",
        }

    def _poll_group(self, exchange: Exchange, method: str, subscription: str, token: str) -> Answer:
        only(method, "GET")
        operation = self._jobs.get((subscription, token))
        if operation is None:
            raise arm_error("no-such-operation")
        self._door.admit_poll(exchange, operation.resource.address)
        if operation.error is not None:
            raise ArmError(409, *operation.error)
        if operation.ended_us is None:
            return Answer(202, None, self._job_headers(exchange, operation))
        return Answer(200)

    def _everything(self, exchange: Exchange, method: str, subscription: str, group: str) -> Answer:
        only(method, "GET")
        action = (
            f"{_GROUP_ACTION}/resources/read" if group else "Microsoft.Resources/resources/read"
        )
        self._admit(exchange, action, subscription, group)
        if group:
            self._neighbours.group(subscription, group)
        wanted, more = filter_of(exchange), expanded(exchange, _EXPANSIONS)
        found = (
            one
            for one in self._neighbours.everything(subscription, group, after=skip_token(exchange))
            if wanted is None or wanted.fits(self._outline(one))
        )
        return paged(exchange, found, lambda one: self._outline(one) | self._more(one, more))

    def _outline(self, one: Resource | VirtualMachine) -> Json:
        if isinstance(one, VirtualMachine):
            return outline_of_machine(one)
        return outline_of(one, self._neighbours)

    def _more(self, one: Resource | VirtualMachine, wanted: frozenset[str]) -> Json:
        """Give what a list of resources shows besides, if it is asked for [spec]."""
        if not wanted:
            return {}
        if isinstance(one, VirtualMachine):
            edition = self._neighbours.compute.edition
            changed_us = one.history[-1].at_us if one.history else one.created_us
            state = provisioning_state_of(one, edition)
        else:
            changed_us, state = one.changed_us, one.provisioning
        shown = {
            "createdTime": _zulu(self._clock.calendar(one.created_us)),
            "changedTime": _zulu(self._clock.calendar(changed_us)),
            "provisioningState": state,
        }
        return {member: item for member, item in shown.items() if member.lower() in wanted}

    def _shown(self, resource: Resource) -> Json:
        return body_of(resource, self._neighbours)


def _zulu(instant: _dt.datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}0Z"


def _job_token(operation: ResourceOperation) -> str:
    """Give what stands for a group's delete in its URL: a job's name and place [rec]."""
    group = operation.resource
    name = group.name.upper().replace("-", ":2D")
    job = {
        "jobId": f"RESOURCEGROUPDELETIONJOB-{name}-{group.region.upper()}",
        "jobLocation": spelled_region(group.region),
    }
    text = json.dumps(job, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
