"""Facts about Azure's answers on groups, networks and disks, each from a recorded exchange.

``before`` is written first, and time passes until it is done; then *asked* is sent. Recorders differ
in what they keep: those of azure-service-operator and azure-libraries-for-net keep Retry-After.
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import pytest

from tests.arm_data import (
    COMPUTE,
    DISKS,
    GROUP,
    HERE,
    NETWORK,
    NIC,
    PUBLIC_IP,
    SECURITY_GROUP,
    SUBNET,
    ask,
    body_of,
    made,
    network,
    nic,
)

NONE: Final = None  # a header that is not there
_NET: Final = (
    "/providers/Microsoft.Network/locations/westeurope/operations/<id>?api-version=2024-07-01"
)
_DISK: Final = "/providers/Microsoft.Compute/locations/westeurope/DiskOperations/<id>?p=<id>"
_VERSION: Final = "&api-version=2024-07-01"
_JOB: Final = "/operationresults/<job>?api-version=2024-07-01&t=<ticks>"
_EMPTY: Final = {
    **HERE,
    "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 500},
}
_FAULTS: Final = {
    **HERE,
    "properties": {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 3},
}
_OS_DISK: Final = {
    "osState": "Generalized",
    "osType": "Linux",
    "diskSizeGB": 32,
    "snapshot": {"id": f"{COMPUTE}/snapshots/s"},
}
_IMAGE: Final = {
    **HERE,
    "properties": {"hyperVGeneration": "V2", "storageProfile": {"osDisk": _OS_DISK}},
}


class Fact(NamedTuple):
    """One answer of Azure: its status, what drives polling, and its members in their order."""

    asked: str
    path: str
    body: Any
    before: dict[str, Any]
    status: int
    headers: dict[str, str | None]
    members: dict[str, str]
    source: str


def _async(url: str, retry_after: str | None) -> dict[str, str | None]:
    return {
        "Azure-AsyncOperation": url,
        "Location": NONE,
        "Azure-AsyncNotification": "Enabled",
        "Retry-After": retry_after,
    }


_AT_ONCE: Final = {"Azure-AsyncOperation": NONE, "Location": NONE, "Retry-After": NONE}
_DISK_HEADERS: Final = {
    "Azure-AsyncOperation": _DISK + _VERSION, "Location": f"{_DISK}&monitor=true{_VERSION}",
    "Azure-AsyncNotification": NONE,
}  # fmt: skip
_SUBNET: Final = "provisioningState addressPrefix delegations privateEndpointNetworkPolicies privateLinkServiceNetworkPolicies"
_RULE: Final = "provisioningState description protocol sourcePortRange destinationPortRange sourceAddressPrefix destinationAddressPrefix access priority direction sourcePortRanges destinationPortRanges sourceAddressPrefixes destinationAddressPrefixes"
_MADE_DISK: Final = "creationData diskSizeGB diskIOPSReadWrite diskMBpsReadWrite encryption networkAccessPolicy publicNetworkAccess timeCreated provisioningState diskState diskSizeBytes uniqueId"
_ASO: Final = "azure-service-operator"

# fmt: off
FACTS: Final = (
    #    asked     path            body           before                               HTTP  headers                                   members in their order                                                                                                       source
    Fact("PUT",    GROUP,          HERE,          {},                                  201,  _AT_ONCE,                                 {"": "id name type location properties"},                                                                                     f"{_ASO} Test_Resources_ResourceGroup_CRUD 0"),
    Fact("PUT",    GROUP,          HERE,          {GROUP: HERE},                       200,  _AT_ONCE,                                 {"": "id name type location properties"},                                                                                     f"{_ASO} Test_Resources_ResourceGroup_CRUD 2"),
    Fact("DELETE", GROUP,          None,          {GROUP: HERE},                       202,  {"Location": _JOB, "Retry-After": "15"},  {},                                                                                                                           f"{_ASO} Test_Resources_ResourceGroup_CRUD 5"),
    Fact("PUT",    NETWORK,        network(),     {},                                  201,  _async(_NET, "3"),                        {"": "name id etag type location properties", "properties": "provisioningState resourceGuid addressSpace subnets virtualNetworkPeerings enableDdosProtection"}, f"{_ASO} Test_Compute_VM_20220301_CRUD 3"),
    Fact("PUT",    SUBNET,         {"properties": {"addressPrefix": "10.0.0.0/24"}}, {NETWORK: network()}, 201, _async(_NET, "3"),      {"": "name id etag properties type", "properties": _SUBNET},                                                                  f"{_ASO} Test_Compute_VM_20220301_CRUD 7"),
    Fact("PUT",    NIC,            nic(),         {NETWORK: network("a")},             201,  _AT_ONCE,                                 {"": "name id etag properties type location", "properties": "provisioningState resourceGuid ipConfigurations dnsSettings enableAcceleratedNetworking vnetEncryptionSupported enableIPForwarding hostedWorkloads tapConfigurations nicType", "properties.ipConfigurations.0": "name id etag type properties", "properties.ipConfigurations.0.properties": "provisioningState privateIPAddress privateIPAllocationMethod subnet primary privateIPAddressVersion"}, f"{_ASO} Test_Compute_VM_20220301_CRUD 8"),
    Fact("GET",    SUBNET,         None,          {NETWORK: network("a"), NIC: nic()}, 200,  _AT_ONCE,                                 {"properties": _SUBNET.replace("delegations", "ipConfigurations delegations")},                                               f"{_ASO} Test_Compute_VM_20220301_CRUD 10"),
    Fact("PUT",    PUBLIC_IP,      {**HERE, "tags": {}}, {},                           201,  _async(_NET, "1"),                        {"": "name id etag location tags properties type sku", "properties": "provisioningState resourceGuid publicIPAddressVersion publicIPAllocationMethod idleTimeoutInMinutes ipTags"}, "azure-libraries-for-net CanCreateImageByCapturingVM 4"),
    Fact("PUT",    SECURITY_GROUP, HERE,          {},                                  201,  {"Azure-AsyncOperation": _NET, "Location": NONE}, {"": "name id etag type location properties", "properties": "provisioningState resourceGuid securityRules defaultSecurityRules", "properties.defaultSecurityRules.0": "name id etag type properties", "properties.defaultSecurityRules.0.properties": _RULE}, "azure-cli test_vm_update_with_workspace_linux 1"),
    Fact("PUT",    f"{DISKS}/d",   _EMPTY,        {},                                  202,  {**_DISK_HEADERS, "Retry-After": "2"},    {"": "name id type location properties", "properties": "creationData diskSizeGB provisioningState"},                          f"{_ASO} Test_Compute_Disk_20240302_CRUD 2"),
    Fact("GET",    f"{DISKS}/d",   None,          {f"{DISKS}/d": _EMPTY},              200,  _AT_ONCE,                                 {"": "name id type location sku properties", "sku": "name tier", "properties": _MADE_DISK},                                    f"{_ASO} Test_Compute_Disk_20240302_CRUD 4"),
    Fact("DELETE", f"{DISKS}/d",   None,          {f"{DISKS}/d": _EMPTY},              202,  {**_DISK_HEADERS, "Retry-After": NONE},   {},                                                                                                                           f"{_ASO} Test_Compute_Disk_20240302_CRUD 10"),
    Fact("PUT",    f"{COMPUTE}/availabilitySets/s", _FAULTS, {},                       200,  _AT_ONCE,                                 {"": "name id type location properties sku", "properties": "platformUpdateDomainCount platformFaultDomainCount"},             f"{_ASO} Test_Compute_AvailabilitySet_v20241101_CRUD 2"),
    Fact("GET",    f"{COMPUTE}/availabilitySets/s", None, {f"{COMPUTE}/availabilitySets/s": _FAULTS}, 200, _AT_ONCE,                   {"properties": "platformUpdateDomainCount platformFaultDomainCount virtualMachines"},                                         f"{_ASO} Test_Compute_AvailabilitySet_v20241101_CRUD 3"),
    Fact("DELETE", f"{COMPUTE}/availabilitySets/s", None, {f"{COMPUTE}/availabilitySets/s": _FAULTS}, 200, _AT_ONCE,                   {},                                                                                                                           f"{_ASO} Test_Compute_AvailabilitySet_v20241101_CRUD 6"),
    Fact("PUT",    f"{COMPUTE}/images/i", _IMAGE, {},                                  201,  _async("/providers/Microsoft.Compute/locations/westeurope/operations/<id>?p=<id>" + _VERSION, NONE), {"": "name id type location properties", "properties": "storageProfile provisioningState hyperVGeneration", "properties.storageProfile": "osDisk dataDisks", "properties.storageProfile.osDisk": "osType osState diskSizeGB snapshot caching storageAccountType"}, f"{_ASO} Test_Compute_Image_20220301_CRUD 4"),
)
# fmt: on


def _form(value: str | None) -> str | None:
    """Give a header with what no two runs share replaced by its kind."""
    if value is None or not value.startswith("https://"):
        return value
    value = re.sub(r"https://[^/]+/subscriptions/[^/]+", "", value)
    value = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", value)
    value = re.sub(r"(?<=/operationresults/)[^?]+", "<job>", value)
    return re.sub(r"(?<=[?&]t=)\d+", "<ticks>", value)


def _at(body: Any, path: str) -> Any:
    for step in path.split(".") if path else ():
        body = body[int(step)] if step.isdigit() else body[step]
    return body


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.asked} {fact.source}")
def test_an_answer_is_as_it_was_recorded(fake, fact):
    """Status, polling headers and the order of members are those of a recorded answer."""
    for path, body in fact.before.items():
        made(fake, path, body)
    response = ask(fake, fact.asked, fact.path, fact.body)
    body = body_of(response) if response.body else None

    assert response.status == fact.status
    assert {name: _form(response.headers.get(name)) for name in fact.headers} == fact.headers
    assert {path: " ".join(_at(body, path)) for path in fact.members} == fact.members
    assert bool(body) == bool(fact.members)
