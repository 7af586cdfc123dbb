"""The failures that Azure's users meet, scenario by scenario: machines that do not come up.

Each is told twice: what the wire shows over time, and how an application takes it. Those of writes
and refusals stand in ``test_scenarios_refused``, those from below and of what is shown in
``test_scenarios_from_below``. The numbers are those of the scenarios' list.
"""

from __future__ import annotations

import datetime as _dt
import threading
import time
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from pytest_azurevm import failures
from tests import reactions
from tests.builders import (
    EXTENSION,
    GROUP,
    NIC,
    attached_vm,
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

START = _dt.datetime(2026, 1, 1, tzinfo=_dt.timezone.utc)
RUNNING = ("PowerState/running", "Info", "VM running")
SUCCEEDED = ("ProvisioningState/succeeded", "Info", "Provisioning succeeded")
ALLOCATION = {
    "AllocationFailed": (
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this "
        "region. Read more about improving likelihood of allocation success at "
        "http://aka.ms/allocation-guidance"
    ),
    "ZonalAllocationFailed": (
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this "
        "zone. Read more about improving likelihood of allocation success at "
        "http://aka.ms/allocation-guidance"
    ),
}
OTHER_SIZE = {"properties": {"hardwareProfile": {"vmSize": "Standard_E2s_v5"}}}


def now(fake) -> float:
    """Give the virtual seconds since the fake's start."""
    return (fake.clock.now - START).total_seconds()


def instant(seconds: float) -> str:
    """Give an instant of the fake's first hours as Azure prints it, if it is a whole second."""
    return (START + _dt.timedelta(seconds=seconds)).isoformat()


def failed(code: str) -> tuple[str, str, str]:
    """Give the status that a machine shows whose last operation failed with *code*."""
    return (f"ProvisioningState/failed/{code}", "Error", "Provisioning failed")


def body(size: str = "Standard_D2s_v5") -> bytes:
    """Give a Linux VM of that size as it is sent."""
    return sent(changed(linux_vm(), "properties.hardwareProfile.vmSize", size))


def statuses(fake, name="web-1") -> list[dict[str, Any]]:
    """Give the instance view's statuses as they are answered."""
    fake.client.virtual_machines.instance_view(GROUP, name)
    return fake.calls[-1].response_body["statuses"]


def provisioning(fake, name="web-1") -> str:
    """Give what GET says of the last operation."""
    return fake.client.virtual_machines.get(GROUP, name).provisioning_state


def agent(fake, name="web-1") -> str | None:
    """Give what the VM's agent reports, or None."""
    found = fake.client.virtual_machines.instance_view(GROUP, name).vm_agent
    return found.statuses[0].display_status if found else None


def seen(fake, operation) -> list[tuple[float, int]]:
    """Give when each request of that operation came, and its HTTP status."""
    calls = fake.calls.filter(operation=operation)
    return [((call.at - START).total_seconds(), call.status) for call in calls]


# --- 1 alloc-failed-create ---------------------------------------------------------------------


@pytest.mark.parametrize("code", ALLOCATION)
def test_1_alloc_failed_create(fake, code):
    """1, alloc-failed-create: accepted, Creating for 40 s, then Failed; NIC and disk are held."""
    fake.inject(getattr(failures, code)())
    poller = begin_put(fake, "web-1", linux_vm())
    vm = fake.vm("web-1")
    fake.clock.advance(39.999)
    before = (shown(fake, "web-1"), provisioning(fake))
    fake.clock.advance(0.001)
    after = (shown(fake, "web-1"), provisioning(fake))
    status = statuses(fake)[0]
    fake.clock.advance(25)

    assert fake.calls[0].status == 201
    assert fake.calls[0].response_body["properties"]["provisioningState"] == "Creating"
    assert before == ([("ProvisioningState/creating", "Info", "Creating")], "Creating")
    assert after == ([failed(code)], "Failed")
    assert (status["message"], status["time"]) == (ALLOCATION[code], instant(40))
    # The first look comes at once, the second after the 35 s that Azure asks for, then each 30 s.
    assert seen(fake, "poll") == [(0, 200), (35, 200), (65, 200)]
    assert polled(fake, "Failed") == [
        {
            "startTime": instant(0),
            "endTime": instant(40),
            "status": "Failed",
            "error": {"code": code, "message": ALLOCATION[code]},
            "name": polled(fake, "InProgress")[0]["name"],
        }
    ]
    assert refusal(poller.result)[1:3] == (code, ALLOCATION[code])
    # What it leaves behind: a machine that never ran, with its network interface, and its disk.
    assert (vm.bill.hardware, vm.bill.software, vm.bill.disks) == (0, 0, 25)
    model = vm.model["properties"]
    assert [nic["id"] for nic in model["networkProfile"]["networkInterfaces"]] == [NIC]
    assert model["storageProfile"]["osDisk"]["managedDisk"]["id"].startswith(
        vm.id.rpartition("/providers")[0]
    )
    assert vm.effective_model is None


def test_1_alloc_failed_create_reaction(fake):
    """1, alloc-failed-create: what failed is deleted, and the next size has capacity."""
    scarce = fake.inject(failures.AllocationFailed(), size="Standard_D*", times=None)
    sizes = ("Standard_D2s_v5", "Standard_D4s_v5", "Standard_E2s_v5")
    taken = reactions.create_in_one_of(fake.client, GROUP, "web-1", [body(size) for size in sizes])

    assert (taken, scarce.hits) == (2, 2)
    assert [(call.operation, call.status) for call in fake.calls if call.operation != "poll"] == [
        ("create", 201), ("delete", 202), ("create", 201), ("delete", 202), ("create", 201),
        ("get", 200),
    ]  # fmt: skip
    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/running"]


def test_1_alloc_failed_create_naively(fake):
    """1, alloc-failed-create: whoever waits for the bare ``failed`` waits for ever."""
    fake.inject(failures.AllocationFailed())
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(days=1)

    assert not reactions.naive_has_failed(fake.client, GROUP, "web-1")
    view = fake.client.virtual_machines.instance_view(GROUP, "web-1")
    assert reactions.found_in(view, "ProvisioningState") == "failed/AllocationFailed"


# --- 2 alloc-failed-start ----------------------------------------------------------------------


def test_2_alloc_failed_start(fake):
    """2, alloc-failed-start: accepted, starting for 40 s, Failed, and deallocated as before."""
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state="deallocated")
    fake.inject(failures.AllocationFailed(), on="start")
    poller = begin(fake, "start", "web-1")
    during = shown(fake, "web-1")
    fake.clock.advance(39.999)
    before = codes(fake, "web-1")
    fake.clock.advance(0.001)

    assert fake.calls[0].status == 202
    assert during == [
        ("ProvisioningState/updating", "Info", "Updating"),
        ("PowerState/starting", "Info", "VM starting"),
    ]
    assert before == ["ProvisioningState/updating", "PowerState/starting"]
    assert shown(fake, "web-1") == [
        failed("AllocationFailed"), ("PowerState/deallocated", "Info", "VM deallocated")
    ]  # fmt: skip
    assert provisioning(fake) == "Failed"
    assert refusal(poller.result)[1] == "AllocationFailed"
    assert polled(fake, "Failed")[0]["endTime"] == instant(40)
    fake.clock.advance(3600)
    assert vm.bill.hardware == 40  # today's page bills what is starting


