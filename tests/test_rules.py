"""Rules: which requests an injected failure strikes, how often, and what is said if it never does."""

# ruff: noqa: E501  messages are pinned in full, each on a line of its own

from __future__ import annotations

import asyncio

import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError

from pytest_azurevm import FakeCompute, failures
from pytest_azurevm._rules import InjectionNeverStruck
from tests.builders import (
    GROUP,
    begin,
    begin_patch,
    begin_put,
    changed,
    linux_vm,
    polled,
    refusal,
    sent,
)

BROKEN = failures.ArmError("Broken", "It is broken.")
OTHER = failures.ArmError("Other", "It is another.")
FRENCH = changed(linux_vm(), "location", "francecentral")
LARGE = changed(linux_vm(), "properties.hardwareProfile.vmSize", "Standard_E64s_v5")
RESIZED = {"properties": {"hardwareProfile": {"vmSize": "Standard_E64s_v5"}}}


@pytest.fixture
def web(fake):
    """Put web-1 into place, which runs."""
    return fake.add_vm("web-1", resource_group=GROUP)


def struck(call):
    """Give the code with which *call* was refused, or ``None`` if it was let pass."""
    try:
        call()
    except HttpResponseError as error:
        return error.error.code
    return None


# What may be asked, by the operation that it is.
ASKED = {
    "create": lambda f: begin_put(f, "new-1", linux_vm()),
    "update": lambda f: begin_patch(f, "web-1", {"tags": {"a": "b"}}),
    "delete": lambda f: begin(f, "delete", "web-1"),
    "start": lambda f: begin(f, "start", "web-1"),
    "power_off": lambda f: begin(f, "power_off", "web-1"),
    "restart": lambda f: begin(f, "restart", "web-1"),
    "deallocate": lambda f: begin(f, "deallocate", "web-1"),
    "get": lambda f: f.client.virtual_machines.get(GROUP, "web-1"),
    "instance_view": lambda f: f.client.virtual_machines.instance_view(GROUP, "web-1"),
    "list": lambda f: list(f.client.virtual_machines.list(GROUP)),
    "list_all": lambda f: list(f.client.virtual_machines.list_all()),
    "list_by_location": lambda f: list(f.client.virtual_machines.list_by_location("westeurope")),
}
LISTS = {"list", "list_all", "list_by_location"}


def answer(fake, operation="get"):
    """Give the code with which *operation* is refused, or ``None`` if it is let pass."""
    return struck(lambda: ASKED[operation](fake))


# --- conditions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "strikes"),
    [
        *[(operation, {operation}) for operation in ASKED],
        ("create_or_update", {"create", "update"}),
        ("create*", {"create"}),
        ("list*", LISTS),
        ("*list*", LISTS),
        ("[dr]e*", {"delete", "restart", "deallocate"}),
        ("power_of?", {"power_off"}),
        ("*", set(ASKED)),
        (None, set(ASKED)),
    ],
)
def test_on_names_the_operations(fake, web, on, strikes):
    """A rule strikes the operations that its pattern names, and no other."""
    rule = fake.inject(BROKEN, on=on, times=None)
    others = fake.inject(OTHER, on="*", times=None)  # so that nothing is begun
    found = {operation for operation in ASKED if answer(fake, operation) == "Broken"}

    assert found == strikes
    assert (rule.hits, others.hits) == (len(strikes), len(ASKED) - len(strikes))
    others.remove()


def test_a_put_is_a_create_or_an_update(fake, web):
    """A PUT is a create while the machine is absent, and an update once it is there."""
    creates = fake.inject(BROKEN, on="create", times=None)
    updates = fake.inject(OTHER, on="update", times=None)

    assert struck(lambda: begin_put(fake, "new-1", linux_vm())) == "Broken"
    assert struck(lambda: begin_put(fake, "web-1", linux_vm())) == "Other"
    assert (creates.hits, updates.hits) == (1, 1)


def test_a_failure_knows_where_it_usually_strikes(fake, web):
    """Without ``on``, a failure strikes its usual operation, and lets its other ones pass."""
    rule = fake.inject(failures.SkuNotAvailable(), times=None)

    assert rule.on == "create"
    assert struck(lambda: begin(fake, "start", "web-1")) is None
    assert struck(lambda: begin_put(fake, "new-1", linux_vm())) == "SkuNotAvailable"


def test_a_pattern_takes_of_the_operations_only_those_that_fit(fake, web):
    """A pattern that names more operations than the failure fits strikes those that it fits."""
    rule = fake.inject(failures.SkuNotAvailable(), on="*", times=None)
    web_off = begin(fake, "deallocate", "web-1")
    web_off.result()

    assert struck(lambda: begin(fake, "start", "web-1")) == "SkuNotAvailable"
    assert rule.hits == 1


@pytest.mark.parametrize(
    ("condition", "strikes"),
    [
        ({"vm": "web-1"}, True),
        ({"vm": "WEB-*"}, True),
        ({"vm": "*-[12]"}, True),
        ({"vm": "web"}, False),
        ({"resource_group": "SHOP"}, True),
        ({"resource_group": "sh?p"}, True),
        ({"resource_group": "workshop"}, False),
        ({"location": "WestEurope"}, True),
        ({"location": "*europe"}, True),
        ({"location": "eastus"}, False),
        ({"size": "standard_d2s_V5"}, True),
        ({"size": "Standard_D*"}, True),
        ({"size": "Standard_E*"}, False),
        ({"vm": "web-*", "size": "*_v5", "location": "west*", "resource_group": "shop"}, True),
        ({"vm": "web-*", "size": "*_v5", "location": "west*", "resource_group": "rg"}, False),
    ],
)
@pytest.mark.parametrize("operation", ["get", "restart", "delete"])
def test_conditions_on_a_machine_that_is_there(fake, web, operation, condition, strikes):
    """Name, group, location and size are matched as patterns in any case, and all must fit."""
    rule = fake.inject(BROKEN, on=operation, **condition)

    assert answer(fake, operation) == ("Broken" if strikes else None)
    assert rule.hits == strikes
    rule.remove()


