"""Stored resources as they are shown: members in Azure's order, children, who refers to them.

Looking changes nothing: everything here is read.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _resource_types as types
from pytest_azurevm._attachments import Attachments
from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._resource_ids import in_capitals
from pytest_azurevm._store import Resource
from pytest_azurevm._vm_form import Json

_PLAIN: Final = "id name type location tags".split()
# The order of members, by type or provider [rec]; what is not named follows.
_ORDERS: Final = {
    "microsoft.network/*": "name id etag type location tags properties".split(),
    types.SUBNET.lower(): "name id etag properties type".split(),
    types.NIC.lower(): "name id etag tags properties type location".split(),
    types.PUBLIC_IP.lower(): "name id etag location tags properties type sku".split(),
    "microsoft.compute/*": "name id type location tags managedBy sku zones properties".split(),
    types.AVAILABILITY_SET.lower(): "name id type location tags properties sku".split(),
    "microsoft.storage/*": "sku kind id name type location tags properties".split(),
}


class _Back(NamedTuple):
    """How a resource names those that refer to it."""

    referrers: str  # their type; "" for any
    capitals: bool  # [rec of a subnet]
    single: bool


_BACK: Final = {
    (types.SUBNET.lower(), "ipConfigurations"): _Back("", capitals=True, single=False),
    (types.PUBLIC_IP.lower(), "ipConfiguration"): _Back("", capitals=False, single=True),
    (types.SECURITY_GROUP.lower(), "networkInterfaces"): _Back(types.NIC, False, False),
    (types.SECURITY_GROUP.lower(), "subnets"): _Back(types.SUBNET, False, False),
    ("microsoft.network/routetables", "subnets"): _Back(types.SUBNET, False, False),
}


def body_of(resource: Resource, beside: Attachments, *, written: bool = False) -> Json:
    """Give a resource as a GET shows it, or, *written*, as the answer to a PUT does."""
    members: Json = {"name": resource.name, "id": resource.id, "type": resource.type}
    if resource.etag:
        members["etag"] = resource.etag
    members |= {name: item for name, item in resource.body.items() if item is not None}
    if "properties" in resource.body:
        members["properties"] = _properties(resource, beside)
    _add_what_machines_tell(members, resource, beside, written=written)
    lowered = resource.type.lower()
    order = _ORDERS.get(lowered) or _ORDERS.get(f"{lowered.partition('/')[0]}/*") or _PLAIN
    return {
        **{name: members[name] for name in order if name in members},
        **{name: item for name, item in members.items() if name not in order},
    }


def _properties(resource: Resource, beside: Attachments) -> Json:
    lowered = resource.type.lower()
    kinds = types.CHILDREN.get(lowered, ())
    shown: Json = {}
    for member, item in resource.properties.items():
        if member == "provisioningState" and item is None:
            shown[member] = resource.provisioning
        elif member in kinds:
            shown[member] = [body_of(child, beside) for child in beside.children(resource, member)]
        elif item is not None:
            shown[member] = item
        elif (lowered, member) in _BACK:
            found = _referrers(resource, _BACK[lowered, member], beside)
            if found:
                shown[member] = found
        elif lowered == types.NIC.lower():
            of_machine = _of_a_nic(resource, member, beside)
            if of_machine is not None:
                shown[member] = of_machine
    if resource.type == types.PUBLIC_IP and not _has_address(resource, beside):
        shown.pop("ipAddress", None)
    return shown


def _referrers(resource: Resource, back: _Back, beside: Attachments) -> object:
    found = [
        {"id": in_capitals(one.id) if back.capitals else one.id}
        for one in beside.referrers(resource)
        if not back.referrers or one.type == back.referrers
    ]
    return found[0] if back.single and found else found


def _of_a_nic(resource: Resource, member: str, beside: Attachments) -> object:
    vm = beside.user_of_nic(resource.key)
    if vm is None:
        return None
    if member == "virtualMachine":
        return {"id": vm.resource_id}
    if member == "primary":
        return beside.is_primary(vm, resource.key)
    if member == "macAddress":
        digits = str(resource.properties["resourceGuid"])[:6].upper()
        return "-".join(("00", "22", "48", digits[:2], digits[2:4], digits[4:6]))
    return None


def _has_address(resource: Resource, beside: Attachments) -> bool:
    """Whether a public address is known: of a dynamic one, once a machine uses it [assumed]."""
    if resource.properties["publicIPAllocationMethod"].lower() == "static":
        return True
    nics = (one.address.parent.key for one in beside.referrers(resource) if one.address.is_child)
    return any(beside.user_of_nic(nic) is not None for nic in nics)


def _add_what_machines_tell(
    members: Json, resource: Resource, beside: Attachments, *, written: bool
) -> None:
    if resource.type == types.DISK:
        vm = beside.user_of_disk(resource.key)
        if vm is not None:
            members["managedBy"] = vm.resource_id
        if "diskState" in resource.properties:
            members["properties"]["diskState"] = _disk_state(vm)
    elif resource.type == types.AVAILABILITY_SET and not written:  # [rec: not of a PUT's answer]
        machines = beside.machines_of(resource)
        members["properties"]["virtualMachines"] = [{"id": _folded(vm)} for vm in machines]


def _disk_state(vm: VirtualMachine | None) -> str:
    """Say whether a disk is in use [rec: Reserved while its machine is deallocated]."""
    if vm is None:
        return "Unattached"
    return "Reserved" if vm.power in table.NOT_ALLOCATED else "Attached"


def _folded(vm: VirtualMachine) -> str:
    """Give a machine's ID as an availability set does: its group and its name in capitals [rec]."""
    return in_capitals(vm.resource_id)


def outline_of(resource: Resource, beside: Attachments) -> Json:
    """Give a resource as a list of resources of all types has it: without its properties [doc]."""
    body = body_of(resource, beside)
    shown = ("id", "name", "type", "kind", "location", "managedBy", "sku", "tags", "identity",
             "zones", "plan")  # fmt: skip
    return {member: body[member] for member in shown if member in body}


def outline_of_machine(vm: VirtualMachine) -> Json:
    """Give a virtual machine in the same way."""
    body: Json = {
        "id": vm.resource_id,
        "name": vm.name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": vm.location,
    }
    for member in ("tags", "identity", "zones", "plan"):
        if vm.model.get(member) is not None:
            body[member] = vm.model[member]
    return body