def test_2_alloc_failed_start_reaction(fake):
    """2, alloc-failed-start: come again in minutes, then start as another size."""
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state="deallocated")
    scarce = fake.inject(
        failures.AllocationFailed(), on="start", size="Standard_D2s_v5", times=None
    )
    reactions.start_at_any_size(fake.client, GROUP, "web-1", sent(OTHER_SIZE))

    assert scarce.hits == 2
    # Each failure is seen at the third look, 69 s after the start: 9, 30 and 30 s apart.
    assert seen(fake, "start") == [(0, 202), (369, 202), (768, 202)]
    assert seen(fake, "update") == [(738, 200)]
    assert (vm.power_state, vm.provisioning_state) == ("running", "Succeeded")
    assert vm.model["properties"]["hardwareProfile"]["vmSize"] == "Standard_E2s_v5"


# --- 3 quota -----------------------------------------------------------------------------------


def test_3_quota(fake):
    """3, quota: refused at once with 409, the code of much else, and nothing is created."""
    fake.inject(failures.QuotaExceeded())
    status, code, message, target = refusal(lambda: begin_put(fake, "web-1", linux_vm()))

    assert (status, code, target, now(fake)) == (409, "OperationNotAllowed", None, 0)
    assert message.startswith(
        "Operation could not be completed as it results in exceeding approved Total Regional Cores "
        "quota. Additional details - Deployment Model: Resource Manager, Location: westeurope,"
    )
    assert (len(fake.calls), fake.vms, fake.bill.disks) == (1, (), 0)
    with pytest.raises(ResourceNotFoundError):
        fake.client.virtual_machines.get(GROUP, "web-1")


