"""What befalls a VM without its owner: evictions, hosts that fail, agents that fall silent."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from pytest_azurevm import failures
from pytest_azurevm._records import Fate
from tests.builders import GROUP, begin, begin_put, changed, codes, linux_vm, polled, refusal
from tests.test_operations import agent, spot_vm

GONE = (404, "NotFound", "The entity was not found in this Azure location.", None)


def spot_body(policy="Deallocate"):
    """Give the body of a spot VM with this policy."""
    body = changed(linux_vm(), "properties.priority", "Spot")
    return changed(body, "properties.evictionPolicy", policy)


# --- evictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, "Deallocate"])
@pytest.mark.parametrize("power_state", ["running", "stopped"])
def test_an_eviction_deallocates(fake, policy, power_state):
    """By default an evicted VM is deallocating, then deallocated, and Succeeded throughout."""
    vm = spot_vm(fake, policy=policy, power_state=power_state)
    vm.evict()
    during = (codes(fake, "web-1"), agent(fake), vm.operation.operation)
    fake.clock.advance(57)

    assert during == (["ProvisioningState/succeeded", "PowerState/deallocating"], None, "eviction")
    assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/deallocated"]
    assert [(line.power_state, line.provisioning_state, line.cause) for line in vm.history] == [
        (power_state, "Succeeded", "seeded"),
        ("deallocating", "Succeeded", "eviction"),
        ("deallocated", "Succeeded", "eviction"),
    ]
    assert (vm.goal_state, vm.operation) == ("deallocated", None)


def test_an_eviction_ends_the_bill_for_compute(fake):
    """An evicted VM costs hardware until its eviction, and disks ever after."""
    vm = spot_vm(fake)
    fake.clock.advance(100)
    vm.evict()
    fake.clock.advance(100)

    assert (vm.bill.hardware, vm.bill.disks) == (100.0, 200.0)


def test_an_eviction_that_deletes(fake):
    """With the policy Delete the VM is gone: GET says NotFound, and lists do not know it."""
    vm = spot_vm(fake, policy="Delete")
    vm.evict()
    fake.clock.advance(56.999)
    before = fake.client.virtual_machines.get(GROUP, "web-1").provisioning_state
    fake.clock.advance(0.001)
    client = fake.client.virtual_machines

    assert before == "Succeeded"
    assert refusal(lambda: client.get(GROUP, "web-1")) == GONE
    assert refusal(lambda: client.instance_view(GROUP, "web-1")) == GONE
    assert refusal(lambda: client.begin_start(GROUP, "web-1")) == GONE
    assert refusal(lambda: client.begin_update(GROUP, "web-1", b"{}")) == GONE
    assert "x-ms-failure-cause" not in fake.calls[-1].answered.decode()
    assert (list(client.list(GROUP)), list(client.list_all()), fake.vms) == ([], [], ())
    assert repr(vm) == "<FakeVM web-1: deleted>"
    assert vm.history[-1][1:] == (None, "Succeeded", "eviction: gone")


def test_the_sdk_takes_both_for_the_same(fake):
    """The SDK raises ResourceNotFoundError of an evicted VM too; only the code differs."""
    spot_vm(fake, policy="Delete").evict()
    fake.clock.advance(minutes=1)

    with pytest.raises(ResourceNotFoundError) as caught:
        fake.client.virtual_machines.get(GROUP, "web-1")
    assert caught.value.error.code == "NotFound"
    with pytest.raises(ResourceNotFoundError) as caught:
        fake.client.virtual_machines.get(GROUP, "web-2")
    assert caught.value.error.code == "ResourceNotFound"


@pytest.mark.parametrize("how", ["evict", "delete"])
def test_what_becomes_of_the_disks(fake, how):
    """An eviction takes the disks along, and their bill ends; a delete leaves them and their bill."""
    vm = spot_vm(fake, policy="Delete")
    if how == "evict":
        vm.evict()
    else:
        begin(fake, "delete", "web-1")
    fake.clock.advance(1000)

    assert vm.bill.disks == (57.0 if how == "evict" else 1000.0)


@pytest.mark.parametrize("by", ["PUT", "add_vm"])
def test_the_name_of_an_evicted_vm_is_free(fake, by):
    """Another VM may take the name, and once it is deleted in its turn GET is a ResourceNotFound."""
    spot_vm(fake, policy="Delete").evict()
    fake.clock.advance(minutes=1)
    if by == "PUT":
        begin_put(fake, "WEB-1", linux_vm()).result()
    else:
        fake.add_vm("WEB-1", resource_group=GROUP.upper())
    found = fake.client.virtual_machines.get(GROUP, "web-1").name
    begin(fake, "delete", "web-1").result()

    assert found == "WEB-1"
    assert refusal(lambda: fake.client.virtual_machines.get(GROUP, "web-1"))[1] == (
        "ResourceNotFound"
    )


def test_deleting_what_an_eviction_deleted(fake):
    """A delete of a VM that an eviction deleted finds nothing to do."""
    spot_vm(fake, policy="Delete").evict()
    fake.clock.advance(minutes=1)
    begin(fake, "delete", "web-1").result()

    assert fake.calls.filter(operation="delete")[0].status == 204


def test_looking_for_what_an_eviction_deleted(fake):
    """A GET of it is a GET in the log of calls, and a failure can strike it."""
    spot_vm(fake, policy="Delete").evict()
    fake.clock.advance(minutes=1)
    lost = fake.inject(failures.ServerError(), on="get")
    told = refusal(lambda: fake.client.virtual_machines.get(GROUP, "web-1"))

    assert (told, lost.hits) == (GONE, 1)
    assert [call.status for call in fake.calls.filter(operation="get")] == [503, 404]


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
@pytest.mark.parametrize("seconds", [0, 7, 20, 40])
def test_an_eviction_during_a_create(fake, policy, seconds):
    """The create ends Canceled, OperationPreempted; then the VM is deallocated, or gone."""
    create = begin_put(fake, "web-1", spot_body(policy))
    fake.clock.advance(seconds)
    vm = fake.vm("web-1")
    vm.evict()
    fake.clock.advance(minutes=2)

    with pytest.raises(HttpResponseError) as caught:
        create.result()
    assert caught.value.error.code == "OperationPreempted"
    [canceled] = polled(fake, "Canceled")
    assert canceled["endTime"] == f"2026-01-01T00:00:{seconds:02}+00:00"
    if policy == "Delete":
        assert refusal(lambda: fake.client.virtual_machines.get(GROUP, "web-1")) == GONE
    else:
        assert codes(fake, "web-1") == ["ProvisioningState/succeeded", "PowerState/deallocated"]


@pytest.mark.parametrize("operation", ["update", "restart", "power_off", "redeploy", "reapply"])
def test_an_eviction_preempts_what_is_in_flight(fake, operation):
    """Whatever is in flight when a VM is evicted ends Canceled, and the VM is deallocated."""
    vm = spot_vm(fake)
    poller = begin(fake, operation, "web-1")
    vm.evict()
    fake.clock.advance(minutes=2)

    assert poller.status() == "Canceled"
    assert (vm.power_state, vm.provisioning_state) == ("deallocated", "Succeeded")


def test_an_eviction_during_a_start(fake):
    """A VM that is starting has a host already, and is evicted."""
    vm = spot_vm(fake, power_state="deallocated")
    poller = begin(fake, "start", "web-1")
    vm.evict()
    fake.clock.advance(minutes=2)

    assert (poller.status(), vm.power_state) == ("Canceled", "deallocated")


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
def test_deallocating_what_is_being_evicted(fake, policy):
    """A deallocate during an eviction succeeds together with it."""
    vm = spot_vm(fake, policy=policy)
    vm.evict()
    fake.clock.advance(10)
    poller = begin(fake, "deallocate", "web-1")
    fake.clock.advance(47)

    assert polled(fake, "InProgress")
    fake.clock.advance(minutes=2)
    assert poller.status() == "Succeeded"
    assert polled(fake, "Succeeded")[0]["endTime"] == "2026-01-01T00:00:57+00:00"
    assert vm.power_state == ("deallocated" if policy == "Deallocate" else None)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("start", "OperationNotAllowed"),
        ("restart", "OperationNotAllowed"),
        ("power_off", "OperationNotAllowed"),
        ("redeploy", "OperationNotAllowed"),
        ("update", "Conflict"),
    ],
)
def test_what_is_refused_during_an_eviction(fake, operation, code):
    """Nothing brings a VM back that is being evicted."""
    vm = spot_vm(fake)
    vm.evict()

    assert refusal(lambda: begin(fake, operation, "web-1"))[:2] == (409, code)
    fake.clock.advance(minutes=1)
    assert vm.power_state == "deallocated"


def test_a_delete_during_an_eviction(fake):
    """A delete goes before an eviction, and the VM is gone as any deleted one."""
    vm = spot_vm(fake)
    vm.evict()
    begin(fake, "delete", "web-1").result()

    assert refusal(lambda: fake.client.virtual_machines.get(GROUP, "web-1"))[1] == (
        "ResourceNotFound"
    )
    assert [line.cause for line in vm.history][-1] == "delete: gone"


def test_a_second_eviction(fake):
    """Who is being evicted already is not evicted anew."""
    vm = spot_vm(fake)
    vm.evict()
    fake.clock.advance(50)
    vm.evict()
    fake.clock.advance(7)

    assert (vm.power_state, vm.operation) == ("deallocated", None)


def test_nobody_cancels_an_eviction(fake):
    """An eviction is the platform's: an owner's cancel does not reach it."""
    vm = spot_vm(fake)
    vm.evict()

    with pytest.raises(ValueError, match=r"no operation of its owner's in flight .*eviction"):
        vm.cancel_operation()
    assert vm.power_state == "deallocating"


def test_an_eviction_keeps_the_provisioning_state(fake):
    """An eviction that preempts nothing leaves whatever the last operation left."""
    vm = spot_vm(fake)
    begin(fake, "update", "web-1")
    vm.cancel_operation()
    vm.evict()
    fake.clock.advance(minutes=1)

    assert (vm.power_state, vm.provisioning_state) == ("deallocated", "Canceled")


def test_the_seconds_of_an_eviction(fake):
    """A test says how long an eviction takes, as of any operation."""
    fake.timing.eviction = 5
    vm = spot_vm(fake)
    vm.evict()
    fake.clock.advance(5)

    assert vm.power_state == "deallocated"


def test_only_spot_vms_are_evicted(fake):
    """A VM of regular priority is not evicted, and the message says how one becomes a spot VM."""
    vm = fake.add_vm("web-1", resource_group=GROUP)

    with pytest.raises(ValueError, match=r"web-1 is no spot VM.*\"priority\": \"Spot\""):
        vm.evict()
    assert (vm.power_state, len(vm.history)) == ("running", 1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("deallocated", r"web-1 cannot be evicted now: .* since the VM is either deallocated "),
        ("never up", r"web-1 cannot be evicted now: .* since the VM is either deallocated "),
        ("deallocate", r"web-1 cannot be evicted now: .* since the VM is either deallocated "),
        ("delete", r"web-1 cannot be evicted now: .* since the VM is marked for deletion"),
        ("deleted", r"web-1 cannot be evicted: it is deleted"),
    ],
)
def test_nothing_to_evict(fake, how, message):
    """A VM without a host is not evicted, and the message says why."""
    if how == "never up":
        begin_put(fake, "web-1", spot_body())
        vm = fake.vm("web-1")
        vm.cancel_operation()
    else:
        vm = spot_vm(fake, power_state="deallocated" if how == "deallocated" else "running")
    if how in ("deallocate", "delete", "deleted"):
        begin(fake, how.removesuffix("d"), "web-1")
    if how == "deleted":
        fake.clock.advance(minutes=2)
    was = vm.history

    with pytest.raises(ValueError, match=message):
        vm.evict()
    assert vm.history == was


# --- hosts that fail ---------------------------------------------------------------------------


def test_a_host_that_fails(fake):
    """The power state stays running and is billed; the agent is unresponsive until healed."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host()
    during = (codes(fake, "web-1"), agent(fake))
    fake.clock.advance(899)
    before = agent(fake)
    fake.clock.advance(8)

    assert during == (["ProvisioningState/succeeded", "PowerState/running"], "Not Ready")
    assert (before, agent(fake)) == ("Not Ready", "Ready")
    assert (vm.power_state, vm.bill.hardware, len(vm.history)) == ("running", 907.0, 1)


