"""trio's runs on virtual time: the SDK's own sleeps in them.

As in an event loop, all tasks of a run share one thread, and time may move for them once every one
of them is blocked: trio tells when that is. Then the run's thread comes to rest on the clock, until
the first of its tasks is due. trio's own sleeps and deadlines stay real.

trio is not imported here unless it is running.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._rest import Rest
from pytest_azurevm._timekeeper import Timekeeper

_PATIENCE_S: Final = 1.0  # real; a task that spins does not hold time up for longer


def current_task() -> object:
    """Give trio's task that is running, if one is."""
    lowlevel = sys.modules.get("trio.lowlevel")
    try:
        return None if lowlevel is None else lowlevel.current_task()
    except RuntimeError:
        return None


class _Run:
    """One run of trio's, while something sleeps in it."""

    def __init__(self, is_called: Callable[[], bool]) -> None:
        self.is_called = is_called  # by another thread, which trio hears of only when it runs
        self.rest: Rest | None = None
        self.rests = 0


class TrioRuns:
    """Every run of trio's in which something sleeps on this clock."""

    def __init__(self, clock: Timekeeper) -> None:
        self._clock = clock
        self._runs: dict[Any, _Run] = {}

    async def sleep(self, seconds: float, *, polling: bool) -> None:
        """Sleep for virtual *seconds* in a task of trio's. A *polling* sleep only goes on to look.

        Raises:
            FakeClosed: the fake ended meanwhile.
            ClockStalled: nothing will end the sleep.
        """
        import trio
        from trio.testing import wait_all_tasks_blocked

        clock, run = self._clock, self._run(trio.lowlevel.current_trio_token())
        over = False

        def wake() -> None:
            nonlocal over
            over = True
            if run.rest is not None:
                clock.wake(run.rest)

        if not polling:  # between a poller's look and its sleep nothing may happen unseen
            clock.sync()
        with clock.lock:
            if not polling:
                clock.note_sleep()
            due_us = clock.now_us + microseconds(seconds)
            entry = clock.wake_at(due_us, wake, kind="poll" if polling else "wake")
        try:
            while not over:
                rests = run.rests
                with trio.move_on_after(_PATIENCE_S):
                    await wait_all_tasks_blocked()
                # All who sleep in the run are told at once that it is idle; the first one rests.
                if not over and rests == run.rests:
                    self._rest(run, due_us)
        finally:
            with clock.lock:
                clock.cancel(entry)

    def _run(self, token: Any) -> _Run:
        if token not in self._runs:
            calls = token._reentry_queue  # noqa: SLF001  its only record of them
            self._runs = {token: _Run(lambda: bool(calls.queue or calls.idempotent_queue))}
        return self._runs[token]

    def _rest(self, run: _Run, due_us: int) -> None:
        clock = self._clock
        with clock.lock:
            run.rests += 1
            try:
                run.rest = clock.new_rest(
                    "a run of trio's",
                    moves=clock.autojump,
                    until=lambda: f"until {clock.calendar(due_us).isoformat()}",
                    interrupted=run.is_called,
                )
                clock.rest(run.rest)
            finally:
                run.rest = None