@pytest.mark.parametrize(("size", "cores"), [("Standard_D2s_v5", 2), ("Standard_M128s", 128)])
def test_3_quota_adds_up(fake, size, cores):
    """3, quota: the new limit that is asked for is what is used and what is required."""
    fake.inject(failures.QuotaExceeded())
    larger = changed(linux_vm(), "properties.hardwareProfile.vmSize", size)
    message = refusal(lambda: begin_put(fake, "web-1", larger))[2]

    assert (
        f"Current Limit: 100, Current Usage: 100, Additional Required: {cores}, "
        f"(Minimum) New Limit Required: {100 + cores}."
    ) in message
    assert f"%22limit%22:{100 + cores}," in message


def test_3_quota_reaction(fake):
    """3, quota: it is told from other refusals of that code by its text, and not tried again."""
    fake.inject(failures.QuotaExceeded())
    told = reactions.create_or_say_why(fake.client, GROUP, "web-1", body())
    fake.add_vm("web-2", resource_group=GROUP)
    begin(fake, "delete", "web-2")

    assert told == "quota"
    assert seen(fake, "create") == [(0, 409)]
    with pytest.raises(HttpResponseError, match="marked for deletion"):
        reactions.create_or_say_why(fake.client, GROUP, "web-2", body())


# --- 4 and 5 os-provisioning-timeout -----------------------------------------------------------

LATE = (
    "OS Provisioning for VM 'web-1' did not finish in the allotted time. The VM may still finish "
    "provisioning successfully. Please check provisioning state later."
)
TERMINAL = (
    "OS provisioning failure has reached terminal state and is non-recoverable for VM 'web-1'. "
    "Consider deleting and recreating this virtual machine."
)
SETTING_UP = ["ProvisioningState/creating/osProvisioningInProgress", "PowerState/running"]


