"""The model of a virtual machine: what was asked for, judged and completed as Azure does it.

Pure functions over the JSON of a VM's body, once its form has been judged. ``created``, ``put`` and
``patched`` give the persisted model after a request; ``completed`` gives it after the operation's
work is done (disks named, detached ones gone). Whatever cannot be is an ``ArmError``, and nothing
has changed yet.

Secrets go no further than here, and are not judged: a test needs no believable password.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

from pytest_azurevm import _vm_disks
from pytest_azurevm._errors import arm_error
from pytest_azurevm._vm_form import Json, checked_location

NewId: TypeAlias = Callable[[], str]

# The shape of a size's name [doc: naming conventions]: Standard_D2s_v5, Standard_E4-2ads_v5,
# Standard_NC40ads_H100_v5, Standard_M96bds_2_v3, Standard_DC2as_cc_v5, Basic_A1.
_SIZE: Final = re.compile(
    r"(Standard|Basic)_[A-Z]{1,4}\d{1,4}(-\d{1,3})?[a-z]{0,6}(_[A-Z0-9]{1,8}){0,4}",
    re.IGNORECASE,
)
_SOME_SIZES: Final = "Standard_B2s,Standard_D2s_v5,Standard_D4s_v5,Standard_E4s_v5,Standard_F4s_v2"
_SECRETS: Final = ("adminPassword", "customData")
# The tenant of identities that nobody has named one for.
_NO_TENANT: Final = "00000000-0000-0000-0000-000000000000"
_HOST_NAME_FORBIDS: Final = set("`~!@#$%^&*()=+_[]{}\\|;:'\",<>/?")
# What a PUT that leaves it out keeps; any other member that it leaves out goes [assumed].
_KEPT: Final = (
    "hardwareProfile", "storageProfile", "osProfile", "networkProfile", "securityProfile",
    "diagnosticsProfile",  # its storageUri at least [rec test_vm_boot_diagnostics]
    "userData",  # else a PUT of what GET gave would lose it, for GET does not tell it [assumed]
)  # fmt: skip
# The order in which Azure prints the members of these objects, whatever order they came in [rec];
# any other member follows, in the caller's order.
_ORDER: Final = {
    owner: members.split()
    for owner, members in {
        "properties": "hardwareProfile vmId virtualMachineScaleSet platformFaultDomain "
        "availabilitySet proximityPlacementGroup host hostGroup additionalCapabilities "
        "applicationProfile storageProfile osProfile userData securityProfile networkProfile "
        "diagnosticsProfile priority evictionPolicy billingProfile licenseType",
        "storageProfile": "imageReference osDisk dataDisks diskControllerType",
        "imageReference": "id publisher offer sku version exactVersion",
        "osDisk": "osType diffDiskSettings name createOption vhd caching managedDisk deleteOption "
        "diskSizeGB",
        "dataDisks": "lun name createOption vhd caching managedDisk deleteOption diskSizeGB "
        "toBeDetached",
        "managedDisk": "storageAccountType id",
        "osProfile": "computerName adminUsername windowsConfiguration linuxConfiguration secrets "
        "allowExtensionOperations requireGuestProvisionSignal",
        "windowsConfiguration": "provisionVMAgent enableAutomaticUpdates patchSettings "
        "enableVMAgentPlatformUpdates",
        "linuxConfiguration": "disablePasswordAuthentication ssh provisionVMAgent patchSettings "
        "enableVMAgentPlatformUpdates",
        "patchSettings": "patchMode assessmentMode",
        "publicKeys": "path keyData",
        "securityProfile": "uefiSettings securityType",
    }.items()
}


# What a system is configured to where nothing is said of it. Models are never changed, they are
# made anew, so that machines without number can share these.
_WINDOWS: Final[Json] = {
    "provisionVMAgent": True,
    "enableAutomaticUpdates": True,
    "patchSettings": {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"},
    "enableVMAgentPlatformUpdates": False,
}
_LINUX: Final[Json] = {
    "disablePasswordAuthentication": False,
    "provisionVMAgent": True,
    "patchSettings": {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"},
    "enableVMAgentPlatformUpdates": False,
}
_NO_SECRETS: Final[list[Json]] = []


# --- questions to a model ----------------------------------------------------------------------


def os_type(model: Json) -> str:
    """``"Linux"`` or ``"Windows"``."""
    return str(model["properties"]["storageProfile"]["osDisk"]["osType"])


def is_specialized(model: Json) -> bool:
    """Whether the disk brings an installed system, so that no OS provisioning takes place."""
    properties = model["properties"]
    attached = properties["storageProfile"]["osDisk"].get("createOption") == "Attach"
    return attached or "osProfile" not in properties


def extensions(model: Json) -> list[Json]:
    """Give the VM's extensions, as resources."""
    found: list[Json] = model.get("resources", [])
    return found


