"""Azure Resource Manager in-process: requests as data in, responses as data out.

HTTP ends here. A request is routed, its api-version and body are judged, the engine is asked, and
the answer is dressed as Azure dresses it: status, headers that drive polling, error envelope,
paging. What is not served is answered so, by name.
"""

from __future__ import annotations

import datetime as _dt
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from pytest_azurevm import _resources as resources
from pytest_azurevm import _vm_extensions as extensions
from pytest_azurevm import _vm_model as models
from pytest_azurevm._api_versions import checked_version
from pytest_azurevm._arm_resources import ResourceRoutes
from pytest_azurevm._calls import Calls
from pytest_azurevm._compute import Compute
from pytest_azurevm._door import Door
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._http import (
    NO_RESPONSE,
    UNANSWERED,
    Answer,
    AnswerLost,
    Exchange,
    Request,
    Response,
    dressed,
    error_answer,
    exchange_of,
    garbled,
    read_json,
)
from pytest_azurevm._lifecycle import Operation
from pytest_azurevm._lro import accepted, polled
from pytest_azurevm._neighbours import Neighbours
from pytest_azurevm._operations import ACTIONS
from pytest_azurevm._query import (
    action_on,
    expanded,
    flag,
    judge_conditions,
    next_link,
    not_served,
    only,
    scale_set_filter,
    scale_set_of,
    skip_token,
    spelled_subscription,
    type_named,
)
from pytest_azurevm._records import OperationRecord, VirtualMachine
from pytest_azurevm._resource_graph import PATH as GRAPH_PATH
from pytest_azurevm._resource_graph import ResourceGraph
from pytest_azurevm._resource_ids import checked_group
from pytest_azurevm._rules import Rules
from pytest_azurevm._vm_form import Json, checked, spelled_region
from pytest_azurevm._vm_schema import EXTENSION, REIMAGE

PAGE_SIZE: Final = 100  # assumed; Azure's own is not documented


_POWER: Final[tuple[Operation, ...]] = (
    "start", "power_off", "restart", "deallocate", "redeploy", "reapply", "reimage",
)  # fmt: skip
# Actions without an operation to poll: our name, and how they are answered [rec].
_AT_ONCE: Final = {
    "generalize": ("generalize", 200),
    "simulateeviction": ("simulate_eviction", 204),
}
_POWER_ACTIONS: Final = {ACTIONS[operation].lower(): operation for operation in _POWER}
# Yes or no in a request's query: these change nothing here, but must be one of the two.
_FLAGS: Final[dict[Operation, tuple[str, ...]]] = {
    "delete": ("forceDeletion",),
    "power_off": ("skipShutdown",),
    "deallocate": ("forceDeallocate", "hibernate"),
}
_FLAGS_NOT_SERVED: Final = ("hibernate",)
_EXPANSIONS_NOT_SERVED: Final = {"resiliencyview": "resiliencyView"}
_VM_TYPE_SEGMENTS: Final = ("providers", "microsoft.compute", "virtualmachines")
_LOCATION_SEGMENTS: Final = ("providers", "microsoft.compute", "locations")
_OF_LOCATIONS: Final = ("virtualmachines", "operations")
_WRITING: Final = ("PUT", "PATCH", "POST")
_CHANGING: Final = (*_WRITING, "DELETE")


