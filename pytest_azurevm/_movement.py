"""Virtual time: which instant it is, and who may move it.

Three rules, and all code below serves them:

1. **Time moves in one place**, ``Movement._move``. Looking never moves it, and neither does
   beginning an operation.
2. **Time stands while anybody runs.** Polling threads are ours: they are counted from before they
   start until after their done-callbacks. Any other thread is looked at from outside
   (``_threads``). Time moves only when every one of them is at rest.
3. **Time moves only because somebody waits for it**: a caller of ``advance``, or (with
   ``autojump``) whoever waits for a poller or sleeps. The thread that comes to rest last does the
   moving, whichever it is: a poller that is itself due next goes on without a thread switch.

The present is an integer, the microseconds since the clock was made; the calendar is a single
offset on top, which a frozen clock from outside (``OutsideTime``) may set. Nothing here knows Azure
or HTTP.
"""

from __future__ import annotations

import _thread
import datetime as _dt
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from pytest_azurevm._agenda import EPOCH, Agenda, Entry, EntryKind, instant_us
from pytest_azurevm._rest import ClockStalled, FakeClosed, Ours, Rest, ThreadEnded
from pytest_azurevm._threads import Others

_LAST_US: Final = (_dt.datetime.max.replace(tzinfo=_dt.timezone.utc) - EPOCH) // _dt.timedelta(
    microseconds=1
)
_STALL_LOOK_S: Final = 0.01
STALL_LOOKS: Final = 80  # such looks, or shorter ones, without movement: the wait is hopeless
LOOK_AGAIN_S: Final = 0.005  # real seconds until whoever waits looks again who else runs
PATIENCE: Final = 600  # such looks, after which a thread that never rests is passed over

# What of one instant comes first: what happens, polling threads' looks included; who slept until
# then, and so finds it happened; who waits for pollers; and an advance, which finds all at rest.
HAPPENS: Final = 0
SLEEPS: Final = 1
WAITS: Final = 2
_ADVANCES: Final = 3


class OutsideTime(Protocol):
    """A calendar that somebody else owns, such as freezegun's. ``None`` while nobody owns it."""

    def present(self) -> tuple[object, int] | None:
        """Give what is in force, and its instant as microseconds since 1970, if anything is."""

    def set_us(self, instant_us: int) -> None:
        """Move the outside's present."""


