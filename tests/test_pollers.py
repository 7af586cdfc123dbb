"""The SDK's pollers in full: sync and aio, well-behaved and not, waited for and dropped."""

from __future__ import annotations

import _thread
import asyncio
import gc
import hashlib
import inspect
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime, timezone
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.polling import LROPoller, PollingMethod
from azure.core.rest import HttpRequest
from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient
from azure.mgmt.compute.models import VirtualMachine
from azure.mgmt.core.polling.arm_polling import ARMPolling
from azure.mgmt.core.polling.async_arm_polling import AsyncARMPolling as AzureAsyncARMPolling

from pytest_azurevm import ClockStalled, FakeClosed, FakeCompute, PollerLeftRunningWarning
from pytest_azurevm._fake import SUBSCRIPTION_ID
from pytest_azurevm._transport import AsyncFakeCredential
from tests.builders import linux_vm
from tests.runs import chosen, run

# A deallocation takes 52 s. Looks are due at 0, at 36 (the first answer's Retry-After) and 30 s
# later (the SDK's own interval), so that its poller is done after this many seconds.
DEALLOCATED = 66
# A power off takes 9.5 s, and its answers have no Retry-After: looks at 0 and at 30.
POWERED_OFF = 30
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class CallbackError(Exception):
    """What a done-callback of these tests raises."""


@pytest.fixture
def vms(fake):
    """Give the client's operations on virtual machines, of which there is web-1, running."""
    fake.add_vm("web-1")
    return fake.client.virtual_machines


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C interrupt, as at a terminal: whoever starts a run in the background takes that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield _thread.interrupt_main
    signal.signal(signal.SIGINT, before)


def seconds(fake: FakeCompute) -> float:
    """Give the virtual seconds that have passed."""
    return fake.clock.now_us / 1_000_000


def looks(fake: FakeCompute) -> list[float]:
    """Give the virtual seconds at which a poller looked at its operation."""
    polls = fake.calls.filter(operation="poll")
    # The last look is followed by one at the Location URL, for the result.
    found = [call.at for call in polls if "monitor=true" not in call.url]
    return [(at - START).total_seconds() for at in found]


def polling_threads() -> list[str]:
    """Give the names of the polling threads there are."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("LROPoller")]


# --- done, status, result, wait ----------------------------------------------------------------


def test_done_and_status_second_by_second(fake, vms):
    """A poller is in progress until the look that finds the end, and then succeeded and done."""
    poller = vms.begin_deallocate("rg", "web-1")
    seen = []
    for second in range(DEALLOCATED + 5):
        now = (poller.done(), poller.status())
        if not seen or now != seen[-1][1]:
            seen.append((second, now))
        fake.clock.advance(1)

    assert seen == [(0, (False, "InProgress")), (DEALLOCATED, (True, "Succeeded"))]


def test_a_result_is_the_resource(fake, vms):
    """What a create gives is the SDK's model of what there is at its end; a power off's is None."""
    made = vms.begin_create_or_update("rg", "web-2", linux_vm()).result()

    assert isinstance(made, VirtualMachine)
    assert (made.name, made.provisioning_state) == ("web-2", "Succeeded")
    assert vms.begin_power_off("rg", "web-2").result() is None


def test_a_result_may_be_asked_for_again(fake, vms):
    """Waiting for what is over takes no time, and gives the same."""
    poller = vms.begin_update("rg", "web-1", {"tags": {"a": "1"}})
    first, at = poller.result(), seconds(fake)
    again = poller.result()
    poller.wait()
    poller.wait(10)

    assert (first.tags, again.tags, seconds(fake)) == ({"a": "1"}, {"a": "1"}, at)


@pytest.mark.parametrize(
    ("timeout", "done"),
    [(0, False), (10, False), (DEALLOCATED - 0.000001, False), (DEALLOCATED, True)],
)
def test_wait_takes_its_timeout_to_the_microsecond(fake, vms, timeout, done):
    """wait(timeout) comes back after exactly that, having seen what falls due at that instant."""
    poller = vms.begin_deallocate("rg", "web-1")
    poller.wait(timeout)

    assert (seconds(fake), poller.done()) == (timeout, done)


def test_wait_comes_back_when_the_operation_ends(fake, vms):
    """A longer timeout than needed is not waited for."""
    poller = vms.begin_deallocate("rg", "web-1")
    poller.wait(3_600)

    assert (seconds(fake), poller.done(), poller.status()) == (DEALLOCATED, True, "Succeeded")


def test_a_result_with_a_timeout_gives_what_there_is(fake, vms):
    """result(timeout) comes back in the middle, and a later result() waits on."""
    poller = vms.begin_deallocate("rg", "web-1")
    early = poller.result(10), seconds(fake), poller.done()
    late = poller.result(), seconds(fake), poller.done()

    assert (early, late) == ((None, 10, False), (None, DEALLOCATED, True))


def test_several_threads_may_wait_for_one_poller(fake, vms):
    """Whoever waits for a poller comes back at its instant, however many there are."""
    poller = vms.begin_deallocate("rg", "web-1")

    def work(_: int) -> tuple[float, str]:
        poller.result()
        return seconds(fake), poller.status()

    with ThreadPoolExecutor(5) as pool:
        ends = list(pool.map(work, range(5)))

    assert ends == [(DEALLOCATED, "Succeeded")] * 5


def test_waiters_for_one_poller_go_on_one_after_another():
    """Of several threads that wait for one poller, the next goes on once the last one rests."""
    for _ in range(5):
        went = []
        with FakeCompute() as fake, ThreadPoolExecutor(5) as pool:
            fake.add_vm("web-1")
            poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")

            def work(number: int, poller: Any = poller, went: list[int] = went) -> None:
                poller.result()
                went.append(number)
                hashlib.pbkdf2_hmac("sha256", b"a", b"b", 20_000)  # lets others run meanwhile
                went.append(number)

            list(pool.map(work, range(5)))

        assert went[::2] == went[1::2]


def test_a_callback_and_the_test_may_wait_for_one_poller():
    """A done-callback that waits for the poller that the test waits for goes on before the test."""
    ran = []
    for _ in range(20):
        with FakeCompute() as fake:
            vms = fake.client.virtual_machines
            fake.add_vm("web-1")
            fake.add_vm("web-2")
            first, second = vms.begin_power_off("rg", "web-1"), vms.begin_deallocate("rg", "web-2")

            def callback(_: object, vms: Any = vms, second: Any = second) -> None:
                second.result()
                vms.begin_start("rg", "web-2")

            first.add_done_callback(callback)
            second.result()
            ran.append((fake.vm("web-2").power_state, seconds(fake)))

    assert ran == [("starting", DEALLOCATED)] * 20


def test_pollers_of_the_instant_have_looked_when_a_wait_comes_back(fake, vms):
    """Whoever has waited for one poller finds others done that end at the same instant."""
    pollers = [vms.begin_deallocate("rg", fake.add_vm(f"many-{n}").name) for n in range(5)]
    pollers[0].result()

    assert [poller.done() for poller in pollers] == [True] * 5


def test_a_failed_operation_raises_in_result_and_is_done(fake, vms):
    """An operation that is canceled raises what Azure says in result() and wait(), each time."""
    poller = vms.begin_deallocate("rg", "web-1")
    fake.vm("web-1").cancel_operation()
    for wait in (poller.result, poller.wait, poller.result):
        with pytest.raises(HttpResponseError) as caught:
            wait()

    assert (caught.value.error.code, poller.status(), poller.done()) == (
        "OperationCanceled",
        "Canceled",
        True,
    )
    assert caught.value.continuation_token


def test_an_operation_that_never_ends_stalls_whoever_waits():
    """With autojump=False, waiting says who waits for which request, and takes no time."""
    with FakeCompute(autojump=False) as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        with pytest.raises(ClockStalled, match=r"MainThread waits for POST .*/web-1/deallocate"):
            poller.wait()

        assert (seconds(fake), poller.done()) == (0, False)


# --- done-callbacks ----------------------------------------------------------------------------


def test_callbacks_run_in_order_at_the_instant(fake, vms):
    """Callbacks run in the order in which they were added, at the poller's instant, done set."""
    ran = []
    poller = vms.begin_deallocate("rg", "web-1")
    for name in ("first", "second", "third"):
        poller.add_done_callback(
            lambda method, name=name: ran.append((name, method.status(), seconds(fake)))
        )
    fake.clock.advance(DEALLOCATED - 0.000001)
    before = list(ran)
    fake.clock.advance(1)

    assert before == []
    assert ran == [(name, "Succeeded", DEALLOCATED) for name in ("first", "second", "third")]


