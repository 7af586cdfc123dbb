"""The token buckets that Microsoft.Compute counts down in a header."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import json

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient

from pytest_azurevm import FakeCompute, failures
from pytest_azurevm import _throttling as throttling
from pytest_azurevm._throttling import Buckets
from pytest_azurevm._transport import FakeCredential
from tests.builders import GROUP, begin, begin_patch, begin_put, linux_vm, sent

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


# --- enforced ----------------------------------------------------------------------------------

REFUSED = (
    "The server rejected the request because too many requests have been received for this "
    "subscription."
)


@pytest.fixture
def limited():
    """Give a fake whose limits are enforced, with web-1 and web-2 in it."""
    with FakeCompute(throttling=True) as fake:
        for name in ("web-1", "web-2"):
            fake.add_vm(name, resource_group=GROUP)
        yield fake


def write(fake, name="web-1", **options):
    """Begin to write the tags of a machine."""
    return fake.client.virtual_machines.begin_update(
        GROUP, name, sent({"tags": {"a": "b"}}), **options
    )


def details(caught):
    """Give the errors within the error that was raised, by either kind of response."""
    return json.loads(caught.value.response.text())["error"]["details"]


def drain(fake, times=12, name="web-1"):
    """Write a machine so many times at one instant; give what the last answer's header counts."""
    seen = []
    for _ in range(times):
        write(fake, name, raw_response_hook=lambda answer: seen.append(answer.http_response))
    [*_, last] = [answer for answer in seen if answer.request.method == "PATCH"]
    return counts(last.headers["x-ms-ratelimit-remaining-resource"])


def test_twelve_writes_pass_and_the_thirteenth_is_refused(limited):
    """The writes that a machine's bucket holds pass; the next is refused with 429, and says when."""
    vm = limited.vm("web-1")
    header = drain(limited)
    before = (vm.model, vm.history, vm.operation, limited.bill)
    with pytest.raises(HttpResponseError) as caught:
        write(limited, retry_total=0)
    error, answer = caught.value.error, caught.value.response

    assert header == {"UpdateVMSubscriptionMaximum": 1488, "UpdateVMResource": 0}
    assert (caught.value.status_code, error.code, error.message) == (
        429, "OperationNotAllowed", REFUSED
    )  # fmt: skip
    assert answer.headers["Retry-After"] == "15"
    assert answer.headers["x-ms-ratelimit-remaining-resource"] == (
        "Microsoft.Compute/UpdateVMResource;0"
    )
    [detail] = details(caught)
    assert (detail["code"], detail["target"]) == ("TooManyRequests", "UpdateVMResource")
    assert json.loads(detail["message"]) == {
        "operationGroup": "UpdateVMResource",
        "startTime": "2026-01-01T00:00:00+00:00",
        "endTime": "2026-01-01T00:00:15+00:00",
        "allowedRequestCount": 12,
        "measuredRequestCount": 13,
    }
    assert (vm.model, vm.history, vm.operation, limited.bill) == before


def test_the_sdk_waits_until_a_write_passes(limited):
    """The SDK's own retry waits for what ``Retry-After`` says, in virtual time, and passes."""
    drain(limited)
    write(limited)
    writes = limited.calls.filter(operation="update")

    assert [call.status for call in writes[11:]] == [200, 429, 200]
    assert [call.at.second for call in writes[11:]] == [0, 0, 15]


def test_the_sdk_waits_for_the_rest_of_a_token(limited):
    """What is left of the wait is rounded up to whole seconds, and is enough."""
    drain(limited)
    limited.clock.advance(1.5)
    write(limited)
    writes = limited.calls.filter(operation="update")

    assert [call.status for call in writes[12:]] == [429, 200]
    assert (writes[13].at - writes[12].at).total_seconds() == 14


def test_a_refused_request_takes_no_token(limited):
    """Asking in vain, however often, puts off nothing."""
    drain(limited)
    for _ in range(20):
        with pytest.raises(HttpResponseError):
            write(limited, retry_total=0)
    limited.clock.advance(15)
    write(limited, retry_total=0)

    assert limited.calls.filter(operation="update")[-1].status == 200


def test_another_machine_has_a_bucket_of_its_own(limited):
    """A machine whose bucket is empty leaves the others' alone, and policies leave each other's."""
    drain(limited)

    assert drain(limited, 1, "web-2") == {
        "UpdateVMSubscriptionMaximum": 1487,
        "UpdateVMResource": 11,
    }
    assert begin(limited, "delete", "web-1").status() == "InProgress"


def test_lists_have_the_subscriptions_bucket(limited):
    """The 901st list is refused, for the whole subscription, whichever list it is."""
    vms = limited.client.virtual_machines
    for _ in range(450):
        list(vms.list_all())
        list(vms.list(GROUP))
    with pytest.raises(HttpResponseError) as caught:
        list(vms.list_by_location("westeurope", retry_total=0))

    assert caught.value.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    [detail] = details(caught)
    assert detail["target"] == "HighCostGetSubscriptionMaximum"
    assert json.loads(detail["message"])["allowedRequestCount"] == 900
    assert vms.get(GROUP, "web-1").name == "web-1"


