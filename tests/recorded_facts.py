"""Facts about Azure's answers, each from a recorded exchange: what was asked, what came back.

Every row names the exchange that it was read from. Recorders differ in what they keep: those of
azure-cli and azure-sdk-for-python drop Retry-After, so that a row with a Retry-After, or with the
want of one, has a second source, azure-libraries-for-net or azure-service-operator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

_ASO: Final = "azure-service-operator Test_Compute_VM_20220301_CRUD"
_STATES: Final = "azure-cli test_vm_create_state_modifications"
_PRICE: Final = "azure-libraries-for-net CanCreateUpdatePriorityAndPrice"

# The forms of the URLs that polling follows; the rest is given by the test.
OPERATION: Final = "the operation's URL"
MONITOR: Final = "the operation's URL, with monitor=true"
# A header that is not there.
NONE: Final = None


@dataclass(frozen=True)
class Fact:
    """One answer of Azure.

    ``given`` is the power state of the virtual machine there is, or ``""`` for none; ``before``
    what is asked before, ``"wait"`` being a wait until nothing more happens. ``asked`` is a method
    and what it is about: the VM (``vm``), something below it (``vm/start``), the list of VMs
    (``vms``), or the last operation's URL (``operation``, ``location``). ``members`` gives the
    members of objects in their order, by path; ``values`` some of the values.
    """

    given: str
    before: tuple[str, ...]
    asked: str
    status: int
    headers: dict[str, str | None]
    source: str
    members: dict[str, str] = field(default_factory=dict)  # empty: so is the body
    values: dict[str, Any] = field(default_factory=dict)
    api_version: str = "2022-03-01"


_ACCEPTED: Final = {
    "Azure-AsyncOperation": OPERATION,
    "Location": MONITOR,
    "Azure-AsyncNotification": "Enabled",
}
_WRITTEN: Final = {
    "Azure-AsyncOperation": OPERATION,
    "Location": NONE,
    "Azure-AsyncNotification": "Enabled",
}
_NO_POLLING: Final = {"Azure-AsyncOperation": NONE, "Location": NONE, "Retry-After": NONE}
_VM: Final = "name id type location properties"
_PROPERTIES: Final = (
    "hardwareProfile provisioningState vmId storageProfile osProfile networkProfile timeCreated"
)
_OS_DISK: Final = "osType name createOption caching managedDisk deleteOption diskSizeGB"
_STATUS: Final = "code level displayStatus"

FACTS: Final = (
    Fact(
        given="",
        before=(),
        asked="PUT vm",
        status=201,
        headers={**_WRITTEN, "Retry-After": "10"},
        members={
            "": _VM,
            "properties": _PROPERTIES,
            # No name and no id yet: the disk is made later.
            "properties.storageProfile.osDisk": _OS_DISK.replace("name ", ""),
            "properties.storageProfile.osDisk.managedDisk": "storageAccountType",
            "properties.osProfile": "computerName adminUsername linuxConfiguration secrets "
            "allowExtensionOperations requireGuestProvisionSignal",
        },
        values={
            "properties.provisioningState": "Creating",
            "properties.storageProfile.osDisk.caching": "ReadWrite",
            "properties.storageProfile.osDisk.deleteOption": "Detach",
        },
        source=f"{_ASO}, exchange 13",
    ),
    Fact(
        given="",
        before=("PUT vm",),
        asked="GET operation",
        status=200,
        headers={**_NO_POLLING, "Retry-After": "35"},
        members={"": "startTime status name"},
        values={"status": "InProgress"},
        source=f"{_ASO}, exchange 14",
    ),
    Fact(
        given="",
        before=("PUT vm", "wait"),
        asked="GET operation",
        status=200,
        headers=_NO_POLLING,
        members={"": "startTime endTime status name"},
        values={"status": "Succeeded"},
        source=f"{_ASO}, exchange 15",
    ),
    Fact(
        given="running",
        before=(),
        asked="PUT vm",
        status=200,
        headers={**_WRITTEN, "Retry-After": NONE},
        members={
            "": _VM,
            "properties": _PROPERTIES,
            "properties.storageProfile.osDisk": _OS_DISK,
            "properties.storageProfile.osDisk.managedDisk": "storageAccountType id",
        },
        values={"properties.provisioningState": "Updating"},
        source=f"{_ASO}, exchange 18",
    ),
    Fact(
        given="running",
        before=(),
        asked="PATCH vm",
        status=200,
        headers={**_WRITTEN, "Retry-After": NONE},
        members={"": "name id type location tags properties", "properties": _PROPERTIES},
        values={"properties.provisioningState": "Updating"},
        source=f"{_PRICE}, exchange 22; azure-cli test_vm_explicit_msi, exchange 39",
    ),
    Fact(
        given="running",
        before=(),
        asked="DELETE vm",
        status=202,
        headers={**_ACCEPTED, "Retry-After": "10"},
        source=f"{_ASO}, exchange 35",
    ),
    Fact(
        given="running",
        before=("DELETE vm",),
        asked="GET operation",
        status=200,
        headers={**_NO_POLLING, "Retry-After": "30"},
        members={"": "startTime status name"},
        values={"status": "InProgress"},
        source=f"{_ASO}, exchange 36",
    ),
    Fact(
        given="running",
        before=("DELETE vm", "wait"),
        asked="GET vm",
        status=404,
        headers={**_NO_POLLING, "x-ms-failure-cause": "gateway"},
        members={"": "error", "error": "code message"},
        values={"error.code": "ResourceNotFound"},
        source=f"{_ASO}, exchange 38",
    ),
    Fact(
        given="stopped",
        before=(),
        asked="POST vm/start",
        status=202,
        headers={**_ACCEPTED, "Retry-After": "10"},
        source=f"{_STATES}, exchange 47; {_PRICE}, exchange 32",
    ),
    Fact(
        given="running",
        before=(),
        asked="POST vm/powerOff",
        status=202,
        headers={**_ACCEPTED, "Retry-After": NONE},
        source=f"{_STATES}, exchange 42; azure-libraries-for-net CanCreate, exchange 18",
    ),
    Fact(
        given="running",
        before=(),
        asked="POST vm/restart",
        status=202,
        headers=_ACCEPTED,
        source=f"{_STATES}, exchange 51",
    ),
    Fact(
        given="running",
        before=(),
        asked="POST vm/deallocate",
        status=202,
        headers={**_ACCEPTED, "Retry-After": "10"},
        source=f"{_STATES}, exchange 66; {_PRICE}, exchange 26",
    ),
    Fact(
        given="running",
        before=("POST vm/powerOff",),
        asked="GET location",
        status=202,
        headers={"Azure-AsyncOperation": NONE, "Location": MONITOR, "Content-Type": NONE},
        source="azure-sdk-for-java, run-command of a virtual machine, three times",
    ),
    Fact(
        given="running",
        before=("POST vm/powerOff", "wait"),
        asked="GET location",
        status=200,
        headers={**_NO_POLLING, "Content-Type": NONE},
        source=f"{_STATES}, exchange 45",
    ),
    Fact(
        given="running",
        before=(),
        asked="GET vm/instanceView",
        status=200,
        headers=_NO_POLLING,
        members={
            "": "computerName osName osVersion vmAgent disks hyperVGeneration statuses",
            "vmAgent": "vmAgentVersion statuses extensionHandlers",
            "vmAgent.statuses.0": f"{_STATUS} message time",
            "disks.0": "name statuses",
            "statuses.0": f"{_STATUS} time",
            "statuses.1": _STATUS,
        },
        values={
            "vmAgent.statuses.0.displayStatus": "Ready",
            "statuses.0.code": "ProvisioningState/succeeded",
            "statuses.1.code": "PowerState/running",
            "statuses.1.displayStatus": "VM running",
        },
        source=f"{_STATES}, exchange 22",
    ),
    Fact(
        given="running",
        before=("POST vm/powerOff", "wait"),
        asked="GET vm/instanceView",
        status=200,
        headers=_NO_POLLING,
        # All as if it ran: the agent's last report stays.
        members={"": "computerName osName osVersion vmAgent disks hyperVGeneration statuses"},
        values={
            "vmAgent.statuses.0.displayStatus": "Ready",
            "statuses.0.code": "ProvisioningState/succeeded",
            "statuses.1.code": "PowerState/stopped",
        },
        source=f"{_STATES}, exchange 46",
    ),
    Fact(
        given="running",
        before=("POST vm/deallocate", "wait"),
        asked="GET vm/instanceView",
        status=200,
        headers=_NO_POLLING,
        members={"": "disks hyperVGeneration statuses"},
        values={
            "statuses.0.code": "ProvisioningState/succeeded",
            "statuses.1.code": "PowerState/deallocated",
        },
        source=f"{_STATES}, exchange 69",
    ),
    Fact(
        given="running",
        before=("POST vm/deallocate", "wait"),
        asked="GET vm",
        status=200,
        headers=_NO_POLLING,
        members={
            "properties.storageProfile.osDisk": _OS_DISK.replace(" diskSizeGB", ""),
            "properties.storageProfile.osDisk.managedDisk": "id",
        },
        source="azure-cli test_vm_hibernation_enabled, exchange 22",
    ),
    Fact(
        given="running",
        before=(),
        asked="GET vms",
        status=200,
        headers=_NO_POLLING,
        members={"": "value", "value.0": _VM, "value.0.properties": _PROPERTIES},
        source=f"{_STATES}, exchange 25",
    ),
)
