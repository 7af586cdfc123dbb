"""The storage profile of a virtual machine: its image, its disks, their sizes and LUNs.

Pure functions over JSON, as in ``_vm_model``: they judge what is asked for, and give it completed
as Azure does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from pytest_azurevm._errors import arm_error
from pytest_azurevm._vm_form import Json

_WINDOWS_PUBLISHERS: Final = ("microsoftwindows", "microsoftsqlserver", "microsoftvisualstudio")
_OS_DISK_GB: Final = {"Linux": 30, "Windows": 127}  # what most of their images have [rec]
_EMPTY_DISK_GB: Final = 1023
# Disks by themselves are not served, so the size of one that is attached is not known. It is taken
# for the smallest there is [assumed]: whoever names its size later does not seem to shrink it. The
# recorded ones are that small [rec test_vm_disk_attach_detach].
_ATTACHED_DISK_GB: Final = 1
_NO_DISKS: Final[list[Json]] = []  # most machines have no more, and share this: it never changes
# What says how a disk leaves, and not what it is.
_LEAVING: Final = ("toBeDetached", "detachOption")
# What stays as it is at a LUN until its disk is detached, and what Azure's refusal calls it
# [seen hashicorp/terraform-provider-azurerm#592, the aks-engine's tests,
# Azure/azure-sdk-for-java#2925; which comes first is assumed].
_FIXED_AT_LUN: Final = (
    (("name",), "dataDisk.name"),
    (("createOption",), "dataDisk.createOption"),
    (("managedDisk", "id"), "dataDisk.managedDisk.id"),
)


def disks(profile: Json) -> Iterator[Json]:
    """Give the OS disk, then the data disks."""
    yield profile["osDisk"]
    yield from profile["dataDisks"]


def generation(profile: Json) -> str:
    """``"V1"`` or ``"V2"``: the kind of firmware, told from the image's name."""
    sku = ((profile.get("imageReference") or {}).get("sku") or "").lower()
    return "V2" if re.search(r"gen-?2|-g2|_gen2", sku) else "V1"


def remembered(profile: Json) -> dict[int, Json]:
    """Give what is known of the data disk at each LUN, for one that is asked for again.

    That it was being detached is forgotten: a disk that is asked for stays [assumed].
    """
    return {
        disk["lun"]: {member: value for member, value in disk.items() if member not in _LEAVING}
        for disk in profile["dataDisks"]
    }


# --- judged and completed ----------------------------------------------------------------------


def storage_profile(properties: Json) -> Json:
    """Give the storage profile that a VM's *properties* ask for, with Azure's defaults.

    Raises:
        ArmError: something required is missing, or cannot be.
    """
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
        profile["imageReference"] = _resolved(tuple(image.items()))
    profile["osDisk"] = _os_disk({**os_disk, "createOption": create_option}, properties)
    data_disks = [_data_disk(disk, properties) for disk in asked.get("dataDisks") or ()]
    profile["dataDisks"] = data_disks or _NO_DISKS
    _check_luns(profile["dataDisks"])
    if generation(profile) == "V2":  # these have one, and no others [rec, n=52]
        profile["diskControllerType"] = asked.get("diskControllerType") or "SCSI"
    return {**asked, **profile}


def _check_image(image: Json) -> None:
    if image.get("id") or image.get("sharedGalleryImageId") or image.get("communityGalleryImageId"):
        return
    for part in ("publisher", "offer", "sku", "version"):
        if not image.get(part):
            parameter = f"imageReference.{part}"
            raise arm_error("missing", parameter=parameter, target=parameter)


@lru_cache(maxsize=64)
def _resolved(members: tuple[tuple[str, Any], ...]) -> Json:
    """Give an image reference with its version, which is shared by all that were asked for alike.

    Which version is the ``latest`` is made up: the image's own numbers first.
    """
    image = dict(members)
    version = image.get("version")
    if not version:
        return image
    if version.lower() != "latest":
        return {**image, "exactVersion": version}
    numbers = re.findall(r"\d+", image.get("sku") or "")
    return {**image, "exactVersion": f"{'.'.join(numbers[:2]) or '1.0'}.202601010"}


def _guess_os(image: Json | None, properties: Json) -> str:
    publisher = ((image or {}).get("publisher") or "").lower()
    profile = properties.get("osProfile") or {}
    windows = publisher.startswith(_WINDOWS_PUBLISHERS) or "windowsConfiguration" in profile
    return "Windows" if windows else "Linux"


def _os_disk(asked: Json, properties: Json) -> Json:
    made = _disk(asked, properties)
    if asked["createOption"] != "Attach":
        made["diskSizeGB"] = asked.get("diskSizeGB") or _OS_DISK_GB[asked["osType"]]
    return made


def _data_disk(asked: Json, properties: Json) -> Json:
    lun = asked.get("lun")
    if lun is None:
        raise arm_error("missing", parameter="dataDisk.lun", target="dataDisk.lun")
    if not 0 <= lun <= 63:
        raise arm_error("bad-lun", lun=lun, target="dataDisk.lun")
    if not asked.get("createOption"):
        raise arm_error(
            "missing", parameter="dataDisk.createOption", target="dataDisk.createOption"
        )
    made = _disk(asked, properties)
    default_gb = _ATTACHED_DISK_GB if asked["createOption"] == "Attach" else _EMPTY_DISK_GB
    made["diskSizeGB"] = asked.get("diskSizeGB") or default_gb
    made["toBeDetached"] = bool(asked.get("toBeDetached"))
    return made


