"""The form of a VM's body: what is refused at the door, in Azure's words, and what is let in."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import json
import re

import pytest

from pytest_azurevm._errors import ArmError
from pytest_azurevm._vm_form import LOCATIONS, checked, checked_location, checked_name
from tests.builders import (
    ABSENT,
    CUSTOM_DATA,
    EXTENSION,
    GROUP,
    begin_patch,
    begin_put,
    changed,
    empty_disk,
    linux_vm,
    refusal,
    sent,
    vm_with_disks,
)

CONTENT = "The request content was invalid and could not be deserialized: '{}'."
UNKNOWN = "Could not find member '{name}' on object of type '{type}'. Path '{path}', {place}."


def place(text, name):
    """Say where *text*, of one line, names a member first."""
    return f"line 1, position {text.index(json.dumps(name)) + len(json.dumps(name))}"


def json_path(path):
    """Give a path as Azure's messages write it: indexes in brackets."""
    return re.sub(r"\.(\d+)", r"[\1]", path)


def untouched(fake):
    """Whether nothing at all was made: no VM, no operation."""
    return fake.vms == () and not fake._compute._operations


# fmt: off
UNKNOWN_MEMBERS = (
    # where                                                type
    ("os_profile",                                         "ResourceDefinition"),
    ("Properties2",                                        "ResourceDefinition"),
    ("hardwareProfile",                                    "ResourceDefinition"),
    ("properties.os_profile",                              "Properties"),
    ("properties.storageProfile.os_disk",                  "StorageProfile"),
    ("properties.storageProfile.dataDisks.0.toBeAttached", "DataDisk"),
    ("properties.osProfile.windowsConfiguration.patches",  "WindowsConfiguration"),
)
# fmt: on


@pytest.mark.parametrize(("path", "type_"), UNKNOWN_MEMBERS)
def test_unknown_members(fake, path, type_):
    """A member that ARM does not know is refused, and its name, owner and place are given."""
    body = changed(vm_with_disks(empty_disk(0)), path, {})
    name = path.rpartition(".")[2]
    text = sent(body).decode()
    reason = UNKNOWN.format(name=name, type=type_, path=json_path(path), place=place(text, name))

    assert refusal(lambda: begin_put(fake, "web-1", body)) == (
        400, "InvalidRequestContent", CONTENT.format(reason), None
    )  # fmt: skip
    assert untouched(fake)


def test_the_place_of_an_unknown_member():
    """The line is that of the request's own text."""
    text = '{\n "location": "westeurope",\n "propertys": {}\n}'

    with pytest.raises(ArmError) as caught:
        checked(json.loads(text), text)
    assert caught.value.message.endswith("Path 'propertys', line 3, position 12.'.")
    assert caught.value.gateway


# fmt: off
UNKNOWN_CHOICES = (
    ("properties.storageProfile.osDisk.caching",                         "Unrecognized"),
    ("properties.storageProfile.osDisk.createOption",                    "Bar"),
    ("properties.storageProfile.osDisk.osType",                          "BeOS"),
    ("properties.storageProfile.osDisk.managedDisk.storageAccountType",  "StandardLRS"),
    ("properties.storageProfile.dataDisks.0.caching",                    "Write"),
    ("properties.storageProfile.dataDisks.0.deleteOption",               "Keep"),
    ("properties.priority",                                              "High"),
    ("properties.evictionPolicy",                                        ""),
)
# fmt: on


@pytest.mark.parametrize(("path", "value"), UNKNOWN_CHOICES)
def test_unknown_choices(fake, path, value):
    """A value that is none of a member's choices is refused by Compute, which names its path."""
    body = changed(vm_with_disks(empty_disk(0)), path, value)
    status, code, message, target = refusal(lambda: begin_put(fake, "web-1", body))

    assert (status, code, target) == (400, "BadRequest", f"vm.{json_path(path)}")
    assert re.fullmatch(
        rf"Error converting value \"{value}\" to type '[^']+'\. "
        rf"Path '{re.escape(json_path(path))}', line 1, position \d+\.",
        message,
    )
    assert untouched(fake)


