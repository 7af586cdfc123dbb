"""Virtual time by itself: no Azure, no HTTP, no pollers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_azurevm._clock import Clock
from pytest_azurevm._rest import ClockStalled, FakeClosed, LeftRunning, Ours, ThreadEnded
from pytest_azurevm._threads import Others
from pytest_azurevm._timekeeper import Timekeeper

START = "2026-01-01T00:00:00Z"


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that nobody else holds."""
    clock = Clock(Timekeeper(START))
    yield clock
    clock._time.close()


def polling(clock: Clock, body, *, then: Callable[[], Any] = bool) -> threading.Thread:
    """Start a thread of ours that does *body*, and let it come to rest. Its end is to do *then*."""

    def run() -> None:
        begun = LeftRunning("poller", "here.py", 1)
        with contextlib.suppress(ThreadEnded), clock._time.our_thread(ours, lambda: begun):
            body()
        then()

    ours = Ours()
    clock._time.expect(ours)
    thread = threading.Thread(target=run, name="poller", daemon=True)
    thread.start()
    clock._time.settle(ours, thread)
    return thread


def test_starts_at_its_start(clock):
    """The clock starts at the instant that it is given, as an aware UTC datetime."""
    assert clock.now == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_advances_by_what_it_is_told(clock):
    """Seconds, minutes, hours and days add up, to the microsecond."""
    clock.advance(1.5, minutes=2, hours=3, days=4)

    assert clock.now - datetime(2026, 1, 1, tzinfo=timezone.utc) == timedelta(
        days=4, hours=3, minutes=2, seconds=1.5
    )


def test_a_third_of_a_second_three_times_is_a_second(clock):
    """Instants are whole microseconds, so that nothing is lost or gained by adding."""
    for _ in range(3):
        clock.advance(1 / 3)

    assert clock.now_us == 999_999


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seconds": -1}, ValueError, "seconds must be zero or more, and finite, not -1"),
        ({"minutes": -0.5}, ValueError, "minutes must be zero or more, and finite, not -0.5"),
        ({"seconds": float("nan")}, ValueError, "zero or more, and finite, not nan"),
        ({"seconds": float("inf")}, ValueError, "zero or more, and finite, not inf"),
        ({"seconds": "5"}, TypeError, "seconds must be a number of seconds, not '5'"),
        ({"days": 4_000_000}, ValueError, "later than the year 9999, where calendars end"),
        ({"hours": True}, TypeError, "hours must be a number of seconds, not True"),
    ],
)
def test_refuses_what_is_no_duration(clock, arguments, error, message):
    """A duration that cannot be is refused at the door, and time has not moved."""
    with pytest.raises(error, match=message):
        clock.advance(**arguments)

    assert clock.now_us == 0


def test_advances_to_an_instant(clock):
    """An instant is given as a datetime or as ISO 8601 text, in any time zone."""
    clock.advance_to("2026-01-01T02:00:00+01:00")
    clock.advance_to(datetime(2026, 1, 1, 2, tzinfo=timezone.utc))

    assert clock.now_us == 2 * 3_600_000_000


@pytest.mark.parametrize(
    ("instant", "error", "message"),
    [
        ("2025-12-31T23:59:59Z", ValueError, "cannot go back to 2025-12-31T23:59:59"),
        (datetime(2027, 1, 1), ValueError, "has no time zone"),
        ("tomorrow", ValueError, "not an ISO 8601 instant"),
        (5, TypeError, "must be an aware datetime or ISO 8601 text, not 5"),
    ],
)
def test_refuses_instants_that_cannot_be_reached(clock, instant, error, message):
    """The past, a naive datetime and other things are no instants to advance to."""
    with pytest.raises(error, match=message):
        clock.advance_to(instant)

    assert clock.now_us == 0


def test_events_happen_in_order_of_instant_then_of_declaration(clock):
    """What is due first happens first; what is due together, in the order it was declared."""
    seen = []
    clock._time.at(20, lambda: seen.append(("b", clock.now_us)))
    clock._time.at(10, lambda: seen.append(("a", clock.now_us)))
    clock._time.at(20, lambda: seen.append(("c", clock.now_us)))

    clock.advance(1)

    assert seen == [("a", 10), ("b", 20), ("c", 20)]


def test_an_event_at_the_very_end_still_happens(clock):
    """Advancing by ten seconds includes what is due in exactly ten seconds, and what follows."""
    seen = []
    clock._time.at(10_000_000, lambda: clock._time.at(10_000_000, lambda: seen.append("follows")))

    clock.advance(10)

    assert seen == ["follows"]


