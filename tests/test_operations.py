"""Redeploy, reapply, reimage, generalize, simulated evictions: what each does, and where not."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import HttpResponseError

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import failures
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
    vm_with_disks,
)
from tests.test_lifecycle import (
    CONCURRENT,
    DEALLOCATED,
    INSIDE,
    MARKED,
    NEVER_UP,
    NOT_ALLOWED,
    ONGOING,
    SET_TO_RUN,
    cells,
    in_flight,
    settled,
)

GENERALIZED = "Operation '{action}' is not allowed on VM 'web-1' since the VM is generalized."
STILL_RUNS = (
    "Operation 'generalize' is not allowed on VM 'web-1' since the VM is running. Please power off "
    "explicitly in case you shut down the VM from inside the guest operating system."
)
UNDER_WAY = (
    "Operation 'generalize' is not allowed on VM 'web-1' since another operation is in progress."
)
SPOT = {"properties": {"priority": "Spot"}}

# Where an operation leaves a VM, or how it is refused.
# fmt: off
SETTLED = (
    #             running         shut down inside  going down inside  stopped        deallocated    never up
    ("redeploy", ("running",      "running",        "running",         "stopped",     DEALLOCATED,   DEALLOCATED)),
    ("reapply",  ("running",      "stopped",        "stopped",         "stopped",     "deallocated", "running")),
    ("reimage",  ("running",      "running",        "running",         SET_TO_RUN,    SET_TO_RUN,    SET_TO_RUN)),
)
AT_REST = ("running", INSIDE, "going down inside", "stopped", "deallocated", NEVER_UP)
# What becomes of an operation that arrives while another is in flight.
MEETINGS = (
    # in flight     redeploy    reapply     reimage     generalize  eviction
    ("create",     ("refuse",   "conflict", "refuse",   "refuse",   "preempt")),
    ("update",     ("preempt",  "preempt",  "preempt",  "refuse",   "preempt")),
    ("delete",     ("deleting", "deleting", "deleting", "deleting", "deleting")),
    ("start",      ("refuse",   "conflict", "refuse",   "refuse",   "preempt")),
    ("power_off",  ("refuse",   "conflict", "refuse",   "refuse",   "preempt")),
    ("restart",    ("refuse",   "conflict", "refuse",   "refuse",   "preempt")),
    ("deallocate", ("refuse",   "conflict", "refuse",   "refuse",   "refuse")),
    ("redeploy",   ("busy",     "conflict", "busy",     "refuse",   "preempt")),
    ("reapply",    ("preempt",  "preempt",  "preempt",  "refuse",   "preempt")),
    ("reimage",    ("busy",     "conflict", "busy",     "refuse",   "preempt")),
    ("eviction",   ("refuse",   "conflict", "refuse",   "refuse",   "follow")),
)
NEWER = ("redeploy", "reapply", "reimage", "generalize", "eviction")
MEETINGS_OF_THE_OLDER = (
    # in flight     update      delete     start     power_off  restart   deallocate
    ("redeploy",   ("conflict", "preempt", "busy",    "busy",    "busy",    "busy")),
    ("reapply",    ("preempt",  "preempt", "preempt", "preempt", "preempt", "preempt")),
    ("reimage",    ("conflict", "preempt", "busy",    "busy",    "busy",    "busy")),
    ("eviction",   ("conflict", "preempt", "refuse",  "refuse",  "refuse",  "follow")),
)
OLDER = ("update", "delete", "start", "power_off", "restart", "deallocate")
# fmt: on


def spot_vm(fake, name="web-1", policy=None, power_state="running"):
    """Seed a spot VM with this eviction policy."""
    parameters = changed(SPOT, "properties.evictionPolicy", policy) if policy else SPOT
    return fake.add_vm(name, resource_group=GROUP, power_state=power_state, parameters=parameters)


def agent(fake, name="web-1"):
    """Give what the VM's agent reports, or None."""
    found = fake.client.virtual_machines.instance_view(GROUP, name).vm_agent
    return found.statuses[0].display_status if found else None


def generalized(fake, power_state="stopped"):
    """Seed a VM that was generalized."""
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state=power_state)
    fake.client.virtual_machines.generalize(GROUP, "web-1")
    return vm


