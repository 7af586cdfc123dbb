"""The whole product through the real, unmodified SDK, sync and aio."""

from __future__ import annotations

import asyncio
import inspect
from datetime import datetime, timezone

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.polling import AsyncLROPoller, LROPoller
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient

from pytest_azurevm import FakeClosed, FakeCompute
from tests.builders import PASSWORD, linux_vm

CREATE = {**linux_vm(), "tags": {"team": "shop"}}


def codes(view) -> list[str]:
    """Give the codes of an instance view's statuses."""
    return [status.code for status in view.statuses]


def test_clients_and_pollers_are_the_real_ones(fake):
    """What a test gets are the SDK's own client and azure-core's own poller."""
    fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_start("rg", "web-1")

    assert type(fake.client) is ComputeManagementClient
    assert type(fake.aio_client) is AsyncComputeManagementClient
    assert type(poller) is LROPoller


def test_watching_a_create_second_by_second(fake):
    """A create shows exactly the sequence that a recorded one shows, and nothing else."""
    fake.client.virtual_machines.begin_create_or_update("rg", "web-1", CREATE)
    shown = []
    for _ in range(100):
        now = codes(fake.client.virtual_machines.instance_view("rg", "web-1"))
        if now not in shown[-1:]:
            shown.append(now)
        fake.clock.advance(1)

    assert shown == [
        ["ProvisioningState/creating"],
        ["ProvisioningState/creating", "PowerState/starting"],
        ["ProvisioningState/creating", "PowerState/running"],
        ["ProvisioningState/creating/osProvisioningInProgress", "PowerState/running"],
        ["ProvisioningState/creating/osProvisioningComplete", "PowerState/running"],
        ["ProvisioningState/succeeded", "PowerState/running"],
    ]


def test_a_specialized_disk_has_no_os_provisioning(fake):
    """A VM made from an attached disk never shows an OS provisioning state."""
    body = {
        "location": "westeurope",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": {
                "osDisk": {
                    "createOption": "Attach",
                    "osType": "Linux",
                    "managedDisk": {"id": "/subscriptions/x/disks/old"},
                }
            },
        },
    }
    fake.client.virtual_machines.begin_create_or_update("rg", "old-1", body).result()

    assert [(t.power_state, t.cause) for t in fake.vm("old-1").history] == [
        (None, "create"),
        ("starting", "create"),
        ("running", "create"),
        ("running", "create"),
    ]


def test_a_created_vm_is_complete(fake):
    """A create answers with what applications rely on: ids, disk, exact version, defaults."""
    poller = fake.client.virtual_machines.begin_create_or_update("rg", "web-1", CREATE)
    made = poller.result()
    disk = made.storage_profile.os_disk

    assert made.provisioning_state == "Succeeded"
    assert made.vm_id == fake.vm("web-1").model["properties"]["vmId"]
    assert made.time_created == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert disk.name.startswith("web-1_OsDisk_1_")
    assert disk.managed_disk.id.endswith(f"/disks/{disk.name}")
    assert made.storage_profile.image_reference.exact_version
    assert made.os_profile.linux_configuration.provision_vm_agent is True


def test_secrets_never_come_back(fake):
    """Neither the answer to a create nor any later one holds the administrator's password."""
    fake.client.virtual_machines.begin_create_or_update("rg", "web-1", CREATE).result()
    fake.client.virtual_machines.get("rg", "web-1", expand="instanceView")

    assert PASSWORD not in str([call.response_body for call in fake.calls])


def test_deallocate_is_seen_at_once_a_thousand_times(fake):
    """Right after begin_deallocate, every look of a thousand finds it deallocating."""
    client, seen = fake.client.virtual_machines, set()
    for number in range(1_000):
        name = f"web-{number}"
        fake.add_vm(name)
        poller = client.begin_deallocate("rg", name)
        view = client.instance_view("rg", name)
        seen.add((*codes(view), poller.done(), fake.vm(name).power_state))

    assert seen == {
        ("ProvisioningState/updating", "PowerState/deallocating", False, "deallocating")
    }


