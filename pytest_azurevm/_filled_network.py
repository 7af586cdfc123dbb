"""What Microsoft.Network fills in: networks, interfaces, addresses, security groups [rec]."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm._facts import (
    Addresses,
    Facts,
    Fill,
    in_order,
    kept,
    properties_of,
    with_properties,
)
from pytest_azurevm._vm_form import Json


def _network_resource(asked: Json, facts: Facts) -> Json:
    first: Json = {"provisioningState": None}
    if facts.id.count("/") == 8:  # those within another have none [rec]
        first["resourceGuid"] = kept(facts, "resourceGuid", facts.new_id)
    given = properties_of(asked)
    for member in ("provisioningState", "resourceGuid"):
        given.pop(member, None)
    return with_properties(asked, {**first, **given})


def _ordered_network(asked: Json, facts: Facts, first: Json, last: Json) -> Json:
    body = _network_resource(asked, facts)
    own: Json = body["properties"]
    head = {name: own.pop(name) for name in ("provisioningState", "resourceGuid") if name in own}
    body["properties"] = {**head, **in_order(first, own, last)}
    return body


def _network(asked: Json, facts: Facts) -> Json:
    children: Json = {"subnets": None, "virtualNetworkPeerings": None}
    last = {**children, "enableDdosProtection": False}
    space = properties_of(asked).get("addressSpace")
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
    settings = properties_of(asked).get("dnsSettings") or {}
    suffix = (facts.old.get("dnsSettings") or {}).get("internalDomainNameSuffix")
    dns = {
        "dnsServers": [],
        "appliedDnsServers": [],
        "internalDomainNameSuffix": suffix
        or f"{facts.new_id().replace('-', '')[:26]}.xx.internal.cloudapp.net",
        **settings,
    }
    given = {**properties_of(asked), "dnsSettings": dns}
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
    return _ordered_network(with_properties(asked, given), facts, first, last)


# What only the service says of a network interface.
_SHOWN_OF_A_NIC: Final = ("macAddress", "primary", "virtualMachine", "hostedWorkloads")


def _ip_configuration(asked: Json, facts: Facts) -> Json:
    given = properties_of(asked)
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
    return _ordered_network(with_properties(asked, given), facts, first, last)


def _public_ip(asked: Json, facts: Facts) -> Json:
    given = properties_of(asked)
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
        "ipAddress": kept(facts, "ipAddress", facts.public_ip),
        "publicIPAddressVersion": version,
        "publicIPAllocationMethod": method,
        "idleTimeoutInMinutes": given.get("idleTimeoutInMinutes") or 4,
    }
    for member in (*first, "ipConfiguration"):
        given.pop(member, None)
    body = _ordered_network(
        with_properties(asked, given), facts, first, {"ipTags": [], "ipConfiguration": None}
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


def free_address(subnet: Json | None, taken: Addresses) -> str | None:
    """Give the first address of a subnet that is free; ``None``: there is none left."""
    properties = (subnet or {}).get("properties") or {}
    prefixes = properties.get("addressPrefixes") or [properties.get("addressPrefix") or _NO_SUBNET]
    passed = 0  # addresses of the prefixes before
    for prefix in prefixes:
        try:
            network = ip_network(prefix, strict=False)
        except ValueError:
            continue
        last = network.num_addresses - 1  # which is the broadcast's
        for offset in range(max(_RESERVED, taken.free_from - passed), last):
            address = str(network[offset])
            if address not in taken.used:
                taken.free_from = passed + offset
                return address
        passed += last
    return None


FILLS: Final[dict[str, Fill]] = {
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
}
