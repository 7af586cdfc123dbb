"""What Microsoft.Compute fills in, virtual machines aside: disks, images and their like [rec]."""

from __future__ import annotations

from typing import Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm._facts import Facts, Fill, kept, properties_of, with_properties
from pytest_azurevm._vm_form import Json

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
    given = properties_of(asked)
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
    properties["timeCreated"] = kept(facts, "timeCreated", lambda: facts.now)
    properties |= {"provisioningState": None, "diskState": "Unattached"}
    if size is not None:
        properties["diskSizeBytes"] = size * _GB
    properties["uniqueId"] = kept(facts, "uniqueId", facts.new_id)
    if premium is not None:
        properties["tier"] = premium[1]
    members = {name: item for name, item in asked.items() if name != "managedBy"}
    return with_properties(members, properties, sku={"name": sku, "tier": sku.partition("_")[0]})


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
    given = properties_of(asked)
    given.pop("provisioningState", None)
    first: Json = {
        name: given.pop(name) for name in ("creationData", "diskSizeGB") if name in given
    }
    properties: Json = {**first, **given, "provisioningState": None}
    if not is_new and "tier" in final["properties"]:
        properties["tier"] = final["properties"]["tier"]
    return with_properties(shown, properties)


def _disk_access(asked: Json, facts: Facts) -> Json:
    created = kept(facts, "timeCreated", lambda: facts.now)
    return with_properties(
        asked, {"provisioningState": None, **properties_of(asked), "timeCreated": created}
    )


def _availability_set(asked: Json, _facts: Facts) -> Json:
    given = properties_of(asked)
    given.pop("virtualMachines", None)
    properties = {
        "platformUpdateDomainCount": given.pop("platformUpdateDomainCount", None) or 5,
        "platformFaultDomainCount": given.pop("platformFaultDomainCount", None) or 2,
        **given,
    }
    return with_properties(asked, properties, sku=asked.get("sku") or {"name": "Classic"})


def _image(asked: Json, _facts: Facts) -> Json:
    given = properties_of(asked)
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
    return with_properties(asked, given)


FILLS: Final[dict[str, Fill]] = {
    types.DISK.lower(): _disk,
    "microsoft.compute/snapshots": _disk,
    "microsoft.compute/diskaccesses": _disk_access,
    types.AVAILABILITY_SET.lower(): _availability_set,
    "microsoft.compute/images": _image,
}
# What is completed only when its operation has ended, and shown as it was asked for until then.
FILLED_AT_THE_END: Final = frozenset(
    (types.DISK.lower(), "microsoft.compute/snapshots", "microsoft.compute/diskaccesses")
)
