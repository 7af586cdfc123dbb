"""FakeCompute and FakeVM: what a test holds, and what it is refused at the door."""

from __future__ import annotations

import inspect
import threading
import time
from contextlib import ExitStack

import pytest
from azure.core.polling import LROPoller
from azure.mgmt.compute import models

from pytest_azurevm import FakeClosed, FakeCompute, InjectionNeverStruck, failures
from tests.builders import GROUP, begin, begin_put, linux_vm

OTHER = "11111111-1111-4111-8111-111111111111"


def test_a_seeded_vm_has_long_been_there(fake):
    """add_vm takes no time: the VM is Succeeded, running, its agent ready, its disk made."""
    vm = fake.add_vm("web-1", resource_group="shop")
    view = fake.client.virtual_machines.instance_view("shop", "web-1")

    assert (vm.name, vm.resource_group, vm.location) == ("web-1", "shop", "westeurope")
    assert (vm.power_state, vm.provisioning_state, vm.goal_state) == (
        "running",
        "Succeeded",
        "running",
    )
    assert (vm.operation, fake.clock.now_us, len(vm.history)) == (None, 0, 1)
    assert (view.vm_agent.statuses[0].display_status, len(view.disks)) == ("Ready", 1)
    assert vm.id == (
        f"/subscriptions/{fake.subscription_id}/resourceGroups/shop/providers/"
        "Microsoft.Compute/virtualMachines/web-1"
    )


@pytest.mark.parametrize("power_state", ["running", "stopped", "deallocated"])
def test_a_vm_is_seeded_in_any_settled_power_state(fake, power_state):
    """The power state that is asked for is shown, and is the goal."""
    vm = fake.add_vm("web-1", power_state=power_state)

    assert (vm.power_state, vm.goal_state) == (power_state, power_state)


def test_windows_machines_have_a_computer_name_that_fits(fake):
    """A Windows VM with a long name gets a computer name of fifteen characters."""
    fake.add_vm("a-very-long-machine-name", os_type="Windows")
    made = fake.client.virtual_machines.get("rg", "a-very-long-machine-name")

    assert made.os_profile.computer_name == "a-very-long-mac"
    assert made.os_profile.windows_configuration.enable_automatic_updates is True
    assert made.storage_profile.os_disk.disk_size_gb == 127


def test_parameters_may_be_an_sdk_model(fake):
    """What the SDK's own VirtualMachine says goes before the defaults."""
    parameters = models.VirtualMachine(
        location="eastus",
        tags={"team": "shop"},
        hardware_profile=models.HardwareProfile(vm_size="Standard_E4s_v5"),
    )
    vm = fake.add_vm("web-1", parameters=parameters)

    assert (vm.location, vm.model["tags"]) == ("eastus", {"team": "shop"})
    assert vm.model["properties"]["hardwareProfile"]["vmSize"] == "Standard_E4s_v5"
    assert vm.model["properties"]["osProfile"]["adminUsername"] == "azureuser"


def test_parameters_may_be_a_dict_as_the_sdk_takes_it(fake):
    """A dict is merged into the defaults, member by member."""
    vm = fake.add_vm(
        "web-1",
        parameters={
            "zones": ["2"],
            "properties": {
                "priority": "Spot",
                "storageProfile": {"dataDisks": [{"lun": 3, "createOption": "Empty"}]},
            },
        },
    )

    assert vm.model["zones"] == ["2"]
    assert vm.model["properties"]["priority"] == "Spot"
    assert vm.model["properties"]["storageProfile"]["dataDisks"][0]["lun"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"power_state": "starting"}, "power_state 'starting' is not one of running, stopped, dea"),
        ({"os_type": "BeOS"}, "os_type 'BeOS' is not one of Linux, Windows"),
        ({"size": "huge"}, "Azure would not have web-1: 400 InvalidParameter: The value huge"),
        ({"location": "atlantis"}, "LocationNotAvailableForResourceType"),
        pytest.param(
            {"parameters": {"propertis": {}}},
            "Could not find member 'propertis'",
            marks=pytest.mark.skipif(
                hasattr(models.VirtualMachine, "from_dict"),
                reason="azure-mgmt-compute before 38 leaves out of a dict what it does not know",
            ),
        ),
        ({"subscription_id": "mine"}, "subscription_id must be a UUID, not 'mine'"),
        ({"resource_group": ""}, "InvalidResourceGroup"),
        ({"resource_group": "a/b"}, "InvalidResourceGroup: .* these invalid characters: '/'"),
        ({"resource_group": "shop!"}, "InvalidResourceGroup: .* these invalid characters: '!'"),
        ({"resource_group": "shop."}, "InvalidResourceGroup"),
        ({"resource_group": "g" * 91}, "InvalidResourceGroup"),
        ({"parameters": {"tags": {"a": "\ud800"}}}, "Unable to translate Unicode character"),
        (
            {"parameters": {"properties": {"billingProfile": {"maxPrice": float("nan")}}}},
            "Error parsing NaN value",
        ),
    ],
)
def test_what_could_not_be_is_not_seeded(fake, arguments, message):
    """A VM that Azure would not have is refused with Azure's reason, and nothing is left."""
    with pytest.raises(ValueError, match=message) as caught:
        fake.add_vm("web-1", **arguments)

    assert fake.vms == ()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


