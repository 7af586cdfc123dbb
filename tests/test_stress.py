"""Two thousand random schedules, none of which hangs, lies, or takes time back."""

from __future__ import annotations

import faulthandler
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.core.polling import LROPoller
from freezegun import freeze_time
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_azurevm import FakeCompute
from tests.builders import linux_vm

NAMES: Final = ("web-1", "web-2", "db-1")
OPERATIONS: Final = (
    "create_or_update", "delete", "start", "power_off", "restart", "deallocate", "update",
)  # fmt: skip
ENDED: Final = ("Succeeded", "Failed", "Canceled")
HANGS_AFTER_S: Final = 30  # of real time: a schedule takes milliseconds

# Instants at which something is due, so that much falls together, and others.
SPANS = st.one_of(st.sampled_from([0, 0.000001, 4.2, 9.5, 10, 30, 36, 52, 66]), st.integers(0, 300))
BEGIN = st.tuples(
    st.just("begin"),
    st.sampled_from(OPERATIONS),
    st.sampled_from(NAMES),
    st.sampled_from(["", "", "sleeps", "begins", "waits"]),  # what its done-callback does
)
PASS = st.tuples(st.sampled_from(["advance", "sleep", "tick"]), SPANS)
WAIT = st.tuples(st.just("wait"), st.integers(0, 9), st.none() | SPANS)
GUEST = st.tuples(st.just("guest"), st.sampled_from(NAMES))
STEP = st.one_of(BEGIN, BEGIN, PASS, WAIT, GUEST)
SCHEDULE = st.lists(STEP, min_size=1, max_size=10)
ONE_IN_EIGHT = st.sampled_from([True] + [False] * 7)
# A schedule that hangs is not made smaller: each attempt would hang as well. It is the same one in
# the next run.
STRESS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


class Life:
    """What a schedule does to a fake, and what it must never find."""

    def __init__(self, fake: FakeCompute, frozen: Any) -> None:
        self.fake = fake
        self.frozen = frozen
        self.vms = fake.client.virtual_machines
        self.pollers: list[LROPoller[Any]] = []
        self.ends: Counter[str] = Counter()
        self.alone = False  # nobody else changes anything meanwhile
        close = fake._compute._close

        def counted(record: Any, *args: Any) -> None:
            self.ends[record.operation_id] += 1
            close(record, *args)

        fake._compute._close = counted
        for name in NAMES[1:]:
            fake.add_vm(name)
        self.ends.clear()  # seeding ends a create, which no request began
        self.seeded = len(fake._compute._operations)

    def run(self, schedule: list[Any], *, looking: bool = False) -> list[Any]:
        """Do every step, and give what came of it."""
        came, at = [], self.fake.clock.now_us
        for kind, *details in schedule:
            came.append(getattr(self, f"_{kind}")(*details))
            if looking:
                self.look()
            at, before = self.fake.clock.now_us, at
            assert at >= before
        return came

    def look(self) -> None:
        """Read whatever can be read."""
        fake = self.fake
        _ = (repr(fake), fake.bill, fake.clock.now, repr(fake.clock), repr(fake.calls))
        for vm in fake.vms:
            _ = (vm.statuses, vm.bill, vm.history, vm.model, vm.operation, vm.goal_state, repr(vm))
        for poller in self.pollers:
            _ = (poller.status(), poller.done())

    def _begin(self, operation: str, name: str, then: str) -> str:
        more: list[Any] = {"create_or_update": [linux_vm()], "update": [{"tags": {"a": "b"}}]}.get(
            operation, []
        )
        before = self._everything() if self.alone else None
        try:
            poller = getattr(self.vms, f"begin_{operation}")("rg", name, *more)
        except HttpResponseError as refused:
            assert before is None or self._everything() == before
            return f"refused: {refused.error.code}"
        self.pollers.append(poller)
        if then:
            poller.add_done_callback(lambda _: getattr(self, f"_then_{then}")(name))
        return "accepted"

    def _everything(self) -> Any:
        fake = self.fake
        return (
            fake.clock.now_us,
            len(fake._compute._operations),
            [(vm.model, vm.statuses, vm.history, vm.operation, vm.goal_state) for vm in fake.vms],
            [poller.status() for poller in self.pollers],
            sum(map(len, fake._time._agenda._entries.values())),
        )

    def _then_sleeps(self, _: str) -> None:
        time.sleep(7)

    def _then_begins(self, name: str) -> None:
        self._followed("begin_start", name)

    def _then_waits(self, name: str) -> None:
        poller = self._followed("begin_power_off", name)
        if poller is not None:
            self._waited(poller, None)

    def _followed(self, begin: str, name: str) -> LROPoller[Any] | None:
        try:
            poller: LROPoller[Any] = getattr(self.vms, begin)("rg", name)
        except HttpResponseError:
            return None
        self.pollers.append(poller)
        return poller

    def _wait(self, number: int, timeout: float | None) -> str:
        if not self.pollers:
            return "nothing to wait for"
        poller = self.pollers[number % len(self.pollers)]
        return self._waited(poller, timeout)

    def _waited(self, poller: LROPoller[Any], timeout: float | None) -> str:
        try:
            poller.wait(timeout)
        except HttpResponseError as ended:
            return f"ended: {ended.error.code}"
        assert timeout is not None or poller.status() == "Succeeded"
        return poller.status()

    def _advance(self, span: float) -> None:
        self.fake.clock.advance(span)

    def _sleep(self, span: float) -> None:
        time.sleep(span)

    def _tick(self, span: float) -> None:
        if self.frozen is None:
            self.fake.clock.advance(span)
        else:
            self.frozen.tick(span)

    def _guest(self, name: str) -> str:
        try:
            self.fake.vm(name).guest_shutdown()
        except (KeyError, ValueError) as refused:
            return type(refused).__name__
        return "shut down"

    def trace(self) -> str:
        """Give everything that happened."""
        fake = self.fake
        return repr((
            fake.clock.now_us,
            [(call.at, call.method, call.url, call.status, call.response_body)
             for call in fake.calls],
            [(vm.id, vm.history, vm.model, vm.bill) for vm in fake.vms],
            [(poller.status(), poller.done()) for poller in self.pollers],
        ))  # fmt: skip

    def come_to_an_end(self) -> None:
        """Let everything end, and look at what there must be then."""
        fake = self.fake
        fake.clock.run_until_idle()
        fake.clock.advance(hours=1)
        records = list(fake._compute._operations.values())[self.seeded :]

        # Every operation has ended, exactly once, and its pollers know.
        assert {record.status for record in records} <= set(ENDED)
        assert self.ends == Counter(record.operation_id for record in records)
        assert all(poller.done() and poller.status() in ENDED for poller in self.pollers)
        assert [vm.operation for vm in fake.vms] == [None] * len(fake.vms)

        # As many operations as answers that accepted one.
        begun = [c for c in fake.calls if c.method != "GET" and c.status in (200, 201, 202)]
        assert len(begun) == len(records)

        # An operation's document is in progress, then over, and over for good.
        shown: dict[str, list[str]] = {}
        for call in fake.calls.filter(operation="poll"):
            if "monitor=true" not in call.url:
                document = call.response_body
                shown.setdefault(document["name"], []).append(document["status"])
        for statuses in shown.values():
            assert "InProgress" not in statuses[statuses.count("InProgress") :]
            assert len(set(statuses) - {"InProgress"}) <= 1

        # Time never went back.
        for instants in (
            [call.at for call in fake.calls],
            *([change.at_us for change in record.vm.history] for record in records),
            *([r.started_us, r.ended_us, fake.clock.now_us] for r in records),
        ):
            assert all(before <= after for before, after in pairwise(instants))


