"""The JSON that Azure shows: a virtual machine, its instance view, an operation.

Pure functions from the engine's records to bodies; looking changes nothing. Members, their order
and their spelling are those of recorded answers. Which members an api-version has stands in one
table, ``_SINCE``.
"""

from __future__ import annotations

import datetime as _dt
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pytest_azurevm import _vm_model as models
from pytest_azurevm._lifecycle import (
    OS_DISK_UNTOLD_IN,
    POWER_STATUS,
    PROVISIONING_STATE,
    Edition,
    Provisioning,
    shown_provisioning,
)
from pytest_azurevm._records import Change, OperationRecord, VirtualMachine
from pytest_azurevm._vm_form import Json

Calendar = Callable[[int], _dt.datetime]

VM_TYPE: Final = "Microsoft.Compute/virtualMachines"

# The api-version that first shows a member [rec, unless marked: spec is Azure's specification].
_SINCE: Final = {
    "etag": "2025-04-01",  # spec
    "enableVMAgentPlatformUpdates": "2022-11-01",
    "diskControllerType": "2022-08-01",  # spec
    "timeCreated": "2022-03-01",
    "assessmentMode": "2021-03-01",  # spec
    "deleteOption": "2021-03-01",  # spec
    "linuxConfiguration.patchSettings": "2020-12-01",
    "windowsConfiguration.patchSettings": "2020-06-01",
    "hyperVGeneration": "2020-06-01",
    "instanceView.computerName": "2019-03-01",  # with osName and osVersion
}
_NEWEST_MEMBER: Final = max(since for member, since in _SINCE.items() if member != "etag")

# What a ready agent says [rec]; and one that is silent [rec "Not Ready", WIRE of 1663 samples].
_AGENT_READY: Final = {
    "Linux": "Guest Agent is running",
    "Windows": "GuestAgent is running and processing the extensions.",
}
_AGENT_VERSION: Final = {"Linux": "2.9.1.1", "Windows": "2.7.41491.1010"}
_AGENT_SILENT: Final = {
    "not populated": "VM status blob is found but not yet populated.",
    "unresponsive": "VM Agent is unresponsive.",
}


@lru_cache(maxsize=256)  # an operation's beginning is told with each look at it
def time_text(instant: _dt.datetime) -> str:
    """Give an instant as Azure prints it: numeric offset, no zeros at the fraction's end [rec]."""
    text = instant.isoformat()
    if instant.microsecond:
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction[:6].rstrip('0')}+00:00"
    return text


def vm_body(
    vm: VirtualMachine,
    *,
    edition: Edition,
    calendar: Calendar,
    api_version: str,
    provisioning_state: str | None = None,
    instance_view_wanted: bool = False,
    user_data_wanted: bool = False,
    in_subscription_list: bool = False,
    in_list: bool = False,
) -> Json:
    """Give a VM's body as GET and PUT answer it, or as an item of a list."""
    model = vm.model
    resource_id = vm.resource_id
    if in_subscription_list:  # the group's name is upper-cased there [rec]
        resource_id = resource_id.replace(
            f"/resourceGroups/{vm.resource_group}/", f"/resourceGroups/{vm.resource_group.upper()}/"
        )
    body: Json = {
        "name": vm.name,
        "id": resource_id,
        "type": VM_TYPE,
        "location": model["location"],
    }
    if "tags" in model:
        body["tags"] = model["tags"]
    if api_version >= _SINCE["etag"]:
        body["etag"] = etag(vm)
    for member in ("plan", "identity"):
        if member in model:
            body[member] = model[member]
    shown = provisioning_state or provisioning_state_of(vm, edition)
    properties: Json = {}
    for member, value in model["properties"].items():
        if member == "userData" and not (user_data_wanted and value):
            continue  # one that was emptied is gone [rec test_vm_create_user_data]
        properties[member] = value
        if member == "hardwareProfile":
            properties["provisioningState"] = shown
        elif member == "storageProfile" and vm.power == OS_DISK_UNTOLD_IN:
            properties[member] = {**value, "osDisk": _at_rest(value["osDisk"])}
    if instance_view_wanted:
        properties["instanceView"] = instance_view(
            vm, edition=edition, calendar=calendar, api_version=api_version
        )
    if api_version >= _SINCE["timeCreated"]:
        properties["timeCreated"] = time_text(calendar(vm.created_us))
    if api_version < _NEWEST_MEMBER:
        properties = _of_version(properties, api_version)
    body["properties"] = properties
    extensions = models.extensions(model)
    if extensions:
        body["resources"] = [
            {"id": f"{resource_id}/extensions/{extension['name']}"}
            if in_list
            else extension_body(extension, resource_id)
            for extension in extensions
        ]
    for member in ("zones", "extendedLocation"):
        if member in model:
            body[member] = model[member]
    return body


