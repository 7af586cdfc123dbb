"""What a request asks for besides its body, read and judged: its query, its method, its path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._http import Answer, Exchange
from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._vm_form import Json

MOST_ON_A_PAGE: Final = 1000  # of lists of resources [doc; assumed of the others]
_CONDITIONS: Final = ("if-match", "if-none-match")


@lru_cache(maxsize=256)
def spelled_subscription(subscription: str) -> str:
    """Give a subscription's id as it is compared.

    Raises:
        ArmError: it is no UUID.
    """
    try:
        return str(UUID(subscription))
    except ValueError:
        raise arm_error("bad-subscription", subscription=subscription) from None


def judge_conditions(exchange: Exchange, etag: str | None) -> None:
    """Judge If-Match and If-None-Match; *etag* is that of what is there, ``None`` for nothing.

    Raises:
        ArmError: one of them is not met.
    """
    headers = exchange.request.headers
    conditions = {key.lower(): key for key in headers if key.lower() in _CONDITIONS}
    for name in _CONDITIONS:
        if name not in conditions:
            continue
        condition = headers[conditions[name]]
        present = etag is not None and condition in ("*", etag)
        if present != (name == "if-match"):
            raise arm_error("etag", condition=condition, etag=etag or "")


def next_link(exchange: Exchange, after: int) -> str:
    """Give the URL at which a list goes on after the sequence *after*."""
    query = {**exchange.query, "$skiptoken": str(after)}
    return f"{exchange.base}{path_of(exchange)}?" + "&".join(
        f"{quote(key, safe='$')}={quote(value)}" for key, value in query.items()
    )


def page_size(exchange: Exchange, most: int) -> int:
    """Give how many a page of a list is to hold: ``$top``, and *most* at most."""
    asked = exchange.query.get("$top", str(most))
    if not re.fullmatch(r"[0-9]{1,9}", asked) or not int(asked):
        raise arm_error("bad-expand", target="$top")
    return min(int(asked), most)


def only(method: str, allowed: str) -> None:
    """Refuse any other method."""
    if method != allowed:
        raise arm_error("no-method", method=method)


def flag(exchange: Exchange, name: str) -> bool:
    """Read a yes or no of the query; what is not there is no."""
    asked = exchange.query.get(name, "false").lower()
    if asked not in ("true", "false"):
        raise arm_error("bad-expand", target=name)
    return asked == "true"


def skip_token(exchange: Exchange) -> int:
    """Give the sequence after which a list goes on."""
    token = exchange.query.get("$skiptoken", "0")
    if not re.fullmatch(r"[0-9]{1,18}", token):
        raise arm_error("bad-expand", target="$skiptoken")
    return int(token)


def expanded(exchange: Exchange, known: tuple[str, ...]) -> frozenset[str]:
    """Give what a GET is to show besides, of what is known."""
    asked = exchange.query.get("$expand", "")
    wanted = frozenset(part.strip().lower() for part in asked.split(",") if part.strip())
    if wanted - set(known):
        raise arm_error("bad-expand", target="$expand")
    return wanted


def action_on(exchange: Exchange, what: str) -> str:
    """Give what the request does to *what*, as ARM calls it."""
    method = exchange.request.method.upper()
    verb = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}.get(method)
    return f"{what}/{verb or 'action'}"


def not_served(exchange: Exchange, operation: str) -> ArmError:
    """Say that this fake does not serve *operation*, as ARM calls it."""
    return arm_error(
        "not-served",
        operation=operation,
        method=exchange.request.method.upper(),
        path="/" + "/".join(exchange.segments),
    )


def type_named(segments: tuple[str, ...]) -> str:
    """Give the resource type that a path is about."""
    folded = [segment.lower() for segment in segments]
    if "providers" not in folded:
        return "Microsoft.Resources/" + "/".join(segments[::2])
    after = segments[folded.index("providers") + 1 :]
    return "/".join([*after[:1], *after[1::2]])


def path_of(exchange: Exchange) -> str:
    """Give the request's path, as it was sent."""
    return "/" + "/".join(quote(segment) for segment in exchange.segments)


_SCALE_SET_FILTER: Final = re.compile(
    r"\s*'?virtualMachineScaleSet/id'?\s+eq\s+'?([^']+?)'?\s*", re.IGNORECASE
)


def scale_set_filter(exchange: Exchange) -> str | None:
    """Read the one filter that lists of VMs take [spec; rec test_vm_list_filter]."""
    asked = exchange.query.get("$filter")
    if not asked:
        return None
    match = _SCALE_SET_FILTER.fullmatch(asked)
    if match is None:
        raise arm_error("bad-expand", target="$filter")
    return match[1].lower()


def scale_set_of(vm: VirtualMachine) -> str | None:
    """Give the id of the scale set that a machine is of, if it is of one."""
    scale_set = vm.model["properties"].get("virtualMachineScaleSet") or {}
    found: str | None = scale_set.get("id")
    return found.lower() if found else None


def object_in(value: Any) -> Json:
    """Give a body that is an object.

    Raises:
        ArmError: it is none.
    """
    if not isinstance(value, dict):
        raise arm_error(
            "bad-content",
            reason="Error converting the request body to type 'ResourceDefinition'. Path '', "
            "line 1, position 1.",
        )
    return value


def paged(exchange: Exchange, found: Iterator[Any], shown: Callable[[Any], Json]) -> Answer:
    """Answer with a page of what was found, as it is shown, and where the next one is."""
    size = page_size(exchange, MOST_ON_A_PAGE)
    page = list(islice(found, size + 1))
    body: Json = {"value": [shown(one) for one in page[:size]]}
    if len(page) > size:
        body["nextLink"] = next_link(exchange, page[size - 1].sequence)
    return Answer(200, body)
