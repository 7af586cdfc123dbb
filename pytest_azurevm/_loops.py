"""Event loops on virtual time.

All tasks of a loop share one thread, so time may move for them once the whole loop has nothing left
to do. Then the loop's thread itself comes to rest on the clock, until the first of its tasks or
timers is due; whatever else is due before (events, polling threads) happens on the way.

asyncio's own loops are adopted as a whole when they first ask for the time, or set a timer: from
then on ``loop.time()`` is the clock's, and with it ``asyncio.sleep``, ``wait_for``, ``timeout`` and
``call_later``. In a loop of another make, and in a run of trio's (``_trio``), only the SDK's own
sleeps are virtual.

A loop may be older than the fake, and outlive it. What sleeps in it when it is adopted, or given
back, has the rest of its sleep in the other time. Only the SDK's own sleeps end with the fake.
"""

from __future__ import annotations

import asyncio
import math
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Any, Final

from pytest_azurevm._agenda import SECOND_US, Entry, microseconds
from pytest_azurevm._rest import ClockStalled, FakeClosed, Rest
from pytest_azurevm._timekeeper import Timekeeper
from pytest_azurevm._trio import TrioRuns, current_task

# A loop is idle when it showed nothing to run for so many rounds. Of a loop of another make, which
# does not show it, more rounds are taken for that.
_QUIET_ROUNDS: Final = 2
_QUIET_ROUNDS_UNSEEN: Final = 16
# Where only deadlines are set, what is waited for may come from outside: a socket, an executor.
_QUIET_ROUNDS_DEADLINES: Final = 30
# A loop that always has something to run, such as a task that spins, does not hold time up.
_MOST_ROUNDS: Final = 2_000
_RESOLUTION_S: Final = 1e-6  # ours; asyncio's own is finer than the clock's instants
_SLEEP_ENDS: Final = "_set_result_unless_cancelled"  # what asyncio.sleep has a timer do
_NAMED: Final = 3  # tasks, in a message
_TIMER_MAKERS: Final = ("call_later", "call_at")


