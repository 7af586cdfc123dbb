"""A machine from nothing: group, network, address, interface, machine, and all of it deleted again.

Each stand is a resource group with one virtual machine in it. If the machine cannot be had, what
was made for it is not left behind: a public address costs whether anybody uses it or not.
"""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

LOCATION = "westeurope"
NAME = "web-1"
IMAGE = {
    "publisher": "Canonical",
    "offer": "ubuntu-24_04-lts",
    "sku": "server",
    "version": "latest",
}


class Stands:
    """Stands of one subscription. The clients are built here, as in any program."""

    def __init__(self, credential: Any, subscription_id: str) -> None:
        self.resources = ResourceManagementClient(credential, subscription_id)
        self.network = NetworkManagementClient(credential, subscription_id)
        self.compute = ComputeManagementClient(credential, subscription_id)

    def open(self, group: str) -> str:
        """Make everything that a machine needs, and the machine; give its public address."""
        self.resources.resource_groups.create_or_update(
            group, {"location": LOCATION, "tags": {"made-by": "stands"}}
        )
        try:
            interface = self._interface(group)
            self._machine(group, interface)
        except HttpResponseError:
            self.close(group)
            raise
        return self.network.public_ip_addresses.get(group, "ip").ip_address

    def _interface(self, group: str) -> str:
        network = self.network.virtual_networks.begin_create_or_update(
            group,
            "net",
            {
                "location": LOCATION,
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                    "subnets": [
                        {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
                    ],
                },
            },
        )
        address = self.network.public_ip_addresses.begin_create_or_update(
            group,
            "ip",
            {
                "location": LOCATION,
                "sku": {"name": "Standard"},
                "properties": {"publicIPAllocationMethod": "Static"},
            },
        )  # both at once
        configuration = {
            "name": "default",
            "properties": {
                "subnet": {"id": network.result().subnets[0].id},
                "publicIPAddress": {"id": address.result().id},
            },
        }
        interface = self.network.network_interfaces.begin_create_or_update(
            group,
            "nic",
            {"location": LOCATION, "properties": {"ipConfigurations": [configuration]}},
        )
        return str(interface.result().id)

    def _machine(self, group: str, interface: str) -> None:
        self.compute.virtual_machines.begin_create_or_update(
            group,
            NAME,
            {
                "location": LOCATION,
                "properties": {
                    "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                    "storageProfile": {"imageReference": IMAGE},
                    "osProfile": {"computerName": NAME, "adminUsername": "azureuser"},
                    "networkProfile": {"networkInterfaces": [{"id": interface}]},
                },
            },
        ).result()

    def close(self, group: str) -> None:
        """Delete a stand with everything in it."""
        self.resources.resource_groups.begin_delete(group).result()

    def clear(self, group: str) -> list[str]:
        """Delete what is left of machines that are gone; give the names."""
        cleared = []
        for disk in list(self.compute.disks.list_by_resource_group(group)):
            if disk.managed_by is None:
                self.compute.disks.begin_delete(group, disk.name).result()
                cleared.append(disk.name)
        for interface in list(self.network.network_interfaces.list(group)):
            if interface.virtual_machine is None:
                self.network.network_interfaces.begin_delete(group, interface.name).result()
                cleared.append(interface.name)
        for address in list(self.network.public_ip_addresses.list(group)):
            if address.ip_configuration is None:
                self.network.public_ip_addresses.begin_delete(group, address.name).result()
                cleared.append(address.name)
        return cleared

    def groups(self) -> list[str]:
        """Give the names of the stands that there are."""
        marked = "tagName eq 'made-by' and tagValue eq 'stands'"
        return [str(group.name) for group in self.resources.resource_groups.list(filter=marked)]
