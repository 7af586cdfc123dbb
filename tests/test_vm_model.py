"""The model of a VM: what is refused, what Azure fills in, and what PUT and PATCH make of it."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import json
import re
from itertools import compress, count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_azurevm import FakeCompute
from pytest_azurevm import _vm_model as models
from pytest_azurevm._errors import ArmError
from pytest_azurevm._vm_form import checked
from tests.builders import (
    ABSENT,
    CUSTOM_DATA,
    DISK,
    EXTENSION,
    GROUP,
    PASSWORD,
    attached_vm,
    begin,
    begin_patch,
    begin_put,
    changed,
    empty_disk,
    linux_vm,
    paths,
    refusal,
    vm_with_disks,
    windows_vm,
)

IDENTITIES = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
)
FIRST_USER, SECOND_USER = f"{IDENTITIES}/first", f"{IDENTITIES}/second"
LINUX_HOST = (
    "Linux host name cannot exceed 64 characters in length or contain the following characters: "
    "` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?."
)
WINDOWS_HOST = (
    "Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain "
    "the following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . ' \" , < > / ?."
)


def made(fake, body, name="web-1", power_state="running"):
    """Create a VM of *body*, let that end, and bring it into a power state."""
    begin_put(fake, name, body)
    fake.clock.advance(minutes=5)
    operation = {"stopped": "power_off", "deallocated": "deallocate"}.get(power_state)
    if operation:
        begin(fake, operation, name)
        fake.clock.advance(minutes=5)
    vm = fake.vm(name)
    assert (vm.power_state, vm.provisioning_state) == (power_state, "Succeeded")
    return vm


def nested(path, value):
    """Give an object that holds *value* alone, at *path*."""
    for step in reversed(path.split(".")):
        value = {step: value}
    return value


def answered(fake, method):
    """Give the properties in the answer to the last request of that method."""
    return fake.calls.filter(method=method)[-1].response_body["properties"]


# --- what a create cannot be --------------------------------------------------------------------

OS_DISK = "properties.storageProfile.osDisk"
IMAGE = "properties.storageProfile.imageReference"

# fmt: off
MISSING = (
    # left out                                        what is missed
    ("properties",                                    "vmSize"),
    ("properties.hardwareProfile",                    "vmSize"),
    ("properties.hardwareProfile.vmSize",             "vmSize"),
    ("properties.storageProfile",                     "storageProfile"),
    (IMAGE,                                           "imageReference"),
    (f"{IMAGE}.publisher",                            "imageReference.publisher"),
    (f"{IMAGE}.offer",                                "imageReference.offer"),
    (f"{IMAGE}.sku",                                  "imageReference.sku"),
    (f"{IMAGE}.version",                              "imageReference.version"),
    ("properties.osProfile",                          "osProfile"),
    ("properties.osProfile.adminUsername",            "adminUsername"),
    ("properties.storageProfile.dataDisks.0.lun",          "dataDisk.lun"),
    ("properties.storageProfile.dataDisks.0.createOption", "dataDisk.createOption"),
)
# fmt: on


@pytest.mark.parametrize(("path", "parameter"), MISSING)
@pytest.mark.parametrize("instead", [ABSENT, None], ids=["absent", "null"])
def test_what_is_missing(fake, path, parameter, instead):
    """A create that lacks something required is refused, and what it lacks is named."""
    body = changed(vm_with_disks(empty_disk(0)), path, instead)

    assert refusal(lambda: begin_put(fake, "web-1", body)) == (
        400, "InvalidParameter", f"Required parameter '{parameter}' is missing (null).", parameter
    )  # fmt: skip
    assert_nothing_was_made(fake)


@pytest.mark.parametrize(
    ("storage", "parameter"),
    [
        ({}, "osDisk"),
        ({"osDisk": {}}, "osDisk"),
        ({"imageReference": {}}, "osDisk"),
        ({"osDisk": {"name": "system"}}, "osDisk.createOption"),
        ({"osDisk": {"createOption": "FromImage"}}, "imageReference"),
        ({"osDisk": {"createOption": "Attach"}}, "osDisk.managedDisk"),
    ],
)
def test_no_disk_to_start_from(fake, storage, parameter):
    """A create needs an OS disk, and what that is made from."""
    body = changed(linux_vm(), "properties.storageProfile", storage)

    assert refusal(lambda: begin_put(fake, "web-1", body)) == (
        400, "InvalidParameter", f"Required parameter '{parameter}' is missing (null).", parameter
    )  # fmt: skip
    assert_nothing_was_made(fake)


# fmt: off
REFUSED_CREATES = (
    # of                                    path                               value                  message                                                                     target
    (linux_vm(),                            "properties.osProfile.computerName", "web_1",             LINUX_HOST,                                                                 "computerName"),
    (linux_vm(),                            "properties.osProfile.computerName", "w" * 65,            LINUX_HOST,                                                                 "computerName"),
    (linux_vm(),                            "properties.osProfile.computerName", "web{1}",            LINUX_HOST,                                                                 "computerName"),
    (windows_vm(),                          "properties.osProfile.computerName", "w" * 16,            WINDOWS_HOST,                                                               "computerName"),
    (windows_vm(),                          "properties.osProfile.computerName", "12345",             WINDOWS_HOST,                                                               "computerName"),
    (windows_vm(),                          "properties.osProfile.computerName", "web.1",             WINDOWS_HOST,                                                               "computerName"),
    (windows_vm(),                          "properties.osProfile.computerName", "web_1",             WINDOWS_HOST,                                                               "computerName"),
    (vm_with_disks(empty_disk(0)),          "properties.storageProfile.dataDisks.0.lun", 64,          "The value '64' of parameter 'dataDisk.lun' is out of range. Value '64' must be between '0' and '63' inclusive.", "dataDisk.lun"),
    (vm_with_disks(empty_disk(0)),          "properties.storageProfile.dataDisks.0.lun", -1,          "The value '-1' of parameter 'dataDisk.lun' is out of range. Value '-1' must be between '0' and '63' inclusive.", "dataDisk.lun"),
    (vm_with_disks(empty_disk(0), empty_disk(7)), "properties.storageProfile.dataDisks.0.lun", 7,     "A disk at LUN 7 already exists.",                                          "dataDisk.lun"),
    (attached_vm(),                         "properties.osProfile",            {"adminUsername": "x"}, "Parameter 'osProfile' is not allowed.",                                   "osProfile"),
    ({**linux_vm(), "resources": [EXTENSION]}, "resources.0.name",             ABSENT,                "Required parameter 'name' is missing (null).",                             "name"),
    ({**linux_vm(), "resources": [EXTENSION]}, "resources.0.properties",       ABSENT,                "Required parameter 'publisher' is missing (null).",                        "publisher"),
    ({**linux_vm(), "resources": [EXTENSION]}, "resources.0.properties.type",  ABSENT,                "Required parameter 'type' is missing (null).",                             "type"),
    ({**linux_vm(), "resources": [EXTENSION]}, "resources.0.properties.typeHandlerVersion", ABSENT,   "Required parameter 'typeHandlerVersion' is missing (null).",               "typeHandlerVersion"),
)
# fmt: on


@pytest.mark.parametrize(("body", "path", "value", "message", "target"), REFUSED_CREATES)
def test_what_a_create_cannot_be(fake, body, path, value, message, target):
    """A create that cannot be is refused in Azure's words, and leaves nothing behind."""
    body = changed(body, path, value)

    assert refusal(lambda: begin_put(fake, "web-1", body)) == (
        400, "InvalidParameter", message, target
    )  # fmt: skip
    assert_nothing_was_made(fake)


