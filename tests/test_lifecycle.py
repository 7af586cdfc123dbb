"""The lifecycle table: what it accepts, how it refuses, where everything ends."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

from typing import get_args

import pytest

from pytest_azurevm import _lifecycle as table
from pytest_azurevm._operations import ACTIONS
from pytest_azurevm._records import Fate
from tests.builders import GROUP, begin, begin_put, codes, linux_vm, polled, refusal

OPERATIONS = get_args(table.Operation)
POWER_STATES = get_args(table.PowerState)
GUEST_EVENTS = get_args(table.GuestEvent)
INCIDENTS = get_args(table.Incident)
AGENT_REPORTS = get_args(table.AgentReport)
KINDS = {
    "create": ("Linux", "Windows", "specialized"),
    "update": ("Linux", "Windows", "PATCH"),
    "restart": ("", "set to run"),
    "redeploy": ("", "set to run"),
    "reimage": ("", "set to run"),
    "generalize": ("", "set to run", "set to be off"),
    "eviction": ("Deallocate", "Delete", "Deallocate, busy", "Delete, busy"),
}

NOT_ALLOWED = "OperationNotAllowed"
DEALLOCATED = (
    "Operation '{action}' is not allowed on VM 'web-1' since the VM is either deallocated or "
    "marked to be deallocated."
)
SET_TO_RUN = "The operation requires the VM to be running (or set to run)."
ONGOING = (
    "An ongoing operation is changing power state of Virtual Machine web-1 to {target}. "
    "Please perform operation {action} after some time."
)
MARKED = (
    "Operation '{action}' is not allowed on VM 'web-1' since the VM is marked for deletion. You "
    "can only retry the Delete operation (or wait for an ongoing one to complete)."
)
CONCURRENT = (
    "The request failed due to conflict with a concurrent request. To resolve it, please refer to "
    "https://aka.ms/activitylog to get more details on the conflicting requests."
)

# Azure's matrix of operations and power states, written out: where the VM ends, or the refusal.
# fmt: off
SETTLED = (
    #            running        shut down inside  going down inside  stopped        deallocated    never up
    ("start",      ("running",     "running",        "running",         "running",     "running",     "running")),
    ("power_off",  ("stopped",     "stopped",        "stopped",         "stopped",     DEALLOCATED,   DEALLOCATED)),
    ("restart",    ("running",     "running",        "running",         SET_TO_RUN,    SET_TO_RUN,    SET_TO_RUN)),
    ("deallocate", ("deallocated", "deallocated",    "deallocated",     "deallocated", "deallocated", "deallocated")),
    ("update",     ("running",     "stopped",        "stopped",         "stopped",     "deallocated", "running")),
    ("delete",     (None,          None,             None,              None,          None,          None)),
)
# The same for the power states that pass, as the table alone knows them (a meeting comes first).
PASSING = (
    #            none           starting       stopping       deallocating
    ("start",      ("running",     ONGOING,       "running",     ONGOING)),
    ("power_off",  (DEALLOCATED,   ONGOING,       "stopped",     DEALLOCATED)),
    ("restart",    (SET_TO_RUN,    ONGOING,       "running",     SET_TO_RUN)),
    ("deallocate", ("deallocated", "deallocated", "deallocated", ONGOING)),
    ("update",     ("running",     "starting",    "stopping",    CONCURRENT)),
    ("delete",     (None,          None,          None,          None)),
)
# What becomes of an operation that arrives while another is in flight.
MEETINGS = (
    # in flight    create      update      delete     start       power_off   restart     deallocate
    ("create",     (None,       "beside",   "preempt", "refuse",   "refuse",   "refuse",   "preempt")),
    ("update",     (None,       "preempt",  "preempt", "preempt",  "preempt",  "preempt",  "preempt")),
    ("delete",     ("deleting", "deleting", "follow",  "deleting", "deleting", "deleting", "deleting")),
    ("start",      (None,       "conflict", "preempt", "refuse",   "refuse",   "refuse",   "refuse")),
    ("power_off",  (None,       "conflict", "preempt", "refuse",   "refuse",   "refuse",   "refuse")),
    ("restart",    (None,       "conflict", "preempt", "refuse",   "refuse",   "refuse",   "refuse")),
    ("deallocate", (None,       "conflict", "preempt", "refuse",   "refuse",   "refuse",   "follow")),
)
# fmt: on
ARRIVING = ("create", "update", "delete", "start", "power_off", "restart", "deallocate")
INSIDE = "shut down inside"
GOING_DOWN = "going down inside"
NEVER_UP = "never up"
AT_REST = ("running", INSIDE, GOING_DOWN, "stopped", "deallocated", NEVER_UP)


def cells(matrix, columns):
    """Give the cells of a matrix as (row, column, cell)."""
    return [
        pytest.param(row, column, cell, id=f"{row}-{column}")
        for row, line in matrix
        for column, cell in zip(columns, line, strict=True)
    ]


def settled(fake, state, name="web-1"):
    """Bring a VM into a state in which nothing is in flight."""
    if state == NEVER_UP:
        begin_put(fake, name, linux_vm())
        fake.vm(name).cancel_operation()
        return fake.vm(name)
    power_state = "running" if state in (INSIDE, GOING_DOWN) else state
    vm = fake.add_vm(name, resource_group=GROUP, power_state=power_state)
    if state in (INSIDE, GOING_DOWN):
        vm.guest_shutdown()
        fake.clock.advance(minutes=1 if state == INSIDE else 0)
    return vm


@pytest.mark.parametrize("row", table.LIFECYCLE, ids=lambda row: f"{row.operation} {row.kind}")
def test_shares_of_a_row(row):
    """What a row passes through takes the whole of its seconds, unless it shows nothing."""
    shares = [shown.share for shown in row.shows]

    assert not shares or sum(shares) == pytest.approx(1.0, abs=1e-12)
    assert all(share > 0 for share in shares)


@pytest.mark.parametrize("row", table.LIFECYCLE, ids=lambda row: f"{row.operation} {row.kind}")
def test_form_of_a_row(row):
    """A row names what exists, its median is no more than its slow figure, and it has a witness."""
    assert row.operation in (*OPERATIONS, *GUEST_EVENTS, *INCIDENTS)
    assert row.accepted_in
    assert set(row.accepted_in) <= {None, *POWER_STATES}
    assert row.ends_in in (None, table.SAME, "running", "stopped", "deallocated")
    assert row.goal in (table.SAME, "running", "stopped", "deallocated")
    assert row.agent in (table.SAME, *AGENT_REPORTS)
    assert 0 <= row.seconds[0] <= row.seconds[1]
    for shown in row.shows:
        assert shown.provisioning in (table.SAME, *table.PROVISIONING_STATE)
        assert shown.power in (None, table.SAME, *POWER_STATES)
        assert shown.agent in (table.SAME, *AGENT_REPORTS)


@pytest.mark.parametrize(
    ("what", "witness"),
    [
        *((f"{row.operation} {row.kind}", row.witness) for row in table.LIFECYCLE),
        *((refusal.message, refusal.witness) for refusal in table.REFUSALS),
        ("busy", table.BUSY.witness),
        ("generalized", table.GENERALIZED.witness),
        ("under way", table.UNDER_WAY.witness),
        ("deletion", table.MARKED_FOR_DELETION.witness),
        ("conflict", table.CONFLICT.witness),
        *((f"{older} then {newer}", witness) for older, newer, _, witness in table.MEETINGS),
    ],
)
def test_everything_has_a_witness(what, witness):
    """Each row, refusal and meeting says who has seen it, or that it is assumed."""
    assert witness.partition(":")[0].split()[0].rstrip(";,") in (
        "doc", "page", "rec", "err", "seen", "assumed"
    ), what  # fmt: skip


@pytest.mark.parametrize("power", [None, *POWER_STATES])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_row_or_a_refusal(operation, power):
    """For any operation in any power state there is one row of a kind at most, or a refusal."""
    for kind in KINDS.get(operation, ("",)):
        fitting = [row for row in table.rows(operation) if power in row.accepted_in]
        own = [row for row in fitting if row.kind and row.kind == kind]
        common = [row for row in fitting if not row.kind]
        found = table.find_row(operation, power, frozenset({kind}))

        assert len(own) <= 1
        assert len(common) <= 1
        assert found is next(iter((*own, *common)), None)
        if found is None:
            assert table.find_refusal(operation, power).message


@pytest.mark.parametrize("power", [None, *POWER_STATES])
@pytest.mark.parametrize("event", [*GUEST_EVENTS, *INCIDENTS])
def test_a_guest_acts_only_where_it_runs(event, power):
    """A guest does something by itself only while its VM is running."""
    row = table.find_row(event, power, frozenset())

    assert (row is not None) == (power == "running")


@pytest.mark.parametrize("kind", ["Linux", "Windows", "specialized"])
@pytest.mark.parametrize("power", [None, *POWER_STATES])
def test_only_what_is_absent_is_created(kind, power):
    """A create begins without a power state and ends running."""
    row = table.find_row("create", power, frozenset({kind}))

    assert (row and (row.ends_in, row.goal)) == (("running", "running") if power is None else None)


@pytest.mark.parametrize(
    ("operation", "state", "cell"),
    cells(SETTLED, AT_REST),
)
def test_acceptance_at_rest(fake, operation, state, cell):
    """With nothing in flight an operation ends where Azure's does, or is refused in its words."""
    vm = settled(fake, state)
    action = ACTIONS[operation]

    if cell in (DEALLOCATED, SET_TO_RUN):
        was = (vm.power_state, vm.provisioning_state, vm.goal_state, vm.history)
        answer = refusal(lambda: begin(fake, operation, "web-1"))

        assert answer == (409, NOT_ALLOWED, cell.format(action=action), None)
        assert (vm.power_state, vm.provisioning_state, vm.goal_state, vm.history) == was
        assert vm.operation is None
    else:
        poller = begin(fake, operation, "web-1")
        fake.clock.advance(minutes=10)

        assert poller.status() == "Succeeded"
        assert vm.power_state == cell
        assert [vm.name for vm in fake.vms] == ([] if operation == "delete" else ["web-1"])
        assert vm.provisioning_state == ("Deleting" if operation == "delete" else "Succeeded")


