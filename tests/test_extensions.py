"""Extensions of a VM as resources of their own: written, looked at, deleted, failing, waiting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_azurevm import FakeCompute
from pytest_azurevm import _lifecycle as table
from pytest_azurevm._records import Fate
from tests.builders import (
    GROUP,
    begin,
    begin_patch,
    begin_put,
    changed,
    codes,
    empty_disk,
    linux_vm,
    polled,
    refusal,
    sent,
)
from tests.test_lifecycle import CONCURRENT, MARKED, NOT_ALLOWED, cells
from tests.test_operations import agent, spot_vm

NOT_RUNNING = "Cannot modify extensions in the VM when the VM is not running."
SILENT = (
    "VM 'web-1' has not reported status for VM agent or extensions. Verify that the OS is up and "
    "healthy, the VM has a running VM agent, and that it can establish outbound connections to "
    "Azure storage. Please refer to https://aka.ms/vmextensionlinuxtroubleshoot for additional VM "
    "agent troubleshooting information."
)
SCRIPT_FAILED = (
    "VM has reported a failure when processing extension 'hello' (publisher "
    "'Microsoft.Azure.Extensions' and type 'CustomScript'). Error message: \"Enable failed with "
    'exit code 52 Could not create marker file".'
)
BODY: dict[str, Any] = {
    "location": "westeurope",
    "properties": {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "autoUpgradeMinorVersion": True,
        "settings": {"commandToExecute": "true"},
        "protectedSettings": {"storageAccountKey": "key-to-the-cellar"},
    },
}
# fmt: off
# What becomes of an operation on an extension that meets another operation, or is met by one.
ARRIVING = (
    # in flight     extension_create  extension_update  extension_delete
    ("create",     ("conflict",       "conflict",       "conflict")),
    ("update",     ("conflict",       "conflict",       "conflict")),
    ("reapply",    ("conflict",       "conflict",       "conflict")),
    ("delete",     ("deleting",       "deleting",       "deleting")),
    ("start",      ("refuse",         "refuse",         "refuse")),
    ("power_off",  ("refuse",         "refuse",         "refuse")),
    ("restart",    ("refuse",         "refuse",         "refuse")),
    ("deallocate", ("refuse",         "refuse",         "refuse")),
    ("redeploy",   ("refuse",         "refuse",         "refuse")),
    ("reimage",    ("refuse",         "refuse",         "refuse")),
    ("eviction",   ("refuse",         "refuse",         "refuse")),
    ("extension_create", ("beside",   "beside",         "beside")),
    ("extension_delete", ("beside",   "beside",         "beside")),
)
# fmt: on
PREEMPTING = (
    "update",
    "reapply",
    "delete",
    "start",
    "power_off",
    "restart",
    "deallocate",
    "redeploy",
    "reimage",
    "eviction",
)  # fmt: skip


def put(fake, name="hello", body=BODY, vm="web-1"):
    """Begin a PUT of an extension, and give the poller."""
    operations = fake.client.virtual_machine_extensions
    return operations.begin_create_or_update(GROUP, vm, name, sent(body))


def delete(fake, name="hello"):
    """Begin a delete of an extension, and give the poller."""
    return fake.client.virtual_machine_extensions.begin_delete(GROUP, "web-1", name)


def get(fake, name="hello", expand=None):
    """Give an extension's body as it is answered."""
    fake.client.virtual_machine_extensions.get(GROUP, "web-1", name, expand=expand)
    return fake.calls[-1].response_body


def state(fake, name="hello"):
    """Give an extension's provisioning state."""
    return get(fake, name)["properties"]["provisioningState"]


def view_of(fake):
    """Give the extensions of the VM's instance view, as JSON."""
    fake.client.virtual_machines.instance_view(GROUP, "web-1")
    return fake.calls[-1].response_body.get("extensions")


@pytest.fixture
def vm(fake):
    """A VM that has long been running."""
    return fake.add_vm("web-1", resource_group=GROUP)