class Movement:
    """The present, the agenda, and the threads at rest: all that time's moving needs to know."""

    def __init__(
        self, start: _dt.datetime | str, *, autojump: bool, outside: OutsideTime | None
    ) -> None:
        self.lock = threading.RLock()
        self.autojump = autojump
        self.regardless = False  # of who else runs: time runs by itself
        self._outside = outside
        self._origin_us = instant_us(start, what="start")
        self._dated_by: object = None  # what of the outside was in force last, if ever anything
        self._now_us = 0
        self._agenda = Agenda()
        self._movements = 0
        self._mover: int | None = None  # the thread that moves time at this moment
        # Sets and dicts, no counts: what Ctrl-C interrupts may be done twice, or taken back undone.
        self._running: set[Ours] = set()  # that are not at rest
        self._waiting: dict[Rest, None] = {}  # whose waiting lets time move, in order
        self._settling: dict[Ours, Rest] = {}  # by the thread of ours whose rest is awaited
        self._parked: dict[int, Rest] = {}  # by thread
        self._arrived: set[Rest] = set()  # advances that are there, but for callbacks that wait
        self._roused: set[Rest] = set()  # woken, and not on their way yet
        self._ending: dict[int, threading.Thread] = {}  # ours, as good as over
        self._mine = threading.local()  # what the calling thread is among ours
        self._others = Others()
        self._breath = _thread.allocate_lock()  # never released: its timeout is a moment
        self._breath.acquire()
        self._impatience = 0  # looks in vain for everybody's rest
        self._raised: list[Exception] = []  # by done-callbacks, for whoever moves time
        self._closed = False

    # --- the present ---------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        """The present as microseconds since the clock was made."""
        return self._now_us

    def calendar(self, at_us: int) -> _dt.datetime:
        """Give the date of an instant of this clock."""
        return EPOCH + _dt.timedelta(microseconds=self._origin_us + at_us)

    def instant(self, date: _dt.datetime | str) -> int:
        """Give the instant of a date, an aware datetime or ISO 8601 text, on this clock."""
        return instant_us(date) - self._origin_us

    def _checked(self, due_us: int) -> int:
        """Refuse an instant that no calendar has."""
        if self._origin_us + due_us > _LAST_US:
            raise ValueError("that is later than the year 9999, where calendars end")
        return due_us

    def _set_outside(self) -> None:
        if self._outside is not None and self._dated_by is not None:
            self._outside.set_us(self._origin_us + self._now_us)

    # --- the agenda ----------------------------------------------------------------------------

    def at(self, due_us: int, action: Callable[[], None]) -> Entry:
        """Put an event of the world on the agenda. It runs with the lock held."""
        return self._agenda.add(due_us, "event", action, rank=HAPPENS)

    def cancel(self, entry: Entry) -> None:
        """Take *entry* off the agenda, if it is still on it."""
        self._agenda.cancel(entry)

    def wake_at(
        self, due_us: int, action: Callable[[], None], *, kind: EntryKind = "wake"
    ) -> Entry:
        """Put the end of somebody's sleep on the agenda. It runs with the lock held."""
        return self._agenda.add(due_us, kind, action, rank=HAPPENS if kind == "poll" else SLEEPS)

    def _wake_rest_at(
        self, due_us: int, rest: Rest, *, rank: int, kind: EntryKind = "wake"
    ) -> None:
        rest.due.append(self._agenda.add(due_us, kind, partial(self.wake, rest), rank=rank))

    def changed(self) -> None:
        """Note that the world changed, so that pollers have something new to see."""
        self._agenda.changes += 1

    def next_us(self) -> int | None:
        """Give the instant of what is going to happen by itself next, if anything is."""
        with self.lock:
            entry = None if self._agenda.has_nothing_new() else self._agenda.peek()
            return None if entry is None else entry.due_us

    # --- the one place where time moves --------------------------------------------------------

    def pass_until(self, target_us: int) -> None:
        """Let time pass until *target_us*, and raise what a done-callback raised meanwhile."""
        self._checked(target_us)
        with self.lock:
            rest = self.new_rest("advance", moves=True)
            self._arrive_at(target_us, rest)
            try:
                self.rest(rest)
            finally:
                self._arrived.discard(rest)
            self._surface()

    def _arrive_at(self, due_us: int, rest: Rest) -> None:
        rest.due.append(
            self._agenda.add(due_us, "wake", partial(self._arrive, rest), rank=_ADVANCES)
        )

    def _arrive(self, rest: Rest) -> None:
        """End an advance, once no callback that began in it waits any more."""
        if rest.ours or not self._callbacks_wait():
            self.wake(rest)
        else:
            self._arrived.add(rest)

    def _callbacks_wait(self) -> bool:
        return any(rest.ours and rest.moves for rest in self._parked.values())

    def _move(self, *, later: bool = False) -> None:
        """Work off the agenda while everybody rests and somebody waits."""
        self._mover = _thread.get_ident()
        try:
            self._work_off(later=later)
        finally:
            self._mover = None

    def _work_off(self, *, later: bool) -> None:
        # A poller's first look takes no time, whatever its thread does meanwhile.
        while (
            self._waiting
            and not self._settling
            and (later or not self._running)
            and self._all_rest(later=later)
        ):
            later = False
            if self._arrived and not self._callbacks_wait():
                for rest in self._arrived:
                    self._arrive_at(self._now_us, rest)
                self._arrived.clear()
                continue
            entry = self._agenda.peek()
            if entry is None or self._agenda.has_nothing_new():
                self._stall()
                return
            if entry.due_us > self._now_us:
                self._now_us = entry.due_us
                self._movements += 1
                self._set_outside()
            self._agenda.pop()()

    def _all_rest(self, *, later: bool) -> bool:
        """Whether every thread rests but the caller's.

        One of ours that does not may still be blocked by something else than the clock, such as a
        callback that waits for another thread: *later*, it is looked at like any other.
        """
        if self._roused or any(rest.interrupted() for rest in self._parked.values()
                               if rest.interrupted is not None):  # fmt: skip
            return False
        if self.regardless:
            return True
        if self._others.all_rest(self._parked, self._ending, later=later):
            self._impatience = 0
            return True
        # Whoever waits looks again; a thread that never rests cannot hold time up for ever.
        self._impatience += later
        return self._impatience > PATIENCE

    def let_others_run(self) -> None:
        """Give the other threads, and the world outside, a moment of real time."""
        self._breath.acquire(timeout=LOOK_AGAIN_S)

    def _run_due(self) -> None:
        """Let happen what takes no time: events of this very instant."""
        while True:
            entry = self._agenda.peek()
            if entry is None or entry.kind != "event" or entry.due_us > self._now_us:
                return
            self._agenda.pop()()

    def _stall(self) -> None:
        """Nothing that is due can end any wait: say so to everyone who waits."""
        for rest in tuple(self._waiting):
            self.wake(rest, self._stalled(rest))

    def _stalled(self, rest: Rest) -> ClockStalled:
        until = rest.until() if rest.until else "for what is due"
        entry = self._agenda.peek()
        due = (
            "nothing is due any more"
            if entry is None or self._agenda.has_nothing_new()
            else f"next due is {self.calendar(entry.due_us).isoformat()}"
        )
        advice = (
            "The operation waited for never ends by itself: end it (vm.cancel_operation()), "
            "or wait with a timeout."
            if rest.moves
            else "Only the test moves time here (autojump=False): "
            "call fake.clock.advance(...) from another thread, or before waiting."
        )
        return ClockStalled(
            f"{rest.who} waits {until}, and nothing will end that: "
            f"it is {self.calendar(self._now_us).isoformat()}, and {due}. {advice}"
        )

    # --- resting, for whatever waits -----------------------------------------------------------

    def new_rest(
        self,
        who: str,
        *,
        moves: bool,
        until: Callable[[], str] | None = None,
        interrupted: Callable[[], bool] | None = None,
        settles: threading.Thread | None = None,
    ) -> Rest:
        """Give the calling thread's next rest; *who* and *until* are for messages.

        Raises:
            FakeClosed: there is no time to be had any more.
        """
        self._check_open(who)
        return Rest(
            who,
            ours=self._me(),
            moves=moves,
            until=until,
            interrupted=interrupted,
            settles=settles,
        )

    def _check_open(self, who: str) -> None:
        if self._closed:
            over = FakeClosed(f"{who}: this fake is closed, its time stands still. Take a new one.")
            raise ThreadEnded(over) if self._me() else over

    def rest(self, rest: Rest) -> None:
        """Park the calling thread, which holds the lock once, until *rest* is woken."""
        try:
            self._parked[rest.ident] = rest
            if rest.moves:
                self._waiting[rest] = None
            if rest.ours:
                self._running.discard(rest.ours)
                self._settled(rest.ours)
            self._move()
            if not rest.awake:  # else it was due next itself, and just goes on
                self.lock.release()
                try:
                    self._park(rest)
                finally:
                    self.lock.acquire()
        finally:
            self.wake(rest)  # where something else ended the rest, such as Ctrl-C
            self._roused.discard(rest)
        if rest.error is not None:
            raise rest.error

    def _park(self, rest: Rest) -> None:
        """Wait for *rest* to be woken, and look now and then whether nothing is going to."""
        if rest.ours and not rest.moves and rest.settles is None:
            rest.gate.acquire()
            return
        looks_on = rest.moves or rest.settles is not None
        seen, looks = -1, 0
        while not rest.gate.acquire(timeout=LOOK_AGAIN_S if looks_on else _STALL_LOOK_S):
            with self.lock:
                looks += 1
                if rest.interrupted is not None and rest.interrupted():
                    return
                if rest.moves:
                    if next(iter(self._waiting), None) is rest:  # one looks for all
                        self._move(later=True)
                elif rest.settles is not None:
                    if self._never_settles(rest, rest.settles) or looks > PATIENCE:
                        return
                else:  # somebody else has to move time: give that somebody a moment, not for ever
                    if self._movements != seen:
                        seen, looks = self._movements, 0
                    hopeless = self._others.all_rest(self._parked, self._ending, later=True)
                    if looks > (STALL_LOOKS if hopeless else PATIENCE) and not rest.awake:
                        self.wake(rest, self._stalled(rest))

    def _never_settles(self, rest: Rest, thread: threading.Thread) -> bool:
        """Whether *thread* does not come to rest on the clock, as far as can be seen.

        It is over before it was known as one of ours, or has gone to wait for something else.
        """
        if not thread.is_alive():
            return True
        first = next(iter(self._settling.values()), None)
        return first is rest and self._others.all_rest(self._parked, self._ending, later=True)

    def wake(self, rest: Rest, error: BaseException | None = None) -> None:
        """End *rest*, with *error* if there is one."""
        if rest.awake:
            return
        rest.error = error
        self._roused.add(rest)
        for entry in rest.due:
            self._agenda.cancel(entry)
        self._parked.pop(rest.ident, None)
        if rest.ours:
            self._running.add(rest.ours)
        self._waiting.pop(rest, None)
        rest.awake = True  # last, so that what Ctrl-C interrupts here is done again
        rest.gate.release()

    def _settled(self, ours: Ours) -> None:
        settling = self._settling.pop(ours, None)
        if settling is not None:
            self.wake(settling)

    def _me(self) -> Ours | None:
        """Give what the calling thread is among ours, if it is."""
        ours: Ours | None = getattr(self._mine, "ours", None)
        return ours

    def _surface(self) -> None:
        """Raise what a done-callback raised, to whoever let it run."""
        if self._raised and self._me() is None:
            raise self._raised.pop(0)