def test_callbacks_of_one_instant_run_in_order_of_their_pollers(fake, vms):
    """Where pollers end at one instant, the one begun first calls back first."""
    ran = []
    for number in range(10):
        fake.add_vm(f"many-{number}")
        poller = vms.begin_deallocate("rg", f"many-{number}")
        poller.add_done_callback(lambda _, number=number: ran.append(number))
    fake.clock.advance(minutes=2)

    assert ran == list(range(10))


def test_a_callback_may_sleep(fake, vms):
    """A callback that sleeps has slept when advance returns, which is as much later."""
    woken = []
    poller = vms.begin_deallocate("rg", "web-1")

    def callback(_: object) -> None:
        time.sleep(60)
        woken.append(seconds(fake))

    poller.add_done_callback(callback)
    fake.clock.advance(DEALLOCATED)

    assert (woken, seconds(fake), poller.done()) == ([DEALLOCATED + 60], DEALLOCATED + 60, True)


def test_a_poller_is_not_done_while_its_callback_runs(fake, vms):
    """As in production, done() is true once the last callback is over."""
    poller = vms.begin_deallocate("rg", "web-1")
    seen = []
    poller.add_done_callback(lambda _: seen.append((poller.done(), poller.status())))
    poller.result()
    seen.append((poller.done(), poller.status()))

    assert seen == [(False, "Succeeded"), (True, "Succeeded")]


def test_a_callback_may_begin_without_waiting(fake, vms):
    """What a callback begins starts at its instant, and goes on by itself."""
    begun = []
    poller = vms.begin_deallocate("rg", "web-1")
    poller.add_done_callback(lambda _: begun.append(vms.begin_start("rg", "web-1")))
    fake.clock.advance(DEALLOCATED)
    during = fake.vm("web-1").power_state, fake.vm("web-1").operation.started_at, begun[0].done()
    fake.clock.advance(minutes=2)

    assert during == ("starting", fake.calls.filter(operation="start")[0].at, False)
    assert (fake.vm("web-1").power_state, begun[0].done()) == ("running", True)


def test_a_chain_of_callbacks_is_lived_through_in_one_advance(fake, vms):
    """A callback whose operation has a callback that begins one, and so on, ends in one advance."""
    left = iter([vms.begin_start, vms.begin_power_off, vms.begin_start, vms.begin_deallocate])

    def following(_: object) -> None:
        begin = next(left, None)
        if begin is not None:
            begin("rg", "web-1").add_done_callback(following)

    vms.begin_power_off("rg", "web-1").add_done_callback(following)
    fake.clock.advance(hours=1)

    assert [call.operation for call in fake.calls if call.operation != "poll"] == [
        "power_off", "start", "power_off", "start", "deallocate",
    ]  # fmt: skip
    assert (fake.vm("web-1").power_state, polling_threads()) == ("deallocated", [])


def test_a_callback_may_add_another(fake, vms):
    """A callback added by a callback runs as well, as in production."""
    ran = []
    poller = vms.begin_deallocate("rg", "web-1")
    poller.add_done_callback(lambda _: poller.add_done_callback(lambda _: ran.append("added")))
    poller.result()

    assert "added" in ran


