"""What Azure fills in: a stored resource's properties with their defaults, type by type.

Pure functions over JSON. Each is given what was asked for and what the resource was before, and
gives its body: its properties in the order in which Azure prints them, so far as that is recorded.
A member that is ``None`` keeps a place for what is only known when it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final, NamedTuple, TypeAlias

from pytest_azurevm import _resource_types as types
from pytest_azurevm._vm_form import Json


class Facts(NamedTuple):
    """What a resource's defaults are made of."""

    id: str
    name: str
    location: str
    now: str  # as Azure writes an instant
    tenant_id: str
    old: Json  # its properties as they were; {} of a new one
    new_id: Callable[[], str]
    private_ip: Callable[[Json], str | None]  # for an IP configuration of these properties
    public_ip: Callable[[], str]


Fill: TypeAlias = Callable[[Json, Facts], Json]


def filled(resource_type: str, asked: Json, facts: Facts) -> Json:
    """Give the body of a resource of that type: what *asked* says, and what Azure adds."""
    lowered = resource_type.lower()
    fill = _FILLS.get(lowered) or _FILLS.get(f"{lowered.partition('/')[0]}/*")
    if fill is None:
        return _of_any(resource_type, asked, facts)
    return fill(asked, facts)


def _in_order(first: Json, asked: Json, last: Json) -> Json:
    """Put *asked* between Azure's members; a member of either that is asked for is as asked."""
    body = {**first, **asked, **{name: item for name, item in last.items() if name not in asked}}
    for name in last:
        body[name] = body.pop(name)
    return body


def _kept(facts: Facts, member: str, make: Callable[[], Any]) -> Any:
    """Give what was made once, or make it."""
    return facts.old.get(member) or make()


def _properties(asked: Json) -> Json:
    found = asked.get("properties")
    return dict(found) if isinstance(found, dict) else {}


def _with(asked: Json, properties: Json, **members: Any) -> Json:
    return {**asked, **members, "properties": properties}


def _of_any(resource_type: str, asked: Json, _facts: Facts) -> Json:
    if types.row_of(resource_type).shows:
        return _with(asked, {**_properties(asked), "provisioningState": None})
    return dict(asked)


# --- Microsoft.Network -------------------------------------------------------------------------


def _network_resource(asked: Json, facts: Facts) -> Json:
    first: Json = {"provisioningState": None}
    if facts.id.count("/") == 8:  # those within another have none [rec]
        first["resourceGuid"] = _kept(facts, "resourceGuid", facts.new_id)
    given = _properties(asked)
    for member in ("provisioningState", "resourceGuid"):
        given.pop(member, None)
    return _with(asked, {**first, **given})


def _ordered_network(asked: Json, facts: Facts, first: Json, last: Json) -> Json:
    body = _network_resource(asked, facts)
    own: Json = body["properties"]
    head = {name: own.pop(name) for name in ("provisioningState", "resourceGuid") if name in own}
    body["properties"] = {**head, **_in_order(first, own, last)}
    return body


def _network(asked: Json, facts: Facts) -> Json:
    children: Json = {"subnets": None, "virtualNetworkPeerings": None}
    last = {**children, "enableDdosProtection": False}
    space = _properties(asked).get("addressSpace")
    return _ordered_network(asked, facts, {} if space is None else {"addressSpace": space}, last)


def _subnet(asked: Json, facts: Facts) -> Json:
    last: Json = {
        "ipConfigurations": None,
        "delegations": [],
        "privateEndpointNetworkPolicies": "Disabled",
        "privateLinkServiceNetworkPolicies": "Enabled",
    }
    return _ordered_network(asked, facts, {}, last)


