"""The SDK's pollers, made exact: their threads and the clock know of each other.

An ``LROPoller`` polls on a thread of its own. While a fake is active, the class's methods are
wrapped, and for pollers whose operation a fake has begun they settle with the clock:
``begin_*`` returns once the new thread has looked for the first time and rests, ``wait`` and
``result`` wait for virtual time, and ``done`` is exact at every instant. Any other poller is left
as it is, and all is put back when the last fake ends.

``AsyncLROPoller`` has no thread, and needs nothing of this but an end: one that is awaited when its
fake is over must not go on with Azure.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final, cast
from urllib.parse import urlsplit
from weakref import ref

from azure.core.polling import AsyncLROPoller, LROPoller

from pytest_azurevm._hosts import is_served
from pytest_azurevm._rest import FakeClosed, LeftRunning, Ours, ThreadEnded
from pytest_azurevm._timekeeper import Timekeeper
from pytest_azurevm._transport import Link

_MARK: Final = "_azurevm_clock"
_BEGUN: Final = "_azurevm_begun"
_OURS: Final = "_azurevm_thread"
_LINK: Final = "azurevm_link"
_AZURE_CORES: Final = "azure.core.pipeline.transport."
# What stands on the stack between whoever begins an operation and its poller.
_BETWEEN: Final = ("azure", "contextlib", "functools", "pytest_azurevm", "typing")
_lock = threading.Lock()
_users = 0
_originals: dict[tuple[type[Any], str], Callable[..., Any]] = {}


def install() -> None:
    """Wrap the poller's methods, unless they are wrapped already."""
    global _users  # noqa: PLW0603  a class has one set of methods, so this is one for the process
    with _lock:
        _users += 1
        if _users > 1:
            return
        for (owner, name), wrapper in _WRAPPERS.items():
            _originals[owner, name] = getattr(owner, name)
            setattr(owner, name, wrapper(_originals[owner, name]))


def uninstall() -> None:
    """Put the poller's methods back, once nobody needs them wrapped."""
    global _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        if _users:
            return
        for (owner, name), original in _originals.items():
            setattr(owner, name, original)
        _originals.clear()


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def __init__(poller: Any, client: Any, begun: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        clock = _clock_behind(client, begun)
        if clock is None:
            original(poller, client, begun, *args, **kwargs)
            return
        setattr(poller, _MARK, clock)
        setattr(poller, _BEGUN, _begun())
        ours = Ours()
        setattr(poller, _OURS, ours)
        try:
            clock.expect(ours)
            original(poller, client, begun, *args, **kwargs)
            clock.settle(ours, poller._thread)  # noqa: SLF001
        except BaseException:
            # Ctrl-C may come at any moment, so that there is a thread, or none yet, or never any.
            clock.forget(ours, poller.__dict__.get("_thread"))
            raise

    return __init__


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def _start(poller: Any) -> None:
        clock = _clock_of(poller)
        if clock is None:
            original(poller)
            return

        def begun() -> LeftRunning:
            return LeftRunning(_described(poller), *getattr(poller, _BEGUN))

        polls = poller._done.is_set  # noqa: SLF001  set before the callbacks run
        try:
            with clock.our_thread(getattr(poller, _OURS), begun, polls=lambda: not polls()):
                original(poller)
        except ThreadEnded as ended:
            poller._exception = ended.args[0]  # noqa: SLF001
            poller._done.set()  # noqa: SLF001  where it ended before it began

    return _start


def _wait(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def wait(poller: Any, timeout: float | None = None, **kwargs: Any) -> None:
        clock, thread = _clock_of(poller), poller._thread  # noqa: SLF001
        if clock is not None and thread not in (None, threading.current_thread()):
            ours = clock.wait_for_thread(thread, timeout, who=partial(_described, poller))
            if ours:
                timeout = None if clock.has_ended(thread) else 0
        original(poller, timeout, **kwargs)

    return wait


def _done(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def done(poller: Any) -> bool:
        clock = _clock_of(poller)
        if clock is not None:
            clock.sync()
            clock.has_ended(poller._thread)  # noqa: SLF001  one that has ended is seen out
        finished: bool = original(poller)
        return finished

    return done


def _status(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def status(poller: Any) -> str:
        clock = _clock_of(poller)
        if clock is not None:
            clock.sync()
        found: str = original(poller)
        return found

    return status


def _init_in_task(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def __init__(poller: Any, client: Any, begun: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(poller, client, begun, *args, **kwargs)
        link = _link_behind(client, begun)
        if link is None:
            return
        clock, this = link.clock, ref(poller)

        async def wait() -> None:
            poller: Any = this()  # it is called by nobody who does not have it
            if clock.is_closed and poller.done():
                return  # where another wait would ask for the result again
            if clock.is_closed:
                raise FakeClosed(
                    f"{_described(poller)}: the fake that this poller asks has ended. Await it "
                    "before that: await poller.result()."
                )
            await type(poller).wait(poller)

        poller.wait = wait  # its own, so that it is there when the class has been put back

    return __init__


_WRAPPERS: Final[
    dict[tuple[type[Any], str], Callable[[Callable[..., Any]], Callable[..., Any]]]
] = {
    (LROPoller, "__init__"): _init,
    (LROPoller, "_start"): _start,
    (LROPoller, "wait"): _wait,
    (LROPoller, "done"): _done,
    (LROPoller, "status"): _status,
    (AsyncLROPoller, "__init__"): _init_in_task,
}


def _clock_of(poller: Any) -> Timekeeper | None:
    found: Timekeeper | None = poller.__dict__.get(_MARK)
    return found


def _clock_behind(client: Any, begun: Any) -> Timekeeper | None:
    link = _link_behind(client, begun)
    return None if link is None else link.clock


def _link_behind(client: Any, begun: Any) -> Link | None:
    """Give the link to the fake that is polled, if it is one: *begun* is the first answer."""
    answer = getattr(begun, "http_response", None)
    for name in ("_internal_response", "internal_response"):  # of azure-core's two kinds
        link = getattr(getattr(answer, name, None), _LINK, None)
        if link is not None:
            return cast("Link", link)
    transport = getattr(getattr(client, "_pipeline", None), "_transport", None)
    link = getattr(transport, _LINK, None)
    if link is None and type(transport).__module__.startswith(_AZURE_CORES):
        # An answer that was kept as a continuation token says no more than where it came from.
        request = getattr(answer, "request", None) or getattr(begun, "http_request", None)
        if is_served(str(getattr(request, "url", ""))):
            link = Link.in_force
    return cast("Link | None", link)


def _begun() -> tuple[str, int]:
    """Give the line that began an operation: the nearest that is none of the SDK's or ours."""
    frame = sys._getframe(1)  # noqa: SLF001  documented, in spite of its name
    while frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _BETWEEN:
            break
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _described(poller: Any) -> str:
    """Name the request that began the operation, for messages."""
    try:
        request = poller.polling_method()._initial_response.http_request  # noqa: SLF001
        return f"{request.method} {urlsplit(request.url).path}"
    except AttributeError:  # a polling method of the user's own keeps no such thing
        return "a poller"
