"""Stored resources through the real SDK packages, sync and aio, with their own pollers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network.aio import NetworkManagementClient as AsyncNetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient as AsyncResourceClient
from azure.mgmt.storage import StorageManagementClient
from azure.mgmt.subscription import SubscriptionClient

from pytest_azurevm import FakeCompute
from pytest_azurevm import _transport as transports
from tests.arm_data import HERE, NIC, PUBLIC_IP, SUBNET, SUBSCRIPTION, VM, machine, network, nic

VERSION = "2024-07-01"


class Clients:
    """Real clients of several packages on one fake."""

    def __init__(self, fake: FakeCompute) -> None:
        self.compute: ComputeManagementClient = fake.client
        self.resource = self._client(fake, ResourceManagementClient)
        self.network = self._client(fake, NetworkManagementClient)
        self.storage = self._client(fake, StorageManagementClient)
        self.authorization = self._client(fake, AuthorizationManagementClient)
        self.subscription = SubscriptionClient(
            transports.FakeCredential(), transport=transports.FakeTransport(fake._link())
        )

    @staticmethod
    def _client(fake: FakeCompute, kind: Any) -> Any:
        return kind(
            transports.FakeCredential(),
            fake.subscription_id,
            transport=transports.FakeTransport(fake._link()),
        )


@pytest.fixture
def clients(fake):
    """The clients, on a fake that a script would have."""
    return Clients(fake)


def test_a_machine_is_made_from_nothing_and_all_of_it_deleted(fake, clients):
    """Group, network, address, interface and machine are made in turn, and go in turn."""
    group = clients.resource.resource_groups.create_or_update("shop", HERE)
    net = clients.network.virtual_networks.begin_create_or_update("shop", "net", network("a"))
    subnet = net.result().subnets[0]
    address = clients.network.public_ip_addresses.begin_create_or_update(
        "shop", "ip", {**HERE, "sku": {"name": "Standard"}}
    ).result()
    interface = clients.network.network_interfaces.begin_create_or_update(
        "shop", "nic", nic(publicIPAddress={"id": address.id})
    ).result()
    vm = clients.compute.virtual_machines.begin_create_or_update("shop", "web-1", machine())
    vm = vm.result()
    used_by = clients.network.network_interfaces.get("shop", "nic").virtual_machine.id
    kinds = [one.type for one in clients.resource.resources.list_by_resource_group("shop")]

    assert (group.name, subnet.id, interface.id, vm.id) == ("shop", SUBNET, NIC, VM)
    assert (used_by, fake.vm("web-1").power_state) == (VM, "running")
    assert [kind.rpartition("/")[2] for kind in kinds] == [
        "virtualNetworks", "publicIPAddresses", "networkInterfaces", "virtualMachines", "disks",
    ]  # fmt: skip

    clients.compute.virtual_machines.begin_delete("shop", "web-1").result()
    clients.compute.disks.begin_delete("shop", vm.storage_profile.os_disk.name).result()
    clients.network.network_interfaces.begin_delete("shop", "nic").result()
    clients.network.public_ip_addresses.begin_delete("shop", "ip").result()
    clients.network.virtual_networks.begin_delete("shop", "net").result()
    assert list(clients.resource.resources.list()) == []
    clients.resource.resource_groups.begin_delete("shop").result()
    assert not clients.resource.resource_groups.check_existence("shop")


def test_a_groups_delete_is_waited_for_in_virtual_time(fake, clients):
    """A group with a machine in it is deleted by one poller, which ends when all is gone."""
    clients.resource.resource_groups.create_or_update("shop", HERE)
    fake.add_vm("web-1", resource_group="shop")
    poller = clients.resource.resource_groups.begin_delete("shop")
    state = clients.resource.resource_groups.get("shop").properties.provisioning_state
    done = poller.done()
    poller.result()

    assert (state, done) == ("Deleting", False)
    assert fake.vms == ()
    with pytest.raises(ResourceNotFoundError) as caught:
        clients.resource.resource_groups.get("shop")
    assert caught.value.error.code == "ResourceGroupNotFound"


def test_the_same_with_asyncio(fake):
    """The aio clients make a network and an interface at once, and delete their group."""

    async def work() -> tuple[list[str], bool]:
        link, credential = fake._link(), transports.AsyncFakeCredential()
        kinds: tuple[Any, ...] = (
            AsyncResourceClient, AsyncNetworkManagementClient, AsyncComputeManagementClient,
        )  # fmt: skip
        resource, net, compute = (
            kind(credential, fake.subscription_id, transport=transports.AsyncFakeTransport(link))
            for kind in kinds
        )
        await resource.resource_groups.create_or_update("shop", HERE)
        await (
            await net.virtual_networks.begin_create_or_update("shop", "net", network("a"))
        ).result()
        address, interface = await asyncio.gather(
            net.public_ip_addresses.begin_create_or_update("shop", "ip", HERE),
            net.network_interfaces.begin_create_or_update("shop", "nic", nic()),
        )
        made = await asyncio.gather(address.result(), interface.result())
        poller = await compute.virtual_machines.begin_create_or_update("shop", "web-1", machine())
        await poller.result()
        names = [one.name async for one in net.network_interfaces.list("shop")]
        await (await resource.resource_groups.begin_delete("shop")).result()
        there = await resource.resource_groups.check_existence("shop")
        assert [one.id for one in made] == [PUBLIC_IP, NIC]
        return names, there

    assert asyncio.run(work()) == (["nic"], False)
    assert fake.vms == ()


def test_resources_by_id(clients):
    """Generic resources are written, read, changed and deleted by their IDs alone."""
    clients.resource.resource_groups.create_or_update("shop", HERE)
    by_id = clients.resource.resources
    path = f"{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/v"
    asked = {**HERE, "properties": {"sku": {"name": "standard"}}}
    made = by_id.begin_create_or_update_by_id(path, parameters=asked, api_version=VERSION).result()
    changed = by_id.begin_update_by_id(
        path, parameters={"tags": {"a": "1"}}, api_version=VERSION
    ).result()
    there = by_id.check_existence_by_id(path, api_version=VERSION)
    by_id.begin_delete_by_id(path, api_version=VERSION).result()

    assert (made.name, changed.tags, there) == ("v", {"a": "1"}, True)
    assert not by_id.check_existence_by_id(path, api_version=VERSION)


def test_a_machine_by_its_id(fake, clients):
    """A virtual machine is found by its ID like any resource."""
    vm = fake.add_vm("web-1", resource_group="shop")

    assert clients.resource.resources.check_existence_by_id(vm.id, api_version=VERSION)
    assert not clients.resource.resources.check_existence_by_id(f"{vm.id}-2", api_version=VERSION)
    assert clients.resource.resources.get_by_id(vm.id, api_version=VERSION).location == "westeurope"


def test_tags_at_any_scope(fake, clients):
    """Tags of a machine and of a group are read and written through the tags client."""
    vm = fake.add_vm("web-1", resource_group="shop")
    group = f"{SUBSCRIPTION}/resourceGroups/shop"
    for scope in (vm.id, group):
        merged = {"operation": "Merge", "properties": {"tags": {"team": "red"}}}
        clients.resource.tags.begin_update_at_scope(scope, merged).result()
        assert clients.resource.tags.get_at_scope(scope).properties.tags == {"team": "red"}

    assert clients.resource.resource_groups.get("shop").tags == {"team": "red"}
    assert fake.vm("web-1").model["tags"] == {"team": "red"}


def test_pages_are_followed_by_the_sdks_pager(clients):
    """A pager with top goes on until it has shown everything."""
    for number in range(5):
        clients.resource.resource_groups.create_or_update(f"g{number}", HERE)

    assert [group.name for group in clients.resource.resource_groups.list(top=2)] == [
        f"g{number}" for number in range(5)
    ]


def test_a_subnet_and_a_rule_by_themselves(clients):
    """Children are written, listed and deleted by the operations that the SDK has for them."""
    clients.network.virtual_networks.begin_create_or_update("shop", "net", network()).result()
    clients.network.network_security_groups.begin_create_or_update("shop", "nsg", HERE).result()
    subnets, rules = clients.network.subnets, clients.network.security_rules
    prefix = {"properties": {"addressPrefix": "10.0.3.0/24"}}
    ssh = {"properties": {"protocol": "Tcp", "access": "Allow", "direction": "Inbound",
                          "priority": 100, "destinationPortRange": "22"}}  # fmt: skip
    subnets.begin_create_or_update("shop", "net", "b", prefix).result()
    rules.begin_create_or_update("shop", "nsg", "ssh", ssh).result()

    assert [one.name for one in subnets.list("shop", "net")] == ["b"]
    assert [one.name for one in rules.list("shop", "nsg")] == ["ssh"]
    assert clients.network.virtual_networks.get("shop", "net").subnets[0].name == "b"
    subnets.begin_delete("shop", "net", "b").result()
    assert list(subnets.list("shop", "net")) == []


def test_network_tags_are_updated(clients):
    """The network package's update_tags replaces the tags, and nothing else."""
    clients.network.virtual_networks.begin_create_or_update("shop", "net", network("a")).result()
    clients.network.virtual_networks.update_tags("shop", "net", {"tags": {"a": "1"}})
    shown = clients.network.virtual_networks.get("shop", "net")

    assert (shown.tags, [one.name for one in shown.subnets]) == ({"a": "1"}, ["a"])