def _nic(asked: Json, facts: Facts) -> Json:
    settings = _properties(asked).get("dnsSettings") or {}
    suffix = (facts.old.get("dnsSettings") or {}).get("internalDomainNameSuffix")
    dns = {
        "dnsServers": [],
        "appliedDnsServers": [],
        "internalDomainNameSuffix": suffix
        or f"{facts.new_id().replace('-', '')[:26]}.xx.internal.cloudapp.net",
        **settings,
    }
    given = {**_properties(asked), "dnsSettings": dns}
    for member in _SHOWN_OF_A_NIC:
        given.pop(member, None)
    first: Json = {"ipConfigurations": None, "dnsSettings": dns, "macAddress": None}
    last: Json = {
        "enableAcceleratedNetworking": False,
        "vnetEncryptionSupported": False,
        "enableIPForwarding": False,
        "networkSecurityGroup": given.get("networkSecurityGroup"),
        "primary": None,
        "virtualMachine": None,
        "hostedWorkloads": [],
        "tapConfigurations": [],
        "nicType": "Standard",
    }
    return _ordered_network(_with(asked, given), facts, first, last)


# What only the service says of a network interface.
_SHOWN_OF_A_NIC: Final = ("macAddress", "primary", "virtualMachine", "hostedWorkloads")


def _ip_configuration(asked: Json, facts: Facts) -> Json:
    given = _properties(asked)
    method = given.get("privateIPAllocationMethod") or "Dynamic"
    first = {
        "privateIPAddress": facts.private_ip({**given, "privateIPAllocationMethod": method}),
        "privateIPAllocationMethod": method,
        "publicIPAddress": given.get("publicIPAddress"),
        "subnet": given.get("subnet"),
    }
    for member in first:
        given.pop(member, None)
    last = {"primary": True, "privateIPAddressVersion": "IPv4"}
    return _ordered_network(_with(asked, given), facts, first, last)


def _public_ip(asked: Json, facts: Facts) -> Json:
    given = _properties(asked)
    sku = asked.get("sku") or {"name": "Basic"}  # as recorded without one
    standard = str(sku.get("name", "")).lower() != "basic"
    version = given.get("publicIPAddressVersion") or "IPv4"
    method = given.get("publicIPAllocationMethod") or ("Static" if standard else "Dynamic")
    settings = given.get("dnsSettings")
    label = settings.get("domainNameLabel") if isinstance(settings, dict) else None
    if label:
        fqdn = f"{label}.{facts.location}.cloudapp.azure.com"
        given["dnsSettings"] = {**settings, "fqdn": fqdn}  # type: ignore[dict-item]
    first = {
        # One that is dynamic shows it once it is in use.
        "ipAddress": _kept(facts, "ipAddress", facts.public_ip),
        "publicIPAddressVersion": version,
        "publicIPAllocationMethod": method,
        "idleTimeoutInMinutes": given.get("idleTimeoutInMinutes") or 4,
    }
    for member in (*first, "ipConfiguration"):
        given.pop(member, None)
    body = _ordered_network(
        _with(asked, given), facts, first, {"ipTags": [], "ipConfiguration": None}
    )
    body["sku"] = {"tier": "Regional", **sku} if standard else sku
    if standard:
        body["sku"] = {"name": sku.get("name"), **body["sku"]}
    return body


def _security_group(asked: Json, facts: Facts) -> Json:
    last: Json = {
        "securityRules": None,
        "defaultSecurityRules": None,
        "networkInterfaces": None,
        "subnets": None,
    }
    return _ordered_network(asked, facts, {}, last)


def _security_rule(asked: Json, facts: Facts) -> Json:
    lists: Json = {
        "sourcePortRanges": [],
        "destinationPortRanges": [],
        "sourceAddressPrefixes": [],
        "destinationAddressPrefixes": [],
    }
    return _ordered_network(asked, facts, {}, lists)


def _route_table(asked: Json, facts: Facts) -> Json:
    last = {"disableBgpRoutePropagation": False, "routes": None, "subnets": None}
    return _ordered_network(asked, facts, {}, last)


