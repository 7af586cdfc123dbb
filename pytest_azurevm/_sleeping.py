"""``time.sleep`` in the code under test sleeps on the clock.

Also where it was imported by name, long before: the names that modules have for it are found and
exchanged while a fake is active, and put back afterwards. What is remembered between fakes is only
where those names stand.

Left alone: the standard library's own sleeps and those of test runners, threads that were there
before the fake (but for a pool's workers that were idle then: their work is the code under test's),
and every sleep while no fake is active.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Final
from weakref import WeakSet

from pytest_azurevm._rest import FakeClosed
from pytest_azurevm._threads import idle_workers
from pytest_azurevm._timekeeper import Timekeeper

_real_sleep: Final = time.sleep
# What of the standard library sleeps for whoever uses it: a thread's target may be the very sleep.
_FOR_OTHERS: Final = {"asyncio", "concurrent", "sched", "threading", "__main__"}
# Whose sleeps are not the code under test's: test runners and their plugins, also those that sleep
# while a fixture of a wide scope has a fake (between reruns, or until a process or container is
# up), and what waits for another process.
_OTHERS: Final = (sys.stdlib_module_names - _FOR_OTHERS) | {
    "_pytest",
    "execnet",
    "filelock",
    "flaky",
    "freezegun",
    "hypothesis",
    "pluggy",
    "pytest",
    "pytest_asyncio",
    "pytest_azurevm",
    "pytest_docker",
    "pytest_randomly",
    "pytest_rerunfailures",
    "pytest_retry",
    "pytest_timeout",
    "pytest_trio",
    "time_machine",
    "xdist",
    "xprocess",
}

_clock: Timekeeper | None = None
_before: WeakSet[threading.Thread] = WeakSet()
# By module: which one it was, how many names it had, and which of them were the real sleep.
_seen: dict[str, tuple[int, int, tuple[str, ...]]] = {}


def install(clock: Timekeeper) -> None:
    """Let the code under test sleep on *clock*."""
    global _clock  # noqa: PLW0603  time.sleep is one for the process, and so is this
    _clock = clock
    here, idle = threading.current_thread(), idle_workers()
    _before.update(t for t in threading.enumerate() if t is not here and t.ident not in idle)
    _exchange(_real_sleep, sleep)


def uninstall() -> None:
    """Put every name back, those included that were made meanwhile."""
    global _clock  # noqa: PLW0603
    _clock = None
    _before.clear()
    _exchange(sleep, _real_sleep)


def sleep(seconds: float, /) -> None:
    """Delay execution for a given number of virtual seconds."""
    clock = _clock
    if clock is None or not _is_under_test(sys._getframe(1).f_globals):  # noqa: SLF001
        _real_sleep(seconds)
        return
    numeric = hasattr(seconds, "__float__") or hasattr(seconds, "__index__")
    span = float(seconds) if numeric else -1.0
    if not 0 < span < float("inf"):
        _real_sleep(seconds)  # which yields for nothing, and refuses what is no duration
        return
    try:
        clock.sleep(span)
    except FakeClosed:
        # The test is over. A thread that it left behind sleeps for real from now on.
        if threading.current_thread() is threading.main_thread():
            raise


def _is_under_test(caller: dict[str, Any]) -> bool:
    package = str(caller.get("__name__", "")).partition(".")[0]
    return package not in _OTHERS and threading.current_thread() not in _before


def _exchange(old: Any, new: Any) -> None:
    """Give every name for *old* to *new*."""
    for name, module in tuple(sys.modules.items()):
        if name != "time" and name.partition(".")[0] in _OTHERS:
            continue
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict):
            continue
        known = _seen.get(name)
        if known is None or known[0] != id(module) or known[1] != len(names):
            found = tuple(key for key, value in tuple(names.items()) if value is old)
            known = _seen[name] = (id(module), len(names), found)
        for key in known[2]:
            if names.get(key) is old:
                names[key] = new