@pytest.mark.parametrize("seconds", [0, 0.5, 60, 86_400])
def test_when_a_host_heals(fake, seconds):
    """The guest is up after the seconds that were asked for, and its agent a little later."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host(heals_after=seconds)
    fake.clock.advance(seconds + 6.999)
    before = agent(fake)
    fake.clock.advance(0.001)

    assert (before, agent(fake)) == ("Not Ready", "Ready")


def test_a_host_that_never_heals(fake):
    """None is never: nothing is due, and the agent stays silent."""
    fake.add_vm("web-1", resource_group=GROUP).fail_host(heals_after=None)
    fake.clock.advance(days=30)

    assert agent(fake) == "Not Ready"


@pytest.mark.parametrize("operation", ["restart", "redeploy", "reimage"])
def test_what_ends_a_hosts_failure(fake, operation):
    """A restart or redeploy brings the VM up elsewhere, and nothing heals afterwards."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host(heals_after=600)
    begin(fake, operation, "web-1")
    fake.clock.advance(120)
    after = agent(fake)
    vm.guest_crash()
    fake.clock.advance(minutes=30)

    assert (after, agent(fake)) == ("Ready", "Not Ready")


def test_a_failed_redeploy_does_not_keep_a_host_from_healing(fake):
    """Service healing does its work also where the owner's attempt failed."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host()
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("VMRedeploymentFailed", "Sorry.")
    )
    begin(fake, "redeploy", "web-1")
    fake.clock.advance(600)
    between = agent(fake)
    fake.clock.advance(400)

    assert (between, agent(fake)) == ("Not Ready", "Ready")


@pytest.mark.parametrize(
    ("operation", "seen"), [("power_off", "Not Ready"), ("deallocate", None), ("delete", None)]
)
def test_a_host_heals_for_nobody(fake, operation, seen):
    """A VM that was taken off its host, or powered off, does not come up by healing."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host()
    begin(fake, operation, "web-1")
    fake.clock.advance(minutes=30)

    assert vm.power_state in ("stopped", "deallocated", None)
    if operation != "delete":
        assert agent(fake) == seen
        begin(fake, "start", "web-1")
        fake.clock.advance(minutes=2)
        assert agent(fake) == "Ready"


