"""Who else runs: whether any thread that the clock does not know has something left to do.

Time may not move under a thread that is about to begin an operation, and nothing announces such a
thread. So before time moves, every thread that is not at rest on the clock is looked at from the
outside: one that is parked in a wait of the standard library, which nobody has ended yet, rests; so
does one that stays at the very same instruction, or about to start, look after look. Any other one
runs.

No thread is touched, and no time is spent where there is no other thread.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Container, Mapping
from types import FrameType
from typing import Any, ClassVar, Final

# A thread that stays at one instruction for so many looks, some milliseconds apart, is blocked in
# something that cannot be looked into, such as a lock of its own, and not just kept waiting by a
# busy machine.
_SAME_LOOKS: Final = 60


# Where workers of pools wait for work, and what else is on the stack of one that has none: parts of
# the pool itself, and of what it hands a result over with.
_POOLS: Final = (
    "anyio._backends._asyncio",
    "concurrent.futures.thread",
    "trio._core._thread_cache",
)
_OF_POOLS: Final = {"anyio", "asyncio", "concurrent", "outcome", "queue", "threading", "trio"}


class Others:
    """The threads of the process, apart from those that the clock knows."""

    # Frame, instruction, and how often it was the same. Threads are the process's, and so is what
    # is known of them: one that has long been blocked is not looked at anew for every fake.
    _looks: ClassVar[dict[int, tuple[int, int, int]]] = {}
    # And how often one was about to start: an interrupted start leaves it so for ever.
    _starts: ClassVar[dict[threading.Thread, int]] = {}

    def all_rest(
        self, parked: Container[int], ending: Mapping[int, threading.Thread], *, later: bool
    ) -> bool:
        """Whether every thread rests but those that are *parked*, by ident, or as good as over.

        The caller's own does not count. *later* says that a moment of real time has passed since
        the last look, so that a thread which is still at the same instruction has had its chance.
        """
        # The public listing takes a lock, which a thread that is looked at might hold.
        active = threading._active  # type: ignore[attr-defined]  # noqa: SLF001
        own = threading.get_ident()
        idents = [
            ident
            for ident, thread in tuple(active.items())  # an ident may have been given out again
            if ident not in parked and ident != own and ending.get(ident) is not thread
        ]
        starting = self._start(later=later)
        if not idents:
            return not starting
        frames = _frames()
        resting = [
            self._rests(ident, frames.get(ident), later=later)
            and not _sees_out(frames.get(ident), ending)
            for ident in idents
        ]
        return all(resting) and not starting  # all are looked at, so that looks can be compared

    def rests(self, thread: threading.Thread) -> bool:
        """Whether one thread rests, or is over, or never starts. Some time must pass in between."""
        if self._start(later=True, only=thread):
            return False
        ident = thread.ident
        if ident is None or not thread.is_alive():
            return True
        return self._rests(ident, _frames().get(ident), later=True)

    def _start(self, *, later: bool, only: threading.Thread | None = None) -> bool:
        """Whether any thread (or one) is about to start."""
        limbo = threading._limbo  # type: ignore[attr-defined]  # noqa: SLF001
        if not limbo:
            self._starts.clear()
            return False
        starting = {thread: self._starts.get(thread, 0) + later for thread in tuple(limbo)}
        self._starts.clear()
        self._starts.update(starting)
        if only is not None:
            starting = {only: starting[only]} if only in starting else {}
        return any(looks < _SAME_LOOKS for looks in starting.values())

    def _rests(self, ident: int, frame: FrameType | None, *, later: bool) -> bool:
        if frame is None:  # over, or not begun in Python
            self._looks.pop(ident, None)
            return True
        waits = _waits(frame)
        if waits is not None:
            return waits
        place = (id(frame), frame.f_lasti)
        last = self._looks.get(ident)
        looks = last[2] + later if last is not None and last[:2] == place else 0
        self._looks[ident] = (*place, looks)
        return looks >= _SAME_LOOKS


def idle_workers() -> set[int]:
    """Give, by ident, the threads that are a pool's and have no work at the moment."""
    return {ident for ident, frame in _frames().items() if _is_idle_worker(frame)}


def _is_idle_worker(frame: FrameType | None) -> bool:
    of_pool = False
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        # A loop that a worker runs is work, whatever it is at just now.
        if module.partition(".")[0] not in _OF_POOLS or frame.f_code.co_name == "run_forever":
            return False
        of_pool = of_pool or module in _POOLS
        frame = frame.f_back
    return of_pool


def _frames() -> dict[int, FrameType]:
    """Give where each thread is. A collection of garbage meanwhile could deadlock (gh-106883)."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001  documented, in spite of its name
    finally:
        if collecting:
            gc.enable()


def _waits(frame: FrameType) -> bool | None:
    """Whether a thread is parked in a wait of the standard library; ``None``: no such wait."""
    module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
    if module == "threading":
        if name == "wait":  # of a Condition, and so of events, futures and queues
            return _is_awaited(frame.f_locals)
        if name == "_wait_for_tstate_lock":
            return _is_locked(frame.f_locals.get("lock"))
        if name == "join":  # since Python 3.13, it waits for the thread's handle
            handle = getattr(frame.f_locals.get("self"), "_handle", None)
            return None if handle is None else not handle.is_done()
    elif module == "concurrent.futures.thread" and name == "_worker":
        queue = frame.f_locals.get("work_queue")
        return None if queue is None or queue.qsize() else True
    elif module == "trio._core._thread_cache" and name == "_work":
        job = getattr(frame.f_locals.get("self"), "_job", None)
        return True if job is None else None
    elif module == "selectors" and name == "select":
        return not _has_ready(frame.f_back)
    return None


def _has_ready(caller: FrameType | None) -> bool:
    """Whether whoever selects is an event loop that another thread has given something to run."""
    loop = None if caller is None else caller.f_locals.get("self")
    return bool(getattr(loop, "_ready", ()))


def _is_awaited(condition_wait: Mapping[str, Any]) -> bool | None:
    """Whether nobody has ended a wait of a Condition yet; ``None``: it has not begun.

    Who has been woken holds the lock of the wait again before it goes on, but is not listed.
    """
    waiter = condition_wait.get("waiter")
    locked = _is_locked(waiter)
    return locked and waiter in condition_wait["self"]._waiters  # noqa: SLF001


def _sees_out(frame: FrameType | None, ending: Mapping[int, threading.Thread]) -> bool:
    """Whether a thread waits for the end of one that is as good as over, and so goes on at once."""
    if frame is None or frame.f_code.co_name not in ("_wait_for_tstate_lock", "join"):
        return False
    thread = frame.f_locals.get("self")
    return isinstance(thread, threading.Thread) and ending.get(thread.ident or 0) is thread


def _is_locked(lock: Any) -> bool | None:
    """Whether nobody has ended the wait for *lock* yet; ``None``: the wait has not begun."""
    return None if lock is None else bool(lock.locked())
