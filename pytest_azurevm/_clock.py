"""Virtual time: which instant it is, and who may move it.

Three rules, and all code below serves them:

1. **Time moves in one place**, ``Clock._move``. Looking never moves it, and neither does
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple, Protocol
from weakref import WeakSet

from pytest_azurevm._agenda import EPOCH, Agenda, Entry, EntryKind, instant_us, microseconds
from pytest_azurevm._realtime import running
from pytest_azurevm._threads import Others

_LAST_US: Final = (_dt.datetime.max.replace(tzinfo=_dt.timezone.utc) - EPOCH) // _dt.timedelta(
    microseconds=1
)
_STALL_LOOK_S: Final = 0.01
_STALL_LOOKS: Final = 80  # such looks, or shorter ones, without movement: the wait is hopeless
_LOOK_AGAIN_S: Final = 0.005  # real seconds until whoever waits looks again who else runs
_MANY: Final = 32  # threads that are remembered as good as over, before it is seen which are
_PATIENCE: Final = 600  # such looks, after which a thread that never rests is passed over
# Sleeps in a row, each with a look at the fake, during which nothing at all changed.
_FRUITLESS_SLEEPS: Final = 10_000

# What of one instant comes first: what happens, polling threads' looks included; who slept until
# then, and so finds it happened; who waits for pollers; and an advance, which finds all at rest.
_HAPPENS: Final = 0
_SLEEPS: Final = 1
_WAITS: Final = 2
_ADVANCES: Final = 3


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


class OutsideTime(Protocol):
    """A calendar that somebody else owns, such as freezegun's. ``None`` while nobody owns it."""

    def present(self) -> tuple[object, int] | None:
        """Give what is in force, and its instant as microseconds since 1970, if anything is."""

    def set_us(self, instant_us: int) -> None:
        """Move the outside's present."""


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


