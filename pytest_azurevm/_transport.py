"""azure-core ends here: its requests are answered in-process, by transports of our own or its.

``send`` answers from the ``Front`` and never waits; ``sleep`` sleeps on the clock. Answers are of
azure-core's own response classes, around a ``requests.Response``, so that whatever reads them finds
what it finds in production.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from http.client import responses as reasons
from threading import get_ident
from types import FrameType
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import requests
from azure.core import exceptions
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import (
    AsyncHttpTransport,
    AsyncioRequestsTransportResponse,
    HttpTransport,
    RequestsTransportResponse,
)
from azure.core.rest import HttpRequest as RestHttpRequest
from azure.core.rest._requests_asyncio import RestAsyncioRequestsTransportResponse
from azure.core.rest._requests_basic import RestRequestsTransportResponse

from pytest_azurevm._front import Front
from pytest_azurevm._http import AnswerLost, Request, Response
from pytest_azurevm._loops import Loops
from pytest_azurevm._timekeeper import Timekeeper
from pytest_azurevm._trio import current_task

_BLOCK_SIZE = 4096
_NEVER = 253_402_300_799  # the last second of the year 9999


class Link:
    """What a transport needs of a fake: its front and the clock in force."""

    in_force: ClassVar[Link | None] = None  # that of the fake which clients built anywhere reach

    def __init__(
        self,
        front: Callable[[], Front],
        clock: Callable[[], Timekeeper],
        loops: Callable[[], Loops],
    ) -> None:
        self._front = front
        self._clock = clock
        self._loops = loops

    @property
    def clock(self) -> Timekeeper:
        """The clock in force."""
        return self._clock()

    @property
    def loops(self) -> Loops:
        """The event loops that sleep on it."""
        return self._loops()

    def handle(self, request: Request) -> Response:
        """Answer a request, whoever brings it.

        Raises:
            AnswerLost: the answer is injected to be lost on its way.
            AzureOutOfReach: it asks for something that is not served.
        """
        return self._front().handle(request)

    def send(self, request: Any) -> Any:
        """Answer an azure-core request, of either of its two kinds, that this thread makes."""
        found, response = self._answer(request, get_ident())
        if not isinstance(request, RestHttpRequest):
            return RequestsTransportResponse(request, found, _BLOCK_SIZE)
        answer = RestRequestsTransportResponse(  # type: ignore[no-untyped-call]
            request=request, internal_response=found, block_size=_BLOCK_SIZE
        )
        answer._content = response.body  # noqa: SLF001  as azure-core's own transport leaves it
        return answer

    def send_from_task(self, request: Any) -> Any:
        """Do the same for a request that this task makes."""
        found, response = self._answer(request, current_caller())
        of_rest, of_old = _response_classes()
        if not isinstance(request, RestHttpRequest):
            return of_old(request, found, _BLOCK_SIZE)
        answer = of_rest(request=request, internal_response=found, block_size=_BLOCK_SIZE)
        answer._content = response.body  # noqa: SLF001  as azure-core's own transport leaves it
        return answer

    def _answer(self, request: Any, caller: object) -> tuple[Any, Response]:
        try:
            response = self.handle(
                Request(request.method, request.url, request.headers, _body_of(request), caller)
            )
        except AnswerLost as lost:
            kind, message = _LOST[lost.how]
            raise kind(message) from None
        found = requests.Response()
        found.status_code = response.status
        found.headers.update(response.headers)
        found.reason = reasons.get(response.status, "")
        found.url = request.url
        found._content = response.body  # noqa: SLF001  requests has no other way in
        found._content_consumed = True  # noqa: SLF001
        found.azurevm_link = self  # type: ignore[attr-defined]  # by which pollers know us
        return found, response

    def sleep(self, duration: float) -> None:
        """Sleep for virtual seconds, for a transport's ``sleep``: between polls, before retries."""
        self.clock.sleep(duration, polling=_polls(sys._getframe(2)))  # noqa: SLF001

    def sleep_in_task(self, duration: float) -> Coroutine[Any, Any, None]:
        """Do the same in a task."""
        return self.loops.sleep(duration, polling=_polls(sys._getframe(2)))  # noqa: SLF001