def test_a_new_extension(fake, vm):
    """A PUT is a 201 that says Creating, polled at one URL; the VM is Updating meanwhile."""
    seen = []
    poller = fake.client.virtual_machine_extensions.begin_create_or_update(
        GROUP, "web-1", "hello", sent(BODY), raw_response_hook=seen.append
    )
    first = seen[0].http_response
    answered = fake.calls[0]
    during = (codes(fake, "web-1"), state(fake), vm.operation.operation)
    fake.clock.advance(47.999)
    before = (state(fake), vm.provisioning_state)
    fake.clock.advance(0.001)

    assert (answered.operation, answered.status) == ("extension_create", 201)
    assert answered.response_body == {
        "name": "hello",
        "id": f"{vm.id}/extensions/hello",
        "type": "Microsoft.Compute/virtualMachines/extensions",
        "location": "westeurope",
        "properties": {
            "autoUpgradeMinorVersion": True,
            "provisioningState": "Creating",
            "publisher": "Microsoft.Azure.Extensions",
            "type": "CustomScript",
            "typeHandlerVersion": "2.1",
            "settings": {"commandToExecute": "true"},
        },
    }
    assert list(answered.response_body["properties"])[:3] == [
        "autoUpgradeMinorVersion", "provisioningState", "publisher"
    ]  # fmt: skip
    assert first.headers["Azure-AsyncNotification"] == "Enabled"
    assert not {"Location", "Retry-After"} & set(first.headers)
    assert "UpdateVMResource;11" in first.headers["x-ms-ratelimit-remaining-resource"]
    assert during == (
        ["ProvisioningState/updating", "PowerState/running"], "Creating", "extension_create"
    )  # fmt: skip
    assert before == ("Creating", "Updating")
    assert poller.result().provisioning_state == "Succeeded"
    assert (vm.provisioning_state, vm.operation) == ("Succeeded", None)
    assert [line.cause for line in vm.history] == ["seeded", "extension_create", "extension_create"]


def test_what_the_instance_view_shows(fake, vm):
    """While it is installed an extension shows its name alone, afterwards all of it."""
    put(fake)
    during = view_of(fake)
    fake.clock.advance(minutes=1)

    assert during == [{"name": "hello"}]
    assert view_of(fake) == [
        {
            "name": "hello",
            "type": "Microsoft.Azure.Extensions.CustomScript",
            "typeHandlerVersion": "2.1",
            "statuses": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": "Info",
                    "displayStatus": "Provisioning succeeded",
                    "message": "Enable succeeded.",
                }
            ],
        }
    ]


def test_an_extension_with_its_instance_view(fake, vm):
    """GET and list give the instance view if it is asked for, and only then."""
    put(fake).result()
    plain = get(fake)
    expanded = get(fake, expand="instanceView")
    fake.client.virtual_machine_extensions.list(GROUP, "web-1", expand="instanceView")
    listed = fake.calls[-1].response_body["value"]

    assert "instanceView" not in plain["properties"]
    assert expanded["properties"]["instanceView"] == view_of(fake)[0]
    assert list(expanded["properties"])[1:3] == ["provisioningState", "instanceView"]
    assert listed == [expanded]


def test_an_extension_of_a_deallocated_vm_has_no_instance_view(fake, vm):
    """Of a VM without an agent nothing is told."""
    put(fake).result()
    begin(fake, "deallocate", "web-1").result()

    assert "instanceView" not in get(fake, expand="instanceView")["properties"]
    assert state(fake) == "Succeeded"


def test_an_expansion_that_there_is_not(fake, vm):
    """A misspelt expansion is a 400."""
    put(fake).result()

    assert refusal(lambda: get(fake, expand="instancView"))[:2] == (400, "InvalidParameter")


def test_writing_it_again(fake, vm):
    """A PUT of an extension that is there is a 200 that says Updating, and writes it anew."""
    put(fake).result()
    body = changed(BODY, "properties.settings", {"commandToExecute": "false"})
    body["properties"].pop("autoUpgradeMinorVersion")
    poller = put(fake, "HELLO", body)
    answered = fake.calls.filter(operation="extension_update")[0]
    during = state(fake)

    assert (answered.status, answered.response_body["name"]) == (200, "hello")
    assert answered.response_body["properties"]["provisioningState"] == during == "Updating"
    assert poller.result().settings == {"commandToExecute": "false"}
    assert get(fake)["properties"]["autoUpgradeMinorVersion"] is False
    assert len(vm.extensions) == 1