def test_a_poller_is_done_at_its_instant_and_not_before(fake):
    """done() is false until the look that finds the end is due, and true from that instant."""
    fake.timing.deallocate = 50
    fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
    # Looks are due at 0, at 36 (the first answer's Retry-After) and 30 later (the SDK's own).
    fake.clock.advance(65.999999)
    before = poller.done(), fake.vm("web-1").power_state
    fake.clock.advance(0.000001)

    assert (before, poller.done()) == ((False, "deallocated"), True)


def test_done_callbacks_have_run_when_advance_returns(fake):
    """Callbacks run in the poller's thread, at its instant, before advance returns."""
    fake.add_vm("web-1")
    seen = []
    poller = fake.client.virtual_machines.begin_power_off("rg", "web-1")
    poller.add_done_callback(lambda method: seen.append((method.status(), fake.clock.now.second)))
    fake.clock.advance(minutes=1)

    assert seen == [("Succeeded", 30)]


def test_a_callback_may_begin_and_wait_for_the_next_operation(fake):
    """A callback that itself waits works, and all of it is over when advance returns."""
    fake.add_vm("web-1")
    client = fake.client.virtual_machines
    poller = client.begin_power_off("rg", "web-1")
    poller.add_done_callback(lambda _: client.begin_start("rg", "web-1").result())
    fake.clock.advance(minutes=5)

    assert (fake.vm("web-1").power_state, poller.done()) == ("running", True)


def test_waiting_for_three_takes_the_longest(fake):
    """Three pollers waited for in turn take the longest of them, not the sum."""
    for number, seconds in enumerate((100, 200, 150)):
        fake.add_vm(f"web-{number}", power_state="deallocated")
        fake.timing.set("start", seconds, vm=f"web-{number}")
    pollers = [fake.client.virtual_machines.begin_start("rg", f"web-{n}") for n in range(3)]
    for poller in pollers:
        poller.result()

    # Looks every 30 s from the second one, at 9 s, on: the first after 200 s is due at 219 s.
    assert fake.clock.now_us == 219_000_000


def test_wait_with_a_timeout_is_virtual(fake):
    """poller.wait(10) comes back after ten virtual seconds, the operation still in flight."""
    fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
    poller.wait(10)

    assert (fake.clock.now_us, poller.done(), poller.status()) == (10_000_000, False, "InProgress")


def test_the_whole_life(fake):
    """Create, stop, start, restart, deallocate, resize, start and delete, each as Azure has it."""
    client = fake.client.virtual_machines
    client.begin_create_or_update("rg", "web-1", CREATE).result()
    power = [fake.vm("web-1").power_state]
    for begin in (client.begin_power_off, client.begin_start, client.begin_restart,
                  client.begin_deallocate):  # fmt: skip
        begin("rg", "web-1").result()
        power.append(fake.vm("web-1").power_state)
    resized = client.begin_update(
        "rg", "web-1", {"properties": {"hardwareProfile": {"vmSize": "Standard_D4s_v5"}}}
    ).result()
    client.begin_start("rg", "web-1").result()
    client.begin_delete("rg", "web-1").result()

    assert power == ["running", "stopped", "running", "running", "deallocated"]
    assert resized.hardware_profile.vm_size == "Standard_D4s_v5"
    with pytest.raises(ResourceNotFoundError, match=r"aka\.ms/ARMResourceNotFoundFix"):
        client.get("rg", "web-1")


def test_the_aio_client_lives_the_same_life(fake):
    """The aio client creates, deallocates and deletes, awaiting moves time."""

    async def life() -> list[object]:
        async with fake.aio_client as client:
            vms = client.virtual_machines
            poller = await vms.begin_create_or_update("rg", "web-1", CREATE)
            made = await poller.result()
            seen = [type(poller), made.provisioning_state]
            await (await vms.begin_deallocate("rg", "web-1")).result()
            view = await vms.instance_view("rg", "web-1")
            seen.append(codes(view)[1])
            await (await vms.begin_delete("rg", "web-1")).result()
            seen.append([vm.name async for vm in vms.list_all()])
        return seen

    assert asyncio.run(life()) == [
        AsyncLROPoller,
        "Succeeded",
        "PowerState/deallocated",
        [],
    ]


