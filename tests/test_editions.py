"""Two editions of the truth: every row of the document is reached and shown, in both."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import datetime as _dt

import pytest

from pytest_azurevm import FakeCompute
from pytest_azurevm._records import Fate
from tests.builders import EXTENSION, GROUP, begin, begin_put, changed, linux_vm, polled, shown

START = _dt.datetime(2026, 1, 1, tzinfo=_dt.timezone.utc)
NO_CAPACITY = (
    "Allocation failed. We do not have sufficient capacity for the requested VM size in this "
    "region. Read more about improving likelihood of allocation success at "
    "https://aka.ms/allocation-guidance"
)

# The entries as each edition spells them: code, level, displayStatus.
CREATING = ("ProvisioningState/creating", "Info", "Creating")
UPDATING = ("ProvisioningState/updating", "Info", "Updating")
DELETING = ("ProvisioningState/deleting", "Info", "Deleting")
SUCCEEDED = ("ProvisioningState/succeeded", "Info", "Provisioning succeeded")
CANCELED = ("ProvisioningState/canceled", "Info", "Provisioning canceled")
OS_IN_PROGRESS = {
    "document": (
        "ProvisioningState/OSProvisioningInprogress", "Info", "OS Provisioning In progress"
    ),
    "wire": (
        "ProvisioningState/creating/osProvisioningInProgress", "Info", "OS provisioning in progress"
    ),
}  # fmt: skip
OS_COMPLETE = {
    "document": ("ProvisioningState/OSProvisioningComplete", "Info", "OS Provisioning Complete"),
    "wire": (
        "ProvisioningState/creating/osProvisioningComplete", "Info", "OS provisioning complete"
    ),
}  # fmt: skip
FAILED = {
    "document": ("ProvisioningState/failed", "Info", "Provisioning failed"),
    "wire": ("ProvisioningState/failed/AllocationFailed", "Error", "Provisioning failed"),
}
STARTING = ("PowerState/starting", "Info", "VM starting")
RUNNING = ("PowerState/running", "Info", "VM running")
STOPPING = ("PowerState/stopping", "Info", "VM stopping")
STOPPED = ("PowerState/stopped", "Info", "VM stopped")
DEALLOCATING = ("PowerState/deallocating", "Info", "VM deallocating")
DEALLOCATED = ("PowerState/deallocated", "Info", "VM deallocated")


def create(fake, seconds):
    """Create web-1, and let so many of the create's 80 seconds pass."""
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(seconds)


def operate(fake, operation, power_state="running", seconds=1):
    """Begin *operation* on a seeded web-1, and let so many seconds pass."""
    fake.add_vm("web-1", resource_group=GROUP, power_state=power_state)
    begin(fake, operation, "web-1")
    fake.clock.advance(seconds)


def shut_down_inside(fake, seconds):
    """Shut a seeded web-1 down from inside, and let so many seconds pass."""
    fake.add_vm("web-1", resource_group=GROUP).guest_shutdown()
    fake.clock.advance(seconds)


def cancel(fake):
    """Begin an update of web-1, and cancel it a second later."""
    operate(fake, "update")
    fake.vm("web-1").cancel_operation()


def fail(fake):
    """Let web-1 fail to be allocated at a start, which takes 24 seconds."""
    fake._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("AllocationFailed", NO_CAPACITY), power="deallocated"
    )
    operate(fake, "start", "deallocated", seconds=25)