def test_changing_some_of_it(fake, vm):
    """A PATCH changes what it names, and leaves the rest."""
    put(fake).result()
    poller = fake.client.virtual_machine_extensions.begin_update(
        GROUP, "web-1", "hello", sent({"tags": {"a": "b"}, "properties": {"forceUpdateTag": "2"}})
    )
    answered = fake.calls.filter(method="PATCH")[0]
    poller.result()
    found = get(fake)

    assert (answered.operation, answered.status) == ("extension_update", 200)
    assert answered.response_body["properties"]["provisioningState"] == "Updating"
    assert found["tags"] == {"a": "b"}
    assert list(found["properties"]) == [
        "autoUpgradeMinorVersion", "forceUpdateTag", "provisioningState", "publisher", "type",
        "typeHandlerVersion", "settings",
    ]  # fmt: skip
    assert found["properties"]["settings"] == {"commandToExecute": "true"}


def test_deleting_it(fake, vm):
    """A DELETE is a 202 with both URLs; the extension is Deleting, then there is none."""
    put(fake).result()
    started = fake.clock.now
    seen = []
    poller = fake.client.virtual_machine_extensions.begin_delete(
        GROUP, "web-1", "hello", raw_response_hook=lambda a: seen.append(a.http_response)
    )
    during = (state(fake), codes(fake, "web-1")[0])
    poller.result()

    assert (seen[0].status_code, fake.calls.filter(method="DELETE")[0].answered) == (202, b"")
    assert {"Azure-AsyncOperation", "Location"} <= set(seen[0].headers)
    assert during == ("Deleting", "ProvisioningState/updating")
    assert (fake.clock.now - started).total_seconds() == 30  # the SDK's own interval
    assert refusal(lambda: get(fake))[:2] == (404, "ResourceNotFound")
    assert (vm.extensions, view_of(fake), "resources" in vm.model) == ((), None, False)
    assert vm.effective_model == {k: v for k, v in vm._vm.model.items() if k != "resources"}
    assert (vm.history[-1].at - started).total_seconds() == 15.5


def test_listing_them(fake, vm):
    """A list gives every extension, in the order in which they were made."""
    empty = [one.name for one in fake.client.virtual_machine_extensions.list(GROUP, "web-1").value]
    put(fake, "one").result()
    put(fake, "two").result()
    found = fake.client.virtual_machine_extensions.list(GROUP, "web-1").value

    assert (empty, [one.name for one in found]) == ([], ["one", "two"])
    assert fake.calls[-1].operation == "extension_list"
    body = fake.client.virtual_machines.get(GROUP, "web-1")
    assert [one.name for one in body.resources] == ["one", "two"]


def test_secrets_are_never_told(fake, vm):
    """Protected settings are in no answer and no view."""
    put(fake).result()
    get(fake, expand="instanceView")
    fake.client.virtual_machines.get(GROUP, "web-1")

    shown = json.dumps([call.response_body for call in fake.calls]) + str(vm.model)
    assert "cellar" not in shown + str(vm.effective_model) + str(vm.extensions)


@pytest.mark.parametrize("ended_by", ["power_off", "deallocate"])
@pytest.mark.parametrize("what", ["create", "update", "patch", "delete"])
def test_extensions_of_a_vm_that_does_not_run(fake, vm, ended_by, what):
    """Where no guest runs no extension is written, and nothing changes; looking is allowed."""
    name = "new" if what == "create" else "hello"
    put(fake).result()
    begin(fake, ended_by, "web-1").result()
    was = (vm.model, vm.history)
    ask = {
        "create": lambda: put(fake, name),
        "update": lambda: put(fake, name),
        "patch": lambda: fake.client.virtual_machine_extensions.begin_update(
            GROUP, "web-1", name, b"{}"
        ),
        "delete": lambda: delete(fake, name),
    }[what]

    assert refusal(ask) == (409, NOT_ALLOWED, NOT_RUNNING, None)
    assert (vm.model, vm.history) == was
    assert state(fake) == "Succeeded"


def test_an_extension_while_the_guest_goes_down(fake, vm):
    """A VM whose guest shuts itself down is not running either."""
    vm.guest_shutdown()

    assert refusal(lambda: put(fake)) == (409, NOT_ALLOWED, NOT_RUNNING, None)