def _disk(asked: Json, properties: Json) -> Json:
    """Give a disk with Azure's defaults, but for its size [rec]."""
    made = dict(asked)
    disk_id = _at(asked, ("managedDisk", "id"))
    if disk_id and not asked.get("name"):
        made["name"] = disk_id.rpartition("/")[2]
    made["caching"] = asked.get("caching") or ("None" if "lun" in asked else "ReadWrite")
    if "managedDisk" in asked or "vhd" not in asked:
        managed = asked.get("managedDisk") or {}
        storage = _storage_type(properties["hardwareProfile"]["vmSize"])
        made["managedDisk"] = {"storageAccountType": storage, **managed}
    made["deleteOption"] = asked.get("deleteOption") or "Detach"
    return made


@lru_cache(maxsize=64)
def _storage_type(size: str) -> str:
    """Premium for the sizes that take it: an ``s`` in the size's name [rec, both ways]."""
    family = re.fullmatch(r"[^_]+_([A-Za-z]+)[\d-]+([a-z]*).*", size)
    premium = family and (family[1].upper() in ("DS", "GS", "FS") or "s" in family[2])
    return "Premium_LRS" if premium else "Standard_LRS"


def _check_luns(data_disks: list[Json]) -> None:
    seen = set()
    for disk in data_disks:
        if disk["lun"] in seen:
            raise arm_error("same-lun", lun=disk["lun"], target="dataDisk.lun")
        seen.add(disk["lun"])


# --- updated -----------------------------------------------------------------------------------


def check_changes(old: Json, new: Json, *, deallocated: bool) -> None:
    """Judge what an update makes of the disks that a VM has.

    Raises:
        ArmError: another disk takes a LUN that is occupied, a disk shrinks, or one grows while
            the VM is allocated.
    """
    before = {disk["lun"]: disk for disk in old["dataDisks"]}
    kept = [(before[disk["lun"]], disk) for disk in new["dataDisks"] if disk["lun"] in before]
    for was, disk in kept:
        for path, called in _FIXED_AT_LUN:
            if _is_another(_at(was, path), _at(disk, path)):
                raise arm_error("immutable", property=called, target=called)
    was_os, os_disk = old["osDisk"], new["osDisk"]
    if not is_swapped(old, new):
        kept.insert(0, (was_os, os_disk))
    for was, disk in kept:
        _check_size(was.get("diskSizeGB"), disk, deallocated=deallocated)


def is_swapped(old: Json, new: Json) -> bool:
    """Whether the OS disk is another one altogether [rec test_vm_os_disk_swap]."""
    was, now = (_at(profile, ("osDisk", "managedDisk", "id")) for profile in (old, new))
    return _is_another(was, now)


def _check_size(was_gb: int | None, disk: Json, *, deallocated: bool) -> None:
    size_gb = disk.get("diskSizeGB")
    if was_gb is None or size_gb is None or size_gb == was_gb:
        return
    if size_gb < was_gb:
        raise arm_error("smaller-disk", disk=disk.get("name", "OS disk"), target="diskSizeGB")
    if not deallocated:
        raise arm_error("resize-while-allocated")


def with_leaving(old: Json, new: Json) -> Json:
    """Give the storage profile *new* with the data disks of *old* that it leaves out.

    A disk that is left out is detached; until that is done it is still listed, in its place
    [rec test_vm_disk_force_detach, test_vm_disk_attach_detach].
    """
    listed = {disk["lun"]: disk for disk in new["dataDisks"]}
    return {
        **new,
        "dataDisks": [
            *(listed.pop(disk["lun"], disk | {"toBeDetached": True}) for disk in old["dataDisks"]),
            *listed.values(),
        ],
    }


def made(
    profile: Json, vm_name: str, disk_id: Callable[[str], str], new_id: Callable[[], str]
) -> Json:
    """Give the storage profile once the platform has done its work.

    Its disks have names, managed ones ids; detached ones are gone.
    """
    os_disk = _made(profile["osDisk"], f"{vm_name}_OsDisk_1_", disk_id, new_id)
    data_disks = [
        _made(disk, f"{vm_name}_disk{disk['lun'] + 2}_", disk_id, new_id)
        for disk in profile["dataDisks"]
        if not disk["toBeDetached"]
    ]
    return {**profile, "osDisk": os_disk, "dataDisks": data_disks or _NO_DISKS}


def _made(
    disk: Json, prefix: str, disk_id: Callable[[str], str], new_id: Callable[[], str]
) -> Json:
    name = disk.get("name") or prefix + new_id().replace("-", "")
    found = {**disk, "name": name}
    managed = disk.get("managedDisk")
    if managed is not None:
        found["managedDisk"] = {**managed, "id": managed.get("id") or disk_id(name)}
    return found


def _at(disk: Json, path: tuple[str, ...]) -> Any:
    found: Any = disk
    for member in path:
        found = (found or {}).get(member)
    return found


def _is_another(was: str | None, now: str | None) -> bool:
    """Whether a name or an id is no longer what it was; what was not known yet may be given."""
    return was is not None and (now is None or now.lower() != was.lower())
