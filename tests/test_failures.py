"""The catalogue of failures: FAILURES.md says how each is told, and here it is held to that."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from azure.core.exceptions import AzureError, HttpResponseError

from pytest_azurevm import FakeCompute, failures
from tests.builders import EXTENSION, GROUP, changed, linux_vm, sent

TABLE = Path(__file__).parent.parent / "FAILURES.md"
SUBSCRIPTION = "5ab5c819-7100-4000-8000-000000000000"
ONCE = {"retry_total": 0}  # what the SDK's retries make of it is another test's matter
SPOT = changed(linux_vm(), "properties.priority", "Spot")
WITH_EXTENSION = {**linux_vm(), "resources": [EXTENSION]}
CHILD = {"location": "westeurope", "properties": EXTENSION["properties"]}


class Row(NamedTuple):
    """One line of the catalogue."""

    failure: str
    on: str
    phase: str
    status: str  # HTTP
    code: str
    message: str
    machine: str  # its instance view afterwards
    source: str

    @property
    def injected(self) -> failures.Failure:
        """The failure itself."""
        return eval(self.failure, vars(failures))


def cells(line: str) -> list[str]:
    """Take a line of the table apart."""
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split(" | ")]


def catalogue() -> list[Row]:
    """Read the table."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [Row(*cells(line)) for line in lines]


CATALOGUE = catalogue()


def body_for(row: Row) -> dict[str, Any]:
    """Give a machine to which the row's failure can happen."""
    if "Extension" in row.failure or "Agent" in row.failure:
        return WITH_EXTENSION
    return SPOT if "Spot" in row.failure else linux_vm()


def add(fake: FakeCompute, **members: Any) -> None:
    """Put the machine into place."""
    fake.add_vm("web-1", resource_group=GROUP, **members)


def asked(fake: FakeCompute, row: Row) -> Callable[[], Any]:
    """Give the SDK's call for the row's operation, on a machine where that needs one."""
    vms, extensions = fake.client.virtual_machines, fake.client.virtual_machine_extensions
    if row.on == "create":
        return lambda: vms.begin_create_or_update(GROUP, "web-1", sent(body_for(row)), **ONCE)
    add(fake, power_state="deallocated" if row.on == "start" else "running")
    simple: dict[str, Callable[[], Any]] = {
        "update": lambda: vms.begin_update(GROUP, "web-1", sent({"tags": {"a": "b"}}), **ONCE),
        "get": lambda: vms.get(GROUP, "web-1", **ONCE),
        "instance_view": lambda: vms.instance_view(GROUP, "web-1", **ONCE),
        "extension_create": lambda: extensions.begin_create_or_update(
            GROUP, "web-1", "hello", sent(CHILD), **ONCE
        ),
    }
    begin = getattr(vms, f"begin_{row.on}", None)
    return simple.get(row.on) or (lambda: begin(GROUP, "web-1", **ONCE))


class Told(NamedTuple):
    """What a client learns of it."""

    status: str
    code: str
    message: str
    machine: str


def befall(fake: FakeCompute, row: Row) -> Told:
    """Let the row's failure strike its operation, and give what the wire tells of it."""
    ask = asked(fake, row)
    rule = fake.inject(row.injected, on=row.on, times=None)
    raised, answered = "", None
    try:
        answered = ask()
        if hasattr(answered, "result"):
            answered.wait(timeout=3 * 3600)
            if answered.done():
                answered.result()
    except (AzureError, ValueError) as error:
        raised = type(error).__name__
    assert rule.hits, "it never struck"
    rule.remove()
    if row.phase == "recovering" or "Spot" in row.failure:
        fake.clock.run_until_idle()
    told = fake.calls[0]
    ends = [call for call in fake.calls.filter(operation="poll")
            if (call.response_body or {}).get("status") in ("Failed", "Canceled")]  # fmt: skip
    if ends:
        told = ends[-1]
    answer = told.response_body if isinstance(told.response_body, dict) else {}
    error = answer.get("error")
    # Releases before 38 read an empty body as a machine of which nothing is told.
    may_be_read = row.phase not in ("refused", "failed", "recovering", "lost") or not told.answered
    assert raised or may_be_read
    return Told(
        status=str(told.status) if told.status else "none",
        code=error["code"] if error else "",
        message=error["message"] if error else "",
        machine=machine(fake),
    )


def machine(fake: FakeCompute) -> str:
    """Give the instance view that the machine shows now."""
    try:
        vm = fake.vm("web-1")
    except KeyError:
        return "no machine"
    return ", ".join(s.code + (" (Error)" if s.level == "Error" else "") for s in vm.statuses)