@pytest.mark.parametrize(
    "linux", [{"linuxConfiguration": {"provisionVMAgent": False}},
              {"allowExtensionOperations": False}]
)  # fmt: skip
def test_a_vm_that_takes_no_extensions(fake, linux):
    """Without an agent, or where the owner forbids it, no extension is written."""
    fake.add_vm("web-1", resource_group=GROUP, parameters={"properties": {"osProfile": linux}})
    answer = refusal(lambda: put(fake))

    assert answer[:2] == (409, NOT_ALLOWED)
    assert answer[2].startswith("This operation cannot be performed when extension operations are ")


@pytest.mark.parametrize(
    ("path", "value", "code", "said"),
    [
        ("properties.publisher", None, "InvalidParameter", "'publisher' is missing"),
        ("properties.type", "", "InvalidParameter", "'type' is missing"),
        ("properties.typeHandlerVersion", None, "InvalidParameter", "'typeHandlerVersion' is m"),
        ("location", None, "LocationRequired", "location property is required"),
        ("location", "atlantis", "LocationNotAvailableForResourceType", "'atlantis'"),
        ("properties.setings", {}, "InvalidRequestContent", "'setings'"),
        ("properties.autoUpgradeMinorVersion", "yes", "BadRequest", "autoUpgradeMinorVersion"),
    ],
)
def test_what_an_extension_cannot_be(fake, vm, path, value, code, said):
    """A body that cannot be is a 400 that names what is wrong, and nothing changes."""
    answer = refusal(lambda: put(fake, body=changed(BODY, path, value)))

    assert answer[:2] == (400, code)
    assert said in answer[2]
    assert (vm.extensions, vm.provisioning_state, vm.operation) == ((), "Succeeded", None)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, {"autoUpgradeMinorVersion": False, "settings": {}}),
        ({"autoUpgradeMinorVersion": True}, {"autoUpgradeMinorVersion": True}),
        ({"settings": {"a": 1}}, {"autoUpgradeMinorVersion": False, "settings": {"a": 1}}),
    ],
)
def test_what_an_extension_is_by_default(fake, vm, asked, shown):
    """What a request leaves out is completed as in recorded answers."""
    required = {"publisher": "P", "type": "T", "typeHandlerVersion": "1.0"}
    put(fake, body={"location": "westeurope", "properties": {**required, **asked}}).result()

    found = get(fake)["properties"]
    assert {k: v for k, v in found.items() if k not in (*required, "provisioningState")} == shown


@pytest.mark.parametrize("name", ["a%3Fb", "ends."])
def test_names_that_an_extension_cannot_have(fake, vm, name):
    """A name that ARM forbids is refused."""
    assert refusal(lambda: put(fake, name.replace("%3F", "?")))[0] == 400
    assert vm.extensions == ()


def test_what_is_not_there(fake, vm):
    """An extension that never was is ARM's 404; deleting it is nothing to do."""
    missing = (
        "The Resource 'Microsoft.Compute/virtualMachines/web-1/extensions/hello' under resource "
        "group 'shop' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix"
    )
    patch = fake.client.virtual_machine_extensions.begin_update

    assert refusal(lambda: get(fake)) == (404, "ResourceNotFound", missing, None)
    assert refusal(lambda: patch(GROUP, "web-1", "hello", b"{}"))[1] == "ResourceNotFound"
    delete(fake).result()
    assert [(call.operation, call.status) for call in fake.calls] == [
        ("extension_get", 404), ("extension_update", 404), ("extension_delete", 204)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "verb"), [(put, "write"), (get, "read"), (delete, "delete")], ids=["put", "get", "del"]
)
def test_extensions_of_a_vm_that_is_not_there(fake, ask, verb):
    """Without the VM there is no parent, and ARM says so."""
    status, code, message, _ = refusal(lambda: ask(fake))

    assert (status, code) == (404, "ParentResourceNotFound")
    assert message.startswith(f"Failed to perform '{verb}' on resource(s) of type ")
    assert "/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1'" in message


