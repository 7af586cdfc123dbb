"""Requests and answers as data, and how Azure dresses them: headers, envelope, JSON."""

from __future__ import annotations

import datetime as _dt
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, unquote_plus

from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._vm_form import Json

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
    caller: object = None  # which thread or task asks: its requests follow each other


class Response(NamedTuple):
    """ARM's answer."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


NO_RESPONSE: Final = Response(0, {})


class AnswerLost(Exception):
    """No answer reaches the client: the connection is reset, or it comes too late."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Target(NamedTuple):
    """A URL, taken apart."""

    base: str  # scheme and host
    segments: tuple[str, ...]  # as sent, percent-decoded
    lowered: tuple[str, ...]
    query: Mapping[str, str]


@dataclass(slots=True)
class Exchange:
    """A request while it is being answered."""

    request: Request
    base: str
    segments: tuple[str, ...]
    lowered: tuple[str, ...]
    query: Mapping[str, str]
    api_version: str = ""
    operation: str = "other"
    vm_name: str | None = None
    counted: dict[str, str] = field(default_factory=dict)  # the header that says what is left


_NO_HEADERS: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """What ARM answers, before it is dressed."""

    status: int
    body: Json | str | None = None  # as text where it is written out already
    headers: Mapping[str, str] = _NO_HEADERS
    request_id: str | None = None
    gateway: bool = False  # the front door itself answers


def exchange_of(request: Request) -> Exchange:
    """Take a request apart."""
    return Exchange(request, *_target(request.url))


@lru_cache(maxsize=128)  # whoever polls asks the same again and again
def _target(url: str) -> Target:
    address, _, asked = url.partition("#")[0].partition("?")
    scheme, _, address = address.partition("://")
    host, _, path = address.partition("/")
    segments = tuple([segment for segment in path.split("/") if segment])
    if "%" in path:
        segments = tuple([unquote(segment) for segment in segments])
    query = {}
    for pair in asked.split("&"):
        key, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            key, value = unquote_plus(key), unquote_plus(value)
        # Azure takes query names in any case; the ones that are read here have one spelling each.
        query[_QUERY_NAMES.get(key.lower(), key)] = value
    lowered = tuple([segment.lower() for segment in segments])
    return Target(f"{scheme.lower()}://{host}", segments, lowered, query)


_QUERY_NAMES: Final = {
    name.lower(): name
    for name in (
        "api-version", "$expand", "$filter", "$skiptoken", "$top", "statusOnly", "monitor",
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


def error_answer(error: ArmError, counted: Mapping[str, str] = _NO_HEADERS) -> Answer:
    """Give the answer that carries *error*: details first, if there are any [rec].

    *counted* is the header that says what is left: the front door does not tell [rec].

    The front door names the target before the message, the compute provider after it [seen].
    """
    inner: Json = {}
    if error.details or error.shows_details:
        inner["details"] = list(error.details)
    if error.inner is not None:
        inner["innererror"] = dict(error.inner)
    target = {} if error.target is None else {"target": error.target}
    if error.gateway:
        inner |= {"code": error.code, **target, "message": error.message}
    else:
        inner |= {"code": error.code, "message": error.message, **target}
    if error.additional_info:
        inner["additionalInfo"] = list(error.additional_info)
    headers = error.headers if error.gateway else {**counted, **error.headers}
    return Answer(error.status, {"error": inner}, headers, gateway=error.gateway)


_DAYS: Final = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@lru_cache(maxsize=64)
def _stamp_and_date(now: _dt.datetime) -> tuple[str, str]:
    """Give an instant as Azure's routing ids and as HTTP's ``Date`` have it."""
    text = now.isoformat(timespec="seconds")
    year, month, day, time = text[:4], text[5:7], text[8:10], text[11:19]
    date = f"{_DAYS[now.weekday()]}, {day} {_MONTHS[now.month - 1]} {year} {time} GMT"
    return f"WESTEUROPE:{year}{month}{day}T{time.replace(':', '')}Z", date


# What is answered never holds itself, so that nobody needs to look for that.
_dump: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":")
).encode


def correlation_id_of(number: int) -> str:
    """Give what the *number*-th answer of a run is known by."""
    return f"00000000-0000-4000-8000-{number:012x}"


def dressed(answer: Answer, *, number: int, now: _dt.datetime) -> Response:
    """Give *answer*, the *number*-th of this run, with Azure's headers and its JSON."""
    stamp, date = _stamp_and_date(now)
    serial = f"{number:012x}"
    correlation_id = correlation_id_of(number)
    # The first answer of an operation carries the operation's id; at the front door both ids are
    # one [rec].
    request_id = answer.request_id or (
        correlation_id if answer.gateway else f"00000000-0000-4000-9000-{serial}"
    )
    headers = {
        **_STANDARD_HEADERS,
        **answer.headers,
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": correlation_id,
        "x-ms-routing-request-id": f"{stamp}:{correlation_id}",
        "Date": date,
    }
    if answer.gateway:
        headers["x-ms-failure-cause"] = "gateway"
    else:
        headers["Server"] = "Microsoft-HTTPAPI/2.0"
    body = b""
    if answer.body is not None:
        text = answer.body if isinstance(answer.body, str) else _dump(answer.body)
        body = text.encode()
        headers["Content-Type"] = _JSON_TYPE
    if answer.status != 204:
        headers["Content-Length"] = str(len(body))
    return Response(answer.status, headers, body)


UNANSWERED: Final = ("reset", "timeout")
_PAGE: Final = (
    b"<!DOCTYPE html>\r\n<html>\r\n    <head>\r\n        <title>Runtime Error</title>\r\n"
    b"    </head>\r\n    <body>\r\n        <h1>Server Error in '/' Application.</h1>\r\n"
    b"    </body>\r\n</html>\r\n"
)


def garbled(response: Response, how: str) -> Response:
    """Give what is left of *response* on its way: half of it, nothing, or a web server's page.

    The page's form is that of one that was seen in the place of an operation's document
    [seen Azure/azure-sdk-for-python#1431].
    """
    garbling = {"truncated": response.body[: len(response.body) // 2], "empty": b"", "html": _PAGE}
    if how not in garbling:
        return response
    headers = {**response.headers, "Content-Length": str(len(garbling[how]))}
    if how == "html":
        headers["Content-Type"] = "text/html; charset=utf-8"
    return Response(response.status, headers, garbling[how])


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