@pytest.mark.parametrize(
    ("operation", "power", "cell"),
    cells(PASSING, (None, "starting", "stopping", "deallocating")),
)
def test_acceptance_in_passing_states(operation, power, cell):
    """In each passing state the table has a row that ends as written here, or the refusal."""
    kinds = frozenset({"Linux"} if operation == "update" else {"set to run"})
    row = table.find_row(operation, power, kinds)

    if cell in (ONGOING, DEALLOCATED, SET_TO_RUN, CONCURRENT):
        assert row is None
        found = table.find_refusal(operation, power)
        facts = {"action": "x", "target": "y"}

        assert found.code == ("Conflict" if cell == CONCURRENT else NOT_ALLOWED)
        assert found.message.format(vm="web-1", **facts) == cell.format(**facts)
    else:
        assert row is not None
        assert (power if row.ends_in == table.SAME else row.ends_in) == cell


@pytest.mark.parametrize(("in_flight", "arriving", "meeting"), cells(MEETINGS, ARRIVING))
def test_meetings(in_flight, arriving, meeting):
    """What becomes of an operation that arrives while another is in flight is as written here."""
    found = table.meet(in_flight, arriving)

    # A create can meet a delete only: of a VM that is there, a PUT is an update.
    assert found == (meeting or "conflict")