def _at_rest(os_disk: Json) -> Json:
    """Give the managed OS disk of a deallocated VM: its kind and size are not told [rec, n=6]."""
    if "managedDisk" not in os_disk:
        return os_disk
    told = {member: value for member, value in os_disk.items() if member != "diskSizeGB"}
    managed = os_disk["managedDisk"]
    told["managedDisk"] = {
        member: value for member, value in managed.items() if member != "storageAccountType"
    }
    return told


def etag(vm: VirtualMachine) -> str:
    """Give the VM's entity tag: a quoted whole number that each write raises [spec]."""
    return f'"{vm.version}"'


def instance_view(
    vm: VirtualMachine, *, edition: Edition, calendar: Calendar, api_version: str
) -> Json:
    """Give the run-time half of a VM, as far as it exists at this moment."""
    view: Json = {}
    os_type = models.os_type(vm.model)
    image = vm.model["properties"]["storageProfile"].get("imageReference") or {}
    if vm.guest_known and api_version >= _SINCE["instanceView.computerName"]:
        view.update(_system(vm, os_type, image))
    if vm.agent != "absent" and models.has_agent(vm.model):
        view["vmAgent"] = _agent(vm, os_type, calendar)
    if vm.disks_made_us is not None:
        made = time_text(calendar(vm.disks_made_us))
        view["disks"] = [
            {"name": disk["name"], "statuses": [_status("succeeded", edition, made)]}
            for disk in models.disks(vm.model)
            if "name" in disk
        ]
        boot_diagnostics = _boot_diagnostics(vm)
        if vm.agent != "absent" and boot_diagnostics is not None:
            view["bootDiagnostics"] = boot_diagnostics
        if vm.agent != "absent" and models.extensions(vm.model):
            view["extensions"] = [
                extension_view(vm, extension) for extension in models.extensions(vm.model)
            ]
        if api_version >= _SINCE["hyperVGeneration"]:
            view["hyperVGeneration"] = models.generation(vm.model)
    view["statuses"] = statuses(vm, edition=edition, calendar=calendar)
    return view


def statuses(vm: VirtualMachine, *, edition: Edition, calendar: Calendar) -> list[Json]:
    """Give the statuses list: OSState first, then provisioning state, then power state [rec]."""
    found: list[Json] = []
    if vm.generalized:
        found.append(
            {"code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized"}
        )
    if _from_specialized_image(vm):
        found.append(
            {"code": "OSState/specialized", "level": "Info", "displayStatus": "VM specialized"}
        )
    shown = _status(_provisioning(vm, edition), edition, time_text(calendar(vm.provisioned_us)))
    if vm.failure is not None and vm.provisioning == "failed" and edition.names_the_error:
        time = shown.pop("time")
        shown["code"] += f"/{vm.failure[0]}"
        shown["message"] = vm.failure[1]
        shown["time"] = time
    found.append(shown)
    if vm.power is not None:
        power = POWER_STATUS[vm.power]
        found.append(
            {"code": power.code, "level": power.level, "displayStatus": power.display_status}
        )
    return found