def test_a_callback_may_advance(fake, vms):
    """A callback that moves time itself is over, and time where it moved it to, afterwards."""
    poller = vms.begin_deallocate("rg", "web-1")
    poller.add_done_callback(lambda _: fake.clock.advance(hours=1))
    poller.result()

    assert seconds(fake) == DEALLOCATED + 3_600


MOVES: dict[str, Callable[[FakeCompute, LROPoller[Any]], object]] = {
    "advance": lambda fake, _: fake.clock.advance(minutes=5),
    "advance_to": lambda fake, _: fake.clock.advance_to("2026-01-01T01:00:00Z"),
    "run_until_idle": lambda fake, _: fake.clock.run_until_idle(),
    "wait": lambda _, poller: poller.wait(),
    "wait with a timeout": lambda _, poller: poller.wait(600),
    "result": lambda _, poller: poller.result(),
}


@pytest.mark.parametrize("move", MOVES)
def test_what_a_callback_raises_surfaces_where_time_was_moved(fake, vms, move):
    """A callback's own exception, the very object, is raised to whoever moved time."""
    error = CallbackError("mine")
    poller = vms.begin_deallocate("rg", "web-1")
    poller.add_done_callback(_raiser(error))
    with pytest.raises(CallbackError) as caught:
        MOVES[move](fake, poller)

    assert caught.value is error
    assert (poller.done(), poller.status(), poller.result()) == (True, "Succeeded", None)


def test_what_a_callback_raises_surfaces_in_whoever_waits_for_another_poller(fake, vms):
    """Whichever wait moved time, it is told what a callback raised on the way."""
    fake.add_vm("web-2")
    vms.begin_power_off("rg", "web-1").add_done_callback(_raiser(CallbackError("mine")))
    other = vms.begin_deallocate("rg", "web-2")
    with pytest.raises(CallbackError, match="mine"):
        other.result()

    assert other.done()


def test_what_a_callback_raises_surfaces_at_the_end_at_the_latest():
    """Where nobody who moved time could be told, the end of the fake raises it."""
    error = CallbackError("mine")

    def life() -> None:
        with FakeCompute() as fake:
            fake.add_vm("web-1")
            poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
            poller.add_done_callback(_raiser(error))
            time.sleep(DEALLOCATED + 1)

    with pytest.raises(CallbackError) as caught:
        life()

    assert caught.value is error
    assert polling_threads() == []


def test_what_two_callbacks_raise_surfaces_one_after_the_other(fake, vms):
    """No callback's exception is lost: each is raised once, the earlier one first."""
    fake.add_vm("web-2")
    for name in ("web-1", "web-2"):
        vms.begin_deallocate("rg", name).add_done_callback(_raiser(CallbackError(name)))
    for name in ("web-1", "web-2"):
        with pytest.raises(CallbackError, match=name):
            fake.clock.advance(minutes=5)
    fake.clock.advance(minutes=5)


def test_a_callback_that_raises_keeps_later_ones_from_running(fake, vms):
    """As in production: the SDK's thread ends with the first callback that raises."""
    ran = []
    poller = vms.begin_deallocate("rg", "web-1")
    poller.add_done_callback(_raiser(CallbackError("mine")))
    poller.add_done_callback(ran.append)
    with pytest.raises(CallbackError):
        poller.result()

    assert (ran, poller.done()) == ([], True)


def test_after_a_callback_has_raised_life_goes_on(fake, vms):
    """Other pollers and the machines are none the worse for it."""
    fake.add_vm("web-2")
    vms.begin_power_off("rg", "web-1").add_done_callback(_raiser(CallbackError("mine")))
    other = vms.begin_deallocate("rg", "web-2")
    with pytest.raises(CallbackError):
        fake.clock.advance(POWERED_OFF)
    other.result()
    vms.begin_start("rg", "web-1").result()

    assert [vm.power_state for vm in fake.vms] == ["running", "deallocated"]


def test_a_failed_assertion_in_a_callback_fails_the_test(pytester):
    """In pytest, what a callback asserts is asserted by the test that moved time."""
    pytester.makepyfile(
        """
        def test_it(fake_compute):
            fake_compute.add_vm("web-1")
            poller = fake_compute.client.virtual_machines.begin_deallocate("rg", "web-1")

            def callback(_):
                assert fake_compute.vm("web-1").power_state == "gone"

            poller.add_done_callback(callback)
            poller.result()
        """
    )
    result = pytester.runpytest_inprocess(*chosen())

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *AssertionError: assert 'deallocated' == 'gone'"])


def test_a_callback_added_after_the_end_runs_at_once(fake, vms):
    """It runs in the thread that adds it, before add_done_callback returns."""
    poller = vms.begin_deallocate("rg", "web-1")
    poller.result()
    ran = []
    poller.add_done_callback(lambda _: ran.append(threading.current_thread()))

    assert (ran, seconds(fake)) == ([threading.current_thread()], DEALLOCATED)


def test_a_callback_added_after_the_end_raises_to_whoever_adds_it(fake, vms):
    """There, its exception is nobody else's affair, and surfaces nowhere again."""
    poller = vms.begin_deallocate("rg", "web-1")
    poller.result()
    with pytest.raises(CallbackError, match="mine"):
        poller.add_done_callback(_raiser(CallbackError("mine")))
    fake.clock.advance(hours=1)

    assert poller.done()


def test_a_removed_callback_does_not_run(fake, vms):
    """remove_done_callback takes one of several off."""
    ran = []
    poller = vms.begin_deallocate("rg", "web-1")

    def removed(_: object) -> None:
        ran.append("removed")

    poller.add_done_callback(removed)
    poller.add_done_callback(lambda _: ran.append("kept"))
    poller.remove_done_callback(removed)
    poller.result()

    assert ran == ["kept"]
    with pytest.raises(ValueError, match="Process is complete"):
        poller.remove_done_callback(removed)


# --- continuation tokens -----------------------------------------------------------------------


