"""Cloud Custodian builds SDK clients with a credential, a retry policy and threads of its own."""

import json
import sys
from datetime import timedelta

import pytest
from c7n import cli
from c7n.utils import reset_session_cache
from freezegun import freeze_time

from pytest_azurevm import failures

RUNNING = {
    "type": "instance-view",
    "key": "statuses[].code",
    "op": "in",
    "value_type": "swap",
    "value": "PowerState/running",
}
DEALLOCATED = {**RUNNING, "value": "PowerState/deallocated"}
# Every machine goes at eight and comes back at seven, but for those whose tag says otherwise.
EVENING = {"type": "offhour", "default_tz": "utc", "offhour": 20, "opt-out": True}
MORNING = {"type": "onhour", "default_tz": "utc", "onhour": 7, "opt-out": True}


@pytest.fixture
def custodian(fake_compute, monkeypatch, tmp_path):
    """The command, as its users run it: signed in by its variables, told of no fake."""
    for name, value in {
        "SUBSCRIPTION_ID": fake_compute.subscription_id,
        "TENANT_ID": fake_compute.tenant_id,
        "CLIENT_ID": "7e1b0b8c-0000-4000-8000-00000000c7c7",
        "CLIENT_SECRET": "its-secret",
    }.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    reset_session_cache()

    def run(*filters, actions=(), **more):
        policy = {"name": "p", "resource": "azure.vm", "filters": list(filters), **more}
        path = tmp_path / "policy.json"
        path.write_text(json.dumps({"policies": [{**policy, "actions": list(actions)}]}))
        fresh = ["--cache-period", "0", "-s", str(tmp_path)]  # each run sees Azure as it is then
        monkeypatch.setattr(sys, "argv", ["custodian", "run", *fresh, str(path)])
        cli.main()
        found = json.loads((tmp_path / "p" / "resources.json").read_text())
        return sorted(one["name"] for one in found)

    yield run
    reset_session_cache()


def asked(fake_compute):
    """Every change that was asked for: the operation, and of which machine."""
    return sorted(
        (call.operation, call.vm)
        for call in fake_compute.calls
        if call.method not in ("GET", "HEAD") and call.vm
    )


def test_finds_the_machines_that_run(fake_compute, custodian):
    """Its filter on the instance view finds machines by the power state that Azure shows."""
    for power_state in ("running", "stopped", "deallocated"):
        fake_compute.add_vm(power_state, power_state=power_state)

    assert custodian(RUNNING) == ["running"]
    assert custodian(DEALLOCATED) == ["deallocated"]


def test_finds_them_by_resource_graph_as_well(fake_compute, custodian):
    """Its other source is Resource Graph, at an api-version that answers with a table."""
    fake_compute.add_vm("web-1", parameters={"tags": {"team": "blue"}})
    fake_compute.add_vm("web-2", power_state="deallocated")
    blue = {"type": "value", "key": "tags.team", "value": "blue"}

    assert custodian(blue, source="resource-graph") == ["web-1"]
    assert custodian(RUNNING, actions=["stop"], source="resource-graph") == ["web-1"]
    assert asked(fake_compute) == [("deallocate", "web-1")]
    fake_compute.clock.run_until_idle()


def test_deallocates_in_the_evening_what_still_runs(fake_compute, custodian):
    """Outside hours it deallocates whatever runs, but for what has opted out."""
    with freeze_time("2026-03-02T20:10:00Z"):
        fake_compute.add_vm("web-1", resource_group="shop")
        fake_compute.add_vm("web-2", resource_group="shop", power_state="deallocated")
        fake_compute.add_vm("db-1", parameters={"tags": {"maid_offhours": "off"}})

        assert custodian(EVENING, RUNNING, actions=["stop"]) == ["web-1"]
        fake_compute.clock.advance(minutes=10)

    assert asked(fake_compute) == [("deallocate", "web-1")]
    assert {vm.name: vm.power_state for vm in fake_compute.vms} == {
        "web-1": "deallocated",
        "web-2": "deallocated",
        "db-1": "running",
    }
    assert "deallocating" in [one.power_state for one in fake_compute.vm("web-1").history]


def test_lets_machines_be_at_noon(fake_compute, custodian):
    """Within hours it finds nothing to do."""
    with freeze_time("2026-03-02T12:00:00Z"):
        fake_compute.add_vm("web-1")

        assert custodian(EVENING, RUNNING, actions=["stop"]) == []
    assert asked(fake_compute) == []


def test_saves_what_a_night_costs(fake_compute, custodian):
    """A night between its two policies costs hardware only until the machine was deallocated."""
    with freeze_time("2026-03-02T20:00:00Z") as frozen:
        vm = fake_compute.add_vm("web-1")
        custodian(EVENING, RUNNING, actions=["stop"])
        frozen.move_to("2026-03-03T07:00:00Z")
        night = vm.bill.hardware
        custodian(MORNING, DEALLOCATED, actions=["start"])
        frozen.move_to("2026-03-03T08:00:00Z")

    assert night < 600
    assert vm.bill.hardware > night + 3000
    assert vm.power_state == "running"


