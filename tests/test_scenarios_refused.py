"""The failures that Azure's users meet: writes that meet others, extensions, and refusals."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError

from pytest_azurevm import failures
from tests import reactions
from tests.builders import (
    EXTENSION,
    GROUP,
    begin,
    begin_patch,
    begin_put,
    changed,
    codes,
    linux_vm,
    polled,
    refusal,
    sent,
    shown,
)
from tests.test_extensions import BODY, delete, put, state, view_of
from tests.test_scenarios import (
    RUNNING,
    SUCCEEDED,
    agent,
    body,
    failed,
    instant,
    now,
    provisioning,
    seen,
)

NOT_ALLOWED = "OperationNotAllowed"
STOPPED = ("PowerState/stopped", "Info", "VM stopped")
DEALLOCATED = ("PowerState/deallocated", "Info", "VM deallocated")
CONFLICTS = {
    "Conflict": (
        "The request failed due to conflict with a concurrent request. To resolve it, please refer "
        "to https://aka.ms/activitylog to get more details on the conflicting requests."
    ),
    "ConflictingConcurrentWriteNotAllowed": (
        "The operation was interrupted by a conflicting concurrent write on the same entity. "
        "Please retry later."
    ),
}
TIMED_OUT = (
    "Provisioning of VM extension hello has timed out. Extension provisioning has taken too long "
    "to complete. The extension did not report a message. More information on troubleshooting is "
    "available at https://aka.ms/vmextensionlinuxtroubleshoot"
)
REASON = "Enable failed with exit code 52 Could not create marker file"
BROKE = (
    "VM has reported a failure when processing extension 'hello' (publisher "
    f"'Microsoft.Azure.Extensions' and type 'CustomScript'). Error message: \"{REASON}\". More "
    "information on troubleshooting is available at https://aka.ms/vmextensionlinuxtroubleshoot. "
)
NOT_RUNNING = "Cannot modify extensions in the VM when the VM is not running."
IS_DEALLOCATED = (
    "Operation 'powerOff' is not allowed on VM 'web-1' since the VM is either deallocated or "
    "marked to be deallocated."
)
SET_TO_RUN = "The operation requires the VM to be running (or set to run)."
STILL_RUNS = (
    "Operation 'generalize' is not allowed on VM 'web-1' since the VM is running. Please power off "
    "explicitly in case you shut down the VM from inside the guest operating system."
)
IS_GENERALIZED = "Operation 'start' is not allowed on VM 'web-1' since the VM is generalized."


def vm_in(fake, power_state="running", **more):
    """Seed the VM that the scenarios are about."""
    return fake.add_vm("web-1", resource_group=GROUP, power_state=power_state, **more)


def tagged(fake):
    """Write the VM's tags."""
    return begin_patch(fake, "web-1", {"tags": {"a": "1"}}).result()


# --- 9 concurrent-write-409 --------------------------------------------------------------------


@pytest.mark.parametrize("code", CONFLICTS)
def test_9_concurrent_write_409(fake, code):
    """9, concurrent-write-409: refused at once, nothing changed; a little later it is accepted."""
    vm = vm_in(fake)
    fake.inject(getattr(failures, code)())
    answer = refusal(lambda: tagged(fake))
    left = (vm.history[-1].cause, "tags" in vm.model, now(fake))
    fake.clock.advance(2)
    tagged(fake)

    assert answer == (409, code, CONFLICTS[code], None)
    assert left == ("seeded", False, 0)
    assert (seen(fake, "update"), vm.model["tags"]) == ([(0, 409), (2, 200)], {"a": "1"})


@pytest.mark.parametrize("code", CONFLICTS)
def test_9_concurrent_write_409_reaction(fake, code):
    """9, concurrent-write-409: it is tried again with growing pauses."""
    vm_in(fake)
    fake.inject(getattr(failures, code)(), times=3)
    reactions.with_backoff(lambda: tagged(fake))

    assert seen(fake, "update") == [(0, 409), (2, 409), (5, 409), (9.5, 200)]


def test_9_concurrent_write_409_naturally(fake):
    """9, concurrent-write-409: a write while the machine restarts for 14 s is accepted after it."""
    vm_in(fake)
    begin(fake, "restart", "web-1")
    reactions.with_backoff(lambda: tagged(fake))

    assert seen(fake, "update") == [(0, 409), (2, 409), (5, 409), (9.5, 409), (16.25, 200)]