def test_a_hundred_creates_under_gather_take_as_long_as_one(fake):
    """A hundred pollers gathered take the time of one."""

    async def fleet() -> None:
        async with fake.aio_client as client:
            pollers = [
                await client.virtual_machines.begin_create_or_update("rg", f"web-{n}", CREATE)
                for n in range(100)
            ]
            await asyncio.gather(*(poller.result() for poller in pollers))

    asyncio.run(fleet())

    assert fake.clock.now_us == 95_000_000  # looks at 0, 35, 65 and 95 s; it ends after 80 s


def test_refusals_are_the_sdks_own_exceptions(fake):
    """A 409 is ResourceExistsError with Azure's code and text, and nothing has changed."""
    fake.add_vm("web-1", power_state="deallocated")
    with pytest.raises(ResourceExistsError) as caught:
        fake.client.virtual_machines.begin_power_off("rg", "web-1")

    assert (caught.value.status_code, caught.value.error.code, caught.value.error.message) == (
        409,
        "OperationNotAllowed",
        "Operation 'powerOff' is not allowed on VM 'web-1' since the VM is either deallocated or "
        "marked to be deallocated.",
    )
    assert fake.vm("web-1").provisioning_state == "Succeeded"


def test_a_delete_preempts_a_create(fake):
    """Deleting during a create ends the create Canceled, in a 200 answer, and the VM is gone."""
    client = fake.client.virtual_machines
    create = client.begin_create_or_update("rg", "web-1", CREATE)
    delete = client.begin_delete("rg", "web-1")
    with pytest.raises(HttpResponseError) as caught:
        create.result()
    delete.result()

    assert (caught.value.status_code, caught.value.error.code) == (200, "OperationPreempted")
    assert (create.status(), fake.vms) == ("Canceled", ())


def test_an_update_preempts_an_update(fake):
    """The first of two updates ends Canceled, the second one Succeeded."""
    fake.add_vm("web-1")
    client = fake.client.virtual_machines
    first = client.begin_update("rg", "web-1", {"tags": {"a": "1"}})
    second = client.begin_update("rg", "web-1", {"tags": {"b": "2"}})
    updated = second.result()
    with pytest.raises(HttpResponseError, match="preempted by a more recent operation"):
        first.result()

    assert updated.tags == {"a": "1", "b": "2"}


def test_tags_written_during_a_create_disturb_nothing(fake):
    """A PUT during a create is accepted; the view goes on creating, and both succeed."""
    client = fake.client.virtual_machines
    create = client.begin_create_or_update("rg", "web-1", CREATE)
    fake.clock.advance(20)
    update = client.begin_create_or_update("rg", "web-1", {**CREATE, "tags": {"late": "yes"}})
    during = (
        codes(client.instance_view("rg", "web-1")),
        client.get("rg", "web-1").provisioning_state,
    )
    made = create.result()
    update.result()

    assert during == (["ProvisioningState/creating", "PowerState/running"], "Creating")
    assert (made.tags, made.provisioning_state) == ({"late": "yes"}, "Succeeded")


def test_whatever_arrives_while_deleting_is_refused(fake):
    """A VM that is marked for deletion takes nothing but another delete."""
    fake.add_vm("web-1")
    client = fake.client.virtual_machines
    first = client.begin_delete("rg", "web-1")
    with pytest.raises(ResourceExistsError, match="marked for deletion"):
        client.begin_start("rg", "web-1")
    second = client.begin_delete("rg", "web-1")
    first.result()
    second.result()

    assert fake.vms == ()