def test_a_token_follows_the_operation_on(fake, vms):
    """Another poller, made of the first one's token, follows the operation that is in flight."""
    first = vms.begin_deallocate("rg", "web-1")
    token = first.continuation_token()
    fake.clock.advance(10)
    second = vms.begin_deallocate("rg", "web-1", continuation_token=token)
    begun = second.status(), second.done(), len(fake.calls.filter(operation="deallocate"))
    second.result()

    assert begun == ("InProgress", False, 1)
    # Its looks are at 10, at 40 (no Retry-After any more), and at 70.
    assert (seconds(fake), second.status(), first.done()) == (70, "Succeeded", True)


def test_a_token_gives_the_resource(fake, vms):
    """The result of a poller made of a create's token is the VM."""
    token = vms.begin_create_or_update("rg", "web-2", linux_vm()).continuation_token()
    poller = vms.begin_create_or_update("rg", "web-2", {}, continuation_token=token)
    made = poller.result()

    assert (made.name, made.provisioning_state) == ("web-2", "Succeeded")
    assert len(fake.calls.filter(operation="create")) == 1


def test_a_token_of_what_is_over_is_done_at_the_first_look(fake, vms):
    """A token may be used after the end: one look finds it, and no time passes."""
    poller = vms.begin_deallocate("rg", "web-1")
    token = poller.continuation_token()
    poller.result()
    again = vms.begin_deallocate("rg", "web-1", continuation_token=token)

    assert (again.done(), again.status(), seconds(fake)) == (True, "Succeeded", DEALLOCATED)


def test_a_token_of_another_fake_is_unknown():
    """An operation of another life is a 404 in result(), as an expired one is in Azure."""
    with FakeCompute(seed=5) as other:
        other.add_vm("web-1")
        poller = other.client.virtual_machines.begin_deallocate("rg", "web-1")
        token = poller.continuation_token()
        poller.result()
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        vms = fake.client.virtual_machines
        poller = vms.begin_deallocate("rg", "web-1", continuation_token=token)
        with pytest.raises(HttpResponseError) as caught:
            poller.result()

    assert caught.value.status_code == 404


def test_a_token_goes_between_the_clients(fake, vms):
    """The aio client follows what the sync one began."""
    token = vms.begin_deallocate("rg", "web-1").continuation_token()

    async def life() -> str:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate(
                "rg", "web-1", continuation_token=token
            )
            await poller.result()
            return poller.status()

    assert asyncio.run(life()) == "Succeeded"
    assert len(fake.calls.filter(operation="deallocate")) == 1


# --- polling=False, polling_interval, cls ------------------------------------------------------


def test_without_polling_nobody_looks(fake, vms):
    """With polling=False the poller is done at once, and the operation goes on by itself."""
    poller = vms.begin_deallocate("rg", "web-1", polling=False)
    begun = poller.done(), poller.status(), poller.result(), fake.vm("web-1").power_state
    fake.clock.advance(minutes=5)

    assert begun == (True, "succeeded", None, "deallocating")
    assert (fake.vm("web-1").power_state, looks(fake)) == ("deallocated", [])


def test_without_polling_the_result_is_the_first_answer(fake, vms):
    """A create's poller that does not poll gives the VM as it is being created."""
    made = vms.begin_create_or_update("rg", "web-2", linux_vm(), polling=False).result()

    assert (made.provisioning_state, seconds(fake)) == ("Creating", 0)


def test_the_polling_interval_holds_where_azure_names_none(fake, vms):
    """polling_interval=5 looks every five seconds at an operation without Retry-After."""
    vms.begin_power_off("rg", "web-1", polling_interval=5).result()

    assert looks(fake) == [0, 5, 10]


def test_retry_after_goes_before_the_polling_interval(fake, vms):
    """Where Azure sends a Retry-After the next look is then, and later ones at the interval."""
    vms.begin_deallocate("rg", "web-1", polling_interval=5).result()

    assert looks(fake) == [0, 36, 41, 46, 51, 56]


def test_a_polling_interval_of_a_fraction_is_exact(fake, vms):
    """Looks at an interval of 0.1 s end when the operation does, not an instant later."""
    poller = vms.begin_power_off("rg", "web-1", polling_interval=0.1)
    poller.result()

    assert (seconds(fake), len(looks(fake))) == (9.5, 96)


def test_cls_makes_the_result(fake, vms):
    """What cls= makes of the last answer is the result."""
    poller = vms.begin_update(
        "rg",
        "web-1",
        {"tags": {"a": "1"}},
        cls=lambda answer, vm, _headers: (answer.http_response.status_code, vm.tags),
    )

    assert poller.result() == (200, {"a": "1"})


def test_cls_that_raises_raises_in_result(fake, vms):
    """An exception of cls= is raised where the result is asked for."""
    poller = vms.begin_update("rg", "web-1", {"tags": {}}, cls=_raiser(CallbackError("cls")))
    poller.wait()
    with pytest.raises(CallbackError, match="cls"):
        poller.result()


# --- polling methods of one's own --------------------------------------------------------------


class EverySeven(ARMPolling):
    """Look every seven seconds, whatever Azure says, and note what was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _extract_delay(self) -> float:
        return 7

    def update_status(self) -> None:
        """Look."""
        super().update_status()
        self.seen.append(self.status())


def test_a_polling_method_made_from_arms_is_followed(fake, vms):
    """A subclass of ARMPolling decides when to look; the clock follows it."""
    method = EverySeven()
    poller = vms.begin_deallocate("rg", "web-1", polling=method)
    begun = seconds(fake), poller.done(), poller.polling_method() is method
    poller.result()

    assert begun == (0, False, True)
    assert looks(fake) == [7 * n for n in range(9)]  # 52 s are over at 56
    assert method.seen == ["InProgress"] * 8 + ["Succeeded"]


class Own(PollingMethod[str]):
    """Everything by hand: look at the operation's URL, sleep, and look again."""

    def __init__(self, sleep: Callable[[Any, float], None]) -> None:
        self._sleep = sleep
        self._status = "Unknown"

    def initialize(self, client: Any, initial_response: Any, _: Any) -> None:
        """Take the operation's URL from the first answer."""
        self._client = client
        self._url = initial_response.http_response.headers["Azure-AsyncOperation"]

    def run(self) -> None:
        """Look until it is over."""
        while not self.finished():
            answer = self._client.send_request(HttpRequest("GET", self._url))
            self._status = answer.json()["status"]
            if not self.finished():
                self._sleep(self._client, 20)

    def status(self) -> str:
        """Give what was seen last."""
        return self._status

    def finished(self) -> bool:
        """Whether it is over."""
        return self._status in ("Succeeded", "Failed", "Canceled")

    def resource(self) -> str:
        """Give the result."""
        return f"it has {self._status.lower()}"


