"""Frozen time is the same time: freezegun in charge of the fake's calendar."""

from __future__ import annotations

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import freezegun.api
import pytest
import time_machine
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory, StepTickTimeFactory

from pytest_azurevm import FakeCompute

NOON = datetime(2025, 6, 1, 12, tzinfo=timezone.utc)


def test_a_freeze_before_the_fake_sets_its_calendar():
    """A fake made while time is frozen shows the frozen now."""
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        now = fake.clock.now

    assert now == NOON


def test_a_freeze_after_the_fake_sets_its_calendar_without_time_passing():
    """The first freeze re-dates a fake that is there already: no time has passed."""
    with FakeCompute() as fake:
        vm = fake.add_vm("web-1")
        with freeze_time("2025-06-01 12:00:00"):
            seen = fake.clock.now, vm.bill.hardware, vm.history[0].at

    assert seen == (NOON, 0, NOON)


def test_ticking_is_advancing():
    """frozen.tick lets everything happen that falls due, before it returns."""
    with freeze_time("2025-06-01 12:00:00") as frozen, FakeCompute() as fake:
        fake.add_vm("web-1")
        done_at = []
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        poller.add_done_callback(lambda _: done_at.append(datetime.now(timezone.utc)))
        frozen.tick(60)
        during = poller.done(), fake.vm("web-1").power_state
        frozen.tick(timedelta(minutes=1))

        assert during == (False, "deallocated")
        assert (poller.done(), done_at) == (True, [NOON + timedelta(seconds=66)])
        assert datetime.now(timezone.utc) == fake.clock.now == NOON + timedelta(minutes=2)


def test_moving_to_an_instant_is_advancing_to_it():
    """frozen.move_to is advance_to."""
    with freeze_time("2025-06-01 12:00:00") as frozen, FakeCompute() as fake:
        fake.add_vm("web-1")
        fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        frozen.move_to("2025-06-01 12:00:51")
        before = fake.vm("web-1").power_state
        frozen.move_to("2025-06-01 12:00:52")

        assert (before, fake.vm("web-1").power_state) == ("deallocating", "deallocated")


def test_waiting_ticks_the_frozen_clock():
    """Application and fake agree on what time it is after a wait, to the microsecond."""
    with freeze_time("2025-06-01 12:00:00.000001"), FakeCompute() as fake:
        fake.add_vm("web-1")
        fake.client.virtual_machines.begin_deallocate("rg", "web-1").result()

        assert datetime.now(timezone.utc) == fake.clock.now
        assert fake.clock.now == NOON + timedelta(seconds=66, microseconds=1)


def test_advancing_ticks_the_frozen_clock():
    """clock.advance moves what datetime.now() tells."""
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        fake.clock.advance(minutes=5)

        assert datetime.now(timezone.utc) == NOON + timedelta(minutes=5)


def test_timestamps_on_the_wire_are_frozen_time():
    """timeCreated, startTime and the statuses' times are instants of the frozen clock."""
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        vm = fake.add_vm("web-1")
        fake.clock.advance(1)
        fake.client.virtual_machines.begin_power_off("rg", "web-1")
        poll = fake.calls.filter(operation="poll")[0].response_body

        assert vm.model["properties"]["timeCreated"] == "2025-06-01T12:00:00+00:00"
        assert poll["startTime"] == "2025-06-01T12:00:01+00:00"


def test_a_second_freeze_is_time_passing():
    """Two freezes, one for the evening and one for the morning, have a night between them."""
    with FakeCompute() as fake:
        with freeze_time("2025-06-01 20:00:00"):
            vm = fake.add_vm("web-1")
        with freeze_time("2025-06-02 06:00:00"):
            seen = vm.bill.hardware

    assert seen == 10 * 3_600


def test_moving_frozen_time_back_is_an_error_that_says_so():
    """Virtual machines cannot live backwards."""
    with freeze_time("2025-06-01 12:00:00") as frozen, FakeCompute() as fake:
        fake.add_vm("web-1")
        with pytest.raises(ValueError, match=r"frozen time went back to 2025-06-01T11:00:00"):
            frozen.move_to("2025-06-01 11:00:00")


def test_the_decorator_and_an_automatic_tick_work():
    """A frozen clock that ticks by itself at each look is followed, not driven."""

    @freeze_time("2025-06-01 12:00:00", auto_tick_seconds=10)
    def run() -> tuple[bool, str | None]:
        with FakeCompute() as fake:
            fake.add_vm("web-1")
            poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
            while not poller.done():
                datetime.now(timezone.utc)
            return poller.done(), fake.vm("web-1").power_state

    assert run() == (True, "deallocated")


def test_a_ticking_freeze_is_followed():
    """freeze_time(tick=True) runs on by itself; the fake shows its time."""
    with freeze_time("2025-06-01 12:00:00", tick=True) as frozen, FakeCompute() as fake:
        fake.add_vm("web-1")
        fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        frozen.tick(60)

        assert fake.vm("web-1").power_state == "deallocated"
        assert fake.clock.now >= NOON + timedelta(seconds=60)


def test_freezegun_is_as_it_was_after_the_fake():
    """The factories' methods that were wrapped while the fake was active are freezegun's again."""
    kinds = (FrozenDateTimeFactory, StepTickTimeFactory)
    before = [(kind.tick, kind.move_to) for kind in kinds]
    with freeze_time("2025-06-01"), FakeCompute():
        during = [(kind.tick, kind.move_to) for kind in kinds]

    assert [(kind.tick, kind.move_to) for kind in kinds] == before
    assert during != before
    assert dt.datetime is datetime


