"""The failures that Azure's users meet: evictions, drift, odd answers, what Azure keeps a while."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import time

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from pytest_azurevm import failures
from tests import reactions
from tests.builders import (
    GROUP,
    NIC,
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
    shown,
)
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
    statuses,
)

DEALLOCATING = ("PowerState/deallocating", "Info", "VM deallocating")
DEALLOCATED = ("PowerState/deallocated", "Info", "VM deallocated")
GONE = (404, "NotFound", "The entity was not found in this Azure location.", None)
ABANDONED = "Operation abandoned due to internal error. Please try again later."
OTHER_NIC = NIC.removesuffix("n") + "other"


def spot(policy="Deallocate", size="Standard_D2s_v5"):
    """Give the body of a Spot VM."""
    asked = changed(linux_vm(), "properties.priority", "Spot")
    asked = changed(asked, "properties.evictionPolicy", policy)
    return changed(asked, "properties.hardwareProfile.vmSize", size)


def spot_vm(fake, policy="Deallocate"):
    """Seed a Spot VM that runs."""
    return fake.add_vm("web-1", resource_group=GROUP, parameters=spot(policy))


def get(fake, name="web-1", **more):
    """Look at the VM."""
    return fake.client.virtual_machines.get(GROUP, name, **more)


# --- 18 spot-evict-deallocate ------------------------------------------------------------------


def test_18_spot_evict_deallocate(fake):
    """18, spot-evict-deallocate: 57 s later it is deallocated, and was Succeeded throughout."""
    vm = spot_vm(fake)
    before = (shown(fake, "web-1"), agent(fake))
    fake.client.virtual_machines.simulate_eviction(GROUP, "web-1")
    answered = fake.calls[-1].status
    during = (shown(fake, "web-1"), agent(fake), provisioning(fake))
    fake.clock.advance(56.999)
    still = codes(fake, "web-1")[1]
    fake.clock.advance(0.001)
    view = fake.client.virtual_machines.instance_view(GROUP, "web-1")
    fake.clock.advance(days=30)

    assert (answered, before) == (204, ([SUCCEEDED, RUNNING], "Ready"))
    assert during == ([SUCCEEDED, DEALLOCATING], None, "Succeeded")
    assert (still, codes(fake, "web-1")[1]) == ("PowerState/deallocating", "PowerState/deallocated")
    assert (view.vm_agent, view.computer_name, view.os_name, view.extensions) == (None,) * 4
    assert (shown(fake, "web-1"), provisioning(fake)) == ([SUCCEEDED, DEALLOCATED], "Succeeded")
    assert (vm.goal_state, vm.bill.hardware) == ("deallocated", 0)  # nobody starts it again


@pytest.mark.parametrize("scarce", [False, True], ids=["capacity", "no capacity"])
def test_18_spot_evict_deallocate_reaction(fake, scarce):
    """18, spot-evict-deallocate: whoever watches its power state starts it, or replaces it."""
    vm = spot_vm(fake)
    if scarce:
        fake.inject(failures.AllocationFailed(), on="start")
    vm.evict()
    on_demand = changed(linux_vm(), "properties.networkProfile.networkInterfaces.0.id", OTHER_NIC)
    worker = reactions.keep_working(fake.client, GROUP, "web-1", "web-1-od", sent(on_demand))

    assert seen(fake, "start") == [(60, 202)]  # the first of the looks each 10 s after 57 s
    assert worker == ("web-1-od" if scarce else "web-1")
    assert reactions.power_states(fake.client, GROUP)[worker] == "running"
    assert vm.provisioning_state == ("Failed" if scarce else "Succeeded")


# --- 19 spot-evict-delete ----------------------------------------------------------------------


def test_19_spot_evict_delete(fake):
    """19, spot-evict-delete: GET is a 404 of Compute's own code; lists lose it, disks go."""
    vm = spot_vm(fake, "Delete")
    fake.clock.advance(100)
    vm.evict()
    fake.clock.advance(56.999)
    before = (shown(fake, "web-1"), [one.name for one in fake.client.virtual_machines.list(GROUP)])
    fake.clock.advance(0.001)

    assert before == ([SUCCEEDED, DEALLOCATING], ["web-1"])
    assert refusal(lambda: get(fake)) == GONE
    assert refusal(lambda: codes(fake, "web-1")) == GONE
    assert refusal(lambda: get(fake, "web-2"))[:2] == (404, "ResourceNotFound")
    assert list(fake.client.virtual_machines.list(GROUP)) == []
    fake.clock.advance(days=1)
    assert (vm.bill.hardware, vm.bill.disks) == (100, 157)