@pytest.mark.parametrize(("operation", "state", "cell"), cells(SETTLED, AT_REST))
def test_where_a_repair_leaves_a_vm(fake, operation, state, cell):
    """With nothing in flight a repair ends where the table says, or is refused and changes nothing."""
    vm = settled(fake, state)
    if cell in (DEALLOCATED, SET_TO_RUN):
        was = (vm.power_state, vm.provisioning_state, vm.goal_state, vm.history)
        answer = refusal(lambda: begin(fake, operation, "web-1"))

        assert answer == (409, NOT_ALLOWED, cell.format(action=operation), None)
        assert (vm.power_state, vm.provisioning_state, vm.goal_state, vm.history) == was
    else:
        poller = begin(fake, operation, "web-1")
        fake.clock.advance(minutes=10)

        assert (poller.status(), vm.power_state, vm.provisioning_state) == (
            "Succeeded", cell, "Succeeded"
        )  # fmt: skip


@pytest.mark.parametrize(("older", "newer", "meeting"), cells(MEETINGS, NEWER))
def test_meetings_with_what_arrives(older, newer, meeting):
    """What becomes of a repair or an eviction that arrives during another is as written here."""
    assert table.meet(older, newer) == meeting


@pytest.mark.parametrize(("older", "newer", "meeting"), cells(MEETINGS_OF_THE_OLDER, OLDER))
def test_meetings_with_what_is_in_flight(older, newer, meeting):
    """What becomes of an operation that arrives during a repair or an eviction is written here."""
    assert table.meet(older, newer) == meeting


@pytest.mark.parametrize(
    ("operation", "seconds", "views"),
    [
        ("redeploy", 78, ["stopping", "starting", "running"]),
        ("reapply", 5, ["running", "running"]),
        ("reimage", 89, ["stopping", "starting", "running"]),
    ],
)
def test_what_a_repair_passes_through(fake, operation, seconds, views):
    """A repair is Updating for its seconds, shows its power states in order, and then Succeeded."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    begin(fake, operation, "web-1")
    fake.clock.advance(seconds - 0.001)
    before = vm.provisioning_state
    fake.clock.advance(0.001)

    assert (before, vm.provisioning_state) == ("Updating", "Succeeded")
    assert [line.power_state for line in vm.history[1:]] == views
    assert {line.cause for line in vm.history[1:]} == {operation}


@pytest.mark.parametrize("operation", ["redeploy", "reapply", "reimage"])
def test_how_a_repair_is_answered(fake, operation):
    """It is a 202 without a body, with both URLs to poll, and counted among the updates."""
    fake.add_vm("web-1", resource_group=GROUP)
    seen = []
    poller = getattr(fake.client.virtual_machines, f"begin_{operation}")(
        GROUP, "web-1", raw_response_hook=lambda answer: seen.append(answer.http_response)
    )
    poller.result()
    first, last = seen[0], seen[-1]

    assert (first.status_code, fake.calls[0].answered) == (202, b"")
    assert "/operations/" in first.headers["Azure-AsyncOperation"]
    assert "monitor=true" in first.headers["Location"]
    assert "Retry-After" not in first.headers
    assert "Microsoft.Compute/UpdateVMSubscriptionMaximum;1499" in str(dict(first.headers))
    assert "monitor=true" in last.request.url
    assert [call.vm for call in fake.calls.filter(operation=operation)] == ["web-1"]


@pytest.mark.parametrize("operation", ["redeploy", "reapply", "reimage", "restart"])
def test_a_repair_makes_what_a_failed_update_left(fake, operation):
    """After a failed update any repair makes the model of GET effective, and clears Failed."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("InternalExecutionError", "Sorry.")
    )
    disks = {"properties": {"storageProfile": {"dataDisks": [empty_disk(0)]}}}
    begin_patch(fake, "web-1", disks)
    fake.clock.advance(minutes=1)
    failed = vm.provisioning_state
    drifted = vm.effective_model["properties"]["storageProfile"]["dataDisks"]
    fake._compute.fate = lambda vm, operation: None
    begin(fake, operation, "web-1")
    fake.clock.advance(minutes=5)
    [disk] = vm.effective_model["properties"]["storageProfile"]["dataDisks"]

    assert (failed, drifted) == ("Failed", [])
    assert (
        disk["managedDisk"]["id"]
        == (vm.model["properties"]["storageProfile"]["dataDisks"][0]["managedDisk"]["id"])
    )
    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/running"]


def test_a_reapply_leaves_the_guest_alone(fake):
    """A reapply is no reboot: an agent that was silent stays so."""
    fake.add_vm("web-1", resource_group=GROUP).guest_crash()
    fake.clock.advance(minutes=3)
    begin(fake, "reapply", "web-1")
    fake.clock.advance(minutes=3)

    assert agent(fake) == "Not Ready"