@pytest.mark.parametrize(("message", "exit_code"), [(SCRIPT_FAILED, "52"), ("Sorry.", "0")])
def test_an_extension_that_fails(fake, vm, message, exit_code):
    """The operation fails, and the extension with it; the VM itself has succeeded."""
    asked = []
    fake._compute.fate = lambda vm, operation: (
        asked.append(operation)
        or Fate(ends="Failed", error=("VMExtensionProvisioningError", message))
    )
    poller = put(fake)
    fake.clock.advance(minutes=2)

    assert asked == ["extension_create"]
    assert refusal(poller.result)[1:3] == ("VMExtensionProvisioningError", message)
    assert polled(fake, "Failed")[0]["error"]["code"] == "VMExtensionProvisioningError"
    assert (vm.provisioning_state, state(fake)) == ("Succeeded", "Failed")
    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/running"]
    [shown] = view_of(fake)
    assert shown["statuses"] == [
        {
            "code": f"ProvisioningState/failed/{exit_code}",
            "level": "Error",
            "displayStatus": "Provisioning failed",
            "message": message,
        }
    ]
    assert vm.history[-1].cause == "extension_create: VMExtensionProvisioningError"


def test_a_failed_extension_is_written_again(fake, vm):
    """A second PUT that succeeds leaves no trace of the failure."""
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("VMExtensionProvisioningError", "Sorry.")
    )
    put(fake)
    fake.clock.advance(minutes=2)
    fake._compute.fate = lambda vm, operation: None
    put(fake).result()

    assert state(fake) == "Succeeded"
    assert view_of(fake)[0]["statuses"][0]["code"] == "ProvisioningState/succeeded"


def test_a_failed_extension_stays_so_over_a_restart(fake, vm):
    """An operation on the VM does not make a failed extension succeed."""
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("VMExtensionProvisioningError", "Sorry.")
    )
    put(fake)
    fake.clock.advance(minutes=2)
    fake._compute.fate = lambda vm, operation: None
    begin(fake, "restart", "web-1").result()

    assert (state(fake), vm.provisioning_state) == ("Failed", "Succeeded")


@pytest.mark.parametrize("fails", [True, False])
def test_what_a_failed_update_left_is_not_the_extensions(fake, vm, fails):
    """An extension makes itself effective, and not what an update of the VM failed to do."""
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("InternalExecutionError", "Sorry.")
    )
    begin_patch(fake, "web-1", {"properties": {"storageProfile": {"dataDisks": [empty_disk(0)]}}})
    fake.clock.advance(minutes=1)
    if not fails:
        fake._compute.fate = lambda vm, operation: None
    put(fake)
    fake.clock.advance(minutes=2)

    assert vm.effective_model["properties"]["storageProfile"]["dataDisks"] == []
    assert [one["name"] for one in vm.effective_model["resources"]] == ["hello"]
    assert vm.provisioning_state == ("Failed" if fails else "Succeeded")


# --- more than one at once ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("older", "newer", "meeting"),
    cells(ARRIVING, ("extension_create", "extension_update", "extension_delete")),
)
def test_meetings_with_what_arrives(older, newer, meeting):
    """What becomes of an extension's operation that arrives during another is as written here."""
    assert table.meet(older, newer) == meeting


@pytest.mark.parametrize("newer", PREEMPTING)
@pytest.mark.parametrize("older", table.OF_AN_EXTENSION)
def test_what_preempts_an_extension(older, newer):
    """Any operation on the VM itself preempts those on its extensions."""
    assert table.meet(older, newer) == "preempt"


def test_two_extensions_at_once(fake, vm):
    """Operations on two extensions go on beside each other; the VM is Updating until the last."""
    fake.timing.extension_update = 20
    put(fake, "old").result()
    one = put(fake, "one")
    fake.clock.advance(10)
    two = put(fake, "two")
    three = put(fake, "old")
    seen = []
    for seconds in (19, 1, 17, 1, 9, 1):  # ends at 20, 38 and 48 seconds from here
        fake.clock.advance(seconds)
        states = tuple(one["properties"]["provisioningState"] for one in vm.extensions)
        seen.append((*states, vm.provisioning_state))

    assert seen == [
        ("Updating", "Creating", "Creating", "Updating"),
        ("Succeeded", "Creating", "Creating", "Updating"),
        ("Succeeded", "Creating", "Creating", "Updating"),
        ("Succeeded", "Succeeded", "Creating", "Updating"),
        ("Succeeded", "Succeeded", "Creating", "Updating"),
        ("Succeeded", "Succeeded", "Succeeded", "Succeeded"),
    ]
    fake.clock.advance(minutes=1)
    assert [poller.status() for poller in (one, two, three)] == ["Succeeded"] * 3