@pytest.mark.parametrize(
    ("condition", "body", "strikes"),
    [
        ({"vm": "New-*"}, linux_vm(), True),
        ({"vm": "web-*"}, linux_vm(), False),
        ({"resource_group": "Shop"}, linux_vm(), True),
        ({"location": "francecentral"}, FRENCH, True),
        ({"location": "francecentral"}, changed(FRENCH, "location", "France Central"), True),
        ({"location": "francecentral"}, linux_vm(), False),
        ({"size": "Standard_E*"}, LARGE, True),
        ({"size": "Standard_E*"}, linux_vm(), False),
    ],
)
def test_conditions_on_a_machine_that_is_new(fake, condition, body, strikes):
    """Of a machine that is yet to be, location and size are those that the body asks for."""
    rule = fake.inject(BROKEN, on="create", **condition)

    assert struck(lambda: begin_put(fake, "new-1", body)) == ("Broken" if strikes else None)
    assert rule.hits == strikes
    rule.remove()


@pytest.mark.parametrize(
    ("size", "body", "strikes"),
    [
        ("Standard_E*", RESIZED, True),
        ("Standard_D*", RESIZED, False),
        ("Standard_D*", {"tags": {}}, True),
        ("Standard_E*", {"tags": {}}, False),
    ],
)
def test_the_size_is_the_new_one_where_a_request_changes_it(fake, web, size, body, strikes):
    """An update is matched by the size that it asks for, or else the one that the machine has."""
    rule = fake.inject(BROKEN, on="update", size=size)

    assert struck(lambda: begin_patch(fake, "web-1", body)) == ("Broken" if strikes else None)
    rule.remove()


def test_a_list_of_a_group_has_a_group_and_no_machine(fake, web):
    """A list is matched by its group, and by nothing that only one machine has."""
    with pytest.raises(ValueError, match="a list names no machine"):
        fake.inject(OTHER, on="list*", vm="web-1")
    by_group = fake.inject(BROKEN, on="list*", resource_group="shop", times=None)

    assert answer(fake, "list") == "Broken"
    assert answer(fake, "list_all") is None
    assert by_group.hits == 1


def test_a_list_of_a_region_has_that_region(fake, web):
    """A list by location is matched by the location that it names, in any spelling."""
    elsewhere = fake.inject(OTHER, on="list_by_location", location="eastus")
    here = fake.inject(BROKEN, on="list_by_location", location="west*")

    assert struck(lambda: list(fake.client.virtual_machines.list_by_location("West Europe"))) == (
        "Broken"
    )
    assert (elsewhere.hits, here.hits) == (0, 1)
    elsewhere.remove()


def test_an_absent_machine_has_a_name_and_a_group(fake):
    """A GET of what is not there is struck by its name, before Azure says that it is not there."""
    fake.inject(BROKEN, on="get", vm="web-*", resource_group="shop")

    assert answer(fake) == "Broken"
    assert answer(fake) == "ResourceNotFound"


# --- windows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "strikes"),
    [
        ({}, [0]),
        ({"times": 3}, [0, 1, 2]),
        ({"times": None}, [0, 1, 2, 3, 4, 5]),
        ({"after": 2}, [2]),
        ({"after": 2, "times": 2}, [2, 3]),
        ({"after": 4, "times": None}, [4, 5]),
        ({"after": 6}, []),
    ],
)
def test_the_window_of_a_rule(fake, web, window, strikes):
    """A rule lets ``after`` requests pass, and strikes the next ``times``, or all of them."""
    rule = fake.inject(BROKEN, on="get", **window)
    found = [turn for turn in range(6) if answer(fake)]

    assert found == strikes
    rule.remove()


def test_only_requests_that_meet_the_condition_are_counted_by_after(fake, web):
    """What does not meet the condition uses up nothing of ``after``."""
    fake.add_vm("web-2", resource_group=GROUP)
    fake.inject(BROKEN, on="get", vm="web-1", after=1)
    found = [
        struck(lambda name=name: fake.client.virtual_machines.get(GROUP, name))
        for name in ("web-2", "web-2", "web-1", "web-2", "web-1")
    ]

    assert found == [None, None, None, None, "Broken"]


def hits_by_chance(seed, probability=0.3):
    """Give which of forty requests a rule strikes."""
    with FakeCompute(seed=seed, strict=False) as fake:
        fake.add_vm("web-1", resource_group=GROUP)
        fake.inject(BROKEN, on="get", times=None, probability=probability)
        return [turn for turn in range(40) if answer(fake)]


def test_chance_is_drawn_from_the_seed():
    """The same seed strikes the same requests, and another seed others."""
    first = hits_by_chance(seed=1)

    assert hits_by_chance(seed=1) == first
    assert hits_by_chance(seed=2) != first
    assert 0 < len(first) < 40


def test_certainty_strikes_always():
    """A probability of 1 strikes every request."""
    assert hits_by_chance(seed=1, probability=1) == list(range(40))


def test_times_counts_what_struck_not_what_chance_let_pass(fake, web):
    """A rule with a probability strikes ``times`` times, however many it lets pass between."""
    rule = fake.inject(BROKEN, on="get", times=2, probability=0.2)
    found = [answer(fake) for _ in range(100)]

    assert found.count("Broken") == rule.hits == 2


def test_a_rule_counts_its_hits(fake, web):
    """``hits`` counts up and ``remaining`` down; without end, nothing remains to be counted."""
    rule = fake.inject(BROKEN, on="get", times=2)
    endless = fake.inject(OTHER, on="restart", times=None)
    seen = [(rule.hits, rule.remaining)]
    for _ in range(3):
        answer(fake)
        seen.append((rule.hits, rule.remaining))
    answer(fake, "restart")

    assert seen == [(0, 2), (1, 1), (2, 0), (2, 0)]
    assert (endless.hits, endless.remaining) == (1, None)


