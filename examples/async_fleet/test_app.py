"""A hundred machines come and go, in seconds."""

import asyncio

import pytest

from examples.async_fleet.app import create_fleet, delete_fleet

NAMES = [f"worker-{number:02}" for number in range(100)]


def linux(name, **os_profile):
    return {
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
            "osProfile": {"computerName": name, "adminUsername": "azureuser", **os_profile},
        },
    }


@pytest.fixture
def run(fake_compute):
    """Run one of the application's functions with a client of the fake."""

    def run(act, *args, **kwargs):
        async def life():
            async with fake_compute.aio_client as client:
                return await act(client, "batch", *args, **kwargs)

        return asyncio.run(life())

    return run


def seconds(fake_compute):
    return fake_compute.clock.now_us / 1_000_000


def most_at_once(calls):
    """Count how many operations were in flight at the busiest instant."""
    begun, over, most = set(), set(), 0
    for call in calls:
        if call.operation == "create":
            begun.add(call.vm)
        elif call.operation == "poll" and call.response_body["status"] != "InProgress":
            over.add(call.vm)
        most = max(most, len(begun - over))
    return most


def test_a_hundred_machines_come_and_go(fake_compute, run):
    made = run(create_fleet, {name: linux(name) for name in NAMES})
    states = {vm.power_state for vm in fake_compute.vms}
    gone = run(delete_fleet, made.done)

    assert (sorted(made.done), made.failed) == (NAMES, {})
    assert states == {"running"}
    assert (sorted(gone.done), gone.failed, fake_compute.vms) == (NAMES, {}, ())


def test_no_more_are_in_flight_than_allowed(fake_compute, run):
    run(create_fleet, {name: linux(name) for name in NAMES}, at_once=10)

    assert most_at_once(fake_compute.calls) == 10


def test_all_at_once_takes_as_long_as_one(fake_compute, run):
    run(create_fleet, {NAMES[0]: linux(NAMES[0])})
    alone = seconds(fake_compute)
    run(create_fleet, {name: linux(name) for name in NAMES[1:]}, at_once=100)

    assert seconds(fake_compute) == 2 * alone


def test_four_waves_take_four_times_as_long(fake_compute, run):
    run(create_fleet, {NAMES[0]: linux(NAMES[0])})
    alone = seconds(fake_compute)
    run(create_fleet, {name: linux(name) for name in NAMES}, at_once=25)

    assert seconds(fake_compute) == 5 * alone


def test_a_machine_that_takes_long_holds_up_only_its_place(fake_compute, run):
    fake_compute.timing.set("create", 1_800, vm="worker-00")
    made = run(create_fleet, {name: linux(name) for name in NAMES}, at_once=25)

    assert made.done[-1] == "worker-00"
    assert 1_800 <= seconds(fake_compute) < 1_800 + 60


def test_one_that_azure_refuses_is_reported_and_the_others_are_made(fake_compute, run):
    fleet = {name: linux(name) for name in NAMES[:5]}
    fleet["worker-02"]["properties"]["hardwareProfile"]["vmSize"] = ""
    made = run(create_fleet, fleet)

    assert list(made.failed) == ["worker-02"]
    assert len(made.done) == len(fake_compute.vms) == 4


def test_one_that_is_deleted_meanwhile_is_reported(fake_compute):
    async def life():
        async with fake_compute.aio_client as client:
            making = asyncio.create_task(
                create_fleet(client, "batch", {name: linux(name) for name in NAMES[:3]})
            )
            await asyncio.sleep(20)
            await client.virtual_machines.begin_delete("batch", "worker-01")
            return await making

    made = asyncio.run(life())

    assert made.failed == {"worker-01": "OperationPreempted"}
    assert sorted(made.done) == ["worker-00", "worker-02"]
