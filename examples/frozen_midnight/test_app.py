"""The lights at the turn of the day, where the application's time is freezegun's."""

from datetime import date, datetime, time, timedelta, timezone

import pytest
from freezegun import freeze_time

from examples.frozen_midnight.app import is_night, lights


@pytest.mark.parametrize(
    ("clock", "night"),
    [
        (time(23, 29, 59), False),
        (time(23, 30), True),
        (time(0, 0), True),
        (time(5, 59, 59), True),
        (time(6, 0), False),
        (time(12, 0), False),
    ],
)
def test_the_night_crosses_midnight(clock, night):
    assert is_night(datetime.combine(date(2026, 3, 1), clock, timezone.utc)) is night


def test_machines_on_their_way_across_midnight_are_left_alone(fake_compute):
    with freeze_time("2026-03-01 23:59:30") as frozen:
        fake_compute.add_vm("web-1", resource_group="shop")
        evening = lights(fake_compute.client, "shop")
        frozen.tick(timedelta(seconds=30))
        midnight = datetime.now(timezone.utc)
        shown = fake_compute.client.virtual_machines.instance_view("shop", "web-1")
        at_midnight = lights(fake_compute.client, "shop")
        frozen.tick(timedelta(minutes=1))
        after = lights(fake_compute.client, "shop")

    assert midnight == datetime(2026, 3, 2, tzinfo=timezone.utc)
    assert [status.code for status in shown.statuses] == [
        "ProvisioningState/updating",
        "PowerState/deallocating",
    ]
    assert [evening, at_midnight, after] == [
        {"web-1": "lights out"},
        {"web-1": "deallocating"},
        {"web-1": "deallocated"},
    ]


def test_the_history_has_both_days(fake_compute):
    with freeze_time("2026-03-01 23:59:30") as frozen:
        vm = fake_compute.add_vm("web-1", resource_group="shop")
        lights(fake_compute.client, "shop")
        frozen.tick(timedelta(minutes=5))

    assert [(change.at.day, change.power_state) for change in vm.history] == [
        (1, "running"),
        (1, "deallocating"),
        (2, "deallocated"),
    ]


@freeze_time("2026-03-02 05:59:00")
def test_the_lights_go_on_in_the_morning(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
    before = lights(fake_compute.client, "shop")
    fake_compute.clock.advance(minutes=1)  # moves datetime.now() as well
    at_six = lights(fake_compute.client, "shop")
    fake_compute.clock.run_until_idle()

    assert (before, at_six) == ({"web-1": "deallocated"}, {"web-1": "lights on"})
    assert fake_compute.vm("web-1").power_state == "running"


def test_a_whole_day_of_runs_every_ten_minutes(fake_compute):
    with freeze_time("2026-03-01 18:00:00") as frozen:
        vm = fake_compute.add_vm("web-1", resource_group="shop")
        told = []
        for _ in range(24 * 6):
            told.append(
                (
                    datetime.now(timezone.utc).strftime("%H:%M"),
                    lights(fake_compute.client, "shop")["web-1"],
                )
            )
            frozen.tick(timedelta(minutes=10))

    assert [line for line in told if line[1].startswith("lights")] == [
        ("23:30", "lights out"),
        ("06:00", "lights on"),
    ]
    # Deallocated from soon after 23:30 until 06:00, it has cost that much less than a day.
    assert vm.bill.hardware == pytest.approx(86_400 - 6.5 * 3_600, abs=120)


def test_what_waits_meets_the_morning(fake_compute):
    with freeze_time("2026-03-01 23:59:50"):
        fake_compute.add_vm("web-1", resource_group="shop")
        fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1").result()

        assert datetime.now(timezone.utc) == fake_compute.clock.now
        assert datetime.now(timezone.utc).date().isoformat() == "2026-03-02"
