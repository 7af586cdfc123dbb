"""Virtual sleep in event loops.

All tasks of a loop share one thread, so time may move for them once the whole loop has nothing left
to do. Then the loop's thread itself comes to rest on the clock, until the first of its tasks is
due; whatever else is due before (events, polling threads) happens on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._clock import Clock, ClockStalled, FakeClosed, Rest

# asyncio's own loops show what is ready to run; of any other, ask so many rounds later.
_QUIET_ROUNDS: Final = 2
_QUIET_ROUNDS_UNSEEN: Final = 16


class _Loop:
    """The virtual sleeps of one event loop."""

    def __init__(self) -> None:
        self.sleeping: set[asyncio.Future[None]] = set()
        self.due: list[asyncio.Future[None]] = []
        self.checking = False
        self.quiet_rounds = 0
        self.rest: Rest | None = None  # while the loop's thread is at rest


class Loops:
    """Every event loop in which something sleeps on this clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        clock.at_close(self._close)

    async def sleep(self, seconds: float, *, polling: bool = False) -> None:
        """Sleep for virtual *seconds* in a task. A *polling* sleep only goes on to look.

        Raises:
            FakeClosed: the fake ended meanwhile.
        """
        clock, loop = self._clock, asyncio.get_running_loop()
        clock.sync()
        with clock.lock:
            if not polling:
                clock.note_sleep()
            future: asyncio.Future[None] = loop.create_future()
            state = self._loops.setdefault(loop, _Loop())
            state.sleeping.add(future)
            due_us = clock.now_us + microseconds(seconds)
            waker = self._waker(loop, state, future)
            entry = clock.wake_at(due_us, waker, kind="poll" if polling else "wake")
        self._check_when_idle(loop, state)
        try:
            await future
        finally:
            with clock.lock:
                clock.cancel(entry)
                state.sleeping.discard(future)
                if not state.sleeping:
                    self._loops.pop(loop, None)

    def _waker(
        self, loop: asyncio.AbstractEventLoop, state: _Loop, future: asyncio.Future[None]
    ) -> Callable[[], None]:
        def wake() -> None:
            if state.rest is None:  # the loop runs: somebody else moved time
                loop.call_soon_threadsafe(_finish, future, None)
            else:
                state.due.append(future)
                self._clock.wake(state.rest)

        return wake

    def _check_when_idle(self, loop: asyncio.AbstractEventLoop, state: _Loop) -> None:
        if self._clock.autojump and not state.checking:
            state.checking = True
            state.quiet_rounds = 0
            loop.call_soon(self._when_idle, loop, state)

    def _when_idle(self, loop: asyncio.AbstractEventLoop, state: _Loop) -> None:
        """Rest until one of the loop's tasks is due, unless one still has something to do."""
        state.checking = False
        if not state.sleeping:
            return
        ready = getattr(loop, "_ready", None)
        state.quiet_rounds = 0 if ready else state.quiet_rounds + 1
        if state.quiet_rounds < (_QUIET_ROUNDS_UNSEEN if ready is None else _QUIET_ROUNDS):
            state.checking = True
            loop.call_soon(self._when_idle, loop, state)
            return
        error: Exception | None = None
        with self._clock.lock:
            try:
                state.rest = self._clock.new_rest("an event loop", moves=True)
                self._clock.rest(state.rest)
            except (ClockStalled, FakeClosed) as ended:
                error = ended
            finally:
                state.rest = None
        for future in tuple(state.sleeping) if error else state.due:
            _finish(future, error)
        state.due.clear()
        self._check_when_idle(loop, state)

    def _close(self) -> None:
        for loop, state in tuple(self._loops.items()):
            for future in tuple(state.sleeping):
                if not loop.is_closed():
                    error = FakeClosed("a task: the fake was closed while this slept.")
                    loop.call_soon_threadsafe(_finish, future, error)


def _finish(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