def provisioning_state_of(vm: VirtualMachine, edition: Edition) -> str:
    """Give the model's ``provisioningState``."""
    return PROVISIONING_STATE[_provisioning(vm, edition)]


def provisioning_state_then(change: Change, edition: Edition) -> str:
    """Give the ``provisioningState`` that a line of a VM's history showed."""
    return PROVISIONING_STATE[shown_provisioning(edition, change.provisioning, change.power)]


def _provisioning(vm: VirtualMachine, edition: Edition) -> Provisioning:
    return shown_provisioning(edition, vm.provisioning, vm.power)


def operation_text(operation: OperationRecord, calendar: Calendar) -> str:
    """Give the document behind an ``Azure-AsyncOperation`` URL.

    It is written out, for nothing is asked for as often; what needs care is the error alone.
    """
    started, ended, error = time_text(calendar(operation.started_us)), "", ""
    if operation.ended_us is not None:
        ended = f'"endTime":"{time_text(calendar(operation.ended_us))}",'
    if operation.error is not None:
        code, message = operation.error
        error = f'"error":{_dump({"code": code, "message": message})},'
    return (
        f'{{"startTime":"{started}",{ended}"status":"{operation.status}",{error}'
        f'"name":"{operation.operation_id}"}}'
    )


_dump: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _status(provisioning: Any, edition: Edition, time: str) -> Json:
    status = edition.provisioning[provisioning]
    shown: Json = {
        "code": status.code,
        "level": status.level,
        "displayStatus": status.display_status,
    }
    if status.timed:
        shown["time"] = time
    return shown


def _system(vm: VirtualMachine, os_type: str, image: Json) -> Json:
    """Give what the guest tells of its system. Names and versions follow the image's own."""
    profile = vm.model["properties"].get("osProfile") or {}
    computer_name = profile.get("computerName") or vm.name
    sku = image.get("sku") or ""
    if os_type == "Windows":
        year = re.search(r"20\d\d", sku)
        name = f"Windows Server {year[0] if year else '2022'} Datacenter"
        return {
            "computerName": computer_name,
            "osName": name,
            "osVersion": "Microsoft Windows NT 10.0.20348.0",
        }
    publisher = (image.get("publisher") or "Canonical").lower()
    name = {"canonical": "ubuntu", "openlogic": "centos", "debian": "debian", "redhat": "redhat",
            "suse": "sles"}.get(publisher, "linux")  # fmt: skip
    numbers = re.findall(r"\d+", f"{sku}.{image.get('offer') or ''}" if image else "22.04")
    return {
        "computerName": computer_name,
        "osName": name,
        "osVersion": ".".join(numbers[:2]) or "22.04",
    }


def _agent(vm: VirtualMachine, os_type: str, calendar: Calendar) -> Json:
    # An agent's times have no fraction [rec].
    time = time_text(calendar(vm.agent_us).replace(microsecond=0))
    if vm.agent == "ready":
        return {
            "vmAgentVersion": _AGENT_VERSION[os_type],
            "statuses": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": "Info",
                    "displayStatus": "Ready",
                    "message": _AGENT_READY[os_type],
                    "time": time,
                }
            ],
            "extensionHandlers": [
                _handler_view(extension)
                for extension in models.extensions(vm.model)
                if extension["properties"]["provisioningState"] != "Creating"
            ],
        }
    return {
        "vmAgentVersion": "Unknown",
        "statuses": [
            {
                "code": "ProvisioningState/Unavailable",
                "level": "Warning",
                "displayStatus": "Not Ready",
                "message": _AGENT_SILENT[vm.agent],
                "time": time,
            }
        ],
    }