def in_flight(fake, operation):
    """Begin *operation* on web-1, look at it two seconds later, and give its poller."""
    states = {"start": "deallocated"}
    if operation == "create":
        poller = begin_put(fake, "web-1", linux_vm())
    else:
        fake.add_vm("web-1", resource_group=GROUP, power_state=states.get(operation, "running"))
        poller = begin(fake, operation, "web-1")
    fake.clock.advance(2)
    return poller


# fmt: off
REFUSED_MEETINGS = (
    # in flight    arriving      code          message
    ("create",     "start",      NOT_ALLOWED,  ONGOING.format(target="running", action="start")),
    ("create",     "power_off",  NOT_ALLOWED,  ONGOING.format(target="running", action="powerOff")),
    ("create",     "restart",    NOT_ALLOWED,  ONGOING.format(target="running", action="restart")),
    ("start",      "start",      NOT_ALLOWED,  ONGOING.format(target="running", action="start")),
    ("start",      "power_off",  NOT_ALLOWED,  ONGOING.format(target="running", action="powerOff")),
    ("start",      "deallocate", NOT_ALLOWED,
     ONGOING.format(target="running", action="deallocate")),
    ("start",      "update",     "Conflict",   CONCURRENT),
    ("power_off",  "start",      NOT_ALLOWED,  ONGOING.format(target="stopped", action="start")),
    ("power_off",  "power_off",  NOT_ALLOWED,  ONGOING.format(target="stopped", action="powerOff")),
    ("power_off",  "restart",    NOT_ALLOWED,  SET_TO_RUN),
    ("power_off",  "deallocate", NOT_ALLOWED,
     ONGOING.format(target="stopped", action="deallocate")),
    ("power_off",  "update",     "Conflict",   CONCURRENT),
    ("restart",    "start",      NOT_ALLOWED,  ONGOING.format(target="running", action="start")),
    ("restart",    "restart",    NOT_ALLOWED,  ONGOING.format(target="running", action="restart")),
    ("restart",    "update",     "Conflict",   CONCURRENT),
    ("deallocate", "start",      NOT_ALLOWED,
     ONGOING.format(target="deallocated", action="start")),
    ("deallocate", "power_off",  NOT_ALLOWED,  DEALLOCATED.format(action="powerOff")),
    ("deallocate", "restart",    NOT_ALLOWED,  SET_TO_RUN),
    ("deallocate", "update",     "Conflict",   CONCURRENT),
    ("delete",     "update",     NOT_ALLOWED,  MARKED.format(action="write")),
    ("delete",     "start",      NOT_ALLOWED,  MARKED.format(action="start")),
    ("delete",     "power_off",  NOT_ALLOWED,  MARKED.format(action="powerOff")),
    ("delete",     "restart",    NOT_ALLOWED,  MARKED.format(action="restart")),
    ("delete",     "deallocate", NOT_ALLOWED,  MARKED.format(action="deallocate")),
)
# fmt: on