def pattern(message: str) -> str:
    """Give the regular expression that a message of the table stands for."""
    text = message.replace("\\n", "\n").replace("\\r", "\r")
    facts = {"vm": "web-1", "group": GROUP, "subscription": SUBSCRIPTION, "id": r"[0-9a-f-]{36}"}
    for name in facts:
        text = text.replace(f"{{{name}}}", f"<<{name}>>")
    text = re.escape(text)
    for name, fact in facts.items():
        text = text.replace(f"<<{name}>>", fact)
    return text


@pytest.mark.filterwarnings("ignore::UserWarning")  # a poller of one that is stuck is left running
@pytest.mark.parametrize("row", CATALOGUE, ids=[f"{row.failure} on {row.on}" for row in CATALOGUE])
def test_each_failure_is_told_as_the_catalogue_says(row):
    """A failure's HTTP status, code, message and instance view are those of its row."""
    with FakeCompute(subscription_id=SUBSCRIPTION) as fake:
        told = befall(fake, row)

    assert (told.status, told.code, told.machine) == (row.status, row.code, row.machine)
    assert re.fullmatch(pattern(row.message), told.message)


@pytest.mark.parametrize("row", CATALOGUE, ids=[f"{row.failure} on {row.on}" for row in CATALOGUE])
def test_each_failure_states_its_phase_and_source_as_the_catalogue_does(row):
    """What a failure's class says of its phase, operations and source is what the table says."""
    failure = row.injected

    assert failure.phase == row.phase
    assert row.on in failure.where
    assert failure.source == row.source
    if row.phase == "refused" and failure.status != 200:
        assert (str(failure.status), failure.code) == (row.status, row.code)


def test_the_catalogue_names_every_failure():
    """No failure that can be injected is missing from the table, and none is there twice."""
    named = {row.failure.partition("(")[0] for row in CATALOGUE}
    classes = {name for name in failures.__all__ if isinstance(getattr(failures, name), type)}

    assert named == classes - {"Failure"}
    assert len({(row.failure, row.on) for row in CATALOGUE}) == len(CATALOGUE)


def test_the_overview_names_every_failure_under_its_phase():
    """The module's own overview has each failure where its class says."""
    overview = re.split(r"\*([a-z ]+)\*", failures.__doc__)[1:]
    named = {name: phase for phase, text in zip(overview[::2], overview[1::2], strict=True)
             for name in re.findall(r"\b[A-Z]\w+", text)}  # fmt: skip

    for name in {row.failure.partition("(")[0] for row in CATALOGUE}:
        assert named[name] == getattr(failures, name).phase


@pytest.mark.parametrize("row", [row for row in CATALOGUE if row.phase == "refused"],
                         ids=lambda row: f"{row.failure} on {row.on}")  # fmt: skip
def test_what_is_refused_changes_nothing(row):
    """A refused request leaves machines, histories and bills as they were."""
    with FakeCompute(subscription_id=SUBSCRIPTION) as fake:
        ask = asked(fake, row)
        before = [(vm.model, vm.history, vm.bill, vm.operation) for vm in fake.vms]
        fake.inject(row.injected, on=row.on, times=None)
        with pytest.raises(HttpResponseError):
            ask()

        assert [(vm.model, vm.history, vm.bill, vm.operation) for vm in fake.vms] == before


def test_the_sdk_registers_a_provider_by_itself():
    """Refused for a missing registration, the SDK asks for it, waits for it, and tries again."""
    with FakeCompute() as fake:
        fake.inject(failures.MissingSubscriptionRegistration())
        begun = fake.clock.now
        fake.client.virtual_machines.begin_create_or_update(GROUP, "web-1", sent(linux_vm()))

        assert [(call.operation, call.status) for call in fake.calls][:4] == [
            ("create", 409), ("Microsoft.Compute/register/action", 200),
            ("Microsoft.Resources/subscriptions/providers/read", 200), ("create", 201),
        ]  # fmt: skip
        assert (fake.clock.now - begun).total_seconds() == 10


@pytest.mark.parametrize("name", sorted(set(failures.__all__) - {"PHASES", "Phase"}))
def test_each_failure_is_documented(name):
    """A failure's docstring says what it is, and where its form is known from."""
    failure = getattr(failures, name)

    assert failure.__doc__
    assert "Source" in failure.__doc__ or name in ("Failure", "ArmError")


def test_an_error_of_ones_own_that_preempts_keeps_no_change():
    """ArmError in its preempted phase does to an update what OperationPreempted does."""
    with FakeCompute() as fake:
        add(fake)
        fake.inject(failures.ArmError("Superseded", "No.", phase="preempted"), on="update")
        with pytest.raises(HttpResponseError):
            fake.client.virtual_machines.begin_update(
                GROUP, "web-1", sent({"tags": {"a": "b"}})
            ).result()

        assert "tags" not in fake.vm("web-1").model


def test_no_failure_takes_longer_than_anything_does():
    """Seconds that no calendar would hold are refused where they are written."""
    with pytest.raises(ValueError, match="ten years at most"):
        failures.OSProvisioningTimedOut(recovers_after=1e12)
