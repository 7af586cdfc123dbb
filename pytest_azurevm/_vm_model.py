"""The model of a virtual machine: what was asked for, judged and completed as Azure does it.

Pure functions over the JSON of a VM's body, once its form has been judged. ``created``, ``put`` and
``patched`` give the persisted model after a request; ``completed`` gives it after the operation's
work is done (disks named, detached ones gone). Whatever cannot be is an ``ArmError``, and nothing
has changed yet.

Secrets go no further than here, and are not judged: a test needs no believable password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

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
_WINDOWS_PUBLISHERS: Final = ("microsoftwindows", "microsoftsqlserver", "microsoftvisualstudio")
_SECRETS: Final = ("adminPassword", "customData")
_HOST_NAME_FORBIDS: Final = set("`~!@#$%^&*()=+_[]{}\\|;:'\",<>/?")
# What a PUT that leaves it out keeps; any other member that it leaves out goes [assumed].
_KEPT: Final = (
    "hardwareProfile", "storageProfile", "osProfile", "networkProfile", "securityProfile",
    "diagnosticsProfile",  # its storageUri at least [rec test_vm_boot_diagnostics]
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


def disks(model: Json) -> Iterator[Json]:
    """Give the OS disk, then the data disks."""
    profile = model["properties"]["storageProfile"]
    yield profile["osDisk"]
    yield from profile["dataDisks"]


def generation(model: Json) -> str:
    """``"V1"`` or ``"V2"``: the kind of firmware, told from the image's name."""
    return _generation(model["properties"]["storageProfile"].get("imageReference") or {})


def keeps_disks(model: Json) -> bool:
    """Whether a disk outlives the VM, and goes on costing [doc delete.md: Detach by default]."""
    return any(disk.get("deleteOption") != "Delete" for disk in disks(model))


# --- requests ----------------------------------------------------------------------------------


def created(body: Json, *, name: str, vm_id: str, new_id: NewId) -> Json:
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
        "storageProfile": _storage(asked),
    }
    model: Json = {"location": location}
    model.update(_top_level(body, None, new_id))
    model["properties"] = properties
    _complete_os_profile(model, name)
    properties.setdefault("networkProfile", {"networkInterfaces": []})
    _check_luns(properties["storageProfile"]["dataDisks"])
    if body.get("resources"):
        model["resources"] = [_extension(extension, model) for extension in body["resources"]]
    model["properties"] = _in_order(properties)
    return model


def put(old: Json, body: Json, *, name: str, deallocated: bool, new_id: NewId) -> Json:
    """Give the persisted model after a PUT of an existing VM.

    Raises:
        ArmError: it changes what cannot be changed, or does not hold together.
    """
    old_properties = old["properties"]
    asked = _without_nulls(body.get("properties") or {})
    for kept in _KEPT:
        if kept in old_properties:
            asked[kept] = _over(old_properties[kept], asked.get(kept, {}))
    model = {"location": body.get("location"), **_top_level(body, old, new_id)}
    model["properties"] = {**asked, "vmId": old_properties["vmId"]}
    for member in ("plan", "identity", "zones", "extendedLocation"):
        if member in old and body.get(member) is None:
            model[member] = old[member]
    return _updated(old, model, name=name, deallocated=deallocated)


def patched(old: Json, body: Json, *, name: str, deallocated: bool, new_id: NewId) -> Json:
    """Give the persisted model after a PATCH: members of objects are merged, null removes.

    Raises:
        ArmError: it changes what cannot be changed, or does not hold together.
    """
    body = {key: value for key, value in body.items()
            if key not in ("name", "location", "resources")}  # fmt: skip
    identity = body.pop("identity", None)
    model: Json = merged({k: v for k, v in old.items() if k != "resources"}, body)
    if identity is not None:
        _set_identity(model, identity, old.get("identity"), new_id, patch=True)
    return _updated(old, model, name=name, deallocated=deallocated)