def nics(model: Json) -> list[str]:
    """Give the resource IDs of the VM's network interfaces."""
    interfaces = model["properties"].get("networkProfile", {}).get("networkInterfaces") or []
    return [interface["id"] for interface in interfaces if interface.get("id")]


def is_spot(model: Json) -> bool:
    """Whether the platform may take the VM's host away; ``Low`` is Spot's older name."""
    return model["properties"].get("priority") in ("Spot", "Low")


def eviction_policy(model: Json) -> str:
    """``"Deallocate"`` or ``"Delete"``: what an eviction does [doc spot-vms.md: the default]."""
    return str(model["properties"].get("evictionPolicy") or "Deallocate")


def takes_extensions(model: Json) -> bool:
    """Whether extensions may be written: there is an agent, and its owner lets it."""
    profile = model["properties"].get("osProfile") or {}
    return has_agent(model) and profile.get("allowExtensionOperations") is not False


def has_agent(model: Json) -> bool:
    """Whether the VM was given an agent: it is, unless its owner says no."""
    profile = model["properties"].get("osProfile") or {}
    return not any(
        (profile.get(system) or {}).get("provisionVMAgent") is False
        for system in ("linuxConfiguration", "windowsConfiguration")
    )


def disks(model: Json) -> Iterator[Json]:
    """Give the OS disk, then the data disks."""
    return _vm_disks.disks(model["properties"]["storageProfile"])


def generation(model: Json) -> str:
    """``"V1"`` or ``"V2"``: the kind of firmware, told from the image's name."""
    return _vm_disks.generation(model["properties"]["storageProfile"])


def keeps_disks(model: Json) -> bool:
    """Whether a disk outlives the VM, and goes on costing [doc delete.md: Detach by default]."""
    return any(disk.get("deleteOption") != "Delete" for disk in disks(model))


# --- requests ----------------------------------------------------------------------------------


def created(
    body: Json, *, name: str, vm_id: str, new_id: NewId, tenant_id: str = _NO_TENANT
) -> Json:
    """Give the persisted model of a VM that *body* creates.

    Raises:
        ArmError: something required is missing, or cannot be.
    """
    location = checked_location(body)
    asked = _without_nulls(body.get("properties") or {})
    properties: Json = {
        **asked,
        "hardwareProfile": _hardware(asked),
        "vmId": vm_id,
        "storageProfile": _vm_disks.storage_profile(asked),
    }
    model: Json = {"location": location}
    model.update(_top_level(body, None, new_id, tenant_id))
    model["properties"] = properties
    _complete_os_profile(model, name)
    properties.setdefault("networkProfile", {"networkInterfaces": []})
    if body.get("resources"):
        model["resources"] = [_extension(extension, model) for extension in body["resources"]]
    model["properties"] = _in_order(properties)
    return model


