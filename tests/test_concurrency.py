"""Two operations that meet on one machine, pair by pair, under each policy."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import HttpResponseError

from pytest_azurevm import FakeCompute
from pytest_azurevm._lifecycle import MEETINGS, meet
from tests.builders import GROUP, begin, begin_patch, begin_put, linux_vm, polled, refusal, sent

POLICIES = ("assumed", "preempt", "refuse")
PREEMPTED = (
    "OperationPreempted",
    "Operation execution has been preempted by a more recent operation.",
)
CONFLICT = (
    "The request failed due to conflict with a concurrent request. To resolve it, please refer to "
    "https://aka.ms/activitylog to get more details on the conflicting requests."
)
CONCURRENT_WRITE = (
    409,
    "ConflictingConcurrentWriteNotAllowed",
    "The operation was interrupted by a conflicting concurrent write on the same entity. Please "
    "retry later.",
    None,
)
POWER = ("start", "power_off", "restart", "deallocate")
ENDS = {
    "update": None, "start": "running", "power_off": "stopped", "restart": "running",
    "deallocate": "deallocated",
}  # fmt: skip


@pytest.fixture(params=POLICIES)
def under(request):
    """Give a fake under each policy."""
    with FakeCompute(concurrency=request.param) as fake:
        yield fake


def in_flight(fake, operation, seconds=2):
    """Begin *operation* on web-1, look at it some seconds later, and give its poller."""
    if operation == "create":
        poller = begin_put(fake, "web-1", linux_vm())
    else:
        was = "deallocated" if operation == "start" else "running"
        fake.add_vm("web-1", resource_group=GROUP, power_state=was)
        poller = begin(fake, operation, "web-1")
    fake.clock.advance(seconds)
    return poller


def met(fake, older, newer):
    """Let *newer* meet *older*; give how each ended, and the machine, an hour later."""
    first = in_flight(fake, older)
    vm = fake.vm("web-1")
    try:
        second = begin(fake, newer, "web-1")
    except HttpResponseError as error:
        second = error
    fake.clock.advance(hours=1)
    if isinstance(second, HttpResponseError):
        return first.status(), second.error.code, vm
    return first.status(), second.status(), vm


# --- what is evidenced is the same under each policy -------------------------------------------


def test_a_delete_during_a_create(under):
    """A delete wins over a create, whose poller raises by a Canceled document of HTTP 200."""
    create = in_flight(under, "create")
    delete = begin(under, "delete", "web-1")
    with pytest.raises(HttpResponseError) as caught:
        create.result()
    delete.result()

    assert caught.value.status_code == 200
    assert (caught.value.error.code, caught.value.error.message) == PREEMPTED
    [document] = polled(under, "Canceled")
    assert document == {
        "name": document["name"],
        "startTime": "2026-01-01T00:00:00+00:00",
        "endTime": "2026-01-01T00:00:02+00:00",
        "status": "Canceled",
        "error": dict(zip(("code", "message"), PREEMPTED, strict=True)),
    }
    assert (create.status(), delete.status(), under.vms) == ("Canceled", "Succeeded", ())


def test_an_update_during_a_create(under):
    """Tags written during a create are taken, and both operations succeed."""
    first, second, vm = met(under, "create", "update")

    assert (first, second) == ("Succeeded", "Succeeded")
    assert (vm.model["tags"], vm.power_state) == ({"touched": "yes"}, "running")


def test_an_update_over_an_update(under):
    """The first of two updates ends Canceled, in an HTTP 200 answer, the second one Succeeded."""
    under.add_vm("web-1", resource_group=GROUP)
    first = begin_patch(under, "web-1", {"tags": {"a": "1"}})
    under.clock.advance(2)
    second = begin_patch(under, "web-1", {"tags": {"b": "2"}})
    updated = second.result()

    assert refusal(first.result) == (200, *PREEMPTED, None)
    assert (first.status(), second.status()) == ("Canceled", "Succeeded")
    assert updated.tags == {"a": "1", "b": "2"}


def test_a_delete_over_a_delete(under):
    """A second delete ends together with the first."""
    first, second, vm = met(under, "delete", "delete")

    assert (first, second, vm.power_state) == ("Succeeded", "Succeeded", None)
    assert under.vms == ()


@pytest.mark.parametrize("newer", ["update", *POWER])
def test_anything_over_a_delete(under, newer):
    """A machine that is marked for deletion takes nothing but another delete."""
    first = in_flight(under, "delete")
    status, code, message, _ = refusal(lambda: begin(under, newer, "web-1"))
    first.result()

    assert (status, code) == (409, "OperationNotAllowed")
    assert "since the VM is marked for deletion. You can only retry the Delete operation" in message
    assert under.vms == ()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("row", MEETINGS, ids=lambda row: f"{'/'.join(row[0])}-{'/'.join(row[1])}")
def test_only_what_is_assumed_can_be_set(row, policy):
    """A pair with a witness keeps its outcome under each policy; an assumed one takes the policy's."""
    olders, newers, meeting, witness = row
    expected = policy if witness.startswith("assumed") and policy != "assumed" else meeting
    before = {
        (older, newer)
        for earlier in MEETINGS[: MEETINGS.index(row)]
        for older in earlier[0]
        for newer in earlier[1]
    }
    pairs = {(older, newer) for older in olders for newer in newers} - before

    assert {meet(older, newer, policy) for older, newer in pairs} == {expected}


