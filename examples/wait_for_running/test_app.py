"""What the provisioner tells of a create, minute by minute, and a naive loop, in no time."""

import pytest

from examples.wait_for_running.app import NotRunningInTimeError, provision, wait_for_running

LINUX = {
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "0001-com-ubuntu-server-jammy",
                "sku": "22_04-lts-gen2",
                "version": "latest",
            }
        },
        "osProfile": {"computerName": "web-1", "adminUsername": "azureuser"},
    },
}


def test_tells_each_state_once_in_order(fake_compute):
    told = []

    provision(fake_compute.client, "shop", "web-1", LINUX, tell=told.append)

    assert told == [
        "ProvisioningState/creating",
        "ProvisioningState/creating, PowerState/starting",
        "ProvisioningState/creating, PowerState/running",
        "ProvisioningState/creating/osProvisioningInProgress, PowerState/running",
        "ProvisioningState/succeeded, PowerState/running",
        "done",
    ]


def test_gives_the_id_of_a_machine_that_runs(fake_compute):
    made = provision(fake_compute.client, "shop", "web-1", LINUX, tell=lambda _: None)

    assert made == fake_compute.vm("web-1").id
    assert fake_compute.vm("web-1").power_state == "running"


def test_gives_up_at_its_own_deadline(fake_compute):
    fake_compute.timing.create = 3600

    with pytest.raises(NotRunningInTimeError, match=r"web-1 after 600 s: .*PowerState/starting"):
        provision(fake_compute.client, "shop", "web-1", LINUX, tell=lambda _: None)

    assert fake_compute.vm("web-1").provisioning_state == "Creating"


@pytest.mark.azurevm(timing="slow")
def test_takes_a_slow_day_in_its_stride(fake_compute):
    morning = fake_compute.clock.now

    provision(fake_compute.client, "shop", "web-1", LINUX, tell=lambda _: None)

    assert (fake_compute.clock.now - morning).total_seconds() >= 147


def test_a_naive_loop_sees_a_machine_start(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
    fake_compute.client.virtual_machines.begin_start("shop", "web-1", polling=False)
    morning = fake_compute.clock.now

    looks = wait_for_running(fake_compute.client, "shop", "web-1")

    # A start takes 24 seconds: found at the look after 25.
    assert (looks, (fake_compute.clock.now - morning).total_seconds()) == (5, 25)
    assert fake_compute.vm("web-1").power_state == "running"


def test_a_naive_loop_comes_back_at_once_from_what_runs(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop")

    assert wait_for_running(fake_compute.client, "shop", "web-1") == 0


def test_a_machine_runs_before_its_creation_is_over(fake_compute):
    poller = fake_compute.client.virtual_machines.begin_create_or_update("shop", "web-1", LINUX)

    wait_for_running(fake_compute.client, "shop", "web-1")

    assert not poller.done()
    assert fake_compute.vm("web-1").provisioning_state == "Creating"
    assert poller.result().provisioning_state == "Succeeded"


def test_a_naive_loop_waits_for_an_hour_in_no_time(fake_compute):
    fake_compute.timing.set("start", 3_600, vm="web-*")
    fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
    fake_compute.client.virtual_machines.begin_start("shop", "web-1", polling=False)

    assert wait_for_running(fake_compute.client, "shop", "web-1") == 3_600 // 5
