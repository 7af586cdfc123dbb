"""Recorded Azure traffic about groups, networks, disks and machines, replayed as a whole.

Every exchange of a scenario is sent, in a strict fake, and answered as Azure answered it, but for
one table. The recordings are no part of this package (see ``test_recordings``); without them these
tests are skipped, and the facts that matter most are checked by ``test_neighbours_facts``.
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import json
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import pytest

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request, Response
from tests.recordings import (
    ABSENT,
    SUBSCRIPTION,
    WIRE,
    Allowed,
    Difference,
    Exchange,
    differences,
    load,
)

pytestmark = pytest.mark.skipif(
    not WIRE.is_dir(), reason="no recorded traffic here: there is no folder shared/wire"
)

_VM_2020: Final = "Test_Compute_VM_20201201_CRUD"
_VM_2022: Final = "Test_Compute_VM_20220301_CRUD"
_MISSING: Final = "Test_MissingSecret_ReturnsError_ReconcilesSuccessfullyWhenSecretAdded"
_ACCESS: Final = "Test_Compute_DiskAccess_20240302_CRUD"
_IMAGE: Final = "Test_Compute_Image_20220301_CRUD"
_DISK: Final = "Test_Compute_Disk_20240302_CRUD"
_SNAPSHOT: Final = "Test_Compute_Snapshot_20240302_CRUD"
_RESERVED: Final = "Test_Compute_v1api20250401_CreationAndDeletion"
_GROUP: Final = "Test_Resources_ResourceGroup_CRUD"
_FAILS: Final = "Test_OperationAccepted_LongRunningOperationFails"
SCENARIOS: Final = (
    "Test_Compute_AvailabilitySet_v20241101_CRUD", _ACCESS, _DISK, _IMAGE, _SNAPSHOT, _VM_2020,
    _VM_2022, _RESERVED, _MISSING, "Test_NewResourceGroup_Error", _FAILS, _GROUP,
)  # fmt: skip
# Requests that the fake would accept, and Azure did not.
LEFT_OUT: Final = {
    (_ACCESS, 4): "the disk access was not ready, which Azure calls its failed state",
    (_VM_2020, 8): "the subnet was not ready; in two other scenarios that did not matter",
    (_FAILS, 2): "a storage account's properties are not judged",
}
_PASSING: Final = ("InProgress", "Creating", "Updating", "Deleting")


class Replay:
    """A recording on its way through the fake, each request as it was sent."""

    def __init__(self, fake: FakeCompute) -> None:
        self._fake = fake
        self._urls: dict[str, str] = {}  # the recorded path of an operation: the fake's URL
        self.differences: list[Difference] = []

    def play(self, exchange: Exchange) -> None:
        """Send one recorded request, and note how the answers differ."""
        if exchange.method == "GET" and not _goes_on(exchange):
            self._fake.clock.run_until_idle()
        url = self._urls.get(_followed(exchange.url), exchange.url)
        body = b"" if exchange.request_body is None else json.dumps(exchange.request_body).encode()
        response = self._fake._arm.handle(Request(exchange.method, url, {}, body))
        self._learn(exchange, response)
        self.differences += differences(exchange, response)

    def _learn(self, exchange: Exchange, response: Response) -> None:
        """Note where the fake's own operations are."""
        for name in ("Azure-AsyncOperation", "Location"):
            theirs, ours = exchange.headers.get(name.lower()), response.headers.get(name)
            if theirs and ours:
                self._urls[_followed(theirs)] = ours


def _followed(url: str) -> str:
    """Give what tells one operation's URLs apart."""
    parts = urlsplit(url)
    return f"{parts.path}{'?monitor' if 'monitor=true' in parts.query else ''}"


def _goes_on(exchange: Exchange) -> bool:
    """Whether what was looked at went on."""
    if exchange.status == 202:
        return True
    body = exchange.body if isinstance(exchange.body, dict) else {}
    properties = body.get("properties") or {}
    return (body.get("status") or properties.get("provisioningState")) in _PASSING