def test_4_os_provisioning_timeout_recovers(fake):
    """4, os-provisioning-timeout, recovers: Failed after 40 minutes, and later well by itself."""
    fake.inject(failures.OSProvisioningTimedOut(recovers_after=600))
    poller = begin_put(fake, "web-1", linux_vm())
    vm = fake.vm("web-1")
    fake.clock.advance(32)
    began = codes(fake, "web-1")
    fake.clock.advance(2367.999)
    before = (codes(fake, "web-1"), provisioning(fake))
    fake.clock.advance(0.001)
    after = (shown(fake, "web-1"), provisioning(fake))
    fake.clock.advance(599.999)
    still = codes(fake, "web-1")
    calls = len(fake.calls)
    fake.clock.advance(0.001)

    assert (began, before) == (SETTING_UP, (SETTING_UP, "Creating"))
    assert after == ([failed("OSProvisioningTimedOut"), RUNNING], "Failed")
    assert still == ["ProvisioningState/failed/OSProvisioningTimedOut", "PowerState/running"]
    assert len(fake.calls) == calls  # nobody did anything
    assert (shown(fake, "web-1"), provisioning(fake)) == ([SUCCEEDED, RUNNING], "Succeeded")
    error = polled(fake, "Failed")[0]
    assert (error["endTime"], error["error"]["code"]) == (instant(2400), "OSProvisioningTimedOut")
    assert refusal(poller.result)[2].startswith(LATE)
    assert statuses(fake)[0]["time"] == instant(3000)
    # Billed since it was starting, 6.4 s after its create, and throughout its failure.
    assert (vm.bill.hardware, vm.bill.software) == (2993.6, 2993.6)


def test_4_os_provisioning_timeout_reaction(fake):
    """4, os-provisioning-timeout, recovers: whoever looks again before deleting keeps it."""
    fake.inject(failures.OSProvisioningTimedOut(recovers_after=600))
    ended = reactions.create_patiently(fake.client, GROUP, "web-1", body())

    assert ended == "recovered"
    # The failure is seen at 35 s and 79 times 30 s; the eleventh look after it finds it well.
    assert seen(fake, "get")[0] == (2405, 200)
    assert (len(seen(fake, "get")), now(fake)) == (11, 3005)
    assert seen(fake, "delete") == []


def test_4_os_provisioning_timeout_has_a_limit(fake):
    """4, os-provisioning-timeout, recovers: one that does not is billed until patience is over."""
    fake.inject(failures.OSProvisioningTimedOut())
    ended = reactions.create_patiently(fake.client, GROUP, "web-1", body())

    assert ended == "recreated"
    assert seen(fake, "delete") == [(2405 + 29 * 60, 202)]
    assert provisioning(fake) == "Succeeded"


@pytest.mark.parametrize(
    ("event", "left"),
    [
        ("guest_reboot", ("running", "Ready")),
        ("guest_crash", ("running", "Not Ready")),
        ("lose_agent", ("running", "Not Ready")),
        ("fail_host", ("running", "Not Ready")),
        ("guest_shutdown", ("stopped", None)),
    ],
)
def test_4_os_provisioning_timeout_recovers_whatever_the_guest_does(fake, event, left):
    """4, os-provisioning-timeout, recovers: what befalls the guest meanwhile does not forbid it."""
    fake.inject(failures.OSProvisioningTimedOut(recovers_after=600))
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(2700)
    vm = fake.vm("web-1")
    vm.fail_host(heals_after=None) if event == "fail_host" else getattr(vm, event)()
    fake.clock.advance(299)
    before = provisioning(fake)
    fake.clock.advance(301)

    assert (before, provisioning(fake)) == ("Failed", "Succeeded")
    assert (vm.power_state, agent(fake)) == left


def test_4_os_provisioning_timeout_recovers_beside_an_operation(fake):
    """4, os-provisioning-timeout, recovers: an extension that fails meanwhile hides nothing."""
    fake.inject(failures.OSProvisioningTimedOut(recovers_after=600))
    fake.inject(failures.VMExtensionProvisioningError(fails_after=100))
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(2950)
    fake.client.virtual_machine_extensions.begin_create_or_update(
        GROUP, "web-1", "hello", sent({"location": "westeurope", **EXTENSION})
    )
    seen_at = []
    for seconds in (60, 60):
        fake.clock.advance(seconds)
        seen_at.append(codes(fake, "web-1")[0])

    assert seen_at == ["ProvisioningState/updating", "ProvisioningState/succeeded"]


