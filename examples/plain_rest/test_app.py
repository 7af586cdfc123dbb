"""What closing time does to machines that live, asked for without an SDK."""

import pytest
import requests

from examples.plain_rest.app import NotDeallocated, closing_time
from pytest_azurevm import failures

TAGGED = {"tags": {"closes": "18:00"}}


def test_deallocates_what_runs_and_carries_the_tag(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", parameters=TAGGED)
    fake_compute.add_vm("web-2", resource_group="shop", parameters=TAGGED, power_state="stopped")
    fake_compute.add_vm("db-1", resource_group="shop")

    assert closing_time(fake_compute.subscription_id, "closes") == ["web-1"]

    shown = {vm.name: vm.power_state for vm in fake_compute.vms}
    assert shown == {"web-1": "deallocated", "web-2": "stopped", "db-1": "running"}


def test_waits_for_as_long_as_it_is_told(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", parameters=TAGGED)
    fake_compute.timing.deallocate = 75
    evening = fake_compute.clock.now

    closing_time(fake_compute.subscription_id, "closes")

    assert 75 <= (fake_compute.clock.now - evening).total_seconds() < 75 + 36


def test_takes_as_long_as_the_slowest_not_the_sum(fake_compute):
    for number in range(5):
        fake_compute.add_vm(f"web-{number}", resource_group="shop", parameters=TAGGED)
    fake_compute.timing.deallocate = 75
    evening = fake_compute.clock.now

    closing_time(fake_compute.subscription_id, "closes")

    assert (fake_compute.clock.now - evening).total_seconds() < 75 + 36


def test_comes_back_when_it_asks_too_often(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", parameters=TAGGED)
    fake_compute.inject(failures.Throttled(retry_after=120), on="deallocate", times=2)

    assert closing_time(fake_compute.subscription_id, "closes") == ["web-1"]

    assert [call.status for call in fake_compute.calls.filter(operation="deallocate")] == [
        429,
        429,
        202,
    ]


def test_tells_which_machine_did_not_close(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", parameters=TAGGED)
    fake_compute.inject(failures.InternalExecutionError(), on="deallocate")

    with pytest.raises(NotDeallocated, match="web-1: InternalExecutionError"):
        closing_time(fake_compute.subscription_id, "closes")


def test_finds_machines_on_every_page(fake_compute):
    for number in range(100):
        fake_compute.add_vm(f"web-{number}", resource_group="shop", power_state="deallocated")
    fake_compute.add_vm("web-100", resource_group="shop", parameters=TAGGED)

    assert closing_time(fake_compute.subscription_id, "closes") == ["web-100"]

    assert len(fake_compute.calls.filter(operation="list_all")) == 2
    assert {vm.power_state for vm in fake_compute.vms} == {"deallocated"}


def test_stops_where_it_is_not_allowed(fake_compute):
    fake_compute.inject(failures.AuthorizationFailed(), on="list_all")

    with pytest.raises(requests.HTTPError, match="403"):
        closing_time(fake_compute.subscription_id, "closes")