@pytest.mark.parametrize("event", ["guest_shutdown", "guest_reboot", "guest_crash", "lose_agent"])
def test_a_guest_without_a_host_does_nothing(fake, event):
    """While its host is down a guest does nothing by itself, and the message says what helps."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host()

    with pytest.raises(ValueError, match=r"its host has failed.*Restart or redeploy it"):
        getattr(vm, event)()


def test_a_host_that_fails_again(fake):
    """What is said last of a host's failure holds."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.fail_host(heals_after=60)
    vm.fail_host(heals_after=None)
    fake.clock.advance(minutes=30)

    assert agent(fake) == "Not Ready"


@pytest.mark.parametrize(
    ("seconds", "kind", "message"),
    [
        (-1, ValueError, "heals_after must be zero or more, and finite, not -1"),
        (float("inf"), ValueError, "heals_after must be zero or more, and finite, not inf"),
        ("60", TypeError, "heals_after must be a number of seconds, not '60'"),
        (True, TypeError, "heals_after must be a number of seconds, not True"),
        (1e12, ValueError, "heals_after must be ten years at most, not 1000000000000.0; None is never"),
    ],
)  # fmt: skip
def test_what_is_no_time_to_heal(fake, seconds, kind, message):
    """Seconds that are none are refused, and the host is as it was."""
    vm = fake.add_vm("web-1", resource_group=GROUP)

    with pytest.raises(kind) as caught:
        vm.fail_host(heals_after=seconds)
    assert str(caught.value) == message
    assert agent(fake) == "Ready"


