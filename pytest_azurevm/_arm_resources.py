"""Routes of everything that is no virtual machine: groups, resources of any type, and their lists.

Beside ``_arm``, and like it: a request is judged, the engine is asked, the answer is dressed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from pytest_azurevm import _arm_tenant as tenant
from pytest_azurevm import _resource_types as types
from pytest_azurevm._api_versions import checked_form
from pytest_azurevm._door import Door
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._http import Answer, Exchange, read_json
from pytest_azurevm._lro import partition_of
from pytest_azurevm._neighbours import Neighbours, Written
from pytest_azurevm._query import (
    action_on,
    flag,
    judge_conditions,
    next_link,
    not_served,
    only,
    page_size,
    skip_token,
    spelled_subscription,
    type_named,
)
from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._resource_bodies import body_of, outline_of, outline_of_machine
from pytest_azurevm._resource_filter import Filter, filter_of
from pytest_azurevm._resource_ids import Address, address_of, checked_group
from pytest_azurevm._resource_types import Change
from pytest_azurevm._resources import time_text
from pytest_azurevm._store import Resource, ResourceOperation
from pytest_azurevm._vm_form import Json, spelled_region

PAGE_SIZE: Final = 1000  # [doc, of lists of resources; assumed of the others]

_GROUP_ACTION: Final = "Microsoft.Resources/subscriptions/resourceGroups"
_WRITES: Final = ("PUT", "PATCH", "POST", "DELETE")
# What a resource that is not there is answered with, where its provider answers itself [rec].
_ABSENT: Final = {
    "microsoft.compute/disks": "no-such-disk",
    "microsoft.compute/snapshots": "no-such-snapshot",
    "microsoft.compute/diskaccesses": "no-such-disk-access",
    "microsoft.compute/diskencryptionsets": "no-such-encryption-set",
}
_EPOCH_TICKS: Final = 621_355_968_000_000_000  # of .NET, at the beginning of 1970


class ResourceRoutes:
    """Answers what ``Arm`` has no route of its own for."""

    def __init__(self, neighbours: Neighbours, door: Door) -> None:
        self._all = neighbours
        self._door = door
        self._clock = neighbours.clock
        self._jobs: dict[str, ResourceOperation] = {}  # deletes of groups, by their URL's part

    def route(self, exchange: Exchange, method: str) -> Answer:
        """Answer a request.

        Raises:
            ArmError: it is refused, or not served.
        """
        lowered = exchange.lowered
        if lowered[:1] != ("subscriptions",) or len(lowered) == 1:
            return self._route_tenant(exchange, method)
        exchange.api_version = checked_form(exchange.query.get("api-version", ""))
        subscription = spelled_subscription(exchange.segments[1])
        rest = lowered[2:]
        if rest in ((), ("locations",)):
            return self._about_subscription(
                exchange, method, subscription, list_locations=bool(rest)
            )
        if rest[0] == "resourcegroups" and len(rest) <= 2:
            if len(rest) == 1:
                return self._groups(exchange, method, subscription)
            checked_group(exchange.segments[3])
            return self._group(exchange, method, subscription, exchange.segments[3])
        if rest == ("resources",):
            return self._everything(exchange, method, subscription, "")
        if rest[0] == "resourcegroups" and rest[2:] == ("resources",):
            return self._everything(exchange, method, subscription, exchange.segments[3])
        if rest[0] == "operationresults" and len(rest) == 2:
            return self._poll_group(exchange, method, exchange.segments[3])
        if rest[0] == "providers" and len(rest) <= 3:
            return self._about_provider(exchange, method, subscription)
        if rest[0] == "providers" and len(rest) == 6 and rest[2] == "locations":
            return self.poll(exchange, exchange.segments[7])
        return self._route_resource(exchange, method, subscription)

    def _admit(
        self, exchange: Exchange, action: str, subscription: str, group: str = "", **known: Any
    ) -> None:
        self._door.admit_other(exchange, action, subscription, group, **known)

    # --- tenants, subscriptions, providers -----------------------------------------------------

    def _route_tenant(self, exchange: Exchange, method: str) -> Answer:
        exchange.api_version = checked_form(exchange.query.get("api-version", ""))
        lowered = exchange.lowered
        if len(lowered) == 1 and lowered[0] in ("subscriptions", "tenants"):
            only(method, "GET")
            self._admit(exchange, f"Microsoft.Resources/{lowered[0]}/read", "")
            if lowered[0] == "tenants":
                body = tenant.tenant_body(self._all.compute.tenant_id)
                return Answer(200, {"value": [body]})
            bodies = [self._subscription_body(one) for one in self._subscriptions()]
            count = {"type": "Total", "value": len(bodies)}
            return Answer(200, {"value": bodies, "count": count})
        if lowered[:1] == ("providers",) and len(lowered) <= 2:
            return self._about_provider(exchange, method, "")
        if lowered[:1] == ("providers",):
            return self._route_resource(exchange, method, "")
        raise not_served(exchange, action_on(exchange, "tenant level"))

    def _subscriptions(self) -> list[str]:
        """Give every subscription that something is in, the default one first."""
        found = [self._all.home]
        found += [vm.subscription_id for vm in self._all.compute.vms.listed()]
        found += [group.address.subscription for group in self._all.every_group()]
        return list(dict.fromkeys(found))

    def _subscription_body(self, subscription: str) -> Json:
        return tenant.subscription_body(
            subscription, self._all.compute.tenant_id, self._all.subscription_tags(subscription)
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

    def _about_provider(self, exchange: Exchange, method: str, subscription: str) -> Answer:
        path = exchange.segments[exchange.lowered.index("providers") + 1 :]
        registers = len(path) == 2 and path[1].lower() in ("register", "unregister")
        if len(path) == 2 and not registers:
            return self._route_resource(exchange, method, subscription)
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
            for group in self._all.groups(subscription, after=skip_token(exchange))
            if wanted is None or wanted.fits(self._shown(group))
        )
        return self._page(exchange, found, self._shown)

    def _group(self, exchange: Exchange, method: str, subscription: str, name: str) -> Answer:
        value, _ = read_json(exchange.request.body) if method in ("PUT", "PATCH") else (None, "")
        verb = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}.get(method, "read")
        if method not in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            raise arm_error("no-method", method=method)
        self._admit(exchange, f"{_GROUP_ACTION}/{verb}", subscription, name, body=value)
        if method == "PUT":
            written = self._all.put_group(subscription, name, _object(value))
            return Answer(201 if written.is_new else 200, self._shown(written.resource))
        if method == "HEAD":
            there = any(
                group.address.group.lower() == name.lower()
                for group in self._all.groups(subscription)
            )
            return Answer(204 if there else 404)
        group = self._all.group(subscription, name)
        if method == "PATCH":
            return Answer(200, self._shown(self._all.patch_group(group, _object(value))))
        if method == "DELETE":
            operation = self._all.delete_group(group)
            self._jobs[_job_token(operation)] = operation
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

    def _poll_group(self, exchange: Exchange, method: str, token: str) -> Answer:
        only(method, "GET")
        operation = self._jobs.get(token)
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
            self._all.group(subscription, group)
        wanted = filter_of(exchange)
        after = skip_token(exchange)
        found = (
            one
            for one in self._all.everything(subscription, group, after=after)
            if wanted is None or wanted.fits(self._outline(one))
        )
        return self._page(exchange, found, self._outline)

    def _outline(self, one: Resource | VirtualMachine) -> Json:
        if isinstance(one, VirtualMachine):
            return outline_of_machine(one)
        return outline_of(one, self._all)

    def _shown(self, resource: Resource) -> Json:
        return body_of(resource, self._all)

    def _page(
        self, exchange: Exchange, found: Iterator[Any], shown: Callable[[Any], Json]
    ) -> Answer:
        size = page_size(exchange, PAGE_SIZE)
        page = list(islice(found, size + 1))
        body: Json = {"value": [shown(one) for one in page[:size]]}
        if len(page) > size:
            body["nextLink"] = next_link(exchange, page[size - 1].sequence)
        return Answer(200, body)

    # --- resources -----------------------------------------------------------------------------

    def _route_resource(self, exchange: Exchange, method: str, subscription: str) -> Answer:
        address = address_of(exchange.segments)
        if address is None:
            raise not_served(exchange, action_on(exchange, type_named(exchange.segments)))
        if subscription:
            address = address.of_subscription(subscription)
        if address.group:
            checked_group(address.group)
        kind = types.spelled_type(address.type)
        action = action_on(exchange, kind)
        if kind.lower() == "microsoft.resources/tags":
            return self._tags(exchange, method, address)
        _judge_served(exchange, method, address, action)
        writes = method in ("PUT", "PATCH")
        value, _ = read_json(exchange.request.body) if writes else (None, "")
        self._admit(exchange, action, subscription, address.group, body=value)
        if address.group:
            self._all.judge_group(subscription, address.group, writes=method in ("PUT", "PATCH"))
        if address.is_collection:
            return self._list(exchange, method, address)
        found = self._all.find(address.id)
        if method in ("PUT", "PATCH"):
            judge_conditions(exchange, None if found is None else found.etag or None)
        if method == "PUT":
            return self._written(exchange, self._all.put(address, _object(value)))
        if method == "HEAD":
            return Answer(404 if found is None else 204)
        if method == "DELETE" and found is None:
            self._judge_whole(address)
            return Answer(204)
        if found is None:
            raise self._absent(address)
        if method == "PATCH":
            return self._written(exchange, self._all.patch(found, _object(value)))
        if method == "DELETE":
            judge_conditions(exchange, found.etag or None)
            return self._deleted(exchange, found)
        only(method, "GET")
        headers = {"ETag": found.etag} if found.etag else {}
        return Answer(200, self._shown(found), headers)

    def _list(self, exchange: Exchange, method: str, address: Address) -> Answer:
        only(method, "GET")
        if address.is_child:
            self._judge_whole(address)
        wanted: Filter | None = None
        if "$filter" in exchange.query and address.namespace.lower() != "microsoft.authorization":
            wanted = filter_of(exchange)
        scope = address.id
        found = (
            one
            for one in self._all.listed(address.type, scope, after=skip_token(exchange))
            if wanted is None or wanted.fits(self._shown(one))
        )
        return self._page(exchange, found, self._shown)

    def _judge_whole(self, address: Address) -> None:
        """See that what a child belongs to is there [rec: the whole is named, not the child].

        Raises:
            ArmError: it is not.
        """
        if address.is_child:
            whole = address._replace(types=address.types[:1], names=address.names[:1])
            if self._all.find(whole.id) is None:
                raise self._absent(whole)

    def _absent(self, address: Address) -> ArmError:
        kind = address.type.lower()
        if kind in _ABSENT:
            return arm_error(_ABSENT[kind], name=address.name)
        if address.is_child:
            self._judge_whole(address)
            if address.namespace.lower() == "microsoft.network":
                return arm_error("no-such-child", id=address.id)
        pairs = [part for pair in zip(address.types, address.names, strict=True) for part in pair]
        if not address.group:
            return arm_error("no-such-resource", name=address.name)
        of = "/".join((address.namespace, *pairs[:-1]))
        return arm_error("no-such-vm", type=of, name=address.name, group=address.group)

    def _written(self, exchange: Exchange, written: Written) -> Answer:
        row, operation = written.resource.row, written.operation
        change = row.create if written.is_new else row.update
        if exchange.request.method.upper() == "PATCH":
            change = row.patch
        headers = {} if operation is None else self._headers(exchange, operation)
        if change.headers == "location":  # nothing is shown until it is there [rec]
            return Answer(change.status, None, headers)
        body = body_of(written.resource, self._all, written=True)
        request_id = None if operation is None else operation.operation_id
        return Answer(change.status, body, headers, request_id=request_id)

    def _deleted(self, exchange: Exchange, resource: Resource) -> Answer:
        operation = self._all.delete(resource)
        if operation is None:
            return Answer(200)
        headers = self._headers(exchange, operation)
        return Answer(202, None, headers, request_id=operation.operation_id)

    # --- operations ----------------------------------------------------------------------------

    def _headers(self, exchange: Exchange, operation: ResourceOperation) -> dict[str, str]:
        change: Change = operation.change
        provider = types.provider_of(operation.resource.type)
        headers = {}
        if change.headers in ("async", "both"):
            headers["Azure-AsyncOperation"] = self._operation_url(exchange, operation)
            if provider.notifies:
                headers["Azure-AsyncNotification"] = "Enabled"
        if change.headers in ("location", "both"):
            headers["Location"] = self._operation_url(exchange, operation, result=True)
        if change.retry_after is not None:
            headers["Retry-After"] = str(change.retry_after)
        return headers

    def _operation_url(
        self, exchange: Exchange, operation: ResourceOperation, *, result: bool = False
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

    def poll(self, exchange: Exchange, operation_id: str) -> Answer:
        """Answer a look at an operation.

        Raises:
            ArmError: there is none of that id.
        """
        only(exchange.request.method.upper(), "GET")
        exchange.api_version = exchange.api_version or exchange.query.get("api-version", "")
        operation = self._all.find_operation(operation_id)
        what = exchange.lowered[-2]
        if operation is None:
            kind = types.spelled_type(type_named(exchange.segments))
            if what in ("operations", "operationresults", "diskoperations", "asyncoperations"):
                raise arm_error("no-such-operation")
            raise not_served(exchange, action_on(exchange, kind))
        self._door.admit_poll(exchange, operation.resource.address)
        provider = types.provider_of(operation.resource.type)
        is_result = what == provider.results.lower() or flag(exchange, "monitor")
        if is_result:
            return self._result(exchange, operation)
        headers = {}
        if operation.ended_us is None:
            retry_after = provider.polls[operation.polled]
            operation.polled = True
            if retry_after is not None:
                headers["Retry-After"] = str(retry_after)
        return Answer(200, self._document(operation), headers)

    def _result(self, exchange: Exchange, operation: ResourceOperation) -> Answer:
        """Answer the ``Location`` URL."""
        if operation.ended_us is None:
            headers = {"Location": self._operation_url(exchange, operation, result=True)}
            if operation.change.retry_after is not None:
                headers["Retry-After"] = str(operation.change.retry_after)
            return Answer(202, None, headers)
        if operation.error is not None:
            raise ArmError(409, *operation.error)
        if operation.verb == "write":
            return Answer(200, self._shown(operation.resource))
        network = not types.provider_of(operation.resource.type).timed
        return Answer(204 if network else 200)

    def _document(self, operation: ResourceOperation) -> Json:
        """Give the document behind ``Azure-AsyncOperation`` [rec]."""
        provider = types.provider_of(operation.resource.type)
        if not provider.timed:
            return {"status": operation.status}
        calendar = self._clock.calendar
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
            document["properties"] = {"output": self._shown(operation.resource)}
        document["name"] = operation.operation_id
        return document

    # --- tags ----------------------------------------------------------------------------------

    def _tags(self, exchange: Exchange, method: str, address: Address) -> Answer:
        """Answer for ``Microsoft.Resources/tags/default`` of whatever it is asked of."""
        if address.is_collection or address.name.lower() != "default":
            raise arm_error("no-such-resource", name=address.types[-1])
        writes = method in ("PUT", "PATCH")
        value, _ = read_json(exchange.request.body) if writes else (None, "")
        action = action_on(exchange, "Microsoft.Resources/tags")
        self._admit(exchange, action, address.subscription, address.group, body=value)
        owner = self._owner_of_tags(address)
        tags = dict(owner.tags)
        if method == "PUT":
            tags = _tags_in(value)
        elif method == "PATCH":
            tags = _patched(tags, value)
        elif method == "DELETE":
            tags = {}
        else:
            only(method, "GET")
        if method in _WRITES:
            owner.write(tags)
        if method == "DELETE":
            return Answer(200)
        body = {
            "id": address.id,
            "name": "default",
            "type": "Microsoft.Resources/tags",
            "properties": {"tags": tags},
        }
        return Answer(200, body)

    def _owner_of_tags(self, address: Address) -> _Owner:
        everything, subscription = self._all, address.subscription
        if "/providers/" not in address.scope:
            if address.group:
                group = everything.group(subscription, address.group)
                return _Owner(
                    group.body.get("tags") or {},
                    lambda tags: everything.patch_group(group, {"tags": tags}),
                )
            return _Owner(
                everything.subscription_tags(subscription),
                lambda tags: everything.tag_subscription(subscription, tags),
            )
        of = address_of(tuple(part for part in address.scope.split("/") if part))
        assert of is not None  # its scope is a resource
        if of.type.lower() == "microsoft.compute/virtualmachines":
            vm = everything.compute.vms.find(subscription, of.group, of.name)
            if vm is None:
                raise self._absent(of)
            everything.judge_machine(vm.resource_id, "write")
            found = vm
            before = vm.model.get("tags") or {}
            return _Owner(  # a machine's PATCH merges tags, so that what is to go is named
                before,
                lambda tags: everything.compute.patch(
                    found, {"tags": {**dict.fromkeys(before), **tags}}
                ),
            )
        resource = everything.find(of.id)
        if resource is None:
            raise self._absent(of)
        tagged = resource
        return _Owner(
            resource.body.get("tags") or {}, lambda tags: everything.patch(tagged, {"tags": tags})
        )


class _Owner(NamedTuple):
    """What has tags, and how they are written."""

    tags: Json
    write: Callable[[Json], object]


def _tags_in(value: Any) -> Json:
    properties = _object(value).get("properties")
    tags = properties.get("tags") if isinstance(properties, dict) else None
    if tags is not None and not (
        isinstance(tags, dict) and all(isinstance(item, str) for item in tags.values())
    ):
        raise arm_error("bad-content", reason="Error converting value to type 'String'. Path "
                        "'properties.tags'.")  # fmt: skip
    return dict(tags or {})


def _patched(tags: Json, value: Any) -> Json:
    """Apply a patch of tags: merged into what is there, in its place, or taken out [doc]."""
    operation = str(_object(value).get("operation") or "").lower()
    given = _tags_in(value)
    if operation == "merge":
        return {**tags, **given}
    if operation == "replace":
        return given
    if operation == "delete":
        return {
            name: item
            for name, item in tags.items()
            if name not in given or (given[name] and given[name] != item)
        }
    raise arm_error(
        "bad-content",
        reason=f"Error converting value \"{operation}\" to type 'TagsPatchOperation'. Path "
        "'operation'.",
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


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise arm_error(
            "bad-content",
            reason="Error converting the request body to type 'ResourceDefinition'. Path '', "
            "line 1, position 1.",
        )
    return value


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