def completed(model: Json, *, name: str, disk_id: Callable[[str], str], new_id: NewId) -> Json:
    """Give the model once the platform has done its work: disks named, detached ones gone.

    A user-assigned identity has no ids before [rec test_vm_explicit_msi].
    """
    model = {**model, "properties": dict(model["properties"])}
    profile = dict(model["properties"]["storageProfile"])
    profile["osDisk"] = _made(profile["osDisk"], f"{name}_OsDisk_1_", disk_id, new_id)
    profile["dataDisks"] = [
        _made(disk, f"{name}_disk{disk['lun'] + 2}_", disk_id, new_id)
        for disk in profile["dataDisks"]
        if not disk["toBeDetached"]
    ]
    model["properties"]["storageProfile"] = _in_order(profile, "storageProfile")
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
    was = old["properties"]
    properties["hardwareProfile"] = _hardware(properties)
    old_disks = was["storageProfile"]["dataDisks"]
    profile = properties["storageProfile"] = _storage(properties)
    model["properties"] = properties
    _complete_os_profile(model, name)
    _check_immutable(old, model)
    _check_disk_sizes(was["storageProfile"], profile, deallocated=deallocated)
    # A disk that is left out is detached; until that is done it is still listed, in its place
    # [rec test_vm_disk_force_detach, test_vm_disk_attach_detach].
    _check_luns(profile["dataDisks"])
    listed = {_lun(disk): disk for disk in profile["dataDisks"]}
    profile["dataDisks"] = [
        *(listed.pop(_lun(disk), disk | {"toBeDetached": True}) for disk in old_disks),
        *listed.values(),
    ]
    if extensions(old):
        model["resources"] = old["resources"]
    model["properties"] = _in_order(properties)
    model["location"] = old["location"]
    return model


def _top_level(body: Json, old: Json | None, new_id: NewId) -> Json:
    found: Json = {
        member: body[member]
        for member in ("tags", "plan", "zones", "extendedLocation", "placement")
        if body.get(member) is not None
    }
    if body.get("identity") is not None:
        _set_identity(found, body["identity"], (old or {}).get("identity"), new_id)
    return found


def _set_identity(
    model: Json, asked: Json, old: Json | None, new_id: NewId, *, patch: bool = False
) -> None:
    """Write the identity; a PATCH adds to the user-assigned ones, null takes one away [rec].

    The type None leaves none at all [rec test_vm_explicit_msi].
    """
    had = old or {}
    identity: Json = {"type": asked.get("type", had.get("type", "None"))}
    model.pop("identity", None)
    if identity["type"] == "None":
        return
    if "SystemAssigned" in identity["type"]:
        identity["principalId"] = had.get("principalId") or new_id()
        identity["tenantId"] = had.get("tenantId") or new_id()
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


def _storage(properties: Json) -> Json:
    asked = properties.get("storageProfile")
    if asked is None:
        raise arm_error("missing", parameter="storageProfile", target="storageProfile")
    image = asked.get("imageReference")
    os_disk = dict(asked.get("osDisk") or {})
    if not image and not os_disk:
        raise arm_error("missing", parameter="osDisk", target="osDisk")
    create_option = os_disk.get("createOption") or ("FromImage" if image else None)
    if create_option is None:
        raise arm_error("missing", parameter="osDisk.createOption", target="osDisk.createOption")
    if create_option == "FromImage" and not image and not os_disk.get("image"):
        raise arm_error("missing", parameter="imageReference", target="imageReference")
    if create_option == "Attach" and not (os_disk.get("managedDisk") or os_disk.get("vhd")):
        raise arm_error("missing", parameter="osDisk.managedDisk", target="osDisk.managedDisk")
    os_disk["osType"] = os_disk.get("osType") or _guess_os(image, properties)
    profile: Json = {}
    if image:
        _check_image(image)
        profile["imageReference"] = {**image, **_exact_version(image)}
    profile["osDisk"] = _disk(
        {**os_disk, "createOption": create_option},
        default_gb=127 if os_disk["osType"] == "Windows" else 30,
        properties=properties,
    )
    profile["dataDisks"] = [_data_disk(disk, properties) for disk in asked.get("dataDisks") or ()]
    if _generation(image or {}) == "V2":  # these have one, and no others [rec, n=52]
        profile["diskControllerType"] = asked.get("diskControllerType") or "SCSI"
    return {**asked, **profile}


def _generation(image: Json) -> str:
    sku = (image.get("sku") or "").lower()
    return "V2" if re.search(r"gen-?2|-g2|_gen2", sku) else "V1"


def _check_image(image: Json) -> None:
    if image.get("id") or image.get("sharedGalleryImageId") or image.get("communityGalleryImageId"):
        return
    for part in ("publisher", "offer", "sku", "version"):
        if not image.get(part):
            parameter = f"imageReference.{part}"
            raise arm_error("missing", parameter=parameter, target=parameter)