# --- agents that fall silent -------------------------------------------------------------------


def test_losing_the_agent(fake):
    """An agent that is lost is Not Ready until it is recovered; nothing else changes."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.lose_agent()
    fake.clock.advance(days=1)
    lost = agent(fake)
    vm.recover_agent()

    assert (lost, agent(fake)) == ("Not Ready", "Ready")
    assert (vm.power_state, vm.provisioning_state, len(vm.history)) == ("running", "Succeeded", 1)


@pytest.mark.parametrize("how", ["restart", "redeploy", "guest_reboot", "stop and start"])
def test_a_boot_brings_a_lost_agent_back(fake, how):
    """When the guest boots again its agent reports, and is not lost any more."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.lose_agent()
    if how == "guest_reboot":
        vm.guest_reboot()
    elif how == "stop and start":
        begin(fake, "power_off", "web-1").result()
        stopped = agent(fake)
        begin(fake, "start", "web-1").result()
        assert stopped == "Not Ready"
    else:
        begin(fake, how, "web-1")
    fake.clock.advance(minutes=2)

    assert agent(fake) == "Ready"
    with pytest.raises(ValueError, match="web-1 has not lost its agent"):
        vm.recover_agent()


@pytest.mark.parametrize("event", ["guest_crash", "fail_host"])
def test_only_a_lost_agent_is_recovered(fake, event):
    """An agent that went down with its guest or host is not recovered by itself."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    vm.lose_agent()
    getattr(vm, event)()

    with pytest.raises(ValueError, match="comes back with the guest: restart or redeploy it"):
        vm.recover_agent()


def test_an_agent_that_there_is_not(fake):
    """A VM that was given no agent loses none."""
    parameters = {"properties": {"osProfile": {"linuxConfiguration": {"provisionVMAgent": False}}}}
    vm = fake.add_vm("web-1", parameters=parameters)

    with pytest.raises(ValueError, match=r"web-1 has no agent to lose: .*provisionVMAgent false"):
        vm.lose_agent()


@pytest.mark.parametrize("event", ["fail_host", "lose_agent"])
@pytest.mark.parametrize("state", ["stopped", "deallocated", "deleted"])
def test_what_befalls_only_a_running_guest(fake, event, state):
    """Where no guest runs there is no agent to lose and no host to fail it."""
    power_state = "running" if state == "deleted" else state
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state=power_state)
    if state == "deleted":
        begin(fake, "delete", "web-1").result()

    with pytest.raises(ValueError, match=rf"its guest does not run, the VM is {state}\. Start it"):
        getattr(vm, event)()