SLEEPS: dict[str, Callable[[Any, float], None]] = {
    "the transport's": lambda client, span: client._pipeline._transport.sleep(span),
    "time.sleep": lambda _, span: time.sleep(span),
}


@pytest.mark.parametrize("sleep", SLEEPS)
def test_a_polling_method_written_from_scratch_works(fake, vms, sleep):
    """One that sleeps by the transport or by time.sleep is done at its instant."""
    poller = vms.begin_deallocate("rg", "web-1", polling=Own(SLEEPS[sleep]))
    begun = seconds(fake), poller.done(), poller.status(), fake.vm("web-1").power_state
    result = poller.result()

    assert begun == (0, False, "InProgress", "deallocating")
    assert (result, looks(fake)) == ("it has succeeded", [0, 20, 40, 60])


@pytest.mark.parametrize("sleep", SLEEPS)
def test_a_polling_method_that_sleeps_does_not_move_time_by_itself(fake, vms, sleep):
    """Beginning never moves time: a poller's thread only looks, and nobody waits for it yet."""
    poller = vms.begin_deallocate("rg", "web-1", polling=Own(SLEEPS[sleep]))
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 300_000)  # busy, and not in Python, for a moment

    assert (seconds(fake), poller.done(), fake.vm("web-1").power_state) == (
        0,
        False,
        "deallocating",
    )


@pytest.mark.parametrize("autojump", [True, False])
@pytest.mark.parametrize("sleep", SLEEPS)
def test_a_polling_method_of_ones_own_obeys_the_test(sleep, autojump):
    """It looks when the test lets time pass, as far as that goes, and not before."""
    with FakeCompute(autojump=autojump) as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_deallocate(
            "rg", "web-1", polling=Own(SLEEPS[sleep])
        )
        fake.clock.advance(59.999999)
        before = poller.done(), looks(fake)
        fake.clock.advance(0.000001)

        assert (before, poller.done()) == ((False, [0, 20, 40]), True)


def test_a_polling_method_that_never_sleeps_is_over_when_begin_returns(fake, vms):
    """One that only counts to three has done so, with its callbacks to come, at no time at all."""

    class Counting(Own):
        def run(self) -> None:
            self._status = "Succeeded"

    poller = vms.begin_deallocate("rg", "web-1", polling=Counting(SLEEPS["time.sleep"]))

    assert (poller.done(), poller.result(), seconds(fake)) == (True, "it has succeeded", 0)


def test_a_polling_method_that_is_finished_at_once_has_no_thread(fake, vms):
    """Where nothing is to be polled, the poller is done and nothing is counted wrongly."""

    class Finished(Own):
        def finished(self) -> bool:
            return True

    poller = vms.begin_deallocate("rg", "web-1", polling=Finished(SLEEPS["time.sleep"]))
    at_once = poller.done(), polling_threads()
    vms.begin_deallocate("rg", fake.add_vm("web-2").name).result()

    assert (at_once, seconds(fake)) == ((True, []), DEALLOCATED)


def test_what_a_polling_method_raises_is_raised_by_result(fake, vms):
    """An exception in run() is the poller's result, whatever its kind, and callbacks still run."""

    class Broken(Own):
        def run(self) -> None:
            time.sleep(5)
            raise CallbackError("broken")

    ran = []
    poller = vms.begin_deallocate("rg", "web-1", polling=Broken(SLEEPS["time.sleep"]))
    poller.add_done_callback(lambda _: ran.append(seconds(fake)))
    with pytest.raises(CallbackError, match="broken"):
        poller.result()

    assert (ran, poller.done()) == ([5], True)


def test_what_a_polling_method_raises_at_once_leaves_nothing_counted(fake, vms):
    """An exception in initialize() comes out of begin_*, and the clock waits for no thread."""

    class Refusing(Own):
        def initialize(self, client: Any, initial_response: Any, _: Any) -> None:
            raise CallbackError("refused")

    with pytest.raises(CallbackError, match="refused"):
        vms.begin_deallocate("rg", "web-1", polling=Refusing(SLEEPS["time.sleep"]))
    fake.clock.advance(minutes=5)

    assert fake.vm("web-1").power_state == "deallocated"


# --- aio ---------------------------------------------------------------------------------------


def test_aio_pollers_begun_and_never_awaited_leave_nothing(recwarn):
    """An aio poller has no thread: unawaited, nobody looks, and the operation ends by itself."""
    recwarn.clear()
    warnings.simplefilter("always")
    with FakeCompute() as fake:
        fake.add_vm("web-1")

        async def life() -> Any:
            async with fake.aio_client as client:
                return await client.virtual_machines.begin_deallocate("rg", "web-1")

        poller = asyncio.run(life())
        begun = poller.done(), poller.status(), seconds(fake)
        fake.clock.advance(minutes=5)

        assert begun == (False, "InProgress", 0)
        assert (poller.done(), looks(fake)) == (False, [])
        assert fake.vm("web-1").power_state == "deallocated"
        del poller
    gc.collect()

    assert [str(warning.message) for warning in recwarn] == []


def test_an_aio_poller_awaited_late_looks_once(fake):
    """One that is awaited long after the end finds it at its first look, and waits for nothing."""
    fake.add_vm("web-1")

    async def life() -> float:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            await asyncio.sleep(600)
            await poller.result()
            return seconds(fake)

    assert (asyncio.run(life()), looks(fake)) == (600, [600])