def test_after_the_freeze_time_goes_on_from_there():
    """When the freeze ends, the fake keeps its present, and moves by itself again."""
    with FakeCompute() as fake:
        with freeze_time("2025-06-01 12:00:00"):
            fake.clock.advance(60)
        fake.clock.advance(60)

        assert fake.clock.now == NOON + timedelta(minutes=2)


def test_a_freeze_within_a_freeze_and_back_is_no_error():
    """Leaving an inner freeze for the earlier outer one sets the calendar, and no time passes."""
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        vm = fake.add_vm("web-1")
        with freeze_time("2025-06-01 13:00:00"):
            inner = fake.clock.now, vm.bill.hardware
        outer = fake.clock.now, vm.bill.hardware
        fake.clock.advance(60)

        assert inner == (NOON + timedelta(hours=1), 3_600)
        assert outer == (NOON, 3_600)
        assert (datetime.now(timezone.utc), vm.bill.hardware) == (
            NOON + timedelta(minutes=1),
            3_660,
        )


def test_threads_under_freezegun_see_one_time():
    """A thread of the code under test, its poller and the test agree on what time it is."""
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        fake.add_vm("web-1")
        seen = []

        def work() -> None:
            fake.client.virtual_machines.begin_deallocate("rg", "web-1").result()
            seen.append((datetime.now(timezone.utc), fake.clock.now))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        assert seen == [(NOON + timedelta(seconds=66),) * 2]
        assert datetime.now(timezone.utc) == NOON + timedelta(seconds=66)


def test_code_near_the_top_of_a_thread_sees_frozen_time_too():
    """By freezegun alone, its time.time() is real; the fake's pollers and threads have one."""
    judge = freezegun.api._should_use_real_time
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        fake.add_vm("web-1")
        seen = []

        def look(*_: object) -> None:
            seen.append((time.time(), datetime.now(timezone.utc).timestamp()))

        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        poller.add_done_callback(look)
        poller.result()

    noon = NOON.timestamp()
    assert seen == [(noon, noon), (noon + 66, noon + 66)]
    assert freezegun.api._should_use_real_time is judge


def test_real_time_runs_on_under_a_freeze():
    """Time that runs by itself follows the real clock, and takes the frozen one along."""
    with freeze_time("2025-06-01 12:00:00"), FakeCompute() as fake:
        with fake.clock.realtime(speed=10_000):
            threading.Event().wait(0.1)

        assert datetime.now(timezone.utc) == fake.clock.now
        assert NOON + timedelta(seconds=100) < fake.clock.now


def test_advancing_inside_of_a_callback_under_a_freeze_works():
    """A done-callback may tick the frozen clock itself."""
    with freeze_time("2025-06-01 12:00:00") as frozen, FakeCompute() as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_power_off("rg", "web-1")
        poller.add_done_callback(lambda _: frozen.tick(60))
        frozen.tick(30)

        assert fake.clock.now == NOON + timedelta(seconds=90)


def test_time_machine_is_followed_and_driven():
    """Under time-machine, travelling is advancing, and waiting travels."""
    with time_machine.travel(NOON, tick=False) as traveller, FakeCompute() as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        seen = [fake.clock.now]
        traveller.shift(60)
        seen.append((poller.done(), fake.vm("web-1").power_state))
        poller.result()
        seen.append(datetime.now(timezone.utc))
        traveller.move_to(NOON + timedelta(hours=1))
        seen.append(fake.clock.now)

    assert seen == [
        NOON,
        (False, "deallocated"),
        NOON + timedelta(seconds=66),
        NOON + timedelta(hours=1),
    ]


def test_time_machine_is_as_it_was_after_the_fake():
    """The traveller's methods are time-machine's own again."""
    before = time_machine.Traveller.shift, time_machine.Traveller.move_to
    with time_machine.travel(NOON, tick=False), FakeCompute():
        during = time_machine.Traveller.shift, time_machine.Traveller.move_to

    assert (time_machine.Traveller.shift, time_machine.Traveller.move_to) == before
    assert during != before


def test_travelling_back_is_an_error_that_says_so():
    """time-machine may not move virtual machines back either."""
    with time_machine.travel(NOON, tick=False) as traveller, FakeCompute() as fake:
        fake.add_vm("web-1")
        with pytest.raises(ValueError, match="frozen time went back to 2025-06-01T11:00:00"):
            traveller.shift(-3_600)


def test_a_ticking_clock_that_is_read_in_the_midst_of_a_movement(monkeypatch):
    """Reading a clock that ticks while time moves, as a collector's callback may, stops nothing."""
    with freeze_time("2025-06-01 12:00:00", auto_tick_seconds=5), FakeCompute() as fake:
        looks = fake._time._others.all_rest

        def read_and_look(*known, later):
            datetime.now()
            return looks(*known, later=later)

        monkeypatch.setattr(fake._time._others, "all_rest", read_and_look)
        fake.add_vm("web-1")
        fake.client.virtual_machines.begin_deallocate("rg", "web-1").result()

        assert fake.vm("web-1").power_state == "deallocated"