@pytest.mark.parametrize("operation", ["redeploy", "reimage"])
def test_a_repair_that_boots_brings_the_agent_back(fake, operation):
    """A redeploy or reimage starts the system anew, and its agent reports again."""
    fake.add_vm("web-1", resource_group=GROUP).guest_crash()
    fake.clock.advance(minutes=3)
    begin(fake, operation, "web-1")
    fake.clock.advance(minutes=3)

    assert agent(fake) == "Ready"


def test_a_repair_that_fails(fake):
    """A redeploy that fails leaves the VM running and Failed, with its error in view."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("VMRedeploymentFailed", "Sorry.")
    )
    poller = begin(fake, "redeploy", "web-1")
    fake.clock.advance(minutes=5)

    assert poller.status() == "Failed"
    assert codes(fake, "web-1") == [
        "ProvisioningState/failed/VMRedeploymentFailed", "PowerState/running"
    ]  # fmt: skip
    assert vm.history[-1].cause == "redeploy: VMRedeploymentFailed"


@pytest.mark.parametrize(
    ("older", "newer", "code", "message"),
    [
        ("redeploy", "start", NOT_ALLOWED, ONGOING.format(target="running", action="start")),
        ("redeploy", "restart", NOT_ALLOWED, ONGOING.format(target="running", action="restart")),
        ("reimage", "redeploy", NOT_ALLOWED, ONGOING.format(target="running", action="redeploy")),
        ("restart", "redeploy", NOT_ALLOWED, ONGOING.format(target="running", action="redeploy")),
        ("create", "redeploy", NOT_ALLOWED, ONGOING.format(target="running", action="redeploy")),
        ("redeploy", "update", "Conflict", CONCURRENT),
        ("redeploy", "reapply", "Conflict", CONCURRENT),
        ("deallocate", "reapply", "Conflict", CONCURRENT),
        ("deallocate", "redeploy", NOT_ALLOWED, DEALLOCATED.format(action="redeploy")),
        ("delete", "reapply", NOT_ALLOWED, MARKED.format(action="reapply")),
        ("delete", "redeploy", NOT_ALLOWED, MARKED.format(action="redeploy")),
    ],
)
def test_repairs_that_are_refused_meanwhile(fake, older, newer, code, message):
    """A repair and a power operation do not go together: the newer one is refused by what goes on."""
    poller = in_flight(fake, older)

    assert refusal(lambda: begin(fake, newer, "web-1")) == (409, code, message, None)
    fake.clock.advance(minutes=10)
    assert poller.status() == "Succeeded"


@pytest.mark.parametrize("body", [b"", b'{"tempDisk": true, "osProfile": {"adminPassword": "x"}}'])
def test_what_a_reimage_may_ask_for(fake, body):
    """A reimage takes what the SDK can send with it, and GET shows none of it."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    was = vm.model
    fake.client.virtual_machines.begin_reimage(GROUP, "web-1", body or None).result()

    assert vm.model == was


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"tempDsk": true}', 400, "InvalidRequestContent"),
        (b'{"tempDisk": "perhaps"}', 400, "InvalidRequestContent"),
        (b"[]", 400, "InvalidRequestContent"),
        (b"{", 400, "InvalidRequestContent"),
    ],
)
def test_what_a_reimage_may_not_ask_for(fake, body, status, code):
    """What a reimage does not know is refused by name, and nothing changes."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    answer = refusal(lambda: fake.client.virtual_machines.begin_reimage(GROUP, "web-1", body))

    assert answer[:2] == (status, code)
    assert (vm.operation, vm.provisioning_state) == (None, "Succeeded")


# --- generalize --------------------------------------------------------------------------------


@pytest.mark.parametrize("power_state", ["stopped", "deallocated"])
def test_generalizing(fake, power_state):
    """Generalizing is done when it is answered, and shows as OSState, before everything else."""
    vm = generalized(fake, power_state)
    call = fake.calls[-1]

    assert (call.operation, call.status, call.answered) == ("generalize", 200, b"")
    assert (vm.operation, vm.provisioning_state) == (None, "Succeeded")
    assert [tuple(status[:3]) for status in vm.statuses] == [
        ("OSState/generalized", "Info", "VM generalized"),
        ("ProvisioningState/succeeded", "Info", "Provisioning succeeded"),
        (f"PowerState/{power_state}", "Info", f"VM {power_state}"),
    ]
    assert codes(fake, "web-1") == [status.code for status in vm.statuses]


@pytest.mark.parametrize("state", ["running", INSIDE, "going down inside", NEVER_UP])
def test_generalizing_what_runs(fake, state):
    """A VM that runs, or is set to run though its guest shut down, is not generalized."""
    vm = settled(fake, state)
    answer = refusal(lambda: fake.client.virtual_machines.generalize(GROUP, "web-1"))

    assert answer == (409, NOT_ALLOWED, STILL_RUNS, None)
    assert not any(status.code.startswith("OSState") for status in vm.statuses)


def test_the_way_out_of_that(fake):
    """After an explicit power off a VM whose guest had shut down is generalized."""
    vm = settled(fake, INSIDE)
    begin(fake, "power_off", "web-1").result()
    fake.client.virtual_machines.generalize(GROUP, "web-1")

    assert vm.statuses[0].code == "OSState/generalized"


@pytest.mark.parametrize(
    ("older", "message"),
    [
        ("create", STILL_RUNS),
        ("power_off", STILL_RUNS),
        ("deallocate", UNDER_WAY),
        ("delete", MARKED.format(action="generalize")),
    ],
)
def test_generalizing_meanwhile(fake, older, message):
    """While an operation is in flight nothing is generalized."""
    in_flight(fake, older)
    fake.clock.advance(10 if older == "create" else 0)

    assert refusal(lambda: fake.client.virtual_machines.generalize(GROUP, "web-1")) == (
        409, NOT_ALLOWED, message, None
    )  # fmt: skip


@pytest.mark.parametrize("power_state", ["stopped", "deallocated"])
@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("start", "start"),
        ("power_off", "powerOff"),
        ("restart", "restart"),
        ("redeploy", "redeploy"),
        ("reapply", "reapply"),
        ("reimage", "reimage"),
    ],
)
def test_what_a_generalized_vm_refuses(fake, power_state, operation, action):
    """A generalized VM is lost as a VM: nothing starts it, or repairs it."""
    generalized(fake, power_state)

    assert refusal(lambda: begin(fake, operation, "web-1")) == (
        409, NOT_ALLOWED, GENERALIZED.format(action=action), None
    )  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "power_state"),
    [("deallocate", "deallocated"), ("update", "stopped"), ("delete", None)],
)
def test_what_a_generalized_vm_takes(fake, operation, power_state):
    """A generalized VM is still deallocated, written and deleted; the mark stays."""
    vm = generalized(fake)
    poller = begin(fake, operation, "web-1")
    fake.clock.advance(minutes=10)

    assert (poller.status(), vm.power_state) == ("Succeeded", power_state)
    assert vm.statuses[0].code == "OSState/generalized"


def test_generalizing_again(fake):
    """A second generalize is answered like the first."""
    generalized(fake)
    fake.client.virtual_machines.generalize(GROUP, "web-1")

    assert [call.status for call in fake.calls] == [200, 200]


def test_generalizing_takes_no_time_that_could_be_set(fake):
    """Timing knows no generalize, and says what it knows."""
    with pytest.raises(ValueError, match=r"timing knows no 'generalize'; it knows create, "):
        fake.timing.set("generalize", 5)


# --- simulated evictions -----------------------------------------------------------------------


def test_simulating_an_eviction(fake):
    """It is a 204 at once; about a minute later the spot VM is deallocated, Succeeded throughout."""
    vm = spot_vm(fake)
    seen = []
    fake.client.virtual_machines.simulate_eviction(
        GROUP, "web-1", raw_response_hook=lambda answer: seen.append(answer.http_response)
    )
    call = fake.calls[-1]
    fake.clock.advance(56.999)
    before = (vm.power_state, vm.provisioning_state)
    fake.clock.advance(0.001)

    assert (call.operation, call.status, call.answered) == ("simulate_eviction", 204, b"")
    assert "DeleteVMSubscriptionMaximum" in seen[0].headers["x-ms-ratelimit-remaining-resource"]
    assert "Azure-AsyncOperation" not in seen[0].headers
    assert before == ("deallocating", "Succeeded")
    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/deallocated"]
    assert agent(fake) is None
    assert vm.goal_state == "deallocated"


@pytest.mark.parametrize("power_state", ["running", "stopped", "deallocated"])
def test_only_spot_vms_are_evicted(fake, power_state):
    """A VM of regular priority is not evicted, in Azure's words."""
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state=power_state)
    answer = refusal(lambda: fake.client.virtual_machines.simulate_eviction(GROUP, "web-1"))

    assert answer == (
        409, NOT_ALLOWED, "Operation 'simulateEviction' is allowed only for Spot Virtual Machines",
        None,
    )  # fmt: skip
    assert vm.operation is None