def test_9_concurrent_write_409_is_not_every_409(fake):
    """9, concurrent-write-409: what no waiting helps against is not tried again."""
    vm_in(fake, "deallocated")
    with pytest.raises(ResourceExistsError, match="to be running"):
        reactions.with_backoff(lambda: begin(fake, "restart", "web-1"))

    assert seen(fake, "restart") == [(0, 409)]


def test_9_concurrent_write_409_naively(fake):
    """9, concurrent-write-409: ``ResourceExistsError`` does not mean that a machine exists."""
    fake.inject(failures.Conflict(), on="create")
    told = reactions.naive_create_if_absent(fake.client, GROUP, "web-1", body())

    assert (told, fake.vms) == ("exists already", ())


# --- 10 extension-timeout ----------------------------------------------------------------------


def test_10_extension_timeout(fake):
    """10, extension-timeout: InProgress for 90 minutes, then Failed; the machine goes on running.

    That it says Succeeded then is recorded of extensions that are resources of their own.
    """
    vm = vm_in(fake)
    fake.inject(failures.VMExtensionProvisioningTimeout())
    poller = put(fake)
    fake.clock.advance(5411.999)
    before = (state(fake), provisioning(fake), codes(fake, "web-1"), view_of(fake))
    fake.clock.advance(0.001)
    after = (state(fake), provisioning(fake), shown(fake, "web-1"))
    fake.clock.advance(minutes=1)

    assert (fake.calls[0].operation, fake.calls[0].status) == ("extension_create", 201)
    assert before == (
        "Creating", "Updating", ["ProvisioningState/updating", "PowerState/running"],
        [{"name": "hello"}],
    )  # fmt: skip
    assert after == ("Failed", "Succeeded", [SUCCEEDED, RUNNING])
    assert refusal(poller.result)[1:3] == ("VMExtensionProvisioningTimeout", TIMED_OUT)
    assert polled(fake, "Failed")[0]["endTime"] == instant(5412)
    assert view_of(fake)[0]["statuses"][0]["code"] == "ProvisioningState/failed/0"
    assert vm.bill.hardware == now(fake)


def test_10_extension_timeout_of_a_create(fake):
    """10, extension-timeout: written with the machine, the extension makes that Failed as well."""
    fake.inject(failures.VMExtensionProvisioningTimeout(), on="create")
    poller = begin_put(fake, "web-1", {**linux_vm(), "resources": [EXTENSION]})
    fake.clock.advance(5411.999)
    before = (codes(fake, "web-1"), provisioning(fake))
    fake.clock.advance(0.001)
    after = (shown(fake, "web-1"), provisioning(fake))
    fake.clock.advance(7)
    end = refusal(poller.result)[1]

    waiting = ["ProvisioningState/creating/osProvisioningComplete", "PowerState/running"]
    assert before == (waiting, "Creating")
    assert after == ([failed("VMExtensionProvisioningTimeout"), RUNNING], "Failed")
    assert (end, state(fake), agent(fake)) == ("VMExtensionProvisioningTimeout", "Failed", "Ready")


def test_10_extension_timeout_reaction(fake):
    """10, extension-timeout: after a deadline of one's own the extension is taken off again."""
    vm = vm_in(fake)
    stuck = fake.inject(failures.VMExtensionProvisioningTimeout())
    ended = reactions.install(fake.client, GROUP, "web-1", "hello", sent(BODY))
    taken = (now(fake), vm.extensions, provisioning(fake))
    again = reactions.install(fake.client, GROUP, "web-1", "hello", sent(BODY))

    assert (ended, stuck.hits, again) == ("taken off", 1, "installed")
    assert seen(fake, "extension_delete") == [(600, 202)]
    assert taken == (630, (), "Succeeded")  # gone after 15.5 s, and seen at the second look
    assert polled(fake, "Canceled")[0]["endTime"] == instant(600)
    assert state(fake) == "Succeeded"


# --- 11 extension-failed -----------------------------------------------------------------------


