"""Chaos Toolkit finds machines by Resource Graph, signs in by default, and waits for nothing."""

from datetime import timedelta
from itertools import groupby
from operator import attrgetter

import pytest
from chaosazure.machine import actions, probes
from chaoslib.exceptions import FailedActivity, InterruptExecution
from chaoslib.experiment import run_experiment

from pytest_azurevm import failures

SHOP = "where resourceGroup=='shop'"
SECRETS = {
    "client_id": "7e1b0b8c-0000-4000-8000-00000000c4a0",
    "client_secret": "its-secret",
    "tenant_id": "7e1b0b8c-0000-4000-8000-00000000ca05",
    "azure_cloud": "AZURE_PUBLIC_CLOUD",
}


@pytest.fixture
def settings(fake_compute):
    """What an experiment says of Azure: the subscription, and nothing of a fake."""
    configuration = {"azure_subscription_id": fake_compute.subscription_id}
    return {"configuration": configuration, "secrets": SECRETS}


@pytest.fixture
def shop(fake_compute):
    """Three machines of a shop, and one that is none of its affair."""
    for name in ("web-1", "web-2", "db-1"):
        fake_compute.add_vm(name, resource_group="shop")
    return fake_compute.add_vm("other", resource_group="elsewhere")


def activity(kind, name, function, *, module="actions", **more):
    """An experiment's activity, on machines of the shop unless *more* says else."""
    provider = {
        "type": "python",
        "module": f"chaosazure.machine.{module}",
        "func": function,
        "secrets": ["azure"],
        "arguments": {"filter": more.pop("filter", SHOP)},
    }
    return {"type": kind, "name": name, "provider": provider, **more}


def experiment(fake_compute, *method, rollbacks=()):
    """An experiment on a shop that is in order while it has three machines."""
    counted = activity("probe", "there", "count_machines", module="probes", tolerance=3)
    return {
        "version": "1.0.0",
        "title": "The shop bears the loss of a machine",
        "description": "as it should",
        "configuration": {"azure_subscription_id": fake_compute.subscription_id},
        "secrets": {"azure": SECRETS},
        "steady-state-hypothesis": {"title": "There are three", "probes": [counted]},
        "method": list(method),
        "rollbacks": list(rollbacks),
    }


def powers(vm):
    """The power states that a machine has passed through, each once."""
    return [power_state for power_state, _ in groupby(vm.history, attrgetter("power_state"))]


def test_counts_and_describes_what_its_filter_finds(fake_compute, shop, settings):
    """Its probes see what Resource Graph has of the machines that a filter finds."""
    assert probes.count_machines(SHOP, **settings) == 3
    assert probes.count_machines(**settings) == 4
    (found,) = probes.describe_machines("where name startswith 'DB'", **settings)

    assert (found["name"], found["resourceGroup"]) == ("db-1", "shop")
    assert found["type"] == "microsoft.compute/virtualmachines"
    assert found["properties"]["storageProfile"]["osDisk"]["osType"] == "Linux"
    assert found["properties"]["extended"]["instanceView"]["powerState"]["displayStatus"] == (
        "VM running"
    )


def test_stops_the_machines_that_its_filter_finds(fake_compute, shop, settings):
    """It powers off those and no others, which leaves them stopped, and billed."""
    stopped = actions.stop_machines(f"{SHOP} and name startswith 'web'", **settings)
    fake_compute.clock.advance(minutes=10)

    assert sorted(one["name"] for one in stopped["resources"]) == ["web-1", "web-2"]
    for name in ("web-1", "web-2"):
        assert powers(fake_compute.vm(name)) == ["running", "stopping", "stopped"]
    assert fake_compute.vm("db-1").power_state == shop.power_state == "running"
    assert fake_compute.vm("web-1").bill.hardware == 600


def test_starts_only_what_is_down(fake_compute, shop, settings):
    """It looks at each machine's instance view, and starts what is stopped or deallocated."""
    fake_compute.add_vm("off-1", resource_group="shop", power_state="stopped")
    fake_compute.add_vm("off-2", resource_group="shop", power_state="deallocated")

    started = actions.start_machines(SHOP, **settings)
    fake_compute.clock.advance(minutes=10)

    assert sorted(one["name"] for one in started["resources"]) == ["off-1", "off-2"]
    assert {vm.power_state for vm in fake_compute.vms} == {"running"}
    assert len(fake_compute.calls.filter(operation="start")) == 2


def test_deletes_a_machine_at_random(fake_compute, shop, settings):
    """Which one is Resource Graph's draw; the others are left in peace."""
    (gone,) = actions.delete_machines(f"{SHOP} | sample 1", **settings)["resources"]
    fake_compute.clock.advance(minutes=10)

    left = {vm.name for vm in fake_compute.vms}
    assert left == {"web-1", "web-2", "db-1", "other"} - {gone["name"]}