def test_19_spot_evict_delete_reaction(fake):
    """19, spot-evict-delete: both codes mean gone, and deleting it finds nothing to do."""
    spot_vm(fake, "Delete").evict()
    fake.clock.advance(minutes=1)
    begin(fake, "delete", "web-1").result()

    assert reactions.is_gone(fake.client, GROUP, "web-1")
    assert reactions.is_gone(fake.client, GROUP, "never-there")
    assert seen(fake, "delete") == [(60, 204)]


def test_19_spot_evict_delete_naively(fake):
    """19, spot-evict-delete: whoever knows ARM's code alone takes it for an error."""
    spot_vm(fake, "Delete").evict()
    fake.clock.advance(minutes=1)

    assert reactions.naive_is_gone(fake.client, GROUP, "never-there")
    with pytest.raises(ResourceNotFoundError, match="not found in this Azure location"):
        reactions.naive_is_gone(fake.client, GROUP, "web-1")


# --- 20 spot-evict-during-create ---------------------------------------------------------------


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
def test_20_spot_evict_during_create(fake, policy):
    """20, spot-evict-during-create: the create ends Canceled; then deallocated, or a 404."""
    fake.inject(failures.SpotEvicted(during=True, evicted_after=50))
    create = begin_put(fake, "web-1", spot(policy))
    vm = fake.vm("web-1")
    fake.clock.advance(49.999)
    before = codes(fake, "web-1")
    fake.clock.advance(0.001)
    during = codes(fake, "web-1")
    fake.clock.advance(56.999)
    still = vm.power_state
    fake.clock.advance(0.001)

    assert fake.calls[0].status == 201
    assert before == [
        "ProvisioningState/creating/osProvisioningInProgress", "PowerState/running"
    ]  # fmt: skip
    assert (during[1], still) == ("PowerState/deallocating", "deallocating")
    if policy == "Delete":
        assert refusal(lambda: get(fake)) == GONE
    else:
        assert (shown(fake, "web-1"), vm.provisioning_state) == (
            [SUCCEEDED, DEALLOCATED], "Succeeded"
        )  # fmt: skip
    assert refusal(create.result)[:2] == (200, "OperationPreempted")
    assert polled(fake, "Canceled")[0]["endTime"] == instant(50)
    assert vm.bill.hardware == 50 - 6.4  # from its starting to its eviction


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
def test_20_spot_evict_during_create_in_no_time(fake, policy):
    """20, spot-evict-during-create: it ends Canceled however little time the create takes."""
    fake.timing.profile = "instant"
    fake.inject(failures.SpotEvicted(during=True))
    create = begin_put(fake, "web-1", spot(policy))

    assert refusal(create.result)[:2] == (200, "OperationPreempted")


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
def test_20_spot_evict_during_create_reaction(fake, policy):
    """20, spot-evict-during-create: it is taken for a preemption, and tried elsewhere."""
    evicted = fake.inject(failures.SpotEvicted(during=True), size="Standard_D*")
    sizes = ("Standard_D2s_v5", "Standard_E2s_v5")
    taken = reactions.create_spot(
        fake.client, GROUP, "web-1", [sent(spot(policy, size)) for size in sizes]
    )

    assert (taken, evicted.hits) == (1, 1)
    assert polled(fake, "Canceled")[0]["endTime"] == instant(40)
    # Canceled is seen at 65 s; the delete overtakes the eviction, which would take until 97.
    assert seen(fake, "delete") == [(65, 202)]
    assert shown(fake, "web-1") == [SUCCEEDED, RUNNING]


# --- 21 failed-update-model-drift --------------------------------------------------------------


def drifted(fake):
    """Let an update that attaches a disk fail, and give the VM and the poller."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.InternalOperationError())
    disks = {"properties": {"storageProfile": {"dataDisks": [empty_disk(0)]}}}
    return vm, begin_patch(fake, "web-1", disks)


def luns(model):
    """Give the LUNs of a model's data disks."""
    return [disk["lun"] for disk in model["properties"]["storageProfile"]["dataDisks"]]


def test_21_failed_update_model_drift(fake):
    """21, failed-update-model-drift: GET shows the disk, and the guest, which runs, has none."""
    vm, poller = drifted(fake)
    answered = fake.calls[0]
    fake.clock.advance(4.199)
    before = codes(fake, "web-1")
    fake.clock.advance(0.001)
    after = (shown(fake, "web-1"), provisioning(fake))
    message = statuses(fake)[0]["message"]
    drift = ([disk.lun for disk in get(fake).storage_profile.data_disks], luns(vm.effective_model))
    end = refusal(poller.result)[1:3]
    begin(fake, "reapply", "web-1").result()

    assert answered.status == 200
    assert answered.response_body["properties"]["provisioningState"] == "Updating"
    assert before == ["ProvisioningState/updating", "PowerState/running"]
    assert after == ([failed("InternalOperationError"), RUNNING], "Failed")
    assert message == ABANDONED
    assert drift == ([0], [])
    assert end == ("InternalOperationError", ABANDONED)
    assert (luns(vm.model), luns(vm.effective_model)) == ([0], [0])
    assert shown(fake, "web-1") == [SUCCEEDED, RUNNING]
    assert vm.bill.hardware == now(fake)