def test_another_subscription_has_a_bucket_of_its_own(limited):
    """The lists of one subscription take nothing from another's."""
    for _ in range(900):
        list(limited.client.virtual_machines.list_all())
    other = ComputeManagementClient(
        FakeCredential(), "11111111-1111-4111-8111-111111111111", transport=transport_of(limited)
    )

    assert list(other.virtual_machines.list_all(retry_total=0)) == []


def transport_of(fake):
    """Give the transport of a fake's client."""
    return fake.client._client._pipeline._transport


def test_polls_are_refused_too(limited):
    """A poller that looks too often is refused; the SDK waits, and the operation ends as ever."""
    poller = limited.client.virtual_machines.begin_power_off(GROUP, "web-1", polling_interval=0.1)
    poller.result()
    statuses = [call.status for call in limited.calls.filter(operation="poll")]

    assert {200, 429} == set(statuses)
    assert limited.vm("web-1").power_state == "stopped"


@pytest.mark.parametrize("operation", ["deallocate", "create"])
def test_creates_and_deallocates_have_their_own_policies(limited, operation):
    """What is counted as a delete, and what is a PUT, are refused under those names."""
    codes = {"deallocate": "DeleteVMResource", "create": "PutVMResource"}
    body = sent({"location": "westeurope"})
    vms = limited.client.virtual_machines
    begun = {
        "deallocate": lambda: vms.begin_deallocate(GROUP, "web-1", retry_total=0),
        "create": lambda: vms.begin_create_or_update(GROUP, "web-1", body, retry_total=0),
    }[operation]
    for _ in range(12):
        begun()
    with pytest.raises(HttpResponseError) as caught:
        begun()

    assert details(caught)[0]["target"] == codes[operation]


def test_limits_are_off_by_default(fake):
    """Without being asked to, a fake counts, and refuses nothing."""
    fake.add_vm("web-1", resource_group=GROUP)

    assert fake.throttling is False
    assert drain(fake, 20)["UpdateVMResource"] == 0


def test_limits_are_set_at_any_time(fake):
    """Limits may be enforced, and no longer enforced, at any time; what was counted stays."""
    fake.add_vm("web-1", resource_group=GROUP)
    drain(fake)
    fake.throttling = True
    with pytest.raises(HttpResponseError, match="too many requests"):
        write(fake, retry_total=0)
    fake.throttling = False
    write(fake, retry_total=0)

    assert [call.status for call in fake.calls.filter(operation="update")][12:] == [429, 200]


def test_limits_stay_set_over_a_reset(limited):
    """A reset fills the buckets, and leaves the limits in force."""
    drain(limited)
    limited.reset()
    limited.add_vm("web-1", resource_group=GROUP)

    assert drain(limited)["UpdateVMResource"] == 0
    with pytest.raises(HttpResponseError):
        write(limited, retry_total=0)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_limits_are_on_or_off(fake, value):
    """What is neither True nor False is refused, and changes nothing."""
    with pytest.raises(TypeError) as by_argument:
        FakeCompute(throttling=value)
    with pytest.raises(TypeError) as by_attribute:
        fake.throttling = value

    assert str(by_argument.value) == f"throttling must be True or False, not {value!r}"
    assert str(by_attribute.value) == str(by_argument.value)
    assert fake.throttling is False


@pytest.mark.parametrize("request_of", [begin_put, begin_patch])
def test_an_injected_429_names_the_policy_of_the_request(fake, request_of):
    """A PATCH that is injected to be throttled names the bucket that counts it, as a PUT does."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failures.Throttled(retry_after=3), on="update", times=4)
    with pytest.raises(HttpResponseError) as caught:
        request_of(fake, "web-1", {"location": "westeurope"})
    policy = {begin_put: "PutVM", begin_patch: "UpdateVM"}[request_of]
    answer = caught.value.response

    assert details(caught)[0]["target"] == f"{policy}SubscriptionMaximum"
    assert answer.headers["x-ms-ratelimit-remaining-resource"] == (
        f"Microsoft.Compute/{policy}SubscriptionMaximum;0"
    )


@pytest.mark.parametrize(
    ("failure", "header"),
    [
        (failures.Conflict(), FIRST[1][1]),
        (failures.ScopeLocked(), None),
        (failures.Throttled(), "Microsoft.Compute/UpdateVMSubscriptionMaximum;0"),
    ],
    ids=repr,
)
def test_an_injected_refusal_of_computes_own_is_counted(fake, failure, header):
    """What Compute refuses tells what is left, as Azure does; what the front door refuses does not."""
    fake.add_vm("web-1", resource_group=GROUP)
    fake.inject(failure, on="start")
    with pytest.raises(HttpResponseError) as caught:
        fake.client.virtual_machines.begin_start(GROUP, "web-1", retry_total=0)

    assert caught.value.response.headers.get("x-ms-ratelimit-remaining-resource") == header


def test_an_injected_refusal_is_told_though_a_bucket_is_empty(limited):
    """A refusal that counts as struck is the one that is answered, whatever the limits say."""
    drain(limited)
    rule = limited.inject(failures.Conflict())
    with pytest.raises(HttpResponseError) as caught:
        write(limited, retry_total=0)

    assert (caught.value.status_code, rule.hits) == (409, 1)