def _load_balancer(asked: Json, facts: Facts) -> Json:
    children: Json = dict.fromkeys(types.CHILDREN["microsoft.network/loadbalancers"])
    body = _ordered_network(asked, facts, children, {})
    body.setdefault("sku", {"name": "Basic", "tier": "Regional"})
    return body


def _rule(
    name: str, what: str, source: str, target: str, access: str, priority: int, direction: str
) -> Json:
    properties = {
        "description": what,
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": target,
        "access": access,
        "priority": priority,
        "direction": direction,
    }
    return {"name": name, "properties": properties}


# fmt: off
# The rules that every network security group has [rec test_vm_update_with_workspace_linux 3].
DEFAULT_RULES: Final = (
    _rule("AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", "VirtualNetwork", "VirtualNetwork", "Allow", 65000, "Inbound"),  # noqa: E501
    _rule("AllowAzureLoadBalancerInBound", "Allow inbound traffic from azure load balancer", "AzureLoadBalancer", "*", "Allow", 65001, "Inbound"),  # noqa: E501
    _rule("DenyAllInBound", "Deny all inbound traffic", "*", "*", "Deny", 65500, "Inbound"),
    _rule("AllowVnetOutBound", "Allow outbound traffic from all VMs to all VMs in VNET", "VirtualNetwork", "VirtualNetwork", "Allow", 65000, "Outbound"),  # noqa: E501
    _rule("AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet", "*", "Internet", "Allow", 65001, "Outbound"),  # noqa: E501
    _rule("DenyAllOutBound", "Deny all outbound traffic", "*", "*", "Deny", 65500, "Outbound"),
)
# fmt: on

_RESERVED: Final = 4  # the first addresses of a subnet are Azure's own [rec: .4 is the first]
_NO_SUBNET: Final = "10.0.0.0/24"  # where nothing is known of it [assumed]


def free_address(subnet: Json | None, used: set[str]) -> str | None:
    """Give the first address of a subnet that is free; ``None``: there is none left."""
    properties = (subnet or {}).get("properties") or {}
    prefixes = properties.get("addressPrefixes") or [properties.get("addressPrefix") or _NO_SUBNET]
    for prefix in prefixes:
        try:
            network = ip_network(prefix, strict=False)
        except ValueError:
            continue
        for offset in range(_RESERVED, min(network.num_addresses - 1, len(used) + _RESERVED + 1)):
            address = str(network[offset])
            if address not in used:
                return address
    return None


# --- Microsoft.Compute -------------------------------------------------------------------------

# By size: the performance tier of a premium disk, its operations and megabytes a second [doc "Azure
# premium SSDs"; rec P3, P4, P20].
_PREMIUM: Final = (
    (4, "P1", 120, 25), (8, "P2", 120, 25), (16, "P3", 120, 25), (32, "P4", 120, 25),
    (64, "P6", 240, 50), (128, "P10", 500, 100), (256, "P15", 1_100, 125),
    (512, "P20", 2_300, 150), (1_024, "P30", 5_000, 200), (2_048, "P40", 7_500, 250),
    (4_096, "P50", 7_500, 250), (8_192, "P60", 16_000, 500), (16_384, "P70", 18_000, 750),
    (32_767, "P80", 20_000, 900),
)  # fmt: skip
_STANDARD: Final = (500, 60)  # [rec of the standard hard disk]
_GB: Final = 1024**3