@pytest.mark.parametrize("what", ["deallocated", "deallocate", "delete"])
def test_nothing_to_evict(fake, what):
    """A spot VM that holds no host, or gives it back already, is not evicted."""
    spot_vm(fake, power_state="deallocated" if what == "deallocated" else "running")
    if what != "deallocated":
        begin(fake, what, "web-1")
    answer = refusal(lambda: fake.client.virtual_machines.simulate_eviction(GROUP, "web-1"))
    expected = MARKED if what == "delete" else DEALLOCATED

    assert answer == (409, NOT_ALLOWED, expected.format(action="simulateEviction"), None)


@pytest.mark.parametrize("priority", ["Spot", "Low"])
def test_what_makes_a_spot_vm(fake, priority):
    """A priority of Spot does, and so does Low, its older name."""
    begin_put(fake, "web-1", changed(linux_vm(), "properties.priority", priority)).result()
    fake.client.virtual_machines.simulate_eviction(GROUP, "web-1")
    fake.clock.advance(minutes=1)

    assert fake.vm("web-1").power_state == "deallocated"


def test_a_spot_vm_that_is_started_again(fake):
    """An evicted VM is not restarted by itself, and its owner may start it."""
    vm = spot_vm(fake)
    fake.client.virtual_machines.simulate_eviction(GROUP, "web-1")
    fake.clock.advance(minutes=60)
    left = vm.power_state
    begin(fake, "start", "web-1").result()

    assert (left, vm.power_state) == ("deallocated", "running")


