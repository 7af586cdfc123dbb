"""Failures between Azure and the client: answers that are lost, garbled, late, or that lack things.

The work may have been done all the same: that is what makes these hard to get right.
"""

# ruff: noqa: E501  messages of Azure's are not wrapped

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._errors import ArmError
from pytest_azurevm._failure import EVERY, Failure, Lost, Phase, Situation
from pytest_azurevm._records import Fate
from pytest_azurevm._vm_form import Json

# What the answers of all others carry is nothing.
_WITH_A_BODY: Final = (
    "create", "update", "get", "instance_view", "list", "list_all", "list_by_location", "poll",
    "extension_create", "extension_update", "extension_get", "extension_list",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class ConnectionReset(Failure):
    """The connection breaks. The SDK raises ``ServiceResponseError``, after retries of its own.

    Args:
        work_done: whether Azure had the request by then, so that its work is done all the same.

    Source: azure-core, which retries reads and PUT and DELETE, and no POST or PATCH.
    """

    phase: ClassVar[Phase] = "lost"
    operations = EVERY
    status = 0
    source = "azure-core's own mapping of requests' and aiohttp's errors"

    work_done: bool = False

    def lost(self, situation: Situation) -> Lost:
        """Break the connection."""
        return Lost(self.work_done, "reset")


@dataclass(frozen=True, kw_only=True, repr=False)
class ReadTimeout(Failure):
    """No answer comes in time. The SDK raises ``ServiceResponseError``, after retries of its own.

    No virtual time passes meanwhile: how long a client waits is its own affair.

    Args:
        work_done: whether Azure does the work all the same, as it most often does.

    Source: azure-core, as for ``ConnectionReset``.
    """

    phase: ClassVar[Phase] = "lost"
    operations = EVERY
    status = 0
    source = "azure-core's own mapping of requests' and aiohttp's errors"

    work_done: bool = True

    def lost(self, situation: Situation) -> Lost:
        """Let no answer come."""
        return Lost(self.work_done, "timeout")


ServerErrorStatus: TypeAlias = Literal[500, 502, 503, 504]
_SERVER_ERRORS: Final[dict[int, tuple[str, str]]] = {
    500: ("InternalServerError", "Encountered internal server error. Diagnostic information: timestamp '{stamp}', subscription id '{subscription}', tracking id '{correlation}', request correlation id '{correlation}'."),
    502: ("ProviderError", "Resource provider 'Microsoft.Compute' failed to return collection response for type 'virtualMachines'."),
    503: ("ServerTimeout", "The request timed out. Diagnostic information: timestamp '{stamp}', subscription id '{subscription}', tracking id '{correlation}', request correlation id '{correlation}'."),
    504: ("GatewayTimeout", "The gateway did not receive a response from 'Microsoft.Compute' within the specified time period."),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class ServerError(Failure):
    """Azure's front door answers 500, 502, 503 or 504.

    The SDK repeats the request three times, but for a POST or PATCH that is answered 502.

    Args:
        status: the HTTP status.
        work_done: whether the work is done behind it all the same.

    Raises:
        ValueError: the status is none of these.

    Source: rec azure-cli, n=5 (ServerTimeout), n=6 (GatewayTimeout, there of microsoft.insights);
    seen Azure/azure-powershell#11291 (500), Azure/azure-sdk-for-net#38625 (502, of lists).
    """

    phase: ClassVar[Phase] = "lost"
    operations = EVERY
    source = "rec azure-cli; seen Azure/azure-powershell#11291, Azure/azure-sdk-for-net#38625"

    status: ServerErrorStatus = 503  # type: ignore[misc]  # of the class it is the usual one
    work_done: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.status not in _SERVER_ERRORS:
            raise ValueError(
                f"ServerError takes one of {', '.join(map(str, _SERVER_ERRORS))}, "
                f"not {self.status!r}; failures.ArmError takes any"
            )

    def lost(self, situation: Situation) -> Lost:
        """Answer with the error of that status."""
        code, message = _SERVER_ERRORS[self.status]
        error = ArmError(self.status, code, message.format_map(situation.facts()), gateway=True)
        return Lost(self.work_done, "error", error)


Garbling: TypeAlias = Literal["truncated", "empty", "html"]


@dataclass(frozen=True, kw_only=True, repr=False)
class GarbledBody(Failure):
    """The work is done, and what is answered is no JSON.

    The SDK raises ``DecodeError``, ``json.JSONDecodeError`` or nothing at all, as its release and
    the operation have it.

    Args:
        kind: ``"truncated"``: the JSON breaks off in its middle; ``"empty"``: there is none;
            ``"html"``: a web server's page stands in its place.

    Raises:
        ValueError: there is no such kind.

    Source: rec azure-sdk-for-python clinet test_delete_dependent_resources (an HTML page); the
    others are assumed.
    """

    phase: ClassVar[Phase] = "lost"
    operations = _WITH_A_BODY
    usually = "get"
    source = "rec clinet test_delete_dependent_resources for html; assumed"

    kind: Garbling = "truncated"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in get_args(Garbling):
            raise ValueError(f"kind {self.kind!r} is not one of {', '.join(get_args(Garbling))}")

    def lost(self, situation: Situation) -> Lost:
        """Answer what is no JSON."""
        return Lost(True, self.kind)


@dataclass(frozen=True, kw_only=True, repr=False)
class _ListsLag(Failure):
    """Lists are answered from a cache, which learns of a change later."""

    phase: ClassVar[Phase] = "shown"

    seconds: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        microseconds(self.seconds, what=f"{type(self).__name__}(seconds=...)")

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let lists learn of it later."""
        return replace(fate, lists_lag_s=self.seconds)


class GhostAfterDelete(_ListsLag):
    """Lists go on showing a machine that is gone, whose GET is 404; its name is not free yet.

    A create of that name is answered 404 ``ResourceNotFound`` meanwhile.

    Args:
        seconds: for how long after the delete's end. A create of the same name is refused
            meanwhile.

    Source: seen Azure/azure-sdk-for-java#35524, Azure/azure-cli#15064 (lists),
    hashicorp/terraform-provider-azurerm#8367 (the name).
    """

    operations = ("delete",)
    usually = "delete"
    source = "seen Azure/azure-sdk-for-java#35524"


class LateInList(_ListsLag):
    """Lists do not show a new machine yet, whose GET is answered.

    Args:
        seconds: for how long after its create was accepted.

    Source: assumed, as the counterpart of ``GhostAfterDelete``: both are answers of a cache.
    """

    operations = ("create",)
    usually = "create"
    source = "assumed"


Oddity: TypeAlias = Literal[
    "none", "null", "no instance view", "no power state", "unknown power state", "empty code", "os state first",
    "hibernation state last",
]  # fmt: skip
_POWER: Final = "PowerState/"


@dataclass(frozen=True, kw_only=True, repr=False)
class MissingStatuses(Failure):
    """The instance view lacks statuses, or has odd ones.

    Args:
        kind: ``"none"``: an empty list; ``"null"``: no list at all; ``"no instance view"``: nothing
            that it could be in; ``"no power state"``; ``"unknown power state"``; ``"empty code"``:
            a status whose code is ``""``; ``"os state first"``: OSState before the others;
            ``"hibernation state last"``: HibernationState after the power state.

    Raises:
        ValueError: there is no such kind.

    Source: seen Azure/azure-sdk-for-python#3406 (no power state), skypilot-org/skypilot#3134 (empty
    code), cloud-provider-azure (null); rec (OSState first, HibernationState last); doc (unknown).
    """

    phase: ClassVar[Phase] = "shown"
    operations = ("instance_view", "get", "list", "list_all", "list_by_location")
    usually = "*"
    source = "seen Azure/azure-sdk-for-python#3406, skypilot-org/skypilot#3134; rec"

    kind: Oddity = "no power state"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in get_args(Oddity):
            raise ValueError(f"kind {self.kind!r} is not one of {', '.join(get_args(Oddity))}")

    def alter(self, body: Json) -> Json | None:
        """Give the body with odd statuses, wherever it has an instance view."""
        odd = deepcopy(body)
        views = list(_instance_views(odd))
        for view in views:
            statuses = view["statuses"]
            if self.kind == "no instance view":
                view.clear()
            elif self.kind == "null":
                del view["statuses"]
            else:
                view["statuses"] = _odd(statuses, self.kind)
        if self.kind == "no instance view":
            for machine in _machines(odd):
                machine.get("properties", {}).pop("instanceView", None)
        return odd if views else None


def _machines(body: Json) -> list[Any]:
    """Give every machine in the answer to a GET or a list."""
    return body["value"] if isinstance(body.get("value"), list) else [body]


def _instance_views(body: Json) -> list[Json]:
    """Give every instance view in the answer to a GET or a list."""
    if "statuses" in body:
        return [body]
    views = [(machine.get("properties") or {}).get("instanceView") for machine in _machines(body)]
    return [view for view in views if view and "statuses" in view]


def _odd(statuses: list[Json], kind: Oddity) -> list[Json]:
    power = [status for status in statuses if status["code"].startswith(_POWER)]
    others = [status for status in statuses if not status["code"].startswith(_POWER)]
    if kind == "none":
        return []
    if kind == "no power state":
        return others
    if kind == "unknown power state":
        return [*others, _status("PowerState/unknown", "VM status unknown")]
    if kind == "empty code":
        return [*others, {"code": "", "level": "Info", "displayStatus": ""}, *power]
    if kind == "os state first":
        return [_status("OSState/generalized", "VM generalized"), *statuses]
    return [*statuses, _status("HibernationState/Hibernated", "VM hibernated")]


def _status(code: str, display_status: str) -> Json:
    return {"code": code, "level": "Info", "displayStatus": display_status}
