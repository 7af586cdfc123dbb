"""Requests and answers as data, and how Azure dresses them: headers, envelope, JSON."""

from __future__ import annotations

import datetime as _dt
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._vm_form import Json, checked
from pytest_azurevm._vm_schema import VIRTUAL_MACHINE, Member

_BODY_LIMIT: Final = 4 * 1024 * 1024
_DEPTH_LIMIT: Final = (
    64  # of Newtonsoft's reader, which is what ARM's messages sound like [assumed]
)
_INT64: Final = range(-(2**63), 2**63)
_INT64_DIGITS: Final = 20
# What Azure sends with every answer [rec libraries-for-net, n=1383].
_STANDARD_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
_JSON_TYPE: Final = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request to ARM."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """ARM's answer."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Exchange:
    """A request while it is being answered."""

    request: Request
    segments: list[str]  # as sent, percent-decoded
    lowered: list[str]
    query: dict[str, str]
    base: str  # scheme and host
    api_version: str = ""
    operation: str = "other"
    vm_name: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What ARM answers, before it is dressed."""

    status: int
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)
    request_id: str | None = None
    gateway: bool = False  # the front door itself answers


def exchange_of(request: Request) -> Exchange:
    """Take a request apart."""
    parts = urlsplit(request.url)
    path = [segment for segment in parts.path.split("/") if segment]
    segments = [unquote(segment) for segment in path] if "%" in parts.path else path
    query = {}
    for pair in parts.query.split("&"):
        key, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            key, value = unquote_plus(key), unquote_plus(value)
        # Azure takes query names in any case; the ones that are read here have one spelling each.
        query[_QUERY_NAMES.get(key.lower(), key)] = value
    lowered = [segment.lower() for segment in segments]
    return Exchange(request, segments, lowered, query, f"{parts.scheme}://{parts.netloc}")


_QUERY_NAMES: Final = {
    name.lower(): name
    for name in (
        "api-version", "$expand", "$filter", "$skiptoken", "statusOnly", "monitor",
        "hibernate", "forceDeallocate", "forceDeletion", "skipShutdown",
    )
}  # fmt: skip


_START: Final = "Path '', line 1, position 0"


def _no_constant(name: str) -> None:
    raise ValueError(f"Error parsing {name} value. {_START}.")


def _int(digits: str) -> int:
    if len(digits) <= _INT64_DIGITS and int(digits) in _INT64:
        return int(digits)
    raise ValueError(f"JSON integer {digits[:80]} is too large or small for an Int64. {_START}.")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"Input string '{digits[:80]}' is not a valid number. {_START}.")
    return number


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEPTH_LIMIT + 1):
        level = [
            item
            for owner in level
            for item in (owner.values() if isinstance(owner, dict) else owner)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise RecursionError


def _parse_reason(error: json.JSONDecodeError) -> str:
    place = f"Path '', line {error.lineno}, position {error.colno}."
    if error.pos >= len(error.doc.rstrip()):
        return f"Unexpected end when reading JSON. {place}"
    character = error.doc[error.pos]
    return f"Unexpected character encountered while parsing value: {character}. {place}"


def error_answer(error: ArmError) -> Answer:
    """Give the answer that carries *error*: details first, if there are any [rec]."""
    inner: Json = {"details": list(error.details)} if error.details else {}
    inner |= {"code": error.code, "message": error.message}
    if error.target is not None:
        inner["target"] = error.target
    return Answer(error.status, {"error": inner}, gateway=error.gateway)


@lru_cache(maxsize=64)
def _stamp(second: _dt.datetime) -> str:
    return f"WESTEUROPE:{second:%Y%m%dT%H%M%SZ}"


@lru_cache(maxsize=64)
def _date(second: _dt.datetime) -> str:
    return format_datetime(second, usegmt=True)


_dump: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dressed(answer: Answer, *, number: int, now: _dt.datetime) -> Response:
    """Give *answer*, the *number*-th of this run, with Azure's headers and its JSON."""
    second = now.replace(microsecond=0)
    correlation_id = f"00000000-0000-4000-8000-{number:012x}"
    # The first answer of an operation carries the operation's id; at the front door both ids are
    # one [rec].
    request_id = answer.request_id or (
        correlation_id if answer.gateway else f"00000000-0000-4000-9000-{number:012x}"
    )
    headers = {
        **_STANDARD_HEADERS,
        **answer.headers,
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": correlation_id,
        "x-ms-routing-request-id": f"{_stamp(second)}:{correlation_id}",
        "Date": _date(second),
    }
    if answer.gateway:
        headers["x-ms-failure-cause"] = "gateway"
    else:
        headers["Server"] = "Microsoft-HTTPAPI/2.0"
    body = b""
    if answer.body is not None:
        body = _dump(answer.body).encode()
        headers["Content-Type"] = _JSON_TYPE
    if answer.status != 204:
        headers["Content-Length"] = str(len(body))
    return Response(answer.status, headers, body)


def body_of(exchange: Exchange, members: Mapping[str, Member] = VIRTUAL_MACHINE) -> Json:
    """Read and judge the body of a request that writes a VM, or what else has these *members*.

    Raises:
        ArmError: it is too large, no JSON, or not of a VM's form.
    """
    body, text = read_json(exchange.request.body)
    return checked(body, text, members)


def read_json(raw: bytes) -> tuple[Any, str]:
    """Read a body, and give it with its text. What is read can be written again.

    Raises:
        ArmError: it is too large, or no JSON.
    """
    if len(raw) > _BODY_LIMIT:
        raise arm_error("large-content")
    try:
        text = raw.decode()
        value = json.loads(text, parse_constant=_no_constant, parse_int=_int, parse_float=_float)
        _check_depth([value])
        if "\\u" in text:  # half of a character, in two escapes, is none
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        reason = (
            f"Unable to translate bytes to text in UTF-8. Path '', line 1, position {error.start}."
        )
    except UnicodeEncodeError as error:
        character = f"\\u{ord(error.object[error.start]):04x}"
        reason = f"Unable to translate Unicode character {character} to text in UTF-8. {_START}."
    except json.JSONDecodeError as error:
        reason = _parse_reason(error)
    except ValueError as error:
        reason = str(error)
    except RecursionError:
        reason = f"The reader's MaxDepth of {_DEPTH_LIMIT} has been exceeded. {_START}."
    else:
        return value, text
    raise arm_error("bad-content", reason=reason)