def test_restarts_machines(fake_compute, shop, settings):
    """Its restart passes through no other power state: Azure shows a restart as an update."""
    actions.restart_machines(f"{SHOP} and name=='web-1'", **settings)
    vm = fake_compute.vm("web-1")
    assert vm.provisioning_state == "Updating"
    fake_compute.clock.advance(minutes=10)

    assert (vm.power_state, vm.provisioning_state) == ("running", "Succeeded")
    assert [call.vm for call in fake_compute.calls.filter(operation="restart")] == ["web-1"]


def test_carries_out_an_experiment(fake_compute, shop):
    """A machine is stopped, ten minutes go by in no time, and the rollback brings it back."""
    down = activity(
        "action", "stop one", "stop_machines", filter=f"{SHOP} | sample 1", pauses={"after": 600}
    )
    up = activity("action", "start it again", "start_machines")
    began = fake_compute.clock.now

    journal = run_experiment(
        experiment(fake_compute, down, rollbacks=[up]), {"runtime": {"rollbacks": {}}}
    )
    assert fake_compute.clock.now - began == timedelta(seconds=600)
    fake_compute.clock.advance(minutes=10)

    assert (journal["status"], journal["deviated"]) == ("completed", False)
    (hit,) = [vm for vm in fake_compute.vms if len(powers(vm)) > 1]
    assert powers(hit) == ["running", "stopping", "stopped", "starting", "running"]
    assert hit.resource_group == "shop"


def test_an_experiment_deviates_when_a_machine_is_gone(fake_compute, shop):
    """Once Azure has deleted a machine, the probe counts two, and the experiment has failed."""
    gone = activity(
        "action", "delete it", "delete_machines", filter=f"{SHOP} and name=='db-1'",
        pauses={"after": 600},
    )  # fmt: skip
    journal = run_experiment(experiment(fake_compute, gone))

    assert journal["deviated"]
    assert journal["steady_states"]["after"]["probes"][0]["output"] == 2
    with pytest.raises(KeyError, match="db-1"):
        fake_compute.vm("db-1")


def test_tells_of_a_filter_that_is_no_query(fake_compute, shop, settings):
    """A filter with one equals sign, as its own pages have it, is an error with Azure's codes."""
    with pytest.raises(InterruptExecution, match=r"(?s)BadRequest.*InvalidQuery.*ParserFailure"):
        actions.stop_machines("where resourceGroup='shop'", **settings)

    assert {vm.power_state for vm in fake_compute.vms} == {"running"}


def test_fails_where_it_finds_nothing(fake_compute, shop, settings):
    """A filter that finds no machine is a failed activity, and nothing is done."""
    with pytest.raises(FailedActivity, match="No virtual machines found"):
        actions.stop_machines("where name=='nobody'", **settings)

    (query,) = fake_compute.calls
    assert "nobody" in query.request_body["query"]


def test_takes_a_rollback_for_done_that_azure_had_no_room_for(fake_compute, shop):
    """It never waits for what it begins: the journal is content, and the machine stays down."""
    vm = fake_compute.add_vm("cold", resource_group="shop", power_state="deallocated")
    fake_compute.inject(failures.AllocationFailed(), on="start", vm="cold")
    up = activity("action", "start what is down", "start_machines", pauses={"after": 1200})

    plan = experiment(fake_compute, up)
    plan.pop("steady-state-hypothesis")
    journal = run_experiment(plan)

    assert journal["status"] == "completed"
    assert (vm.power_state, vm.provisioning_state) == ("deallocated", "Failed")


def test_the_sdk_waits_out_its_throttling(fake_compute, shop, settings):
    """Throttled twice, it stops the machine all the same, after as long as Azure says."""
    fake_compute.inject(failures.Throttled(retry_after=17), on="power_off", times=2)
    began = fake_compute.clock.now

    actions.stop_machines("where name=='web-1'", **settings)

    assert fake_compute.clock.now - began == timedelta(seconds=34)
    assert fake_compute.vm("web-1").power_state == "stopping"
    fake_compute.clock.run_until_idle()


def test_a_refusal_stops_it_halfway(fake_compute, shop, settings):
    """Where Azure refuses one machine, those after it are spared."""
    fake_compute.inject(failures.AuthorizationFailed(), on="power_off", vm="web-2")

    with pytest.raises(Exception, match="AuthorizationFailed"):
        actions.stop_machines(f"{SHOP} | order by name asc", **settings)
    fake_compute.clock.advance(minutes=10)

    assert [fake_compute.vm(name).power_state for name in ("db-1", "web-1", "web-2")] == [
        *("stopped", "stopped", "running")
    ]
