"""The token buckets that Microsoft.Compute counts down in a header."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import pytest

from pytest_azurevm import _throttling as throttling
from pytest_azurevm._throttling import Buckets
from tests.builders import GROUP, begin, begin_patch, begin_put, linux_vm

MINUTE_US = 60_000_000
SECOND_US = 1_000_000

# The first answer of each policy [WIRE 1.6: recorded 2024 to 2026, and the documented limits].
# fmt: off
FIRST = (
    (throttling.PUT,           "Microsoft.Compute/PutVMSubscriptionMaximum;1499,Microsoft.Compute/PutVMResource;11"),
    (throttling.UPDATE,        "Microsoft.Compute/UpdateVMSubscriptionMaximum;1499,Microsoft.Compute/UpdateVMResource;11"),
    (throttling.DELETE,        "Microsoft.Compute/DeleteVMSubscriptionMaximum;1499,Microsoft.Compute/DeleteVMResource;11"),
    (throttling.LOW_COST_GET,  "Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,Microsoft.Compute/LowCostGetResource;35"),
    (throttling.HIGH_COST_GET, "Microsoft.Compute/HighCostGetSubscriptionMaximum;899"),
    (throttling.GET_OPERATION, "Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999"),
)
# fmt: on
POLICIES = [policy for policy, _ in FIRST]
REFILLS = (
    # policy                   gains a minute: subscription, resource
    (throttling.PUT,           500,  4),
    (throttling.UPDATE,        500,  4),
    (throttling.DELETE,        500,  4),
    (throttling.LOW_COST_GET,  8000, 12),
    (throttling.HIGH_COST_GET, 300,  None),
    (throttling.GET_OPERATION, 5000, 15),
)  # fmt: skip


def counts(header):
    """Give what a header counts, by bucket."""
    parts = (part.removeprefix("Microsoft.Compute/").split(";") for part in header.split(","))
    return {name: int(left) for name, left in parts}


def drawn(buckets, policy, times, now_us=0):
    """Draw so many times, and give the last count of the subscription and of the resource."""
    for _ in range(times):
        header = buckets.draw(policy, "s/westeurope", "web-1", now_us)
    found = counts(header)
    return (found[f"{policy.name}SubscriptionMaximum"], found.get(f"{policy.name}Resource"))


@pytest.mark.parametrize(("policy", "header"), FIRST)
def test_the_first_draw(policy, header):
    """The first answer shows full buckets less this request, in the header's recorded form."""
    assert Buckets().draw(policy, "s/westeurope", "web-1", 0) == header


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_each_draw_takes_one(policy):
    """Each request takes one token from each bucket."""
    subscription, resource = drawn(Buckets(), policy, 1)

    assert drawn(Buckets(), policy, 5) == (subscription - 4, resource and resource - 4)