def test_deleting_what_is_not_there_succeeds(fake):
    """A delete of an absent VM answers 204, and its poller is done."""
    poller = fake.client.virtual_machines.begin_delete("rg", "nobody")

    assert (poller.done(), fake.calls[-1].status) == (True, 204)


def test_names_are_compared_without_case_and_echoed_as_first_written(fake):
    """Any spelling finds the VM; every answer spells it as its creator did."""
    fake.add_vm("Web-1", resource_group="Shop")
    found = fake.client.virtual_machines.get("SHOP", "WEB-1")

    assert (found.name, "/resourceGroups/Shop/" in found.id) == ("Web-1", True)


def test_lists_are_paged(fake):
    """A list longer than a page comes with a nextLink that the SDK follows to the end."""
    for number in range(230):
        fake.add_vm(f"web-{number:03}", resource_group="shop" if number % 2 else "other")
    names = [vm.name for vm in fake.client.virtual_machines.list_all()]
    pages = fake.calls.filter(operation="list_all")
    in_group = [vm.name for vm in fake.client.virtual_machines.list("SHOP")]

    assert names == [f"web-{number:03}" for number in range(230)]
    assert [len(page.response_body["value"]) for page in pages] == [100, 100, 30]
    assert "nextLink" not in pages[-1].response_body
    assert len(in_group) == 115


def test_lists_by_location_and_subscription(fake):
    """Each list holds what belongs to it: one region's, one subscription's."""
    other = "11111111-1111-4111-8111-111111111111"
    fake.add_vm("here")
    fake.add_vm("there", location="eastus")
    fake.add_vm("elsewhere", subscription_id=other)
    client = fake.client.virtual_machines

    assert [vm.name for vm in client.list_by_location("eastus")] == ["there"]
    assert [vm.name for vm in client.list_all()] == ["here", "there"]
    assert fake.vm("elsewhere").id.startswith(f"/subscriptions/{other}/")


def test_group_names_are_upper_cased_in_lists_of_a_subscription(fake):
    """Ids in a subscription's list have the group in upper case, those of a group's as made."""
    fake.add_vm("web-1", resource_group="Shop")
    client = fake.client.virtual_machines

    assert "/resourceGroups/SHOP/" in next(iter(client.list_all())).id
    assert "/resourceGroups/Shop/" in next(iter(client.list("shop"))).id


def test_status_only_lists_carry_instance_views(fake):
    """list_all with statusOnly shows what runs; without it, no instance view is listed."""
    fake.add_vm("web-1")
    client = fake.client.virtual_machines

    assert next(iter(client.list_all())).instance_view is None
    assert codes(next(iter(client.list_all(status_only="true"))).instance_view)[1] == (
        "PowerState/running"
    )


def test_a_filter_by_scale_set_is_taken_and_any_other_refused(fake):
    """Lists take the one filter that Azure documents, and refuse others as bad URLs."""
    scale_set = "/subscriptions/x/virtualMachineScaleSets/flex"
    fake.add_vm("web-1", parameters={"properties": {"virtualMachineScaleSet": {"id": scale_set}}})
    fake.add_vm("web-2")
    client = fake.client.virtual_machines
    found = client.list("rg", filter=f"'virtualMachineScaleSet/id' eq '{scale_set}'")

    assert [vm.name for vm in found] == ["web-1"]
    with pytest.raises(HttpResponseError, match="The request URL is not valid"):
        list(client.list("rg", filter="name eq 'web-1'"))


def test_etags_guard_writes(fake):
    """A write that names an old etag is refused, one that names the present one is taken."""
    from azure.core import MatchConditions

    fake.add_vm("web-1")
    client = fake.client.virtual_machines
    if "match_condition" not in inspect.signature(type(client).begin_update).parameters:
        pytest.skip("this release of azure-mgmt-compute sends no entity tags")
    old = fake.vm("web-1").model["etag"]
    client.begin_update("rg", "web-1", {"tags": {"a": "1"}}).result()
    with pytest.raises(ResourceModifiedError):
        client.begin_update(
            "rg", "web-1", {"tags": {}}, etag=old, match_condition=MatchConditions.IfNotModified
        )
    now = fake.vm("web-1").model["etag"]
    poller = client.begin_update(
        "rg", "web-1", {"tags": {"b": "2"}}, etag=now, match_condition=MatchConditions.IfNotModified
    )

    assert poller.result().tags == {"a": "1", "b": "2"}