ATTACHED = {
    "properties": {
        "storageProfile": {
            "osDisk": {"createOption": "attach", "managedDisk": {"id": "/disks/old"}},
        }
    }
}


@pytest.mark.parametrize("os_type", ["Linux", "Windows"])
def test_a_disk_to_attach_takes_the_place_of_image_and_users(fake, os_type):
    """A VM seeded on an attached disk has no image and no osProfile, and the system asked for."""
    vm = fake.add_vm("web-1", os_type=os_type, parameters=ATTACHED)
    storage = vm.model["properties"]["storageProfile"]

    assert "osProfile" not in vm.model["properties"]
    assert "imageReference" not in storage
    assert (storage["osDisk"]["createOption"], storage["osDisk"]["osType"]) == ("Attach", os_type)


@pytest.mark.parametrize("os_type", ["Linux", "Windows"])
def test_an_image_takes_the_place_of_the_default_one(fake, os_type):
    """An image that parameters name is the VM's whole image, and os_type says of which system."""
    image = {"id": "/subscriptions/s/images/golden"}
    parameters = {"properties": {"storageProfile": {"imageReference": image}}}
    storage = fake.add_vm("web-1", os_type=os_type, parameters=parameters).model["properties"][
        "storageProfile"
    ]

    assert storage["imageReference"] == image
    assert storage["osDisk"]["osType"] == os_type


def test_seeding_takes_no_operation(fake):
    """A seeded VM was never created by an operation: nothing is asked, due, or left behind."""
    asked = []
    fake._compute.fate = lambda vm, operation: asked.append(operation)
    fake.add_vm("web-1")

    assert (asked, fake._time._agenda.peek(), fake._compute._operations) == ([], None, {})


def test_a_create_that_cannot_be_planned_leaves_nothing(fake):
    """A create whose duration or fate cannot be told leaves no VM and no operation behind."""

    def fate(vm, operation):
        raise LookupError(operation)

    fake._compute.fate = fate
    with pytest.raises(LookupError):
        begin_put(fake, "web-1", linux_vm())

    assert (fake.vms, fake._compute._operations, fake._time._agenda.peek()) == ((), {}, None)


@pytest.mark.parametrize("operation", ["update", "deallocate", "delete"])
def test_an_operation_that_cannot_be_planned_changes_nothing(fake, operation):
    """An operation whose fate cannot be told leaves the VM as it was."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    was = (vm.model, vm.history, vm.goal_state, vm.operation)

    def fate(vm, operation):
        raise LookupError(operation)

    fake._compute.fate = fate
    with pytest.raises(LookupError):
        begin(fake, operation, "web-1")

    assert (vm.model, vm.history, vm.goal_state, vm.operation) == was


def test_parameters_of_another_kind_are_refused(fake):
    """Parameters are a model or a dict, nothing else."""
    with pytest.raises(TypeError, match="an SDK VirtualMachine or a dict, not int"):
        fake.add_vm("web-1", parameters=5)


def test_a_name_is_seeded_once(fake):
    """A second VM of that name in that group is refused, in another group it is not."""
    fake.add_vm("web-1")
    with pytest.raises(ValueError, match="WEB-1 exists already in resource group RG"):
        fake.add_vm("WEB-1", resource_group="RG")
    fake.add_vm("web-1", resource_group="other")

    assert len(fake.vms) == 2


def test_an_unknown_name_lists_the_known_ones(fake):
    """Looking for a VM that is not there says which there are."""
    fake.add_vm("web-1", resource_group="shop")

    with pytest.raises(KeyError, match=r"no virtual machine 'web-2' here; there are: shop/web-1"):
        fake.vm("web-2")
    with pytest.raises(KeyError, match=r"no virtual machine 'web-1' in resource group 'lab'; the"):
        fake.vm("web-1", "lab")
    with pytest.raises(KeyError, match=rf"'web-1' here, in subscription {OTHER}; there are: shop/"):
        fake.vm("web-1", subscription_id=OTHER)


def test_an_unknown_name_among_many_lists_some(fake):
    """Among many machines, the message about one that is not there stays readable."""
    for number in range(70):
        fake.add_vm(f"web-{number}")

    with pytest.raises(KeyError, match=r"rg/web-49, and 20 more"):
        fake.vm("db-1")


def test_an_ambiguous_name_says_so(fake):
    """A name in two groups needs its group, or its subscription, to be told."""
    fake.add_vm("web-1", resource_group="shop")
    fake.add_vm("web-1", resource_group="lab")
    fake.add_vm("web-1", resource_group="lab", subscription_id=OTHER)
    with pytest.raises(KeyError, match=r"ambiguous: it exists in .*/shop, .*/lab, 1111"):
        fake.vm("web-1")

    with pytest.raises(ValueError, match="subscription_id must be a UUID, not 'mine'"):
        fake.vm("web-1", "lab", "mine")
    assert fake.vm("web-1", "SHOP").resource_group == "shop"
    assert fake.vm("web-1", "lab", OTHER).id.startswith(f"/subscriptions/{OTHER}")


def test_a_view_goes_on_showing_its_machine(fake):
    """A view of a deleted VM stays that VM's, also when another takes the name."""
    old = fake.add_vm("web-1")
    fake.client.virtual_machines.begin_delete("rg", "web-1").result()
    new = fake.add_vm("web-1")

    assert repr(old) == "<FakeVM web-1: deleted>"
    assert repr(new) == "<FakeVM web-1: running, Succeeded>"
    assert old.power_state is None