def test_a_rule_shows_itself(fake, web):
    """A rule's repr tells its failure, its condition and its count."""
    rule = fake.inject(
        failures.ArmError("Broken", "It is."), on="get", vm="web-*", times=2, after=1
    )
    for _ in range(2):
        answer(fake)
    endless = fake.inject(failures.Stuck(), times=None)

    assert (
        repr(rule)
        == "<Injection ArmError(code='Broken', message='It is.') on 'get', vm='web-*', after=1: 1 of 2 hits>"
    )
    assert repr(endless) == "<Injection Stuck() on 'create': 0 hits>"
    endless.remove()


def test_a_rule_is_taken_back(fake, web):
    """A rule that is removed strikes no more; removing it again does no harm."""
    rule = fake.inject(BROKEN, on="get", times=None)
    first = answer(fake)
    rule.remove()
    rule.remove()

    assert (first, answer(fake)) == ("Broken", None)
    assert rule.hits == 1


# --- as a context manager ----------------------------------------------------------------------


def test_a_rule_ends_with_its_block(fake, web):
    """In a ``with`` block a rule is in force, and after it no more."""
    with fake.inject(BROKEN, on="get", times=None) as rule:
        assert answer(fake) == "Broken"

    assert answer(fake) is None
    assert rule.hits == 1


def test_a_block_whose_rule_never_struck_is_an_error(fake, web):
    """A block's end says of a rule that never struck what it waited for, and takes it back."""
    with (
        pytest.raises(InjectionNeverStruck, match=r"was injected and never struck"),
        fake.inject(BROKEN, on="get"),
    ):
        ASKED["restart"](fake)

    assert answer(fake) is None
    fake.check_injections()


def test_an_error_of_the_block_is_not_hidden(fake, web):
    """An exception that is on its way out of the block goes on, whether the rule struck or not."""
    with pytest.raises(ZeroDivisionError), fake.inject(BROKEN, on="get"):
        raise ZeroDivisionError

    assert answer(fake) is None


def test_a_block_asks_nothing_where_nothing_is_asked():
    """A fake that is not strict asks nothing at a block's end either."""
    with FakeCompute(strict=False) as fake, fake.inject(BROKEN, on="get") as rule:
        pass

    assert rule.hits == 0


def test_a_block_asks_nothing_of_a_rule_that_was_taken_back(fake):
    """Of a rule that was removed within its block, nothing is asked at its end."""
    with fake.inject(BROKEN, on="get") as rule:
        rule.remove()

    assert rule.hits == 0


def test_a_block_asks_nothing_of_a_rule_that_a_reset_dropped(fake):
    """A reset drops every rule, and nothing is asked of it any more, in its block or after."""
    with fake.inject(BROKEN, on="get") as rule:
        fake.reset()

    assert rule.hits == 0


# --- several rules -----------------------------------------------------------------------------


def test_rules_strike_in_the_order_declared(fake, web):
    """Of several rules the first has the call; the next has its turn once that one is used up."""
    first = fake.inject(BROKEN, on="get")
    second = fake.inject(OTHER, on="get")
    found = [answer(fake) for _ in range(3)]

    assert found == ["Broken", "Other", None]
    assert (first.hits, second.hits) == (1, 1)


def test_a_rule_does_not_see_a_call_that_an_earlier_one_ended(fake, web):
    """A call that an earlier rule ended is none of those that a later rule lets pass first."""
    fake.inject(BROKEN, on="get")
    fake.inject(OTHER, on="get", after=1)
    found = [answer(fake) for _ in range(3)]

    assert found == ["Broken", None, "Other"]


def test_slow_and_another_failure_strike_one_call(fake):
    """A slow create may fail as well; both rules have struck it."""
    slow = fake.inject(failures.Slow(factor=3))
    fails = fake.inject(failures.InternalExecutionError())
    never = fake.inject(OTHER, on="create", after=1)
    poller = begin_put(fake, "new-1", linux_vm())
    fake.clock.advance(80 * 3 - 1)
    before = fake.vm("new-1").provisioning_state
    fake.clock.advance(1)

    assert (before, fake.vm("new-1").provisioning_state) == ("Creating", "Failed")
    assert refusal(poller.result)[1] == "InternalExecutionError"
    assert (slow.hits, fails.hits, never.hits) == (1, 1, 0)
    never.remove()


def test_slow_delays_a_failure_that_has_seconds_of_its_own(fake):
    """The 40 seconds after which Azure gives an allocation up take longer, too."""
    fake.inject(failures.Slow(factor=3, longer=7))
    fake.inject(failures.AllocationFailed())
    begin_put(fake, "new-1", linux_vm())
    fake.clock.advance(40 * 3 + 7 - 1)
    before = fake.vm("new-1").provisioning_state
    fake.clock.advance(1)

    assert (before, fake.vm("new-1").provisioning_state) == ("Creating", "Failed")


def test_two_slow_ones_add_up(fake, web):
    """The factors of two slow rules multiply, and their seconds add up."""
    fake.inject(failures.Slow(factor=2, longer=5), on="deallocate")
    fake.inject(failures.Slow(factor=3, longer=7), on="deallocate")
    begin(fake, "deallocate", "web-1")
    fake.clock.advance(52 * 6 + 12 - 1)
    before = fake.vm("web-1").power_state
    fake.clock.advance(1)

    assert (before, fake.vm("web-1").power_state) == ("deallocating", "deallocated")