# fmt: off
DIFFERENCES: Final = (
    Allowed((_ACCESS, _DISK, _SNAPSHOT, _VM_2022, _MISSING), "Location", ABSENT, "*/operationresults/*", "5 of 25 first looks at a group's delete have none, and nothing tells them apart"),
    Allowed((_IMAGE, _VM_2020, _GROUP), "Location", "*/operationresults/*", "*/operationresults/*", "some jobs name a storage account, too"),
    Allowed((_ACCESS,), "$.*diskAccessId", "*/ASOTEST-RG-LIPTJF/*", "*/asotest-rg-liptjf/*", "this reference has its group in capitals"),
    Allowed((_ACCESS,), "$.properties.privateLinkServiceConnections*", "*", "*", "what a private endpoint connects to is not made"),
    Allowed((_ACCESS,), "$.*privateEndpoint*", "*", ABSENT, "the same"),
    Allowed((_ACCESS,), "$.properties.manualPrivateLinkServiceConnections", "*", ABSENT, "the same"),
    Allowed((_ACCESS,), "$.properties.customNetworkInterfaceName", "*", ABSENT, "the same"),
    Allowed((_ACCESS,), "$.properties.customDnsConfigs", "*", ABSENT, "the same"),
    Allowed((_ACCESS,), "$.properties.networkInterfaces", "*", ABSENT, "the same: its network interface"),
    Allowed((_ACCESS,), "$.properties.ipConfigurations*", "*", "*", "the same: its network interface"),
    Allowed((_ACCESS,), "Retry-After", "*0", ABSENT, "by then the replay has let time pass"),
    Allowed((_ACCESS, _IMAGE), "$.status", '"InProgress"', '"Succeeded"', "the same"),
    Allowed((_IMAGE,), "$.endTime", ABSENT, '"<time>"', "the same"),
    Allowed((_ACCESS,), "Content-Type", "application/json*", ABSENT, "once, of an answer without a body"),
    Allowed((_ACCESS,), "$.error.*", "*", "*", "once, the resource was missed before its group"),
    Allowed((_IMAGE,), "$.*publicNetworkAccess", ABSENT, '"Enabled"', "older api-versions do not know it"),
    Allowed((_VM_2022,), "$.error.*", "*", "*", "once, right after an extension was deleted, Compute answered itself"),
    Allowed((_VM_2020,), "$.tags", "*", ABSENT, "written by a policy of that subscription, not asked for"),
    Allowed((_VM_2020,), "$.identity", "*", ABSENT, "the same"),
    Allowed((_VM_2020,), "$.properties.osProfile order", "* adminUsername", "computerName adminUsername *", "this VM alone of all recorded ones has it last"),
    Allowed((_RESERVED,), "$.id", "*/ASOTEST-RG-QISAMX/*", "*/asotest-rg-qisamx/*", "this type has its group in capitals"),
    Allowed((_RESERVED,), "$.sku order", "name capacity", "capacity name", "members are as they were asked for"),
    Allowed((_RESERVED,), "$.properties.*", "*", ABSENT, "a reservation's own properties are not filled in"),
    Allowed(("Test_NewResourceGroup_Error",), "$.error.message", "*", "*", "regions that have come since"),
    Allowed((_VM_2020, _VM_2022, _MISSING), "$.properties.dnsSettings.internalDomainNameSuffix", '"*.internal.cloudapp.net"', '"*.xx.internal.cloudapp.net"', "made up, as Azure's is"),
)
# fmt: on


@cache
def replayed(scenario: str) -> tuple[Difference, ...]:
    """Replay a scenario, and give what differs."""
    with FakeCompute(subscription_id=SUBSCRIPTION, references="strict") as fake:
        replay = Replay(fake)
        for exchange in load(f"aso/{scenario}"):
            if (scenario, exchange.number) not in LEFT_OUT:
                replay.play(exchange)
    return tuple(replay.differences)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_differ_only_where_the_table_says(scenario):
    """A recorded scenario is answered as Azure answered it, but for the table of differences."""
    rows = [row for row in DIFFERENCES if scenario in row.scenarios]
    unexplained = [
        str(difference)
        for difference in replayed(scenario)
        if not any(row.covers(difference) for row in rows)
    ]
    assert not unexplained, "\n".join(unexplained)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_table_holds_no_difference_that_is_gone(scenario):
    """Each line of the table is a difference that a replay still finds."""
    found = replayed(scenario)
    gone = [
        f"{row.path}: {row.reason}"
        for row in DIFFERENCES
        if scenario in row.scenarios and not any(row.covers(one) for one in found)
    ]
    assert not gone, "\n".join(gone)
