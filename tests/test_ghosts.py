"""What Azure shows late, leaves behind, or leaves out: in lists, of names, interfaces, statuses."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError

from pytest_azurevm import failures
from tests.builders import EXTENSION, GROUP, begin, begin_put, changed, linux_vm, refusal

NIC = "properties.networkProfile.networkInterfaces"
RESERVED = (
    400,
    "NicReservedForAnotherVm",
    "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide "
    "another nic(s) or retry after 180 seconds. Reserved VM: /subscriptions/"
    "00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Compute/"
    "virtualMachines/web-1",
    None,
)


def listed(fake):
    """Give the names that each of the three lists shows."""
    vms = fake.client.virtual_machines
    return [
        [vm.name for vm in found]
        for found in (vms.list(GROUP), vms.list_all(), vms.list_by_location("westeurope"))
    ]


def in_each(*names):
    """Give these names three times, as each list shows them."""
    return [list(names)] * 3


# --- ghosts ------------------------------------------------------------------------------------


@pytest.fixture
def ghost(fake):
    """Delete web-2 of three, so that lists go on showing it for a minute; it ended at once."""
    for name in ("web-1", "web-2", "web-3"):
        fake.add_vm(name, resource_group=GROUP)
    rule = fake.inject(failures.GhostAfterDelete(seconds=60), vm="web-2")
    begin(fake, "delete", "web-2")
    fake.clock.advance(44)  # in which the delete ends
    return rule


def test_lists_go_on_showing_a_ghost(fake, ghost):
    """A machine that is gone stays in every list for a while, in its place, and then is gone."""
    vms = fake.client.virtual_machines
    with_ghost = listed(fake)
    missing = [refusal(call)[:2] for call in (
        lambda: vms.get(GROUP, "web-2"), lambda: vms.instance_view(GROUP, "web-2"),
        lambda: begin(fake, "start", "web-2"),
    )]  # fmt: skip
    fake.clock.advance(59.999999)
    to_the_last = listed(fake)
    fake.clock.advance(0.000001)

    assert with_ghost == to_the_last == in_each("web-1", "web-2", "web-3")
    assert missing == [(404, "ResourceNotFound")] * 3
    assert listed(fake) == in_each("web-1", "web-3")
    assert ghost.hits == 1


def test_a_ghost_is_no_machine(fake, ghost):
    """The fake's own views know no ghosts."""
    assert [vm.name for vm in fake.vms] == ["web-1", "web-3"]
    with pytest.raises(KeyError, match="no virtual machine 'web-2' here"):
        fake.vm("web-2")


def test_a_ghost_is_listed_where_it_was_and_nowhere_else(fake, ghost):
    """Lists of other groups and regions do not show a ghost."""
    vms = fake.client.virtual_machines

    assert list(vms.list("other")) == []
    assert list(vms.list_by_location("eastus")) == []


def test_a_ghost_is_being_deleted(fake, ghost):
    """What lists show of a ghost is the machine as it was last seen."""
    [_, shown, _] = fake.client.virtual_machines.list(GROUP)

    assert (shown.name, shown.provisioning_state) == ("web-2", "Deleting")


def test_a_ghosts_name_is_not_free(fake, ghost):
    """While a ghost is listed, its name is refused to a new machine, in any case; later not."""
    refused = [refusal(lambda n=name: begin_put(fake, n, linux_vm()))[:2] for name in
               ("web-2", "WEB-2")]  # fmt: skip
    other = begin_put(fake, "web-4", linux_vm())
    fake.clock.advance(60)
    made = begin_put(fake, "web-2", linux_vm()).result()

    assert refused == [(404, "ResourceNotFound")] * 2
    assert (made.name, other.result().name) == ("web-2", "web-4")


def test_a_ghost_is_deleted_again_to_no_effect(fake, ghost):
    """Deleting a ghost is answered as deleting nothing, and lays it no sooner."""
    begin(fake, "delete", "web-2").result()

    assert fake.calls.filter(operation="delete")[-1].status == 204
    assert listed(fake) == in_each("web-1", "web-2", "web-3")


def test_no_ghost_without_a_delete_that_ends(fake):
    """A machine is listed as ever while its delete goes on, and that counts once."""
    fake.add_vm("web-1", resource_group=GROUP)
    rule = fake.inject(failures.GhostAfterDelete(seconds=5))
    begin(fake, "delete", "web-1")
    during = listed(fake)
    again = begin(fake, "delete", "web-1")
    again.result()
    fake.clock.advance(5)

    assert during == in_each("web-1")
    assert listed(fake) == in_each()
    assert rule.hits == 1


# --- late in lists -----------------------------------------------------------------------------


def test_lists_show_a_new_machine_late(fake):
    """A new machine is found by GET at once, and by lists a while after it was accepted."""
    fake.add_vm("old-1", resource_group=GROUP)
    rule = fake.inject(failures.LateInList(seconds=100))
    begin_put(fake, "web-1", linux_vm())
    found = fake.client.virtual_machines.get(GROUP, "web-1").name
    before = listed(fake)
    fake.clock.advance(99.999999)
    to_the_last = listed(fake)
    fake.clock.advance(0.000001)

    assert (found, before, to_the_last) == ("web-1", in_each("old-1"), in_each("old-1"))
    assert listed(fake) == in_each("old-1", "web-1")
    assert rule.hits == 1


def test_a_machine_that_is_late_in_lists_is_there(fake):
    """A machine that lists do not show yet is created, billed and deleted like any other."""
    fake.inject(failures.LateInList(seconds=3600))
    begin_put(fake, "web-1", linux_vm()).result()
    state = fake.vm("web-1").power_state
    begin(fake, "delete", "web-1").result()

    assert (state, fake.vms, listed(fake)) == ("running", (), in_each())