def test_acts_on_a_whole_fleet_from_its_threads(fake_compute, custodian):
    """It asks for hundreds of machines from several threads, and each ends deallocated."""
    for number in range(120):
        fake_compute.add_vm(f"web-{number}", resource_group="shop")

    assert len(custodian(RUNNING, actions=["stop"])) == 120
    fake_compute.clock.advance(minutes=10)

    assert {vm.power_state for vm in fake_compute.vms} == {"deallocated"}
    assert len(fake_compute.calls.filter(operation="deallocate")) == 120


def test_powering_off_goes_on_costing(fake_compute, custodian):
    """Its action "poweroff" leaves a machine stopped, which Azure goes on billing."""
    vm = fake_compute.add_vm("web-1")
    custodian(RUNNING, actions=["poweroff"])
    fake_compute.clock.advance(hours=10)

    assert vm.power_state == "stopped"
    assert vm.bill.hardware == 10 * 3600


def test_restarts_and_resizes(fake_compute, custodian):
    """Its other verbs reach Azure as a restart, and as a PATCH of the size."""
    vm = fake_compute.add_vm("web-1", size="Standard_D8s_v5")
    big = {"type": "value", "key": "properties.hardwareProfile.vmSize", "value": "Standard_D8s_v5"}
    custodian(big, actions=["restart"])
    fake_compute.clock.advance(minutes=10)
    custodian(big, actions=[{"type": "resize", "vmSize": "Standard_D2s_v5"}])
    fake_compute.clock.advance(minutes=10)

    assert asked(fake_compute) == [("restart", "web-1"), ("update", "web-1")]
    assert vm.model["properties"]["hardwareProfile"]["vmSize"] == "Standard_D2s_v5"
    assert vm.power_state == "running"


def test_deletes_by_the_api_version_that_azure_names(fake_compute, custodian):
    """It asks the provider for its api-versions, and deletes as a generic resource."""
    fake_compute.add_vm("web-1")
    fake_compute.add_vm("old-1")
    old = {"type": "value", "key": "name", "op": "glob", "value": "old-*"}

    assert custodian(old, actions=["delete"]) == ["old-1"]
    fake_compute.clock.advance(minutes=10)

    assert [vm.name for vm in fake_compute.vms] == ["web-1"]


def test_marks_what_is_to_go_and_deletes_it_when_its_day_has_come(fake_compute, custodian):
    """It writes a tag with a date on the machine, and acts once that is past."""
    marked = {"type": "marked-for-op", "tag": "custodian_status", "op": "stop"}
    mark = {"type": "mark-for-op", "tag": "custodian_status", "op": "stop", "days": 3}
    with freeze_time("2026-03-02T12:00:00Z") as frozen:
        vm = fake_compute.add_vm("web-1", parameters={"tags": {"team": "blue"}})
        custodian(RUNNING, actions=[mark])
        assert vm.model["tags"]["team"] == "blue"
        assert "stop@2026/03/05" in vm.model["tags"]["custodian_status"]
        assert custodian(marked, actions=["stop"]) == []
        frozen.move_to("2026-03-06T12:00:00Z")
        assert custodian(marked, actions=["stop"]) == ["web-1"]
        fake_compute.clock.advance(minutes=10)

    assert vm.power_state == "deallocated"


def test_waits_out_the_throttling(fake_compute, custodian):
    """Throttled while it lists, it waits for as long as Azure says, and finds all there is."""
    fake_compute.add_vm("web-1")
    fake_compute.inject(failures.Throttled(retry_after=17), on="list_all", times=2)
    began = fake_compute.clock.now

    assert custodian(RUNNING) == ["web-1"]
    assert fake_compute.clock.now - began == timedelta(seconds=34)


def test_gives_up_when_throttled_for_long(fake_compute, custodian):
    """Longer than 45 s it does not wait, and fails with nothing done."""
    fake_compute.add_vm("web-1")
    fake_compute.inject(failures.Throttled(retry_after=600), on="list_all", times=None)

    with pytest.raises(SystemExit):
        custodian(RUNNING, actions=["stop"])

    assert asked(fake_compute) == []
    assert len(fake_compute.calls.filter(operation="list_all")) == 4


def test_does_not_hear_of_a_start_that_failed_but_finds_it_in_the_morning(fake_compute, custodian):
    """It waits for nothing it began: what failed later, another policy has to find."""
    vm = fake_compute.add_vm("web-1", power_state="deallocated")
    fake_compute.inject(failures.AllocationFailed(), on="start")
    failed = {**RUNNING, "value": "ProvisioningState/failed/AllocationFailed"}

    custodian(DEALLOCATED, actions=["start"])
    fake_compute.clock.advance(minutes=30)
    assert vm.power_state == "deallocated"

    assert custodian(failed, actions=["start"]) == ["web-1"]
    fake_compute.clock.advance(minutes=30)
    assert vm.power_state == "running"