def put(
    old: Json,
    body: Json,
    *,
    name: str,
    deallocated: bool,
    new_id: NewId,
    tenant_id: str = _NO_TENANT,
) -> Json:
    """Give the persisted model after a PUT of an existing VM.

    Raises:
        ArmError: it changes what cannot be changed, or does not hold together.
    """
    old_properties = old["properties"]
    asked = _without_nulls(body.get("properties") or {})
    for kept in _KEPT:
        if kept in old_properties:
            asked[kept] = _over(old_properties[kept], asked.get(kept))
    model = {"location": body.get("location"), **_top_level(body, old, new_id, tenant_id)}
    model["properties"] = {**asked, "vmId": old_properties["vmId"]}
    for member in ("plan", "identity", "zones", "extendedLocation"):
        if member in old and body.get(member) is None:
            model[member] = old[member]
    return _updated(old, model, name=name, deallocated=deallocated)


def patched(
    old: Json,
    body: Json,
    *,
    name: str,
    deallocated: bool,
    new_id: NewId,
    tenant_id: str = _NO_TENANT,
) -> Json:
    """Give the persisted model after a PATCH: members of objects are merged, null removes.

    Null instead of all properties asks for nothing: no VM is without them [assumed].

    Raises:
        ArmError: it changes what cannot be changed, or does not hold together.
    """
    body = {key: value for key, value in body.items()
            if key not in ("name", "location", "resources")}  # fmt: skip
    identity = body.pop("identity", None)
    if body.get("properties") is None:
        body.pop("properties", None)
    model: Json = merged({k: v for k, v in old.items() if k != "resources"}, body)
    if identity is not None:
        _set_identity(model, identity, old.get("identity"), new_id, tenant_id, patch=True)
    return _updated(old, model, name=name, deallocated=deallocated)


def completed(model: Json, *, name: str, disk_id: Callable[[str], str], new_id: NewId) -> Json:
    """Give the model once the platform has done its work: disks named, detached ones gone.

    A user-assigned identity has no ids before [rec test_vm_explicit_msi].
    """
    profile = _vm_disks.made(model["properties"]["storageProfile"], name, disk_id, new_id)
    model = {
        **model,
        "properties": {
            **model["properties"],
            "storageProfile": _in_order(profile, "storageProfile"),
        },
    }
    users = model.get("identity", {}).get("userAssignedIdentities")
    if users:
        model["identity"] = {
            **model["identity"],
            "userAssignedIdentities": {
                user: ids or {"principalId": new_id(), "clientId": new_id()}
                for user, ids in users.items()
            },
        }
    return model


# --- the parts of a model ----------------------------------------------------------------------


def _updated(old: Json, model: Json, *, name: str, deallocated: bool) -> Json:
    properties = _without_nulls(model["properties"])
    was = old["properties"]["storageProfile"]
    properties["hardwareProfile"] = _hardware(properties)
    if "storageProfile" in properties:
        known = _vm_disks.remembered(was)
        properties["storageProfile"]["dataDisks"] = [
            _over(known.get(disk.get("lun"), {}), disk)
            for disk in properties["storageProfile"].get("dataDisks", ())
        ]
    profile = properties["storageProfile"] = _vm_disks.storage_profile(properties)
    model["properties"] = properties
    # What stays for life is judged first; an osProfile for itself only where there may be one.
    if ("osProfile" in properties) != ("osProfile" in old["properties"]):
        raise arm_error("immutable", property="osProfile", target="osProfile")
    _check_immutable(old, model, _IMMUTABLE)
    _vm_disks.check_changes(was, profile, deallocated=deallocated)
    _complete_os_profile(model, name)
    _check_immutable(old, model, _IMMUTABLE_OS_PROFILE)
    properties["storageProfile"] = _vm_disks.with_leaving(was, profile)
    if extensions(old):
        model["resources"] = old["resources"]
    model["properties"] = _in_order(properties)
    model["location"] = old["location"]
    return model


def _top_level(body: Json, old: Json | None, new_id: NewId, tenant_id: str) -> Json:
    found: Json = {
        member: body[member]
        for member in ("tags", "plan", "zones", "extendedLocation", "placement")
        if body.get(member) is not None
    }
    if body.get("identity") is not None:
        _set_identity(found, body["identity"], (old or {}).get("identity"), new_id, tenant_id)
    return found