@pytest.mark.parametrize(("older", "newer", "code", "message"), REFUSED_MEETINGS)
def test_refused_while_another_is_in_flight(fake, older, newer, code, message):
    """An operation that cannot meet the one in flight gets a 409, and that one goes on."""
    poller = in_flight(fake, older)
    vm = fake.vm("web-1")
    was = (vm.power_state, vm.provisioning_state, vm.goal_state, vm.model, vm.operation)
    answer = refusal(lambda: begin(fake, newer, "web-1"))

    assert answer == (409, code, message, None)
    assert (vm.power_state, vm.provisioning_state, vm.goal_state, vm.model, vm.operation) == was
    fake.clock.advance(minutes=10)
    assert poller.status() == "Succeeded"


@pytest.mark.parametrize(
    ("older", "newer", "ends_in"),
    [
        ("create", "delete", None),
        ("create", "deallocate", "deallocated"),
        ("update", "update", "running"),
        ("update", "delete", None),
        ("update", "start", "running"),
        ("update", "power_off", "stopped"),
        ("update", "restart", "running"),
        ("update", "deallocate", "deallocated"),
        ("start", "delete", None),
        ("power_off", "delete", None),
        ("restart", "delete", None),
        ("deallocate", "delete", None),
    ],
)
def test_preempted_by_a_newer_operation(fake, older, newer, ends_in):
    """A preempted operation ends Canceled at once, in an HTTP 200 answer; the newer one goes on."""
    first = in_flight(fake, older)
    second = begin(fake, newer, "web-1")
    vm = fake.vm("web-1")
    fake.clock.advance(minutes=10)

    answer = refusal(first.result)
    assert answer[1:3] == (
        "OperationPreempted",
        "Operation execution has been preempted by a more recent operation.",
    )
    [canceled] = polled(fake, "Canceled")
    assert canceled["endTime"] == "2026-01-01T00:00:02+00:00"
    assert second.status() == "Succeeded"
    assert vm.power_state == ends_in
    assert vm.provisioning_state == ("Deleting" if newer == "delete" else "Succeeded")


