"""Which virtual machines there are, whatever was added and deleted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._register import Register

NAMES = ("web-1", "WEB-1", "db-1")
GROUPS = ("shop", "Shop", "lab")
SUBSCRIPTIONS = ("s1", "s2")


def made(sequence: int, subscription: str, group: str, name: str) -> VirtualMachine:
    """Make a VM of which nothing matters but where it is."""
    return VirtualMachine(subscription, group, name, "westeurope", sequence, 0, {}, "running")


def places(vm: VirtualMachine) -> tuple[str, str, str]:
    """Give what tells a VM from every other."""
    return (vm.subscription_id, vm.resource_group.lower(), vm.name.lower())


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SUBSCRIPTIONS), st.sampled_from(GROUPS), st.sampled_from(NAMES)),
        max_size=60,
    )
)
def test_it_finds_what_a_scan_would_find(steps):
    """Adding what is not there and deleting what is, it lists what a plain list would."""
    register, expected = Register(), []
    for sequence, (subscription, group, name) in enumerate(steps, 1):
        there = register.find(subscription, group, name)
        place = (subscription, group.lower(), name.lower())
        assert there is next((vm for vm in expected if places(vm) == place), None)
        if there is None:
            vm = made(sequence, subscription, group, name)
            register.add(vm)
            expected.append(vm)
        else:
            there.deleted_us = 0
            register.remove(there)
            expected.remove(there)

    assert (len(register), list(register.listed())) == (len(expected), expected)
    for subscription in SUBSCRIPTIONS:
        own = [vm for vm in expected if vm.subscription_id == subscription]
        assert list(register.listed(subscription)) == own
        for group in GROUPS:
            of_group = [vm for vm in own if vm.resource_group.lower() == group.lower()]
            assert list(register.listed(subscription, group)) == of_group
            assert list(register.listed(subscription, group, after=20)) == [
                vm for vm in of_group if vm.sequence > 20
            ]
    for name in NAMES:
        assert list(register.named(name)) == [
            vm for vm in expected if vm.name.lower() == name.lower()
        ]


def test_a_listing_goes_on_while_machines_are_deleted():
    """Whoever reads a listing meets nothing twice, and nothing that was deleted meanwhile."""
    register = Register()
    vms = [made(number, "s1", "shop", f"web-{number}") for number in range(1, 1_001)]
    for vm in vms:
        register.add(vm)
    seen = []
    for vm in register.listed("s1"):
        seen.append(vm.sequence)
        if vm.sequence % 2:
            for gone in (vm, vms[vm.sequence]):  # itself, and the next one
                gone.deleted_us = 0
                register.remove(gone)

    assert seen == list(range(1, 1_001, 2))
    assert (len(register), list(register.listed("s1", "shop"))) == (0, [])


def test_deleted_machines_are_swept():
    """However many come and go, a listing holds little more than what is there."""
    register = Register()
    for number in range(1, 2_001):
        vm = made(number, "s1", "shop", "web-1")
        register.add(vm)
        vm.deleted_us = 0
        register.remove(vm)

    assert len(register._listings[""].vms) < 100
    assert set(register._listings) == {""}
    assert register._by_name == {}