def _disk(asked: Json, facts: Facts) -> Json:
    """Give a managed disk, or a snapshot, once it is there [rec]."""
    given = _properties(asked)
    for member in _SHOWN_OF_A_DISK:
        given.pop(member, None)
    sku = (asked.get("sku") or {}).get("name") or "Standard_LRS"
    is_disk = "/disks/" in facts.id.lower()
    size = given.get("diskSizeGB")
    properties: Json = {
        **{name: given.pop(name) for name in _OF_A_SYSTEM if name in given},
        "creationData": given.pop("creationData", {"createOption": "Empty"}),
    }
    if not sku.lower().startswith(_SPEED_AS_ASKED):
        for member in ("diskIOPSReadWrite", "diskMBpsReadWrite"):
            given.pop(member, None)
    wanted_tier = given.pop("tier", None)
    premium = None
    if size is not None:
        properties["diskSizeGB"] = size
        given.pop("diskSizeGB")
        if sku.lower().startswith("premium"):
            premium = _tier_of(size, wanted_tier)
        if is_disk:
            speed = _STANDARD if premium is None else premium[2:]
            properties |= {"diskIOPSReadWrite": speed[0], "diskMBpsReadWrite": speed[1]}
    properties["encryption"] = {"type": "EncryptionAtRestWithPlatformKey"}
    if not is_disk:
        properties["incremental"] = False
    access = {
        "networkAccessPolicy": given.pop("networkAccessPolicy", None) or "AllowAll",
        "publicNetworkAccess": given.pop("publicNetworkAccess", None) or "Enabled",
    }
    properties |= {**given, **access}
    properties["timeCreated"] = _kept(facts, "timeCreated", lambda: facts.now)
    properties |= {"provisioningState": None, "diskState": "Unattached"}
    if size is not None:
        properties["diskSizeBytes"] = size * _GB
    properties["uniqueId"] = _kept(facts, "uniqueId", facts.new_id)
    if premium is not None:
        properties["tier"] = premium[1]
    members = {name: item for name, item in asked.items() if name != "managedBy"}
    return _with(members, properties, sku={"name": sku, "tier": sku.partition("_")[0]})


def _tier_of(size_gb: int, wanted: str | None) -> tuple[int, str, int, int]:
    """Give a premium disk's tier: that of its size, or a better one that is asked for [doc]."""
    own = next((tier for tier in _PREMIUM if size_gb <= tier[0]), _PREMIUM[-1])
    better = next((tier for tier in _PREMIUM if tier[1] == wanted), own)
    return max(own, better)


_SPEED_AS_ASKED: Final = ("ultrassd", "premiumv2")
_SHOWN_OF_A_DISK: Final = (
    "provisioningState", "diskState", "timeCreated", "uniqueId", "diskSizeBytes",
)  # fmt: skip
_OF_A_SYSTEM: Final = ("osType", "hyperVGeneration", "supportedCapabilities")


def as_asked(asked: Json, final: Json, *, is_new: bool) -> Json:
    """Give a disk while it is made: little more than was asked for [rec].

    One that is there keeps showing its kind and its performance tier [rec].
    """
    shown = dict(asked)
    if not is_new and "sku" in final:
        shown.setdefault("sku", final["sku"])
    if "properties" not in asked:
        return shown
    given = _properties(asked)
    given.pop("provisioningState", None)
    first: Json = {
        name: given.pop(name) for name in ("creationData", "diskSizeGB") if name in given
    }
    properties: Json = {**first, **given, "provisioningState": None}
    if not is_new and "tier" in final["properties"]:
        properties["tier"] = final["properties"]["tier"]
    return _with(shown, properties)


def _disk_access(asked: Json, facts: Facts) -> Json:
    created = _kept(facts, "timeCreated", lambda: facts.now)
    return _with(asked, {"provisioningState": None, **_properties(asked), "timeCreated": created})


def _availability_set(asked: Json, _facts: Facts) -> Json:
    given = _properties(asked)
    given.pop("virtualMachines", None)
    properties = {
        "platformUpdateDomainCount": given.pop("platformUpdateDomainCount", None) or 5,
        "platformFaultDomainCount": given.pop("platformFaultDomainCount", None) or 2,
        **given,
    }
    return _with(asked, properties, sku=asked.get("sku") or {"name": "Classic"})