def test_what_changes_the_view_leaves_the_call_to_the_next(fake, web):
    """Two rules that change what is shown both change one answer, the first one first."""
    fake.inject(failures.MissingStatuses(kind="no power state"), on="instance_view")
    fake.inject(failures.MissingStatuses(kind="os state first"), on="instance_view")
    statuses = ASKED["instance_view"](fake).statuses

    assert [status.code for status in statuses] == [
        "OSState/generalized",
        "ProvisioningState/succeeded",
    ]


# --- what counts as struck ---------------------------------------------------------------------


def test_a_rule_does_not_count_what_azure_itself_refuses(fake, web):
    """A start that Azure refuses has not failed to allocate: the rule waits for the next one."""
    rule = fake.inject(failures.VMStartTimedOut(), on="restart")
    begin(fake, "deallocate", "web-1").result()

    assert answer(fake, "restart") == "OperationNotAllowed"
    assert (rule.hits, rule.remaining) == (0, 1)
    begin(fake, "start", "web-1").result()
    poller = ASKED["restart"](fake)
    assert refusal(poller.result)[1] == "VMStartTimedOut"
    assert rule.hits == 1


@pytest.mark.parametrize(
    ("operation", "power_state", "failure"),
    [
        ("start", "running", failures.AllocationFailed()),
        ("start", "running", failures.VMStartTimedOut()),
        ("power_off", "stopped", failures.InternalOperationError()),
        ("deallocate", "deallocated", failures.Stuck()),
    ],
    ids=repr,
)
def test_a_rule_does_not_count_what_has_nothing_to_do(fake, operation, power_state, failure):
    """A machine that is where it is to be allocates nothing, and starts nothing that could fail."""
    vm = fake.add_vm("web-1", resource_group=GROUP, power_state=power_state)
    rule = fake.inject(failure, on=operation)
    begin(fake, operation, "web-1").result()

    assert (rule.hits, vm.power_state, vm.provisioning_state) == (0, power_state, "Succeeded")
    rule.remove()


@pytest.mark.parametrize("body", [{}, changed(linux_vm(), "location", "nowhere")])
def test_a_rule_does_not_count_a_create_that_cannot_be(fake, body):
    """A create whose body Azure refuses is no create that failed."""
    rule = fake.inject(failures.AllocationFailed())
    with pytest.raises(HttpResponseError):
        begin_put(fake, "new-1", body)

    assert rule.hits == 0
    rule.remove()


def test_a_rule_counts_what_it_refuses_at_the_door(fake, web):
    """A rule that refuses strikes first: what Azure would have said is not asked."""
    rule = fake.inject(BROKEN, on="get")
    found = struck(lambda: fake.client.virtual_machines.get(GROUP, "absent"))

    assert (found, rule.hits) == ("Broken", 1)


def test_a_failure_that_cannot_happen_to_a_machine_waits_for_one_it_can(fake):
    """A failure of generalized images lets a machine with a disk of its own pass."""
    rule = fake.inject(failures.OSProvisioningInternalError())
    os_disk = {"createOption": "Attach", "osType": "Linux", "managedDisk": {"id": "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Compute/disks/own"}}  # fmt: skip
    fake.inject(OTHER, on="create")
    body = linux_vm()
    body["properties"]["storageProfile"] = {"osDisk": os_disk}
    del body["properties"]["osProfile"]

    assert struck(lambda: begin_put(fake, "own-1", body)) == "Other"
    assert rule.hits == 0
    poller = begin_put(fake, "new-1", linux_vm())
    assert refusal(poller.result)[1] == "OSProvisioningInternalError"
    assert rule.hits == 1


# --- what a failure leaves behind --------------------------------------------------------------


def state(fake):
    """Give all that a request may change."""
    return [
        (vm.name, vm.model, vm.effective_model, vm.history, vm.operation, vm.power_state, vm.bill)
        for vm in fake.vms
    ]


NOTHING_DONE = (
    BROKEN,
    failures.Throttled(retry_after=1),
    failures.ConnectionReset(),
    failures.ReadTimeout(work_done=False),
    failures.ServerError(),
)
ALL_DONE = (
    failures.ConnectionReset(work_done=True),
    failures.ReadTimeout(),
    failures.ServerError(status=500, work_done=True),
)
CHANGES = ("create", "update", "delete", "power_off", "restart", "deallocate")


def with_no_retries(fake, operation):
    """Ask for a change, and let the SDK not try again."""
    vms = fake.client.virtual_machines
    facts = (GROUP, "new-1" if operation == "create" else "web-1")
    begun = {"create": "create_or_update"}.get(operation, operation)
    if operation in ("create", "update"):
        body = linux_vm() if operation == "create" else {"tags": {"a": "b"}}
        facts = (*facts, sent(body))
    return getattr(vms, f"begin_{begun}")(*facts, retry_total=0)


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize("failure", NOTHING_DONE, ids=repr)
def test_what_is_refused_or_lost_before_changes_nothing(fake, web, operation, failure):
    """A request that is refused, or lost on its way there, changes neither models nor bills."""
    rule = fake.inject(failure, on=operation)
    before = state(fake)
    with pytest.raises((HttpResponseError, ServiceResponseError)):
        with_no_retries(fake, operation)

    assert state(fake) == before
    assert rule.hits == 1
    fake.clock.advance(hours=1)
    assert [vm.power_state for vm in fake.vms] == ["running"]


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize("failure", ALL_DONE, ids=repr)
def test_what_is_lost_after_has_done_its_work(fake, web, operation, failure):
    """A request whose answer is lost on its way back was accepted all the same, and goes on."""
    fake.inject(failure, on=operation)
    with pytest.raises((HttpResponseError, ServiceResponseError)):
        with_no_retries(fake, operation)
    vm = fake.vm("new-1" if operation == "create" else "web-1")

    assert vm.operation.operation == operation
    fake.clock.advance(hours=1)
    ends = {
        "create": "running",
        "power_off": "stopped",
        "deallocate": "deallocated",
        "delete": None,
    }
    assert vm.power_state == ends.get(operation, "running")
    assert vm.operation is None


