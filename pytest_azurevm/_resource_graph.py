"""Azure Resource Graph: what there is, over all subscriptions, by a query.

Two tables are served, ``Resources`` and ``ResourceContainers``. Azure's graph lags behind; this one
does not, as nothing says by how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pytest_azurevm import _arm_tenant as tenant
from pytest_azurevm import _resources as resources
from pytest_azurevm import _vm_model as models
from pytest_azurevm._api_versions import NEWEST
from pytest_azurevm._door import Door
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._http import Answer, Exchange, correlation_id_of, read_json
from pytest_azurevm._kusto import NotKusto, run
from pytest_azurevm._kusto_values import NotSpoken
from pytest_azurevm._lifecycle import POWER_STATUS
from pytest_azurevm._neighbours import Neighbours
from pytest_azurevm._query import not_served, only
from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._resource_bodies import body_of
from pytest_azurevm._vm_form import Json

PATH: Final = ("providers", "microsoft.resourcegraph", "resources")
_TABLES: Final = ("resources", "resourcecontainers")
_ACTION: Final = "Microsoft.ResourceGraph/resources/action"
_VERSIONS: Final = (
    "2018-09-01-preview 2019-04-01 2020-04-01-preview 2021-03-01 2021-06-01-preview 2022-10-01 "
    "2024-04-01"
).split()
_OBJECTS_SINCE: Final = "2021-03-01"  # before, a table unless asked otherwise [spec]
_INVALID: Final = (
    "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and "
    "fix the error before retrying."
)
_ROWS: Final = 1000  # of a page, at most [spec]
# The columns of both tables, in their order [doc].
_TEXTS: Final = (
    "id", "name", "type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId",
    "managedBy",
)  # fmt: skip
_COLUMNS: Final = (
    *_TEXTS, "sku", "plan", "properties", "tags", "identity", "zones", "extendedLocation",
)  # fmt: skip


class _InvalidError(Exception):
    """The request is no query: *problem* is what the answer's details say of it."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem)
        self.problem = problem


def _wrong(message: str) -> Json:
    return {"code": "InvalidQuery", "message": message}  # assumed