def test_11_extension_failed(fake):
    """11, extension-failed: Failed with the script's exit code, which the instance view shows."""
    vm_in(fake)
    fake.inject(failures.VMExtensionProvisioningError(reason=REASON))
    poller = put(fake)
    fake.clock.advance(47.999)
    before = state(fake)
    fake.clock.advance(0.001)
    after = (state(fake), provisioning(fake), codes(fake, "web-1")[1])
    fake.clock.advance(minutes=1)

    assert fake.calls[0].status == 201
    assert (before, after) == ("Creating", ("Failed", "Succeeded", "PowerState/running"))
    assert refusal(poller.result)[1:3] == ("VMExtensionProvisioningError", BROKE)
    assert polled(fake, "Failed")[0]["endTime"] == instant(48)
    assert view_of(fake) == [
        {
            "name": "hello",
            "type": "Microsoft.Azure.Extensions.CustomScript",
            "typeHandlerVersion": "2.1",
            "statuses": [
                {
                    "code": "ProvisioningState/failed/52",
                    "level": "Error",
                    "displayStatus": "Provisioning failed",
                    "message": BROKE,
                }
            ],
        }
    ]


def test_11_extension_failed_on_windows(fake):
    """11, extension-failed: of a Windows script the view shows what it wrote to both streams."""
    vm_in(fake, os_type="Windows")
    script = changed(BODY, "properties.publisher", "Microsoft.Compute")
    script = changed(script, "properties.type", "CustomScriptExtension")
    fake.inject(failures.VMExtensionProvisioningError(reason=REASON))
    put(fake, body=script)
    fake.clock.advance(48)
    [view] = view_of(fake)

    assert list(view) == ["name", "type", "typeHandlerVersion", "statuses", "substatuses"]
    assert view["statuses"][0]["code"] == "ProvisioningState/failed/52"
    streams = [(one["code"], one["level"], one["message"]) for one in view["substatuses"]]
    assert streams == [
        ("ComponentStatus/StdOut/succeeded", "Info", ""),
        ("ComponentStatus/StdErr/succeeded", "Info", view["statuses"][0]["message"]),
    ]


def test_11_extension_failed_of_a_create(fake):
    """11, extension-failed: written with the machine, it makes that Failed, and it runs."""
    fake.inject(failures.VMExtensionProvisioningError(reason=REASON), on="create")
    begin_put(fake, "web-1", {**linux_vm(), "resources": [EXTENSION]})
    fake.clock.advance(128)  # the create's 80 s, and the extension's 48

    assert (provisioning(fake), state(fake)) == ("Failed", "Failed")
    assert shown(fake, "web-1") == [failed("VMExtensionProvisioningError"), RUNNING]
    assert fake.vm("web-1").bill.hardware == 128 - 6.4


@pytest.mark.parametrize("operation", ["start", "redeploy"])
def test_11_extension_failed_delays_each_start(fake, operation):
    """11, extension-failed: whatever brings the machine up waits for it again."""
    vm = vm_in(fake)
    fake.inject(failures.VMExtensionProvisioningError(reason=REASON))
    put(fake)
    fake.clock.advance(minutes=2)
    usual_s = 78
    if operation == "start":
        usual_s = 24
        begin(fake, "deallocate", "web-1").result()
    for _ in range(2):
        begin(fake, operation, "web-1")
        fake.clock.advance(usual_s + 47.999)
        before = codes(fake, "web-1")
        fake.clock.advance(0.001)
        assert before == ["ProvisioningState/updating", "PowerState/starting"]
        assert (vm.power_state, vm.provisioning_state, state(fake)) == (
            "running", "Succeeded", "Failed"
        )  # fmt: skip
        if operation == "start":
            begin(fake, "deallocate", "web-1").result()


def test_11_extension_failed_reaction(fake):
    """11, extension-failed: its exit code says what to mend; mended, it delays no start."""
    vm = vm_in(fake)
    fake.inject(failures.VMExtensionProvisioningError(reason=REASON))
    with pytest.raises(HttpResponseError, match="marker file"):
        reactions.install(fake.client, GROUP, "web-1", "hello", sent(BODY))
    read = reactions.exit_code(fake.client, GROUP, "web-1", "hello")
    mended = sent(changed(BODY, "properties.settings", {"commandToExecute": "mkdir -p /var/x"}))
    ended = reactions.install(fake.client, GROUP, "web-1", "hello", mended)
    begin(fake, "deallocate", "web-1").result()
    begin(fake, "start", "web-1")
    fake.clock.advance(24)

    assert (read, ended) == (52, "installed")
    assert reactions.exit_code(fake.client, GROUP, "web-1", "hello") is None
    assert [status for _, status in seen(fake, "extension_create")] == [201]
    assert [status for _, status in seen(fake, "extension_update")] == [200]
    assert (vm.power_state, vm.provisioning_state) == ("running", "Succeeded")


