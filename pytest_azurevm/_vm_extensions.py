"""Extensions of a virtual machine as child resources: judged, and put into the VM's model.

Pure functions over JSON, as ``_vm_model``. Whatever cannot be is an ``ArmError``, and nothing has
changed yet. Protected settings go no further than here: no answer ever gives them.
"""

from __future__ import annotations

from typing import Final

from pytest_azurevm._errors import arm_error
from pytest_azurevm._vm_form import Json, checked_location

# The order in which Azure prints an extension's members, whatever order they came in [rec]; any
# other member follows, in the caller's order.
_ORDER: Final = (
    "autoUpgradeMinorVersion", "forceUpdateTag", "provisioningState", "instanceView",
    "enableAutomaticUpgrade", "publisher", "type", "typeHandlerVersion",
)  # fmt: skip
_REQUIRED: Final = ("publisher", "type", "typeHandlerVersion")
# What a caller may send, and GET never gives: secrets, and what the service alone sets.
_NOT_KEPT: Final = (
    "protectedSettings", "protectedSettingsFromKeyVault", "provisioningState", "instanceView",
)  # fmt: skip


def created(body: Json, *, name: str) -> Json:
    """Give the extension that a PUT makes, be it new or there before.

    Raises:
        ArmError: something required is missing, or the location is none.
    """
    checked_location(body)
    asked = _asked(body)
    for required in _REQUIRED:
        if not asked.get(required):
            raise arm_error("missing", parameter=required, target=required)
    made: Json = {"name": name, "location": body["location"]}
    if body.get("tags") is not None:
        made["tags"] = body["tags"]
    if "autoUpgradeMinorVersion" not in asked:
        # The recorded answers without settings that show empty ones are to requests that left this
        # out as well, n=2; those that gave it show none, n=7. Nothing else tells them apart.
        asked = {"autoUpgradeMinorVersion": False, **asked, "settings": asked.get("settings", {})}
    return {**made, "properties": asked}


def patched(old: Json, body: Json) -> Json:
    """Give the extension after a PATCH: what that names is replaced, the rest stays."""
    made = {**old, "properties": {**old["properties"], **_asked(body)}}
    if body.get("tags") is not None:
        made["tags"] = body["tags"]
    return made


def find(model: Json, name: str) -> Json | None:
    """Give the VM's extension of that name, in whichever case."""
    for extension in model.get("resources", ()):
        if extension["name"].lower() == name.lower():
            found: Json = extension
            return found
    return None


def placed(model: Json, extension: Json, state: str) -> Json:
    """Give the VM's model with *extension* in it, in this provisioning state."""
    properties = {**extension["properties"], "provisioningState": state}
    ordered = {member: properties[member] for member in _ORDER if member in properties}
    extension = {**extension, "properties": ordered | properties}
    found = find(model, extension["name"])
    others = [one if one is not found else extension for one in model.get("resources", ())]
    return {**model, "resources": others if found is not None else [*others, extension]}


def without(model: Json, name: str) -> Json:
    """Give the VM's model without the extension of that name."""
    others = [one for one in model.get("resources", ()) if one["name"].lower() != name.lower()]
    rest = {member: value for member, value in model.items() if member != "resources"}
    return {**rest, "resources": others} if others else rest


def failed(model: Json) -> list[Json]:
    """Give the VM's extensions whose installation failed."""
    return [
        extension
        for extension in model.get("resources", ())
        if extension["properties"]["provisioningState"] == "Failed"
    ]


def _asked(body: Json) -> Json:
    return {
        member: value
        for member, value in (body.get("properties") or {}).items()
        if member not in _NOT_KEPT and value is not None
    }