def test_views_of_one_machine_are_equal(fake):
    """Two views are equal if they show the same machine, not if the name is the same."""
    first = fake.add_vm("web-1")
    fake.add_vm("web-1", resource_group="lab")
    fake.client.virtual_machines.begin_delete("rg", "web-1").result()
    second = fake.add_vm("web-1")

    assert second == fake.vm("web-1", "rg")
    assert len({second, fake.vm("web-1", "rg"), first, *fake.vms}) == 3
    assert second not in (first, fake.vm("web-1", "lab"), "web-1", None)


def test_models_that_are_given_away_are_copies(fake):
    """Changing what a view gave changes nothing in the fake."""
    vm = fake.add_vm("web-1")
    vm.model["properties"]["hardwareProfile"]["vmSize"] = "other"
    vm.effective_model["properties"].clear()

    assert vm.model["properties"]["hardwareProfile"]["vmSize"] == "Standard_D2s_v5"
    assert vm.effective_model["properties"]["hardwareProfile"]["vmSize"] == "Standard_D2s_v5"


def test_the_operation_in_flight_is_shown(fake):
    """A VM tells which operation is in flight, and since when."""
    vm = fake.add_vm("web-1")
    fake.clock.advance(1)
    poller = fake.client.virtual_machines.begin_restart("rg", "web-1")
    in_flight = vm.operation
    poller.result()

    assert (in_flight.operation, in_flight.started_at.second) == ("restart", 1)
    assert vm.operation is None


def test_cancelling_ends_the_operation_canceled(fake):
    """A cancelled operation's poller raises, and the VM shows Canceled until the next success."""
    from azure.core.exceptions import HttpResponseError

    vm = fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_update("rg", "web-1", {"tags": {"a": "1"}})
    vm.cancel_operation()
    with pytest.raises(HttpResponseError, match="canceled by its owner"):
        poller.result()
    canceled = poller.status(), vm.provisioning_state, vm.power_state
    fake.client.virtual_machines.begin_update("rg", "web-1", {"tags": {}}).result()

    assert canceled == ("Canceled", "Canceled", "running")
    assert vm.provisioning_state == "Succeeded"
    with pytest.raises(ValueError, match="web-1 has no operation in flight to cancel"):
        vm.cancel_operation()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"timing": "fast"}, ValueError, "timing 'fast' is not one of typical, instant, slow"),
        ({"edition": "book"}, ValueError, "edition 'book' is not one of wire, document"),
        ({"start": "2026-01-01"}, ValueError, "has no time zone"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number, not 1.5"),
        ({"autojump": "yes"}, TypeError, "autojump must be True or False, not 'yes'"),
        ({"subscription_id": None}, ValueError, "subscription_id must be a UUID, not None"),
        ({"jitter": 3.1}, ValueError, "jitter must be 3 at most, not 3.1"),
    ],
)
def test_a_fake_that_cannot_be_is_refused(arguments, error, message):
    """Wrong settings are refused when the fake is made."""
    with pytest.raises(error, match=message):
        FakeCompute(**arguments)


def test_a_fake_may_be_entered_while_it_is_active():
    """Entering an active fake again changes nothing, and only the outermost end is its end."""
    with FakeCompute() as fake:
        with fake as again:
            fake.add_vm("web-1")
        fake.clock.advance(1)

        assert again is fake
        assert [vm.name for vm in fake.vms] == ["web-1"]
    with pytest.raises(FakeClosed):
        fake.clock.advance(1)