@pytest.mark.parametrize(
    ("operation", "state", "power_state", "goal"),
    [
        ("start", "deallocated", "deallocated", "deallocated"),
        ("start", "stopped", "stopped", "stopped"),
        ("start", INSIDE, "stopped", "running"),
        ("start", GOING_DOWN, "stopped", "running"),
        ("start", NEVER_UP, None, "running"),
        ("power_off", "running", "running", "running"),
        ("power_off", INSIDE, "stopped", "running"),
        ("power_off", GOING_DOWN, "stopped", "running"),
        ("restart", "running", "running", "running"),
        ("restart", INSIDE, "stopped", "running"),
        ("deallocate", "running", "running", "running"),
        ("deallocate", "stopped", "stopped", "stopped"),
        ("deallocate", GOING_DOWN, "stopped", "running"),
        ("update", "running", "running", "running"),
        ("delete", "running", "running", "running"),
        ("delete", GOING_DOWN, "stopped", "running"),
        ("delete", NEVER_UP, None, "running"),
    ],
)
def test_a_cancel_goes_back(fake, operation, state, power_state, goal):
    """A canceled operation leaves power state and goal as they were when it was accepted."""
    vm = settled(fake, state)
    poller = begin(fake, operation, "web-1")
    vm.cancel_operation()
    canceled = (vm.power_state, vm.goal_state, vm.provisioning_state)
    fake.clock.advance(minutes=10)

    assert canceled == (power_state, goal, "Canceled")
    assert (vm.power_state, vm.goal_state, poller.status()) == (power_state, goal, "Canceled")


@pytest.mark.parametrize(
    ("seconds", "power_state"), [(2, None), (7, None), (20, "running"), (60, "running")]
)
def test_a_canceled_create(fake, seconds, power_state):
    """A create that is canceled before the machine ran leaves it without a power state."""
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(seconds)
    fake.vm("web-1").cancel_operation()
    fake.clock.advance(minutes=10)

    assert (fake.vm("web-1").power_state, fake.vm("web-1").goal_state) == (power_state, "running")


@pytest.mark.parametrize(
    ("older", "newer", "power_state", "goal"),
    [
        ("start", "delete", "deallocated", "deallocated"),
        ("power_off", "delete", "running", "running"),
        ("deallocate", "delete", "running", "running"),
        ("create", "deallocate", None, "running"),
        ("update", "deallocate", "running", "running"),
    ],
)
def test_a_cancel_of_what_preempted(fake, older, newer, power_state, goal):
    """A canceled operation that had preempted another goes back to where that one set out from."""
    in_flight(fake, older)
    begin(fake, newer, "web-1")
    vm = fake.vm("web-1")
    vm.cancel_operation()
    fake.clock.advance(minutes=10)

    assert (vm.power_state, vm.goal_state) == (power_state, goal)


