"""What a tenant shows of itself: subscriptions, the regions in them, resource providers."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm._api_versions import API_VERSIONS, NEWEST
from pytest_azurevm._vm_form import LOCATIONS, Json

_NAME: Final = "pytest-azurevm"
# Names that stand for several regions, and those of other clouds.
_NO_REGIONS: Final = frozenset("asia asiapacific australia brazil canada europe india uk".split())
_OTHER_CLOUDS: Final = ("usgov", "china")
# The words that regions' names are made of, the longer ones first.
_WORDS: Final = re.compile(
    "southeast|northeast|southwest|northwest|switzerland|indonesia|australia|germany|zealand|"
    "austria|belgium|central|malaysia|sweden|norway|france|africa|mexico|poland|israel|canada|"
    "brazil|taiwan|europe|japan|korea|india|chile|spain|italy|qatar|south|north|east|west|asia|"
    "euap|uae|new|uk|us|[0-9]"
)
_CAPITALS: Final = ("uk", "us", "uae", "euap")


def tenant_body(tenant_id: str) -> Json:
    """Give a tenant [spec]."""
    return {
        "id": f"/tenants/{tenant_id}",
        "tenantId": tenant_id,
        "countryCode": "NL",
        "displayName": _NAME,
        "domains": [f"{_NAME}.onmicrosoft.com"],
        "tenantCategory": "Home",
        "defaultDomain": f"{_NAME}.onmicrosoft.com",
        "tenantType": "AAD",
    }


def subscription_body(subscription: str, tenant_id: str, tags: Json) -> Json:
    """Give a subscription [spec]."""
    body: Json = {
        "id": f"/subscriptions/{subscription}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription,
        "tenantId": tenant_id,
        "displayName": _NAME,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }
    return {**body, "tags": tags} if tags else body


def locations(subscription: str) -> list[Json]:
    """Give the regions of a subscription [spec; where each lies is left out]."""
    return [
        {
            "id": f"/subscriptions/{subscription}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": display_name(name),
            "regionalDisplayName": display_name(name),
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        for name in regions()
    ]


@cache
def regions() -> tuple[str, ...]:
    """Give public Azure's regions: one place each."""
    return tuple(
        name for name in LOCATIONS if name not in _NO_REGIONS and not name.startswith(_OTHER_CLOUDS)
    )


def display_name(region: str) -> str:
    """Give a region's name as people write it: ``westeurope`` is West Europe."""
    words = _WORDS.findall(region)
    return " ".join(word.upper() if word in _CAPITALS else word.capitalize() for word in words)


def namespaces() -> list[str]:
    """Give the providers that the table of types names."""
    known = {kind.partition("/")[0] for kind in types.known_types()}
    return sorted(known)


def provider_body(subscription: str, namespace: str, asked: str = "") -> Json:
    """Give the registration of a provider: asked for, and then in force [doc]."""
    spelled = next((name for name in namespaces() if name.lower() == namespace.lower()), namespace)
    scope = f"/subscriptions/{subscription}" if subscription else ""
    return {
        "id": f"{scope}/providers/{spelled}",
        "namespace": spelled,
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            _type_body(kind) for kind in types.known_types() if _is_of(kind, spelled)
        ],
        "registrationState": _STATES.get(asked, "Registered"),
    }


# A registration takes a while in Azure; here every provider is registered, whatever was asked for.
_STATES: Final = {"register": "Registering", "unregister": "Unregistering"}


def _is_of(kind: str, namespace: str) -> bool:
    return kind.lower().startswith(f"{namespace.lower()}/")


def _type_body(kind: str) -> Json:
    machines = kind == "Microsoft.Compute/virtualMachines"
    return {
        "resourceType": kind.partition("/")[2],
        "locations": [display_name(name) for name in regions()],
        # Of other types, any day's is taken.
        "apiVersions": list(reversed(API_VERSIONS)) if machines else [NEWEST],
        "capabilities": "SupportsTags, SupportsLocation",
    }
