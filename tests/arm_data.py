"""Requests as data: what tests of stored resources ask the ARM, below every SDK."""

from __future__ import annotations

import json
from typing import Any, Final

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request, Response

HOST: Final = "https://management.azure.com"
SUBSCRIPTION: Final = "/subscriptions/00000000-0000-4000-8000-000000000001"
GROUP: Final = f"{SUBSCRIPTION}/resourceGroups/shop"
NETWORKS: Final = f"{GROUP}/providers/Microsoft.Network"
NETWORK: Final = f"{NETWORKS}/virtualNetworks/net"
SUBNET: Final = f"{NETWORK}/subnets/a"
NIC: Final = f"{NETWORKS}/networkInterfaces/nic"
PUBLIC_IP: Final = f"{NETWORKS}/publicIPAddresses/ip"
SECURITY_GROUP: Final = f"{NETWORKS}/networkSecurityGroups/nsg"
COMPUTE: Final = f"{GROUP}/providers/Microsoft.Compute"
VM: Final = f"{COMPUTE}/virtualMachines/web-1"
DISKS: Final = f"{COMPUTE}/disks"
HERE: Final = {"location": "westeurope"}


def ask(
    fake: FakeCompute,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: str = "",
    version: str = "2024-07-01",
    headers: dict[str, str] | None = None,
) -> Response:
    """Send one request; *path* may be a whole URL, as an answer gave it."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    url = path if "://" in path else f"{HOST}{path}?api-version={version}{query}"
    return fake._arm.handle(Request(method, url, headers or {}, raw))


def body_of(response: Response) -> Any:
    """Give the answer's JSON."""
    return json.loads(response.body)


def refusal_of(response: Response) -> tuple[int, str, str]:
    """Give status, code and message of an answer that refuses."""
    error = body_of(response)["error"]
    return response.status, error["code"], error["message"]


def made(fake: FakeCompute, path: str, body: Any = None, **asked: Any) -> Any:
    """Write a resource, let time pass until it is there, and give it as a GET shows it."""
    response = ask(fake, "PUT", path, HERE if body is None else body, **asked)
    assert response.status in (200, 201, 202), response.body
    fake.clock.run_until_idle()
    return body_of(ask(fake, "GET", path, **asked))


def network(*subnets: str) -> dict[str, Any]:
    """Give the body of a network with these subnets, 10.0.0.0/24 and so on."""
    parts = [
        {"name": name, "properties": {"addressPrefix": f"10.0.{number}.0/24"}}
        for number, name in enumerate(subnets)
    ]
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    return {**HERE, "properties": {"addressSpace": space, "subnets": parts}}


def nic(**members: Any) -> dict[str, Any]:
    """Give the body of a network interface in subnet a."""
    address = {"subnet": {"id": SUBNET}, **members}
    return {**HERE, "properties": {"ipConfigurations": [{"name": "c", "properties": address}]}}


def machine(nic_id: str = NIC, **nic_properties: Any) -> dict[str, Any]:
    """Give the body of a virtual machine with a network interface."""
    image = {"publisher": "Canonical", "offer": "o", "sku": "s", "version": "latest"}
    interface: dict[str, Any] = {"id": nic_id}
    if nic_properties:
        interface["properties"] = nic_properties
    return {
        **HERE,
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": {"imageReference": image},
            "osProfile": {"computerName": "web-1", "adminUsername": "azureuser"},
            "networkProfile": {"networkInterfaces": [interface]},
        },
    }