@pytest.mark.parametrize("newer", [put, delete], ids=["put", "delete"])
def test_the_same_extension_twice(fake, vm, newer):
    """A newer operation on the same extension preempts the older one."""
    first = put(fake)
    fake.clock.advance(10)
    second = newer(fake)
    fake.clock.advance(minutes=2)

    assert (first.status(), second.status()) == ("Canceled", "Succeeded")
    assert polled(fake, "Canceled")[0]["error"]["code"] == "OperationPreempted"
    assert len(vm.extensions) == (1 if newer is put else 0)
    assert vm.provisioning_state == "Succeeded"


@pytest.mark.parametrize(
    "operation", ["update", "reapply", "restart", "redeploy", "reimage", "start"]
)
def test_a_vms_operation_preempts_an_extensions(fake, vm, operation):
    """An update of the VM ends the extension's operation Canceled, and installs it after all."""
    extension = put(fake)
    fake.clock.advance(10)
    newer = begin(fake, operation, "web-1")
    fake.clock.advance(minutes=3)

    assert (extension.status(), newer.status()) == ("Canceled", "Succeeded")
    assert (state(fake), vm.provisioning_state) == ("Succeeded", "Succeeded")


@pytest.mark.parametrize("operation", ["power_off", "deallocate"])
def test_what_stays_undone(fake, vm, operation):
    """Where no guest runs any more the preempted extension waits for the next start."""
    put(fake, "old").result()
    put(fake, "new")
    delete(fake, "old")
    begin(fake, operation, "web-1").result()
    between = {one["name"]: one["properties"]["provisioningState"] for one in vm.extensions}
    begin(fake, "start", "web-1").result()

    assert between == {"old": "Deleting", "new": "Creating"}
    assert [one["name"] for one in vm.extensions] == ["new"]
    assert state(fake, "new") == "Succeeded"
    assert refusal(lambda: get(fake, "old"))[1] == "ResourceNotFound"


def test_deleting_the_vm_meanwhile(fake, vm):
    """A delete of the VM ends what its extensions were about."""
    extension = put(fake)
    begin(fake, "delete", "web-1").result()

    assert (extension.status(), fake.vms) == ("Canceled", ())
    assert refusal(lambda: get(fake))[1] == "ParentResourceNotFound"


def test_evicting_the_vm_meanwhile(fake):
    """An eviction preempts an extension's operation as any other."""
    vm = spot_vm(fake)
    extension = put(fake)
    vm.evict()
    fake.clock.advance(minutes=2)

    assert (extension.status(), vm.power_state) == ("Canceled", "deallocated")
    assert vm.provisioning_state == "Succeeded"


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        ("update", "Conflict", CONCURRENT),
        ("restart", "Conflict", CONCURRENT),
        ("power_off", NOT_ALLOWED, NOT_RUNNING),
        ("redeploy", NOT_ALLOWED, NOT_RUNNING),
        ("delete", NOT_ALLOWED, MARKED.format(action="extensions/write")),
    ],
)
def test_an_extension_during_a_vms_operation(fake, vm, operation, code, message):
    """While the VM itself is worked on no extension is written."""
    begin(fake, operation, "web-1")

    assert refusal(lambda: put(fake)) == (409, code, message, None)
    assert vm.extensions == ()


def test_an_extension_during_a_create(fake):
    """A VM that is being created takes no extension but those of its create."""
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(40)

    assert refusal(lambda: put(fake)) == (409, "Conflict", CONCURRENT, None)


def test_generalizing_meanwhile(fake, vm):
    """A VM that runs an extension's script is not generalized: it runs."""
    put(fake)

    answer = refusal(lambda: fake.client.virtual_machines.generalize(GROUP, "web-1"))
    assert "since the VM is running" in answer[2]


def test_canceling_an_extension(fake, vm):
    """A cancel reaches an extension's operation, and leaves the VM as it was."""
    poller = put(fake)
    vm.cancel_operation()
    fake.clock.advance(minutes=2)

    assert poller.status() == "Canceled"
    assert (state(fake), vm.provisioning_state, vm.operation) == ("Canceled", "Succeeded", None)


# --- agents that do not report -----------------------------------------------------------------


