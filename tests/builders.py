"""What tests build from: bodies of virtual machines, changes to them, and how Azure refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
from azure.core.exceptions import HttpResponseError

from pytest_azurevm import FakeCompute

GROUP: Final = "shop"
ABSENT: Final = object()  # as a new value: the member is left out

PASSWORD: Final = "Correct-Horse-1"
CUSTOM_DATA: Final = "I2Nsb3VkLWNvbmZpZw=="
NIC: Final = "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Network/networkInterfaces/n"
DISK: Final = "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Compute/disks/data-7"
EXTENSION: Final = {
    "name": "hello",
    "properties": {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "settings": {"commandToExecute": "true"},
        "protectedSettings": {"storageAccountKey": "key-to-the-cellar"},
    },
}


def linux_vm() -> dict[str, Any]:
    """Give the body of a Linux VM, as it goes over the wire."""
    return {
        "location": "westeurope",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": {
                "imageReference": {
                    "publisher": "Canonical",
                    "offer": "0001-com-ubuntu-server-jammy",
                    "sku": "22_04-lts",
                    "version": "latest",
                },
                "osDisk": {"createOption": "FromImage"},
            },
            "osProfile": {
                "computerName": "web-1",
                "adminUsername": "azureuser",
                "adminPassword": PASSWORD,
            },
            "networkProfile": {"networkInterfaces": [{"id": NIC}]},
        },
    }


def windows_vm() -> dict[str, Any]:
    """Give the body of a Windows VM."""
    image = {
        "publisher": "MicrosoftWindowsServer",
        "offer": "WindowsServer",
        "sku": "2022-datacenter",
        "version": "latest",
    }
    return changed(linux_vm(), "properties.storageProfile.imageReference", image)


def attached_vm() -> dict[str, Any]:
    """Give the body of a VM whose OS disk brings an installed system."""
    os_disk = {"createOption": "Attach", "osType": "Linux", "managedDisk": {"id": DISK}}
    body = changed(linux_vm(), "properties.storageProfile", {"osDisk": os_disk})
    return changed(body, "properties.osProfile", ABSENT)


def vm_with_disks(*disks: dict[str, Any]) -> dict[str, Any]:
    """Give the body of a Linux VM with these data disks."""
    return changed(linux_vm(), "properties.storageProfile.dataDisks", list(disks))


def empty_disk(lun: int, **members: Any) -> dict[str, Any]:
    """Give a data disk that is to be made empty."""
    return {"lun": lun, "createOption": "Empty", "diskSizeGB": 64, **members}


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Give a copy of *body* with *value* at *path*, such as ``properties.dataDisks.0.lun``."""
    copy = deepcopy(body)
    *owners, last = (int(step) if step.isdigit() else step for step in path.split("."))
    found: Any = copy
    for step in owners:
        found = found[step] if isinstance(step, int) else found.setdefault(step, {})
    if value is ABSENT:
        del found[last]
    else:
        found[last] = value
    return copy


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Give the path of every member, the owners before what they hold."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for step, item in items:
        path = f"{prefix}.{step}".lstrip(".")
        yield path
        yield from paths(item, path)


def sent(body: Any) -> bytes:
    """Give *body* as bytes, which every release of the SDK sends as they are."""
    return json.dumps(body).encode()


def begin_put(fake: FakeCompute, name: str, body: Any) -> Any:
    """Begin a PUT of the VM, and give the poller."""
    return fake.client.virtual_machines.begin_create_or_update(GROUP, name, sent(body))


def begin_patch(fake: FakeCompute, name: str, body: Any) -> Any:
    """Begin a PATCH of the VM, and give the poller."""
    return fake.client.virtual_machines.begin_update(GROUP, name, sent(body))


def begin(fake: FakeCompute, operation: str, name: str) -> Any:
    """Begin an operation by the SDK's name, an update being one of tags; give the poller."""
    if operation == "update":
        return begin_patch(fake, name, {"tags": {"touched": "yes"}})
    return getattr(fake.client.virtual_machines, f"begin_{operation}")(GROUP, name)


def refusal(call: Callable[[], Any]) -> tuple[int, str, str, str | None]:
    """Give the status, code, message and target with which the SDK says *call* was refused."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    error = caught.value.error
    return (caught.value.status_code, error.code, error.message, error.target)


def shown(fake: FakeCompute, name: str) -> list[tuple[str, str, str]]:
    """Give code, level and displayStatus of the instance view's statuses, through the SDK."""
    view = fake.client.virtual_machines.instance_view(GROUP, name)
    return [(s.code, str(s.level.value if hasattr(s.level, "value") else s.level),
             s.display_status) for s in view.statuses]  # fmt: skip


def codes(fake: FakeCompute, name: str) -> list[str]:
    """Give the codes of the instance view's statuses, through the SDK."""
    return [code for code, _, _ in shown(fake, name)]


def polled(fake: FakeCompute, status: str) -> list[dict[str, Any]]:
    """Give every operation document with *status* that a poller has seen."""
    polls = fake.calls.filter(operation="poll", status=200)
    return [call.response_body for call in polls
            if call.response_body and call.response_body["status"] == status]  # fmt: skip