def test_4_os_provisioning_timeout_has_no_agent_for_extensions(fake):
    """4, os-provisioning-timeout: no agent ever reported, so an extension waits for it in vain."""
    fake.inject(failures.OSProvisioningTimedOut())
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(2400)
    poller = fake.client.virtual_machine_extensions.begin_create_or_update(
        GROUP, "web-1", "hello", sent({"location": "westeurope", **EXTENSION})
    )

    assert refusal(poller.result)[1] == "VMAgentStatusCommunicationError"
    assert polled(fake, "Failed")[-1]["endTime"] == instant(2400 + 1500)
    assert codes(fake, "web-1")[0] == "ProvisioningState/failed/OSProvisioningTimedOut"


def test_5_os_provisioning_timeout_terminal(fake):
    """5, os-provisioning-timeout, terminal: Azure gives it up, and nothing ever changes that."""
    fake.inject(failures.OSProvisioningTimedOut(terminal=True))
    poller = begin_put(fake, "web-1", linux_vm())
    vm = fake.vm("web-1")
    fake.clock.advance(2399.999)
    before = codes(fake, "web-1")
    fake.clock.advance(0.001)
    after = shown(fake, "web-1")
    fake.clock.advance(days=7)

    assert before == SETTING_UP
    assert after == shown(fake, "web-1") == [failed("OSProvisioningTimedOut"), RUNNING]
    assert statuses(fake)[0]["message"].startswith(TERMINAL)
    assert statuses(fake)[0]["time"] == instant(2400)
    assert refusal(poller.result)[2].startswith(TERMINAL)
    assert vm.bill.hardware == now(fake) - 6.4
    assert refusal(begin(fake, "restart", "web-1").result)[1] == "OSProvisioningTimedOut"
    assert provisioning(fake) == "Failed"


def test_5_os_provisioning_timeout_terminal_reaction(fake):
    """5, os-provisioning-timeout, terminal: it is deleted and recreated without waiting more."""
    fake.inject(failures.OSProvisioningTimedOut(terminal=True))
    ended = reactions.create_patiently(fake.client, GROUP, "web-1", body())

    assert ended == "recreated"
    assert seen(fake, "delete") == [(2405, 202)]
    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/running"]


# --- 6 create-succeeded-but-guest-not-ready ----------------------------------------------------