# fmt: off
MISFITS = (
    ("properties",                                    []),
    ("properties",                                    "x"),
    ("properties.osProfile",                          "x"),
    ("properties.osProfile.adminUsername",            {}),
    ("properties.osProfile.adminUsername",            ["x"]),
    ("properties.osProfile.allowExtensionOperations", "yes"),
    ("properties.osProfile.allowExtensionOperations", 1),
    ("properties.storageProfile.osDisk",              []),
    ("properties.storageProfile.osDisk.diskSizeGB",   "big"),
    ("properties.storageProfile.osDisk.diskSizeGB",   1.5),
    ("properties.storageProfile.osDisk.diskSizeGB",   True),
    ("properties.storageProfile.dataDisks",           {}),
    ("properties.storageProfile.dataDisks.0",         "x"),
    ("properties.storageProfile.dataDisks.0",         None),
    ("properties.storageProfile.dataDisks.0.lun",     "0x0"),
    ("properties.storageProfile.dataDisks.0.lun",     ""),
    ("properties.networkProfile.networkInterfaces",   "nic"),
    ("properties.billingProfile.maxPrice",            "cheap"),
    ("properties.billingProfile.maxPrice",            "NaN"),
    ("properties.billingProfile.maxPrice",            True),
    ("properties.storageProfile.osDisk.caching",      7),
)
# fmt: on


@pytest.mark.parametrize(("path", "value"), MISFITS)
def test_values_that_do_not_fit(fake, path, value):
    """A value of another type than its member's is refused by Compute, which names its path."""
    body = changed(vm_with_disks(empty_disk(0)), path, value)
    status, code, message, target = refusal(lambda: begin_put(fake, "web-1", body))

    assert (status, code, target) == (400, "BadRequest", f"vm.{json_path(path)}")
    assert re.search(rf"Path '{re.escape(json_path(path))}', line 1, position \d+\.$", message)
    assert untouched(fake)


# fmt: off
WRITTEN_AS_TEXT = (
    ("properties.osProfile.allowExtensionOperations", "true",    True),
    ("properties.osProfile.allowExtensionOperations", "False",   False),
    ("properties.storageProfile.osDisk.diskSizeGB",   "127",     127),
    ("properties.storageProfile.dataDisks.0.lun",     "0",       0),
    ("properties.billingProfile.maxPrice",            "-1",      -1.0),
    ("properties.billingProfile.maxPrice",            "0.98765", 0.98765),
)
# fmt: on


@pytest.mark.parametrize(("path", "value", "read"), WRITTEN_AS_TEXT)
def test_numbers_and_truth_written_as_text(path, value, read):
    """A number or a truth that is written as text is taken, and shown as what it is."""
    body = changed(vm_with_disks(empty_disk(0)), path, value)
    found = checked(body, sent(body).decode())
    for step in path.split("."):
        found = found[int(step) if step.isdigit() else step]

    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("path", "value"),
    [("tags", []), ("tags", "x"), ("zones", "1"), ("zones.0", {}), ("zones.0", None), ("plan", 7)],
)
def test_misfits_at_the_top(fake, path, value):
    """At the top level it is the front door that refuses what does not fit."""
    body = changed({**linux_vm(), "zones": ["1"]}, path, value)
    status, code, message, target = refusal(lambda: begin_put(fake, "web-1", body))

    assert (status, code, target) == (400, "InvalidRequestContent", None)
    assert f"Path '{json_path(path)}', line 1, position " in message
    assert untouched(fake)


def test_messages_speak_of_json():
    """A message about a value that does not fit does not name a type of Python's."""
    messages = []
    for path, value in MISFITS:
        body = changed(vm_with_disks(empty_disk(0)), path, value)
        with pytest.raises(ArmError) as caught:
            checked(body, sent(body).decode())
        messages.append(caught.value.message)

    assert [
        message
        for message in messages
        if re.search(r"value (int|float|bool|list|dict|NoneType) to", message)
    ] == []