# Each row of the document's tables: how it is reached, and what is shown in each edition.
# fmt: off
ROWS = (
    # row of the document             how it is reached                                       document                         wire
    ("Starting",                      lambda f: create(f, 7),                                 [CREATING, STARTING],            [CREATING, STARTING]),
    ("Starting, deallocated before",  lambda f: operate(f, "start", "deallocated"),           [UPDATING, STARTING],            [UPDATING, STARTING]),
    ("Starting, stopped before",      lambda f: operate(f, "start", "stopped"),               [UPDATING, STARTING],            [UPDATING, STARTING]),
    ("Running",                       lambda f: create(f, 80),                                [SUCCEEDED, RUNNING],            [SUCCEEDED, RUNNING]),
    ("Running, seeded",               lambda f: f.add_vm("web-1", resource_group=GROUP),      [SUCCEEDED, RUNNING],            [SUCCEEDED, RUNNING]),
    ("Stopping from client",          lambda f: operate(f, "power_off"),                      [UPDATING, STOPPING],            [UPDATING, STOPPING]),
    ("Stopping from guest OS",        lambda f: shut_down_inside(f, 1),                       [UPDATING, STOPPING],            [SUCCEEDED, STOPPING]),
    ("Stopped from client",           lambda f: operate(f, "power_off", seconds=10),          [SUCCEEDED, STOPPED],            [SUCCEEDED, STOPPED]),
    ("Stopped from guest OS",         lambda f: shut_down_inside(f, 10),                      [SUCCEEDED, STOPPED],            [SUCCEEDED, STOPPED]),
    ("Deallocating",                  lambda f: operate(f, "deallocate"),                     [UPDATING, DEALLOCATING],        [UPDATING, DEALLOCATING]),
    ("Deallocated",                   lambda f: operate(f, "deallocate", seconds=53),         [SUCCEEDED, DEALLOCATED],        [SUCCEEDED, DEALLOCATED]),
    ("Creating",                      lambda f: create(f, 0),                                 [CREATING],                      [CREATING]),
    ("Updating",                      lambda f: operate(f, "update"),                         [UPDATING, RUNNING],             [UPDATING, RUNNING]),
    ("Updating, a restart",           lambda f: operate(f, "restart"),                        [UPDATING, RUNNING],             [UPDATING, RUNNING]),
    ("Deleting",                      lambda f: operate(f, "delete"),                         [DELETING, RUNNING],             [DELETING, RUNNING]),
    ("Canceled",                      cancel,                                                 [CANCELED, RUNNING],             [CANCELED, RUNNING]),
    ("OSProvisioningInprogress",      lambda f: create(f, 33),                                [OS_IN_PROGRESS["document"], RUNNING], [OS_IN_PROGRESS["wire"], RUNNING]),
    ("OSProvisioningComplete",        lambda f: create(f, 78),                                [OS_COMPLETE["document"], RUNNING], [OS_COMPLETE["wire"], RUNNING]),
    ("Succeeded",                     lambda f: operate(f, "update", seconds=5),              [SUCCEEDED, RUNNING],            [SUCCEEDED, RUNNING]),
    ("Failed",                        fail,                                                   [FAILED["document"], DEALLOCATED], [FAILED["wire"], DEALLOCATED]),
)
# fmt: on
CASES = [
    pytest.param(edition, reach, expected, id=f"{edition}-{row}")
    for row, reach, document, wire in ROWS
    for edition, expected in (("document", document), ("wire", wire))
]


@pytest.fixture(params=["document", "wire"])
def either(request):
    """A fake of either edition."""
    with FakeCompute(edition=request.param) as fake:
        yield fake


@pytest.mark.parametrize(("edition", "reach", "expected"), CASES)
def test_each_row_of_the_document(edition, reach, expected):
    """Each state of the document is reached, and shown exactly as the edition spells it."""
    with FakeCompute(edition=edition) as fake:
        reach(fake)

        assert shown(fake, "web-1") == expected
        assert [tuple(status[:3]) for status in fake.vm("web-1").statuses] == expected


@pytest.mark.parametrize(("edition", "reach", "expected"), CASES)
def test_what_carries_a_time(edition, reach, expected):
    """Only a provisioning state that is final has a time; a power state never has one."""
    with FakeCompute(edition=edition) as fake:
        reach(fake)
        view = fake.client.virtual_machines.instance_view(GROUP, "web-1")
        final = ("succeeded", "failed", "canceled")
        expected_times = [
            code.startswith("ProvisioningState/") and code.split("/")[1] in final
            for code, _, _ in expected
        ]

        assert [status.time is not None for status in view.statuses] == expected_times
        assert [status.time for status in fake.vm("web-1").statuses] == [
            status.time for status in view.statuses
        ]


@pytest.mark.parametrize(
    ("reach", "seconds"),
    [
        (lambda f: create(f, 100), 80),
        (lambda f: operate(f, "power_off", seconds=100), 9.5),
        (lambda f: operate(f, "deallocate", seconds=100), 52),
        (fail, 24),
        (cancel, 1),
        (lambda f: shut_down_inside(f, 100), 0),
    ],
)
def test_the_time_is_that_of_completion(either, reach, seconds):
    """The time of a final provisioning state is when the last operation ended."""
    reach(either)
    status = either.client.virtual_machines.instance_view(GROUP, "web-1").statuses[0]

    assert status.time == START + _dt.timedelta(seconds=seconds)