@pytest.mark.parametrize("ask", [put, delete], ids=["put", "delete"])
@pytest.mark.parametrize("event", ["lose_agent", "fail_host"])
def test_an_agent_that_is_silent(fake, vm, ask, event):
    """With a silent agent an extension's operation fails, 1500 seconds after it began."""
    put(fake).result()
    getattr(vm, event)(**({"heals_after": None} if event == "fail_host" else {}))
    poller = ask(fake)
    fake.clock.advance(1499.999)
    before = vm.provisioning_state
    fake.clock.advance(0.001)
    after = vm.provisioning_state
    fake.clock.advance(minutes=1)

    assert (before, after) == ("Updating", "Succeeded")
    assert refusal(poller.result)[1:3] == ("VMAgentStatusCommunicationError", SILENT)
    assert state(fake) == "Failed"


@pytest.mark.parametrize("when", [0, 20])
def test_an_agent_that_falls_silent_meanwhile(fake, vm, when):
    """An agent that is lost over its work fails that as well, counted from the beginning."""
    poller = put(fake)
    fake.clock.advance(when)
    vm.lose_agent()
    fake.clock.advance(1499.999 - when)
    before = state(fake)
    fake.clock.advance(0.001)

    assert (before, state(fake)) == ("Creating", "Failed")
    fake.clock.advance(minutes=1)
    assert poller.status() == "Failed"


def test_an_agent_that_reports_again(fake, vm):
    """An agent that is recovered in time does what it was asked for, in its usual seconds."""
    vm.lose_agent()
    poller = put(fake)
    fake.clock.advance(600)
    vm.recover_agent()
    fake.clock.advance(47.999)
    before = state(fake)
    fake.clock.advance(0.001)

    assert (before, state(fake), agent(fake)) == ("Creating", "Succeeded", "Ready")
    fake.clock.advance(minutes=1)
    assert poller.status() == "Succeeded"


def test_a_guest_that_shuts_down_meanwhile(fake, vm):
    """Where the guest goes down its agent goes with it, and the operation fails in the end."""
    poller = put(fake)
    vm.guest_shutdown()
    fake.clock.advance(minutes=30)

    assert (vm.power_state, state(fake), poller.status()) == ("stopped", "Failed", "Failed")
    assert vm.provisioning_state == "Succeeded"


def test_the_seconds_of_an_extension(fake, vm):
    """A test sets the seconds of extensions by themselves, apart from those of a create."""
    fake.timing.extension_create, fake.timing.extension_delete = 5, 7
    put(fake)
    fake.clock.advance(5)
    made = state(fake)
    delete(fake)
    fake.clock.advance(7)

    assert (made, vm.extensions, fake.timing.extension) == ("Succeeded", (), 48)


def test_the_routes_that_there_are(fake, vm):
    """Another method is a 405, and what is below an extension is not served."""
    from pytest_azurevm._http import Request

    base = f"https://management.azure.com{vm.id}/extensions"

    def status(method, path):
        url = f"{base}{path}?api-version=2024-07-01"
        return fake._arm.handle(Request(method, url, {}, b"{}")).status

    assert [status("POST", "/hello"), status("PUT", ""), status("DELETE", "")] == [405] * 3
    assert status("GET", "/hello/more") == 501
    assert fake.calls[-1].operation == "other"


@pytest.mark.parametrize("newer", ["put", "delete"])
@pytest.mark.parametrize("older", ["update", "reapply"])
def test_an_extension_preempts_where_that_is_set(older, newer):
    """With the policy preempt, an operation on an extension ends one on its machine Canceled."""
    with FakeCompute(concurrency="preempt") as fake:
        vm = fake.add_vm("web-1", resource_group=GROUP)
        put(fake).result()
        first = begin(fake, older, "web-1")
        second = put(fake, "other") if newer == "put" else delete(fake)
        fake.clock.advance(minutes=5)

        assert (first.status(), second.status()) == ("Canceled", "Succeeded")
        assert refusal(first.result)[1] == "OperationPreempted"
        assert [one["name"] for one in vm.extensions] == (
            ["hello", "other"] if newer == "put" else []
        )
        assert (vm.provisioning_state, vm.operation) == ("Succeeded", None)


def test_an_extension_preempts_no_create():
    """Whatever the policy, a machine that is being created takes no operation on an extension."""
    with FakeCompute(concurrency="preempt") as fake:
        begin_put(fake, "web-1", linux_vm())
        fake.clock.advance(60)

        assert refusal(lambda: put(fake)) == (409, "Conflict", CONCURRENT, None)
