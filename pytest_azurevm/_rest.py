"""Threads at rest, and how rests end: what the keeper of time counts by."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import NamedTuple

from pytest_azurevm._agenda import Entry


class ClockStalled(RuntimeError):
    """A wait that nothing can end: it says who waits, until when, and the call that would help."""


class FakeClosed(RuntimeError):
    """The fake is over; what still wanted time from it cannot have any."""


class ThreadEnded(BaseException):
    """Ends one of our threads together with the fake, past everything that handles errors."""


class PollerLeftRunningWarning(UserWarning):
    """A fake ended while a poller was still following its operation."""


class LeftRunning(NamedTuple):
    """A thread of ours that was still at it when the fake ended, and the line that began it."""

    who: str
    filename: str
    lineno: int


class Ours:
    """A polling thread, from before it starts until after its done-callbacks."""

    __slots__ = ()


class Rest:
    """A thread at rest, parked until it is woken."""

    __slots__ = (
        "awake", "due", "error", "gate", "ident", "interrupted", "moves", "ours", "settles",
        "until", "who",
    )  # fmt: skip

    def __init__(
        self,
        who: str,
        *,
        ours: Ours | None,
        moves: bool,
        until: Callable[[], str] | None,
        interrupted: Callable[[], bool] | None,
        settles: threading.Thread | None,
    ) -> None:
        self.gate = _thread.allocate_lock()
        self.gate.acquire()
        self.who = who
        self.until = until  # for messages, most of which are never made
        self.ident = _thread.get_ident()
        self.ours = ours  # time stands while one of ours runs
        self.interrupted = interrupted  # whether something else calls the thread back
        self.moves = moves  # its waiting entitles time to move
        self.settles = settles  # whose first rest it waits for
        self.due: list[Entry] = []  # what of the agenda is to wake it
        self.awake = False
        self.error: BaseException | None = None