@pytest.mark.parametrize(("value", "token"), [({}, "StartObject"), ([], "StartArray")])
def test_a_tag_that_is_no_text(fake, value, token):
    """A tag's value must be text, says the front door."""
    body = {**linux_vm(), "tags": {"team": value}}
    status, code, message, target = refusal(lambda: begin_put(fake, "web-1", body))

    assert (status, code, target) == (400, "InvalidRequestContent", None)
    assert re.fullmatch(
        CONTENT.format(
            rf"Error reading string\. Unexpected token: {token}\. "
            r"Path 'tags\.team', line 1, position \d+\."
        ),
        message,
    )
    assert untouched(fake)


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b"[]", b'"x"', b"7", b"null", b"{}}", b"\xff", b'{"a": NaN}', b"{1}"]
)
@pytest.mark.parametrize("existing", [False, True])
def test_what_is_no_object(fake, body, existing):
    """A body that is no JSON object is refused by the front door, whatever the VM."""
    if existing:
        fake.add_vm("web-1", resource_group=GROUP)
    machines = fake.client.virtual_machines
    status, code, message, target = refusal(
        lambda: machines.begin_create_or_update(GROUP, "web-1", body)
    )

    assert (status, code, target) == (400, "InvalidRequestContent", None)
    assert message.startswith("The request content was invalid and could not be deserialized: '")
    assert message.endswith(".'.")
    assert [vm.provisioning_state for vm in fake.vms] == (["Succeeded"] if existing else [])


# fmt: off
NAMES = (
    # name         code                                     message                                                        target
    ("a" * 65,     "InvalidParameter",                      f"The length of the virtual machine name '{'a' * 65}' must be between 1 and 64 characters.", "vmName"),
    ("web<1>",     "InvalidResourceName",                   "The provided resource name 'web<1>' has these invalid characters: '<>'. The name can not contain the characters: '<>%&:\\?/#'.", None),
    ("web:1",      "InvalidResourceName",                   "The provided resource name 'web:1' has these invalid characters: ':'. The name can not contain the characters: '<>%&:\\?/#'.", None),
    ("100%",       "InvalidResourceName",                   "The provided resource name '100%' has these invalid characters: '%'. The name can not contain the characters: '<>%&:\\?/#'.", None),
    ("web?&1",     "InvalidResourceName",                   "The provided resource name 'web?&1' has these invalid characters: '&?'. The name can not contain the characters: '<>%&:\\?/#'.", None),
    ("web#1",      "InvalidResourceName",                   "The provided resource name 'web#1' has these invalid characters: '#'. The name can not contain the characters: '<>%&:\\?/#'.", None),
    ("web.",       "InvalidResourceNameTrailingCharacters", "The provided resource name 'web.' has these invalid trailing characters: '.'. The name can not end with characters: '. '.", None),
    ("web ",       "InvalidResourceNameTrailingCharacters", "The provided resource name 'web ' has these invalid trailing characters: ' '. The name can not end with characters: '. '.", None),
)
# fmt: on


@pytest.mark.parametrize(("name", "code", "message", "target"), NAMES)
def test_names_that_cannot_be(fake, name, code, message, target):
    """A VM's name that is too long, ends badly or holds what it must not is refused."""
    assert refusal(lambda: begin_put(fake, name, linux_vm())) == (400, code, message, target)
    assert untouched(fake)


@pytest.mark.parametrize(
    "name", ["1", "a" * 64, "web_1", "web.1", "WEB-1", "-web", "müller", "a b"]
)
def test_names_that_can_be(name):
    """A VM's name may have underscores, dots, blanks inside, and 64 characters."""
    assert checked_name(name) is None


@pytest.mark.parametrize("location", [ABSENT, None, ""])
@pytest.mark.parametrize("existing", [False, True])
def test_no_location(fake, location, existing):
    """A PUT needs a location, also of a VM that has one."""
    if existing:
        fake.add_vm("web-1", resource_group=GROUP)
    body = changed(linux_vm(), "location", location)

    assert refusal(lambda: begin_put(fake, "web-1", body)) == (
        400,
        "LocationRequired",
        "The location property is required for this definition.",
        None,
    )
    assert len(fake.vms) == int(existing)


@pytest.mark.parametrize("location", ["atlantis", "west-europe", "westeurope1"])
def test_unknown_location(fake, location):
    """A location that Azure does not have is refused, and those that it has are listed."""
    body = changed(linux_vm(), "location", location)

    assert refusal(lambda: begin_put(fake, "web-1", body)) == (
        400,
        "LocationNotAvailableForResourceType",
        f"The provided location '{location}' is not available for resource type "
        "'Microsoft.Compute/virtualMachines'. List of available regions for the resource type is "
        f"'{','.join(LOCATIONS)}'.",
        None,
    )
    assert untouched(fake)


@pytest.mark.parametrize(
    ("location", "spelled"),
    [("westeurope", "westeurope"), ("West Europe", "westeurope"), ("EASTUS2", "eastus2")],
)
def test_locations_in_any_spelling(fake, location, spelled):
    """A location is taken by its name or as people write it, and shown as its name."""
    begin_put(fake, "web-1", changed(linux_vm(), "location", location))

    assert checked_location({"location": location}) == spelled
    assert fake.vm("web-1").location == spelled
    assert fake.calls[0].response_body["location"] == spelled