class ResourceGraph:
    """Answers queries about all that there is."""

    def __init__(self, neighbours: Neighbours, door: Door) -> None:
        self._all = neighbours
        self._door = door
        self._compute = neighbours.compute
        self._clock = neighbours.clock
        self._chance = self._compute.chance_of("graph")

    def answer(self, exchange: Exchange, *, number: int) -> Answer:
        """Answer a query, as the *number*-th request of this run.

        Raises:
            ArmError: it is none, or one that is not served.
        """
        only(exchange.request.method.upper(), "POST")
        version = exchange.query.get("api-version", "")
        if version not in _VERSIONS:
            if not version:
                raise arm_error("no-api-version")
            raise arm_error(
                "unknown-api-version",
                location="",
                version=version,
                type="resources",
                versions=", ".join(_VERSIONS),
                locations="",
            )
        self._door.admit_other(exchange, _ACTION, "")
        try:
            return Answer(200, self._found(exchange, version))
        except _InvalidError as invalid:
            now = self._clock.calendar(self._clock.now_us)
            # [rec Az.ResourceGraph's own tests; seen Azure/aztfexport#485]
            raise ArmError(
                400,
                "BadRequest",
                "Please provide below info when asking for support: timestamp = "
                f"{now:%Y-%m-%dT%H:%M:%S.%f}0Z, correlationId = {correlation_id_of(number)}.",
                details=({"code": "InvalidQuery", "message": _INVALID}, invalid.problem),
            ) from None
        except NotSpoken as problem:
            raise not_served(exchange, f"{_ACTION} with {problem}") from None

    def _found(self, exchange: Exchange, version: str) -> Json:
        asked, _text = read_json(exchange.request.body)
        if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
            raise _InvalidError(_wrong("A query is needed."))
        options, named = asked.get("options") or {}, asked.get("subscriptions") or []
        if not isinstance(options, dict) or not isinstance(named, list):
            raise _InvalidError(_wrong("options must be an object, and subscriptions a list."))
        for member in ("facets", "managementGroups", "managementGroupId"):
            if asked.get(member):
                raise NotSpoken(member)
        scope = {str(one).lower() for one in named}

        def table(name: str) -> Iterable[Json]:
            if name.lower() not in _TABLES:
                raise NotSpoken(f"the table {name!r}")
            rows = self._resources() if name.lower() == "resources" else self._containers()
            return (row for row in rows if not scope or row["subscriptionId"] in scope)

        try:
            rows, columns = run(asked["query"], table, self._chance)
        except NotKusto as problem:
            raise _InvalidError(
                {
                    "code": "ParserFailure",
                    "message": "ParserFailure",
                    "line": problem.line,
                    "characterPositionInLine": problem.position,
                    "token": problem.token,
                }
            ) from None
        if columns is None:
            known = [name for row in rows[:1] for name in row]
            columns = known or list(_COLUMNS)
        return _page(rows, columns, options, version)

    def _subscriptions(self) -> list[str]:
        there = [vm.subscription_id for vm in self._compute.listed("", "")]
        there += [group.address.subscription for group in self._all.every_group()]
        return list(dict.fromkeys(there))

    def _resources(self) -> Iterator[Json]:
        for subscription in self._subscriptions():
            for one in self._all.everything(subscription):
                if not isinstance(one, VirtualMachine):
                    yield self._row(body_of(one, self._all), subscription)
                    continue
                yield self._row(self._shown(one), subscription)
                for extension in models.extensions(one.model):
                    body = resources.extension_body(extension, one.resource_id)
                    yield self._row(body, subscription)

    def _containers(self) -> Iterator[Json]:
        for subscription in self._subscriptions():
            tags = self._all.subscription_tags(subscription)
            body = tenant.subscription_body(subscription, self._compute.tenant_id, tags)
            properties = {name: body[name] for name in ("state", "subscriptionPolicies")}
            of_subscription = "microsoft.resources/subscriptions"
            shown = {"id": body["id"], "name": body["displayName"], "type": of_subscription}
            yield self._row({**shown, "tags": tags or None, "properties": properties}, subscription)
            for group in self._all.groups(subscription):
                body = {**body_of(group, self._all), "type": f"{of_subscription}/resourcegroups"}
                yield self._row(body, subscription)

    def _shown(self, vm: VirtualMachine) -> Json:
        body = resources.vm_body(
            vm,
            edition=self._compute.edition,
            calendar=self._clock.calendar,
            api_version=NEWEST,
        )
        view = resources.instance_view(
            vm,
            edition=self._compute.edition,
            calendar=self._clock.calendar,
            api_version=NEWEST,
        )
        # The graph has a view of its own, with the power state by name [doc: sample queries].
        names = ("computerName", "osName", "osVersion", "hyperVGeneration")
        extended = {name: view[name] for name in names if name in view}
        if vm.power is not None:
            power = POWER_STATUS[vm.power]
            extended["powerState"] = {
                "code": power.code,
                "level": power.level,
                "displayStatus": power.display_status,
            }
        properties = {**body["properties"], "extended": {"instanceView": extended}}
        return {**body, "properties": properties}

    def _row(self, body: Json, subscription_id: str) -> Json:
        row: Json = dict.fromkeys(_TEXTS, "")
        row |= dict.fromkeys(_COLUMNS[len(_TEXTS) :])
        row |= {name: body[name] for name in _COLUMNS if body.get(name) is not None}
        segments = body["id"].split("/")
        folded = [segment.lower() for segment in segments]
        grouped = "resourcegroups" in folded
        # Types and groups are lower case there, whatever they are elsewhere [doc: sample queries].
        return row | {
            "type": body["type"].lower(),
            "tenantId": self._compute.tenant_id,
            "subscriptionId": subscription_id.lower(),
            "resourceGroup": folded[folded.index("resourcegroups") + 1] if grouped else "",
        }


def _page(rows: list[Json], columns: list[str], options: Json, version: str) -> Json:
    """Give the rows that one answer holds, in the format that was asked for."""
    token = options.get("$skipToken")
    try:
        first = int(token) if token else int(options.get("$skip") or 0)
        size = min(int(options.get("$top") or _ROWS), _ROWS)
    except (TypeError, ValueError):
        first, size = -1, -1
    if first < 0 or size < 1:
        raise _InvalidError(_wrong("$skipToken, $top and $skip must be numbers of rows."))
    shown = rows[first : first + size]
    more = first + len(shown) < len(rows)
    by_default = "objectArray" if version >= _OBJECTS_SINCE else "table"
    data: Any = [{name: row.get(name) for name in columns} for row in shown]
    if str(options.get("resultFormat") or by_default).lower() == "table":
        data = {
            "columns": [{"name": name, "type": _type(name, rows)} for name in columns],
            "rows": [[row.get(name) for name in columns] for row in shown],
        }
    body: Json = {"totalRecords": len(rows), "count": len(shown), "data": data, "facets": []}
    # Where there is a next page nothing counts as cut off; without IDs there is none [spec].
    goes_on = more and "id" in columns
    if goes_on:
        body["$skipToken"] = str(first + len(shown))
    body["resultTruncated"] = "true" if more and not goes_on else "false"
    return body


def _type(name: str, rows: list[Json]) -> str:
    """Give a column's type, by what it holds."""
    if name in _COLUMNS:
        return "string" if name in _TEXTS else "object"
    value = next((row[name] for row in rows if row.get(name) is not None), "")
    for kind, called in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return called
    return "object"