# --- what is assumed ---------------------------------------------------------------------------

# fmt: off
ASSUMED = (
    # in flight    arriving      assumed: the older, the newer             preempt: the machine  refuse: the newer
    ("update",     "delete",     ("Canceled",  "Succeeded"),               None,                 "Conflict"),
    ("start",      "delete",     ("Canceled",  "Succeeded"),               None,                 "Conflict"),
    ("power_off",  "delete",     ("Canceled",  "Succeeded"),               None,                 "Conflict"),
    ("restart",    "delete",     ("Canceled",  "Succeeded"),               None,                 "Conflict"),
    ("deallocate", "delete",     ("Canceled",  "Succeeded"),               None,                 "Conflict"),
    ("create",     "start",      ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("create",     "power_off",  ("Succeeded", "OperationNotAllowed"),     "stopped",            "OperationNotAllowed"),
    ("create",     "restart",    ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("create",     "deallocate", ("Canceled",  "Succeeded"),               "deallocated",        "OperationNotAllowed"),
    ("update",     "start",      ("Canceled",  "Succeeded"),               "running",            "Conflict"),
    ("update",     "power_off",  ("Canceled",  "Succeeded"),               "stopped",            "Conflict"),
    ("update",     "restart",    ("Canceled",  "Succeeded"),               "running",            "Conflict"),
    ("update",     "deallocate", ("Canceled",  "Succeeded"),               "deallocated",        "Conflict"),
    ("start",      "start",      ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("start",      "power_off",  ("Succeeded", "OperationNotAllowed"),     "stopped",            "OperationNotAllowed"),
    ("start",      "restart",    ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("start",      "deallocate", ("Succeeded", "OperationNotAllowed"),     "deallocated",        "OperationNotAllowed"),
    ("power_off",  "start",      ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("power_off",  "power_off",  ("Succeeded", "OperationNotAllowed"),     "stopped",            "OperationNotAllowed"),
    ("power_off",  "deallocate", ("Succeeded", "OperationNotAllowed"),     "deallocated",        "OperationNotAllowed"),
    ("restart",    "start",      ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("restart",    "power_off",  ("Succeeded", "OperationNotAllowed"),     "stopped",            "OperationNotAllowed"),
    ("restart",    "restart",    ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("restart",    "deallocate", ("Succeeded", "OperationNotAllowed"),     "deallocated",        "OperationNotAllowed"),
    ("deallocate", "start",      ("Succeeded", "OperationNotAllowed"),     "running",            "OperationNotAllowed"),
    ("deallocate", "deallocate", ("Succeeded", "Succeeded"),               "deallocated",        "OperationNotAllowed"),
    ("start",      "update",     ("Succeeded", "Conflict"),                "deallocated",        "Conflict"),
    ("power_off",  "update",     ("Succeeded", "Conflict"),                "running",            "Conflict"),
    ("restart",    "update",     ("Succeeded", "Conflict"),                "running",            "Conflict"),
    ("deallocate", "update",     ("Succeeded", "Conflict"),                "running",            "Conflict"),
)
# fmt: on
PAIRS = [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in ASSUMED]


@pytest.mark.parametrize(("older", "newer", "ends", "_preempt", "_refuse"), PAIRS)
def test_what_is_assumed_of_a_pair(fake, older, newer, ends, _preempt, _refuse):
    """By default a pair goes as the lifecycle table assumes."""
    assert met(fake, older, newer)[:2] == ends


@pytest.mark.parametrize(("older", "newer", "_ends", "power_state", "_refuse"), PAIRS)
def test_the_newer_operation_wins_where_that_is_set(older, newer, _ends, power_state, _refuse):
    """Under ``preempt`` the older of a pair that is not known ends Canceled, and the newer wins."""
    with FakeCompute(concurrency="preempt") as fake:
        first, second, vm = met(fake, older, newer)

        assert (first, second) == ("Canceled", "Succeeded")
        assert polled(fake, "Canceled")[0]["error"]["code"] == "OperationPreempted"
        assert (vm.power_state, vm.operation) == (power_state, None)
        assert vm.provisioning_state == ("Deleting" if newer == "delete" else "Succeeded")


@pytest.mark.parametrize(("older", "newer", "_ends", "_preempt", "code"), PAIRS)
def test_the_newer_operation_is_refused_where_that_is_set(older, newer, _ends, _preempt, code):
    """Under ``refuse`` the newer of a pair that is not known gets a 409, and the older goes on."""
    with FakeCompute(concurrency="refuse") as fake:
        first, second, vm = met(fake, older, newer)

        assert (first, second) == ("Succeeded", code)
        assert vm.power_state == ENDS.get(older, "running") or older == "update"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("older", "newer", "message"),
    [
        ("deallocate", "power_off",
         "Operation 'powerOff' is not allowed on VM 'web-1' since the VM is either deallocated or "
         "marked to be deallocated."),
        ("deallocate", "restart", "The operation requires the VM to be running (or set to run)."),
        ("power_off", "restart", "The operation requires the VM to be running (or set to run)."),
    ],
)  # fmt: skip
def test_what_a_power_state_forbids_no_policy_allows(policy, older, newer, message):
    """A machine that is on its way down refuses what Azure's error list says that it refuses."""
    with FakeCompute(concurrency=policy) as fake:
        first = in_flight(fake, older)

        assert refusal(lambda: begin(fake, newer, "web-1")) == (
            409, "OperationNotAllowed", message, None
        )  # fmt: skip
        first.result()


@pytest.mark.parametrize("newer", ["delete", *POWER])
def test_an_update_changes_no_power_state(newer):
    """What is refused during an update is told of a concurrent request, and of no power state."""
    with FakeCompute(concurrency="refuse") as fake:
        in_flight(fake, "update")

        assert refusal(lambda: begin(fake, newer, "web-1")) == (409, "Conflict", CONFLICT, None)


def test_a_restart_is_refused_by_the_power_state_before_all_else():
    """During an update of a stopped machine, a restart is refused because that does not run."""
    with FakeCompute(concurrency="refuse") as fake:
        fake.add_vm("web-1", resource_group=GROUP, power_state="stopped")
        begin(fake, "update", "web-1")
        message = refusal(lambda: begin(fake, "restart", "web-1"))[2]

    assert message == "The operation requires the VM to be running (or set to run)."


@pytest.mark.parametrize("newer", POWER)
@pytest.mark.parametrize("seconds", [2, 10, 20, 60, 79])
def test_a_power_operation_over_a_create(seconds, newer):
    """However far a create has come, what pushes it aside brings the machine to its own end."""
    with FakeCompute(concurrency="preempt") as fake:
        create = in_flight(fake, "create", seconds)
        vm = fake.vm("web-1")
        begin(fake, newer, "web-1").result()
        fake.clock.advance(minutes=5)

        assert refusal(create.result)[1] == "OperationPreempted"
        assert (vm.provisioning_state, vm.power_state) == ("Succeeded", ENDS[newer])
        assert vm.effective_model["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
        agent = fake.client.virtual_machines.instance_view(GROUP, "web-1").vm_agent
        seen = agent and [status.display_status for status in agent.statuses]
        assert seen == (["Ready"] if ENDS[newer] == "running" else seen)


@pytest.mark.parametrize(
    ("older", "goal"),
    [("start", "deallocated"), ("power_off", "running"), ("deallocate", "running")],
)
def test_an_update_over_a_power_operation_takes_the_machine_back(older, goal):
    """What an update pushes aside leaves the machine, its goal and its agent where they were."""
    with FakeCompute(concurrency="preempt") as fake:
        in_flight(fake, older)
        begin(fake, "update", "web-1").result()
        fake.clock.advance(minutes=5)
        vm = fake.vm("web-1")
        agent = fake.client.virtual_machines.instance_view(GROUP, "web-1").vm_agent

        assert (vm.power_state, vm.goal_state, vm.provisioning_state) == (goal, goal, "Succeeded")
        assert (agent is None) == (goal == "deallocated")


# --- at the same instant -----------------------------------------------------------------------


def put_by_threads(fake, bodies):
    """PUT web-1 from as many threads at one instant; give each one's poller or error."""
    together = threading.Barrier(len(bodies))

    def write(body):
        together.wait()
        try:
            return begin_patch(fake, "web-1", body)
        except HttpResponseError as error:
            return error

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(write, bodies))


def put_by_tasks(fake, bodies):
    """PUT web-1 from as many asyncio tasks at one instant; give each one's poller or error."""

    async def write(client, body):
        try:
            return await client.virtual_machines.begin_update(GROUP, "web-1", sent(body))
        except HttpResponseError as error:
            return error

    async def together():
        async with fake.aio_client as client:
            found = await asyncio.gather(*(write(client, body) for body in bodies))
            return [
                answer if isinstance(answer, HttpResponseError) else await answer.result()
                for answer in found
            ]

    return asyncio.run(together())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("write", [put_by_threads, put_by_tasks], ids=["threads", "tasks"])
def test_two_writes_at_the_same_instant(policy, write):
    """Of two callers' writes at one instant one is refused with 409, and the other one is done."""
    with FakeCompute(concurrency=policy, autojump=write is put_by_tasks) as fake:
        vm = fake.add_vm("web-1", resource_group=GROUP)
        found = write(fake, [{"tags": {"by": "a"}}, {"tags": {"by": "b"}}])
        fake.clock.advance(minutes=5)
        refused = [answer for answer in found if isinstance(answer, HttpResponseError)]

        assert len(refused) == 1
        assert refusal(lambda: raised(refused[0])) == CONCURRENT_WRITE
        assert type(refused[0]).__name__ == "ResourceExistsError"
        assert vm.model["tags"] == {"by": "a" if refused[0] is found[1] else "b"}
        assert sorted(call.status for call in fake.calls.filter(operation="update")) == [200, 409]


def raised(error):
    """Raise *error*."""
    raise error


def test_the_same_callers_two_writes(fake):
    """One caller's two writes follow each other, though no time passes: the older is preempted."""
    fake.add_vm("web-1", resource_group=GROUP)
    first = begin_patch(fake, "web-1", {"tags": {"a": "1"}})
    second = begin_patch(fake, "web-1", {"tags": {"b": "2"}})
    updated = second.result()

    assert fake.calls[0].at == fake.calls.filter(operation="update")[1].at
    assert refusal(first.result) == (200, *PREEMPTED, None)
    assert updated.tags == {"a": "1", "b": "2"}


def test_one_tasks_two_writes(fake):
    """One task's two writes follow each other as well."""
    fake.add_vm("web-1", resource_group=GROUP)

    async def twice():
        async with fake.aio_client as client:
            first = await client.virtual_machines.begin_update(
                GROUP, "web-1", sent({"tags": {"a": "1"}})
            )
            second = await client.virtual_machines.begin_update(
                GROUP, "web-1", {"tags": {"b": "2"}}
            )
            await second.result()
            with pytest.raises(HttpResponseError) as caught:
                await first.result()
            return caught.value.error.code

    assert asyncio.run(twice()) == "OperationPreempted"


def test_writes_of_two_machines_at_the_same_instant(fake):
    """Two callers' writes of two machines do not meet."""
    names = ("web-1", "web-2")
    for name in names:
        fake.add_vm(name, resource_group=GROUP)
    with ThreadPoolExecutor(2) as pool:
        pollers = list(pool.map(lambda name: begin(fake, "update", name), names))

    assert [poller.result().tags for poller in pollers] == [{"touched": "yes"}] * 2


def test_another_callers_write_a_moment_later(fake):
    """Another caller's write a moment later preempts, as anybody's does."""
    fake.add_vm("web-1", resource_group=GROUP)
    first = begin_patch(fake, "web-1", {"tags": {"a": "1"}})
    fake.clock.advance(0.001)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(begin_patch, fake, "web-1", {"tags": {"b": "2"}}).result()
    second.result()

    assert refusal(first.result)[1] == "OperationPreempted"


@pytest.mark.parametrize("operation", ["delete", "deallocate"])
def test_only_writes_of_a_model_meet_at_one_instant(fake, operation):
    """Another caller's delete or power operation at the instant of a write preempts that."""
    fake.add_vm("web-1", resource_group=GROUP)
    first = begin(fake, "update", "web-1")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(begin, fake, operation, "web-1").result()
    second.result()

    assert refusal(first.result)[1] == "OperationPreempted"


def test_an_update_beside_a_create_ends_no_earlier_than_that(fake):
    """Who waits for an update of a machine that is still being created finds it there."""
    create = begin_put(fake, "web-1", linux_vm())
    begin(fake, "update", "web-1").result()

    assert fake.vm("web-1").provisioning_state == "Succeeded"
    assert create.result().provisioning_state == "Succeeded"