def test_members_and_choices_in_any_case():
    """Names of members and choices are taken in any case, and spelled as ARM spells them."""
    body = {
        "LOCATION": "westeurope",
        "Properties": {
            "storageprofile": {"OsDisk": {"CREATEOPTION": "fromimage", "caching": "readonly"}},
            "Priority": "spot",
        },
        "identity": {"type": "systemassigned,userassigned"},
    }

    assert checked(body) == {
        "location": "westeurope",
        "properties": {
            "storageProfile": {"osDisk": {"createOption": "FromImage", "caching": "ReadOnly"}},
            "priority": "Spot",
        },
        "identity": {"type": "SystemAssigned, UserAssigned"},
    }


def test_names_that_are_the_callers_stay():
    """Names of tags, and of what settings hold, are the caller's and stay as they are."""
    settings = {"Command": "true", "os_profile": [1, None, {"A": 1.5}]}
    extension = changed(EXTENSION, "properties.settings", settings)
    body = {"tags": {"Team": "x", "os_profile": "y", "empty": None}, "resources": [extension]}

    assert checked(body) == body


def test_what_only_the_service_sets_is_left_out():
    """Members that only the service sets may be sent, and change nothing."""
    body = linux_vm()
    sent_back = {
        **body,
        "id": "/subscriptions/x",
        "type": "Microsoft.Compute/virtualMachines",
        "etag": '"7"',
        "systemData": {"createdBy": "me"},
        "properties": {
            **body["properties"],
            "provisioningState": "Failed",
            "vmId": "mine",
            "timeCreated": "1999-01-01T00:00:00+00:00",
            "instanceView": {"statuses": []},
        },
    }

    assert checked(sent_back) == body


def test_null_is_as_good_as_absent(fake):
    """Members that are null are taken as not there."""
    body = changed(linux_vm(), "properties.osProfile.customData", None)
    for path in ("tags", "zones", "properties.priority", "properties.storageProfile.dataDisks"):
        body = changed(body, path, None)
    begin_put(fake, "web-1", body)

    assert fake.calls[0].status == 201
    assert not {"tags", "zones"} & set(fake.vm("web-1").model)


def test_what_azure_gave_back_is_taken(fake):
    """What GET answers may be sent by PUT as it is: nothing is refused, nothing changes."""
    user = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
    body = {
        **vm_with_disks(empty_disk(0), empty_disk(3)),
        "tags": {"team": "shop"},
        "zones": ["1"],
        "identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {user: {}}},
        "resources": [EXTENSION],
    }
    begin_put(fake, "web-1", changed(body, "properties.osProfile.customData", CUSTOM_DATA))
    fake.clock.advance(minutes=5)
    fake.client.virtual_machines.get(GROUP, "web-1", expand="instanceView")
    given = fake.calls[-1].response_body
    before = fake.vm("web-1").model
    begin_put(fake, "web-1", given)
    fake.clock.advance(minutes=5)

    assert {**fake.vm("web-1").model, "etag": None} == {**before, "etag": None}


def test_the_same_judgement_for_a_patch(fake):
    """The body of a PATCH is judged as that of a PUT is."""
    fake.add_vm("web-1", resource_group=GROUP)
    unknown = refusal(lambda: begin_patch(fake, "web-1", {"properties": {"os_profile": {}}}))
    misfit = refusal(lambda: begin_patch(fake, "web-1", {"properties": {"priority": "High"}}))

    assert unknown[:2] == (400, "InvalidRequestContent")
    assert misfit[:2] == (400, "BadRequest")
    assert misfit[3] == "vm.properties.priority"


def test_a_refused_request_is_among_the_calls(fake):
    """What was refused is found in the calls: what was asked, and the answer."""
    body = changed(linux_vm(), "os_profile", {})
    refusal(lambda: begin_put(fake, "web-1", body))
    [call] = fake.calls

    assert (call.operation, call.method, call.vm, call.status, call.error_code) == (
        "create", "PUT", "web-1", 400, "InvalidRequestContent"
    )  # fmt: skip
    assert call.request_body == body
    assert call.response_body["error"]["code"] == "InvalidRequestContent"