# --- network interfaces ------------------------------------------------------------------------


@pytest.fixture
def failed(fake):
    """Let a create fail, delete what it left, and have that end."""
    fake.inject(failures.AllocationFailed())
    with pytest.raises(HttpResponseError):
        begin_put(fake, "web-1", linux_vm()).result()
    begin(fake, "delete", "web-1")
    fake.clock.advance(44)
    return fake


@pytest.mark.parametrize("spelled", [str, str.upper])
def test_a_nic_is_reserved_after_a_failed_create(failed, spelled):
    """The interface of a machine whose create failed is kept for it for 180 s after its delete."""
    nic = linux_vm()["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    body = changed(linux_vm(), f"{NIC}.0.id", spelled(nic))
    refused = refusal(lambda: begin_put(failed, "web-2", body))
    failed.clock.advance(179.999999)
    to_the_last = refusal(lambda: begin_put(failed, "web-2", body))
    failed.clock.advance(0.000001)

    assert refused == to_the_last == RESERVED
    assert begin_put(failed, "web-2", body).result().name == "web-2"


def test_a_reserved_nic_is_free_for_the_machine_it_is_kept_for(failed):
    """A machine of the same name may be created on the interface at once."""
    assert begin_put(failed, "web-1", linux_vm()).result().provisioning_state == "Succeeded"


def test_another_nic_is_free(failed):
    """A machine on another interface is created at once."""
    body = changed(linux_vm(), f"{NIC}.0.id", "/subscriptions/s/resourceGroups/shop/providers/n/m")

    assert begin_put(failed, "web-2", body).result().provisioning_state == "Succeeded"


def test_the_nic_of_a_machine_that_was_well_is_free(fake):
    """Deleting a machine whose create succeeded leaves its interface to anybody."""
    begin_put(fake, "web-1", linux_vm()).result()
    begin(fake, "delete", "web-1").result()

    assert begin_put(fake, "web-2", linux_vm()).result().provisioning_state == "Succeeded"


# --- odd statuses ------------------------------------------------------------------------------

SUCCEEDED, RUNNING = "ProvisioningState/succeeded", "PowerState/running"
KINDS = (
    ("none", []),
    ("null", None),
    ("no power state", [SUCCEEDED]),
    ("unknown power state", [SUCCEEDED, "PowerState/unknown"]),
    ("empty code", [SUCCEEDED, "", RUNNING]),
    ("os state first", ["OSState/generalized", SUCCEEDED, RUNNING]),
    ("hibernation state last", [SUCCEEDED, RUNNING, "HibernationState/Hibernated"]),
)
LOOKS = {
    "instance_view": lambda vms: vms.instance_view(GROUP, "web-1"),
    "get": lambda vms: vms.get(GROUP, "web-1", expand="instanceView").instance_view,
    "list": lambda vms: next(iter(vms.list(GROUP, expand="instanceView"))).instance_view,
    "list_all": lambda vms: next(iter(vms.list_all(status_only="true"))).instance_view,
}


def codes(view):
    """Give the codes of a view's statuses, or ``None`` where it has no list of them."""
    return None if view.statuses is None else [status.code for status in view.statuses]


@pytest.mark.parametrize(("kind", "shown"), KINDS)
@pytest.mark.parametrize("look", LOOKS)
def test_odd_statuses(fake, look, kind, shown):
    """However an instance view is looked at, its statuses are odd once, and then as they were."""
    fake.add_vm("web-1", resource_group=GROUP)
    rule = fake.inject(failures.MissingStatuses(kind=kind), on=look)
    odd = codes(LOOKS[look](fake.client.virtual_machines))

    assert odd == shown
    assert codes(LOOKS[look](fake.client.virtual_machines)) == [SUCCEEDED, RUNNING]
    assert rule.hits == 1


def test_odd_statuses_of_every_machine_in_a_list(fake):
    """One list with odd statuses is one hit, whatever it lists."""
    for name in ("web-1", "web-2"):
        fake.add_vm(name, resource_group=GROUP)
    rule = fake.inject(failures.MissingStatuses())
    found = [codes(vm.instance_view) for vm in
             fake.client.virtual_machines.list_all(status_only="true")]  # fmt: skip

    assert found == [[SUCCEEDED], [SUCCEEDED]]
    assert rule.hits == 1


def test_what_shows_no_statuses_is_no_hit(fake):
    """A GET without an instance view has nothing to be odd: the rule waits for one that has."""
    fake.add_vm("web-1", resource_group=GROUP)
    rule = fake.inject(failures.MissingStatuses(kind="none"))
    vms = fake.client.virtual_machines
    vms.get(GROUP, "web-1")
    list(vms.list(GROUP))
    before = rule.hits

    assert (before, codes(LOOKS["get"](vms)), rule.hits) == (0, [], 1)


def test_looking_changes_nothing(fake):
    """What a view leaves out is left out of that answer alone."""
    vm = fake.add_vm("web-1", resource_group=GROUP, parameters={"tags": {"a": "b"}})
    before = (vm.model, vm.history, vm.power_state)
    fake.inject(failures.MissingStatuses(kind="null"))
    LOOKS["instance_view"](fake.client.virtual_machines)

    assert (vm.model, vm.history, vm.power_state) == before


def test_extensions_keep_their_statuses(fake):
    """Of a view's statuses only the machine's own are odd, and not those of its agent."""
    begin_put(fake, "web-1", changed(linux_vm(), "resources", [EXTENSION])).result()
    fake.clock.advance(minutes=1)
    fake.inject(failures.MissingStatuses(kind="none"))
    view = fake.client.virtual_machines.instance_view(GROUP, "web-1")

    assert codes(view) == []
    assert [status.display_status for status in view.vm_agent.statuses] == ["Ready"]
