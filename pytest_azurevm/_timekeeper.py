"""The keeper of time: what sleeps and waits in it, and the threads of ours, from first to last."""

from __future__ import annotations

import _thread
import datetime as _dt
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._movement import (
    HAPPENS,
    LOOK_AGAIN_S,
    PATIENCE,
    SLEEPS,
    STALL_LOOKS,
    WAITS,
    Movement,
    OutsideTime,
)
from pytest_azurevm._rest import (
    ClockStalled,
    FakeClosed,
    LeftRunning,
    Ours,
    Rest,
    ThreadEnded,
)

_MANY: Final = 32  # threads that are remembered as good as over, before it is seen which are
# Sleeps in a row, each with a look at the fake, during which nothing at all changed.
_FRUITLESS_LOOKS: Final = 10_000
_FRUITLESS_SLEEPS: Final = 100_000  # of whoever does not look


class Timekeeper(Movement):
    """Time as everything below the tests knows it: transports, pollers, event loops, the engine."""

    def __init__(
        self,
        start: _dt.datetime | str,
        *,
        autojump: bool = True,
        outside: OutsideTime | None = None,
    ) -> None:
        super().__init__(start, autojump=autojump, outside=outside)
        self._looks = 0
        self._fruitless = (0, 0, 0, 0)  # changes, looks at the last sleep; sleeps and looks in vain
        self._expected: dict[Ours, threading.Thread | None] = {}  # that have not shown up yet
        # Ours, by ident, and what is to be told of those that are left running.
        self._threads: dict[int, tuple[threading.Thread, Callable[[], LeftRunning]]] = {}
        self._ended: WeakSet[threading.Thread] = WeakSet()
        self._awaited: dict[threading.Thread, list[Rest]] = {}
        self.sync()

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
            self._wake_rest_at(
                due_us,
                rest,
                rank=HAPPENS if rest.ours else SLEEPS,
                kind="poll" if polling else "wake",
            )
            self.rest(rest)

    def note_sleep(self, *, own_looks: int = 1) -> None:
        """Count the sleeps of whoever looks again and again at what never changes.

        *own_looks* is how often the sleep itself has looked. Who only sleeps, and looks at nothing,
        is left alone for longer: a loop that has an end may be long.

        Raises:
            ClockStalled: that has gone on for too long.
        """
        changes, looks, sleeps, looked = self._fruitless
        fruitless = changes == self._agenda.changes and not self._agenda.has_events()
        sleeps = sleeps + 1 if fruitless else 0
        looked = looked + (self._looks - looks > own_looks) if fruitless else 0
        self._fruitless = (self._agenda.changes, self._looks, sleeps, looked)
        if looked > _FRUITLESS_LOOKS or sleeps > _FRUITLESS_SLEEPS:
            self._fruitless = (0, 0, 0, 0)
            raise ClockStalled(
                f"{threading.current_thread().name} has slept {sleeps:,} times, and nothing "
                "changed: nothing is due any more, and no operation in flight ends by itself, so "
                "what it waits for never comes. It is "
                f"{self.calendar(self._now_us).isoformat()}. End what never ends "
                "(vm.cancel_operation()), or give the loop an end that virtual time reaches: "
                "time.time(), time.monotonic() and datetime's present are real unless freezegun "
                "or time-machine freezes them."
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
                self._wake_rest_at(due_us, rest, rank=WAITS)
                self.note_sleep()
            self._awaited.setdefault(thread, []).append(rest)
            self.rest(rest)
            self._surface()
            return True

    def _wake_in_turn(self, rest: Rest) -> None:
        """Wake *rest* once everybody else rests, so that of several waiters none races another."""
        if rest.moves and not rest.awake:
            self._wake_rest_at(self._now_us, rest, rank=HAPPENS if rest.ours else WAITS)
        else:
            self.wake(rest)  # if somebody else has to move time, nobody might

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

    def has_ended(self, thread: threading.Thread) -> bool:
        """Whether *thread* was ours and is over, or as good as over: then see it out."""
        if thread not in self._ended:
            return False
        if thread is not threading.current_thread():
            thread.join()
        return True

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
        # Somebody may read a frozen clock in the midst of a movement, such as a callback of the
        # garbage collector: nothing can pass then, and the next look finds what that ticked.
        if self._mover == _thread.get_ident():
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
        self.pass_until(target_us)

    # --- the end -------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether there is no time to be had any more."""
        return self._closed

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
        for _ in range(PATIENCE):
            with self.lock:
                coming = [t for t in self._expected.values() if t and t.ident not in self._parked]
            if all(self._others.rests(thread) for thread in coming):
                return
            self.let_others_run()

    def _see_out(self, thread: threading.Thread) -> None:
        """Wait for the end of *thread*, unless it waits for something that the clock cannot end."""
        looks = 0
        while thread is not threading.current_thread() and looks < STALL_LOOKS:
            thread.join(LOOK_AGAIN_S)
            if not thread.is_alive():
                return
            looks = looks + 1 if self._others.rests(thread) else 0