def test_6_guest_not_ready(fake):
    """6, create-succeeded-but-guest-not-ready: the operation is over, OS provisioning is not."""
    fake.inject(failures.GuestNotReady(ready_after=90))
    poller = begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(79.999)
    before = codes(fake, "web-1")
    fake.clock.advance(0.001)
    view = fake.client.virtual_machines.instance_view(GROUP, "web-1")
    over = statuses(fake)
    at_the_end = provisioning(fake)
    fake.clock.advance(89.999)
    still = (codes(fake, "web-1"), agent(fake))
    fake.clock.advance(0.001)

    assert before == SETTING_UP
    assert over == [
        {
            "code": "ProvisioningState/succeeded/osProvisioningInProgress",
            "level": "Info",
            "displayStatus": "OS provisioning in progress",
            "time": instant(80),
        },
        {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"},
    ]
    assert at_the_end == poller.result().provisioning_state == "Succeeded"
    assert polled(fake, "Succeeded")[0]["endTime"] == instant(80)
    assert (view.vm_agent.vm_agent_version, view.computer_name) == ("Unknown", None)
    [silent] = view.vm_agent.statuses
    assert (silent.code, silent.display_status, silent.message) == (
        "ProvisioningState/Unavailable", "Not Ready",
        "VM status blob is found but not yet populated.",
    )  # fmt: skip
    assert still == ([over[0]["code"], "PowerState/running"], "Not Ready")
    assert (shown(fake, "web-1"), agent(fake)) == ([SUCCEEDED, RUNNING], "Ready")
    assert statuses(fake)[0]["time"] == instant(80)


def test_6_guest_not_ready_reaction(fake):
    """6, create-succeeded-but-guest-not-ready: wait for the agent, not for the operation."""
    fake.inject(failures.GuestNotReady(ready_after=90))
    begin_put(fake, "web-1", linux_vm()).result()  # seen at 95 s
    waited_s = reactions.wait_for_guest(fake.client, GROUP, "web-1")

    assert (waited_s, now(fake)) == (80, 175)


def test_6_guest_not_ready_naively(fake):
    """6, create-succeeded-but-guest-not-ready: a code of three parts is no pair."""
    fake.inject(failures.GuestNotReady(ready_after=90))
    begin_put(fake, "web-1", linux_vm()).result()

    with pytest.raises(ValueError, match="length 3"):
        reactions.naive_codes(fake.client, GROUP, "web-1")
    assert reactions.power_state(fake.client, GROUP, "web-1") == "running"


@pytest.mark.parametrize("operation", ["update", "power_off", "guest_reboot", "guest_shutdown"])
def test_6_guest_not_ready_and_what_comes_next(fake, operation):
    """6, create-succeeded-but-guest-not-ready: once something else set the guest up it is over."""
    fake.inject(failures.GuestNotReady(ready_after=90))
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(80)
    if operation.startswith("guest"):
        getattr(fake.vm("web-1"), operation)()
    else:
        begin(fake, operation, "web-1")
    fake.clock.advance(minutes=5)
    begin(fake, "start", "web-1").result()
    fake.clock.advance(minutes=5)

    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/running"]
    assert agent(fake) == "Ready"


def test_6_guest_not_ready_and_an_extension(fake):
    """6, create-succeeded-but-guest-not-ready: an extension waits for the agent."""
    fake.inject(failures.GuestNotReady(ready_after=90))
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(80)
    fake.client.virtual_machine_extensions.begin_create_or_update(
        GROUP, "web-1", "hello", sent({"location": "westeurope", **EXTENSION})
    )
    seen_at = []
    for seconds in (90, 47.999, 0.001):
        fake.clock.advance(seconds)
        seen_at.append((codes(fake, "web-1")[0], agent(fake)))

    assert seen_at == [
        ("ProvisioningState/updating", "Ready"),
        ("ProvisioningState/updating", "Ready"),
        ("ProvisioningState/succeeded", "Ready"),
    ]


@pytest.mark.parametrize("change", ["specialized", "extensions"])
def test_6_guest_not_ready_never_befalls(fake, change):
    """6, create-succeeded-but-guest-not-ready: only a system that has to be set up can be late."""
    injected = fake.inject(failures.GuestNotReady())
    what = attached_vm() if change == "specialized" else {**linux_vm(), "resources": [EXTENSION]}
    begin_put(fake, "web-1", what).result()

    assert (injected.hits, provisioning(fake)) == (0, "Succeeded")
    assert codes(fake, "web-1")[0] == "ProvisioningState/succeeded"
    injected.remove()


# --- 7 delete-during-create --------------------------------------------------------------------


def test_7_delete_during_create(fake):
    """7, delete-during-create: the create ends Canceled with HTTP 200, then the VM is gone."""
    create = begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(20)
    delete = begin(fake, "delete", "web-1")
    during = (codes(fake, "web-1"), provisioning(fake))
    fake.clock.advance(43.999)
    before = provisioning(fake)
    fake.clock.advance(0.001)
    gone = refusal(lambda: fake.client.virtual_machines.get(GROUP, "web-1"))
    fake.clock.advance(minutes=1)

    assert during == (["ProvisioningState/deleting", "PowerState/running"], "Deleting")
    assert (before, gone[:2]) == ("Deleting", (404, "ResourceNotFound"))
    assert (create.status(), delete.status()) == ("Canceled", "Succeeded")
    [canceled] = polled(fake, "Canceled")
    assert canceled["error"] == {
        "code": "OperationPreempted",
        "message": "Operation execution has been preempted by a more recent operation.",
    }
    assert (canceled["startTime"], canceled["endTime"]) == (instant(0), instant(20))
    assert polled(fake, "Succeeded")[0]["endTime"] == instant(64)
    assert refusal(create.result)[:2] == (200, "OperationPreempted")


def test_7_delete_during_create_reaction(fake):
    """7, delete-during-create: a waiter takes Canceled for an end, and does not create again."""

    def delete_it() -> None:
        time.sleep(20)
        begin(fake, "delete", "web-1").result()

    other = threading.Thread(target=delete_it)
    other.start()
    ended = reactions.create_unless_deleted(fake.client, GROUP, "web-1", body())
    other.join()

    assert (ended, len(seen(fake, "create")), fake.vms) == ("preempted", 1, ())


def test_7_delete_during_create_naively(fake):
    """7, delete-during-create: whoever knows only Succeeded and Failed goes on waiting."""
    create = begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(20)
    begin(fake, "delete", "web-1")

    with pytest.raises(reactions.GivenUpError, match="still Canceled"):
        reactions.naive_wait(create)
    assert now(fake) == 3620


# --- 8 preempted-update ------------------------------------------------------------------------


def test_8_preempted_update(fake):
    """8, preempted-update: the older of two updates ends Canceled, its change may stay."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    first = begin_patch(fake, "web-1", {"tags": {"a": "1"}})
    fake.clock.advance(2)
    second = begin_patch(fake, "web-1", {"tags": {"a": "1", "b": "2"}})
    answers = [call.status for call in fake.calls.filter(operation="update")]
    fake.clock.advance(4.199)
    before = provisioning(fake)
    fake.clock.advance(0.001)
    after = provisioning(fake)
    fake.clock.advance(minutes=1)

    assert (answers, before, after) == ([200, 200], "Updating", "Succeeded")
    assert (first.status(), second.status()) == ("Canceled", "Succeeded")
    [canceled] = polled(fake, "Canceled")
    assert (canceled["error"]["code"], canceled["endTime"]) == ("OperationPreempted", instant(2))
    assert vm.model["tags"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize("keeps_change", [True, False])
def test_8_preempted_update_reaction(fake, keeps_change):
    """8, preempted-update: look again, and apply what is missing to the model as it is now."""
    fake.add_vm("web-1", resource_group=GROUP, parameters={"tags": {"b": "2"}})
    fake.inject(failures.OperationPreempted(keeps_change=keeps_change))
    tries = reactions.tag(fake.client, GROUP, "web-1", {"a": "1"}, sent)

    assert tries == (1 if keeps_change else 2)
    assert fake.vm("web-1").model["tags"] == {"b": "2", "a": "1"}
    assert [status for _, status in seen(fake, "update")] == [200] * tries


def test_8_preempted_update_naively(fake):
    """8, preempted-update: whoever sends the old model again undoes what the newer update did."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    stale = fake.client.virtual_machines.get(GROUP, "web-1")
    first = begin_patch(fake, "web-1", {"tags": {"a": "1"}})
    fake.clock.advance(2)
    begin_patch(fake, "web-1", {"tags": {"b": "2"}})
    with pytest.raises(HttpResponseError):
        first.result()
    stale.tags = {"a": "1"}
    fake.client.virtual_machines.begin_create_or_update(GROUP, "web-1", stale).result()

    assert vm.model["tags"] == {"a": "1"}  # and b is lost


@pytest.mark.parametrize("operation", ["reapply", "update", "restart"])
def test_5_nothing_but_a_delete_helps_where_azure_has_given_up(fake, operation):
    """(5) A machine in its terminal state fails whatever would repair it, in the same words."""
    fake.inject(failures.OSProvisioningTimedOut(terminal=True))
    with pytest.raises(HttpResponseError):
        begin_put(fake, "web-1", linux_vm()).result()
    with pytest.raises(HttpResponseError, match="non-recoverable"):
        begin(fake, operation, "web-1").result()

    assert fake.vm("web-1").provisioning_state == "Failed"