@pytest.mark.parametrize(("policy", "per_minute", "of_resource"), REFILLS)
def test_buckets_fill_up_steadily(policy, per_minute, of_resource):
    """A bucket gains its tokens evenly: just before one is due there is none, then there is."""
    for position, gains in ((0, per_minute), (1, of_resource)):
        if gains is None:
            continue
        a_token_us = -(-MINUTE_US // gains)
        buckets = Buckets()
        level = drawn(buckets, policy, 10)[position]

        assert drawn(buckets, policy, 1, a_token_us - 1)[position] == level - 1
        assert drawn(buckets, policy, 1, a_token_us)[position] == level - 1
        assert drawn(buckets, policy, 1, a_token_us + 1)[position] == level - 2


def test_refilling_is_exact():
    """Many small stretches fill a bucket as much as one long one does."""
    step_us = 1_428_571  # a seventh of ten seconds, which no number of tokens divides
    often, once = Buckets(), Buckets()
    drawn(once, throttling.PUT, 8)
    for turn in range(8):
        drawn(often, throttling.PUT, 1, turn * step_us)

    assert drawn(often, throttling.PUT, 1, 60 * SECOND_US) == drawn(
        once, throttling.PUT, 1, 60 * SECOND_US
    )


@pytest.mark.parametrize(
    ("after_us", "left"),
    [(0, 0), (15 * SECOND_US - 1, 0), (15 * SECOND_US, 0), (30 * SECOND_US, 1), (MINUTE_US, 3)],
)
def test_never_below_zero(after_us, left):
    """An empty bucket shows 0 however often it is asked, owes nothing, and fills up again."""
    buckets = Buckets()
    drained = drawn(buckets, throttling.PUT, 40)[1]

    assert drained == 0
    assert drawn(buckets, throttling.PUT, 1, after_us)[1] == left


def test_never_more_than_full():
    """However long nobody asks, a bucket holds no more than it can."""
    buckets = Buckets()
    first = drawn(buckets, throttling.PUT, 1)

    assert drawn(buckets, throttling.PUT, 1, 10**15) == first


def test_each_subscription_and_resource_has_its_own():
    """Requests about one VM leave the other's bucket alone, and share the subscription's."""
    buckets = Buckets()
    drawn(buckets, throttling.PUT, 3)

    assert counts(buckets.draw(throttling.PUT, "s/westeurope", "web-2", 0)) == {
        "PutVMSubscriptionMaximum": 1496,
        "PutVMResource": 11,
    }
    assert counts(buckets.draw(throttling.PUT, "s/eastus", "web-3", 0)) == {
        "PutVMSubscriptionMaximum": 1499,
        "PutVMResource": 11,
    }


def test_each_policy_has_its_own():
    """A write takes nothing from the buckets of reads."""
    buckets = Buckets()
    drawn(buckets, throttling.PUT, 5)

    assert drawn(buckets, throttling.UPDATE, 1) == (1499, 11)


# Which policy counts a request [WIRE 1.6].
COUNTED = (
    (lambda f: begin_put(f, "new", linux_vm()), "PutVM"),
    (lambda f: begin_put(f, "web-1", {"location": "westeurope"}), "PutVM"),
    (lambda f: begin_patch(f, "web-1", {"tags": {}}), "UpdateVM"),
    (lambda f: begin(f, "start", "web-1"), "UpdateVM"),
    (lambda f: begin(f, "power_off", "web-1"), "UpdateVM"),
    (lambda f: begin(f, "restart", "web-1"), "UpdateVM"),
    (lambda f: begin(f, "redeploy", "web-1"), "UpdateVM"),
    (lambda f: begin(f, "reapply", "web-1"), "UpdateVM"),
    (lambda f: begin(f, "reimage", "web-1"), "UpdateVM"),
    (lambda f: f.client.virtual_machine_extensions.list(GROUP, "web-1"), "LowCostGet"),
    (lambda f: begin(f, "delete", "web-1"), "DeleteVM"),
    (lambda f: begin(f, "deallocate", "web-1"), "DeleteVM"),
    (lambda f: f.client.virtual_machines.get(GROUP, "web-1"), "LowCostGet"),
    (lambda f: f.client.virtual_machines.instance_view(GROUP, "web-1"), "LowCostGet"),
    (lambda f: list(f.client.virtual_machines.list(GROUP)), "HighCostGet"),
    (lambda f: list(f.client.virtual_machines.list_all()), "HighCostGet"),
    (lambda f: list(f.client.virtual_machines.list_by_location("westeurope")), "HighCostGet"),
)


@pytest.mark.parametrize(("request_of", "policy"), COUNTED)
def test_which_policy_counts_a_request(fake, monkeypatch, request_of, policy):
    """Each kind of request is counted by the policy that Azure counts it by."""
    fake.add_vm("web-1", resource_group=GROUP)
    drawn_from = []
    draw = Buckets.draw

    def note(self, policy, *facts):
        drawn_from.append(policy.name)
        return draw(self, policy, *facts)

    monkeypatch.setattr(Buckets, "draw", note)
    request_of(fake)

    assert drawn_from[0] == policy
    assert set(drawn_from[1:]) <= {"GetOperation"}  # what the poller then looks at


def test_polls_are_counted_by_operation(fake):
    """Looks at an operation are counted for it alone, and for its subscription and region."""
    headers = {"web-1": [], "web-2": []}
    for name, found in headers.items():
        fake.add_vm(name, resource_group=GROUP)
        fake.client.virtual_machines.begin_power_off(
            GROUP,
            name,
            polling_interval=3,
            raw_response_hook=lambda answer, found=found: found.append(
                answer.http_response.headers["x-ms-ratelimit-remaining-resource"]
            ),
        )
    fake.clock.advance(7)

    # Looks at once, after 3 and after 6 seconds; a token comes back every 4 seconds.
    assert [counts(header)["GetOperationResource"] for header in headers["web-1"][1:]] == [
        44, 43, 43
    ]  # fmt: skip
    assert headers["web-1"][1] == dict(FIRST)[throttling.GET_OPERATION]
    assert [counts(found[1]) for found in headers.values()] == [
        {"GetOperationResource": 44, "GetOperationSubscriptionMaximum": 14_999},
        {"GetOperationResource": 44, "GetOperationSubscriptionMaximum": 14_998},
    ]