def test_an_update_that_is_canceled_leaves_the_guest_alone(fake):
    """A guest that goes down during an update is down also if that is canceled."""
    vm = settled(fake, "running")
    begin(fake, "update", "web-1")
    vm.guest_shutdown()
    vm.cancel_operation()
    between = vm.power_state
    fake.clock.advance(minutes=1)

    assert (between, vm.power_state) == ("stopping", "stopped")


def test_the_agent_reports_after_a_canceled_deallocate(fake):
    """A VM that goes on running has an agent again, though a deallocate had taken it away."""
    vm = settled(fake, "running")
    begin(fake, "deallocate", "web-1")
    vm.cancel_operation()
    fake.clock.advance(minutes=1)
    agent = fake.client.virtual_machines.instance_view(GROUP, "web-1").vm_agent

    assert agent.statuses[0].display_status == "Ready"


def test_a_failed_start_leaves_the_vm_where_it_was(fake):
    """A start that fails leaves the VM in the power state that it had, set to run."""
    vm = settled(fake, "deallocated")
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("AllocationFailed", "No capacity.")
    )
    begin(fake, "start", "web-1")
    fake.clock.advance(minutes=1)

    assert (vm.power_state, vm.goal_state, vm.provisioning_state) == (
        "deallocated", "running", "Failed"
    )  # fmt: skip


# fmt: off
FORGOTTEN = (
    # operation     what the guest does   when, and how long the operation takes
    ("restart",     "guest_shutdown",     10,  14),
    ("restart",     "guest_crash",        10,  14),
    ("create",      "guest_shutdown",     30,  80),
    ("create",      "guest_shutdown",     79,  80),
    ("create",      "guest_crash",        30,  80),
    ("create",      "guest_reboot",       79,  80),
)
# fmt: on


@pytest.mark.parametrize(("operation", "event", "when", "seconds"), FORGOTTEN)
def test_an_operation_ends_what_the_guest_began(fake, operation, event, when, seconds):
    """What a guest does during a create or restart does not survive its end: it runs, and is up."""
    if operation == "create":
        begin_put(fake, "web-1", linux_vm())
    else:
        settled(fake, "running")
        begin(fake, operation, "web-1")
    vm = fake.vm("web-1")
    fake.clock.advance(when)
    getattr(vm, event)()
    fake.clock.advance(seconds - when)
    ended = (vm.power_state, vm.provisioning_state)
    fake.clock.advance(minutes=10)
    agent = fake.client.virtual_machines.instance_view(GROUP, "web-1").vm_agent

    assert ended == ("running", "Succeeded")
    assert (vm.power_state, agent.statuses[0].display_status) == ("running", "Ready")


def test_a_guest_that_goes_down_during_os_provisioning(fake):
    """The next view of a create takes a guest's shutdown back."""
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(31)  # the next view is due at 32 s
    fake.vm("web-1").guest_shutdown()
    fake.clock.advance(20)

    assert fake.vm("web-1").power_state == "running"


@pytest.mark.parametrize("kind", ["PUT", "PATCH"])
def test_updating_what_never_came_up(fake, kind):
    """An update of a VM that never came up is a new attempt at what its create did not reach."""
    vm = settled(fake, NEVER_UP)
    if kind == "PUT":
        begin_put(fake, "web-1", linux_vm())
    else:
        begin(fake, "update", "web-1")
    fake.clock.advance(79.999)
    before = (vm.provisioning_state, vm.power_state)
    fake.clock.advance(0.001)

    assert before == ("Updating", "starting")
    assert (vm.provisioning_state, vm.power_state) == ("Succeeded", "running")