def _boot_diagnostics(vm: VirtualMachine) -> Json | None:
    """Say where console and screen are kept; of a managed account nothing is said [rec]."""
    properties = vm.model["properties"]
    asked = (properties.get("diagnosticsProfile") or {}).get("bootDiagnostics") or {}
    if not asked.get("enabled"):
        return None
    account = asked.get("storageUri")
    if not account:
        return {}
    short = re.sub(r"[^a-z0-9]", "", vm.name.lower())[:9]  # [rec test_vm_boot_diagnostics]
    vm_id = properties["vmId"]
    place = f"{account.rstrip('/')}/bootdiagnostics-{short}-{vm_id}/{vm.name}.{vm_id}"
    return {
        "consoleScreenshotBlobUri": f"{place}.screenshot.bmp",
        "serialConsoleLogBlobUri": f"{place}.serialconsole.log",
    }


def _from_specialized_image(vm: VirtualMachine) -> bool:
    storage = vm.model["properties"]["storageProfile"]
    return (
        storage["osDisk"].get("createOption") == "FromImage"
        and "imageReference" in storage
        and "osProfile" not in vm.model["properties"]
        and vm.disks_made_us is not None
    )


def extension_body(extension: Json, vm_id: str, view: Json | None = None) -> Json:
    """Give an extension's body, with its instance view if there is one to be shown."""
    body: Json = {
        "name": extension["name"],
        "id": f"{vm_id}/extensions/{extension['name']}",
        "type": f"{VM_TYPE}/extensions",
        "location": extension["location"],
    }
    if "tags" in extension:
        body["tags"] = extension["tags"]
    body["properties"] = {}
    for member, value in extension["properties"].items():
        body["properties"][member] = value
        if member == "provisioningState" and view is not None:  # it follows there [rec]
            body["properties"]["instanceView"] = view
    return body


def extension_view(vm: VirtualMachine, extension: Json) -> Json:
    """Give what the agent tells of an extension."""
    properties = extension["properties"]
    error = vm.extension_errors.get(extension["name"].lower())
    if properties["provisioningState"] == "Failed" and error is not None:
        # The script's own exit code, where its message tells one; else 0 [doc EXTTS].
        exit_code = re.search(r"exit (?:code|status)\W*(\d+)", error[1])
        view = {
            "name": extension["name"],
            "type": f"{properties['publisher']}.{properties['type']}",
            "typeHandlerVersion": properties["typeHandlerVersion"],
            "statuses": [
                {
                    "code": f"ProvisioningState/failed/{exit_code[1] if exit_code else 0}",
                    "level": "Error",
                    "displayStatus": "Provisioning failed",
                    "message": error[1],
                }
            ],
        }
        if properties["type"] == "CustomScriptExtension" and exit_code:  # Windows' own [doc EXTTS]
            view["substatuses"] = [_component("StdOut", ""), _component("StdErr", error[1])]
        return view
    if properties["provisioningState"] != "Succeeded":
        return {"name": extension["name"]}  # one that is being installed shows its name alone [rec]
    return {
        "name": extension["name"],
        "type": f"{properties['publisher']}.{properties['type']}",
        "typeHandlerVersion": properties["typeHandlerVersion"],
        "statuses": [
            {
                "code": "ProvisioningState/succeeded",
                "level": "Info",
                "displayStatus": "Provisioning succeeded",
                "message": "Enable succeeded.",
            }
        ],
    }


def _component(name: str, message: str) -> Json:
    """Give what a script wrote to one of its streams; its code is succeeded all the same."""
    return {
        "code": f"ComponentStatus/{name}/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": message,
    }


def _handler_view(extension: Json) -> Json:
    properties = extension["properties"]
    return {
        "type": f"{properties['publisher']}.{properties['type']}",
        "typeHandlerVersion": properties["typeHandlerVersion"],
        "status": {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Ready",
            "message": "Plugin enabled",
        },
    }


def _of_version(value: Any, api_version: str, owner: str = "properties") -> Any:
    """Leave out what an older api-version does not know; *owner* is the member that holds it."""
    if isinstance(value, dict):
        return {
            member: _of_version(item, api_version, member)
            for member, item in value.items()
            if api_version >= (_SINCE.get(member) or _SINCE.get(f"{owner}.{member}") or "")
        }
    if isinstance(value, list):
        return [_of_version(item, api_version, owner) for item in value]
    return value