@pytest.mark.parametrize("comes_next", [False, True], ids=["no fake", "another fake"])
@pytest.mark.parametrize("of_a_fake", [True, False], ids=["the fake's client", "another client"])
def test_an_aio_poller_awaited_after_its_fake_asks_nobody(network_attempts, of_a_fake, comes_next):
    """It has ended with its fake: it asks neither Azure nor a later fake, and says so."""

    async def life() -> None:
        async with AsyncComputeManagementClient(AsyncFakeCredential(), SUBSCRIPTION_ID) as other:
            with FakeCompute() as fake:
                fake.add_vm("web-1")
                client = fake.aio_client if of_a_fake else other
                ended = await client.virtual_machines.begin_restart("rg", "web-1")
                await ended.result()
                poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            with FakeCompute() if comes_next else nullcontext():
                for _ in range(2):
                    with pytest.raises(FakeClosed, match="/deallocate: the fake that this poller"):
                        await poller.result()
                await ended.result()  # which has seen its end, and asks nothing

    asyncio.run(life())
    assert network_attempts == []


def test_aio_pollers_take_the_same_options(fake):
    """cls=, polling=False, polling_interval= and a token work for the aio client as well."""
    fake.add_vm("web-1")

    async def life() -> list[Any]:
        async with fake.aio_client as client:
            vms = client.virtual_machines
            quick = await vms.begin_power_off("rg", "web-1", polling_interval=5)
            await quick.wait()
            seen: list[Any] = [seconds(fake), quick.done(), quick.status()]
            unpolled = await vms.begin_start("rg", "web-1", polling=False)
            seen += [await unpolled.result(), fake.vm("web-1").power_state]
            fake.clock.run_until_idle()
            tagged = await vms.begin_update(
                "rg", "web-1", {"tags": {"a": "1"}}, cls=lambda _answer, vm, _headers: vm.tags
            )
            token = tagged.continuation_token()
            again = await vms.begin_update("rg", "web-1", {}, continuation_token=token)
            seen += [await tagged, (await again.result()).tags]
        return seen

    assert asyncio.run(life()) == [
        10, True, "Succeeded", None, "starting", {"a": "1"}, {"a": "1"},
    ]  # fmt: skip


def test_an_aio_polling_method_of_ones_own_is_followed(fake):
    """A subclass of AsyncARMPolling decides when to look, as in production."""
    fake.add_vm("web-1")

    class AsyncARMPolling(AzureAsyncARMPolling):  # older releases go by its name
        def _extract_delay(self) -> float:
            return 26

    async def life() -> None:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate(
                "rg", "web-1", polling=AsyncARMPolling()
            )
            await poller.result()

    asyncio.run(life())

    assert looks(fake) == [0, 26, 52]


def test_a_canceled_task_stops_looking(fake):
    """A task that is canceled while it awaits its poller looks no more; the operation goes on."""
    fake.add_vm("web-1")

    async def life() -> None:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            waiting = asyncio.create_task(poller.result())
            await asyncio.sleep(40)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(life())
    fake.clock.advance(minutes=5)

    assert (looks(fake), fake.vm("web-1").power_state) == ([0, 36], "deallocated")


# --- dropped, left running, interrupted --------------------------------------------------------


def test_a_poller_that_is_dropped_goes_on_looking(fake, vms):
    """Nobody keeps the poller: its thread lives as in production, and ends with its operation."""
    ran = []
    vms.begin_deallocate("rg", "web-1").add_done_callback(lambda _: ran.append(seconds(fake)))
    gc.collect()
    fake.clock.advance(minutes=5)

    assert (ran, looks(fake), polling_threads()) == ([DEALLOCATED], [0, 36, DEALLOCATED], [])


def test_pollers_dropped_by_the_hundred_end_with_the_fake():
    """A hundred pollers that nobody kept or waited for leave no thread behind."""
    with FakeCompute() as fake:
        for number in range(100):
            fake.add_vm(f"web-{number}")
            fake.client.virtual_machines.begin_deallocate("rg", f"web-{number}")
        during = len(polling_threads())

    assert (during, polling_threads()) == (100, [])


@pytest.fixture
def warned() -> Iterator[list[warnings.WarningMessage]]:
    """Note every warning, of categories too that are ignored elsewhere."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def here() -> int:
    """Give the number of the line that asks."""
    return inspect.currentframe().f_back.f_lineno


def test_a_poller_left_running_is_named_with_its_line(warned):
    """The warning names the request, and points at the very line that began it."""
    with FakeCompute() as fake:
        fake.add_vm("web-1", resource_group="shop")
        line = here() + 1
        poller = fake.client.virtual_machines.begin_deallocate("shop", "web-1")

    assert not poller.status().startswith("Succeeded")
    assert [(w.category, w.filename, w.lineno) for w in warned] == [
        (PollerLeftRunningWarning, __file__, line)
    ]
    assert str(warned[0].message).startswith(
        f"a poller was left running: POST /subscriptions/{fake.subscription_id}/resourceGroups/shop"
        "/providers/Microsoft.Compute/virtualMachines/web-1/deallocate. "
    )


def test_each_poller_left_running_is_named(warned):
    """As many warnings as pollers, each with its own request and line, in order of their begin."""
    lines = []
    with FakeCompute() as fake:
        vms = fake.client.virtual_machines
        for name in ("web-1", "web-2", "web-3"):
            fake.add_vm(name)
        lines.append(here() + 1)
        vms.begin_start("rg", "web-1").result()
        lines.append(here() + 1)
        vms.begin_power_off("rg", "web-2")
        lines.append(here() + 1)
        vms.begin_update("rg", "web-3", {"tags": {}})
        lines.append(here() + 1)
        vms.begin_create_or_update("rg", "web-4", linux_vm())

    assert [w.lineno for w in warned] == lines[1:]
    assert [str(w.message).split(" ")[5] for w in warned] == ["POST", "PATCH", "PUT"]


def test_a_poller_left_running_by_a_thread_of_the_application_is_named(warned):
    """Begun in a worker of a pool, inside a helper: the line is the helper's."""

    def work(fake: FakeCompute) -> int:
        fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        return here() - 1

    with FakeCompute() as fake, ThreadPoolExecutor(1) as pool:
        fake.add_vm("web-1")
        line = pool.submit(work, fake).result()

    assert [(w.filename, w.lineno) for w in warned] == [(__file__, line)]


