"""CloudBridge makes a group, a network, a subnet and a machine from nothing, and waits for each."""

from datetime import timedelta
from itertools import groupby, pairwise
from operator import attrgetter

import pytest
from cloudbridge.factory import CloudProviderFactory, ProviderList
from cloudbridge.interfaces.exceptions import CloudBridgeBaseException
from cloudbridge.interfaces.resources import InstanceState
from cloudbridge.providers.azure.resources import AzureKeyPair

from pytest_azurevm import failures

IMAGE = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest"
KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 nobody@nowhere"


@pytest.fixture
def provider(fake_compute):
    """The provider as an application builds it: it is told of no fake."""
    config = {
        "azure_subscription_id": fake_compute.subscription_id,
        "azure_client_id": "7e1b0b8c-0000-4000-8000-00000000cb01",
        "azure_secret": "its-secret",
        "azure_tenant": fake_compute.tenant_id,
        "azure_resource_group": "bridge",
        "azure_region_name": "westeurope",
    }
    return CloudProviderFactory().create_provider(ProviderList.AZURE, config)


@pytest.fixture
def subnet(provider):
    """A subnet of a network of its own."""
    network = provider.networking.networks.create("lan", "10.0.0.0/16")
    return provider.networking.subnets.create("front", network, "10.0.1.0/24")


def launched(provider, subnet, label="web"):
    """A machine, by a key pair of ours: theirs would be kept in a storage account."""
    key_pair = AzureKeyPair(provider, {"Name": "ours", "Key": KEY})
    return provider.compute.instances.create(
        label, IMAGE, "Standard_D2s_v5", subnet=subnet, key_pair=key_pair
    )


def powers(vm):
    """The power states that a machine has passed through, each once."""
    return [power_state for power_state, _ in groupby(vm.history, attrgetter("power_state"))]


def test_makes_a_machine_from_nothing(fake_compute, provider, subnet):
    """It makes the group that it wants, a network, an interface, and waits for the machine."""
    instance = launched(provider, subnet)
    instance.wait_till_ready()

    (vm,) = fake_compute.vms
    assert provider.azure_client.get_resource_group("bridge").location == "westeurope"
    assert (instance.state, vm.power_state) == (InstanceState.RUNNING, "running")
    assert (vm.resource_group, vm.name) == ("bridge", instance.name)
    assert (instance.label, vm.model["tags"]["Label"]) == ("web", "web")
    assert instance.subnet_id == subnet.resource_id
    assert [address.rpartition(".")[0] for address in instance.private_ips] == ["10.0.1"]
    assert len(fake_compute.calls.filter(operation="create")) == 1


def test_stops_starts_and_restarts(fake_compute, provider, subnet):
    """Its stop leaves a machine stopped, and so billed; each verb waits for its end."""
    instance = launched(provider, subnet)
    seen = []
    for act in (instance.stop, instance.start, instance.reboot):
        act()
        instance.refresh()
        seen.append(instance.state)

    assert seen == [InstanceState.STOPPED, InstanceState.RUNNING, InstanceState.RUNNING]
    (vm,) = fake_compute.vms
    assert powers(vm)[-5:] == ["running", "stopping", "stopped", "starting", "running"]
    assert vm.operation is None


def test_finds_its_machines_by_label(fake_compute, provider, subnet):
    """It lists those of its group, and knows them by their tag."""
    instance = launched(provider, subnet, "web")
    launched(provider, subnet, "data")
    fake_compute.add_vm("other", resource_group="elsewhere")

    assert sorted(one.label for one in provider.compute.instances) == ["data", "web"]
    assert [one.id for one in provider.compute.instances.find(label="web")] == [instance.id]
    assert provider.compute.instances.get(instance.id).name == instance.name


def test_deletes_a_machine_with_what_belonged_to_it(fake_compute, provider, subnet):
    """It deallocates, then deletes machine, interface and disk; then the network can go."""
    instance = launched(provider, subnet)
    (vm,) = fake_compute.vms
    nic = vm.model["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    disk = vm.model["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    instance.delete()

    assert fake_compute.vms == ()
    assert powers(vm)[-3:] == ["deallocating", "deallocated", None]
    client = provider.azure_client
    assert nic.rpartition("/")[2] not in [
        one.name for one in client.network_management_client.network_interfaces.list("bridge")
    ]
    assert disk.rpartition("/")[2] not in [one.name for one in client.list_disks()]
    network_id = subnet.network_id
    subnet.delete()
    provider.networking.networks.delete(network_id)
    assert list(provider.networking.networks) == []


def test_leaves_a_machine_behind_that_azure_had_no_room_for(fake_compute, provider, subnet):
    """It tells why, after it has tried to delete the interface of a machine that it forgets."""
    fake_compute.inject(failures.AllocationFailed(), on="create")

    with pytest.raises(CloudBridgeBaseException, match="NicInUse"):
        launched(provider, subnet)

    (left,) = fake_compute.vms
    assert (left.power_state, left.provisioning_state) == (None, "Failed")


def test_waits_as_long_as_a_system_is_given_to_report(fake_compute, provider, subnet):
    """A create that times out in the guest is told late, and the machine goes on to be billed."""
    fake_compute.inject(failures.OSProvisioningTimedOut(), on="create")
    began = fake_compute.clock.now

    with pytest.raises(CloudBridgeBaseException):
        launched(provider, subnet)

    assert fake_compute.clock.now - began > timedelta(minutes=30)
    (left,) = fake_compute.vms
    assert (left.power_state, left.provisioning_state) == ("running", "Failed")
    assert left.bill.hardware > 30 * 60


def test_the_sdk_waits_out_its_throttling(fake_compute, provider, subnet):
    """Throttled while it stops a machine, it comes back when Azure says, and stops it."""
    instance = launched(provider, subnet)
    fake_compute.inject(failures.Throttled(retry_after=17), on="power_off", times=2)
    instance.stop()

    assert fake_compute.vm(instance.name).power_state == "stopped"
    asked = [call.at for call in fake_compute.calls.filter(operation="power_off")]
    assert [two - one for one, two in pairwise(asked)] == [timedelta(seconds=17)] * 2