def _set_identity(
    model: Json,
    asked: Json,
    old: Json | None,
    new_id: NewId,
    tenant_id: str,
    *,
    patch: bool = False,
) -> None:
    """Write the identity; a PATCH adds to the user-assigned ones, null takes one away [rec].

    The type None leaves none at all [rec test_vm_explicit_msi].
    """
    had = old or {}
    identity: Json = {"type": asked.get("type") or had.get("type", "None")}
    model.pop("identity", None)
    if identity["type"] == "None":
        return
    if "SystemAssigned" in identity["type"]:
        identity["principalId"] = had.get("principalId") or new_id()
        identity["tenantId"] = tenant_id
    if "UserAssigned" in identity["type"]:
        known = {user.lower(): (user, ids)
                 for user, ids in had.get("userAssignedIdentities", {}).items()}  # fmt: skip
        users = dict(known) if patch else {}
        for user, kept in (asked.get("userAssignedIdentities") or {}).items():
            users.pop(user.lower(), None)
            if kept is not None:
                users[user.lower()] = known.get(user.lower(), (user, {}))
        if users:
            identity["userAssignedIdentities"] = dict(users.values())
    model["identity"] = identity


def _hardware(properties: Json) -> Json:
    hardware: Json = properties.get("hardwareProfile") or {}
    size = hardware.get("vmSize")
    if size is None:
        raise arm_error("missing", parameter="vmSize", target="vmSize")
    if not _SIZE.fullmatch(size):
        raise arm_error("bad-size", size=size, sizes=_SOME_SIZES, target="vmSize")
    return hardware


def _complete_os_profile(model: Json, name: str) -> None:
    properties = model["properties"]
    storage = properties["storageProfile"]
    profile = properties.get("osProfile")
    image = storage.get("imageReference") or {}
    if profile is None:
        # A platform image is always generalized; a gallery's may be specialized.
        if storage["osDisk"]["createOption"] == "FromImage" and image.get("publisher"):
            raise arm_error("missing", parameter="osProfile", target="osProfile")
        properties.pop("osProfile", None)
        return
    if storage["osDisk"]["createOption"] == "Attach":
        raise arm_error("not-allowed", parameter="osProfile", target="osProfile")
    for secret in _SECRETS:
        profile.pop(secret, None)
    if not profile.get("adminUsername"):
        raise arm_error("missing", parameter="adminUsername", target="adminUsername")
    computer_name = profile.get("computerName") or name
    windows = storage["osDisk"]["osType"] == "Windows"
    _check_computer_name(computer_name, windows=windows)
    made: Json = {"computerName": computer_name, "adminUsername": profile["adminUsername"]}
    if windows:
        made["windowsConfiguration"] = _defaults(profile.get("windowsConfiguration"), _WINDOWS)
    else:
        made["linuxConfiguration"] = _defaults(profile.get("linuxConfiguration"), _LINUX)
    made["secrets"] = profile.get("secrets") or _NO_SECRETS
    made["allowExtensionOperations"] = profile.get("allowExtensionOperations", True)
    made["requireGuestProvisionSignal"] = profile.get("requireGuestProvisionSignal", True)
    properties["osProfile"] = made


def _check_computer_name(computer_name: str, *, windows: bool) -> None:
    bad = _HOST_NAME_FORBIDS.intersection(computer_name)
    if windows:
        # Also the VM's own name, where no other is given: it is not cut to fit [assumed].
        if bad or "." in computer_name or computer_name.isdigit() or len(computer_name) > 15:
            raise arm_error("bad-windows-host", target="computerName")
    elif bad or len(computer_name) > 64:
        raise arm_error("bad-linux-host", target="computerName")


def _extension(asked: Json, vm: Json) -> Json:
    properties = asked.get("properties") or {}
    for required in ("publisher", "type", "typeHandlerVersion"):
        if not properties.get(required):
            raise arm_error("missing", parameter=required, target=required)
    if not asked.get("name"):
        raise arm_error("missing", parameter="name", target="name")
    made = {"autoUpgradeMinorVersion": False, "provisioningState": "Creating"}
    made |= {key: value for key, value in properties.items()
             if key not in ("protectedSettings", "provisioningState", "instanceView")}  # fmt: skip
    made.setdefault("settings", {})
    return {"name": asked["name"], "location": vm["location"], "properties": made}


