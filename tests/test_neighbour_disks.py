"""Managed disks as resources: made with machines or alone, attached, kept, deleted, billed."""

from __future__ import annotations

import pytest

from pytest_azurevm import FakeCompute
from tests.arm_data import (
    COMPUTE,
    DISKS,
    GROUP,
    HERE,
    NETWORK,
    NIC,
    VM,
    ask,
    body_of,
    machine,
    made,
    network,
    nic,
    refusal_of,
)
from tests.builders import changed

EMPTY = {**HERE, "sku": {"name": "Premium_LRS"},
         "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 500}}  # fmt: skip
DISK = f"{DISKS}/data"


def disks_of(fake: FakeCompute) -> dict[str, tuple[str, str | None]]:
    """Give each disk there is, without its number: its state, and whose it is."""
    listed = body_of(ask(fake, "GET", DISKS))["value"]
    return {
        disk["name"].partition("_1_")[0]: (
            disk["properties"]["diskState"],
            disk.get("managedBy", "").rpartition("/")[2] or None,
        )
        for disk in listed
    }


def with_disk(*disks: dict) -> dict:
    """Give the body of a machine with these data disks."""
    return changed(machine(), "properties.storageProfile.dataDisks", list(disks))


def attached(lun: int = 0, **members: object) -> dict:
    """Give a data disk that is attached."""
    return {"lun": lun, "createOption": "Attach", "managedDisk": {"id": DISK}, **members}


def put(fake: FakeCompute, body: dict, path: str = VM) -> None:
    """Write a machine, and let time pass until that is done."""
    response = ask(fake, "PUT", path, body)
    assert response.status in (200, 201), response.body
    fake.clock.run_until_idle()


def delete(fake: FakeCompute, path: str) -> None:
    """Delete something, and let time pass until it is gone."""
    response = ask(fake, "DELETE", path)
    assert response.status == 202, response.body
    fake.clock.run_until_idle()


def test_a_disk_is_shown_as_asked_until_it_is_made(fake):
    """A disk's PUT answers with little more than was asked for; a GET later has it all."""
    begun = ask(fake, "PUT", DISK, EMPTY)
    fake.clock.advance(2)
    document = body_of(ask(fake, "GET", begun.headers["Azure-AsyncOperation"]))
    result = body_of(ask(fake, "GET", begun.headers["Location"]))
    shown = body_of(ask(fake, "GET", DISK))

    assert (begun.status, begun.headers["Retry-After"]) == (202, "2")
    assert "/locations/westeurope/DiskOperations/" in begun.headers["Location"]
    assert "Azure-AsyncNotification" not in begun.headers
    assert body_of(begun)["properties"] == {**EMPTY["properties"], "provisioningState": "Updating"}
    assert document["status"] == "Succeeded"
    assert document["properties"]["output"] == result == shown
    assert shown["sku"] == {"name": "Premium_LRS", "tier": "Premium"}
    properties = shown["properties"]
    assert (properties["tier"], properties["diskIOPSReadWrite"]) == ("P20", 2300)
    assert (properties["diskState"], properties["provisioningState"]) == ("Unattached", "Succeeded")


def test_a_disk_is_changed_and_stays_the_same(fake):
    """A PATCH changes size and tags; what was made once stays, what follows from the size not."""
    before = made(fake, DISK, EMPTY)
    begun = ask(fake, "PATCH", DISK, {"tags": {"a": "1"}, "properties": {"diskSizeGB": 1024}})
    fake.clock.run_until_idle()
    after = body_of(ask(fake, "GET", DISK))

    assert begun.status == 202
    assert after["tags"] == {"a": "1"}
    assert after["properties"]["tier"] == "P30"
    assert after["properties"]["diskSizeBytes"] == 1024 * 1024**3
    for member in ("uniqueId", "timeCreated"):
        assert after["properties"][member] == before["properties"][member]


def test_a_machines_disks_are_resources(fake):
    """The disks that a machine is made with are there as soon as they have a name, and its own."""
    ask(fake, "PUT", VM, with_disk({"lun": 0, "createOption": "Empty", "diskSizeGB": 64}))
    before = disks_of(fake)
    fake.clock.run_until_idle()
    [data_disk] = fake.vm("web-1").model["properties"]["storageProfile"]["dataDisks"]
    shown = body_of(ask(fake, "GET", data_disk["managedDisk"]["id"]))

    assert before == {}
    assert sorted(disks_of(fake).values()) == [("Attached", "web-1")] * 2
    assert shown["properties"]["diskSizeGB"] == 64
    assert body_of(ask(fake, "GET", f"{GROUP}/resources"))["value"][-1]["managedBy"] == VM


def test_a_disk_is_reserved_while_its_machine_is_deallocated(fake):
    """A disk of a machine that holds no host is Reserved, and still the machine's."""
    fake.add_vm("web-1", resource_group="shop", power_state="deallocated")

    assert disks_of(fake) == {"web-1_OsDisk": ("Reserved", "web-1")}


def test_a_seeded_machine_has_its_disks(fake):
    """A machine that has long been there has disks that have."""
    fake.add_vm("web-1", resource_group="shop")

    assert disks_of(fake) == {"web-1_OsDisk": ("Attached", "web-1")}


def test_an_attached_disk_is_not_deleted(fake):
    """What is attached to a machine is refused its delete, in Azure's words."""
    made(fake, DISK, EMPTY)
    put(fake, with_disk(attached()))

    assert refusal_of(ask(fake, "DELETE", DISK)) == (
        409, "OperationNotAllowed", f"Disk data is attached to VM {VM}.",
    )  # fmt: skip


def test_a_disk_brings_its_size_and_kind_to_its_machine(fake):
    """A machine that attaches a disk that is known shows its size, and may make it bigger."""
    made(fake, DISK, EMPTY)
    put(fake, with_disk(attached()))
    [disk] = fake.vm("web-1").model["properties"]["storageProfile"]["dataDisks"]

    assert (disk["name"], disk["diskSizeGB"]) == ("data", 500)
    assert disk["managedDisk"]["storageAccountType"] == "Premium_LRS"
    smaller = changed(with_disk(attached()), "properties.storageProfile.dataDisks.0.diskSizeGB", 10)
    assert refusal_of(ask(fake, "PUT", VM, smaller))[:2] == (400, "BadRequest")


def test_a_disk_is_detached_and_attached_elsewhere(fake):
    """A disk has one machine at a time, and is free once that has let it go."""
    made(fake, DISK, EMPTY)
    put(fake, with_disk(attached()))
    other = VM.replace("web-1", "web-2")
    nic = machine()["properties"]["networkProfile"]["networkInterfaces"][0]["id"] + "-2"
    second = changed(with_disk(attached()), "properties.networkProfile", {"networkInterfaces": [{"id": nic}]})  # fmt: skip # noqa: E501
    refused = refusal_of(ask(fake, "PUT", other, second))
    put(fake, with_disk())
    free = disks_of(fake)["data"]
    put(fake, second, other)

    assert refused == (
        409, "ConflictingUserInput",
        f"Disk 'data' cannot be attached as the disk is already owned by VM '{VM}'.",
    )  # fmt: skip
    assert free == ("Unattached", None)
    assert disks_of(fake)["data"] == ("Attached", "web-2")


def test_disks_stay_or_go_with_their_machine_as_they_say(fake):
    """The deleteOption says which disks outlive their machine: by default all do."""
    going = {"lun": 0, "createOption": "Empty", "diskSizeGB": 8, "name": "a", "deleteOption": "Delete"}  # fmt: skip # noqa: E501
    staying = {"lun": 1, "createOption": "Empty", "diskSizeGB": 8, "name": "b"}
    put(fake, with_disk(going, staying))
    delete(fake, VM)

    assert disks_of(fake) == {"web-1_OsDisk": ("Unattached", None), "b": ("Unattached", None)}


def test_a_disk_that_is_left_behind_costs_until_it_is_deleted(fake):
    """A deleted machine's bill for disks ends with the last disk that it left."""
    put(fake, with_disk({"lun": 0, "createOption": "Empty", "diskSizeGB": 8, "name": "data"}))
    vm = fake.vm("web-1")
    delete(fake, VM)
    left = [disk["id"] for disk in body_of(ask(fake, "GET", DISKS))["value"]]
    fake.clock.advance(1000)
    before = vm.bill.disks
    delete(fake, left[0])
    fake.clock.advance(1000)
    with_one_left = vm.bill.disks
    delete(fake, left[1])
    without = vm.bill.disks
    fake.clock.advance(1000)

    assert with_one_left - before > 1000
    assert vm.bill.disks == without < with_one_left + 1


def test_a_disk_that_finds_another_machine_leaves_the_first_ones_bill(fake):
    """A disk that was left behind is on the bill of the machine that takes it next."""
    made(fake, DISK, EMPTY)
    asked = with_disk(attached())
    asked["properties"]["storageProfile"]["osDisk"] = {
        "createOption": "FromImage", "deleteOption": "Delete",
    }  # fmt: skip
    put(fake, asked)
    first = fake.vm("web-1")
    delete(fake, VM)
    fake.clock.advance(100)
    put(fake, asked)
    until = first.bill.disks
    fake.clock.advance(100)

    assert first.bill.disks == until > 100


def test_a_group_takes_the_disks_that_cost_along(fake):
    """Deleting the group ends the cost of what its machines left behind."""
    fake.add_vm("web-1", resource_group="shop")
    vm = fake.vm("web-1")
    delete(fake, VM)
    ask(fake, "DELETE", GROUP)
    fake.clock.run_until_idle()
    until = vm.bill.disks
    fake.clock.advance(1000)

    assert vm.bill.disks == until


def test_an_eviction_that_deletes_takes_the_disks_along(fake):
    """A Spot machine that is deleted when it is evicted leaves nothing behind."""
    spot = {"properties": {"priority": "Spot", "evictionPolicy": "Delete"}}
    fake.add_vm("web-1", resource_group="shop", parameters=spot).evict()
    fake.clock.run_until_idle()

    assert disks_of(fake) == {}


def test_a_disk_that_nobody_made_is_there_once_it_is_attached(fake):
    """In a lenient fake, a disk that a machine attaches is taken to exist, and is a resource."""
    put(fake, with_disk(attached()))

    assert disks_of(fake)["data"] == ("Attached", "web-1")


def test_a_strict_fake_attaches_only_what_there_is():
    """In a strict fake, a disk that nobody made is not there to attach."""
    with FakeCompute(references="strict") as fake:
        made(fake, GROUP)
        made(fake, NETWORK, network("a"))
        made(fake, NIC, nic())
        body = with_disk(attached())

        assert refusal_of(ask(fake, "PUT", VM, body)) == (
            404, "NotFound", "Disk data is not found.",
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["availabilitySets", "images", "snapshots"])
def test_what_else_compute_has_is_stored(fake, kind):
    """Availability sets, images and snapshots are written, read and deleted."""
    shown = made(fake, f"{COMPUTE}/{kind}/one", {**HERE, "properties": {}})

    assert (shown["name"], shown["type"]) == ("one", f"Microsoft.Compute/{kind}")
    assert ask(fake, "DELETE", f"{COMPUTE}/{kind}/one").status in (200, 202)


def test_an_availability_set_knows_its_machines(fake):
    """An availability set names its machines, in capitals, and stays while it has any."""
    path = f"{COMPUTE}/availabilitySets/set"
    made(fake, path, {**HERE, "properties": {}})
    put(fake, changed(machine(), "properties.availabilitySet", {"id": path}))
    shown = body_of(ask(fake, "GET", path))["properties"]["virtualMachines"]

    assert shown == [{"id": VM.replace("shop", "SHOP").replace("web-1", "WEB-1")}]
    assert refusal_of(ask(fake, "DELETE", path))[:2] == (409, "OperationNotAllowed")
    delete(fake, VM)
    assert ask(fake, "DELETE", path).status == 200


def test_looking_at_disks_changes_nothing(fake):
    """A run in which somebody looks at the disks goes on as one in which nobody does."""

    def ids(*, looks: bool) -> list[str]:
        with FakeCompute() as other:
            put(other, machine())
            if looks:
                disks_of(other)
            second = ask(other, "PUT", VM.replace("web-1", "web-2"), machine())
            return [body_of(second)["properties"]["vmId"], second.headers["Azure-AsyncOperation"]]

    fake.close()
    assert ids(looks=True) == ids(looks=False)


def test_a_disk_tells_when_it_was_made_not_when_it_was_looked_at(fake):
    """A machine's disk has the time and the place in lists of the moment it was made."""
    fake.add_vm("web-1", resource_group="shop")
    fake.clock.advance(600)
    made(fake, DISK, EMPTY)
    listed = body_of(ask(fake, "GET", DISKS))["value"]

    assert listed[0]["properties"]["timeCreated"].startswith("2026-01-01T00:00:00")
    unique = listed[0]["properties"]["uniqueId"].replace("-", "")
    assert listed[0]["name"] == f"web-1_OsDisk_1_{unique}"
