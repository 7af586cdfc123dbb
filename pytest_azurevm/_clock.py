"""The fake subscription's clock, as whoever writes a test holds it.

It shows and moves; how time moves, and who may move it, is told in ``_movement``.
"""

from __future__ import annotations

import datetime as _dt
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._realtime import running
from pytest_azurevm._timekeeper import Timekeeper


class Clock:
    """The fake subscription's time. Tests hold it as ``fake.clock``.

    ``now`` looks; ``advance``, ``advance_to`` and ``run_until_idle`` move. Whoever moves time runs
    everything that falls due, in order of instant and then of declaration, pollers and their
    done-callbacks included, before the call returns.
    """

    def __init__(self, time: Timekeeper) -> None:
        self._time = time

    @property
    def now(self) -> _dt.datetime:
        """The present as an aware UTC datetime. Looking never moves it."""
        self._time.sync()
        return self._time.calendar(self._time.now_us)

    @property
    def now_us(self) -> int:
        """The present as microseconds since the clock was made."""
        return self._time.now_us

    @property
    def autojump(self) -> bool:
        """Whether waiting moves time."""
        return self._time.autojump

    def calendar(self, at_us: int) -> _dt.datetime:
        """Give the date of an instant of this clock."""
        return self._time.calendar(at_us)

    def __repr__(self) -> str:
        return f"<Clock {self._time.calendar(self._time.now_us).isoformat()}>"

    def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Let this much time pass, and everything happen that falls due in it.

        Raises:
            TypeError: an argument is not a number.
            ValueError: an argument is negative; time does not go back.
        """
        span_us = (
            microseconds(seconds)
            + 60 * microseconds(minutes, what="minutes")
            + 3_600 * microseconds(hours, what="hours")
            + 86_400 * microseconds(days, what="days")
        )
        self._time.sync()
        self._time.pass_until(self._time.now_us + span_us)

    def advance_to(self, instant: _dt.datetime | str) -> None:
        """Let time pass until *instant*, an aware datetime or ISO 8601 text.

        Raises:
            ValueError: *instant* lies in the past, or has no time zone.
        """
        self._time.sync()
        target_us = self._time.instant(instant)
        if target_us < self._time.now_us:
            raise ValueError(
                f"cannot go back to {self.calendar(target_us).isoformat()}: "
                f"it is {self.calendar(self._time.now_us).isoformat()} already. Time only moves "
                "forward: start earlier (start=...), or take a fresh fake."
            )
        self._time.pass_until(target_us)

    def run_until_idle(self) -> None:
        """Let time pass until nothing more is going to happen by itself.

        The end of the last operation, and the last look of a poller that still has news to get.
        """
        self._time.sync()
        while (due_us := self._time.next_us()) is not None:
            self._time.pass_until(due_us)

    @contextmanager
    def realtime(self, speed: float = 1.0) -> Iterator[None]:
        """Let time run by itself meanwhile, *speed* times as fast as real time.

        For servers and demonstrations. Waiting does not jump then; it lasts.

        Raises:
            ValueError: the speed is not positive.
        """
        if not microseconds(speed, what="speed"):
            raise ValueError(f"speed must be more than 0, not {speed!r}")
        time = self._time
        autojump, time.autojump, time.regardless = time.autojump, False, True
        try:
            with running(self.advance, speed):
                yield
        finally:
            time.autojump, time.regardless = autojump, False
