"""What the launcher does when Azure has no room, and what that costs."""

from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError

from examples.retry_on_allocation_failure.app import NoRoomError, Offer, code_of, launch
from pytest_azurevm import failures

BIG, SMALL, SMALLEST = Offer("Standard_D8s_v5"), Offer("Standard_D4s_v5"), Offer("Standard_D2s_v5")
NIC = (
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop"
    "/providers/Microsoft.Network/networkInterfaces/web-nic"
)
TEMPLATE = {
    "location": "westeurope",
    "properties": {
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "0001-com-ubuntu-server-jammy",
                "sku": "22_04-lts-gen2",
                "version": "latest",
            }
        },
        "osProfile": {"computerName": "web", "adminUsername": "azureuser"},
        "networkProfile": {"networkInterfaces": [{"id": NIC}]},
    },
}


def test_takes_the_next_size_once_the_network_interface_is_free_again(fake_compute):
    fake_compute.inject(failures.AllocationFailed(), size=BIG.size)

    made = launch(fake_compute.client, "shop", "web", TEMPLATE, [BIG, SMALL])

    (vm,) = fake_compute.vms
    assert (made, vm.name, vm.power_state) == ("web-2", "web-2", "running")
    assert vm.model["properties"]["hardwareProfile"]["vmSize"] == SMALL.size
    # It began as soon as 180 seconds after the failed one was gone, give or take a look.
    *refused, accepted = fake_compute.calls.filter(operation="create", vm="web-2")
    assert {call.error_code for call in refused} == {"NicReservedForAnotherVm"}
    assert vm.history[0].at == accepted.at
    told_gone = fake_compute.calls.filter(operation="poll", vm="web-1")[-1].at
    assert timedelta(seconds=120) < accepted.at - told_gone <= timedelta(seconds=200)


def test_takes_the_next_zone(fake_compute):
    fake_compute.inject(failures.ZonalAllocationFailed())
    fake_compute.inject(failures.OverconstrainedZonalAllocationRequest())
    offers = [Offer(SMALL.size, zone) for zone in "123"]

    launch(fake_compute.client, "shop", "web", TEMPLATE, offers)

    assert [vm.model["zones"] for vm in fake_compute.vms] == [["3"]]


def test_a_size_that_is_refused_at_once_costs_no_time(fake_compute):
    fake_compute.inject(failures.SkuNotAvailable(), size=BIG.size)
    morning = fake_compute.clock.now

    launch(fake_compute.client, "shop", "web", TEMPLATE, [BIG, SMALL])

    # Nothing was created, so that no network interface is reserved for anyone.
    assert fake_compute.vm("web-2").history[0].at == morning


def test_a_quota_is_not_mistaken_for_want_of_room(fake_compute):
    fake_compute.inject(failures.QuotaExceeded(), size=BIG.size)

    with pytest.raises(HttpResponseError, match="Total Regional Cores quota") as caught:
        launch(fake_compute.client, "shop", "web", TEMPLATE, [BIG, SMALL])

    assert (caught.value.status_code, code_of(caught.value)) == (409, "OperationNotAllowed")
    assert len(fake_compute.calls.filter(operation="create")) == 1


def test_gives_up_after_all_sizes_and_leaves_nothing_that_costs(fake_compute):
    fake_compute.inject(failures.AllocationFailed(), times=3)

    with pytest.raises(NoRoomError, match=r"D8s.*AllocationFailed; .*D4s.*; .*D2s.*"):
        launch(fake_compute.client, "shop", "web", TEMPLATE, [BIG, SMALL, SMALLEST])
    spent = fake_compute.bill
    fake_compute.clock.advance(days=30)

    assert fake_compute.vms == ()
    assert spent.hardware == 0  # no host was ever found
    assert spent.disks > 0  # but each had its disk, until it was deleted with the machine
    assert fake_compute.bill == spent


def test_what_fails_for_another_reason_is_cleared_away_too(fake_compute):
    fake_compute.inject(failures.InternalExecutionError())

    with pytest.raises(HttpResponseError, match="InternalExecutionError"):
        launch(fake_compute.client, "shop", "web", TEMPLATE, [BIG, SMALL])

    assert fake_compute.vms == ()