@pytest.mark.parametrize("how", ["reapply", "PUT"])
def test_21_failed_update_model_drift_reaction(fake, how):
    """21, failed-update-model-drift: reapply it, or write the model again; it goes on running."""
    vm, poller = drifted(fake)
    with pytest.raises(HttpResponseError):
        poller.result()
    if how == "reapply":
        assert reactions.repair(fake.client, GROUP, "web-1") == "reapplied"
        assert reactions.repair(fake.client, GROUP, "web-1") == "left alone"
    else:
        fake.client.virtual_machines.begin_create_or_update(GROUP, "web-1", get(fake)).result()

    assert (luns(vm.effective_model), vm.provisioning_state) == ([0], "Succeeded")
    assert {line.power_state for line in vm.history} == {"running"}


def test_21_failed_update_model_drift_naively(fake):
    """21, failed-update-model-drift: whoever cleans up what says Failed deletes what works."""
    vm, _ = drifted(fake)
    fake.clock.advance(5)
    was = vm.power_state

    assert (was, reactions.naive_clean_up(fake.client, GROUP)) == ("running", ["web-1"])
    assert fake.vms == ()


# --- 22 missing-or-odd-statuses ----------------------------------------------------------------

DONE, IS_DONE = "Provisioning/succeeded", "Provisioning succeeded"
# fmt: off
ODD = (
    # kind                     codes, but for the "State" in them          searched    [1]                  [-1]
    ("none",                   (),                                         None,       IndexError,          IndexError),
    ("null",                   None,                                       None,       TypeError,           TypeError),
    ("no instance view",       None,                                       None,       TypeError,           TypeError),
    ("no power state",         (DONE,),                                    None,       IndexError,          IS_DONE),
    ("unknown power state",    (DONE, "Power/unknown"),                    "unknown",  "VM status unknown", "VM status unknown"),
    ("empty code",             (DONE, "", "Power/running"),                "running",  "",                  "VM running"),
    ("os state first",         ("OS/generalized", DONE, "Power/running"),  "running",  IS_DONE,             "VM running"),
    ("hibernation state last", (DONE, "Power/running", "Hibernation/Hibernated"), "running", "VM running",   "VM hibernated"),
)
# fmt: on