def test_what_is_not_served_says_so_by_name(fake):
    """An operation that the fake does not know is a 501 that names it, and changes nothing."""
    fake.add_vm("web-1")
    with pytest.raises(HttpResponseError) as caught:
        fake.client.virtual_machines.begin_convert_to_managed_disks("rg", "web-1")

    assert caught.value.status_code == 501
    assert "Microsoft.Compute/virtualMachines/convertToManagedDisks/action" in caught.value.message


def test_guest_shutdown_goes_on_costing(fake):
    """A system shut down from inside stops, keeps its goal and Succeeded, and is still billed."""
    vm = fake.add_vm("web-1")
    vm.guest_shutdown()
    during = [status.code for status in vm.statuses]
    fake.clock.advance(hours=1)

    assert during == ["ProvisioningState/succeeded", "PowerState/stopping"]
    assert (vm.power_state, vm.goal_state, vm.provisioning_state) == (
        "stopped",
        "running",
        "Succeeded",
    )
    assert vm.bill.hardware == 3_600


def test_a_guest_shutdown_vm_may_be_restarted_and_a_powered_off_one_not(fake):
    """Restart needs a VM that is running or set to run: the owner's power off unsets it."""
    vm = fake.add_vm("web-1")
    client = fake.client.virtual_machines
    vm.guest_shutdown()
    fake.clock.advance(minutes=1)
    client.begin_restart("rg", "web-1").result()
    after_restart = vm.power_state
    client.begin_power_off("rg", "web-1").result()

    assert after_restart == "running"
    with pytest.raises(ResourceExistsError, match=r"running \(or set to run\)"):
        client.begin_restart("rg", "web-1")


def test_reboot_and_crash_leave_the_power_state_alone(fake):
    """The platform sees a rebooting and a crashed system up; only the agent tells."""
    vm = fake.add_vm("web-1")
    client = fake.client.virtual_machines

    def agent() -> str:
        return client.instance_view("rg", "web-1").vm_agent.statuses[0].display_status

    vm.guest_reboot()
    seen = [(vm.power_state, agent())]
    fake.clock.advance(minutes=1)
    seen.append((vm.power_state, agent()))
    vm.guest_crash()
    fake.clock.advance(minutes=5)
    seen.append((vm.power_state, agent()))
    client.begin_restart("rg", "web-1").result()
    fake.clock.advance(minutes=1)
    seen.append((vm.power_state, agent()))

    assert seen == [
        ("running", "Not Ready"),
        ("running", "Ready"),
        ("running", "Not Ready"),
        ("running", "Ready"),
    ]


def test_guest_events_need_a_running_guest(fake):
    """What is not running cannot shut itself down, and the error says what it is instead."""
    vm = fake.add_vm("web-1", power_state="deallocated")
    with pytest.raises(ValueError, match="its guest does not run, the VM is deallocated"):
        vm.guest_shutdown()

    assert len(vm.history) == 1


def test_the_agent_is_ready_a_little_after_the_create(fake):
    """When a create ends the agent is not ready yet; seconds later it reports, with the system."""
    fake.timing.create = 65
    client = fake.client.virtual_machines
    client.begin_create_or_update("rg", "web-1", CREATE).result()
    at_end = client.instance_view("rg", "web-1")
    fake.clock.advance(10)
    later = client.instance_view("rg", "web-1")

    assert (at_end.vm_agent.statuses[0].display_status, at_end.os_name) == ("Not Ready", None)
    assert (later.vm_agent.statuses[0].display_status, later.os_name, later.computer_name) == (
        "Ready",
        "ubuntu",
        "web-1",
    )