def test_a_poller_made_of_a_token_and_left_running_is_named(warned):
    """The line is the one that made the poller, not the one that began the operation."""
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        vms = fake.client.virtual_machines
        first = vms.begin_deallocate("rg", "web-1", polling_interval=1)
        token = first.continuation_token()
        fake.clock.advance(20)
        line = here() + 1
        vms.begin_deallocate("rg", "web-1", continuation_token=token, polling_interval=10**6)
        first.result()

    assert [(w.filename, w.lineno) for w in warned] == [(__file__, line)]
    assert "/web-1/deallocate" in str(warned[0].message)


def test_a_polling_method_of_ones_own_left_running_is_named_by_its_line(warned):
    """Where the method keeps no request to name, the line still tells which poller it is."""
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        vms, method = fake.client.virtual_machines, Own(SLEEPS["time.sleep"])
        line = here() + 1
        vms.begin_deallocate("rg", "web-1", polling=method)

    assert [(w.category, w.filename, w.lineno) for w in warned] == [
        (PollerLeftRunningWarning, __file__, line)
    ]
    assert "a poller was left running" in str(warned[0].message)


def test_pollers_that_are_over_are_not_named(warned):
    """Waited for, run to the end, or never polling: none of these was left running."""
    with FakeCompute() as fake:
        vms = fake.client.virtual_machines
        for name in ("web-1", "web-2", "web-3"):
            fake.add_vm(name)
        vms.begin_deallocate("rg", "web-1").result()
        vms.begin_deallocate("rg", "web-2")
        vms.begin_deallocate("rg", "web-3", polling=False)
        fake.clock.run_until_idle()

    assert [str(w.message) for w in warned] == []


def test_callbacks_of_a_poller_left_running_do_not_run(warned):
    """The end of the fake is not the end of the operation: nobody is told that it were."""
    ran = []
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        poller.add_done_callback(lambda method: ran.append(method.status()))

    assert ran == []
    assert [w.category for w in warned] == [PollerLeftRunningWarning]


def test_a_poller_left_running_whose_callback_begins_raises_nothing(warned):
    """A callback that would ask the fake for more does not make an error of its end."""
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        vms = fake.client.virtual_machines
        poller = vms.begin_power_off("rg", "web-1")
        poller.add_done_callback(lambda _: vms.begin_start("rg", "web-1").result())

    assert [w.category for w in warned] == [PollerLeftRunningWarning]


def test_a_poller_left_running_says_so_when_asked_afterwards():
    """result() of a poller that outlived its fake raises FakeClosed, and hangs nobody."""
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
    with pytest.raises(FakeClosed, match="the fake was closed while this waited"):
        poller.result()

    assert poller.done()


@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_test_nothing_is_left(error):
    """A test that fails or is interrupted leaves no polling thread, and azure-core's own class."""
    before = dict(vars(LROPoller))
    during = []

    def life() -> None:
        with FakeCompute() as fake:
            for number in range(10):
                fake.add_vm(f"web-{number}")
                fake.client.virtual_machines.begin_deallocate("rg", f"web-{number}")
            fake.clock.advance(40)
            during.extend(polling_threads())
            raise error("mine")

    with pytest.raises(error, match="mine"):
        life()

    assert (len(during), polling_threads()) == (10, [])
    assert dict(vars(LROPoller)) == before


@pytest.mark.parametrize("wait", MOVES)
def test_an_interrupted_wait_leaves_nothing(ctrl_c, wait):
    """Ctrl-C in the middle of any wait is a KeyboardInterrupt, and leaves nothing behind."""
    before = dict(vars(LROPoller))

    def life() -> None:
        with FakeCompute() as fake:
            fake.add_vm("web-1")
            fake.add_vm("web-2")
            poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
            other = fake.client.virtual_machines.begin_power_off("rg", "web-2")
            other.add_done_callback(lambda _: ctrl_c())
            MOVES[wait](fake, poller)

    with pytest.raises(KeyboardInterrupt):
        life()

    assert polling_threads() == []
    assert dict(vars(LROPoller)) == before


def test_an_interrupted_wait_may_be_taken_up_again(ctrl_c):
    """After Ctrl-C in a wait, time and pollers are as exact as before."""
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        fake.add_vm("web-2")
        poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        other = fake.client.virtual_machines.begin_power_off("rg", "web-2")
        other.add_done_callback(lambda _: ctrl_c())
        with pytest.raises(KeyboardInterrupt):
            poller.result()
        poller.result()

        assert (seconds(fake), poller.status()) == (DEALLOCATED, "Succeeded")


def interrupted_start(when: str) -> Callable[[threading.Thread], None]:
    """Give a Thread.start that Ctrl-C hits, once, when it starts a polling thread."""
    start, left = threading.Thread.start, ["one"]

    def starting(thread: threading.Thread) -> None:
        if not (left and thread.name.startswith("LROPoller")):
            start(thread)
            return
        left.clear()
        if when == "after it":
            start(thread)
        elif when == "in its midst":
            threading._limbo[thread] = thread
        raise KeyboardInterrupt

    return starting


