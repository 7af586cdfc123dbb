"""Recorded Azure traffic, replayed: the fake answers as Azure did, but for one table.

The recordings are no part of this package: public test recordings of Microsoft's own clients, in a
folder ``shared/wire`` beside the repository. Without it these tests are skipped; the facts that
matter most stand in ``recorded_facts`` and are always checked.
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

from functools import cache
from typing import Final

import pytest

from pytest_azurevm import FakeCompute
from tests.recordings import ABSENT, SUBSCRIPTION, WIRE, Allowed, Difference, Replay, load

pytestmark = pytest.mark.skipif(
    not WIRE.is_dir(), reason="no recorded traffic here: there is no folder shared/wire"
)

# The scenarios, and how many of their exchanges the fake serves.
SCENARIOS: Final = {
    "aso/Test_Compute_VM_20201201_CRUD": 28,
    "aso/Test_Compute_VM_20220301_CRUD": 26,
    "cli/test_vm_boot_diagnostics": 22,
    "cli/test_vm_create_no_wait": 7,
    "cli/test_vm_create_state_modifications": 51,
    "cli/test_vm_create_user_data": 15,
    "cli/test_vm_disk_attach_detach": 56,
    "cli/test_vm_disk_attach_multiple_disks": 31,
    "cli/test_vm_explicit_msi": 28,
    "cli/test_vm_generalize": 8,
    "cli/test_vm_hibernation_enabled": 9,
    "cli/test_vm_os_disk_swap": 12,
    "cli/test_vm_priority_eviction_billing": 10,
    "cli/test_vm_redeploy": 10,
    "py/test_mgmt_compute_base_async.test_compute_vm": 51,
    "py/test_mgmt_compute_vm.test_compute_vm": 50,
}
# Requests that the fake would serve, but that are about what it does not know.
LEFT_OUT: Final = {
    # Refused, for the network interface was not there yet; networks are not served.
    ("aso/Test_Compute_VM_20201201_CRUD", 9),
}


_NO_WAIT = ("cli/test_vm_create_no_wait",)
_STATES = ("cli/test_vm_create_state_modifications",)
_ASYNC = ("py/test_mgmt_compute_base_async.test_compute_vm",)
_OF_2021 = (*_ASYNC, "py/test_mgmt_compute_vm.test_compute_vm")
_OF_2024 = ("aso/Test_Compute_VM_20220301_CRUD",)
_OF_2026 = ("aso/Test_Compute_VM_20201201_CRUD",)

# fmt: off
DIFFERENCES: Final = (
    # scenarios        where                               recorded                          ours                               why
    Allowed(_OF_2021, "Azure-AsyncOperation",              "*<uuid>?api-version=*",          "*<uuid>?p=<uuid>&api-version=*",  "p, the partition, is in these URLs since 2022"),
    Allowed(_OF_2021, "Location",                          "*<uuid>?monitor=true&*",         "*<uuid>?p=<uuid>&monitor=true&*", "the same"),
    Allowed(_OF_2021, "Azure-AsyncNotification",           ABSENT,                           "Enabled",                         "power operations carry it since 2022"),
    Allowed(_OF_2021, "$*properties order",                "vmId hardwareProfile *",         "hardwareProfile provisioningState vmId *", "printed so by the service of those days, whatever the api-version"),
    Allowed(_OF_2021, "$*.message",                        '"Plugin enabled (handler name*', '"*"',                             "the extension's own words; here all extensions say the same"),
    Allowed(_ASYNC,   "$.value.0*id",                      '"*/resourceGroups/RN562*',       '"*/resourceGroups/RGNAME/*',      "the recorder hid the group's name, but did not know it in capitals"),
    Allowed(_STATES,  "$.properties.instanceView.computerName", '"vm-state-mod.internal.cloudapp.net"', '"vm-state-mod"',       "once, after a redeploy: the guest gave its name in full"),
    Allowed(_NO_WAIT, "Azure-AsyncOperation",              ABSENT,                           "*",                               "2 of 524 recorded updates answer without it, and nothing tells these two apart"),
    Allowed(_NO_WAIT, "Azure-AsyncNotification",           ABSENT,                           "Enabled",                         "the same"),
    Allowed(_OF_2024, "$.error.*",                         "*",                              "*",                               "once, right after an extension was deleted, Compute answered itself, with a NotFound, where ARM does else"),
    Allowed(_OF_2026, "$.tags",                            '{"platformsettings.*',           ABSENT,                            "written by a policy of that subscription, not asked for"),
    Allowed(_OF_2026, "$.identity",                        '{"type":"SystemAssigned",*',     ABSENT,                            "the same"),
    Allowed(_OF_2026, "$.properties.osProfile order",      "* adminUsername",                "computerName adminUsername *",    "this VM alone of all recorded ones has it last"),
)
# fmt: on


@cache
def replayed(scenario: str) -> tuple[int, tuple[Difference, ...]]:
    """Replay a scenario; give how many exchanges were compared, and what differs."""
    with FakeCompute(subscription_id=SUBSCRIPTION) as fake:
        # The recorders of cli and py took Retry-After out.
        replay = Replay(fake, truthful_retry_after=scenario.startswith("aso/"))
        for exchange in load(scenario):
            if (scenario, exchange.number) not in LEFT_OUT:
                replay.play(exchange)
    return replay.compared, tuple(replay.differences)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_differ_only_where_the_table_says(scenario):
    """A recorded scenario is answered as Azure answered it, but for the table of differences."""
    _, differences = replayed(scenario)
    rows = [row for row in DIFFERENCES if scenario in row.scenarios]
    unexplained = [
        str(difference)
        for difference in differences
        if not any(row.covers(difference) for row in rows)
    ]
    assert not unexplained, "\n".join(unexplained)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_table_holds_no_difference_that_is_gone(scenario):
    """Each line of the table is a difference that a replay still finds."""
    _, differences = replayed(scenario)
    gone = [
        f"{row.path}: {row.reason}"
        for row in DIFFERENCES
        if scenario in row.scenarios
        and not any(row.covers(difference) for difference in differences)
    ]
    assert not gone, "\n".join(gone)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_exchange_that_is_served_is_compared(scenario):
    """A replay leaves out none of the exchanges that the fake serves."""
    compared, _ = replayed(scenario)
    assert compared == SCENARIOS[scenario]
