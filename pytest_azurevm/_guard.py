"""Nothing that is meant for Azure leaves the process.

The last line, below every library and every mock of the test's own: names are looked up and
addresses connected to here. What is asked for is known by its host alone then; whoever passed a
request on, having seen its URL, has said so (``asking``).

It holds while a fake is active, and after that for whatever the fake's time left running: a thread
or task in the midst of something would otherwise go on with Azure itself where its fake has ended.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final
from weakref import WeakSet

from pytest_azurevm._hosts import SERVED, AzureOutOfReach, part_of, part_of_url
from pytest_azurevm._swaps import Swaps, genuine

_LOOK_UPS: Final = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
_NAME_SERVICE: Final = 53  # the port
_asking: ContextVar[str] = ContextVar("azurevm_asking", default="")


class Guard:
    """Which requests are kept back: everybody's, or only those of what was left running."""

    def __init__(self) -> None:
        self._before = WeakSet(threading.enumerate())
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._left: WeakSet[Any] | None = None  # threads and tasks, once the fake is over

    def install(self, swaps: Swaps) -> None:
        """Stand before every way out of the process."""
        for name in _LOOK_UPS:
            swaps.wrap(socket, name, self._looking_up)
        for name in ("connect", "connect_ex"):
            swaps.wrap(socket.socket, name, self._connecting)
        swaps.wrap(socket.socket, "sendto", self._sending_to)
        swaps.wrap(genuine(http.client.HTTPConnection), "set_tunnel", self._tunnelling)
        swaps.when_imported(
            "aiohttp.connector",
            lambda module: swaps.wrap(module.TCPConnector, "connect", self._connecting_aiohttp),
            may_differ=True,
        )

    # --- what a fake's time leaves running -----------------------------------------------------

    def note_loop(self) -> None:
        """Remember the event loop that somebody asks in, if it is one of asyncio's."""
        loop = asyncio._get_running_loop()  # noqa: SLF001  documented; None under another library
        if loop is not None:
            self._loops.add(loop)

    def end(self) -> bool:
        """Keep back from now on only what is left running. Give whether anything is."""
        frames, me = sys._current_frames(), threading.current_thread()  # noqa: SLF001
        threads = [
            thread
            for thread in threading.enumerate()
            if thread is not me and thread not in self._before and _is_at_work(thread, frames)
        ]
        current = _current_task()
        tasks = [
            task
            for loop in tuple(self._loops)
            if not loop.is_closed()
            for task in asyncio.all_tasks(loop)
            if task is not current
        ]
        self._left = WeakSet([*threads, *tasks])
        return bool(self._left)

    @property
    def is_over(self) -> bool:
        """Whether the fake has ended, and everything that was left running has ended too."""
        if self._left is None:
            return False
        return all(_has_ended(one) for one in tuple(self._left))

    @property
    def keeps_back(self) -> bool:
        """Whether what the calling thread or task asks of Azure is kept back."""
        if self._left is None:
            return True
        return threading.current_thread() in self._left or _current_task() in self._left

    # --- the ways out --------------------------------------------------------------------------

    def refusal(self, asked: str) -> AzureOutOfReach:
        """Say why what was asked is not sent, and what to do."""
        part = part_of_url(asked) if "://" in asked else part_of(asked)
        if self._left is not None:
            return AzureOutOfReach(
                f"{asked} was not reached: who asks ({threading.current_thread().name}) was left "
                "running by a fake that has ended since, and Azure itself is not what it was "
                "meant for. Wait for it before the fake ends: poller.result(), thread.join(), "
                "await task."
            )
        if part in SERVED:
            return AzureOutOfReach(
                f"{asked} was not reached: it came by a way on which pytest-azurevm does not "
                "answer, and nothing that is meant for Azure leaves the process while a fake is "
                "active. It answers what goes through azure-core (every SDK client), requests, "
                "httpx, aiohttp, urllib3, or urllib: ask by one of these."
            )
        return AzureOutOfReach(
            f"{asked} was not reached: it is Azure's, but none of what pytest-azurevm serves, and "
            "nothing that is meant for Azure leaves the process while a fake is active. Let the "
            "test answer it (responses, respx, a mock of the client), or ask for it on the "
            "project's issue tracker."
        )

    def check(self, host: Any) -> None:
        """Judge a host that is about to be looked up or connected to.

        Raises:
            AzureOutOfReach: it is Azure's, or a proxy on the way there.
        """
        name = host.decode(errors="replace") if isinstance(host, bytes) else host
        if not isinstance(name, str) or not self.keeps_back:
            return
        asked = _asking.get()
        if asked and not _is_loopback(name):
            raise self.refusal(asked)
        if part_of(name) is not None:
            raise self.refusal(name)

    def _is_answered(self, name: str) -> bool:
        return self._left is None and part_of(name) in SERVED

    def _looking_up(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            self.check(host)
            return original(host, *args, **kwargs)

        return look_up

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def connect(sock: Any, address: Any) -> Any:
            if isinstance(address, tuple) and address:
                self.check(address[0])
            return original(sock, address)

        return connect

    def _sending_to(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def sendto(sock: Any, data: Any, *flags_and_address: Any) -> Any:
            address = flags_and_address[-1] if flags_and_address else None
            # The platform's address answers a name server's questions, too, about any host.
            if isinstance(address, tuple) and address and address[1:2] != (_NAME_SERVICE,):
                self.check(address[0])
            return original(sock, data, *flags_and_address)

        return sendto

    def _tunnelling(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def set_tunnel(connection: Any, host: str, *args: Any, **kwargs: Any) -> None:
            name = host.partition(":")[0]
            answered = getattr(type(connection).connect, "reaches_the_fake", False)
            if not (answered and self._is_answered(name)):
                self.check(name)
            original(connection, host, *args, **kwargs)

        return set_tunnel

    def _connecting_aiohttp(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def connect(connector: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
            # Names may be looked up by another resolver than the system's here.
            name = req.url.host or ""
            if part_of(name) is not None and self.keeps_back and not self._is_answered(name):
                raise self.refusal(f"{req.method} {req.url}")
            return await original(connector, req, *args, **kwargs)

        return connect


@contextmanager
def asking(method: str, url: str) -> Iterator[None]:
    """Tell the ways out which request it is that is under way, if it is meant for Azure."""
    token = _asking.set("" if part_of_url(url) is None else f"{method.upper()} {url}")
    try:
        yield
    finally:
        _asking.reset(token)


def what_asks() -> str:
    """Give method and URL of the request that is under way, if it is meant for Azure."""
    return _asking.get()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _is_at_work(thread: threading.Thread, frames: dict[int, Any]) -> bool:
    """Whether a thread has more to do than wait for work: code that is not Python's own runs."""
    frame = frames.get(thread.ident or 0)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in sys.stdlib_module_names and package != "pytest_azurevm":
            return True
        frame = frame.f_back
    return False


def _has_ended(one: Any) -> bool:
    return not one.is_alive() if isinstance(one, threading.Thread) else one.done()


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