@pytest.mark.parametrize("when", ["before it", "in its midst", "after it"])
def test_an_interrupted_start_leaves_time_as_exact_as_before(monkeypatch, when):
    """Ctrl-C before, in and after a poller's thread's start: no poller, and time as ever."""
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        fake.add_vm("web-2")
        vms = fake.client.virtual_machines
        monkeypatch.setattr(threading.Thread, "start", interrupted_start(when))
        with pytest.raises(KeyboardInterrupt):
            vms.begin_power_off("rg", "web-1")
        poller = vms.begin_deallocate("rg", "web-2")
        begun = seconds(fake), poller.done(), fake.vm("web-1").power_state
        poller.wait(10)
        waited = seconds(fake), fake.vm("web-1").power_state
        poller.result()

        assert (begun, waited) == ((0, False, "stopping"), (10, "stopped"))
        assert (seconds(fake), poller.done()) == (DEALLOCATED, True)
    threading._limbo.clear()

    assert polling_threads() == []


def test_a_thread_that_shows_up_late_is_seen_out(monkeypatch, warned):
    """A polling thread that Ctrl-C left about to begin ends with the fake, and is named."""
    go, start = threading.Event(), LROPoller._start
    with FakeCompute() as fake:
        fake.add_vm("web-1")
        begin = LROPoller._start
        monkeypatch.setattr(LROPoller, "_start", lambda poller: (go.wait(), begin(poller)))
        monkeypatch.setattr(threading.Thread, "start", interrupted_start("after it"))
        with pytest.raises(KeyboardInterrupt):
            fake.client.virtual_machines.begin_deallocate("rg", "web-1")
        monkeypatch.undo()
        go.set()

    assert (LROPoller._start, polling_threads()) == (start, [])
    assert [w.category for w in warned] == [PollerLeftRunningWarning]


def test_an_interrupted_first_look_goes_on(fake, vms, ctrl_c):
    """Ctrl-C while begin_* waits for the first look: the thread goes on, as in production."""

    class Interrupting(Own):
        def run(self) -> None:
            ctrl_c()
            super().run()

    with pytest.raises(KeyboardInterrupt):
        vms.begin_deallocate("rg", "web-1", polling=Interrupting(SLEEPS["time.sleep"]))
    fake.clock.advance(minutes=5)

    assert (looks(fake), polling_threads()) == ([0, 20, 40, 60], [])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_poller_whose_thread_dies_at_once_hangs_nobody(fake, vms, monkeypatch):
    """Where a poller's own _start raises, begin_* returns, and so does result()."""
    monkeypatch.setattr(LROPoller, "_start", _raiser(CallbackError("mine")))
    poller = vms.begin_deallocate("rg", "web-1")
    poller.result()
    at = seconds(fake)
    fake.clock.advance(minutes=5)

    assert (at, poller.done(), fake.vm("web-1").power_state) == (0, True, "deallocated")


def test_a_poller_that_polls_in_its_own_way_is_an_ordinary_thread(fake, vms, monkeypatch):
    """A _start that never calls azure-core's may sleep, and be waited for, like any thread."""

    def start(poller: Any) -> None:
        time.sleep(60)
        poller._done.set()

    monkeypatch.setattr(LROPoller, "_start", start)
    poller = vms.begin_deallocate("rg", "web-1")
    begun = seconds(fake), poller.done()
    poller.result()

    assert (begun, seconds(fake), poller.done()) == ((0, False), 60, True)


def test_a_polling_method_that_waits_for_the_test_hangs_nobody(fake, vms):
    """Its first look may wait for what the test does once begin_* has returned."""
    go = threading.Event()

    class Waiting(Own):
        def run(self) -> None:
            go.wait()
            super().run()

    poller = vms.begin_deallocate("rg", "web-1", polling=Waiting(SLEEPS["time.sleep"]))
    fake.clock.advance(30)
    go.set()
    poller.result()

    assert (poller.status(), fake.vm("web-1").power_state) == ("Succeeded", "deallocated")


def test_a_polling_method_that_waits_for_ever_hangs_nobody(warned):
    """The end of the fake names a poller that waits for what never comes, and goes on."""
    go = threading.Event()

    class Waiting(Own):
        def run(self) -> None:
            go.wait()

    with FakeCompute() as fake:
        fake.add_vm("web-1")
        poller = fake.client.virtual_machines.begin_deallocate(
            "rg", "web-1", polling=Waiting(SLEEPS["time.sleep"])
        )
    during = polling_threads()
    go.set()
    poller._thread.join()

    assert (len(during), [w.category for w in warned]) == (1, [PollerLeftRunningWarning])


def test_the_tests_own_error_is_not_hidden_by_a_callbacks():
    """Where the body and a callback both raise, the body's error comes out of the fake."""

    def life() -> None:
        with FakeCompute() as fake:
            fake.add_vm("web-1")
            poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
            poller.add_done_callback(_raiser(CallbackError("mine")))
            time.sleep(DEALLOCATED + 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        life()


def test_the_tests_own_error_is_not_hidden_by_a_warning():
    """Where warnings are errors, a poller left running does not hide why the test failed."""

    def life() -> None:
        with FakeCompute() as fake:
            fake.add_vm("web-1")
            fake.client.virtual_machines.begin_deallocate("rg", "web-1")
            raise KeyboardInterrupt

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyboardInterrupt):
            life()


def test_a_failing_test_leaves_nothing_to_the_next_one(pytester):
    """With the fixture, a failing test's pollers are gone, and named, before the next test."""
    pytester.makepyfile(
        """
        import threading
        from azure.core.polling import LROPoller
        WAIT = LROPoller.wait

        def test_fails(fake_compute):
            fake_compute.add_vm("web-1")
            fake_compute.client.virtual_machines.begin_deallocate("rg", "web-1")
            assert LROPoller.wait is WAIT

        def test_finds_nothing():
            assert [t for t in threading.enumerate() if t.name.startswith("LROPoller")] == []
            assert LROPoller.wait is WAIT
        """
    )
    result = run(pytester)

    result.assert_outcomes(failed=1, passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*test_a_failing_test_leaves_nothing_to_the_next_one.py:7: PollerLeftRunningWarning: *"]
    )


def _raiser(error: Exception) -> Callable[..., Any]:
    def raising(*_: object) -> None:
        raise error

    return raising