# --- 12 extension-on-stopped-vm ----------------------------------------------------------------


@pytest.mark.parametrize("ask", [put, delete], ids=["put", "delete"])
@pytest.mark.parametrize("power_state", ["stopped", "deallocated"])
def test_12_extension_on_stopped_vm(fake, power_state, ask):
    """12, extension-on-stopped-vm: refused at once, and nothing changes."""
    vm = vm_in(fake)
    put(fake).result()
    begin(fake, "power_off" if power_state == "stopped" else "deallocate", "web-1").result()
    before = (vm.power_state, vm.extensions, vm.history, now(fake))

    assert refusal(lambda: ask(fake)) == (409, NOT_ALLOWED, NOT_RUNNING, None)
    assert (vm.power_state, vm.extensions, vm.history, now(fake)) == before
    assert before[0] == power_state


def test_12_extension_on_stopped_vm_reaction(fake):
    """12, extension-on-stopped-vm: start it first; to be rid of it all, delete the VM itself."""
    vm = vm_in(fake, "deallocated")
    ended = reactions.install_on_any(fake.client, GROUP, "web-1", "hello", sent(BODY))
    running = (vm.power_state, state(fake))
    begin(fake, "deallocate", "web-1").result()
    begin(fake, "delete", "web-1").result()

    assert (ended, running) == ("started and installed", ("running", "Succeeded"))
    assert [status for _, status in seen(fake, "extension_create")] == [409, 201]
    assert fake.vms == ()


# --- 13 powerOff-on-deallocated ----------------------------------------------------------------


@pytest.mark.parametrize("marked", [False, True], ids=["deallocated", "deallocating"])
def test_13_power_off_on_deallocated(fake, marked):
    """13, powerOff-on-deallocated: refused, also of a VM that is only marked to be deallocated."""
    vm = vm_in(fake, "running" if marked else "deallocated")
    if marked:
        begin(fake, "deallocate", "web-1")
    was = (codes(fake, "web-1"), vm.history)

    assert refusal(lambda: begin(fake, "power_off", "web-1")) == (
        409, NOT_ALLOWED, IS_DEALLOCATED, None
    )  # fmt: skip
    assert (codes(fake, "web-1"), vm.history) == was


@pytest.mark.parametrize(
    ("power_state", "told", "after"),
    [
        ("running", "powered off", "stopped"),
        ("stopped", "powered off", "stopped"),
        ("deallocated", "off already", "deallocated"),
    ],
)
def test_13_power_off_on_deallocated_reaction(fake, power_state, told, after):
    """13, powerOff-on-deallocated: a stop that may be asked for twice takes it for off."""
    vm = vm_in(fake, power_state)

    assert reactions.power_off(fake.client, GROUP, "web-1") == told
    assert (vm.power_state, vm.provisioning_state) == (after, "Succeeded")


# --- 14 restart-on-stopped ---------------------------------------------------------------------


@pytest.mark.parametrize("power_state", ["stopped", "deallocated"])
def test_14_restart_on_stopped(fake, power_state):
    """14, restart-on-stopped: refused: the machine is not set to run."""
    vm = vm_in(fake, power_state)
    was = vm.history

    assert refusal(lambda: begin(fake, "restart", "web-1")) == (409, NOT_ALLOWED, SET_TO_RUN, None)
    assert vm.history == was


@pytest.mark.parametrize(
    ("power_state", "told"),
    [("running", "restarted"), ("stopped", "started"), ("deallocated", "started")],
)
def test_14_restart_on_stopped_reaction(fake, power_state, told):
    """14, restart-on-stopped: start it instead."""
    vm = vm_in(fake, power_state)

    assert reactions.restart(fake.client, GROUP, "web-1") == told
    assert (vm.power_state, vm.provisioning_state) == ("running", "Succeeded")


def test_14_restart_on_stopped_from_inside(fake):
    """14, restart-on-stopped: one that its guest shut down is still set to run, and restarts."""
    vm = vm_in(fake)
    vm.guest_shutdown()
    fake.clock.advance(minutes=1)

    assert (vm.power_state, vm.goal_state) == ("stopped", "running")
    assert reactions.restart(fake.client, GROUP, "web-1") == "restarted"
    assert vm.power_state == "running"