def read(call):
    """Give what a reading gives, or the kind of error that it ends in."""
    try:
        return call()
    except (IndexError, TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize(("kind", "expected", "searched", "second", "last"), ODD)
def test_22_missing_or_odd_statuses(fake, kind, expected, searched, second, last):
    """22, missing-or-odd-statuses: only a search by prefix reads every one of these lists."""
    fake.add_vm("web-1", resource_group=GROUP)
    odd = fake.inject(failures.MissingStatuses(kind=kind), on="*", times=None)
    client = fake.client
    view = client.virtual_machines.instance_view(GROUP, "web-1")
    of_get = get(fake, expand="instanceView").instance_view
    found = None if view.statuses is None else [one.code for one in view.statuses]
    spelled = None if expected is None else [code.replace("/", "State/") for code in expected]

    assert (fake.calls[0].status, fake.calls[1].status, odd.hits) == (200, 200, 2)
    assert found == spelled
    assert (of_get is None) == (kind == "no instance view")
    assert reactions.found_in(view, "PowerState") == searched
    assert reactions.found_in(of_get, "PowerState") == searched
    assert read(lambda: reactions.naive_second_status(client, GROUP, "web-1")) == second
    assert read(lambda: reactions.naive_last_status(client, GROUP, "web-1")) == last


def test_22_missing_or_odd_statuses_naturally(fake):
    """22, missing-or-odd-statuses: one that is just being created has one status only."""
    begin_put(fake, "web-1", linux_vm())

    assert shown(fake, "web-1") == [("ProvisioningState/creating", "Info", "Creating")]
    assert reactions.power_state(fake.client, GROUP, "web-1") is None
    assert read(lambda: reactions.naive_second_status(fake.client, GROUP, "web-1")) is IndexError
    fake.clock.advance(6.4)
    assert codes(fake, "web-1") == ["ProvisioningState/creating", "PowerState/starting"]


def test_22_missing_or_odd_statuses_while_deleting(fake):
    """22, missing-or-odd-statuses: while it is deleted a machine may have no instance view."""
    fake.add_vm("web-1", resource_group=GROUP)
    begin(fake, "delete", "web-1")
    fake.inject(failures.MissingStatuses(kind="no instance view"), on="get")
    vm = get(fake, expand="instanceView")

    assert (vm.provisioning_state, vm.instance_view) == ("Deleting", None)
    assert reactions.found_in(vm.instance_view, "PowerState") is None


@pytest.mark.parametrize("kind", ["none", "null", "no power state", "unknown power state"])
def test_22_missing_or_odd_statuses_reaction(fake, kind):
    """22, missing-or-odd-statuses: what shows no power state is looked at again a little later."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.MissingStatuses(kind=kind), on="instance_view", times=3)

    assert reactions.known_power_state(fake.client, GROUP, "web-1") == "running"
    assert seen(fake, "instance_view") == [(0, 200), (5, 200), (10, 200), (15, 200)]


# --- 23 nic-reserved-180s ----------------------------------------------------------------------


def test_23_nic_reserved_180s(fake):
    """23, nic-reserved-180s: refused with 400, which nothing that was asked for can mend."""
    fake.inject(failures.NicReservedForAnotherVm())
    status, code, message, _ = refusal(lambda: begin_put(fake, "web-1", linux_vm()))

    assert (status, code, fake.vms) == (400, "NicReservedForAnotherVm", ())
    assert message.startswith(
        "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide "
        "another nic(s) or retry after 180 seconds. Reserved VM: /subscriptions/"
    )


def failed_and_deleted(fake):
    """Let a create fail, delete what it left, and give the deleted machine."""
    fake.inject(failures.AllocationFailed(), vm="web-1")
    begin_put(fake, "web-1", linux_vm())
    vm = fake.vm("web-1")
    fake.clock.advance(40)
    begin(fake, "delete", "web-1")
    fake.clock.advance(44)
    return vm


def test_23_nic_reserved_180s_naturally(fake):
    """23, nic-reserved-180s: after a failed create's delete its NIC is kept for exactly 180 s."""
    vm = failed_and_deleted(fake)
    gone = refusal(lambda: get(fake))[1]
    at_once = refusal(lambda: begin_put(fake, "web-2", linux_vm()))
    fake.clock.advance(179.999)
    late = refusal(lambda: begin_put(fake, "web-2", linux_vm()))
    names = [one.name for one in fake.vms]
    fake.clock.advance(0.001)
    begin_put(fake, "web-2", linux_vm()).result()

    assert (gone, names) == ("ResourceNotFound", [])
    assert at_once == late
    assert at_once[:2] == (400, "NicReservedForAnotherVm")
    assert at_once[2].endswith(f"Reserved VM: {vm.id}")
    assert seen(fake, "create") == [(0, 201), (84, 400), (263.999, 400), (264, 201)]
    assert fake.vm("web-2").power_state == "running"


def test_23_nic_reserved_180s_reaction(fake):
    """23, nic-reserved-180s: wait, or take another network interface."""
    failed_and_deleted(fake)
    other = changed(linux_vm(), "properties.networkProfile.networkInterfaces.0.id", OTHER_NIC)
    at_once = reactions.create_on_reserved_nic(fake.client, GROUP, "web-3", sent(other))
    waited = now(fake) - 84
    tries = reactions.create_on_reserved_nic(fake.client, GROUP, "web-2", body())

    assert (at_once, waited) == (1, 95)  # a create of 80 s is seen to be over at 35 + 30 + 30
    assert tries == 6  # 95 and five times 20 s are the first beyond 180
    assert seen(fake, "create")[-1] == (84 + 195, 201)


# --- 24 throttled ------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["get", "list", "power_off", "update", "delete"])
def test_24_throttled(fake, operation):
    """24, throttled: 429 with the bucket that is empty; nothing was done."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.Throttled(retry_after=17), on=operation)
    calls = {
        "get": lambda: get(fake, retry_total=0),
        "list": lambda: list(fake.client.virtual_machines.list(GROUP, retry_total=0)),
    }
    ask = calls.get(operation) or (
        lambda: (
            fake.client.virtual_machines.begin_update(GROUP, "web-1", b"{}", retry_total=0)
            if operation == "update"
            else getattr(fake.client.virtual_machines, f"begin_{operation}")(
                GROUP, "web-1", retry_total=0
            )
        )
    )
    with pytest.raises(HttpResponseError) as caught:
        ask()
    error = caught.value.error

    assert (caught.value.status_code, error.code) == (429, "OperationNotAllowed")
    assert error.message == (
        "The server rejected the request because too many requests have been received for this "
        "subscription."
    )
    assert [detail.code for detail in error.details] == ["TooManyRequests"]
    assert caught.value.response.headers["Retry-After"] == "17"
    assert (len(fake.calls), now(fake), vm.operation) == (1, 0, None)


def test_24_throttled_polls(fake):
    """24, throttled: looks at an operation as well; the SDK waits as long as it is told."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.Throttled(retry_after=17), on="poll", times=2)
    begin(fake, "restart", "web-1").result()

    assert seen(fake, "poll")[:3] == [(0, 429), (17, 429), (34, 200)]
    assert now(fake) == 34


def test_24_throttled_reaction(fake):
    """24, throttled: whoever honours Retry-After comes through, whoever tries at once does not."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.Throttled(retry_after=17), on="get", times=2)
    found = reactions.honouring_retry_after(lambda: get(fake, retry_total=0))

    assert (found.name, seen(fake, "get")) == ("web-1", [(0, 429), (17, 429), (34, 200)])


def test_24_throttled_naturally(fake):
    """24, throttled: looks each second at one machine empty its bucket; a list has a larger one."""
    fake.throttling = True
    fake.add_vm("web-1", resource_group=GROUP)
    with pytest.raises(HttpResponseError) as caught:
        reactions.naive_watch(fake.client, GROUP, "web-1", seconds=1000)
    [detail] = caught.value.error.details
    looks = len(seen(fake, "get")) - 1

    # 36 at first and 12 a minute more: the 45th look comes at 44 s, and 8.8 were gained by then.
    assert (looks, now(fake), caught.value.status_code) == (44, 44, 429)
    assert (detail.target, caught.value.response.headers["Retry-After"]) == (
        "LowCostGetResource", "1"
    )  # fmt: skip
    for _ in range(1000):
        list(fake.client.virtual_machines.list(GROUP, retry_total=0))
        time.sleep(1)
    assert {status for _, status in seen(fake, "list")} == {200}


# --- 25 ghost-after-delete ---------------------------------------------------------------------


def test_25_ghost_after_delete(fake):
    """25, ghost-after-delete: the list shows it for a while, its GET is 404, its name not free."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.GhostAfterDelete(seconds=60))
    delete = begin(fake, "delete", "web-1")
    fake.clock.advance(44)
    ended = polled(fake, "InProgress")[-1]["status"], delete.done()
    looks = []
    for seconds in (0, 59.999, 0.001):
        fake.clock.advance(seconds)
        listed = [one.name for one in fake.client.virtual_machines.list(GROUP)]
        looks.append((now(fake), listed, refusal(lambda: codes(fake, "web-1"))[1]))
        if listed:
            assert refusal(lambda: begin_put(fake, "web-1", linux_vm()))[:2] == (
                404, "ResourceNotFound"
            )  # fmt: skip
    begin_put(fake, "web-1", linux_vm()).result()

    assert (seen(fake, "delete"), ended) == ([(0, 202)], ("InProgress", False))
    assert polled(fake, "Succeeded")[0]["endTime"] == instant(44)
    assert looks == [
        (44, ["web-1"], "ResourceNotFound"),
        (103.999, ["web-1"], "ResourceNotFound"),
        (104, [], "ResourceNotFound"),
    ]
    assert provisioning(fake) == "Succeeded"


def test_25_ghost_after_delete_reaction(fake):
    """25, ghost-after-delete: a loop over a list takes a 404, and a create comes again."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.add_vm("web-2", resource_group=GROUP)
    fake.inject(failures.GhostAfterDelete(seconds=60), vm="web-1")
    tries = reactions.recreate(fake.client, GROUP, "web-1", body())

    # The delete's end is seen at the look at 60 s; its name is free at 104.
    assert (tries, [when for when, _ in seen(fake, "create")]) == (4, [60, 75, 90, 105])
    assert reactions.power_states(fake.client, GROUP) == {"web-1": "running", "web-2": "running"}


def test_25_ghost_after_delete_naively(fake):
    """25, ghost-after-delete: whoever trusts the list falls over the machine that is gone."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.add_vm("web-2", resource_group=GROUP)
    fake.inject(failures.GhostAfterDelete(seconds=60), vm="web-1")
    begin(fake, "delete", "web-1").result()

    assert reactions.power_states(fake.client, GROUP) == {"web-2": "running"}
    with pytest.raises(ResourceNotFoundError):
        reactions.naive_power_states(fake.client, GROUP)
