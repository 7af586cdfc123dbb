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


_RANKS: Final = 4  # of an instant; more than there are


class Agenda:
    """Every entry that has not fallen due, the next one first.

    What falls due at one instant is kept together, in the order in which it came: the ends of a
    thousand machines that are stopped at once are found at one place.
    """

    def __init__(self) -> None:
        self.changes = 0  # of the world: a poller that has seen them all sees nothing new
        self._entries: dict[int, list[Entry]] = {}  # by place: an instant's rank, as one number
        self._places: list[int] = []  # of these, as a heap
        self._over = 0  # how many entries of the first place are over
        self._pending: dict[EntryKind, int] = {"event": 0, "poll": 0, "wake": 0}
        self._informed = 0  # how many pending polls are of those who had seen ...
        self._informed_of = 0  # ... so many changes; others have seen fewer

    def add(
        self, due_us: int, kind: EntryKind, action: Callable[[], None], *, rank: int = 0
    ) -> Entry:
        """Put *action* on the agenda. A higher *rank* comes after all else of its instant."""
        self._pending[kind] += 1
        if kind == "poll":
            if self._informed_of != self.changes:
                self._informed, self._informed_of = 0, self.changes
            self._informed += 1
        entry = Entry(due_us, kind, action, self.changes)
        place = due_us * _RANKS + rank
        entries = self._entries.get(place)
        if entries is not None:
            entries.append(entry)
            return entry
        if self._over and place < self._places[0]:  # that one is not the first any more
            del self._entries[self._places[0]][: self._over]
            self._over = 0
        self._entries[place] = [entry]
        heapq.heappush(self._places, place)
        return entry

    def cancel(self, entry: Entry) -> None:
        """Take *entry* off the agenda, if it is still on it."""
        if entry.action is not None:
            self._take(entry)

    def peek(self) -> Entry | None:
        """Give the next entry, and leave it."""
        while self._places:
            entries = self._entries[self._places[0]]
            for over in range(self._over, len(entries)):
                entry = entries[over]
                if entry.action is not None:
                    self._over = over
                    return entry
            del self._entries[heapq.heappop(self._places)]
            self._over = 0
        return None

    def pop(self) -> Callable[[], None]:
        """Take the next entry off, and give what it does. An event counts as a change."""
        entry = self.peek()
        assert entry is not None
        self._over += 1
        action = self._take(entry)
        if entry.kind == "event":
            self.changes += 1
        return action

    def _take(self, entry: Entry) -> Callable[[], None]:
        action, entry.action = entry.action, None
        assert action is not None
        self._pending[entry.kind] -= 1
        if entry.kind == "poll" and entry.seen == self.changes:
            self._informed -= 1
        return action

    def has_events(self) -> bool:
        """Whether anything is going to happen by itself."""
        return self._pending["event"] > 0

    def has_nothing_new(self) -> bool:
        """Whether all that is left are pollers that would see again what they saw last."""
        if self._pending["event"] or self._pending["wake"]:
            return False
        informed = self._informed if self._informed_of == self.changes else 0
        return self._pending["poll"] == informed