def test_a_cancelled_event_does_not_happen(clock):
    """What is taken off the agenda is gone, and taking it off twice does no harm."""
    seen = []
    entry = clock._time.at(10, lambda: seen.append("no"))
    clock._time.cancel(entry)
    clock._time.cancel(entry)

    clock.advance(1)

    assert seen == []


def test_looking_does_not_move(clock):
    """Neither now nor repr moves time."""
    clock._time.at(1, lambda: None)

    looked = [clock.now for _ in range(3)], repr(clock)

    assert looked == (
        [datetime(2026, 1, 1, tzinfo=timezone.utc)] * 3,
        "<Clock 2026-01-01T00:00:00+00:00>",
    )


def test_what_is_due_at_once_happens_before_the_next_look(clock):
    """An event of this very instant takes no time, so it has happened when anybody looks."""
    seen = []
    clock._time.at(0, lambda: seen.append("now"))

    assert (clock.now_us, seen, clock.now.second, seen) == (0, ["now"], 0, ["now"])


def test_run_until_idle_ends_with_the_last_event(clock):
    """Time passes until the last thing has happened, and no further."""
    clock._time.at(5_000_000, lambda: clock._time.at(7_000_000, lambda: None))

    clock.run_until_idle()

    assert clock.now_us == 7_000_000


def test_a_sleeping_poller_does_not_move_time(clock):
    """A polling thread's sleep only lets others look."""
    polling(clock, lambda: clock._time.sleep(5, polling=True))

    assert clock.now_us == 0


def test_advancing_wakes_pollers_at_their_instant(clock):
    """Whoever advances has every poller run that falls due, and finds it at rest again."""
    seen = []

    def poll() -> None:
        for _ in range(3):
            clock._time.sleep(10, polling=True)
            seen.append(clock.now_us)

    thread = polling(clock, poll)
    clock.advance(25)

    assert (seen, thread.is_alive()) == ([10_000_000, 20_000_000], True)


def test_pollers_and_events_of_one_instant_keep_their_order(clock):
    """Sequence decides between an event and a poller's wake-up of the same instant."""
    seen = []

    def poll() -> None:
        clock._time.sleep(10, polling=True)
        seen.append("poller")

    clock._time.at(10_000_000, lambda: seen.append("before"))
    polling(clock, poll)
    clock._time.at(10_000_000, lambda: seen.append("after"))

    clock.advance(10)

    assert seen == ["before", "poller", "after"]


def test_sleep_outside_of_pollers_jumps(clock):
    """With autojump, whoever sleeps moves time, and what is due on the way happens."""
    seen = []
    clock._time.at(3_000_000, lambda: seen.append(clock.now_us))

    clock._time.sleep(5)

    assert (clock.now_us, seen) == (5_000_000, [3_000_000])


def test_a_sleep_wakes_after_all_that_happens_at_its_instant(clock):
    """Also what was declared while it slept has happened when a sleep ends."""
    seen = []
    clock._time.at(
        1_000_000, lambda: clock._time.at(5_000_000, lambda: seen.append("declared later"))
    )

    clock._time.sleep(5)

    assert seen == ["declared later"]


def test_waiting_for_a_thread_takes_as_long_as_it_takes(clock):
    """Waiting for a poller moves time to its end, and no further."""
    thread = polling(
        clock, lambda: (clock._time.sleep(10, polling=True), clock._time.sleep(20, polling=True))
    )
    clock._time.at(20_000_000, lambda: None)

    clock._time.wait_for_thread(thread, None, who=lambda: "it")

    assert (clock.now_us, clock._time.has_ended(thread), thread.is_alive()) == (
        30_000_000,
        True,
        False,
    )


def test_waiting_for_the_longest_of_three_takes_the_longest(clock):
    """Three pollers waited for one after another take the longest of them, not the sum."""
    threads = [polling(clock, lambda s=s: clock._time.sleep(s, polling=True)) for s in (30, 10, 20)]
    clock._time.at(30_000_000, lambda: None)

    for thread in threads:
        clock._time.wait_for_thread(thread, None, who=lambda: "it")

    assert clock.now_us == 30_000_000


def test_a_timeout_is_virtual(clock):
    """Waiting with a timeout returns at that virtual instant, the poller still at it."""
    thread = polling(clock, lambda: clock._time.sleep(100, polling=True))

    clock._time.wait_for_thread(thread, 7.5, who=lambda: "it")

    assert (clock.now_us, clock._time.has_ended(thread)) == (7_500_000, False)