def test_what_is_in_use_raises_as_in_production(clients):
    """A refused delete raises the SDK's error, with Azure's code."""
    clients.network.virtual_networks.begin_create_or_update("shop", "net", network("a")).result()
    clients.network.network_interfaces.begin_create_or_update("shop", "nic", nic()).result()
    clients.compute.virtual_machines.begin_create_or_update("shop", "web-1", machine()).result()
    with pytest.raises(HttpResponseError) as caught:
        clients.network.network_interfaces.begin_delete("shop", "nic")

    assert (caught.value.status_code, caught.value.error.code) == (400, "NicInUse")


def test_a_storage_account_is_made_and_deleted(clients):
    """A storage account is polled by Location alone, listed, and deleted at once."""
    accounts = clients.storage.storage_accounts
    asked = {**HERE, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    made = accounts.begin_create("shop", "shopdata", asked).result()
    listed = [one.name for one in accounts.list_by_resource_group("shop")]
    accounts.delete("shop", "shopdata")

    assert made.primary_endpoints.blob == "https://shopdata.blob.core.windows.net/"
    assert (made.provisioning_state == "Succeeded", listed) == (True, ["shopdata"])
    assert list(accounts.list_by_resource_group("shop")) == []


def test_a_role_is_assigned_and_taken_back(fake, clients):
    """A role assignment at a machine's scope is stored, listed and deleted."""
    vm = fake.add_vm("web-1", resource_group="shop")
    roles, name = clients.authorization.role_assignments, "00000000-0000-4000-8000-00000000000a"
    definition = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/r"
    asked = {"properties": {"roleDefinitionId": definition, "principalId": "p"}}
    made = roles.create(vm.id, name, asked)
    listed = [one.name for one in roles.list_for_scope(vm.id, filter="atScope()")]
    roles.delete(vm.id, name)

    assert (made.scope, made.principal_id, listed) == (vm.id, "p", [name])
    assert list(roles.list_for_scope(vm.id)) == []


def test_subscriptions_tenants_and_regions(fake, clients):
    """A subscription client finds the fake's subscription, its tenant and its regions."""
    found = clients.subscription.subscriptions
    regions = {one.name: one.display_name for one in found.list_locations(fake.subscription_id)}

    assert [one.subscription_id for one in found.list()] == [fake.subscription_id]
    assert found.get(fake.subscription_id).state == "Enabled"
    assert [one.tenant_id for one in clients.subscription.tenants.list()] == [fake.tenant_id]
    assert regions["westeurope"] == "West Europe"
    assert regions["eastus2"] == "East US 2"


def test_providers_are_registered(clients):
    """Every provider is registered, and registering one again says that it is on its way."""
    providers = clients.resource.providers

    assert providers.get("Microsoft.Network").registration_state == "Registered"
    assert providers.register("Microsoft.Network").registration_state == "Registering"
    assert "Microsoft.Compute" in {one.namespace for one in providers.list()}


def test_a_strict_fake_refuses_what_names_nothing():
    """A strict fake refuses a machine whose interface is not there, through the SDK."""
    with FakeCompute(references="strict") as fake:
        clients = Clients(fake)
        clients.resource.resource_groups.create_or_update("shop", HERE)
        with pytest.raises(HttpResponseError) as caught:
            clients.compute.virtual_machines.begin_create_or_update("shop", "web-1", machine())

        assert (caught.value.status_code, caught.value.error.code) == (404, "NotFound")