def test_starting_what_never_came_up(fake):
    """A start of a VM without a power state allocates it anew, and makes it whole."""
    vm = settled(fake, NEVER_UP)
    poller = begin(fake, "start", "web-1")
    starting = vm.power_state
    fake.clock.advance(24)
    view = fake.client.virtual_machines.instance_view(GROUP, "web-1")
    poller.result()

    assert (starting, vm.power_state, len(view.disks)) == ("starting", "running", 1)


@pytest.mark.parametrize("state", AT_REST)
@pytest.mark.parametrize("operation", ["update", "delete", "start", "power_off", "restart",
                                       "deallocate"])  # fmt: skip
def test_nothing_is_busy_where_nothing_is_in_flight(fake, operation, state):
    """A refusal speaks of another operation only while there is one."""
    vm = settled(fake, state)
    kinds = table.KINDS_BY_GOAL.get(vm.goal_state, frozenset()) | {"PATCH"}
    row = table.find_row(operation, vm.power_state, kinds)

    assert row or table.find_refusal(operation, vm.power_state) in table.REFUSALS


def test_writing_tags_beside_a_create(fake):
    """An update during a create succeeds beside it, and the create stays in view."""
    first = in_flight(fake, "create")
    second = begin(fake, "update", "web-1")

    assert fake.vm("web-1").provisioning_state == "Creating"
    fake.clock.advance(5)
    assert fake.vm("web-1").operation.operation == "create"
    fake.clock.advance(minutes=10)
    assert (first.status(), second.status()) == ("Succeeded", "Succeeded")
    assert fake.vm("web-1").model["tags"] == {"touched": "yes"}
    assert fake.vm("web-1").provisioning_state == "Succeeded"


@pytest.mark.parametrize("operation", ["delete", "deallocate"])
def test_the_same_again_ends_together(fake, operation):
    """A second delete, or deallocate, follows the first: both end at one instant."""
    first = in_flight(fake, operation)
    second = begin(fake, operation, "web-1")
    fake.clock.advance(minutes=10)

    assert (first.status(), second.status()) == ("Succeeded", "Succeeded")
    assert len({document["endTime"] for document in polled(fake, "Succeeded")}) == 1


@pytest.mark.parametrize(
    ("operation", "state", "goal"),
    [
        ("start", "stopped", "running"),
        ("restart", INSIDE, "running"),
        ("power_off", "running", "stopped"),
        ("power_off", INSIDE, "stopped"),
        ("deallocate", "running", "deallocated"),
        ("update", "stopped", "stopped"),
    ],
)
def test_what_a_vm_is_set_to(fake, operation, state, goal):
    """An operation of the owner's sets the goal as soon as it is accepted; an update keeps it."""
    vm = settled(fake, state)
    begin(fake, operation, "web-1")

    assert vm.goal_state == goal


def test_a_guests_shutdown_keeps_the_goal(fake):
    """A shutdown inside the guest leaves the VM set to run, and its provisioning state alone."""
    vm = settled(fake, INSIDE)

    assert (vm.power_state, vm.goal_state, vm.provisioning_state) == (
        "stopped", "running", "Succeeded"
    )  # fmt: skip


def test_power_off_makes_a_guests_shutdown_the_owners(fake):
    """After an explicit power off the VM is no longer set to run, so restart is refused."""
    settled(fake, INSIDE)
    begin(fake, "power_off", "web-1")
    fake.clock.advance(1)

    assert refusal(lambda: begin(fake, "restart", "web-1"))[2] == SET_TO_RUN


def test_an_update_over_before_the_guest_is_down(fake):
    """A guest that goes down during a short update ends stopped, and the update succeeded."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    poller = begin(fake, "update", "web-1")
    vm.guest_shutdown()
    fake.clock.advance(minutes=10)

    assert poller.status() == "Succeeded"
    assert (vm.power_state, vm.provisioning_state) == ("stopped", "Succeeded")


def test_an_update_while_the_guest_goes_down(fake):
    """An update that begins and ends while the guest goes down is what is shown afterwards."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    begin(fake, "update", "web-1")
    vm.cancel_operation()
    vm.guest_shutdown()
    begin(fake, "update", "web-1")
    fake.clock.advance(minutes=10)

    assert (vm.power_state, vm.provisioning_state) == ("stopped", "Succeeded")


