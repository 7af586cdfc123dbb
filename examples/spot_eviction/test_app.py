"""A pool that Azure takes the machines away from, in each way that it has."""

import pytest
from azure.core.exceptions import ResourceNotFoundError

from examples.spot_eviction.app import Pool, code_of
from pytest_azurevm import failures

TEMPLATE = {
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "0001-com-ubuntu-server-jammy",
                "sku": "22_04-lts-gen2",
                "version": "latest",
            },
            "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
        },
        "osProfile": {"computerName": "worker", "adminUsername": "azureuser"},
    },
}


@pytest.fixture
def pool(fake_compute):
    """Make a pool of one worker."""
    return Pool(fake_compute.client, "batch", TEMPLATE, size=1)


def priorities(fake_compute):
    return [vm.model["properties"].get("priority", "Regular") for vm in fake_compute.vms]


def test_replaces_a_worker_that_was_deallocated_and_pays_no_more_for_it(fake_compute, pool):
    pool.look()
    evicted = fake_compute.vm("worker-1")
    evicted.evict()
    fake_compute.clock.advance(hours=1)
    hardware = evicted.bill.hardware
    assert (evicted.power_state, evicted.provisioning_state) == ("deallocated", "Succeeded")

    pool.look()
    spent = evicted.bill
    fake_compute.clock.advance(days=30)

    assert [vm.name for vm in fake_compute.vms] == pool.workers == ["worker-2"]
    assert spent.hardware == hardware  # it holds no host, but it has its disk ...
    assert spent.disks > 3_600
    assert evicted.bill == spent  # ... until that is deleted with it


def test_sees_an_eviction_while_it_is_under_way(fake_compute, pool):
    fake_compute.inject(failures.SpotEvicted(evicted_after=3_600))
    pool.look()
    evicted = fake_compute.vm("worker-1")

    pool.tend(seconds=2 * 3_600)

    assert [change[1:] for change in evicted.history][-3:] == [
        ("deallocating", "Succeeded", "eviction"),  # Azure never calls it updating
        ("deallocating", "Deleting", "delete"),
        (None, "Deleting", "delete: gone"),
    ]
    assert evicted.bill.hardware == pytest.approx(3_600, abs=120)


def test_replaces_a_worker_that_was_deleted(fake_compute, pool):
    pool.eviction_policy = "Delete"
    pool.look()
    evicted = fake_compute.vm("worker-1")
    evicted.evict()
    fake_compute.clock.advance(minutes=2)
    with pytest.raises(ResourceNotFoundError) as caught:
        fake_compute.client.virtual_machines.get("batch", "worker-1")

    pool.look()

    assert code_of(caught.value) == "NotFound"  # and not ResourceNotFound
    assert (pool.workers, pool.evictions) == (["worker-2"], 1)


def test_replaces_a_worker_that_somebody_else_deleted(fake_compute, pool):
    pool.look()
    fake_compute.client.virtual_machines.begin_delete("batch", "worker-1").result()

    pool.look()

    assert pool.workers == ["worker-2"]


def test_does_not_take_a_lost_subscription_for_an_eviction(fake_compute, pool):
    pool.look()
    fake_compute.inject(failures.SubscriptionNotFound(), on="instance_view")

    with pytest.raises(ResourceNotFoundError, match="SubscriptionNotFound"):
        pool.look()

    assert (pool.workers, pool.evictions) == (["worker-1"], 0)
    assert fake_compute.vm("worker-1").power_state == "running"


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
def test_a_worker_evicted_while_it_is_made_is_replaced_at_once(fake_compute, pool, policy):
    pool.eviction_policy = policy
    fake_compute.inject(failures.SpotEvicted(during=True), vm="worker-1")

    pool.look()

    assert pool.workers == [vm.name for vm in fake_compute.vms] == ["worker-2"]
    ends = [
        call.response_body["status"]
        for call in fake_compute.calls.filter(operation="poll", vm="worker-1")
        if call.response_body  # some releases look for the result of a delete, which has none
    ]
    assert "Canceled" in ends
    assert "Failed" not in ends


def test_buys_at_the_full_price_once_it_has_lost_too_many(fake_compute, pool):
    fake_compute.inject(failures.SpotEvicted(evicted_after=600), times=None)

    pool.tend(seconds=6 * 3_600)
    evictions = pool.evictions

    assert evictions == pool.most_evictions == 3
    assert priorities(fake_compute) == ["Regular"]  # such a one is never evicted
    assert fake_compute.vm("worker-4").power_state == "running"


def test_is_never_without_workers_for_long(fake_compute, pool):
    pool.size, pool.most_evictions = 3, 100
    fake_compute.inject(failures.SpotEvicted(evicted_after=1_800), times=12)

    pool.tend(seconds=4 * 3_600)
    wanted = fake_compute.clock.now_us / 1_000_000 * pool.size

    assert pool.evictions == 12
    assert 0.8 * wanted < fake_compute.bill.hardware < wanted