# What azure-core's own transports make of these; the second has a name of its own since 1.33.
_RESET: Final = "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"
_LOST: Final = {
    "reset": (exceptions.ServiceResponseError, _RESET),
    "timeout": (
        getattr(exceptions, "ServiceResponseTimeoutError", exceptions.ServiceResponseError),
        "Read timed out. (read timeout=300)",
    ),
}


class FakeTransport(HttpTransport[Any, Any]):
    """A synchronous transport whose far end is the fake."""

    def __init__(self, link: Link) -> None:
        self.azurevm_link = link

    def open(self) -> None:
        """Nothing to open: no socket is used."""

    def close(self) -> None:
        """Nothing to close."""

    def __exit__(self, *_args: object) -> None:
        self.close()

    def send(self, request: Any, **_kwargs: Any) -> Any:
        """Answer *request* in-process."""
        return self.azurevm_link.send(request)

    def sleep(self, duration: float) -> None:
        """Sleep for virtual seconds: between polls, and before retries."""
        self.azurevm_link.sleep(duration)


class AsyncFakeTransport(AsyncHttpTransport[Any, Any]):
    """The same for event loops. Needs no aiohttp."""

    def __init__(self, link: Link) -> None:
        self.azurevm_link = link

    async def open(self) -> None:
        """Nothing to open: no socket is used."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *_args: object) -> None:
        await self.close()

    async def send(self, request: Any, **_kwargs: Any) -> Any:
        """Answer *request* in-process."""
        return self.azurevm_link.send_from_task(request)

    async def sleep(self, duration: float) -> None:
        """Sleep for virtual seconds: between polls, and before retries."""
        await self.azurevm_link.sleep_in_task(duration)


class FakeCredential:
    """A credential that signs nobody in."""

    def get_token(self, *_scopes: str, **_kwargs: Any) -> AccessToken:
        """Give a token that no one will ever look at."""
        return AccessToken("fake", _NEVER)


class AsyncFakeCredential:
    """The same for event loops."""

    async def get_token(self, *_scopes: str, **_kwargs: Any) -> AccessToken:
        """Give a token that no one will ever look at."""
        return AccessToken("fake", _NEVER)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> AsyncFakeCredential:
        return self

    async def __aexit__(self, *_args: object) -> None:
        await self.close()


def current_caller() -> object:
    """Tell tasks apart, or (under a loop of yet another make) threads."""
    of_trio = current_task()
    if of_trio is not None:
        return id(of_trio)
    try:
        return id(asyncio.current_task())
    except RuntimeError:
        return get_ident()


def _response_classes() -> tuple[Any, Any]:
    """Give azure-core's classes of responses for the loop that runs: asyncio's kind, or trio's."""
    if current_task() is None:
        return RestAsyncioRequestsTransportResponse, AsyncioRequestsTransportResponse
    from azure.core.pipeline.transport import TrioRequestsTransportResponse
    from azure.core.rest._requests_trio import RestTrioRequestsTransportResponse

    return RestTrioRequestsTransportResponse, TrioRequestsTransportResponse


def _polls(caller: FrameType) -> bool:
    """Whether it is a poller that sleeps, which only looks; a retry goes on to do something."""
    module = str(caller.f_globals.get("__name__", ""))
    return module.startswith(("azure.core.polling.", "azure.mgmt.core.polling."))


def _body_of(request: Any) -> bytes:
    content = request.content if isinstance(request, RestHttpRequest) else request.data
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    if isinstance(content, Mapping):  # a form
        return urlencode(content, doseq=True).encode()
    if hasattr(content, "read"):
        read: bytes | str = content.read()
        return read.encode() if isinstance(read, str) else read
    if isinstance(content, Iterable):
        return b"".join(content)
    raise TypeError(f"cannot send a body of type {type(content).__name__}")