def test_a_lost_answer_is_in_the_log(fake, web):
    """A call whose answer was lost has no status, and says so."""
    fake.inject(failures.ConnectionReset(), on="restart")
    with pytest.raises(ServiceResponseError):
        ASKED["restart"](fake)
    [call] = fake.calls

    assert (call.status, call.error_code, call.response_body) == (0, None, None)
    assert str(call) == "00:00:00 restart web-1 -> no answer"


# --- below the SDK's retry policy --------------------------------------------------------------


async def aio(fake, call):
    """Await *call* of the aio client's operations."""
    async with fake.aio_client as client:
        return await call(client.virtual_machines)


def get(fake, *, sync):
    """GET web-1 through either client."""
    if sync:
        return fake.client.virtual_machines.get(GROUP, "web-1")
    return asyncio.run(aio(fake, lambda vms: vms.get(GROUP, "web-1")))


def start(fake, *, sync):
    """Begin to start web-1 through either client."""
    if sync:
        return begin(fake, "start", "web-1")
    return asyncio.run(aio(fake, lambda vms: vms.begin_start(GROUP, "web-1")))


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "aio"])
def test_the_sdk_waits_for_retry_after_in_virtual_time(fake, web, sync):
    """A GET that is throttled twice returns after exactly twice what ``Retry-After`` says."""
    rule = fake.inject(failures.Throttled(retry_after=17), on="get", times=2)
    found = get(fake, sync=sync)

    assert found.name == "web-1"
    assert fake.clock.now_us == 34_000_000
    assert [(call.status, call.at.second) for call in fake.calls] == [
        (429, 0),
        (429, 17),
        (200, 34),
    ]
    assert rule.remaining == 0


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "aio"])
@pytest.mark.parametrize(
    "failure",
    [failures.ConnectionReset(), failures.ReadTimeout(), failures.ServerError(status=502)],
    ids=repr,
)
def test_a_get_is_retried_with_the_sdks_own_backoff(fake, web, failure, sync):
    """A GET that is lost three times is retried by the SDK's backoff, at once, then 1.6 and 3.2 s."""
    fake.inject(failure, on="get", times=3)
    found = get(fake, sync=sync)

    assert found.name == "web-1"
    assert [call.at.timestamp() - fake.calls[0].at.timestamp() for call in fake.calls] == (
        pytest.approx([0, 0, 1.6, 4.8], abs=1e-6)
    )


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "aio"])
def test_the_sdk_gives_up_in_the_end(fake, web, sync):
    """A GET that is lost for ever raises what production raises, once the SDK's retries are over."""
    rule = fake.inject(failures.ConnectionReset(), on="get", times=None)
    with pytest.raises(ServiceResponseError, match="Connection reset by peer"):
        get(fake, sync=sync)

    assert rule.hits == len(fake.calls) == 4


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "aio"])
@pytest.mark.parametrize("work_done", [True, False])
def test_a_post_is_not_retried_after_a_reset(fake, sync, work_done):
    """A start whose connection breaks is not sent again: whether it was begun is for you to see."""
    fake.add_vm("web-1", resource_group=GROUP, power_state="deallocated")
    fake.inject(failures.ConnectionReset(work_done=work_done), on="start")
    with pytest.raises(ServiceResponseError, match="Connection reset by peer"):
        start(fake, sync=sync)

    assert len(fake.calls.filter(operation="start")) == 1
    assert fake.vm("web-1").power_state == ("starting" if work_done else "deallocated")


def test_a_delete_is_retried_though_its_work_was_done(fake, web):
    """A delete whose answer is lost is sent again by the SDK, and both end together."""
    fake.inject(failures.ConnectionReset(work_done=True), on="delete")
    begin(fake, "delete", "web-1").result()

    assert [call.status for call in fake.calls.filter(operation="delete")] == [0, 202]
    assert fake.vms == ()


# --- looks at an operation ---------------------------------------------------------------------


def test_polls_are_struck_by_on_poll(fake, web):
    """A look at an operation that is throttled is put off; the operation itself goes on."""
    rule = fake.inject(failures.Throttled(retry_after=40), on="poll", vm="WEB-*", after=1)
    poller = begin(fake, "deallocate", "web-1")
    poller.result()

    assert [call.status for call in fake.calls.filter(operation="poll")] == [200, 429, 200, 200]
    assert rule.hits == 1
    assert fake.vm("web-1").power_state == "deallocated"


def test_a_poll_has_a_group_a_location_and_a_size(fake, web):
    """A look at an operation is matched by the machine that it is about."""
    rule = fake.inject(
        failures.ServerError(),
        on="poll",
        resource_group="shop",
        location="westeurope",
        size="*D2s*",
    )
    begin(fake, "restart", "web-1").result()

    assert rule.hits == 1


def test_a_poll_that_is_refused_ends_the_poller_and_not_the_operation(fake, web):
    """A poller that is refused raises; the operation ends as it would have."""
    fake.inject(failures.AuthorizationFailed(), on="poll", after=1)
    poller = begin(fake, "deallocate", "web-1")

    assert refusal(poller.result)[:2] == (403, "AuthorizationFailed")
    fake.clock.advance(hours=1)
    assert fake.vm("web-1").power_state == "deallocated"


# --- what cannot be is refused when it is declared ---------------------------------------------

EVERY_OPERATION = (
    "create, update, delete, start, power_off, restart, deallocate, redeploy, reapply, reimage, "
    "extension_create, extension_update, extension_delete, generalize, simulate_eviction, get, "
    "instance_view, list, list_all, list_by_location, poll, extension_get, extension_list"
)