def test_nothing_else_in_an_entry(either):
    """An entry has code, level and displayStatus, a final one a time, and nothing more."""
    create(either, 90)
    either.client.virtual_machines.instance_view(GROUP, "web-1")

    assert either.calls[-1].response_body["statuses"] == [
        {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
            "time": "2026-01-01T00:01:20+00:00",
        },
        {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"},
    ]


@pytest.mark.parametrize(("edition", "stopping"), [("document", "Updating"), ("wire", "Succeeded")])
def test_a_history_shows_what_its_edition_showed(edition, stopping):
    """The line of a guest that stops itself says what was shown then, edition by edition."""
    with FakeCompute(edition=edition) as fake:
        shut_down_inside(fake, 1)
        vm = fake.vm("web-1")
        during = vm.provisioning_state
        fake.clock.advance(minutes=1)

        assert during == stopping
        assert [(line.power_state, line.provisioning_state) for line in vm.history] == [
            ("running", "Succeeded"),
            ("stopping", stopping),
            ("stopped", "Succeeded"),
        ]
        assert repr(vm) == "<FakeVM web-1: stopped, Succeeded>"


@pytest.mark.parametrize(
    ("edition", "entry"),
    [
        (
            "document",
            {
                "code": "ProvisioningState/failed",
                "level": "Info",
                "displayStatus": "Provisioning failed",
                "time": "2026-01-01T00:00:24+00:00",
            },
        ),
        (
            "wire",
            {
                "code": "ProvisioningState/failed/AllocationFailed",
                "level": "Error",
                "displayStatus": "Provisioning failed",
                "message": NO_CAPACITY,
                "time": "2026-01-01T00:00:24+00:00",
            },
        ),
    ],
)
def test_a_failure_names_its_error_on_the_wire_alone(edition, entry):
    """On the wire a failure carries its code and message; the document knows neither."""
    with FakeCompute(edition=edition) as fake:
        fail(fake)
        fake.client.virtual_machines.instance_view(GROUP, "web-1")

        assert fake.calls[-1].response_body["statuses"][0] == entry
        assert list(fake.calls[-1].response_body["statuses"][0]) == list(entry)
        assert fake.vm("web-1").provisioning_state == "Failed"


def test_in_progress_is_the_status_of_an_operation(either):
    """InProgress is what an operation says of itself until it ends; no VM shows it."""
    poller = begin_put(either, "web-1", linux_vm())
    either.clock.advance(70)
    in_progress = polled(either, "InProgress")
    either.clock.advance(minutes=2)

    assert in_progress
    assert set(in_progress[0]) == {"startTime", "status", "name"}
    assert in_progress[0]["startTime"] == "2026-01-01T00:00:00+00:00"
    assert poller.status() == "Succeeded"
    assert polled(either, "Succeeded")[0]["endTime"] == "2026-01-01T00:01:20+00:00"


def test_canceled_is_what_a_users_cancel_results_in(either):
    """A cancel ends the operation as Canceled, and that is the VM's provisioning state."""
    vm = either.add_vm("web-1", resource_group=GROUP)
    poller = begin(either, "power_off", "web-1")
    vm.cancel_operation()
    either.clock.advance(minutes=2)

    assert poller.status() == "Canceled"
    assert vm.provisioning_state == "Canceled"
    assert vm.operation is None
    assert polled(either, "Canceled")[0]["error"] == {
        "code": "OperationCanceled",
        "message": "The operation was canceled by its owner.",
    }


def test_nothing_to_cancel(either):
    """A cancel without an operation in flight is refused, and names the VM."""
    vm = either.add_vm("web-1", resource_group=GROUP)

    with pytest.raises(ValueError, match=r"web-1 has no operation in flight to cancel"):
        vm.cancel_operation()


def test_extensions_keep_os_provisioning_complete_in_view(either):
    """OSProvisioningComplete is short-lived, unless the VM has to install an extension."""
    begin_put(either, "web-1", changed(linux_vm(), "resources", [EXTENSION]))
    either.clock.advance(80 + 40)
    during = shown(either, "web-1")
    either.clock.advance(8)

    assert during == [OS_COMPLETE[either.edition], RUNNING]
    assert shown(either, "web-1") == [SUCCEEDED, RUNNING]


def test_a_failed_os_provisioning_goes_on_running(either):
    """When the OS fails to install in time the VM is failed, and still runs."""
    either._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("OSProvisioningTimedOut", "Too slow.")
    )
    create(either, 80)
    code = {"document": "ProvisioningState/failed",
            "wire": "ProvisioningState/failed/OSProvisioningTimedOut"}[either.edition]  # fmt: skip

    assert [entry[0] for entry in shown(either, "web-1")] == [code, "PowerState/running"]
    assert either.vm("web-1").provisioning_state == "Failed"


def test_a_failed_update_leaves_the_effective_model(either):
    """After a failed update GET gives the latest model, while the original one goes on running."""
    either.add_vm("web-1", resource_group=GROUP, parameters={"tags": {"color": "blue"}})
    either._compute.fate = lambda vm, operation: Fate(
        ends="Failed", error=("InternalExecutionError", "Sorry.")
    )
    poller = either.client.virtual_machines.begin_update(
        GROUP, "web-1", b'{"tags": {"color": "red"}}'
    )
    either.clock.advance(minutes=1)
    vm = either.vm("web-1")

    assert poller.status() == "Failed"
    assert either.client.virtual_machines.get(GROUP, "web-1").tags == {"color": "red"}
    assert vm.effective_model["tags"] == {"color": "blue"}
    assert (vm.power_state, vm.provisioning_state) == ("running", "Failed")


def test_the_next_success_clears_a_failure(either):
    """Failed is the state of the last operation: one that succeeds leaves no trace of it."""
    fail(either)
    either._compute.fate = lambda vm, operation: None
    begin(either, "start", "web-1")
    either.clock.advance(minutes=1)

    assert shown(either, "web-1") == [SUCCEEDED, RUNNING]


@pytest.mark.parametrize("edition", ["Document", "", "both", None])
def test_no_other_edition(edition):
    """An edition that there is not is refused, and those that there are are named."""
    with pytest.raises(ValueError, match=r"^edition .* is not one of wire, document$"):
        FakeCompute(edition=edition)


def test_the_wire_is_the_default():
    """Unless told, a fake shows what recorded traffic shows."""
    assert FakeCompute().edition == "wire"