@pytest.mark.parametrize("event", ["guest_reboot", None])
def test_a_start_that_does_nothing_leaves_the_guest_alone(fake, event):
    """A start of a running VM does not keep its agent from reporting when the system is up."""
    if event is None:
        fake.add_vm("web-1", resource_group=GROUP, power_state="deallocated")
        begin(fake, "start", "web-1")
        fake.clock.advance(25)
    else:
        getattr(fake.add_vm("web-1", resource_group=GROUP), event)()
    fake.clock.advance(1)
    begin(fake, "start", "web-1")
    fake.clock.advance(minutes=5)
    agent = fake.client.virtual_machines.instance_view(GROUP, "web-1").vm_agent

    assert [status.display_status for status in agent.statuses] == ["Ready"]


def test_names_are_azures():
    """Power states, provisioning states and actions are spelled as Azure spells them."""
    assert {power: status.code for power, status in table.POWER_STATUS.items()} == {
        "starting": "PowerState/starting",
        "running": "PowerState/running",
        "stopping": "PowerState/stopping",
        "stopped": "PowerState/stopped",
        "deallocating": "PowerState/deallocating",
        "deallocated": "PowerState/deallocated",
    }
    assert [status.display_status for status in table.POWER_STATUS.values()] == [
        "VM starting",
        "VM running",
        "VM stopping",
        "VM stopped",
        "VM deallocating",
        "VM deallocated",
    ]
    assert set(table.PROVISIONING_STATE.values()) == {
        "Creating", "Updating", "Deleting", "Succeeded", "Failed", "Canceled"
    }  # fmt: skip
    assert ACTIONS == {
        "create": "write",
        "update": "write",
        "delete": "delete",
        "start": "start",
        "power_off": "powerOff",
        "restart": "restart",
        "deallocate": "deallocate",
        "redeploy": "redeploy",
        "reapply": "reapply",
        "reimage": "reimage",
        "generalize": "generalize",
        "extension_create": "extensions/write",
        "extension_update": "extensions/write",
        "extension_delete": "extensions/delete",
    }


@pytest.mark.parametrize("edition", table.EDITIONS.values(), ids=lambda edition: edition.name)
def test_an_edition_is_complete(edition):
    """An edition spells every provisioning state and bills every power state."""
    assert set(edition.provisioning) == set(table.PROVISIONING_STATE)
    assert set(edition.billing) == {None, *POWER_STATES}


def test_the_table_as_markdown():
    """The documentation's table has one line for each row, and as many cells as its head."""
    head, rule, *lines = table.markdown().splitlines()

    assert len(lines) == len(table.LIFECYCLE)
    for row, line in zip(table.LIFECYCLE, lines, strict=True):
        written = [cell.strip() for cell in line.strip("|").split("|")]
        assert line.count("|") == head.count("|") == rule.count("|")
        assert written[0] == row.operation
        assert written[-1] == row.witness


def test_a_create_shows_its_states_in_order(fake):
    """A create passes through the document's five views, each at its instant."""
    begin_put(fake, "web-1", linux_vm())
    creating = "ProvisioningState/creating"
    views = []
    for seconds in (0, 6.4, 9.6, 16, 45.6, 2.4):
        fake.clock.advance(seconds)
        views.append(codes(fake, "web-1"))

    assert views == [
        [creating],
        [creating, "PowerState/starting"],
        [creating, "PowerState/running"],
        [f"{creating}/osProvisioningInProgress", "PowerState/running"],
        [f"{creating}/osProvisioningComplete", "PowerState/running"],
        ["ProvisioningState/succeeded", "PowerState/running"],
    ]