def test_deallocated_machines_have_no_agent_and_stopped_ones_a_stale_one(fake):
    """A powered off VM keeps its last report; deallocating makes agent and system vanish."""
    fake.add_vm("stopped-1", power_state="stopped")
    fake.add_vm("gone-1", power_state="deallocated")
    stopped = fake.client.virtual_machines.instance_view("rg", "stopped-1")
    gone = fake.client.virtual_machines.instance_view("rg", "gone-1")

    assert (stopped.vm_agent.statuses[0].display_status, stopped.os_name) == ("Ready", "ubuntu")
    assert (gone.vm_agent, gone.os_name, len(gone.disks)) == (None, None, 1)


def test_instant_operations_still_pass_through_their_states(fake):
    """With no time at all, result() takes none, and history has every state in order."""
    fake.timing.profile = "instant"
    fake.client.virtual_machines.begin_create_or_update("rg", "web-1", CREATE).result()

    assert fake.clock.now_us == 0
    assert [(t.power_state, t.provisioning_state) for t in fake.vm("web-1").history] == [
        (None, "Creating"),
        ("starting", "Creating"),
        ("running", "Creating"),
        ("running", "Creating"),
        ("running", "Creating"),
        ("running", "Succeeded"),
    ]


def test_what_runs_is_the_old_model_until_the_update_is_done(fake):
    """A PUT is persisted at once, and effective when its operation ends."""
    fake.add_vm("web-1", size="Standard_D2s_v5")
    resize = {"properties": {"hardwareProfile": {"vmSize": "Standard_D8s_v5"}}}
    poller = fake.client.virtual_machines.begin_update("rg", "web-1", resize)

    def sizes() -> tuple[str, str]:
        vm = fake.vm("web-1")
        return (
            vm.model["properties"]["hardwareProfile"]["vmSize"],
            vm.effective_model["properties"]["hardwareProfile"]["vmSize"],
        )

    during = sizes()
    poller.result()

    assert during == ("Standard_D8s_v5", "Standard_D2s_v5")
    assert sizes() == ("Standard_D8s_v5", "Standard_D8s_v5")


def test_a_closed_fake_answers_no_more():
    """A client that outlives its fake gets an error that says so, and no network is touched."""
    with FakeCompute() as fake:
        client = fake.client
    with pytest.raises(FakeClosed, match="no fake is active behind this client"):
        client.virtual_machines.get("rg", "web-1")


def test_closing_leaves_nothing_behind():
    """After the fake no polling thread is left, and the poller's class is azure-core's again."""
    import threading

    before = {name: getattr(LROPoller, name) for name in ("__init__", "wait", "done", "_start")}
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        fake.client.virtual_machines.begin_deallocate("rg", "web-1")
    after = {name: getattr(LROPoller, name) for name in before}

    assert after == before
    assert [t.name for t in threading.enumerate() if t.name.startswith("LROPoller")] == []


def test_reset_starts_anew_and_clients_go_on(fake):
    """reset() empties the subscription and turns the clock back; clients still work."""
    client = fake.client.virtual_machines
    fake.add_vm("web-1")
    client.begin_deallocate("rg", "web-1")
    fake.clock.advance(hours=1)
    fake.reset()

    assert (list(client.list_all()), fake.clock.now_us, len(fake.calls)) == ([], 0, 1)


def test_the_same_seed_gives_the_same_run():
    """Two fakes of one seed answer alike, to the last id; another seed answers otherwise."""

    def bodies(seed: int) -> str:
        with FakeCompute(seed=seed, jitter=0.5) as fake:
            client = fake.client.virtual_machines
            client.begin_create_or_update("rg", "web-1", CREATE).result()
            client.begin_deallocate("rg", "web-1").result()
            return str([call.response_body for call in fake.calls])

    assert bodies(1) == bodies(1)
    assert bodies(1) != bodies(2)