def _image(asked: Json, _facts: Facts) -> Json:
    given = _properties(asked)
    generation = given.pop("hyperVGeneration", None) or "V1"
    storage = given.get("storageProfile")
    if isinstance(storage, dict):
        os_disk = storage.get("osDisk")
        if isinstance(os_disk, dict):
            order = ("osType", "osState", "diskSizeGB", "snapshot", "managedDisk")
            os_disk = {
                **{name: os_disk[name] for name in order if name in os_disk},
                "caching": "None",
                "storageAccountType": "Standard_LRS",
                **{name: item for name, item in os_disk.items() if name not in order},
            }
            given["storageProfile"] = {**storage, "osDisk": os_disk}
        given["storageProfile"].setdefault("dataDisks", [])
    given.pop("provisioningState", None)
    given |= {"provisioningState": None, "hyperVGeneration": generation}
    return _with(asked, given)


# --- others ------------------------------------------------------------------------------------


def _storage_account(asked: Json, facts: Facts) -> Json:
    given = _properties(asked)
    sku = (asked.get("sku") or {}).get("name") or "Standard_LRS"
    ends = {
        kind: f"https://{facts.name}.{kind}.core.windows.net/"
        for kind in ("blob", "queue", "table", "file")
    }
    properties = {
        "networkAcls": {
            "bypass": "AzureServices",
            "virtualNetworkRules": [],
            "ipRules": [],
            "defaultAction": "Allow",
        },
        "supportsHttpsTrafficOnly": True,
        **given,
        "provisioningState": None,
        "creationTime": _kept(facts, "creationTime", lambda: facts.now.replace("+00:00", "Z")),
        "primaryEndpoints": ends,
        "primaryLocation": facts.location,
        "statusOfPrimary": "available",
    }
    kind = asked.get("kind") or "StorageV2"
    members = {name: item for name, item in asked.items() if name not in ("sku", "kind")}
    return _with(members, properties, sku={"name": sku, "tier": sku.partition("_")[0]}, kind=kind)


def _identity(asked: Json, facts: Facts) -> Json:
    properties = {
        "tenantId": facts.tenant_id,
        "principalId": _kept(facts, "principalId", facts.new_id),
        "clientId": _kept(facts, "clientId", facts.new_id),
    }
    return _with(asked, properties)


def _role_assignment(asked: Json, facts: Facts) -> Json:
    scope = facts.id.rpartition("/providers/")[0]
    given = {"principalType": "ServicePrincipal", **_properties(asked)}
    return _with(asked, {**given, "scope": scope, "createdOn": facts.now, "updatedOn": facts.now})


_FILLS: Final[dict[str, Fill]] = {
    types.NETWORK.lower(): _network,
    types.SUBNET.lower(): _subnet,
    types.NIC.lower(): _nic,
    types.IP_CONFIGURATION.lower(): _ip_configuration,
    types.PUBLIC_IP.lower(): _public_ip,
    types.SECURITY_GROUP.lower(): _security_group,
    "microsoft.network/networksecuritygroups/securityrules": _security_rule,
    "microsoft.network/networksecuritygroups/defaultsecurityrules": _security_rule,
    "microsoft.network/routetables": _route_table,
    "microsoft.network/loadbalancers": _load_balancer,
    "microsoft.network/*": _network_resource,
    types.DISK.lower(): _disk,
    "microsoft.compute/snapshots": _disk,
    "microsoft.compute/diskaccesses": _disk_access,
    types.AVAILABILITY_SET.lower(): _availability_set,
    "microsoft.compute/images": _image,
    "microsoft.storage/storageaccounts": _storage_account,
    "microsoft.managedidentity/userassignedidentities": _identity,
    "microsoft.authorization/roleassignments": _role_assignment,
}
# What is completed only when its operation has ended, and shown as it was asked for until then.
FILLED_AT_THE_END: Final = frozenset(
    (types.DISK.lower(), "microsoft.compute/snapshots", "microsoft.compute/diskaccesses")
)
