"""Plain HTTP reaches the fake too: whatever builds on http.client, urllib3, httpcore or aiohttp.

That is requests, httpx, urllib and many more. They are met where they connect: what they get is no
socket but a ``Wire``, so that everything which they do above it is done as in production. What is
not meant for Azure, and what is Azure's but not served, goes on its way.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from typing import Any, Protocol

from pytest_azurevm._guard import asking, what_asks
from pytest_azurevm._hosts import host_of, is_served, part_of_url
from pytest_azurevm._http import AnswerLost
from pytest_azurevm._swaps import Swaps, genuine
from pytest_azurevm._transport import current_caller
from pytest_azurevm._wire import RESET, TIMEOUT, FarEnd, Wire

_Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Exchange:
    """Connects to the fake, or lets others connect.

    Args:
        far_end: gives the fake that answers a method and a URL.
        check: refuses a host that must not be reached.
    """

    def __init__(self, far_end: FarEnd, check: Callable[[str], None]) -> None:
        self._far_end = far_end
        self._check = check

    def connect(self, base: str) -> Wire | None:
        """Give a connection to *base*, or through it, where it is a proxy, to what is asked for.

        Raises:
            AzureOutOfReach: that is Azure's, and not served.
        """
        method, _, url = what_asks().partition(" ")
        if not url or (
            is_served(base) and not is_served(url)
        ):  # asked for while another request is
            method, url = "CONNECT", base
        if self._far_end(method, url) is not None:
            return Wire(base, self._far_end, current_caller())
        self._check(host_of(url))
        return None


def install(swaps: Swaps, far_end: FarEnd, check: Callable[[str], None]) -> None:
    """Let plain HTTP reach what *far_end* gives for a method and URL.

    *check* refuses a host that must not be reached.
    """
    exchange = _Exchange(far_end, check)

    def connections(module: Any) -> None:
        for name, scheme in (("HTTPConnection", "http"), ("HTTPSConnection", "https")):
            owner = genuine(getattr(module, name))
            swaps.wrap(owner, "connect", _connecting(exchange, scheme))

    connections(http.client)
    swaps.wrap(genuine(http.client.HTTPConnection), "putrequest", _asking_of_http_client)
    await_ = partial(swaps.when_imported, may_differ=True)
    await_("urllib3.connection", connections)
    await_("urllib3.connectionpool", lambda module: _asking_of_urllib3(swaps, module))
    await_("httpcore", lambda module: _in_httpcore(swaps, exchange, module))
    await_("httpx", lambda module: _asking_of_httpx(swaps, module))
    await_("aiohttp.connector", lambda module: _in_aiohttp(swaps, exchange, module))


# --- http.client, and urllib3 above it ------------------------------------------------------------


class _Connection(Protocol):
    host: str
    sock: Any
    is_verified: bool
    _tunnel_host: str | None


def _asking_of_http_client(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def putrequest(connection: Any, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # It connects when the headers end. What it is connected to already may be a proxy.
        if "://" in url and part_of_url(url) is not None and connection.sock is not None:
            connection.sock.close()
            connection.sock = None
        connection.azurevm_asks = (method, url)
        original(connection, method, url, *args, **kwargs)

    return putrequest


def _connecting(exchange: _Exchange, scheme: str) -> _Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def connect(connection: _Connection) -> None:
            base = f"{scheme}://{connection._tunnel_host or connection.host}"  # noqa: SLF001
            method, url = getattr(connection, "azurevm_asks", ("CONNECT", ""))
            whole = url if "://" in url else base + url
            with nullcontext() if what_asks() else asking(method, whole):
                wire = exchange.connect(base)
                if wire is None:
                    original(connection)
                    return
            connection.sock = _Socket(wire, connection)
            connection.is_verified = scheme == "https"  # urllib3 warns of one that is not

        connect.reaches_the_fake = True  # type: ignore[attr-defined]  # the guard lets tunnels pass
        return connect

    return wrapper


class _Socket:
    """Looks like a socket. One request, and it is gone: the next one connects anew."""

    def __init__(self, wire: Wire, connection: _Connection) -> None:
        self._wire = wire
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        self._wire.send(data)

    def makefile(self, _mode: str) -> io.BufferedIOBase:
        """Give the answer to what was sent."""
        try:
            return io.BytesIO(self._wire.answer())
        except AnswerLost as lost:
            if lost.how == "timeout":
                raise socket.timeout(TIMEOUT) from None  # noqa: UP041  another class in 3.10
            raise ConnectionResetError(*RESET) from None
        finally:
            # Nobody finds it later, when the fake may have ended, or looks whether it is alive.
            self._connection.sock = None

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing here takes time."""

    def setsockopt(self, *_option: Any) -> None:
        """Nothing here has options."""

    def shutdown(self, _how: int) -> None:
        """Nothing to shut down."""

    def close(self) -> None:
        """Nothing to close."""