def _exact_version(image: Json) -> Json:
    """Resolve ``latest``. Which version that is, is made up: the image's own numbers first."""
    version = image.get("version")
    if not version:
        return {}
    if version.lower() != "latest":
        return {"exactVersion": version}
    numbers = re.findall(r"\d+", image.get("sku") or "")
    return {"exactVersion": f"{'.'.join(numbers[:2]) or '1.0'}.202601010"}


def _guess_os(image: Json | None, properties: Json) -> str:
    publisher = ((image or {}).get("publisher") or "").lower()
    profile = properties.get("osProfile") or {}
    windows = publisher.startswith(_WINDOWS_PUBLISHERS) or "windowsConfiguration" in profile
    return "Windows" if windows else "Linux"


def _disk(disk: Json, *, default_gb: int, properties: Json) -> Json:
    """Give a disk with Azure's defaults [rec]."""
    made = dict(disk)
    made["caching"] = disk.get("caching") or ("None" if "lun" in disk else "ReadWrite")
    if "managedDisk" in disk or "vhd" not in disk:
        managed = disk.get("managedDisk") or {}
        made["managedDisk"] = {"storageAccountType": _storage_type(properties), **managed}
    made["deleteOption"] = disk.get("deleteOption") or "Detach"
    if disk.get("createOption") != "Attach" or disk.get("diskSizeGB"):
        made["diskSizeGB"] = disk.get("diskSizeGB") or default_gb
    return made


def _data_disk(disk: Json, properties: Json) -> Json:
    lun = disk.get("lun")
    if lun is None:
        raise arm_error("missing", parameter="dataDisk.lun", target="dataDisk.lun")
    if not 0 <= lun <= 63:
        raise arm_error("bad-lun", lun=lun, target="dataDisk.lun")
    if not disk.get("createOption"):
        raise arm_error(
            "missing", parameter="dataDisk.createOption", target="dataDisk.createOption"
        )
    attached = dict(disk)
    attach_id = (disk.get("managedDisk") or {}).get("id")
    if attach_id and not disk.get("name"):
        attached["name"] = attach_id.rpartition("/")[2]
    made = _disk(attached, default_gb=1023, properties=properties)
    made["toBeDetached"] = bool(disk.get("toBeDetached"))
    return made