class Arm:
    """The front door. ``handle`` answers one request, and never moves time."""

    def __init__(
        self, compute: Compute, rules: Rules, neighbours: Neighbours | None = None
    ) -> None:
        self.calls = Calls()
        self._compute = compute
        self._clock = compute.clock
        self._neighbours = neighbours or Neighbours(compute)
        self.door = Door(compute, rules)
        self._graph = ResourceGraph(self._neighbours, self.door)
        self._others = ResourceRoutes(self._neighbours, self.door)

    def handle(self, request: Request) -> Response:
        """Answer *request* at this instant.

        Raises:
            AnswerLost: the answer is injected to be lost on its way.
        """
        self._clock.sync()
        with self._clock.lock:
            exchange = exchange_of(request)
            self.door.opens(request.caller)
            answer, error_code = None, None
            try:
                answer = self._route(exchange)
            except ArmError as error:
                answer, error_code = error_answer(error, exchange.counted), error.code
            except AnswerLost:
                pass
            lost = self.door.struck.lost
            if lost is not None and lost.error is not None:
                answer, error_code = error_answer(lost.error), lost.error.code
            now = self._clock.calendar(self._clock.now_us)
            response = NO_RESPONSE
            if answer is not None and (lost is None or lost.instead not in UNANSWERED):
                response = dressed(answer, number=len(self.calls) + 1, now=now)
            if lost is not None:
                response = garbled(response, lost.instead)
            self._note(exchange, response, error_code, now)
            if response is NO_RESPONSE:
                assert lost is not None  # nothing else is left unanswered
                raise AnswerLost(lost.instead)
            return response

    # --- routes --------------------------------------------------------------------------------

    def _route(self, exchange: Exchange) -> Answer:
        segments, lowered = exchange.segments, exchange.lowered
        method = exchange.request.method.upper()
        if lowered == GRAPH_PATH:
            return self._graph.answer(exchange, number=len(self.calls) + 1)
        rest = lowered[2:]
        if (
            len(rest) >= 5
            and rest[0] == "resourcegroups"
            and rest[2:5] == _VM_TYPE_SEGMENTS
            and "providers" not in rest[5:]
        ):
            subscription = self._judged_scope(exchange)
            checked_group(segments[3])
            self._neighbours.judge_group(subscription, segments[3], writes=method in _WRITING)
            return self._route_vm(exchange, method, subscription, segments[3], segments[7:])
        if rest == _VM_TYPE_SEGMENTS:
            subscription = self._judged_scope(exchange)
            only(method, "GET")
            self.door.admit(exchange, "list_all", subscription)
            return self._list(exchange, subscription)
        if len(rest) >= 5 and rest[:3] == _LOCATION_SEGMENTS and rest[4] in _OF_LOCATIONS:
            return self._route_location(exchange, method, segments[5:])
        return self._others.route(exchange, method)

    def _route_vm(
        self, exchange: Exchange, method: str, subscription: str, group: str, path: tuple[str, ...]
    ) -> Answer:
        if not path:
            only(method, "GET")
            self.door.admit(exchange, "list", subscription, group)
            return self._list(exchange, subscription, group)
        name = exchange.vm_name = path[0]
        vm = self._compute.vms.find(subscription, group, name)
        if method in _CHANGING:
            of = f"/{'/'.join(exchange.segments[:8])}"
            self._neighbours.judge_machine(of, "delete" if method == "DELETE" else "write")
        if len(path) == 1:
            if method == "HEAD":
                self.door.admit(exchange, "get", subscription, group, vm=vm)
                return Answer(404 if vm is None else 204)
            if method == "PUT":
                return self._put(exchange, subscription, group, name, vm)
            if method == "PATCH":
                return self._patch(exchange, subscription, group, name, vm)
            if method == "DELETE":
                self.door.admit(exchange, "delete", subscription, group, vm=vm)
                return self._delete(exchange, vm)
            only(method, "GET")
            self.door.admit(exchange, "get", subscription, group, vm=vm)
            return self._get(exchange, self._existing(vm, subscription, group, name))
        action = path[1].lower()
        if action == "extensions" and len(path) <= 3:
            extension = path[2] if path[2:] else ""
            return self._route_extension(exchange, method, subscription, group, vm, extension)
        if len(path) == 2 and action == "instanceview":
            only(method, "GET")
            self.door.admit(exchange, "instance_view", subscription, group, vm=vm)
            return self._instance_view(exchange, self._existing(vm, subscription, group, name))
        if len(path) == 2 and method == "POST" and action in _AT_ONCE:
            operation, status = _AT_ONCE[action]
            self.door.admit(exchange, operation, subscription, group, vm=vm)
            self._do_at_once(operation, self._existing(vm, subscription, group, name))
            return Answer(status, None, exchange.counted)
        if len(path) == 2 and method == "POST" and action in _POWER_ACTIONS:
            operation = _POWER_ACTIONS[action]
            self.door.admit(exchange, operation, subscription, group, vm=vm)
            vm = self._existing(vm, subscription, group, name)
            _judge_flags(exchange, operation)
            if operation == "reimage" and exchange.request.body:
                checked(*read_json(exchange.request.body), REIMAGE)  # it leaves no trace
            return accepted(exchange, self._compute.act(vm, operation))
        what = f"{resources.VM_TYPE}/{'/'.join(path[1::2])}"
        raise not_served(exchange, action_on(exchange, what))

    def _route_extension(
        self,
        exchange: Exchange,
        method: str,
        subscription: str,
        group: str,
        vm: VirtualMachine | None,
        name: str,
    ) -> Answer:
        """Answer a request about one extension of a VM, or about all of them without a *name*."""
        old = extensions.find(vm.model, name) if vm is not None else None
        operation = exchange.operation = _extension_operation(method, name, new=old is None)
        if not name or method not in ("PUT", "PATCH", "DELETE"):
            only(method, "GET")
        writes = bool(name) and method in ("PUT", "PATCH")
        value, text = read_json(exchange.request.body) if writes else (None, "")
        self.door.admit(exchange, operation, subscription, group, vm=vm, body=value)
        if vm is None:
            if method not in ("PUT", "DELETE"):
                self._judge_eviction(subscription, group, exchange.segments[7])
            verb = {"GET": "read", "DELETE": "delete"}.get(method, "write")
            parent = "/" + "/".join(exchange.segments[:8])
            of = "virtualMachines/extensions"
            raise arm_error("no-parent", action=verb, type=of, parent=parent)
        if not name:
            found = [self._extension_body(exchange, vm, one) for one in models.extensions(vm.model)]
            return Answer(200, {"value": found}, exchange.counted)
        if method == "PUT":
            record = self._compute.put_extension(vm, name, checked(value, text, EXTENSION))
        elif old is None and method == "DELETE":
            return Answer(204)  # [spec; not recorded]
        elif old is None:
            of = f"{resources.VM_TYPE}/{exchange.segments[7]}/extensions"
            raise arm_error("no-such-vm", type=of, name=name, group=exchange.segments[3])
        elif method == "PATCH":
            record = self._compute.patch_extension(vm, old, checked(value, text, EXTENSION))
        elif method == "DELETE":
            return accepted(exchange, self._compute.delete_extension(vm, old))
        else:
            body = self._extension_body(exchange, vm, old)
            return Answer(200, body, exchange.counted)
        written = extensions.find(vm.model, name)
        assert written is not None  # just now
        return accepted(exchange, record, resources.extension_body(written, vm.resource_id))

    def _extension_body(self, exchange: Exchange, vm: VirtualMachine, extension: Json) -> Json:
        view = None
        # Of a VM without an agent that reports there is nothing to tell [rec, of deallocated ones].
        if "instanceview" in expanded(exchange, ("instanceview",)) and vm.agent != "absent":
            view = resources.extension_view(vm, extension)
        return resources.extension_body(extension, vm.resource_id, view)

    def _route_location(self, exchange: Exchange, method: str, path: tuple[str, ...]) -> Answer:
        location, what = spelled_region(path[0]), path[1].lower() if len(path) > 1 else ""
        if what == "virtualmachines" and len(path) == 2:
            subscription = self._judged_scope(exchange)
            only(method, "GET")
            self.door.admit(exchange, "list_by_location", subscription, location=location)
            return self._list(exchange, subscription, belongs=lambda vm: vm.location == location)
        if what == "operations" and len(path) == 3:
            exchange.operation = "poll"
            subscription = self._judged_scope(exchange)
            only(method, "GET")
            return self._poll(exchange, subscription, location, path[2])
        raise not_served(exchange, action_on(exchange, type_named(exchange.segments)))

    def _judged_scope(self, exchange: Exchange) -> str:
        """Judge what every request carries, its api-version and subscription; give the latter."""
        version = exchange.query.get("api-version", "")
        exchange.api_version = checked_version(version, exchange.query.get("location", ""))
        return spelled_subscription(exchange.segments[1])

    # --- operations ----------------------------------------------------------------------------

    def _put(
        self,
        exchange: Exchange,
        subscription: str,
        group: str,
        name: str,
        vm: VirtualMachine | None,
    ) -> Answer:
        operation = exchange.operation = "create" if vm is None else "update"
        value, text = read_json(exchange.request.body)
        self.door.admit(exchange, operation, subscription, group, vm=vm, body=value)
        body = checked(value, text)
        judge_conditions(exchange, None if vm is None else resources.etag(vm))
        if vm is None:
            record = self._compute.create(subscription, group, name, body)
            return self._written(exchange, record, "Creating")
        return self._written(exchange, self._compute.put(vm, body), "Updating")

    def _patch(
        self,
        exchange: Exchange,
        subscription: str,
        group: str,
        name: str,
        vm: VirtualMachine | None,
    ) -> Answer:
        exchange.operation = "update"
        value, text = read_json(exchange.request.body)
        self.door.admit(exchange, "update", subscription, group, vm=vm, body=value)
        vm = self._existing(vm, subscription, group, name)
        body = checked(value, text)
        judge_conditions(exchange, None if vm is None else resources.etag(vm))
        return self._written(exchange, self._compute.patch(vm, body), "Updating")

    def _delete(self, exchange: Exchange, vm: VirtualMachine | None) -> Answer:
        if vm is None:
            return Answer(204)  # [spec; no recording deletes an absent VM of an existing group]
        _judge_flags(exchange, "delete")
        return accepted(exchange, self._compute.act(vm, "delete"))

    def _existing(
        self, vm: VirtualMachine | None, subscription: str, group: str, name: str
    ) -> VirtualMachine:
        if vm is None:
            self._judge_eviction(subscription, group, name)
            # Type and names are printed as in the request [rec].
            raise arm_error("no-such-vm", type=resources.VM_TYPE, name=name, group=group)
        return vm

    def _judge_eviction(self, subscription: str, group: str, name: str) -> None:
        """Let Compute itself say that an evicted VM is gone, for ARM has not heard of it [rec]."""
        if self._compute.was_evicted(subscription, group, name):
            raise arm_error("evicted")

    def _do_at_once(self, operation: str, vm: VirtualMachine) -> None:
        if operation == "generalize":
            self._compute.generalize(vm)
        else:
            self._compute.simulate_eviction(vm)

    def _get(self, exchange: Exchange, vm: VirtualMachine) -> Answer:
        wanted = expanded(exchange, ("instanceview", "userdata", *_EXPANSIONS_NOT_SERVED))
        for name, shown_as in _EXPANSIONS_NOT_SERVED.items():
            if name in wanted:
                raise not_served(exchange, f"{resources.VM_TYPE}/read with $expand={shown_as}")
        body = self._vm_body(
            exchange,
            vm,
            instance_view_wanted="instanceview" in wanted,
            user_data_wanted="userdata" in wanted,
        )
        return self._looked_at(exchange, body)

    def _looked_at(self, exchange: Exchange, body: Json) -> Answer:
        """Answer a GET with what is shown, or is injected to be shown instead."""
        return Answer(200, self.door.struck.altered(body), exchange.counted)

    def _instance_view(self, exchange: Exchange, vm: VirtualMachine) -> Answer:
        view = resources.instance_view(
            vm,
            edition=self._compute.edition,
            calendar=self._clock.calendar,
            api_version=exchange.api_version,
        )
        return self._looked_at(exchange, view)

    def _list(
        self,
        exchange: Exchange,
        subscription: str,
        group: str = "",
        *,
        belongs: Callable[[VirtualMachine], bool] | None = None,
    ) -> Answer:
        wanted = expanded(exchange, ("instanceview",))
        status_only = flag(exchange, "statusOnly")
        scale_set = scale_set_filter(exchange)
        found: Iterator[VirtualMachine] = (
            vm
            for vm in self._compute.listed(subscription, group, after=skip_token(exchange))
            if (belongs is None or belongs(vm))
            and (scale_set is None or scale_set_of(vm) == scale_set)
        )
        page = list(islice(found, PAGE_SIZE + 1))
        body: Json = {
            "value": [
                self._vm_body(
                    exchange,
                    vm,
                    instance_view_wanted=status_only or "instanceview" in wanted,
                    in_list=True,
                    in_subscription_list=exchange.operation != "list",
                )
                for vm in page[:PAGE_SIZE]
            ]
        }
        if len(page) > PAGE_SIZE:
            body["nextLink"] = next_link(exchange, page[PAGE_SIZE - 1].sequence)
        return self._looked_at(exchange, body)

    def _poll(
        self, exchange: Exchange, subscription: str, location: str, operation_id: str
    ) -> Answer:
        record = self._compute.find_operation(operation_id)
        if record is None:
            return self._others.poll(exchange, operation_id)
        vm = record.vm
        if (vm.subscription_id, vm.location) != (subscription, location):
            raise arm_error("no-such-operation")
        exchange.vm_name = vm.name
        self.door.admit(exchange, "poll", subscription, vm=vm, record=record)
        return polled(exchange, record, self._clock.calendar)

    def _written(self, exchange: Exchange, record: OperationRecord, shown: str) -> Answer:
        """Answer a request that writes a VM, with the VM as it is then."""
        return accepted(
            exchange, record, self._vm_body(exchange, record.vm, provisioning_state=shown)
        )

    # --- parts of answers ----------------------------------------------------------------------

    def _vm_body(self, exchange: Exchange, vm: VirtualMachine, **wanted: Any) -> Json:
        return resources.vm_body(
            vm,
            edition=self._compute.edition,
            calendar=self._clock.calendar,
            api_version=exchange.api_version,
            **wanted,
        )

    def _note(
        self, exchange: Exchange, response: Response, error_code: str | None, now: _dt.datetime
    ) -> None:
        request = exchange.request
        self.calls.note((
            exchange.operation, request.method.upper(), request.url, exchange.vm_name,
            response.status, error_code, now, request.body, response.body,
        ))  # fmt: skip


def _extension_operation(method: str, name: str, *, new: bool) -> str:
    """Give what a request to extensions is called in the log of calls."""
    written = "extension_create" if new else "extension_update"
    named = {"PUT": written, "PATCH": "extension_update", "DELETE": "extension_delete"}
    return named.get(method, "extension_get") if name else "extension_list"


def _judge_flags(exchange: Exchange, operation: Operation) -> None:
    for name in _FLAGS.get(operation, ()):
        if flag(exchange, name) and name in _FLAGS_NOT_SERVED:
            action = f"{resources.VM_TYPE}/{ACTIONS[operation]}/action"
            raise not_served(exchange, f"{action} with {name}=true")