# Members that an existing VM keeps: where they stand, and what Azure's refusal calls them
# [seen, door by door: Azure/azure-sdk-for-net#37285 and its kin].
_Immutable: TypeAlias = tuple[tuple[tuple[str, ...], str], ...]
_IMMUTABLE: Final[_Immutable] = (
    (("properties", "storageProfile", "osDisk", "name"), "osDisk.name"),
    (("properties", "storageProfile", "osDisk", "createOption"), "osDisk.createOption"),
    (("properties", "storageProfile", "osDisk", "osType"), "osDisk.osType"),
    (("properties", "storageProfile", "imageReference"), "imageReference"),
    (("properties", "availabilitySet", "id"), "availabilitySet.id"),
    (("properties", "priority"), "priority"),
    (("zones",), "zones"),
)
_IMMUTABLE_OS_PROFILE: Final[_Immutable] = (
    (("properties", "osProfile", "computerName"), "osProfile.computerName"),
    (("properties", "osProfile", "adminUsername"), "osProfile.adminUsername"),
    (("properties", "osProfile", "linuxConfiguration", "ssh"), "linuxConfiguration.ssh.publicKeys"),
)


def _check_immutable(old: Json, new: Json, immutable: _Immutable) -> None:
    for path, name in immutable:
        had, has = _at(old, path), _at(new, path)
        if name == "osDisk.name" and (had is None or _is_swapped(old, new)):
            continue  # not made yet, or another disk altogether: the caller may name it
        if name == "priority" and {had, has} == {"Low", "Spot"}:
            continue  # Spot's older name [rec test_vm_priority_eviction_billing]
        if _folded(had) != _folded(has):
            raise arm_error("immutable", property=name, target=name)


def _is_swapped(old: Json, new: Json) -> bool:
    return _vm_disks.is_swapped(
        old["properties"]["storageProfile"], new["properties"]["storageProfile"]
    )


# --- JSON --------------------------------------------------------------------------------------


_CONTAINERS: Final = (dict, list)


def _in_order(value: Any, owner: str = "properties") -> Any:
    """Give JSON with its members in Azure's order; *owner* is the member that holds it.

    What is in order already is given as it is, so that what machines share stays shared.
    """
    if isinstance(value, list):
        items = [_in_order(item, owner) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    if not isinstance(value, dict):
        return value
    found: Json = value
    known = [member for member in _ORDER.get(owner, ()) if member in value]
    if known != list(islice(value, len(known))):
        found = {member: value[member] for member in known} | value
    for member, item in found.items():
        if isinstance(item, _CONTAINERS):
            inner = _in_order(item, member)
            if inner is not item:
                found = dict(value) if found is value else found
                found[member] = inner
    return found


def _without_nulls(value: Any) -> Any:
    """Leave out members that are null, and objects of nothing else [rec test_vm_create_no_wait]."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    clean: Json = {}
    for member, item in value.items():
        if isinstance(item, _CONTAINERS):
            inner = _without_nulls(item)
            if inner != {} or item == {}:
                clean[member] = inner
        elif item is not None:
            clean[member] = item
    return clean


def _defaults(given: Json | None, defaults: Json) -> Json:
    if not given:
        return defaults
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(given.get(key), dict):
            given[key] = {**value, **given[key]}
    return {**defaults, **given}


def _over(old: Any, new: Any) -> Any:
    """Give *new*, and of *old* what it leaves out or has as null; lists are replaced."""
    if new is None:
        return old
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _over(old.get(key), value) for key, value in new.items()}}
    return new


def merged(old: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _at(model: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = model
    for member in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(member)
    return found


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, dict):
        return {key: _folded(member) for key, member in value.items() if key != "exactVersion"}
    if isinstance(value, list):
        return [_folded(item) for item in value]
    return value