class Clock:
    """The fake subscription's time. Tests hold it as ``fake.clock``.

    ``now`` looks; ``advance``, ``advance_to`` and ``run_until_idle`` move. Whoever moves time runs
    everything that falls due, in order of instant and then of declaration, pollers and their
    done-callbacks included, before the call returns.
    """

    def __init__(
        self,
        start: _dt.datetime | str,
        *,
        autojump: bool = True,
        outside: OutsideTime | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.autojump = autojump
        self._outside = outside
        self._origin_us = instant_us(start, what="start")
        self._dated_by: object = None  # what of the outside was in force last, if ever anything
        self._now_us = 0
        self._agenda = Agenda()
        self._movements = 0
        # Sets and dicts, no counts: what Ctrl-C interrupts may be done twice, or taken back undone.
        self._running: set[Ours] = set()  # that are not at rest
        self._expected: dict[Ours, threading.Thread | None] = {}  # that have not shown up yet
        self._waiting: dict[Rest, None] = {}  # whose waiting lets time move, in order
        self._settling: dict[Ours, Rest] = {}  # by the thread of ours whose rest is awaited
        self._parked: dict[int, Rest] = {}  # by thread
        self._arrived: set[Rest] = set()  # advances that are there, but for callbacks that wait
        self._roused: set[Rest] = set()  # woken, and not on their way yet
        self._others = Others()
        self._breath = _thread.allocate_lock()  # never released: its timeout is a moment
        self._breath.acquire()
        self._regardless = False  # of who else runs: time runs by itself
        self._impatience = 0  # looks in vain for everybody's rest
        self._looks = 0
        self._fruitless = (0, 0, 0)  # changes and looks at the last sleep, and sleeps in vain
        self._raised: list[Exception] = []  # by done-callbacks, for whoever moves time
        self._mine = threading.local()
        # Ours, by ident, and what is to be told of those that are left running.
        self._threads: dict[int, tuple[threading.Thread, Callable[[], LeftRunning]]] = {}
        self._ending: dict[int, threading.Thread] = {}  # ours, as good as over
        self._ended: WeakSet[threading.Thread] = WeakSet()
        self._awaited: dict[threading.Thread, list[Rest]] = {}
        self._closed = False
        self.sync()

    # --- looking -------------------------------------------------------------------------------

    @property
    def now(self) -> _dt.datetime:
        """The present as an aware UTC datetime. Looking never moves it."""
        self.sync()
        return self.calendar(self._now_us)

    @property
    def now_us(self) -> int:
        """The present as microseconds since the clock was made."""
        return self._now_us

    def calendar(self, at_us: int) -> _dt.datetime:
        """Give the date of an instant of this clock."""
        return EPOCH + _dt.timedelta(microseconds=self._origin_us + at_us)

    def __repr__(self) -> str:
        return f"<Clock {self.calendar(self._now_us).isoformat()}>"

    # --- moving, for whoever holds the clock ---------------------------------------------------

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
        self.sync()
        self._pass_until(self._checked(self._now_us + span_us))

    def advance_to(self, instant: _dt.datetime | str) -> None:
        """Let time pass until *instant*, an aware datetime or ISO 8601 text.

        Raises:
            ValueError: *instant* lies in the past, or has no time zone.
        """
        self.sync()
        target_us = instant_us(instant) - self._origin_us
        if target_us < self._now_us:
            raise ValueError(
                f"cannot go back to {self.calendar(target_us).isoformat()}: "
                f"it is {self.calendar(self._now_us).isoformat()} already. Time only moves "
                "forward: start earlier (start=...), or take a fresh fake."
            )
        self._pass_until(self._checked(target_us))

    def run_until_idle(self) -> None:
        """Let time pass until nothing more is going to happen by itself.

        The end of the last operation, and the last look of a poller that still has news to get.
        """
        self.sync()
        while True:
            with self.lock:
                entry = None if self._agenda.has_nothing_new() else self._agenda.peek()
            if entry is None:
                return
            self._pass_until(entry.due_us)

    @contextmanager
    def realtime(self, speed: float = 1.0) -> Iterator[None]:
        """Let time run by itself meanwhile, *speed* times as fast as real time.

        For servers and demonstrations. Waiting does not jump then; it lasts.

        Raises:
            ValueError: the speed is not positive.
        """
        if not microseconds(speed, what="speed"):
            raise ValueError(f"speed must be more than 0, not {speed!r}")
        autojump, self.autojump, self._regardless = self.autojump, False, True
        try:
            with running(self.advance, speed):
                yield
        finally:
            self.autojump, self._regardless = autojump, False

    def _checked(self, due_us: int) -> int:
        """Refuse an instant that no calendar has."""
        if self._origin_us + due_us > _LAST_US:
            raise ValueError("that is later than the year 9999, where calendars end")
        return due_us

    def _pass_until(self, target_us: int) -> None:
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

    # --- the agenda, for the engine ------------------------------------------------------------

    def at(self, due_us: int, action: Callable[[], None]) -> Entry:
        """Put an event of the world on the agenda. It runs with the lock held."""
        return self._agenda.add(due_us, "event", action, rank=_HAPPENS)

    def cancel(self, entry: Entry) -> None:
        """Take *entry* off the agenda, if it is still on it."""
        self._agenda.cancel(entry)

    def wake_at(
        self, due_us: int, action: Callable[[], None], *, kind: EntryKind = "wake"
    ) -> Entry:
        """Put the end of somebody's sleep on the agenda. It runs with the lock held."""
        return self._agenda.add(due_us, kind, action, rank=_HAPPENS if kind == "poll" else _SLEEPS)

    def _wake_at(self, due_us: int, rest: Rest, *, rank: int, kind: EntryKind = "wake") -> None:
        rest.due.append(self._agenda.add(due_us, kind, partial(self.wake, rest), rank=rank))

    def changed(self) -> None:
        """Note that the world changed, so that pollers have something new to see."""
        self._agenda.changes += 1

    # --- the one place where time moves --------------------------------------------------------

    def _move(self, *, later: bool = False) -> None:
        """Work off the agenda while everybody rests and somebody waits."""
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
        if self._regardless:
            return True
        if self._others.all_rest(self._parked, self._ending, later=later):
            self._impatience = 0
            return True
        # Whoever waits looks again; a thread that never rests cannot hold time up for ever.
        self._impatience += later
        return self._impatience > _PATIENCE

    def let_others_run(self) -> None:
        """Give the other threads, and the world outside, a moment of real time."""
        self._breath.acquire(timeout=_LOOK_AGAIN_S)

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
        while not rest.gate.acquire(timeout=_LOOK_AGAIN_S if looks_on else _STALL_LOOK_S):
            with self.lock:
                looks += 1
                if rest.interrupted is not None and rest.interrupted():
                    return
                if rest.moves:
                    if next(iter(self._waiting), None) is rest:  # one looks for all
                        self._move(later=True)
                elif rest.settles is not None:
                    if self._never_settles(rest, rest.settles) or looks > _PATIENCE:
                        return
                else:  # somebody else has to move time: give that somebody a moment, not for ever
                    if self._movements != seen:
                        seen, looks = self._movements, 0
                    if looks > _STALL_LOOKS and not rest.awake:
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
        rest.awake = True
        rest.error = error
        self._roused.add(rest)
        for entry in rest.due:
            self._agenda.cancel(entry)
        self._parked.pop(rest.ident, None)
        if rest.ours:
            self._running.add(rest.ours)
        self._waiting.pop(rest, None)
        rest.gate.release()

    def _surface(self) -> None:
        """Raise what a done-callback raised, to whoever let it run."""
        if self._raised and self._me() is None:
            raise self._raised.pop(0)

    # --- sleeping and waiting, for transports and pollers --------------------------------------

    def sleep(self, seconds: float, *, polling: bool = False) -> None:
        """Sleep for virtual time, and move it. A *polling* sleep only lets others look.

        So does any sleep of a polling thread, until it runs its callbacks. *polling* is then what
        the SDK's own pollers do between two looks, not before a retry.
        """
        if not polling:  # between a poller's look and its sleep nothing may happen unseen
            self.sync()
        with self.lock:
            ours = self._polls()
            if not polling:
                self.note_sleep()
            due_us = self._checked(self._now_us + microseconds(seconds))
            rest = self.new_rest(
                threading.current_thread().name,
                moves=self.autojump and not ours,
                until=lambda: f"until {self.calendar(due_us).isoformat()}",
            )
            self._wake_at(
                due_us,
                rest,
                rank=_HAPPENS if rest.ours else _SLEEPS,
                kind="poll" if polling else "wake",
            )
            self.rest(rest)

    def note_sleep(self) -> None:
        """Count the sleeps of whoever looks again and again at what never changes.

        Raises:
            ClockStalled: that has gone on for too long.
        """
        changes, looks, sleeps = self._fruitless
        fruitless = changes == self._agenda.changes and not self._agenda.has_events()
        sleeps = sleeps + (looks != self._looks) if fruitless else 0
        self._fruitless = (self._agenda.changes, self._looks, sleeps)
        if sleeps > _FRUITLESS_SLEEPS:
            self._fruitless = (0, 0, 0)
            raise ClockStalled(
                f"{threading.current_thread().name} has slept and looked {sleeps:,} times, and "
                "nothing changed: no operation is in flight, and nothing is due, so what it waits "
                f"for never comes. It is {self.calendar(self._now_us).isoformat()}. Give the loop "
                "a deadline, or make happen what it waits for."
            )

    def wait_for_thread(
        self, thread: threading.Thread, timeout: float | None, *, who: Callable[[], str]
    ) -> bool:
        """Wait until *thread* has ended, or *timeout* virtual seconds are over.

        Give whether it is one of ours. Another one is not waited for.
        """
        self.sync()
        with self.lock:
            # Not by its ident alone: the system gives those of ended threads out again.
            if thread in self._ended or thread.ident not in self._threads:
                self._surface()
                return thread in self._ended
            rest = self.new_rest(
                threading.current_thread().name, moves=self.autojump, until=lambda: f"for {who()}"
            )
            if timeout is not None:
                due_us = self._now_us + microseconds(max(timeout, 0), what="timeout")
                self._wake_at(due_us, rest, rank=_WAITS)
            self._awaited.setdefault(thread, []).append(rest)
            self.rest(rest)
            self._surface()
            return True

    # --- threads of ours -----------------------------------------------------------------------

    def expect(self, ours: Ours) -> None:
        """Count a polling thread that is about to start.

        Raises:
            FakeClosed: there is no time to be had any more.
        """
        with self.lock:
            if self._closed:
                raise FakeClosed("this fake is closed; no operation can be followed any more.")
            self._expected[ours] = None
            self._running.add(ours)

    def forget(self, ours: Ours, thread: threading.Thread | None) -> None:
        """Take back ``expect``: no *thread* was needed, or it is not known whether it comes.

        If it comes after all, it is one of ours again.
        """
        with self.lock:
            if ours in self._expected:
                self._running.discard(ours)
                self._expected[ours] = thread
            if thread is None:
                self._expected.pop(ours, None)

    @contextmanager
    def our_thread(
        self,
        ours: Ours,
        begun: Callable[[], LeftRunning],
        *,
        polls: Callable[[], bool] = lambda: True,
    ) -> Iterator[None]:
        """Be, for the calling thread, one of *ours* (announced by ``expect``).

        *polls* tells whether it still polls, or runs its done-callbacks already. What these raise
        goes to whoever moves time: that is where a test looks.

        Raises:
            ThreadEnded: the fake ended first.
        """
        thread, ident = threading.current_thread(), _thread.get_ident()
        with self.lock:
            self._running.add(ours)
            self._expected.pop(ours, None)
            self._threads[ident] = (thread, begun)
            self._mine.ours, self._mine.polls = ours, polls
        try:
            self._check_open(thread.name)
            yield
        except Exception as error:
            self._raised.append(error)
        finally:
            with self.lock:
                self._mine.ours = None
                self._ended.add(thread)
                self._ending[ident] = thread
                if len(self._ending) > _MANY:
                    self._ending = {i: t for i, t in self._ending.items() if t.is_alive()}
                self._threads.pop(ident, None)
                for rest in self._awaited.pop(thread, ()):
                    self._wake_in_turn(rest)
                self._running.discard(ours)
                self._settled(ours)
                self._move()

    def _wake_in_turn(self, rest: Rest) -> None:
        """Wake *rest* once everybody else rests, so that of several waiters none races another."""
        if rest.moves and not rest.awake:
            self._wake_at(self._now_us, rest, rank=_HAPPENS if rest.ours else _WAITS)
        else:
            self.wake(rest)  # if somebody else has to move time, nobody might

    def settle(self, ours: Ours, thread: threading.Thread | None) -> None:
        """Wait, without moving time, until *thread*, one of ours, is at rest for the first time.

        Or until it is plain that it is not going to be, or to be one of ours at all.
        """
        with self.lock:
            try:
                if thread is not None and ours in self._running and not self._closed:
                    rest = self.new_rest("settle", moves=False, settles=thread)
                    self._settling[ours] = rest
                    self.rest(rest)
            finally:
                self._settling.pop(ours, None)
                self.forget(ours, thread)

    def _settled(self, ours: Ours) -> None:
        settling = self._settling.pop(ours, None)
        if settling is not None:
            self.wake(settling)

    def has_ended(self, thread: threading.Thread) -> bool:
        """Whether *thread* was ours and is over, or as good as over: then see it out."""
        if thread not in self._ended:
            return False
        if thread is not threading.current_thread():
            thread.join()
        return True

    def _me(self) -> Ours | None:
        """Give what the calling thread is among ours, if it is."""
        ours: Ours | None = getattr(self._mine, "ours", None)
        return ours

    def _polls(self) -> bool:
        """Whether the calling thread is one of ours, and still polls."""
        return self._me() is not None and bool(self._mine.polls())

    # --- the outside's calendar ----------------------------------------------------------------

    def sync(self) -> None:
        """Let time that was moved outside (a frozen clock's) pass here too.

        The first freeze sets the calendar; from then on its movements are time passing. So is a
        later freeze, unless it is earlier (such as the outer one of two, in force again): then it
        sets the calendar anew, and no time passes.

        Raises:
            ValueError: one and the same freeze was moved back.
        """
        if self._closed:
            return
        with self.lock:
            self._looks += 1
            self._run_due()
            present = None if self._outside is None else self._outside.present()
            if present is None:
                return
            frozen, outside_us = present
            first, again = self._dated_by is None, self._dated_by is frozen
            self._dated_by = frozen
            target_us = outside_us - self._origin_us
            if first or (target_us < self._now_us and not again):
                self._origin_us = outside_us - self._now_us
                return
            if target_us == self._now_us:
                return
            if target_us < self._now_us:
                raise ValueError(
                    f"frozen time went back to {self.calendar(target_us).isoformat()}: "
                    f"it was {self.calendar(self._now_us).isoformat()} already for the fake's "
                    "virtual machines. Move it forward only, or take a fresh fake."
                )
            if self._running and self._me() is None:
                return  # another thread is in the middle of moving time
            self._set_outside()  # what falls due on the way sees its own instant
        self._pass_until(target_us)

    def _set_outside(self) -> None:
        if self._outside is not None and self._dated_by is not None:
            self._outside.set_us(self._origin_us + self._now_us)

    # --- the end -------------------------------------------------------------------------------

    def close(self) -> tuple[LeftRunning, ...]:
        """End everything that still waits, see our threads out, and name those that were left.

        Raises:
            Exception: what a done-callback raised, if nobody has met it yet.
        """
        self._see_in()
        with self.lock:
            self._closed = True
            left = tuple(self._threads.values())
            for rest in tuple(self._parked.values()):
                closed = FakeClosed(f"{rest.who}: the fake was closed while this waited.")
                self.wake(rest, ThreadEnded(closed) if rest.ours else closed)
        for thread in (*(thread for thread, _ in left), *self._ending.values()):
            self._see_out(thread)
        self._surface()
        return tuple(begun() for _, begun in left)

    def _see_in(self) -> None:
        """Let every thread show up that is expected, where a begin was interrupted."""
        for _ in range(_PATIENCE):
            with self.lock:
                coming = [t for t in self._expected.values() if t and t.ident not in self._parked]
            if all(self._others.rests(thread) for thread in coming):
                return
            self.let_others_run()

    def _see_out(self, thread: threading.Thread) -> None:
        """Wait for the end of *thread*, unless it waits for something that the clock cannot end."""
        looks = 0
        while thread is not threading.current_thread() and looks < _STALL_LOOKS:
            thread.join(_LOOK_AGAIN_S)
            if not thread.is_alive():
                return
            looks = looks + 1 if self._others.rests(thread) else 0