# fmt: off
REFUSED = (
    (failures.AllocationFailed(), {"on": "deallocate"}, ValueError, "AllocationFailed cannot strike 'deallocate': Azure does not fail like that there. It fits create, update, start, redeploy."),
    (failures.AllocationFailed(), {"on": "list*"},      ValueError, "AllocationFailed cannot strike 'list*': Azure does not fail like that there. It fits create, update, start, redeploy."),
    (failures.AllocationFailed(), {"on": "poll"},       ValueError, "AllocationFailed cannot strike 'poll': Azure does not fail like that there. It fits create, update, start, redeploy."),
    (BROKEN,                      {"on": "stop"},       ValueError, f"there is no operation 'stop'; on= takes a pattern of these: {EVERY_OPERATION}, create_or_update, extension_create_or_update"),
    (BROKEN,                      {"on": ""},           ValueError, f"there is no operation ''; on= takes a pattern of these: {EVERY_OPERATION}, create_or_update, extension_create_or_update"),
    (BROKEN,                      {"on": "capture"},    ValueError, "ArmError on 'capture': this fake does not serve capture yet, so it never strikes"),
    (BROKEN,                      {"on": 5},            TypeError,  "on must be an operation or a pattern such as 'list*', not 5"),
    (BROKEN,                      {"times": 0},         ValueError, "times must be 1 or more (None for as often as it can), not 0"),
    (BROKEN,                      {"times": True},      TypeError,  "times must be a whole number, not True"),
    (BROKEN,                      {"times": 1.5},       TypeError,  "times must be a whole number, not 1.5"),
    (BROKEN,                      {"after": -1},        ValueError, "after must be 0 or more, not -1"),
    (BROKEN,                      {"after": "1"},       TypeError,  "after must be a whole number, not '1'"),
    (BROKEN,                      {"probability": 0},   ValueError, "probability must be more than 0, and 1 at most, not 0"),
    (BROKEN,                      {"probability": 1.5}, ValueError, "probability must be more than 0, and 1 at most, not 1.5"),
    (BROKEN,                      {"probability": float("nan")}, ValueError, "probability must be more than 0, and 1 at most, not nan"),
    (BROKEN,                      {"probability": "1"}, TypeError,  "probability must be a number, not '1'"),
    (BROKEN,                      {"probability": True}, TypeError, "probability must be a number, not True"),
    (BROKEN,                      {"vm": ""},           TypeError,  "vm must be a pattern such as 'web-*', not ''"),
    (BROKEN,                      {"size": None},       TypeError,  "size must be a pattern such as 'web-*', not None"),
    (failures.AllocationFailed,   {},                   TypeError,  "inject takes a failure such as failures.AllocationFailed(), not AllocationFailed; call it"),
    ("AllocationFailed",          {},                   TypeError,  "inject takes a failure such as failures.AllocationFailed(), not 'AllocationFailed'"),
)
# fmt: on


@pytest.mark.parametrize(("failure", "arguments", "error", "message"), REFUSED)
def test_a_rule_that_cannot_be_is_refused(fake, failure, arguments, error, message):
    """A rule that could never strike is refused when it is declared, and leaves none behind."""
    with pytest.raises(error) as caught:
        fake.inject(failure, **arguments)

    assert str(caught.value) == message
    fake.check_injections()


# fmt: off
BAD_FAILURES = (
    (failures.AllocationFailed, {"fails_after": -1},             ValueError, "AllocationFailed(fails_after=...) must be zero or more, and finite, not -1"),
    (failures.AllocationFailed, {"fails_after": "soon"},         TypeError,  "AllocationFailed(fails_after=...) must be a number of seconds, not 'soon'"),
    (failures.OSProvisioningTimedOut, {"recovers_after": -5},    ValueError, "OSProvisioningTimedOut(recovers_after=...) must be zero or more, and finite, not -5"),
    (failures.OSProvisioningTimedOut, {"recovers_after": 5, "terminal": True}, ValueError, "OSProvisioningTimedOut is either terminal, or recovers after a while: give terminal=True or recovers_after=..., not both"),
    (failures.VMStartTimedOut, {"comes_up_after": float("inf")}, ValueError, "VMStartTimedOut(comes_up_after=...) must be zero or more, and finite, not inf"),
    (failures.OperationPreempted, {"preempted_after": -1},       ValueError, "OperationPreempted(preempted_after=...) must be zero or more, and finite, not -1"),
    (failures.SpotEvicted, {"evicted_after": -1},                ValueError, "SpotEvicted(evicted_after=...) must be zero or more, and finite, not -1"),
    (failures.SpotEvicted, {"policy": "Stop"},                   ValueError, "policy 'Stop' is not one of Deallocate, Delete"),
    (failures.Slow, {"factor": 0},                               ValueError, "Slow(factor=...) must be 1 or more, and finite, not 0"),
    (failures.Slow, {"factor": -2},                              ValueError, "Slow(factor=...) must be 1 or more, and finite, not -2"),
    (failures.Slow, {"factor": float("inf")},                    ValueError, "Slow(factor=...) must be 1 or more, and finite, not inf"),
    (failures.Slow, {"factor": "twice"},                         TypeError,  "Slow(factor=...) must be a number, not 'twice'"),
    (failures.Slow, {"longer": -1},                              ValueError, "Slow(longer=...) must be zero or more, and finite, not -1"),
    (failures.GhostAfterDelete, {"seconds": -1},                 ValueError, "GhostAfterDelete(seconds=...) must be zero or more, and finite, not -1"),
    (failures.LateInList, {"seconds": -1},                       ValueError, "LateInList(seconds=...) must be zero or more, and finite, not -1"),
    (failures.Throttled, {"retry_after": -1},                    ValueError, "Throttled(retry_after=...) must be zero or more, and finite, not -1"),
    (failures.Throttled, {"retry_after": 1.5},                   TypeError,  "Throttled(retry_after=...) must be whole seconds, not 1.5"),
    (failures.SubscriptionRequestsThrottled, {"retry_after": -1}, ValueError, "SubscriptionRequestsThrottled(retry_after=...) must be zero or more, and finite, not -1"),
    (failures.ServerError, {"status": 404},                      ValueError, "ServerError takes one of 500, 502, 503, 504, not 404; failures.ArmError takes any"),
    (failures.GarbledBody, {"kind": "odd"},                      ValueError, "kind 'odd' is not one of truncated, empty, html"),
    (failures.MissingStatuses, {"kind": "odd"},                  ValueError, "kind 'odd' is not one of none, null, no instance view, no power state, unknown power state, empty code, os state first, hibernation state last"),
    (failures.ArmError, {"phase": "later"},                      ValueError, "phase 'later' is not one of refused, failed, recovering, preempted"),
    (failures.ArmError, {"phase": "slow"},                       ValueError, "ArmError takes phase refused, failed, recovering, preempted: for 'slow' there are failures of their own, such as Stuck, ServerError, MissingStatuses and Slow"),
    (failures.ArmError, {"status": 200},                         ValueError, "status must be that of an error, 400 to 599, not 200"),
    (failures.ArmError, {"status": "409"},                       TypeError,  "status must be an HTTP status such as 409, not '409'"),
    (failures.ArmError, {"code": ""},                            TypeError,  "ArmError takes a code and a message, both text"),
    (failures.ArmError, {"message": None},                       TypeError,  "ArmError takes a code and a message, both text"),
    (failures.ArmError, {"fails_after": 5},                      ValueError, "fails_after goes with an operation that is accepted, not refused"),
    (failures.ArmError, {"recovers_after": 5},                   ValueError, "recovers_after goes with phase='recovering' only"),
    (failures.ArmError, {"phase": "failed", "recovers_after": 5}, ValueError, "recovers_after goes with phase='recovering' only"),
    (failures.ArmError, {"phase": "recovering"},                 ValueError, "phase='recovering' takes recovers_after, in seconds"),
    (failures.ArmError, {"phase": "failed", "fails_after": -1},  ValueError, "ArmError(fails_after=...) must be zero or more, and finite, not -1"),
)
# fmt: on