# --- 15 guest-shutdown-still-billed ------------------------------------------------------------


def test_15_guest_shutdown_still_billed(fake):
    """15, guest-shutdown-still-billed: stopping, then stopped, Succeeded; the meter runs on."""
    vm = vm_in(fake)
    fake.clock.advance(100)
    vm.guest_shutdown()
    during = shown(fake, "web-1")
    fake.clock.advance(9.499)
    before = codes(fake, "web-1")[1]
    fake.clock.advance(0.001)
    after = shown(fake, "web-1")
    fake.clock.advance_to("2026-01-02T00:00:00Z")

    assert during == [SUCCEEDED, ("PowerState/stopping", "Info", "VM stopping")]
    assert (before, after) == ("PowerState/stopping", [SUCCEEDED, STOPPED])
    assert (provisioning(fake), vm.operation, vm.goal_state) == ("Succeeded", None, "running")
    assert {call.operation for call in fake.calls} == {"instance_view", "get"}
    assert (vm.bill.hardware, vm.bill.software) == (86_400, 86_400)


def test_15_guest_shutdown_still_billed_reaction(fake):
    """15, guest-shutdown-still-billed: it is found by its power state, and deallocated."""
    vm = vm_in(fake)
    fake.add_vm("web-2", resource_group=GROUP)
    vm.guest_shutdown()
    fake.clock.advance(3600)
    found = reactions.deallocate_what_stopped(fake.client, GROUP)
    fake.clock.advance(days=1)

    assert found == ["web-1"]
    assert shown(fake, "web-1") == [SUCCEEDED, DEALLOCATED]
    assert vm.bill.hardware == 3600  # what is deallocating is free


def test_15_guest_shutdown_still_billed_naively(fake):
    """15, guest-shutdown-still-billed: the last operation knows nothing of it."""
    vm_in(fake).guest_shutdown()
    fake.clock.advance(3600)

    assert not reactions.naive_is_off(fake.client, GROUP, "web-1")
    assert reactions.power_state(fake.client, GROUP, "web-1") == "stopped"


# --- 16 generalize-after-guest-shutdown --------------------------------------------------------


def test_16_generalize_after_guest_shutdown(fake):
    """16, generalize-after-guest-shutdown: refused until the owner powers it off as well."""
    vm = vm_in(fake)
    vm.guest_shutdown()
    fake.clock.advance(minutes=1)
    generalize = fake.client.virtual_machines.generalize
    refused = refusal(lambda: generalize(GROUP, "web-1"))
    before = shown(fake, "web-1")
    reactions.generalize(fake.client, GROUP, "web-1")

    assert refused == (409, NOT_ALLOWED, STILL_RUNS, None)
    assert before == [SUCCEEDED, STOPPED]
    assert [status for _, status in seen(fake, "power_off")] == [202]
    assert [status for _, status in seen(fake, "generalize")] == [409, 200]
    assert shown(fake, "web-1") == [
        ("OSState/generalized", "Info", "VM generalized"), SUCCEEDED, STOPPED
    ]  # fmt: skip


# --- 17 start-generalized ----------------------------------------------------------------------


@pytest.mark.parametrize("power_state", ["stopped", "deallocated"])
def test_17_start_generalized(fake, power_state):
    """17, start-generalized: refused for good: the VM is a source of images, no VM any more."""
    vm = vm_in(fake, power_state)
    fake.client.virtual_machines.generalize(GROUP, "web-1")
    was = (codes(fake, "web-1"), vm.history)

    assert refusal(lambda: begin(fake, "start", "web-1")) == (
        409, NOT_ALLOWED, IS_GENERALIZED, None
    )  # fmt: skip
    fake.clock.advance(days=1)
    assert refusal(lambda: begin(fake, "start", "web-1"))[2] == IS_GENERALIZED
    assert (codes(fake, "web-1"), vm.history) == was


def test_17_start_generalized_reaction(fake):
    """17, start-generalized: another machine takes its place."""
    vm_in(fake, "stopped")
    fake.client.virtual_machines.generalize(GROUP, "web-1")
    told = reactions.start_or_replace(fake.client, GROUP, "web-1", "web-2", body())

    assert told == "web-2"
    assert reactions.power_states(fake.client, GROUP) == {"web-1": "stopped", "web-2": "running"}
