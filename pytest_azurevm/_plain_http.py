"""Plain HTTP reaches the fake too: requests (through ``responses``), httpx, and urllib.

What is not meant for Azure goes on its way, and mocks of the test's own go first: a mock of
``responses``, whenever it was started, answers what it knows, also of Azure's URLs; what it does
not know of these is answered by the fake instead of being refused.

urllib's requests are answered below ``http.client``, so that whatever builds on that is served as
well. Not served, and hence refused: urllib3 and aiohttp without anything above them.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from http.client import responses as reasons
from typing import Any, Protocol

from pytest_azurevm._guard import asking
from pytest_azurevm._hosts import is_served
from pytest_azurevm._http import AnswerLost, Request, Response
from pytest_azurevm._swaps import Swaps
from pytest_azurevm._transport import Link, current_caller

FarEnd = Callable[[str, str], "Link | None"]


def install(swaps: Swaps, far_end: FarEnd) -> None:
    """Let plain HTTP reach what *far_end* gives for a method and URL."""
    swaps.when_imported("requests", lambda _module: _in_requests(swaps, far_end))
    swaps.when_imported("httpx", lambda module: _in_httpx(swaps, far_end, module))
    swaps.wrap(http.client.HTTPConnection, "connect", _connecting(far_end, "http"))
    swaps.wrap(http.client.HTTPSConnection, "connect", _connecting(far_end, "https"))


# --- requests -------------------------------------------------------------------------------------

_asked_beneath: ContextVar[bool] = ContextVar("azurevm_asked_beneath", default=False)


def _in_requests(swaps: Swaps, far_end: FarEnd) -> None:
    import responses
    from requests.adapters import HTTPAdapter
    from responses.registries import FirstMatchRegistry

    beneath = HTTPAdapter.send

    class _Azure(FirstMatchRegistry):
        """Knows every request that the fake answers, and no other."""

        def find(self, request: Any) -> tuple[Any, list[str]]:
            link = far_end(request.method, request.url)
            if link is None:
                return None, []
            answer = responses.CallbackResponse(
                request.method, request.url, lambda asked: _answered_to_requests(link, asked)
            )
            return answer, []

    class _Mock(responses.RequestsMock):
        def _on_request(
            self, adapter: Any, request: Any, *, retries: Any = None, **kwargs: Any
        ) -> Any:
            if retries is not None:
                # responses tries again at once; urllib3 itself sleeps, and a fake's time is cheap.
                retries.sleep(request.azurevm_answer)
            return super()._on_request(adapter, request, retries=retries, **kwargs)

    def pass_on(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        with asking(request.method, request.url):
            return beneath(adapter, request, *args, **kwargs)

    mock = _Mock(
        assert_all_requests_are_fired=False,
        registry=_Azure,
        passthru_prefixes=(re.compile(""),),  # type: ignore[arg-type]  # patterns are taken too
        real_adapter_send=pass_on,
    )
    answer = mock.unbound_on_send()

    @wraps(beneath)
    def send(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        # A mock that was there before the fake is asked first; it hands back what it does not know.
        if beneath.__module__ == "responses" and not _asked_beneath.get():
            token = _asked_beneath.set(True)
            try:
                return beneath(adapter, request, *args, **kwargs)
            finally:
                _asked_beneath.reset(token)
        return answer(adapter, request, *args, **kwargs)

    def handing_on(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def on_request(theirs: Any, adapter: Any, request: Any, **kwargs: Any) -> Any:
            if theirs is mock or not is_served(request.url):
                return original(theirs, adapter, request, **kwargs)
            request.params = theirs._parse_request_params(request.path_url)  # noqa: SLF001
            request.req_kwargs = kwargs
            if any(known.matches(request)[0] for known in theirs.registered()):
                return original(theirs, adapter, request, **kwargs)
            return send(adapter, request, **kwargs)

        return on_request

    swaps.exchange(HTTPAdapter, "send", send)
    swaps.wrap(responses.RequestsMock, "_on_request", handing_on)


def _answered_to_requests(link: Link, asked: Any) -> Any:
    import requests
    from urllib3 import HTTPResponse
    from urllib3.exceptions import ProtocolError

    body = asked.body or b""
    try:
        response = _handle(link, asked.method, asked.url, asked.headers, body)
    except AnswerLost as lost:
        if lost.how == "timeout":
            return requests.ReadTimeout("Read timed out. (read timeout=None)", request=asked)
        reset = ProtocolError("Connection aborted.", ConnectionResetError(104, _RESET))
        return requests.ConnectionError(reset, request=asked)
    asked.azurevm_answer = HTTPResponse(headers=response.headers, status=response.status)
    return response.status, response.headers, response.body


_RESET = "Connection reset by peer"


def _handle(link: Link, method: str, url: str, headers: Any, body: bytes | str) -> Response:
    raw = body.encode() if isinstance(body, str) else bytes(body)
    return link.handle(Request(method, url, dict(headers), raw, current_caller()))


# --- httpx ----------------------------------------------------------------------------------------


def _in_httpx(swaps: Swaps, far_end: FarEnd, httpx: Any) -> None:
    def answered(link: Link, request: Any, body: bytes) -> Any:
        try:
            response = _handle(link, request.method, str(request.url), request.headers, body)
        except AnswerLost as lost:
            if lost.how == "timeout":
                raise httpx.ReadTimeout("The read operation timed out", request=request) from None
            raise httpx.ReadError(f"[Errno 104] {_RESET}", request=request) from None
        return httpx.Response(response.status, headers=response.headers, content=response.body)

    def handling(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def handle_request(transport: Any, request: Any) -> Any:
            url = str(request.url)
            link = far_end(request.method, url)
            if link is None:
                with asking(request.method, url):
                    return original(transport, request)
            return answered(link, request, request.read())

        return handle_request

    def handling_in_task(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            url = str(request.url)
            link = far_end(request.method, url)
            if link is None:
                with asking(request.method, url):
                    return await original(transport, request)
            return answered(link, request, await request.aread())

        return handle_async_request

    swaps.wrap(httpx.HTTPTransport, "handle_request", handling)
    swaps.wrap(httpx.AsyncHTTPTransport, "handle_async_request", handling_in_task)


# --- http.client, and urllib above it -------------------------------------------------------------


class _Connection(Protocol):
    host: str
    port: int
    sock: Any


def _connecting(
    far_end: FarEnd, scheme: str
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    def wrapper(original: Callable[[Any], None]) -> Callable[[Any], None]:
        @wraps(original)
        def connect(connection: _Connection) -> None:
            base = f"{scheme}://{connection.host}"
            if far_end("CONNECT", base) is None:
                with asking("CONNECT", base):
                    original(connection)
            else:
                connection.sock = _Wire(base, far_end)

        return connect

    return wrapper


class _Wire:
    """Looks like a socket whose other end is the fake. One request, and its answer, at a time."""

    def __init__(self, base: str, far_end: FarEnd) -> None:
        self._base = base
        self._far_end = far_end
        self._sent = bytearray()

    def sendall(self, data: bytes) -> None:
        self._sent += data

    def makefile(self, _mode: str) -> io.BufferedIOBase:
        """Give the answer to what was sent, as bytes on the wire."""
        reader = io.BytesIO(bytes(self._sent))
        self._sent.clear()
        method, target, _version = reader.readline().decode("iso-8859-1").split()
        headers = http.client.parse_headers(reader)
        chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        body = _unchunked(reader) if chunked else reader.read()
        url = target if "://" in target else self._base + target
        link = self._far_end(method, url)
        assert link is not None  # this wire was made for its host
        try:
            response = _handle(link, method, url, headers, body)
        except AnswerLost as lost:
            if lost.how == "timeout":
                raise socket.timeout("The read operation timed out") from None  # noqa: UP041
            raise ConnectionResetError(104, _RESET) from None
        lines = [f"HTTP/1.1 {response.status} {reasons.get(response.status, '')}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        return io.BytesIO("\r\n".join([*lines, "", ""]).encode() + response.body)

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing here takes time."""

    def setsockopt(self, *_option: Any) -> None:
        """Nothing here has options."""

    def close(self) -> None:
        """Nothing to close."""


def _unchunked(reader: io.BytesIO) -> bytes:
    body = bytearray()
    while size := int(reader.readline().partition(b";")[0], 16):
        body += reader.read(size)
        reader.readline()
    return bytes(body)
