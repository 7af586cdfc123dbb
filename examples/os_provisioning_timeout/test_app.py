"""An hour of waiting for a system that does not come up, and what it costs, in no time."""

import pytest
from azure.core.exceptions import HttpResponseError

from examples.os_provisioning_timeout.app import NoSystemError, provision
from pytest_azurevm import failures

IMAGE = {
    "publisher": "Canonical",
    "offer": "0001-com-ubuntu-server-jammy",
    "sku": "22_04-lts-gen2",
    "version": "latest",
}
LINUX = {
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": IMAGE,
            "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
        },
        "osProfile": {"computerName": "web-1", "adminUsername": "azureuser"},
    },
}
MINUTE = 60


def test_keeps_a_machine_that_recovers_by_itself(fake_compute):
    fake_compute.inject(failures.OSProvisioningTimedOut(recovers_after=10 * MINUTE))

    made = provision(fake_compute.client, "shop", "web-1", LINUX)

    vm = fake_compute.vm("web-1")
    assert made == vm.model["properties"]["vmId"]
    assert [change.provisioning_state for change in vm.history][-2:] == ["Failed", "Succeeded"]
    assert not fake_compute.calls.filter(operation="delete")
    # It was billed all along: for 40 minutes until it failed, and 10 more until it was well.
    assert vm.bill.hardware == pytest.approx(50 * MINUTE, abs=2 * MINUTE)


def test_makes_anew_what_does_not_recover_in_time(fake_compute):
    fake_compute.inject(failures.OSProvisioningTimedOut(recovers_after=3 * 60 * MINUTE))

    made = provision(fake_compute.client, "shop", "web-1", LINUX)

    assert made == fake_compute.vm("web-1").model["properties"]["vmId"]
    assert len(fake_compute.calls.filter(operation="create")) == 2
    # The first one was up, and billed, for its 40 minutes and our 15, and until it was gone.
    first = fake_compute.bill.hardware - fake_compute.vm("web-1").bill.hardware
    assert first == pytest.approx((40 + 15) * MINUTE, abs=2 * MINUTE)


def test_has_no_patience_with_what_is_terminal(fake_compute):
    fake_compute.inject(failures.OSProvisioningTimedOut(terminal=True))

    provision(fake_compute.client, "shop", "web-1", LINUX)

    (delete,) = fake_compute.calls.filter(operation="delete")
    (first, _) = fake_compute.calls.filter(operation="create")
    assert (delete.at - first.at).total_seconds() == pytest.approx(40 * MINUTE, abs=30)
    assert fake_compute.vm("web-1").provisioning_state == "Succeeded"


def test_a_machine_that_never_comes_up_costs_no_more_than_was_agreed(fake_compute):
    fake_compute.inject(failures.OSProvisioningTimedOut(), times=3)

    with pytest.raises(NoSystemError, match="not in 3 attempts"):
        provision(fake_compute.client, "shop", "web-1", LINUX, attempts=3)
    spent = fake_compute.bill
    fake_compute.clock.advance(days=30)

    assert fake_compute.vms == ()
    assert spent.hardware <= 3 * (3_000 + 900 + 2 * MINUTE)
    assert spent.cost(hardware="0.10") < 1
    assert fake_compute.bill == spent


def test_does_not_wait_for_azure_to_give_up(fake_compute):
    fake_compute.inject(failures.OSProvisioningTimedOut())

    provision(fake_compute.client, "shop", "web-1", LINUX, deadline_s=10 * MINUTE)

    # The delete preempts the create, so that the first machine cost 10 minutes instead of 40.
    first = fake_compute.bill.hardware - fake_compute.vm("web-1").bill.hardware
    assert first == pytest.approx(10 * MINUTE, abs=2 * MINUTE)


def test_what_would_fail_again_is_not_tried_again(fake_compute):
    fake_compute.inject(failures.OSProvisioningClientError())

    with pytest.raises(HttpResponseError, match="OSProvisioningClientError"):
        provision(fake_compute.client, "shop", "web-1", LINUX)

    assert len(fake_compute.calls.filter(operation="create")) == 1