def assert_nothing_was_made(fake):
    """Hold that the one request was refused, and that there is no trace of a VM."""
    [call] = fake.calls
    assert (call.operation, call.status) == ("create", 400)
    assert fake.vms == ()
    assert fake.bill.charges == ()
    with pytest.raises(KeyError, match="there are: none"):
        fake.vm("web-1")
    assert refusal(lambda: fake.client.virtual_machines.get(GROUP, "web-1"))[:2] == (
        404, "ResourceNotFound"
    )  # fmt: skip
    fake.clock.advance(minutes=5)
    assert fake.vms == ()


SIZES = """
    Standard_D2s_v5 Standard_DS1_v2 Standard_B1ms Standard_NC40ads_H100_v5 Standard_E4-2ads_v5
    Basic_A1 Standard_M416-208ms_v2 Standard_DC2as_cc_v5 Standard_NV36ads_A10_v5
    Standard_HB120rs_v3 Standard_ND96isr_H100_v5 Standard_L8s_v3 Standard_A2_v2 Standard_F2s_v2
    Standard_PB6s Standard_NC4as_T4_v3 Standard_D2pds_v6 Standard_FX4mds Standard_GS5-16 Standard_A1
    Standard_A1_v2 Standard_A8m_v2 Standard_B2ts_v2 Standard_D1 Standard_D15_v2
    Standard_DS2_v2_Promo Standard_DS12-1_v2 Standard_D2plds_v5 Standard_D96ads_v6
    Standard_DC1ds_v3 Standard_DC2es_v5 Standard_EC20ads_cc_v5 Standard_E112iads_v5
    Standard_F16ams_v6 Standard_FX96-48mds_v2 Standard_G5 Standard_H16mr_Promo
    Standard_HB120-16rs_v2 Standard_HB176-144rs_v4 Standard_HC44rs Standard_HX176rs
    Standard_L2aos_v4 Standard_M64ms Standard_M96bds_2_v3 Standard_M96s_1_v3 Standard_M832ids_16_v3
    Standard_M1792ixds_32_v3 Standard_NC6 Standard_NCC40ads_H100_v5 Standard_NC96ads_A100_v4
    Standard_ND96amsr_A100_v4 Standard_ND96asr_v4 Standard_ND96isr_MI300X_v5
    Standard_ND128isr_NDR_GB200_v6 Standard_NG8ads_V620_v1 Standard_NP10s Standard_NV4ads_V710_v5
    standard_d2s_v5 STANDARD_D2S_V5
""".split()


@pytest.mark.parametrize("size", SIZES)
def test_sizes_that_there_are(fake, size):
    """A size of any of Azure's shapes is accepted, and shown as it was sent."""
    body = changed(linux_vm(), "properties.hardwareProfile.vmSize", size)
    begin_put(fake, "web-1", body)

    assert fake.vm("web-1").model["properties"]["hardwareProfile"] == {"vmSize": size}


@pytest.mark.parametrize(
    "size",
    ["", "Standard", "Standard_", "D2s_v5", "Standard_D_v5", "Standard_D2s_v5 ", "Standard D2s v5",
     "Gigantic_D2s_v5", "Standard_D2s_v5!", "Standard-D2s-v5", "Standard_2", "m5.large"],
)  # fmt: skip
def test_sizes_of_an_impossible_shape(fake, size):
    """A size that no size of Azure's looks like is refused, and some that there are are named."""
    body = changed(linux_vm(), "properties.hardwareProfile.vmSize", size)
    status, code, message, target = refusal(lambda: begin_put(fake, "web-1", body))

    assert (status, code, target) == (400, "InvalidParameter", "vmSize")
    assert re.fullmatch(
        rf"The value {re.escape(size)} provided for the VM size is not valid\. The valid sizes in "
        r"the current region are: (\w+,)+\w+\. Find out more on the valid VM sizes in each region "
        r"at https://aka\.ms/azure-regions\.",
        message,
    )
    assert_nothing_was_made(fake)


@pytest.mark.parametrize(
    ("of", "computer_name"),
    [(linux_vm, "w" * 64), (linux_vm, "web.shop-1"), (linux_vm, "1"), (windows_vm, "w" * 15),
     (windows_vm, "web-1"), (windows_vm, "1a")],
)  # fmt: skip
def test_computer_names_that_can_be(fake, of, computer_name):
    """A computer name may be as long as its system allows, whatever the VM is called."""
    begin_put(fake, "a_name-of-more-than-15", changed(of(), "properties.osProfile.computerName",
                                                      computer_name))  # fmt: skip

    profile = fake.vms[0].model["properties"]["osProfile"]
    assert profile["computerName"] == computer_name


def test_a_long_name_is_no_computer_name_of_windows(fake):
    """A Windows VM of a name longer than a computer's may be needs a computer name of its own."""
    body = changed(windows_vm(), "properties.osProfile.computerName", ABSENT)

    assert refusal(lambda: begin_put(fake, "w" * 16, body)) == (
        400, "InvalidParameter", WINDOWS_HOST, "computerName"
    )  # fmt: skip


def test_the_vms_name_is_the_computers():
    """Without a computer name of its own, the system is called as the VM is."""
    body = changed(linux_vm(), "properties.osProfile.computerName", ABSENT)
    model = models.created(checked(body), name="db-1", vm_id="id", new_id=str)

    assert model["properties"]["osProfile"]["computerName"] == "db-1"


