"""Two teams at one machine: every change arrives, whoever gets in whose way."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from azure.core.exceptions import ResourceExistsError

from examples.preempted_update.app import apply, attach, resize, tag
from pytest_azurevm import failures

DISK = (
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop"
    "/providers/Microsoft.Compute/disks/data"
)


@pytest.fixture
def vm(fake_compute):
    """Seed the machine that both teams are at."""
    return fake_compute.add_vm("db-1", resource_group="shop", parameters={"tags": {"env": "test"}})


def size_of(vm):
    return vm.model["properties"]["hardwareProfile"]["vmSize"]


def luns(vm):
    return [disk["lun"] for disk in vm.model["properties"]["storageProfile"]["dataDisks"]]


def test_two_teams_at_once_lose_no_change(fake_compute, vm):
    def team(change):
        return apply(fake_compute.client, "shop", "db-1", change)

    changes = [tag("owner", "shop"), tag("cost-center", "42"), attach(DISK)]
    with ThreadPoolExecutor(len(changes)) as teams:
        list(teams.map(team, changes))

    assert vm.model["tags"] == {"env": "test", "owner": "shop", "cost-center": "42"}
    assert luns(vm) == [0]
    assert (vm.provisioning_state, vm.power_state) == ("Succeeded", "running")


def test_what_is_pushed_aside_is_made_again_on_top_of_what_pushed_it(fake_compute, vm):
    def theirs():
        sleep(2)  # an update takes 11 seconds: ours is in flight
        apply(fake_compute.client, "shop", "db-1", resize("Standard_D4s_v5"))

    with ThreadPoolExecutor() as teams:
        other = teams.submit(theirs)
        apply(fake_compute.client, "shop", "db-1", tag("owner", "shop"))
        other.result()

    ends = [
        call.response_body["status"]
        for call in fake_compute.calls.filter(operation="poll")
        if call.response_body["status"] != "InProgress"
    ]
    assert sorted(ends) == ["Canceled", "Succeeded", "Succeeded"]
    assert vm.model["tags"] == {"env": "test", "owner": "shop"}
    assert size_of(vm) == "Standard_D4s_v5"


@pytest.mark.parametrize("keeps_change", [False, True])
def test_a_disk_is_attached_once_even_if_the_update_was_pushed_aside(
    fake_compute, vm, keeps_change
):
    fake_compute.inject(failures.OperationPreempted(keeps_change=keeps_change))

    apply(fake_compute.client, "shop", "db-1", attach(DISK))

    assert luns(vm) == [0]
    assert len(fake_compute.calls.filter(operation="update")) == 2


@pytest.mark.parametrize(
    "refusal", [failures.Conflict(), failures.ConflictingConcurrentWriteNotAllowed()]
)
def test_a_conflict_is_not_taken_for_exists_already(fake_compute, vm, refusal):
    fake_compute.inject(refusal, times=3)
    morning = fake_compute.clock.now

    apply(fake_compute.client, "shop", "db-1", tag("owner", "shop"))

    assert vm.model["tags"] == {"env": "test", "owner": "shop"}
    asked = [
        (call.at - morning).total_seconds()
        for call in fake_compute.calls.filter(operation="update")
    ]
    assert asked == [0, 5, 15, 35]
    assert len(fake_compute.calls.filter(operation="get", vm="db-1")) == 4 + 1  # result() looks


def test_waits_until_the_machine_has_been_deallocated(fake_compute, vm):
    fake_compute.client.virtual_machines.begin_deallocate("shop", "db-1")

    apply(fake_compute.client, "shop", "db-1", resize("Standard_D4s_v5"))

    assert (vm.power_state, size_of(vm)) == ("deallocated", "Standard_D4s_v5")
    refused = fake_compute.calls.filter(operation="update", status=409)
    assert {call.error_code for call in refused} == {"Conflict"}


def test_does_not_write_over_what_came_between_reading_and_writing(fake_compute, vm):
    found = fake_compute.client.virtual_machines.get("shop", "db-1")
    if getattr(found, "etag", None) is None:
        pytest.skip("this release of the SDK asks with an api-version that shows no etag")
    theirs = iter([{"env": "production"}])

    def change(machine):
        for tags in theirs:  # the other team writes just now, once
            fake_compute.client.virtual_machines.begin_update(
                "shop", "db-1", {"tags": tags}
            ).result()
        tag("owner", "shop")(machine)

    apply(fake_compute.client, "shop", "db-1", change)

    assert vm.model["tags"] == {"env": "production", "owner": "shop"}


def test_a_quota_is_not_contention(fake_compute, vm):
    fake_compute.inject(failures.QuotaExceeded(), on="update")

    with pytest.raises(ResourceExistsError, match="OperationNotAllowed"):
        apply(fake_compute.client, "shop", "db-1", resize("Standard_D64s_v5"))

    assert size_of(vm) == "Standard_D2s_v5"
    assert len(fake_compute.calls.filter(operation="update")) == 1
