"""What Azure fills in: a stored resource's properties with their defaults, type by type.

Pure functions over JSON. Each is given what was asked for and what the resource was before, and
gives its body: its properties in the order in which Azure prints them, so far as that is recorded.
A member that is ``None`` keeps a place for what is only known when it is shown.
"""

from __future__ import annotations

from typing import Final

from pytest_azurevm import _filled_compute as compute
from pytest_azurevm import _filled_network as network
from pytest_azurevm import _resource_types as types
from pytest_azurevm._facts import Facts, Fill, kept, properties_of, with_properties
from pytest_azurevm._vm_form import Json


def filled(resource_type: str, asked: Json, facts: Facts) -> Json:
    """Give the body of a resource of that type: what *asked* says, and what Azure adds."""
    lowered = resource_type.lower()
    fill = _FILLS.get(lowered) or _FILLS.get(f"{lowered.partition('/')[0]}/*")
    if fill is None:
        return _of_any(resource_type, asked, facts)
    return fill(asked, facts)


def _of_any(resource_type: str, asked: Json, _facts: Facts) -> Json:
    if types.row_of(resource_type).shows:
        return with_properties(asked, {**properties_of(asked), "provisioningState": None})
    return dict(asked)


def _storage_account(asked: Json, facts: Facts) -> Json:
    given = properties_of(asked)
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
        "creationTime": kept(facts, "creationTime", lambda: facts.now.replace("+00:00", "Z")),
        "primaryEndpoints": ends,
        "primaryLocation": facts.location,
        "statusOfPrimary": "available",
    }
    kind = asked.get("kind") or "StorageV2"
    members = {name: item for name, item in asked.items() if name not in ("sku", "kind")}
    return with_properties(
        members, properties, sku={"name": sku, "tier": sku.partition("_")[0]}, kind=kind
    )


def _identity(asked: Json, facts: Facts) -> Json:
    properties = {
        "tenantId": facts.tenant_id,
        "principalId": kept(facts, "principalId", facts.new_id),
        "clientId": kept(facts, "clientId", facts.new_id),
    }
    return with_properties(asked, properties)


def _role_assignment(asked: Json, facts: Facts) -> Json:
    scope = facts.id.rpartition("/providers/")[0]
    given = {"principalType": "ServicePrincipal", **properties_of(asked)}
    return with_properties(
        asked, {**given, "scope": scope, "createdOn": facts.now, "updatedOn": facts.now}
    )


_FILLS: Final[dict[str, Fill]] = {
    **network.FILLS,
    **compute.FILLS,
    "microsoft.storage/storageaccounts": _storage_account,
    "microsoft.managedidentity/userassignedidentities": _identity,
    "microsoft.authorization/roleassignments": _role_assignment,
}