def _storage_type(properties: Json) -> str:
    """Premium for the sizes that take it: an ``s`` in the size's name [rec, both ways]."""
    size = properties["hardwareProfile"]["vmSize"]
    family = re.fullmatch(r"[^_]+_([A-Za-z]+)[\d-]+([a-z]*).*", size)
    premium = family and (family[1].upper() in ("DS", "GS", "FS") or "s" in family[2])
    return "Premium_LRS" if premium else "Standard_LRS"


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
        raise arm_error("immutable", property="osProfile", target="osProfile")
    for secret in _SECRETS:
        profile.pop(secret, None)
    if not profile.get("adminUsername"):
        raise arm_error("missing", parameter="adminUsername", target="adminUsername")
    computer_name = profile.get("computerName") or name
    windows = storage["osDisk"]["osType"] == "Windows"
    _check_computer_name(computer_name, windows=windows)
    made: Json = {"computerName": computer_name, "adminUsername": profile["adminUsername"]}
    if windows:
        made["windowsConfiguration"] = _defaults(
            profile.get("windowsConfiguration"),
            {
                "provisionVMAgent": True,
                "enableAutomaticUpdates": True,
                "patchSettings": {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"},
                "enableVMAgentPlatformUpdates": False,
            },
        )
    else:
        made["linuxConfiguration"] = _defaults(
            profile.get("linuxConfiguration"),
            {
                "disablePasswordAuthentication": False,
                "provisionVMAgent": True,
                "patchSettings": {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"},
                "enableVMAgentPlatformUpdates": False,
            },
        )
    made["secrets"] = profile.get("secrets") or []
    made["allowExtensionOperations"] = profile.get("allowExtensionOperations", True)
    made["requireGuestProvisionSignal"] = profile.get("requireGuestProvisionSignal", True)
    properties["osProfile"] = made


def _check_computer_name(computer_name: str, *, windows: bool) -> None:
    bad = _HOST_NAME_FORBIDS.intersection(computer_name)
    if windows:
        # A computer name that is made from a longer VM name is Azure's own affair.
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


def _check_luns(data_disks: list[Json]) -> None:
    seen = set()
    for disk in data_disks:
        if disk["lun"] in seen:
            raise arm_error("same-lun", lun=disk["lun"], target="dataDisk.lun")
        seen.add(disk["lun"])


# Members that an existing VM keeps: where they stand, and what Azure's refusal calls them
# [seen, door by door: Azure/azure-sdk-for-net#37285 and its kin].
_IMMUTABLE: Final = (
    (("properties", "storageProfile", "osDisk", "name"), "osDisk.name"),
    (("properties", "storageProfile", "osDisk", "createOption"), "osDisk.createOption"),
    (("properties", "storageProfile", "osDisk", "osType"), "osDisk.osType"),
    (("properties", "storageProfile", "imageReference"), "imageReference"),
    (("properties", "osProfile", "computerName"), "osProfile.computerName"),
    (("properties", "osProfile", "adminUsername"), "osProfile.adminUsername"),
    (("properties", "osProfile", "linuxConfiguration", "ssh"), "linuxConfiguration.ssh.publicKeys"),
    (("properties", "availabilitySet", "id"), "availabilitySet.id"),
    (("properties", "priority"), "priority"),
    (("zones",), "zones"),
)
_OS_DISK_ID: Final = ("properties", "storageProfile", "osDisk", "managedDisk", "id")


def _check_immutable(old: Json, new: Json) -> None:
    swapped = _at(old, _OS_DISK_ID) != _at(new, _OS_DISK_ID)
    if ("osProfile" in new["properties"]) != ("osProfile" in old["properties"]):
        raise arm_error("immutable", property="osProfile", target="osProfile")
    for path, name in _IMMUTABLE:
        had, has = _at(old, path), _at(new, path)
        if name == "osDisk.name" and had is None:
            continue  # not made yet: the caller may still name it
        if name == "osDisk.name" and swapped:
            continue  # another disk altogether [rec test_vm_os_disk_swap, of a stopped VM]
        if name == "priority" and {had, has} == {"Low", "Spot"}:
            continue  # Spot's older name [rec test_vm_priority_eviction_billing]
        if _folded(had) != _folded(has):
            raise arm_error("immutable", property=name, target=name)


def _check_disk_sizes(old: Json, new: Json, *, deallocated: bool) -> None:
    before = {_lun(disk): disk for disk in (old["osDisk"], *old["dataDisks"])}
    for disk in (new["osDisk"], *new["dataDisks"]):
        was = before.get(_lun(disk), {}).get("diskSizeGB")
        size = disk.get("diskSizeGB")
        if was is None or size is None or size == was:
            continue
        if size < was:
            raise arm_error("smaller-disk", disk=disk.get("name", "OS disk"), target="diskSizeGB")
        if not deallocated:
            raise arm_error("resize-while-allocated")


def _made(disk: Json, prefix: str, disk_id: Callable[[str], str], new_id: NewId) -> Json:
    """Give a disk that exists: with a name, and for a managed one with an id."""
    name = disk.get("name") or prefix + new_id().replace("-", "")
    made = {**disk, "name": name}
    managed = disk.get("managedDisk")
    if managed is not None:
        made["managedDisk"] = {**managed, "id": managed.get("id") or disk_id(name)}
    return made


# --- JSON --------------------------------------------------------------------------------------


def _in_order(value: Any, owner: str = "properties") -> Any:
    """Give JSON with its members in Azure's order; *owner* is the member that holds it."""
    if isinstance(value, list):
        return [_in_order(item, owner) for item in value]
    if not isinstance(value, dict):
        return value
    known = {member: value[member] for member in _ORDER.get(owner, ()) if member in value}
    return {member: _in_order(item, member) for member, item in (known | value).items()}


def _without_nulls(value: Any) -> Any:
    """Leave out members that are null, and objects of nothing else [rec test_vm_create_no_wait]."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    clean = {member: _without_nulls(item) for member, item in value.items()}
    return {
        member: item
        for member, item in clean.items()
        if item is not None and (item != {} or value[member] == {})
    }


def _defaults(given: Json | None, defaults: Json) -> Json:
    given = {key: value for key, value in (given or {}).items() if value is not None}
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(given.get(key), dict):
            given[key] = {**value, **given[key]}
    return {**defaults, **given}


def _over(old: Any, new: Any) -> Any:
    """Give *new*, with what it leaves out of *old*'s objects; lists are replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _over(old.get(key), value)
                          for key, value in new.items() if value is not None}}  # fmt: skip
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


def _lun(disk: Json) -> int:
    return int(disk.get("lun", -1))