def lived(life: Callable[[], Any]) -> Any:
    """Give what *life* gives, on a thread of its own, so that a hang is a failure."""
    over, came, raised = threading.Event(), [], []

    def run() -> None:
        try:
            came.append(life())
        except BaseException as error:
            raised.append(error)
        finally:
            over.set()

    threading.Thread(target=run, name="the test", daemon=True).start()
    if not over.wait(HANGS_AFTER_S):
        with tempfile.TemporaryFile("w+") as dump:
            faulthandler.dump_traceback(dump)
            dump.seek(0)
            raise AssertionError(f"it hangs:\n{dump.read()}")
    if raised:
        raise raised[0]
    return came[0]


def frozen_if(frozen: bool) -> Any:
    """Freeze time, or do not."""
    return freeze_time("2026-03-01 12:00:00") if frozen else nullcontext()


@settings(STRESS, max_examples=800)
@given(schedule=SCHEDULE, frozen=ONE_IN_EIGHT, jitter=st.sampled_from([0, 0.5]))
def test_schedules_of_one_thread(schedule, frozen, jitter):
    """Whatever one thread does, in any order: all ends once, and readings change nothing."""

    def life(looking: bool) -> tuple[list[Any], str]:
        with frozen_if(frozen) as freezer, FakeCompute(jitter=jitter) as fake:
            life = Life(fake, freezer)
            life.alone = True
            came = life.run(schedule, looking=looking)
            trace = life.trace()
            life.come_to_an_end()
            return came, trace

    assert lived(lambda: life(looking=True)) == lived(lambda: life(looking=False))


@settings(STRESS, max_examples=1_200)
@given(
    schedules=st.lists(SCHEDULE, min_size=2, max_size=4),
    frozen=ONE_IN_EIGHT,
    jitter=st.sampled_from([0, 0.5]),
)
def test_schedules_of_several_threads(schedules, frozen, jitter):
    """Whatever several threads do at once: none hangs, all ends once, and time goes forward."""

    def life() -> None:
        with frozen_if(frozen) as freezer, FakeCompute(jitter=jitter) as fake:
            life = Life(fake, freezer)
            with ThreadPoolExecutor(len(schedules)) as pool:
                for done in [pool.submit(life.run, schedule) for schedule in schedules]:
                    done.result()
            life.come_to_an_end()

    lived(life)