@pytest.mark.parametrize(("kind", "arguments", "error", "message"), BAD_FAILURES)
def test_a_failure_that_cannot_be_is_refused(kind, arguments, error, message):
    """A failure whose arguments cannot be says which, where it is made."""
    if kind is failures.ArmError:
        arguments = {"code": "Broken", "message": "It is broken.", **arguments}
    with pytest.raises(error) as caught:
        kind(**arguments)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    "member",
    [
        {"target": "t"},
        {"details": [{"code": "d", "message": "m"}]},
        {"headers": {"Retry-After": "1"}},
    ],
    ids=str,
)
def test_what_only_a_refusal_tells(member):
    """An operation's document has a code and a message: what it would not tell is not taken."""
    with pytest.raises(ValueError, match="phase='refused' only: an operation"):
        failures.ArmError("X", "It failed.", phase="failed", **member)


@pytest.mark.parametrize("phase", ["failed", "recovering", "preempted"])
def test_an_error_of_an_accepted_operation_fits_no_read(fake, phase):
    """An ``ArmError`` that comes later is refused where nothing is accepted that could fail."""
    recovers = {"recovers_after": 5} if phase == "recovering" else {}
    with pytest.raises(ValueError, match=r"ArmError cannot strike 'get'.* It fits create, update"):
        fake.inject(failures.ArmError("Broken", "It is.", phase=phase, **recovers), on="get")


# --- at the end of a strict fake ---------------------------------------------------------------

NEXT_MOVE = (
    "Let the code under test make such a call, mend the condition, or take the rule back "
    "(injection.remove()). strict=False asks for nothing."
)


def end_of(fake):
    """Give what a strict fake says at its end."""
    with pytest.raises(InjectionNeverStruck) as caught:
        fake.check_injections()
    return str(caught.value)


@pytest.fixture
def strict():
    """Give a fake that a test asks itself, and that does not ask at its end."""
    fake = FakeCompute()
    fake.__enter__()
    fake.add_vm("web-1", resource_group=GROUP)
    yield fake
    fake.close()


def test_the_end_says_what_was_never_asked(strict):
    """Where no request came, the message says so."""
    strict.inject(failures.AllocationFailed(), on="start", vm="web-*", after=1)

    assert end_of(strict) == (
        "AllocationFailed() was injected and never struck. It waited for 'start', vm='web-*', after=1.\n"
        "No request reached the fake after it was injected.\n" + NEXT_MOVE
    )


def test_the_end_names_the_nearest_calls(strict):
    """Where other requests came, the three that came nearest are named, and what they lacked."""
    strict.inject(failures.AllocationFailed(), on="start", vm="db-*", size="Standard_E*")
    vms = strict.client.virtual_machines
    vms.get(GROUP, "web-1")
    list(vms.list_all())
    begin(strict, "start", "web-1")
    strict.clock.advance(minutes=5)
    vms.get(GROUP, "web-1")

    assert end_of(strict) == (
        "AllocationFailed() was injected and never struck. It waited for 'start', vm='db-*', size='Standard_E*'.\n"
        "The requests that came nearest:\n"
        "  00:00:00 start web-1: the VM is web-1, not 'db-*'; the size is Standard_D2s_v5, not 'Standard_E*'\n"
        "  00:00:00 get web-1: the operation is not 'start'; the VM is web-1, not 'db-*'; the size is Standard_D2s_v5, not 'Standard_E*'\n"
        "  00:00:00 list_all: the operation is not 'start'; it names no VM; it names no size\n"
        + NEXT_MOVE
    )


def test_the_end_names_a_call_to_which_it_cannot_happen(strict):
    """A call of the right operation to which the failure cannot happen is among the nearest."""
    strict.inject(failures.SpotEvicted())
    begin_put(strict, "new-1", linux_vm())

    assert "  00:00:00 create new-1: it is no Spot VM, and only those are evicted\n" in end_of(
        strict
    )


