"""Event loops on virtual time.

All tasks of a loop share one thread, so time may move for them once the whole loop has nothing left
to do. Then the loop's thread itself comes to rest on the clock, until the first of its tasks or
timers is due; whatever else is due before (events, polling threads) happens on the way.

asyncio's own loops are adopted as a whole when they first ask for the time, or set a timer: from
then on ``loop.time()`` is the clock's, and with it ``asyncio.sleep``, ``wait_for``, ``timeout`` and
``call_later``. In a loop of another make, only the SDK's own sleeps are virtual.
"""

from __future__ import annotations

import asyncio
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from pytest_azurevm._agenda import SECOND_US, Entry, microseconds
from pytest_azurevm._rest import ClockStalled, FakeClosed, Rest
from pytest_azurevm._timekeeper import Timekeeper

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
_TIMER_MAKERS: Final = ("call_later", "call_at")


class _Loop:
    """One event loop, while something sleeps in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sleeping: set[asyncio.Future[None]] = set()  # the SDK's sleeps
        self.due: list[asyncio.Future[None]] = []
        self.checking = False
        self.rounds = 0
        self.quiet_rounds = 0
        self.rest: Rest | None = None  # while the loop's thread is at rest
        self.adopted: tuple[float, int] | None = None  # its time, and the clock's, at adoption

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
        if self.sleeping or self.adopted is None:
            return bool(self.sleeping)
        timers = self.loop._scheduled  # type: ignore[attr-defined]  # noqa: SLF001
        return any(_ends_a_sleep(t) for t in timers if not t.cancelled())


def _ends_a_sleep(timer: asyncio.TimerHandle) -> bool:
    callback = timer._callback  # type: ignore[attr-defined]  # noqa: SLF001
    return getattr(callback, "__name__", "") == _SLEEP_ENDS


class Loops:
    """Every event loop in which something sleeps on this clock."""

    def __init__(self, clock: Timekeeper) -> None:
        self._clock = clock
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._originals: dict[str, Callable[..., Any]] = {}

    # --- the SDK's own sleeps ------------------------------------------------------------------

    async def sleep(self, seconds: float, *, polling: bool = False) -> None:
        """Sleep for virtual *seconds* in a task. A *polling* sleep only goes on to look.

        Raises:
            FakeClosed: the fake ended meanwhile.
        """
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
            self._loops[loop] = _Loop(loop)
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
            self._check_when_idle(state)
            return timer

        return set_timer

    def _adopt(self, loop: BaseEventLoop) -> _Loop:
        with self._clock.lock:
            state = self._state(loop)
            if state.adopted is None:
                real_s: float = self._originals["time"](loop)
                base_s, base_us = state.adopted = (real_s, self._clock.now_us)
                clock = self._clock
                loop.time = lambda: base_s + (clock.now_us - base_us) / SECOND_US  # type: ignore[method-assign]
                loop._clock_resolution = _RESOLUTION_S  # type: ignore[attr-defined]  # noqa: SLF001
        return state

    def close(self) -> None:
        """Give the loops their own time back, and end what still sleeps in them."""
        for name, original in self._originals.items():
            setattr(BaseEventLoop, name, original)
        self._originals.clear()
        for loop, state in self._loops.items():
            if state.adopted is not None:
                del loop.time
                loop._clock_resolution = 1e-9  # type: ignore[attr-defined]  # noqa: SLF001
            for future in tuple(state.sleeping):
                if not loop.is_closed():
                    error = FakeClosed("a task: the fake was closed while this slept.")
                    loop.call_soon_threadsafe(_finish, future, error)
        self._loops.clear()

    # --- idleness ------------------------------------------------------------------------------

    def _check_when_idle(self, state: _Loop) -> None:
        if not state.checking:
            state.checking = True
            state.rounds = state.quiet_rounds = 0
            # Timers may be set before the loop runs, and (though they should not) by any thread.
            inside = asyncio._get_running_loop() is state.loop  # noqa: SLF001
            call = state.loop.call_soon if inside else state.loop.call_soon_threadsafe
            call(self._when_idle, state)

    def _when_idle(self, state: _Loop) -> None:
        """Come to rest until a task or timer is due, unless the loop has something to do."""
        state.checking = False
        timer_us = state.next_timer_us()
        if not state.sleeping and timer_us is None:
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
        elif state.has_sleeper():
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
                    "an event loop", moves=clock.autojump, interrupted=interrupted
                )
                if timer_us is not None:
                    entry = clock.wake_at(timer_us, lambda: clock.wake(rest))
                clock.rest(rest)
            except (ClockStalled, FakeClosed) as ended:
                error = ended
            finally:
                state.rest = None
                if entry is not None:
                    clock.cancel(entry)
        for future in tuple(state.sleeping) if error else state.due:
            _finish(future, error)
        state.due.clear()
        if error is not None and not state.sleeping:
            raise error  # nobody of ours sleeps here: whoever runs the loop has to know


def _finish(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