def _asking_of_urllib3(swaps: Swaps, module: Any) -> None:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def urlopen(pool: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            with asking(method, url if "://" in url else f"{pool.scheme}://{pool.host}{url}"):
                return original(pool, method, url, *args, **kwargs)

        return urlopen

    swaps.wrap(module.HTTPConnectionPool, "urlopen", wrapper)


# --- httpcore, and httpx above it -----------------------------------------------------------------


def _in_httpcore(swaps: Swaps, exchange: _Exchange, httpcore: Any) -> None:
    def answered(wire: Wire) -> bytes:
        try:
            return wire.answer()
        except AnswerLost as lost:
            if lost.how == "timeout":
                raise httpcore.ReadTimeout(TIMEOUT) from None
            raise httpcore.ReadError(str(ConnectionResetError(*RESET))) from None

    class _Stream(httpcore.NetworkStream):  # type: ignore[misc]
        def __init__(self, wire: Wire) -> None:
            self._wire = wire
            self._answer: io.BytesIO | None = None

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
            if self._answer is None:
                self._answer = io.BytesIO(answered(self._wire))
            return self._answer.read(max_bytes)

        def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
            self._answer = None
            self._wire.send(buffer)

        def close(self) -> None:
            pass

        def start_tls(self, *_args: Any, **_kwargs: Any) -> _Stream:
            self._wire.secure()
            return self

        def get_extra_info(self, info: str) -> Any:
            # After one request it looks like one that its server has closed, and is not used again.
            return True if info == "is_readable" else None

    class _AsyncStream(httpcore.AsyncNetworkStream):  # type: ignore[misc]
        def __init__(self, wire: Wire) -> None:
            self._inner = _Stream(wire)

        async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, timeout)

        async def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, timeout)

        async def aclose(self) -> None:
            pass

        async def start_tls(self, *_args: Any, **_kwargs: Any) -> _AsyncStream:
            self._inner.start_tls()
            return self

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    def connecting(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def connect_tcp(backend: Any, host: str, *args: Any, **kwargs: Any) -> Any:
            wire = exchange.connect(f"http://{host}")
            return original(backend, host, *args, **kwargs) if wire is None else _Stream(wire)

        return connect_tcp

    def connecting_in_task(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def connect_tcp(backend: Any, host: str, *args: Any, **kwargs: Any) -> Any:
            wire = exchange.connect(f"http://{host}")
            if wire is None:
                return await original(backend, host, *args, **kwargs)
            return _AsyncStream(wire)

        return connect_tcp

    from httpcore._backends.auto import AutoBackend  # no public name; the default of every pool

    swaps.wrap(httpcore.SyncBackend, "connect_tcp", connecting)
    swaps.wrap(AutoBackend, "connect_tcp", connecting_in_task)


def _asking_of_httpx(swaps: Swaps, httpx: Any) -> None:
    def handling(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def handle_request(transport: Any, request: Any) -> Any:
            with asking(request.method, str(request.url)):
                return original(transport, request)

        return handle_request

    def handling_in_task(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            with asking(request.method, str(request.url)):
                return await original(transport, request)

        return handle_async_request

    swaps.wrap(httpx.HTTPTransport, "handle_request", handling)
    swaps.wrap(httpx.AsyncHTTPTransport, "handle_async_request", handling_in_task)


# --- aiohttp --------------------------------------------------------------------------------------


def _in_aiohttp(swaps: Swaps, exchange: _Exchange, module: Any) -> None:
    def creating(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def _create_connection(connector: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
            wire = exchange.connect(f"{req.url.scheme}://{req.url.host}")
            if wire is None:
                return await original(connector, req, *args, **kwargs)
            protocol = connector._factory()  # noqa: SLF001
            protocol.connection_made(_Transport(wire, protocol))
            protocol.force_close()  # after one request, lest it be found when the fake has ended
            return protocol

        return _create_connection

    swaps.wrap(module.TCPConnector, "_create_connection", creating)


class _Transport(asyncio.Transport):
    """Looks like a socket's transport, for one request."""

    def __init__(self, wire: Wire, protocol: Any) -> None:
        super().__init__()
        self._wire = wire
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._wire.send(bytes(data))
        if not self._wire.has_request:
            return
        try:
            answer = self._wire.answer()
        except AnswerLost as lost:
            if lost.how == "timeout":
                self._loop.call_soon(self._protocol._on_read_timeout)  # noqa: SLF001
            else:
                self._loop.call_soon(self._protocol.connection_lost, ConnectionResetError(*RESET))
        except Exception as error:  # else it is taken for trouble with the network
            self._loop.call_soon(self._protocol.set_exception, error)
        else:
            self._loop.call_soon(self._protocol.data_received, answer)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """All has been read."""

    def resume_reading(self) -> None:
        """All has been read."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""
