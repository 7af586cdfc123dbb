"""The morning round, tested without a change to it: its own clients reach the fake."""

import asyncio

import pytest
from azure.core.exceptions import HttpResponseError

from examples.clients_of_its_own import app
from pytest_azurevm import failures

# The subscription that the program has in its environment is one of the fake's, like any other.
SHOP = {"resource_group": "shop", "subscription_id": app.SUBSCRIPTION}


def test_starts_what_sleeps_and_nothing_else(fake_compute):
    fake_compute.add_vm("web-1", **SHOP)
    fake_compute.add_vm("web-2", power_state="deallocated", **SHOP)
    fake_compute.add_vm("web-3", power_state="stopped", **SHOP)

    assert app.morning_round("shop") == ["web-2", "web-3"]

    assert {vm.power_state for vm in fake_compute.vms} == {"running"}
    assert not fake_compute.calls.filter(operation="start", vm="web-1")


def test_sees_machines_that_are_on_their_way(fake_compute):
    fake_compute.add_vm("web-1", power_state="deallocated", **SHOP)
    app.compute.virtual_machines.begin_start("shop", "web-1")

    assert asyncio.run(app.power_states("shop")) == {"web-1": "starting"}
    assert app.morning_round("shop") == []

    fake_compute.clock.run_until_idle()


def test_takes_no_longer_than_the_slowest_machine(fake_compute):
    fake_compute.timing.start = 120
    for number in range(5):
        fake_compute.add_vm(f"web-{number}", power_state="deallocated", **SHOP)
    before = fake_compute.clock.now

    app.morning_round("shop")

    assert (fake_compute.clock.now - before).total_seconds() < 2 * 120


def test_tells_when_azure_has_no_room(fake_compute):
    fake_compute.add_vm("web-1", power_state="deallocated", **SHOP)
    fake_compute.inject(failures.AllocationFailed(), on="start")

    with pytest.raises(HttpResponseError, match="AllocationFailed"):
        app.morning_round("shop")

    assert fake_compute.vm("web-1").provisioning_state == "Failed"