class _Loop:
    """One event loop, while something sleeps in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now_us: Callable[[], int]) -> None:
        self.loop = loop
        self.now_us = now_us
        self.sleeping: set[asyncio.Future[None]] = set()  # the SDK's sleeps
        self.due: list[asyncio.Future[None]] = []
        self.checking = False
        self.rounds = 0
        self.quiet_rounds = 0
        self.rest: Rest | None = None  # while the loop's thread is at rest
        self.adopted: tuple[float, int] | None = None  # its time, and the clock's, at adoption
        self.resolution_s = 0.0  # its own
        self.slow_s = 0.0  # its own, after which a callback is told of
        self.broken: Exception | None = None  # what ends the loop at its next look at the time

    def is_busy(self) -> bool:
        """Whether the loop shows something to run."""
        return bool(getattr(self.loop, "_ready", ()))

    def next_timer_us(self) -> int | None:
        """Give the instant of the first timer of an adopted loop."""
        if self.adopted is None:
            return None
        timers: list[asyncio.TimerHandle] = self.loop._scheduled  # type: ignore[attr-defined]  # noqa: SLF001
        first = next(iter(timers), None)
        if first is not None and first.cancelled():
            first = min((t for t in timers if not t.cancelled()), default=None)
        if first is None:
            return None
        base_s, base_us = self.adopted
        return base_us + round((first.when() - base_s) * SECOND_US)

    def has_sleeper(self) -> bool:
        """Whether somebody sleeps in the loop, and does not merely have a deadline."""
        return bool(self.sleeping) or any(True for _ in self._slept())

    def sleepers(self) -> tuple[asyncio.Future[None], ...]:
        """Give what all those wait for who sleep in the loop: the SDK, and ``asyncio.sleep``."""
        return (*self.sleeping, *self._slept())

    def _slept(self) -> Iterator[asyncio.Future[None]]:
        if self.adopted is not None:
            for timer in self.loop._scheduled:  # type: ignore[attr-defined]  # noqa: SLF001
                name = getattr(timer._callback, "__name__", "")  # noqa: SLF001
                if name == _SLEEP_ENDS and not timer.cancelled():
                    yield timer._args[0]  # noqa: SLF001

    def time(self) -> float:
        """Give the time of an adopted loop, whose ``run_forever`` ends here if it has to."""
        assert self.adopted is not None
        broken, self.broken = self.broken, None
        if broken is not None:  # a callback's error would be logged only, and the loop go on
            raise broken
        base_s, base_us = self.adopted
        return base_s + (self.now_us() - base_us) / SECOND_US

    def give_back(self) -> None:
        """Let an adopted loop have its own time again, in which its timers have the rest of theirs.

        All are moved alike, so that their order stays.
        """
        if self.adopted is None:
            return
        ahead_s = self.time()
        self.adopted = None
        self.loop._clock_resolution = self.resolution_s  # type: ignore[attr-defined]  # noqa: SLF001
        self.loop.slow_callback_duration = self.slow_s
        del self.loop.time
        ahead_s -= self.loop.time()
        for timer in self.loop._scheduled:  # type: ignore[attr-defined]  # noqa: SLF001
            timer._when -= ahead_s  # noqa: SLF001


class Loops:
    """Every event loop in which something sleeps on this clock."""

    def __init__(self, clock: Timekeeper) -> None:
        self._clock = clock
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._originals: dict[str, Callable[..., Any]] = {}
        self._over = False
        self._trio = TrioRuns(clock)

    # --- the SDK's own sleeps ------------------------------------------------------------------

    async def sleep(self, seconds: float, *, polling: bool = False) -> None:
        """Sleep for virtual *seconds* in a task. A *polling* sleep only goes on to look.

        Raises:
            FakeClosed: the fake ended meanwhile.
        """
        if current_task() is not None:
            await self._trio.sleep(seconds, polling=polling)
            return
        clock, loop = self._clock, asyncio.get_running_loop()
        if not polling:  # between a poller's look and its sleep nothing may happen unseen
            clock.sync()
        with clock.lock:
            if not polling:
                clock.note_sleep()
            state = self._state(loop)
            future: asyncio.Future[None] = loop.create_future()
            state.sleeping.add(future)
            entry = clock.wake_at(
                clock.now_us + microseconds(seconds),
                self._waker(state, future),
                kind="poll" if polling else "wake",
            )
        self._check_when_idle(state)
        try:
            await future
        finally:
            with clock.lock:
                clock.cancel(entry)
                state.sleeping.discard(future)

    def _waker(self, state: _Loop, future: asyncio.Future[None]) -> Callable[[], None]:
        def wake() -> None:
            if state.rest is not None:
                state.due.append(future)
                self._clock.wake(state.rest)
            elif not state.loop.is_closed():  # it runs: somebody else moved time
                state.loop.call_soon_threadsafe(_finish, future, None)

        return wake

    def _state(self, loop: asyncio.AbstractEventLoop) -> _Loop:
        if loop not in self._loops:
            self._loops = {one: state for one, state in self._loops.items() if not one.is_closed()}
            self._loops[loop] = _Loop(loop, lambda: self._clock.now_us)
        return self._loops[loop]

    # --- timers of asyncio's own loops ---------------------------------------------------------

    def install(self) -> None:
        """Adopt every loop of asyncio's make that asks for the time or sets a timer from now on."""
        for name in (*_TIMER_MAKERS, "time"):
            self._originals[name] = getattr(BaseEventLoop, name)
        for name in _TIMER_MAKERS:
            setattr(BaseEventLoop, name, self._adopting(self._originals[name]))
        # asyncio.timeout reads the time before it sets its timer.
        setattr(BaseEventLoop, "time", lambda loop: self._adopt(loop).loop.time())  # noqa: B010

    def _adopting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def set_timer(loop: BaseEventLoop, *args: Any, **kwargs: Any) -> Any:
            state = self._adopt(loop)
            timer = original(loop, *args, **kwargs)
            if getattr(timer._callback, "__name__", "") == _SLEEP_ENDS:  # noqa: SLF001
                with self._clock.lock:
                    self._clock.note_sleep(own_looks=0)
            self._check_when_idle(state)
            return timer

        return set_timer

    def _adopt(self, loop: BaseEventLoop) -> _Loop:
        with self._clock.lock:
            state = self._state(loop)
            if state.adopted is None:
                owner = getattr(vars(loop).get("time"), "__self__", None)
                if isinstance(owner, _Loop):  # a fake that ended has not given it back yet
                    owner.give_back()
                state.adopted = (self._originals["time"](loop), self._clock.now_us)
                state.resolution_s = loop._clock_resolution  # type: ignore[attr-defined]  # noqa: SLF001
                state.slow_s = loop.slow_callback_duration
                # In debug mode a callback in which virtual time passes would be taken for slow.
                loop.slow_callback_duration = math.inf
                loop.time = state.time  # type: ignore[method-assign]
                loop._clock_resolution = _RESOLUTION_S  # type: ignore[attr-defined]  # noqa: SLF001
                if loop._scheduled:  # type: ignore[attr-defined]  # noqa: SLF001
                    # It may be about to wait for these, in real time: so it has to be woken.
                    self._check_when_idle(state, wakes=True)
        return state

    def close(self) -> None:
        """Give the loops their own time back, and end what still sleeps in them."""
        self._over = True
        for name, original in self._originals.items():
            setattr(BaseEventLoop, name, original)
        self._originals.clear()
        for loop, state in tuple(self._loops.items()):
            # A loop that runs in another thread does this itself, between two of its steps.
            if loop.is_running() and asyncio._get_running_loop() is not loop:  # noqa: SLF001
                with suppress(RuntimeError):  # it has just been closed
                    loop.call_soon_threadsafe(state.give_back)
            else:
                state.give_back()
            for future in tuple(state.sleeping):
                if not loop.is_closed():
                    error = FakeClosed("a task: the fake was closed while this slept.")
                    loop.call_soon_threadsafe(_finish, future, error)
        self._loops.clear()

    # --- idleness ------------------------------------------------------------------------------

    def _check_when_idle(self, state: _Loop, *, wakes: bool = False) -> None:
        if not state.checking and not self._over:
            state.checking = True
            state.rounds = state.quiet_rounds = 0
            # Timers may be set before the loop runs, and (though they should not) by any thread.
            inside = asyncio._get_running_loop() is state.loop and not wakes  # noqa: SLF001
            call = state.loop.call_soon if inside else state.loop.call_soon_threadsafe
            call(self._when_idle, state)

    def _when_idle(self, state: _Loop) -> None:
        """Come to rest until a task or timer is due, unless the loop has something to do."""
        state.checking = False
        timer_us = state.next_timer_us()
        if self._over or (not state.sleeping and timer_us is None):
            return
        if not self._is_idle(state):
            state.checking = True
            state.loop.call_soon(self._when_idle, state)
            return
        if timer_us is None or timer_us > self._clock.now_us:
            # One that spins would call the loop back for ever.
            spins = state.rounds >= _MOST_ROUNDS
            self._rest(state, timer_us, interrupted=None if spins else state.is_busy)
        self._check_when_idle(state)

    def _is_idle(self, state: _Loop) -> bool:
        state.rounds += 1
        state.quiet_rounds = 0 if state.is_busy() else state.quiet_rounds + 1
        if not hasattr(state.loop, "_ready"):
            needed = _QUIET_ROUNDS_UNSEEN
        elif state.has_sleeper() or not self._clock.autojump:  # which looks on for long enough
            needed = _QUIET_ROUNDS
        else:
            needed = _QUIET_ROUNDS_DEADLINES
            if state.quiet_rounds:
                self._clock.let_others_run()
        return state.quiet_rounds >= needed or state.rounds >= _MOST_ROUNDS

    def _rest(
        self, state: _Loop, timer_us: int | None, *, interrupted: Callable[[], bool] | None
    ) -> None:
        clock = self._clock
        error: Exception | None = None
        entry: Entry | None = None
        with clock.lock:
            try:
                rest = state.rest = clock.new_rest(
                    "an event loop",
                    moves=clock.autojump,
                    until=lambda: _until(state, timer_us, clock),
                    interrupted=interrupted,
                )
                if timer_us is not None:
                    entry = clock.wake_at(timer_us, lambda: clock.wake(rest))
                clock.rest(rest)
            except ClockStalled as stalled:
                error = stalled
            except FakeClosed as closed:
                self._over = True
                for future in state.sleeping:
                    _finish(future, closed)
            finally:
                state.rest = None
                if entry is not None:
                    clock.cancel(entry)
        sleepers = state.sleepers() if error else ()
        for future in sleepers or state.due:
            _finish(future, error)
        state.due.clear()
        if not sleepers:  # there are deadlines only: whoever runs the loop has to know
            state.broken = error


def _until(state: _Loop, timer_us: int | None, clock: Timekeeper) -> str:
    """Tell, for messages, until when a loop waits, and which of its tasks are in it."""
    found = (
        "for what is due" if timer_us is None else f"until {clock.calendar(timer_us).isoformat()}"
    )
    tasks = sorted(
        f"{task.get_name()}, {getattr(task.get_coro(), '__qualname__', task.get_coro())}"
        for task in asyncio.all_tasks(state.loop)
    )
    named = "; ".join(tasks[:_NAMED]) + ("; ..." if len(tasks) > _NAMED else "")
    return f"{found} (in {named})" if named else found


def _finish(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