@pytest.mark.parametrize(
    ("window", "waited_for", "asked", "why"),
    [
        ({"after": 1}, ", after=1", 1, "1 request met that condition, to no effect: after=1 lets the first 1 pass."),
        ({"after": 3}, ", after=3", 2, "2 requests met that condition, to no effect: after=3 lets the first 3 pass."),
        ({}, "", 2, "2 requests met that condition, to no effect: Azure itself refused them, they had nothing to do, or they showed nothing that it could change."),
        ({"probability": 1e-9}, ", probability=1e-09", 1, "1 request met that condition, to no effect: by chance (probability=1e-09) it struck none; or Azure itself refused them, they had nothing to do, or they showed nothing that it could change."),
    ],
)  # fmt: skip
def test_the_end_says_why_what_met_the_condition_was_let_pass(
    strict, window, waited_for, asked, why
):
    """Where requests met the condition to no effect, the message says what may have let them pass."""
    strict.inject(failures.MissingStatuses(kind="none"), on="get", **window)
    for _ in range(asked):
        strict.client.virtual_machines.get(GROUP, "web-1")  # shows no statuses

    assert end_of(strict) == (
        "MissingStatuses(kind='none') was injected and never struck. It waited for 'get'"
        f"{waited_for}.\n{why}\n{NEXT_MOVE}"
    )


def test_the_end_names_every_rule_that_never_struck(strict):
    """Each rule that never struck is told of, and none that did."""
    strict.inject(BROKEN, on="get")
    strict.inject(failures.Stuck())
    strict.inject(failures.Conflict())
    with pytest.raises(HttpResponseError):
        ASKED["get"](strict)
    told = [line for line in end_of(strict).splitlines() if "never struck" in line]

    assert told == [
        "Stuck() was injected and never struck. It waited for 'create'.",
        "Conflict() was injected and never struck. It waited for 'update'.",
    ]


def test_leaving_a_strict_fake_asks():
    """Leaving a fake is an error while a failure has never struck; the fake is closed all the same."""
    with (
        pytest.raises(InjectionNeverStruck, match=r"Stuck\(\) was injected"),
        FakeCompute() as fake,
    ):
        fake.inject(failures.Stuck())
    with FakeCompute():  # it stands in nobody's way
        pass


def test_leaving_by_an_error_does_not_ask():
    """An exception that ends the fake's block is not hidden by rules that never struck."""
    fake = FakeCompute()
    fake.inject(failures.Stuck())
    with pytest.raises(ZeroDivisionError), fake:
        raise ZeroDivisionError


def test_a_fake_that_is_not_strict_does_not_ask():
    """With ``strict=False`` a failure may never strike."""
    with FakeCompute(strict=False) as fake:
        rule = fake.inject(failures.Stuck())

    assert rule.hits == 0


def test_a_reset_drops_the_rules(fake, web):
    """A reset drops every rule: it strikes no more, and is not asked about."""
    rule = fake.inject(BROKEN, on="get")
    fake.reset()
    fake.add_vm("web-1", resource_group=GROUP)

    assert answer(fake) is None
    assert rule.hits == 0
    fake.check_injections()


def test_a_fake_entered_anew_has_no_rules():
    """A fake that is entered again after its end has dropped its rules."""
    fake = FakeCompute()
    with fake:
        fake.inject(BROKEN, on="get")
        assert answer(fake) == "Broken"
        fake.inject(BROKEN, on="get").remove()
    with fake:
        fake.add_vm("web-1", resource_group=GROUP)
        assert answer(fake) is None


def test_a_rule_that_removes_nothing_else(fake, web):
    """Taking one rule back leaves a like one in force."""
    first = fake.inject(BROKEN, on="get")
    fake.inject(BROKEN, on="get")
    first.remove()

    assert answer(fake) == "Broken"
    assert first.hits == 0


def test_a_failed_operation_is_told_by_its_document(fake):
    """An accepted operation that fails ends so in an HTTP 200 answer, with Azure's code."""
    fake.inject(failures.AllocationFailed())
    poller = begin_put(fake, "new-1", linux_vm())
    with pytest.raises(HttpResponseError):
        poller.result()
    [document] = polled(fake, "Failed")

    assert document["error"]["code"] == "AllocationFailed"
    assert fake.vm("new-1").provisioning_state == "Failed"


@pytest.mark.parametrize("failure", [failures.OSProvisioningTimedOut(), failures.SpotEvicted()])
@pytest.mark.parametrize(
    "body",
    [
        {"location": "westeurope", "properties": "x"},
        {"location": "westeurope", "properties": {"storageProfile": "x", "osProfile": {}}},
        {"location": "westeurope", "properties": {"storageProfile": {"osDisk": "x"}}},
        {"location": 7, "properties": None, "resources": ["x"]},
        ["x"],
    ],
)
def test_a_body_that_cannot_be_is_azures_to_refuse(fake, failure, body):
    """Whatever a body is, a rule looks at it without harm, and Azure refuses it."""
    rule = fake.inject(failure, on="create", size="*", location="*")
    answer = refusal(lambda: begin_put(fake, "new-1", body))

    assert answer[0] == 400
    assert rule.hits == 0
    rule.remove()


def test_a_rule_that_an_earlier_one_kept_from_striking_says_so(strict):
    """Where an earlier rule has every call, the later one's account names it."""
    strict.inject(BROKEN, on="get", times=None)
    strict.inject(OTHER, on="get")
    answer(strict)

    assert "get web-1: ArmError(" in end_of(strict)
    assert "declared earlier, had it" in end_of(strict)


def test_the_base_of_all_failures_is_none():
    """Failure itself cannot be injected."""
    with FakeCompute() as fake, pytest.raises(TypeError, match="takes a failure such as"):
        fake.inject(failures.Failure())