# --- what Azure fills in ------------------------------------------------------------------------


def test_the_first_answer_about_a_linux_vm(fake):
    """A PUT answers with the defaults filled in, and with disks that are not made yet."""
    body = changed(linux_vm(), "properties.storageProfile.dataDisks", [empty_disk(0)])
    begin_put(fake, "web-1", body)
    properties = fake.calls[0].response_body["properties"]

    assert fake.calls[0].status == 201
    assert properties["provisioningState"] == "Creating"
    assert properties["storageProfile"] == {
        "imageReference": {
            "publisher": "Canonical",
            "offer": "0001-com-ubuntu-server-jammy",
            "sku": "22_04-lts",
            "version": "latest",
            "exactVersion": properties["storageProfile"]["imageReference"]["exactVersion"],
        },
        "osDisk": {
            "osType": "Linux",
            "createOption": "FromImage",
            "caching": "ReadWrite",
            "managedDisk": {"storageAccountType": "Premium_LRS"},
            "deleteOption": "Detach",
            "diskSizeGB": 30,
        },
        "dataDisks": [
            {
                "lun": 0,
                "createOption": "Empty",
                "caching": "None",
                "managedDisk": {"storageAccountType": "Premium_LRS"},
                "deleteOption": "Detach",
                "diskSizeGB": 64,
                "toBeDetached": False,
            }
        ],
    }
    assert properties["osProfile"] == {
        "computerName": "web-1",
        "adminUsername": "azureuser",
        "linuxConfiguration": {
            "disablePasswordAuthentication": False,
            "provisionVMAgent": True,
            "patchSettings": {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"},
            "enableVMAgentPlatformUpdates": False,
        },
        "secrets": [],
        "allowExtensionOperations": True,
        "requireGuestProvisionSignal": True,
    }
    assert UUID(properties["vmId"])
    assert properties["timeCreated"] == "2026-01-01T00:00:00+00:00"


def test_the_defaults_of_windows(fake):
    """Windows has defaults of its own."""
    begin_put(fake, "web-1", windows_vm())
    properties = fake.vm("web-1").model["properties"]

    assert properties["storageProfile"]["osDisk"]["osType"] == "Windows"
    assert properties["storageProfile"]["osDisk"]["diskSizeGB"] == 127
    assert properties["osProfile"]["windowsConfiguration"] == {
        "provisionVMAgent": True,
        "enableAutomaticUpdates": True,
        "patchSettings": {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"},
        "enableVMAgentPlatformUpdates": False,
    }
    assert "linuxConfiguration" not in properties["osProfile"]


def test_what_is_given_stays(fake):
    """A default fills in what was left out, beside what was given."""
    body = changed(
        linux_vm(),
        "properties.osProfile.linuxConfiguration",
        {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [{"path": "/home/x", "keyData": "ssh-rsa AAAA"}]},
            "patchSettings": {"assessmentMode": "AutomaticByPlatform"},
        },
    )
    body = changed(body, f"{OS_DISK}.managedDisk", {"storageAccountType": "StandardSSD_LRS"})
    body = changed(body, f"{OS_DISK}.caching", "ReadOnly")
    body = changed(body, f"{OS_DISK}.name", "system")
    properties = made(fake, body).model["properties"]
    os_disk = properties["storageProfile"]["osDisk"]

    assert properties["osProfile"]["linuxConfiguration"] == {
        "disablePasswordAuthentication": True,
        "provisionVMAgent": True,
        "patchSettings": {
            "patchMode": "ImageDefault",
            "assessmentMode": "AutomaticByPlatform",
        },
        "enableVMAgentPlatformUpdates": False,
        "ssh": {"publicKeys": [{"path": "/home/x", "keyData": "ssh-rsa AAAA"}]},
    }
    assert (os_disk["name"], os_disk["caching"]) == ("system", "ReadOnly")
    assert os_disk["managedDisk"]["storageAccountType"] == "StandardSSD_LRS"
    assert os_disk["managedDisk"]["id"].endswith("/disks/system")


def test_disks_once_they_are_made(fake):
    """When a create has succeeded, its disks have names and ids, in Azure's form and order."""
    vm = made(fake, vm_with_disks(empty_disk(0), empty_disk(4)))
    profile = vm.model["properties"]["storageProfile"]
    disks = [profile["osDisk"], *profile["dataDisks"]]

    for disk, start in zip(disks, ("web-1_OsDisk_1_", "web-1_disk2_", "web-1_disk6_"), strict=True):
        assert re.fullmatch(start + "[0-9a-f]{32}", disk["name"])
        assert disk["managedDisk"]["id"] == (
            f"/subscriptions/{fake.subscription_id}/resourceGroups/{GROUP}"
            f"/providers/Microsoft.Compute/disks/{disk['name']}"
        )
    assert list(disks[0]) == [
        "osType", "name", "createOption", "caching", "managedDisk", "deleteOption", "diskSizeGB"
    ]  # fmt: skip
    assert list(disks[1]) == [
        "lun", "name", "createOption", "caching", "managedDisk", "deleteOption", "diskSizeGB",
        "toBeDetached",
    ]  # fmt: skip
    assert len({disk["name"] for disk in disks}) == 3


def test_the_order_of_members(fake):
    """Members stand in the order in which Azure prints them, whatever order they came in."""
    body = linux_vm()
    for member in ("diagnosticsProfile", "securityProfile", "additionalCapabilities"):
        body["properties"] = {member: {}, **body["properties"]}
    body = {"zones": ["1"], "identity": {"type": "SystemAssigned"}, "tags": {"a": "b"}, **body}
    fake.client.virtual_machines.begin_create_or_update(GROUP, "web-1", json.dumps(body).encode())
    fake.client.virtual_machines.get(GROUP, "web-1", expand="instanceView")
    given = fake.calls[-1].response_body
    given.pop("etag", None)

    assert list(given) == [
        "name", "id", "type", "location", "tags", "identity", "properties", "zones"
    ]  # fmt: skip
    assert list(given["properties"]) == [
        "hardwareProfile", "provisioningState", "vmId", "additionalCapabilities",
        "storageProfile", "osProfile", "securityProfile", "networkProfile", "diagnosticsProfile",
        "instanceView", "timeCreated",
    ]  # fmt: skip


# fmt: off
STORAGE_TYPES = (
    ("Standard_D2s_v5",        "Premium_LRS"),
    ("Standard_D2_v5",         "Standard_LRS"),
    ("Standard_DS1_v2",        "Premium_LRS"),
    ("Standard_D2_v2",         "Standard_LRS"),
    ("Standard_D2as_v4",       "Premium_LRS"),
    ("Standard_D2a_v4",        "Standard_LRS"),
    ("Standard_D2d_v4",        "Standard_LRS"),
    ("Standard_E4-2ads_v5",    "Premium_LRS"),
    ("Standard_B1ms",          "Premium_LRS"),
    ("Standard_F2",            "Standard_LRS"),
    ("Standard_F2s_v2",        "Premium_LRS"),
    ("Standard_GS5-16",        "Premium_LRS"),
    ("Standard_G5",            "Standard_LRS"),
    ("Standard_M416-208ms_v2", "Premium_LRS"),
    ("Standard_NC6",           "Standard_LRS"),
    ("Standard_NC4as_T4_v3",   "Premium_LRS"),
    ("Standard_A1",            "Standard_LRS"),
    ("Standard_A2_v2",         "Standard_LRS"),
    ("Basic_A1",               "Standard_LRS"),
    ("standard_ds1_v2",        "Premium_LRS"),
)
# fmt: on


@pytest.mark.parametrize(("size", "storage_type"), STORAGE_TYPES)
def test_premium_disks_for_sizes_that_take_them(fake, size, storage_type):
    """Disks are premium where the size takes such, unless another type is asked for."""
    disks = (empty_disk(0), empty_disk(1, managedDisk={"storageAccountType": "UltraSSD_LRS"}))
    body = changed(vm_with_disks(*disks), "properties.hardwareProfile.vmSize", size)
    begin_put(fake, "web-1", body)
    profile = answered(fake, "PUT")["storageProfile"]

    assert [
        disk["managedDisk"]["storageAccountType"]
        for disk in (profile["osDisk"], *profile["dataDisks"])
    ] == [storage_type, storage_type, "UltraSSD_LRS"]


@pytest.mark.parametrize(
    "image",
    [
        {"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"},
        {"sharedGalleryImageId": "/sharedGalleries/g/images/i/versions/latest"},
        {"communityGalleryImageId": "/communityGalleries/g/images/i/versions/latest"},
    ],
)
@pytest.mark.parametrize("generalized", [True, False])
def test_images_that_are_named_by_id(fake, image, generalized):
    """An image of one's own, generalized or specialized, needs its id alone."""
    body = changed(linux_vm(), IMAGE, image)
    if not generalized:
        body = changed(body, "properties.osProfile", ABSENT)
    vm = made(fake, body)

    assert vm.model["properties"]["storageProfile"]["imageReference"] == image
    assert ("osProfile" in vm.model["properties"]) == generalized


def test_an_attached_os_disk_keeps_its_name(fake):
    """An OS disk that exists is called as it is called, and nothing is made up of its size."""
    begin_put(fake, "web-1", attached_vm())
    os_disk = answered(fake, "PUT")["storageProfile"]["osDisk"]

    assert (os_disk["name"], os_disk["managedDisk"]["id"]) == ("data-7", DISK)
    assert "diskSizeGB" not in os_disk


# --- secrets ------------------------------------------------------------------------------------


def test_secrets_are_in_no_body(fake):
    """Passwords, custom data and protected settings are never given back, wherever one looks."""
    body = changed(linux_vm(), "properties.osProfile.customData", CUSTOM_DATA)
    body["resources"] = [EXTENSION]
    vm = made(fake, body)
    begin_put(fake, "web-1", body)
    fake.clock.advance(minutes=5)
    begin_patch(fake, "web-1", {"properties": {"osProfile": {"adminPassword": PASSWORD}}})
    machines = fake.client.virtual_machines
    machines.get(GROUP, "web-1", expand="instanceView")
    machines.instance_view(GROUP, "web-1")
    list(machines.list(GROUP))
    list(machines.list_all())
    fake.clock.advance(minutes=5)
    answers = [call.response_body for call in fake.calls]
    shown = json.dumps([answers, vm.model, vm.effective_model, vm.extensions])

    assert "azureuser" in shown
    for secret in (PASSWORD, CUSTOM_DATA, "key-to-the-cellar", "adminPassword", "customData",
                   "protectedSettings"):  # fmt: skip
        assert secret not in shown
    assert fake.calls[0].request_body["properties"]["osProfile"]["adminPassword"] == PASSWORD


def test_user_data_is_given_when_it_is_asked_for(fake):
    """User data is no secret, yet is given only when it is asked for."""
    made(fake, changed(linux_vm(), "properties.userData", "aGVsbG8="))
    machines = fake.client.virtual_machines
    machines.get(GROUP, "web-1")
    without = answered(fake, "GET")
    machines.get(GROUP, "web-1", expand="userData")

    assert "userData" not in without
    assert "userData" not in answered(fake, "PUT")
    assert answered(fake, "GET")["userData"] == "aGVsbG8="


# --- what an update cannot be -------------------------------------------------------------------

# fmt: off
IMMUTABLE = (
    # path                                                    value                        called
    (f"{OS_DISK}.name",                                       "another",                   "osDisk.name"),
    (f"{OS_DISK}.createOption",                               "Attach",                    "osDisk.createOption"),
    (f"{OS_DISK}.createOption",                               "Empty",                     "osDisk.createOption"),
    (f"{OS_DISK}.osType",                                     "Windows",                   "osDisk.osType"),
    (f"{IMAGE}.sku",                                          "24_04-lts",                 "imageReference"),
    (f"{IMAGE}.publisher",                                    "Debian",                    "imageReference"),
    ("properties.osProfile.computerName",                     "db-1",                      "osProfile.computerName"),
    ("properties.osProfile.adminUsername",                    "root1",                     "osProfile.adminUsername"),
    ("properties.osProfile.linuxConfiguration",
     {"ssh": {"publicKeys": [{"path": "/x", "keyData": "k"}]}},                            "linuxConfiguration.ssh.publicKeys"),
    ("properties.availabilitySet",                            {"id": "/x"},                "availabilitySet.id"),
    ("properties.priority",                                   "Spot",                      "priority"),
    ("properties.storageProfile.dataDisks",                   [empty_disk(0, createOption="Copy")], "dataDisk.createOption"),
    ("zones",                                                 ["1"],                       "zones"),
)
# fmt: on


def assert_refused_update(fake, vm, request, expected):
    """Hold that an update is refused so, and that it changed nothing."""
    was = (vm.model, vm.effective_model, vm.statuses, vm.history, vm.operation)

    assert refusal(request) == expected
    assert (vm.model, vm.effective_model, vm.statuses, vm.history, vm.operation) == was
    fake.clock.advance(minutes=5)
    assert (vm.model, vm.effective_model, vm.statuses, vm.history, vm.operation) == was


@pytest.mark.parametrize(("path", "value", "name"), IMMUTABLE)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_cannot_be_changed(fake, method, path, value, name):
    """What a VM keeps for life is refused by PUT as by PATCH, under the name Azure calls it."""
    body = vm_with_disks(empty_disk(0))
    vm = made(fake, body)
    request = {
        "PUT": lambda: begin_put(fake, "web-1", changed(body, path, value)),
        "PATCH": lambda: begin_patch(fake, "web-1", nested(path, value)),
    }[method]
    message = f"Changing property '{name}' is not allowed."

    assert_refused_update(fake, vm, request, (409, "PropertyChangeNotAllowed", message, name))


OTHER_DISK = DISK.replace("data-7", "data-8")
# fmt: off
TAKEN_LUNS = (
    # what is asked for at the LUN of another disk                                     what that would change
    (empty_disk(0, name="other"),                                                      "dataDisk.name"),
    ({"lun": 0, "createOption": "Attach", "name": "data-8", "managedDisk": {"id": OTHER_DISK}}, "dataDisk.name"),
    ({"lun": 0, "createOption": "Attach", "managedDisk": {"id": OTHER_DISK}},          "dataDisk.managedDisk.id"),
    ({"lun": 0, "createOption": "Empty", "diskSizeGB": 64},                            "dataDisk.createOption"),
)
# fmt: on


@pytest.mark.parametrize(("asked", "name"), TAKEN_LUNS)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_lun_that_is_taken(fake, method, asked, name):
    """A disk does not take the place of another in one request: that one is to be detached first."""
    attached = {"lun": 0, "createOption": "Attach", "managedDisk": {"id": DISK}}
    vm = made(fake, vm_with_disks(attached))
    request = {
        "PUT": lambda: begin_put(fake, "web-1", vm_with_disks(asked)),
        "PATCH": lambda: begin_patch(
            fake, "web-1", nested("properties.storageProfile.dataDisks", [asked])
        ),
    }[method]
    message = f"Changing property '{name}' is not allowed."

    assert_refused_update(fake, vm, request, (409, "PropertyChangeNotAllowed", message, name))


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_no_os_profile_for_a_vm_that_has_none(fake, method):
    """A VM that brought its own system takes no osProfile afterwards."""
    vm = made(fake, attached_vm())
    profile = {"osProfile": {"adminUsername": "azureuser"}}
    body = attached_vm()
    body["properties"] |= profile
    request = {
        "PUT": lambda: begin_put(fake, "web-1", body),
        "PATCH": lambda: begin_patch(fake, "web-1", {"properties": profile}),
    }[method]
    message = "Changing property 'osProfile' is not allowed."

    assert_refused_update(
        fake, vm, request, (409, "PropertyChangeNotAllowed", message, "osProfile")
    )


@pytest.mark.parametrize("power_state", ["running", "deallocated"])
def test_a_vm_does_not_move(fake, power_state):
    """A PUT with another location is refused, and both locations are named."""
    vm = made(fake, linux_vm(), power_state=power_state)
    body = changed(linux_vm(), "location", "eastus")
    message = (
        "The resource 'web-1' already exists in location 'westeurope' in resource group 'shop'. A "
        "resource with the same name cannot be created in location 'eastus'. Please select a new "
        "resource name."
    )

    assert_refused_update(
        fake,
        vm,
        lambda: begin_put(fake, "web-1", body),
        (409, "InvalidResourceLocation", message, None),
    )


def resized(os_disk_gb, data_disk_gb):
    """Give the body of a VM with disks of these sizes."""
    return changed(
        vm_with_disks(empty_disk(0, diskSizeGB=data_disk_gb, name="data-0")),
        OS_DISK,
        {"createOption": "FromImage", "name": "system", "diskSizeGB": os_disk_gb},
    )


@pytest.mark.parametrize("power_state", ["running", "stopped", "deallocated"])
@pytest.mark.parametrize(("os_disk_gb", "data_disk_gb", "name"), [(63, 32, "system"),
                                                                  (64, 31, "data-0")])  # fmt: skip
def test_disks_do_not_shrink(fake, power_state, os_disk_gb, data_disk_gb, name):
    """A disk cannot be made smaller, in whatever power state."""
    vm = made(fake, resized(64, 32), power_state=power_state)
    message = (
        f"The disk {name} cannot be resized down. Reducing disk/snapshot size is not supported in "
        "Azure to prevent data loss. If you do need to reduce the size of the disk, please create "
        "new snapshot/disks with the appropriate size. More information is available at "
        "https://aka.ms/AzureDisksFAQ."
    )

    assert_refused_update(
        fake,
        vm,
        lambda: begin_put(fake, "web-1", resized(os_disk_gb, data_disk_gb)),
        (400, "BadRequest", message, "diskSizeGB"),
    )


@pytest.mark.parametrize("power_state", ["running", "stopped"])
@pytest.mark.parametrize("sizes", [(65, 32), (64, 33)])
def test_disks_do_not_grow_while_allocated(fake, power_state, sizes):
    """A disk grows only once its VM is deallocated."""
    vm = made(fake, resized(64, 32), power_state=power_state)
    message = "Disk resizing is allowed only when creating a VM or when the VM is deallocated."

    assert_refused_update(
        fake,
        vm,
        lambda: begin_put(fake, "web-1", resized(*sizes)),
        (409, "Conflict", message, None),
    )


def test_disks_grow_while_deallocated(fake):
    """Of a deallocated VM the disks may grow."""
    vm = made(fake, resized(64, 32), power_state="deallocated")
    begin_put(fake, "web-1", resized(128, 48))
    fake.clock.advance(minutes=1)
    profile = vm.effective_model["properties"]["storageProfile"]

    assert (profile["osDisk"]["diskSizeGB"], profile["dataDisks"][0]["diskSizeGB"]) == (128, 48)
    assert vm.provisioning_state == "Succeeded"


@pytest.mark.parametrize(
    ("path", "value", "code", "message", "target"),
    [
        ("properties.storageProfile.dataDisks", [empty_disk(0), empty_disk(0)], "InvalidParameter",
         "A disk at LUN 0 already exists.", "dataDisk.lun"),
        ("properties.hardwareProfile.vmSize", None, "InvalidParameter",
         "Required parameter 'vmSize' is missing (null).", "vmSize"),
        ("properties.storageProfile", None, "InvalidParameter",
         "Required parameter 'storageProfile' is missing (null).", "storageProfile"),
    ],
)  # fmt: skip
def test_a_patch_that_cannot_be(fake, path, value, code, message, target):
    """A PATCH that takes away what is required, or does not hold together, is refused."""
    vm = made(fake, vm_with_disks(empty_disk(0)))

    assert_refused_update(
        fake,
        vm,
        lambda: begin_patch(fake, "web-1", nested(path, value)),
        (400, code, message, target),
    )


# --- PUT and PATCH ------------------------------------------------------------------------------


def test_a_put_of_the_same(fake):
    """The same PUT once more is accepted, password and all, and changes nothing."""
    body = changed(vm_with_disks(empty_disk(0)), "properties.osProfile.customData", CUSTOM_DATA)
    vm = made(fake, body)
    before = vm.model
    begin_put(fake, "web-1", body)
    updating = (fake.calls[-1].status, answered(fake, "PUT")["provisioningState"])
    fake.clock.advance(minutes=1)

    assert updating == (200, "Updating")
    assert {**vm.model, "etag": ""} == {**before, "etag": ""}
    assert vm.model["etag"] != before["etag"]


@pytest.mark.parametrize("asked", [{}, {"name": "data-0"}, {"createOption": "Empty"}])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_disk_that_is_asked_for_again(fake, method, asked):
    """A data disk that is asked for again stays as it is, but for what is said anew."""
    vm = made(fake, vm_with_disks(empty_disk(0, name="data-0", diskSizeGB=8)))
    [before] = vm.model["properties"]["storageProfile"]["dataDisks"]
    again = {"lun": 0, **asked, "caching": "ReadOnly"}
    if method == "PUT":
        begin_put(fake, "web-1", vm_with_disks(again))
    else:
        begin_patch(fake, "web-1", nested("properties.storageProfile.dataDisks", [again]))
    [during] = answered(fake, method)["storageProfile"]["dataDisks"]
    fake.clock.advance(minutes=1)
    [after] = vm.model["properties"]["storageProfile"]["dataDisks"]

    assert before["diskSizeGB"] == 8
    assert during == after == {**before, "caching": "ReadOnly"}


def test_a_disk_that_was_leaving_and_is_asked_for_again(fake):
    """A disk that is asked for while it is being detached stays."""
    vm = made(fake, vm_with_disks(empty_disk(0)))
    [before] = vm.model["properties"]["storageProfile"]["dataDisks"]
    begin_put(fake, "web-1", vm_with_disks())
    begin_put(fake, "web-1", vm_with_disks(empty_disk(0)))
    fake.clock.advance(minutes=1)

    assert vm.model["properties"]["storageProfile"]["dataDisks"] == [before]


def test_what_a_put_leaves_out(fake):
    """A PUT takes away the tags that it leaves out, and keeps what makes the VM what it is."""
    body = {**vm_with_disks(empty_disk(0)), "tags": {"team": "shop"}, "zones": ["1"],
            "identity": {"type": "SystemAssigned"}}  # fmt: skip
    vm = made(fake, body)
    before = vm.model
    begin_put(fake, "web-1", {"location": "westeurope"})
    fake.clock.advance(minutes=1)

    assert "tags" not in vm.model
    for member in ("identity", "zones"):
        assert vm.model[member] == before[member]
    for member in ("vmId", "hardwareProfile", "storageProfile", "osProfile", "networkProfile"):
        assert vm.model["properties"][member] == before["properties"][member]


def test_what_runs_until_an_update_is_done(fake):
    """GET gives the new model from the moment it is accepted; what runs follows at the end."""
    vm = made(fake, linux_vm())
    begin_patch(fake, "web-1", {"properties": {"hardwareProfile": {"vmSize": "Standard_D4s_v5"}}})
    during = (vm.model["properties"]["hardwareProfile"]["vmSize"],
              vm.effective_model["properties"]["hardwareProfile"]["vmSize"])  # fmt: skip
    fake.clock.advance(minutes=1)

    assert during == ("Standard_D4s_v5", "Standard_D2s_v5")
    assert vm.effective_model["properties"]["hardwareProfile"]["vmSize"] == "Standard_D4s_v5"


# fmt: off
MERGES = (
    # patch                                                            path                                       value
    ({"tags": {"b": "3", "c": "4"}},                                   "tags",                                    {"a": "1", "b": "3", "c": "4"}),
    ({"tags": {"a": None}},                                            "tags",                                    {"b": "2"}),
    ({"tags": {}},                                                     "tags",                                    {"a": "1", "b": "2"}),
    ({"properties": {"licenseType": "RHEL_BYOS"}},                     "properties.licenseType",                  "RHEL_BYOS"),
    ({"properties": {"diagnosticsProfile": {"bootDiagnostics": {"storageUri": "https://x/"}}}},
                                                                       "properties.diagnosticsProfile",           {"bootDiagnostics": {"enabled": True, "storageUri": "https://x/"}}),
    ({"properties": {"diagnosticsProfile": None}},                     "properties.diagnosticsProfile",           None),
    ({"properties": None},                                             "properties.licenseType",                  None),
    ({},                                                               "tags",                                    {"a": "1", "b": "2"}),
    ({"location": "eastus"},                                           "location",                                "westeurope"),
)
# fmt: on


@pytest.mark.parametrize(("patch", "path", "value"), MERGES)
def test_a_patch_merges(fake, patch, path, value):
    """A PATCH changes the members that it names, takes away those that are null, keeps the rest."""
    body = changed(
        {**linux_vm(), "tags": {"a": "1", "b": "2"}},
        "properties.diagnosticsProfile",
        {"bootDiagnostics": {"enabled": True}},
    )
    vm = made(fake, body)
    before = vm.model
    poller = begin_patch(fake, "web-1", patch)
    fake.clock.advance(minutes=1)
    found = vm.model
    for step in path.split("."):
        found = (found or {}).get(step)

    assert poller.status() == "Succeeded"
    assert found == value
    assert vm.model["properties"]["storageProfile"] == before["properties"]["storageProfile"]
    assert vm.model["properties"]["osProfile"] == before["properties"]["osProfile"]


IMAGES = {
    "Linux": {},
    "Linux, V2": {f"{IMAGE}.sku": "22_04-lts-gen2"},
    "Windows": {
        f"{IMAGE}.publisher": "MicrosoftWindowsServer",
        "properties.osProfile.windowsConfiguration": {"timeZone": "UTC"},
    },
    "gallery, generalized": {IMAGE: {"id": "/images/g"}},
    "gallery, specialized": {IMAGE: {"id": "/images/s"}, "properties.osProfile": ABSENT},
    "attached": {
        "properties.storageProfile": attached_vm()["properties"]["storageProfile"],
        "properties.osProfile": ABSENT,
    },
}
OPTIONS = (
    {"tags": {"team": "shop", "empty": None}},
    {"zones": ["2"]},
    {"plan": {"name": "p", "publisher": "q", "product": "r"}},
    {"identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {FIRST_USER: {}}}},
    {"identity": {"type": "None"}},
    {"resources": [EXTENSION]},
    {"properties.hardwareProfile.vmSize": "Standard_D2_v2"},
    {"properties.userData": "aGVsbG8="},
    {"properties.licenseType": "RHEL_BYOS"},
    {"properties.networkProfile": ABSENT},
    {"properties.availabilitySet": {"id": "/availabilitySets/a"}},
    {"properties.diagnosticsProfile": {"bootDiagnostics": {"enabled": True}}},
    {"properties.securityProfile": {"securityType": "TrustedLaunch", "encryptionAtHost": True}},
    {"properties.priority": "Spot", "properties.evictionPolicy": "Delete",
     "properties.billingProfile": {"maxPrice": -1}},
    {f"{OS_DISK}.caching": "ReadOnly", f"{OS_DISK}.deleteOption": "Delete"},
    {f"{OS_DISK}.name": "system", f"{OS_DISK}.diskSizeGB": 256},
)  # fmt: skip
DATA_DISKS = (
    {"createOption": "Empty"},
    {
        "createOption": "Empty",
        "diskSizeGB": 8,
        "managedDisk": {"storageAccountType": "UltraSSD_LRS"},
    },
    {"createOption": "Empty", "name": "scratch", "deleteOption": "Delete"},
    {"createOption": "Attach", "managedDisk": {"id": DISK}, "caching": "ReadOnly"},
    {"createOption": "Attach", "managedDisk": {"id": OTHER_DISK}, "diskSizeGB": 32},
    {"createOption": "Copy", "sourceResource": {"id": "/snapshots/s"}, "name": "copy"},
)


@st.composite
def bodies(draw):
    """Draw the body of a VM: an image, some of the options, and data disks."""
    body = linux_vm()
    some = st.lists(st.booleans(), min_size=len(OPTIONS), max_size=len(OPTIONS))
    image = IMAGES[draw(st.sampled_from(sorted(IMAGES)))]
    for option in (image, *compress(OPTIONS, draw(some))):
        for path, value in option.items():
            body = changed(body, path, value)
    luns = draw(st.lists(st.integers(0, 63), max_size=len(DATA_DISKS), unique=True))
    disks = [{"lun": lun, **disk} for lun, disk in zip(luns, DATA_DISKS, strict=False)]
    return changed(body, "properties.storageProfile.dataDisks", disks)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    body=bodies(),
    power_state=st.sampled_from(["running", "stopped", "deallocated"]),
    expand=st.sampled_from([None, "instanceView", "userData"]),
)
def test_a_put_of_what_is_there(body, power_state, expand):
    """Whatever a VM is like, PUT takes what GET gave, and changes nothing by it."""
    with FakeCompute() as fake:
        vm = made(fake, body, power_state=power_state)
        fake.client.virtual_machines.get(GROUP, "web-1", expand=expand)
        given = fake.calls[-1].response_body
        before = vm.model
        poller = begin_put(fake, "web-1", given)
        fake.clock.advance(minutes=5)

        assert (poller.status(), vm.power_state) == ("Succeeded", power_state)
        assert {**vm.model, "etag": ""} == {**before, "etag": ""}
        assert list(vm.model["properties"]) == list(before["properties"])
        fake.client.virtual_machines.get(GROUP, "web-1", expand=expand)
        after = fake.calls[-1].response_body
        for answer in (given, after):
            answer.pop("etag", None)
            answer["properties"].pop("instanceView", None)
        assert after == given


# --- attaching and detaching --------------------------------------------------------------------


def test_a_new_empty_disk(fake):
    """A disk that is added is in the answer without an id, and gets one when the work is done."""
    vm = made(fake, linux_vm())
    disks = [{"lun": 2, "createOption": "Empty", "diskSizeGB": 8}]
    begin_patch(fake, "web-1", nested("properties.storageProfile.dataDisks", disks))
    [echoed] = answered(fake, "PATCH")["storageProfile"]["dataDisks"]
    before = len(vm.effective_model["properties"]["storageProfile"]["dataDisks"])
    fake.clock.advance(minutes=1)
    [disk] = vm.model["properties"]["storageProfile"]["dataDisks"]

    assert echoed["managedDisk"] == {"storageAccountType": "Premium_LRS"}
    assert "name" not in echoed
    assert before == 0
    assert disk["managedDisk"]["id"].endswith(f"/disks/{disk['name']}")
    assert (disk["createOption"], disk["toBeDetached"]) == ("Empty", False)
    assert vm.effective_model["properties"]["storageProfile"]["dataDisks"] == [disk]


def test_an_existing_disk(fake):
    """A disk that exists has its name, size and type in the answer at once."""
    made(fake, linux_vm())
    disks = [{"lun": 0, "createOption": "Attach", "managedDisk": {"id": DISK}}]
    begin_patch(fake, "web-1", nested("properties.storageProfile.dataDisks", disks))
    [disk] = answered(fake, "PATCH")["storageProfile"]["dataDisks"]

    assert disk["name"] == "data-7"
    assert disk["managedDisk"] == {"storageAccountType": "Premium_LRS", "id": DISK}
    assert disk["toBeDetached"] is False
    assert isinstance(disk["diskSizeGB"], int)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_leaving_a_disk_out_detaches_it(fake, method):
    """A disk that is left out is still listed while it is being detached, and then is gone."""
    body = vm_with_disks(empty_disk(0), empty_disk(1))
    vm = made(fake, body)
    disks = vm.model["properties"]["storageProfile"]["dataDisks"]
    if method == "PUT":
        begin_put(fake, "web-1", vm_with_disks(disks[1]))
    else:
        patch = nested("properties.storageProfile.dataDisks", [disks[1]])
        begin_patch(fake, "web-1", patch)
    during = answered(fake, method)["storageProfile"]["dataDisks"]
    runs = vm.effective_model["properties"]["storageProfile"]["dataDisks"]
    fake.clock.advance(minutes=1)

    assert during == [{**disks[0], "toBeDetached": True}, disks[1]]
    assert runs == disks
    assert vm.model["properties"]["storageProfile"]["dataDisks"] == [disks[1]]
    assert vm.effective_model["properties"]["storageProfile"]["dataDisks"] == [disks[1]]


def test_a_forced_detach(fake):
    """A forced detach is echoed with its option, and then the disk is gone."""
    vm = made(fake, vm_with_disks(empty_disk(0)))
    [disk] = vm.model["properties"]["storageProfile"]["dataDisks"]
    forced = {**disk, "toBeDetached": True, "detachOption": "ForceDetach"}
    begin_put(fake, "web-1", vm_with_disks(forced))
    during = answered(fake, "PUT")["storageProfile"]["dataDisks"]
    fake.clock.advance(minutes=1)

    assert during == [forced]
    assert vm.model["properties"]["storageProfile"]["dataDisks"] == []


# --- identity -----------------------------------------------------------------------------------


def with_identity(**identity):
    """Give the body of a VM with this identity."""
    return {**linux_vm(), "identity": identity}


def test_a_system_assigned_identity(fake):
    """The service gives a principal of the fake's tenant, and keeps it through updates."""
    vm = made(fake, with_identity(type="SystemAssigned"))
    identity = vm.model["identity"]
    begin_put(fake, "web-1", with_identity(type="SystemAssigned"))
    fake.clock.advance(minutes=1)
    begin_patch(fake, "web-1", {"tags": {"a": "b"}})
    fake.clock.advance(minutes=1)

    assert list(identity) == ["type", "principalId", "tenantId"]
    assert UUID(identity["principalId"])
    assert identity["tenantId"] == fake.tenant_id
    assert vm.model["identity"] == identity


def test_user_assigned_identities(fake):
    """Each identity that is named gets its ids, and keeps them when it is named again."""
    users = {FIRST_USER: {}, SECOND_USER: {}}
    body = with_identity(type="UserAssigned", userAssignedIdentities=users)
    vm = made(fake, body)
    identity = vm.model["identity"]
    begin_put(fake, "web-1", body)
    fake.clock.advance(minutes=1)

    assert identity["type"] == "UserAssigned"
    assert "principalId" not in identity
    assert list(identity["userAssignedIdentities"]) == [FIRST_USER, SECOND_USER]
    for ids in identity["userAssignedIdentities"].values():
        assert list(ids) == ["principalId", "clientId"]
        assert all(UUID(value) for value in ids.values())
    assert vm.model["identity"] == identity


@pytest.mark.parametrize(
    ("users", "left"),
    [
        ({SECOND_USER: {}}, [FIRST_USER, SECOND_USER]),
        ({FIRST_USER: None, SECOND_USER: {}}, [SECOND_USER]),
        ({FIRST_USER: {}}, [FIRST_USER]),
    ],
)
def test_patching_user_assigned_identities(fake, users, left):
    """A PATCH adds the identities that it names, takes away those that are null, keeps others."""
    body = with_identity(type="UserAssigned", userAssignedIdentities={FIRST_USER: {}})
    vm = made(fake, body)
    patch = {"identity": {"type": "UserAssigned", "userAssignedIdentities": users}}
    begin_patch(fake, "web-1", patch)
    fake.clock.advance(minutes=1)

    assert list(vm.model["identity"]["userAssignedIdentities"]) == left


def test_no_identity_any_more(fake):
    """An identity of type None takes the principal away."""
    vm = made(fake, with_identity(type="SystemAssigned"))
    begin_patch(fake, "web-1", {"identity": {"type": "None"}})
    fake.clock.advance(minutes=1)

    assert "principalId" not in vm.model.get("identity", {})


# --- anything at all ----------------------------------------------------------------------------

WHOLE = {
    **changed(vm_with_disks(empty_disk(0), empty_disk(1, managedDisk={"id": DISK})),
              "properties.osProfile.linuxConfiguration",
              {"ssh": {"publicKeys": [{"path": "/x", "keyData": "k"}]}, "patchSettings": {}}),
    "tags": {"team": "shop"},
    "zones": ["1"],
    "plan": {"name": "p"},
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {FIRST_USER: {}}},
    "resources": [EXTENSION],
}  # fmt: skip
JUNK = (None, "", "x", 0, -1, 7, 1.5, True, [], [None], ["x"], [{}], {}, {"x": None}, {"id": None})


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize("way", ["create", "put", "patch"])
def test_whatever_a_member_holds(way, junk):
    """Whatever stands in whichever member, a body is taken or refused as Azure refuses."""
    ids = count()
    facts = {"name": "web-1", "new_id": lambda: f"{next(ids):032x}"}
    old = models.created(checked(WHOLE), vm_id="id", **facts)
    old = models.completed(old, disk_id=str, **facts)
    pristine = json.dumps(old)
    crashed = {}
    for path in paths(WHOLE):
        body = changed(WHOLE, path, junk)
        try:
            if way == "create":
                model = models.created(checked(body), vm_id="id", **facts)
            elif way == "put":
                model = models.put(old, checked(body), deallocated=False, **facts)
            else:
                model = models.patched(old, checked(body), deallocated=False, **facts)
            models.completed(model, disk_id=str, **facts)
        except ArmError:
            pass
        except Exception as error:
            crashed[path] = repr(error)

    assert crashed == {}
    assert json.dumps(old) == pristine


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_whatever_a_patch_holds(junk):
    """Whatever stands alone in a PATCH, it is taken or refused, and the old model stays."""
    ids = count()
    facts = {"name": "web-1", "new_id": lambda: f"{next(ids):032x}"}
    old = models.created(checked(WHOLE), vm_id="id", **facts)
    old = models.completed(old, disk_id=str, **facts)
    pristine = json.dumps(old)
    crashed = {}
    for path in paths(WHOLE):
        steps = path.replace(FIRST_USER, "user").split(".")
        patch = junk
        for step in reversed(steps):
            patch = [patch] if step.isdigit() else {step: patch}
        try:
            model = models.patched(old, checked(patch), deallocated=False, **facts)
            models.completed(model, disk_id=str, **facts)
        except ArmError:
            pass
        except Exception as error:
            crashed[path] = repr(error)

    assert crashed == {}
    assert json.dumps(old) == pristine