def test_a_wait_that_nothing_ends_says_so(clock):
    """With nothing due any more, a wait raises at once: who, what for, and what to do."""

    def poll() -> None:
        while True:
            clock._time.sleep(30, polling=True)

    thread = polling(clock, poll)
    with pytest.raises(ClockStalled) as caught:
        clock._time.wait_for_thread(thread, None, who=lambda: "POST /start")

    assert str(caught.value) == (
        "MainThread waits for POST /start, and nothing will end that: it is "
        "2026-01-01T00:00:00+00:00, and nothing is due any more. The operation waited for never "
        "ends by itself: end it (vm.cancel_operation()), or wait with a timeout."
    )


def test_a_wait_gives_pollers_their_last_look_before_it_gives_up(clock):
    """A poller that has not seen the last change yet looks once more before a wait is hopeless."""
    looks = []

    def poll() -> None:
        while True:
            clock._time.sleep(30, polling=True)
            looks.append(clock.now_us)

    thread = polling(clock, poll)
    clock._time.at(40_000_000, lambda: None)
    with pytest.raises(ClockStalled):
        clock._time.wait_for_thread(thread, None, who=lambda: "it")

    assert looks == [30_000_000, 60_000_000]


def test_without_autojump_a_wait_that_nobody_ends_says_so():
    """Where only the test moves time, a wait with nobody to move it raises, and does not hang."""
    clock = Clock(Timekeeper(START, autojump=False))

    with pytest.raises(ClockStalled, match=r"Only the test moves time here \(autojump=False\)"):
        clock._time.sleep(5)

    assert clock.now_us == 0


def test_without_autojump_another_thread_may_move_time():
    """A wait ends when a thread of the test advances far enough."""
    clock = Clock(Timekeeper(START, autojump=False))
    slept = []
    sleeper = threading.Thread(target=lambda: (clock._time.sleep(5), slept.append(clock.now_us)))
    sleeper.start()
    while not slept and sleeper.is_alive():
        clock.advance(1)
    sleeper.join()

    assert [at >= 5_000_000 for at in slept] == [True]


def test_a_thread_that_never_starts_is_not_waited_for_again_and_again(clock, monkeypatch):
    """What an interrupted start leaves behind is known for what it is after some looks."""
    looks, all_rest = [], Others.all_rest
    monkeypatch.setattr(Others, "all_rest", lambda *a, **k: looks.append(1) or all_rest(*a, **k))
    never = threading.Thread(target=print)
    threading._limbo[never] = never
    try:
        clock.advance(1)
        first = len(looks)
        for _ in range(50):
            clock.advance(1)
    finally:
        del threading._limbo[never]

    assert 50 < first < 100
    assert len(looks) - first < 200


def test_seeing_a_thread_out_is_no_rest(clock, monkeypatch):
    """While a thread waits for one that is as good as over, no other wait is hopeless."""
    go, looks, all_rest = threading.Event(), [], Others.all_rest

    def looking(*args: Any, **kwargs: Any) -> bool:
        looks.append(kwargs["later"])
        if looks.count(True) > 3:
            go.set()
        return all_rest(*args, **kwargs)

    ending = polling(clock, lambda: None, then=go.wait)
    thread = polling(
        clock, lambda: (clock._time.sleep(5, polling=True), clock._time.has_ended(ending))
    )
    monkeypatch.setattr(Others, "all_rest", looking)
    clock._time.at(5_000_000, lambda: None)
    clock._time.wait_for_thread(thread, None, who=lambda: "it")

    assert clock.now_us == 5_000_000


def test_closing_ends_what_waits(clock):
    """The end of the fake ends its pollers, names them, and leaves no thread."""
    errors = []

    def poll() -> None:
        try:
            clock._time.sleep(5, polling=True)
        except ThreadEnded as error:
            errors.append(str(error))

    thread = polling(clock, poll)
    named = clock._time.close()

    assert (named, errors, thread.is_alive()) == (
        (LeftRunning("poller", "here.py", 1),),
        ["poller: the fake was closed while this waited."],
        False,
    )


def test_a_closed_clock_gives_no_time(clock):
    """After the end, moving time is an error that says so; looking is not."""
    clock._time.close()

    with pytest.raises(FakeClosed, match="its time stands still"):
        clock.advance(1)
    assert clock.now == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_realtime_runs_by_itself(clock):
    """While time runs by itself, waiting lasts as long as it takes at that speed, and ends."""
    seen = []
    clock._time.at(3_600_000_000, lambda: seen.append("an hour"))
    with clock.realtime(speed=1_000_000):
        clock._time.sleep(7_200)

    assert seen == ["an hour"]
    assert clock.now_us >= 7_200_000_000
    assert clock.autojump is True


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_realtime_needs_a_speed(clock, speed):
    """A speed that is not positive is refused."""
    with pytest.raises(ValueError, match="speed must be"), clock.realtime(speed):
        pass
