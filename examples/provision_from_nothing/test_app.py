"""What becomes of stands: the clients are the application's own, and nobody hands it any."""

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError

from examples.provision_from_nothing.app import NAME, Stands
from pytest_azurevm import failures


class Somebody:
    """Whoever signs in; it does not matter who."""

    def get_token(self, *_scopes, **_kwargs):
        return AccessToken("a token", 4_102_444_800)


@pytest.fixture
def stands(fake_compute):
    return Stands(Somebody(), fake_compute.subscription_id)


def test_opens_a_stand_with_everything_that_its_machine_needs(fake_compute, stands):
    address = stands.open("blue")

    assert fake_compute.vm(NAME).power_state == "running"
    assert stands.network.public_ip_addresses.get("blue", "ip").ip_address == address
    used_by = stands.network.network_interfaces.get("blue", "nic").virtual_machine
    assert used_by.id == fake_compute.vm(NAME).id


def test_closes_a_stand_and_leaves_nothing(fake_compute, stands):
    stands.open("blue")
    stands.open("green")

    stands.close("blue")

    assert stands.groups() == ["green"]
    assert {vm.resource_group for vm in fake_compute.vms} == {"green"}
    left = {resource.id.split("/")[4] for resource in stands.resources.resources.list()}
    assert left == {"green"}


def test_leaves_nothing_where_no_machine_could_be_had(fake_compute, stands):
    fake_compute.inject(failures.AllocationFailed())

    with pytest.raises(HttpResponseError, match="AllocationFailed"):
        stands.open("blue")

    assert stands.groups() == []
    assert list(stands.resources.resources.list()) == []


def test_clears_away_what_a_machine_has_left(fake_compute, stands):
    stands.open("blue")
    assert stands.clear("blue") == []
    machine = fake_compute.vm(NAME)
    stands.compute.virtual_machines.begin_delete("blue", NAME).result()

    cleared = stands.clear("blue")

    assert len(cleared) == 3  # the disk, the interface, the address
    cost = machine.bill.disks
    fake_compute.clock.advance(hours=8)
    assert machine.bill.disks == cost


def test_does_not_take_from_a_machine_what_it_needs(fake_compute, stands):
    stands.open("blue")

    with pytest.raises(HttpResponseError, match="NicInUse"):
        stands.network.network_interfaces.begin_delete("blue", "nic")

    assert fake_compute.vm(NAME).power_state == "running"