def test_the_disks_of_a_create_are_made_though(fake):
    """A create with data disks that is followed by an eviction has made them."""
    body = changed(vm_with_disks(empty_disk(0)), "properties.priority", "Spot")
    begin_put(fake, "web-1", body).result()
    fake.client.virtual_machines.simulate_eviction(GROUP, "web-1")
    fake.clock.advance(minutes=1)

    assert len(fake.client.virtual_machines.instance_view(GROUP, "web-1").disks) == 2


def test_a_redeploy_that_is_preempted_by_a_delete(fake):
    """A delete during a redeploy ends that Canceled, in a 200."""
    fake.add_vm("web-1", resource_group=GROUP)
    first = begin(fake, "redeploy", "web-1")
    begin(fake, "delete", "web-1")
    fake.clock.advance(minutes=10)

    with pytest.raises(HttpResponseError):
        first.result()
    assert [document["error"]["code"] for document in polled(fake, "Canceled")] == [
        "OperationPreempted"
    ]
    assert json.loads(fake.calls[0].answered or b"{}") == {}
    assert fake.vms == ()


# --- operations that fail, or are pushed aside -------------------------------------------------


@pytest.mark.parametrize(
    "failure", [failures.InternalOperationError(), failures.OperationPreempted()], ids=repr
)
@pytest.mark.parametrize("operation", ["deallocate", "reimage", "redeploy", "restart", "power_off"])
def test_the_agent_of_a_guest_that_goes_on(fake, operation, failure):
    """A machine that goes on running, its operation having come to nothing, has its agent again."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failure, on=operation)
    begin(fake, operation, "web-1")
    fake.clock.advance(minutes=30)

    assert codes(fake, "web-1")[-1] == "PowerState/running"
    assert agent(fake) == "Ready"


def test_the_agent_of_a_guest_whose_create_failed_late(fake):
    """A machine whose system is up, though its create failed, has its agent."""
    fake.inject(failures.InternalOperationError(), on="create")
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(minutes=30)

    assert agent(fake) == "Ready"


def test_a_failed_restart_brings_no_agent_back(fake):
    """A guest that crashed is not brought up by a restart that fails."""
    fake.add_vm("web-1", resource_group=GROUP).guest_crash()
    fake.clock.advance(minutes=5)
    fake.inject(failures.InternalOperationError(), on="restart")
    begin(fake, "restart", "web-1")
    fake.clock.advance(minutes=30)

    assert agent(fake) == "Not Ready"


@pytest.mark.parametrize("operation", ["start", "deallocate"])
def test_an_operation_pushed_aside_leaves_the_goal(fake, operation):
    """What a machine is set to is what it was before an operation that came to nothing."""
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state="stopped")
    fake.inject(failures.OperationPreempted(), on=operation)
    begin(fake, operation, "web-1")
    fake.clock.advance(minutes=30)

    assert (vm.power_state, vm.goal_state) == ("stopped", "stopped")
    assert refusal(lambda: begin(fake, "restart", "web-1"))[1] == "OperationNotAllowed"