def test_only_the_outermost_end_asks_for_what_never_struck():
    """What was injected may still strike after an inner end, and is asked for at the last one."""
    with pytest.raises(InjectionNeverStruck, match="Stuck"), FakeCompute() as fake:  # noqa: PT012
        with fake:
            fake.inject(failures.Stuck())
        fake.add_vm("reached")
    assert fake.vm("reached")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_closing_ends_a_fake_at_any_depth(depth):
    """After close() the fake is over, however often it was entered, and may begin anew."""
    fake = FakeCompute()
    with ExitStack() as stack:
        for _ in range(depth):
            stack.enter_context(fake)
        fake.close()
        with pytest.raises(FakeClosed):
            fake.clock.advance(1)
    with fake:
        fake.clock.advance(1)
        assert fake.clock.now_us == 1_000_000
    with FakeCompute():
        pass


def test_there_is_one_fake_at_a_time():
    """A second fake beside the first is an error that says why, and leaves the first alone."""
    with FakeCompute() as fake:
        with pytest.raises(RuntimeError, match="only one time and one Azure"), FakeCompute():
            pass
        fake.clock.advance(1)

        assert fake.clock.now_us == 1_000_000


def test_a_second_fake_is_told_where_the_first_was_entered():
    """The error names the line at which the active fake was entered, and the ways out."""
    line = inspect.currentframe().f_lineno + 1
    with FakeCompute(), pytest.raises(RuntimeError) as raised, FakeCompute():
        pass

    assert str(raised.value) == (
        f"another fake is active already: entered at {__file__}:{line}. The process has only one "
        "time and one Azure, so there is one fake at a time. Use that one (any subscription exists "
        "in it, and entering it again is fine), or end it first: leave its `with`, call its "
        "close(), or do without the fixture that holds it."
    )


def test_a_fake_that_is_ending_cannot_be_entered(monkeypatch):
    """Until everything is put back, neither this fake nor another one can begin."""
    told = []
    with FakeCompute() as fake:
        end = fake._end_time

        def ending():
            for one in (fake, FakeCompute()):
                with pytest.raises(RuntimeError) as raised:
                    one.__enter__()
                told.append(str(raised.value).partition(".")[0])
            return end()

        monkeypatch.setattr(fake, "_end_time", ending)
    with FakeCompute():
        pass

    assert told[0] == "this fake is just ending"
    assert told[1].startswith("another fake is active already: entered at")


def at_once(*works) -> list[Exception]:
    """Run *works* in threads that begin together, and give what they raised."""
    gate, raised = threading.Barrier(len(works)), []

    def work(one) -> None:
        gate.wait()
        try:
            one()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_threads_may_enter_one_fake_at_once():
    """Threads that enter one and the same fake, and leave it in any order, have it until the last.

    Nothing stays behind.
    """
    real, wait = time.sleep, LROPoller.wait
    for _ in range(50):
        fake, all_in = FakeCompute(), threading.Barrier(4)

        def work(fake=fake, all_in=all_in) -> None:
            with fake:
                all_in.wait()
                assert list(fake.client.virtual_machines.list_all()) == []

        assert at_once(work, work, work, work) == []
        assert (time.sleep, LROPoller.wait) == (real, wait)


def test_of_two_fakes_that_threads_enter_at_once_one_is_refused():
    """Whichever comes first has it, the other one is told; and all is put back in the end."""
    real, wait = time.sleep, LROPoller.wait
    for _ in range(50):
        answered = threading.Barrier(2)

        def work(answered=answered) -> None:
            try:
                with FakeCompute() as fake:
                    answered.wait()
                    fake.clock.advance(1)
            except RuntimeError:
                answered.wait()
                raise

        raised = at_once(work, work)
        assert [type(error) for error in raised] == [RuntimeError]
        assert "another fake is active already: entered at" in str(raised[0])
        assert (time.sleep, LROPoller.wait) == (real, wait)


def test_a_fake_may_be_entered_again_after_its_end():
    """A fake that was closed starts anew when it is entered again."""
    fake = FakeCompute()
    with fake:
        fake.add_vm("web-1")
    with pytest.raises(FakeClosed):
        fake.clock.advance(1)
    with fake:
        fake.clock.advance(1)

        assert fake.vms == ()


@pytest.mark.parametrize("name", ["throtling", "strict", "concurrency"])
def test_setting_what_a_fake_has_not_is_refused(fake, name):
    """A mistaken attribute is not taken silently: what can be set later is named."""
    with pytest.raises(AttributeError, match=f"no '{name}' to set; it has throttling"):
        setattr(fake, name, True)


@pytest.mark.parametrize(("what", "kwargs"), [("status", {"status": "409"}), ("vm", {"vm": None})])
def test_calls_are_not_filtered_by_what_they_never_have(fake, what, kwargs):
    """A filter of the wrong kind is refused, for nothing would ever pass it."""
    with pytest.raises(TypeError, match=f"^{what} must be"):
        fake.calls.filter(**kwargs)
