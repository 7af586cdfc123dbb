"""What is due, and when: instants as integers, entries in a total order.

An instant is a whole number of microseconds; durations come in as seconds and are checked at the
door. Entries are ordered by instant, then rank, then sequence, so that no two are ever equal and no
order depends on identity or hash.
"""

from __future__ import annotations

import datetime as _dt
import heapq
import math
from collections.abc import Callable
from typing import Final, Literal

SECOND_US: Final = 1_000_000
EPOCH: Final = _dt.datetime(1970, 1, 1, tzinfo=_dt.timezone.utc)
_MICROSECOND: Final = _dt.timedelta(microseconds=1)
# What an agenda entry does when it falls due: change the world, let a poller look at it,
# or end somebody's waiting.
EntryKind = Literal["event", "poll", "wake"]


def microseconds(seconds: float, *, what: str = "seconds") -> int:
    """Convert a duration to integer microseconds, refusing what is no duration.

    Raises:
        TypeError: *seconds* is not a real number.
        ValueError: it is negative, infinite or not a number.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{what} must be a number of seconds, not {seconds!r}")
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{what} must be zero or more, and finite, not {seconds!r}")
    return round(seconds * SECOND_US)


def instant_us(instant: _dt.datetime | str, *, what: str = "instant") -> int:
    """Convert an aware datetime, or its ISO 8601 text, to microseconds since 1970."""
    if isinstance(instant, str):
        try:
            instant = _dt.datetime.fromisoformat(instant.replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(
                f"{what} {instant!r} is not an ISO 8601 instant such as 2026-01-01T00:00:00Z"
            ) from None
    if not isinstance(instant, _dt.datetime):
        raise TypeError(f"{what} must be an aware datetime or ISO 8601 text, not {instant!r}")
    if instant.tzinfo is None:
        raise ValueError(f"{what} {instant.isoformat()} has no time zone; say which, such as UTC")
    return (instant - EPOCH) // _MICROSECOND


class Entry:
    """One thing that is due. ``cancel`` takes it off the agenda."""

    __slots__ = ("action", "due_us", "kind", "seen")

    def __init__(self, due_us: int, kind: EntryKind, action: Callable[[], None], seen: int) -> None:
        self.due_us = due_us
        self.kind = kind
        self.action: Callable[[], None] | None = action
        self.seen = seen  # how many changes of the world its owner has seen


class Agenda:
    """Every entry that has not fallen due, the next one first."""

    def __init__(self) -> None:
        self.changes = 0  # of the world: a poller that has seen them all sees nothing new
        self._heap: list[tuple[int, int, int, Entry]] = []
        self._sequence = 0
        self._pending: dict[EntryKind, int] = {"event": 0, "poll": 0, "wake": 0}

    def add(
        self, due_us: int, kind: EntryKind, action: Callable[[], None], *, rank: int = 0
    ) -> Entry:
        """Put *action* on the agenda. A higher *rank* comes after all else of its instant."""
        self._sequence += 1
        self._pending[kind] += 1
        entry = Entry(due_us, kind, action, self.changes)
        heapq.heappush(self._heap, (due_us, rank, self._sequence, entry))
        return entry

    def cancel(self, entry: Entry) -> None:
        """Take *entry* off the agenda, if it is still on it."""
        if entry.action is not None:
            entry.action = None
            self._pending[entry.kind] -= 1

    def peek(self) -> Entry | None:
        """Give the next entry, and leave it."""
        while self._heap and self._heap[0][3].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][3] if self._heap else None

    def pop(self) -> Callable[[], None]:
        """Take the next entry off, and give what it does. An event counts as a change."""
        entry = heapq.heappop(self._heap)[3]
        action, entry.action = entry.action, None
        assert action is not None  # peek has dropped what was cancelled
        self._pending[entry.kind] -= 1
        if entry.kind == "event":
            self.changes += 1
        return action

    def has_events(self) -> bool:
        """Whether anything is going to happen by itself."""
        return self._pending["event"] > 0

    def has_nothing_new(self) -> bool:
        """Whether all that is left are pollers that would see again what they saw last."""
        if self._pending["event"] or self._pending["wake"]:
            return False
        return all(
            entry.seen == self.changes
            for _, _, _, entry in self._heap
            if entry.kind == "poll" and entry.action is not None
        )
