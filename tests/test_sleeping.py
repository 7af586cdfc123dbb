"""Sleeps of the code under test, sync and in event loops, are virtual."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep as nap
from types import ModuleType

import anyio
import pytest
import trio

from pytest_azurevm import ClockStalled, FakeClosed, FakeCompute, _trio, failures

REAL_SLEEP = time.sleep


def seconds(fake: FakeCompute) -> float:
    """Give the virtual seconds that have passed."""
    return fake.clock.now_us / 1_000_000


# --- time.sleep --------------------------------------------------------------------------------


def test_time_sleep_is_virtual(fake):
    """time.sleep takes virtual time, to the microsecond, and what is due happens on the way."""
    fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
    time.sleep(3_600.5)

    assert (seconds(fake), poller.done()) == (3_600.5, True)


def test_a_sleep_imported_by_name_long_ago_is_virtual(fake):
    """A module that said `from time import sleep` before the fake sleeps virtually too."""
    nap(60)

    assert seconds(fake) == 60


def test_outside_of_a_fake_sleeps_are_the_originals():
    """Before and after a fake, every name for sleep is the original, by identity."""
    with FakeCompute():
        during = (time.sleep, nap)

    assert time.sleep is nap is REAL_SLEEP
    assert REAL_SLEEP not in during


def test_a_module_imported_during_the_fake_gets_its_sleep_back():
    """A name that was bound while the fake was active is put back as well."""
    module = ModuleType("late_module")
    sys.modules["late_module"] = module
    try:
        with FakeCompute() as fake:
            exec("from time import sleep", module.__dict__)
            module.sleep(5)
            slept = seconds(fake)
    finally:
        del sys.modules["late_module"]

    assert (slept, module.sleep) == (5, REAL_SLEEP)


def test_real_sleeps_may_be_asked_for():
    """sleep="real" leaves time.sleep and asyncio alone."""
    with FakeCompute(sleep="real") as fake:

        async def life() -> float:
            await asyncio.sleep(0.001)
            return seconds(fake)

        assert time.sleep is REAL_SLEEP
        assert asyncio.run(life()) == 0


def test_another_kind_of_sleep_is_refused():
    """There are virtual and real sleeps, nothing between."""
    with pytest.raises(ValueError, match="sleep 'deep' is not one of virtual, real"):
        FakeCompute(sleep="deep")


@pytest.mark.parametrize("wrong", [-1, "5", None, float("nan")])
def test_what_is_no_duration_is_refused_as_ever(fake, wrong):
    """A wrong argument to time.sleep raises what it raises without a fake."""
    with pytest.raises((ValueError, TypeError)) as virtual:
        time.sleep(wrong)
    with pytest.raises((ValueError, TypeError)) as real:
        REAL_SLEEP(wrong)

    assert (type(virtual.value), str(virtual.value)) == (type(real.value), str(real.value))
    assert seconds(fake) == 0


@pytest.mark.parametrize(
    "module",
    [
        "subprocess", "_pytest.timing", "execnet.gateway_base", "filelock._api", "hypothesis.core",
        "pytest_asyncio.plugin", "pytest_randomly", "pytest_rerunfailures", "pytest_timeout",
        "xdist.looponfail", "xprocess.xprocess",
    ],
)  # fmt: skip
def test_the_standard_library_and_test_runners_sleep_for_real(fake, module):
    """A sleep of the standard library's own, or of a plugin's, moves no virtual time."""
    caller = {"__name__": module, "sleep": time.sleep}
    exec("def wait(): sleep(0.0001)", caller)
    caller["wait"]()

    assert seconds(fake) == 0


def test_a_thread_that_was_there_before_sleeps_for_real():
    """A background thread from before the fake is none of its business."""
    go, seen = threading.Event(), []

    def background() -> None:
        go.wait()
        time.sleep(0.0001)
        seen.append(True)

    thread = threading.Thread(target=background)
    thread.start()
    with FakeCompute() as fake:
        go.set()
        thread.join()

        assert (seen, seconds(fake)) == ([True], 0)


def test_a_worker_that_was_idle_before_sleeps_in_virtual_time():
    """A pool's worker from before the fake, idle then, does the work of the code under test."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            pool.submit(int).result()
            with FakeCompute() as fake:
                pool.submit(time.sleep, 0.01).result()

                assert fake.clock.now_us == 10_000


def test_a_worker_that_was_at_work_before_sleeps_for_real():
    """A pool's worker that has something to do from before the fake is none of its business."""
    go = threading.Event()

    def background() -> None:
        go.wait()
        time.sleep(0.0001)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(background)
        with FakeCompute() as fake:
            go.set()
            done.result()

            assert seconds(fake) == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_sleep_that_is_what_anyios_worker_is_to_do_is_virtual(backend):
    """A thread of anyio's or trio's whose work is the very sleep sleeps on the clock."""

    async def main() -> list[int]:
        slept = []
        for _ in range(2):
            with FakeCompute() as fake:
                await anyio.to_thread.run_sync(time.sleep, 0.01)
                slept.append(fake.clock.now_us)
        return slept

    assert anyio.run(main, backend=backend) == [10_000, 10_000]


def test_a_naive_loop_sees_a_create_to_its_end(fake):
    """`while not done: time.sleep(10)` works as it does in production, and takes no real time."""
    fake.timing.create = 100
    poller = fake.client.virtual_machines.begin_start("rg", fake.add_vm("a").name)
    looks = 0
    while not poller.done():
        time.sleep(10)
        looks += 1

    assert (looks, seconds(fake)) == (1, 10)


def test_who_sleeps_until_a_pollers_instant_finds_it_done(fake):
    """A sleep wakes after the pollers of its instant have looked, however long ago it began."""
    fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")
    time.sleep(66)  # the looks are at 0, 36 and 66 s

    assert (poller.done(), fake.vm("web-1").power_state) == (True, "deallocated")


def test_a_loop_that_waits_for_what_never_comes_is_told(fake):
    """Sleeping and looking for ever at what never changes ends in ClockStalled."""
    fake.add_vm("web-1")

    def wait_until_stopped() -> None:
        while fake.vm("web-1").power_state != "stopped":
            time.sleep(1)

    with pytest.raises(ClockStalled, match=r"has slept 10,0.. times, and nothing changed"):
        wait_until_stopped()

    assert fake.vm("web-1").power_state == "running"


@pytest.mark.parametrize("waits", [lambda poller: poller.wait(5), lambda _: time.sleep(5)])
def test_a_loop_that_waits_for_an_operation_that_never_ends_is_told(fake, waits):
    """A loop around poller.wait, or sleep, ends in ClockStalled, which says how to end that."""
    fake.add_vm("web-1", power_state="stopped")
    fake.inject(failures.Stuck(), on="start")
    poller = fake.client.virtual_machines.begin_start("rg", "web-1")

    def wait_until_done() -> None:
        while not poller.done():
            waits(poller)

    with pytest.raises(ClockStalled, match=r"no operation in flight ends by itself.*cancel_oper"):
        wait_until_done()


def test_a_loop_of_asyncio_that_waits_for_what_never_comes_is_told(fake):
    """A task that sleeps and looks for ever gets ClockStalled where it sleeps."""
    fake.add_vm("web-1")

    async def wait_until_stopped() -> None:
        while fake.vm("web-1").power_state != "stopped":  # noqa: ASYNC110  what people write
            await asyncio.sleep(1)

    with pytest.raises(ClockStalled, match="nothing changed"):
        asyncio.run(wait_until_stopped())


def test_a_long_loop_that_looks_at_nothing_is_left_alone(fake):
    """A schedule of a day, every five seconds, runs to its end beside idle machines."""
    fake.add_vm("web-1")
    for _ in range(17_280):
        time.sleep(5)

    assert seconds(fake) == 86_400


# --- threads -----------------------------------------------------------------------------------


def test_a_pool_whose_workers_begin_and_wait_takes_the_time_of_the_slowest():
    """Ten workers that each begin and wait end when the slowest does, run after run."""
    ends = set()
    for _ in range(20):
        with FakeCompute() as fake, ThreadPoolExecutor(10) as pool:
            for number in range(10):
                fake.add_vm(f"web-{number}")
                fake.timing.set("deallocate", 40 + 10 * number, vm=f"web-{number}")

            def work(number: int, fake: FakeCompute = fake) -> str | None:
                name = f"web-{number}"
                fake.client.virtual_machines.begin_deallocate("rg", name).result()
                return fake.vm(name).power_state

            states = list(pool.map(work, range(10)))
            ends.add((seconds(fake), *sorted(set(states))))

    assert ends == {(156, "deallocated")}


def test_sleeping_threads_wake_in_order_of_their_instants(fake):
    """Threads wake by instant, and those of one instant by who slept first."""
    woken = []

    def sleeper(name: str, span: float) -> None:
        time.sleep(span)
        woken.append((name, seconds(fake)))

    threads = [
        threading.Thread(target=sleeper, args=(name, span))
        for name, span in (("c", 30), ("a", 10), ("b", 20))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert woken == [("a", 10), ("b", 20), ("c", 30)]


def test_a_callback_may_use_a_thread_of_its_own(fake):
    """A done-callback that hands work to a pool and waits for it hangs nothing."""
    fake.add_vm("web-1")
    client = fake.client.virtual_machines
    poller = client.begin_power_off("rg", "web-1")

    def callback(_: object) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: client.begin_start("rg", "web-1").result()).result()

    poller.add_done_callback(callback)
    fake.clock.advance(minutes=5)

    assert fake.vm("web-1").power_state == "running"


def test_a_thread_that_still_sleeps_when_the_fake_ends_goes_on_for_real():
    """A background loop of the code under test is woken at the end, and not bothered any more."""
    stop, naps = threading.Event(), []

    def heartbeat() -> None:
        while not stop.is_set():
            time.sleep(60 if not stop.is_set() else 0)
            naps.append(True)

    with FakeCompute() as fake:
        thread = threading.Thread(target=heartbeat)
        thread.start()
        fake.clock.advance(minutes=5)
        stop.set()
    thread.join()

    assert len(naps) == 6


# --- event loops -------------------------------------------------------------------------------


def test_asyncio_sleep_is_virtual(fake):
    """asyncio.sleep takes virtual time, exactly, whether or not the fake is asked anything."""

    async def life() -> float:
        await asyncio.sleep(3_600.25)
        return seconds(fake)

    assert asyncio.run(life()) == 3_600.25


def test_tasks_wake_in_order_and_gather_takes_the_longest(fake):
    """Tasks that sleep side by side wake by instant, and together take the longest."""
    woken = []

    async def task(name: str, span: float) -> None:
        await asyncio.sleep(span)
        woken.append((name, seconds(fake)))

    async def life() -> None:
        await asyncio.gather(task("c", 30), task("a", 10), task("b", 20), task("b2", 20))

    asyncio.run(life())

    assert woken == [("a", 10), ("b", 20), ("b2", 20), ("c", 30)]


def test_a_task_that_sleeps_until_a_pollers_instant_finds_it_done(fake):
    """In a loop too, a sleep wakes after the pollers of its instant, sync and aio, have looked."""
    fake.add_vm("web-1")
    fake.add_vm("web-2")
    polled = fake.client.virtual_machines.begin_deallocate("rg", "web-1")

    async def life() -> list[bool]:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-2")
            waiting = asyncio.create_task(poller.result())
            await asyncio.sleep(66)
            done = [polled.done(), poller.done()]
            await waiting
        return done

    assert asyncio.run(life()) == [True, True]


def test_deadlines_of_asyncio_are_virtual(fake):
    """asyncio.wait_for gives up at its virtual deadline, in the middle of an operation."""
    fake.timing.deallocate = 7_200
    fake.add_vm("web-1")

    async def life() -> float:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(poller.result(), 600)
        return seconds(fake)

    assert asyncio.run(life()) == 600


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="asyncio.timeout came with Python 3.11")
def test_a_timeout_is_exact_though_it_is_the_first_that_a_loop_hears_of_time(fake):
    """asyncio.timeout, which reads the loop's time before it sets a timer, ends at its instant."""

    async def life() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await asyncio.Event().wait()
        return seconds(fake)

    assert asyncio.run(life()) == 600


def test_a_deadline_that_is_met_does_nothing(fake):
    """A wait_for whose operation ends in time returns then, not at the deadline."""
    fake.add_vm("web-1")

    async def life() -> float:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            await asyncio.wait_for(poller.result(), 600)
        return seconds(fake)

    assert asyncio.run(life()) == 66


def test_a_deadline_alone_ends_the_wait(fake):
    """Waiting for an event that nobody sets ends at the virtual deadline."""

    async def life() -> float:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        return seconds(fake)

    assert asyncio.run(life()) == 60


def test_a_deadline_is_exact_however_long_ago_it_was_reckoned(fake):
    """A timer for an instant of the loop's time rings then, whatever real time has gone by."""

    async def life() -> float:
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        deadline = loop.time() + 60
        threading.Event().wait(0.01)
        loop.call_at(deadline, rung.set)
        await rung.wait()
        return seconds(fake)

    assert asyncio.run(life()) == 60


def test_a_watcher_beside_a_waiting_task_sees_the_transition(fake):
    """A task that looks every five seconds beside one that waits sees the states go by."""
    fake.add_vm("web-1")

    async def life() -> list[str | None]:
        seen: list[str | None] = []

        async def watch() -> None:
            while True:
                state = fake.vm("web-1").power_state
                if state not in seen[-1:]:
                    seen.append(state)
                await asyncio.sleep(5)

        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            watching = asyncio.create_task(watch())
            await poller.result()
            watching.cancel()
        return seen

    assert asyncio.run(life()) == ["deallocating", "deallocated"]


def test_a_task_that_spins_does_not_hold_time_up(fake):
    """A task that yields for nothing beside a waiting one lets time pass all the same."""
    fake.add_vm("web-1")

    async def life() -> bool:
        async with fake.aio_client as client:
            poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
            waiting = asyncio.create_task(poller.result())
            while not waiting.done():  # noqa: ASYNC110  the busy loop that it is about
                await asyncio.sleep(0)
        return poller.done()

    assert asyncio.run(life())


def test_an_executor_in_a_loop_is_waited_for(fake):
    """Sync work in an executor, sleeping virtually, and a task's own sleep share one time."""

    async def life() -> tuple[float, float]:
        loop = asyncio.get_running_loop()

        def work() -> float:
            time.sleep(30)
            return seconds(fake)

        async def own() -> float:
            await asyncio.sleep(10)
            return seconds(fake)

        return tuple(await asyncio.gather(loop.run_in_executor(None, work), own()))

    assert asyncio.run(life()) == (30, 10)


def test_a_sleep_that_is_itself_what_a_thread_is_to_do_is_virtual(fake):
    """time.sleep as such, handed to a pool, an executor or a thread, sleeps virtually."""

    async def life() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(asyncio.to_thread(time.sleep, 60), loop.run_in_executor(None, nap, 90))
        loop.call_soon(time.sleep, 10)
        await asyncio.sleep(1)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(time.sleep, 3_600).result()
    thread = threading.Thread(target=nap, args=(400,))
    thread.start()
    thread.join()
    asyncio.run(life())

    assert seconds(fake) == 3_600 + 400 + 90 + 10  # the last of which keeps the whole loop


def test_who_joins_a_thread_does_not_hold_time_up(fake):
    """Time need not be watched for long before it moves for a thread that another one joins."""
    began = time.perf_counter()
    for _ in range(10):
        thread = threading.Thread(target=nap, args=(1,))
        thread.start()
        thread.join()

    assert seconds(fake) == 10
    assert time.perf_counter() - began < 2  # or 3, where each is looked at until it seems blocked


@pytest.mark.parametrize("_run", range(20))
def test_what_an_executor_has_done_its_loop_finds_at_that_instant(fake, _run):
    """A loop goes on when its thread has ended, before others' waits move time on."""
    found = []

    def work(span: float) -> float:
        time.sleep(span)
        return seconds(fake)

    async def one(span: float) -> None:
        ended = await asyncio.to_thread(work, span)
        found.append((span, ended, seconds(fake)))

    async def life() -> None:
        await asyncio.gather(*(one(span) for span in range(1, 7)))

    asyncio.run(life())

    assert found == [(span, span, span) for span in range(1, 7)]


def test_without_autojump_a_task_that_waits_is_told():
    """An awaited poller that nobody moves time for raises ClockStalled, and does not hang."""
    with FakeCompute(autojump=False) as fake:
        fake.add_vm("web-1")

        async def life() -> None:
            async with fake.aio_client as client:
                poller = await client.virtual_machines.begin_deallocate("rg", "web-1")
                with pytest.raises(ClockStalled, match="Only the test moves time"):
                    await poller.result()

        asyncio.run(life())


async def _sleeps() -> None:
    await asyncio.gather(asyncio.sleep(5), asyncio.sleep(7))


async def _has_a_deadline() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 5)


async def _sets_a_timer() -> None:
    rung = asyncio.Event()
    asyncio.get_running_loop().call_later(5, rung.set)
    await rung.wait()


@pytest.mark.parametrize("life", [_sleeps, _has_a_deadline, _sets_a_timer])
def test_without_autojump_a_loop_with_asyncios_own_timers_is_told(life):
    """Whoever runs a loop whose sleeps, deadlines or timers nobody moves time for is told soon."""
    with FakeCompute(autojump=False):
        began = time.perf_counter()
        with pytest.raises(
            ClockStalled, match=rf"event loop waits until 2026-01-01T00:00:05.*{life.__name__}"
        ):
            asyncio.run(life())

        assert time.perf_counter() - began < 1.5  # the promise is 1, of a machine that is idle


def busy(depth: int) -> int:
    """Work that goes from place to place: who stays at one is taken for blocked."""
    return 1 if depth < 2 else busy(depth - 1) + busy(depth - 2)


def test_without_autojump_who_waits_is_patient_with_a_test_that_is_at_work():
    """A wait is not given up while the test, slow as it may be, is on its way to move time."""
    with FakeCompute(autojump=False) as fake:
        slept = []

        def work() -> None:
            time.sleep(5)
            slept.append(seconds(fake))

        thread = threading.Thread(target=work)
        thread.start()
        until = time.perf_counter() + 1.5
        while time.perf_counter() < until:
            busy(15)
        fake.clock.advance(5)
        thread.join()

        assert slept == [5]


def test_without_autojump_a_loop_goes_on_after_it_was_told():
    """A task that catches what its sleep raises, and the loop itself, can go on."""
    with FakeCompute(autojump=False) as fake:

        async def life() -> str:
            with pytest.raises(ClockStalled):
                await asyncio.sleep(5)
            fake.clock.advance(5)
            return "went on"

        assert asyncio.run(life()) == "went on"


def test_without_autojump_a_thread_of_the_test_moves_a_loop():
    """A loop's sleep ends when another thread of the test has moved time far enough."""
    with FakeCompute(autojump=False) as fake:
        slept = []

        async def life() -> None:
            await asyncio.sleep(5)
            slept.append(seconds(fake))

        thread = threading.Thread(target=lambda: asyncio.run(life()))
        thread.start()
        while thread.is_alive():
            fake.clock.advance(1)
        thread.join()

        assert [at >= 5 for at in slept] == [True]


def test_a_loop_has_its_own_time_back_after_the_fake():
    """When the fake ends, the loop's time and asyncio's timers are its own again."""
    makers = asyncio.BaseEventLoop.call_later, asyncio.BaseEventLoop.call_at

    async def life() -> bool:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with FakeCompute():
            await asyncio.sleep(1_000_000)
            during = loop.time()
        await asyncio.sleep(0.0001)
        return during >= before + 1_000_000 and loop.time() < before + 1_000

    assert asyncio.run(life())
    assert (asyncio.BaseEventLoop.call_later, asyncio.BaseEventLoop.call_at) == makers


@contextmanager
def background_loop():
    """Run an event loop in a thread of its own, until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def beats(times: int) -> str:
    """Sleep again and again, for a moment."""
    for _ in range(times):
        await asyncio.sleep(0.001)
    return "beaten"


async def naps_behind_a_deadline() -> str:
    """Wait for a moment under a deadline, with nothing else that sleeps in the loop."""
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    return "woken"


@pytest.mark.parametrize("life", [lambda: beats(3), naps_behind_a_deadline])
def test_a_loop_in_another_thread_outlives_fakes(life):
    """A loop that runs in the background sleeps on in its own time when a fake has ended."""
    with background_loop() as loop:
        resolution = loop._clock_resolution
        for _ in range(3):
            with FakeCompute() as fake:
                asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop).result()
                left = asyncio.run_coroutine_threadsafe(life(), loop)

                assert fake.clock.now_us >= 3600_000_000
            assert left.result(timeout=30) in ("beaten", "woken")
        assert abs(loop.time() - time.monotonic()) < 60
        assert loop._clock_resolution == resolution


def test_what_is_due_in_a_loop_keeps_its_order_when_a_fake_ends():
    """Timers that a fake leaves behind come in order, and those of hours are not due at once."""
    order = []

    async def life() -> None:
        loop = asyncio.get_running_loop()
        with FakeCompute() as fake:
            await asyncio.sleep(3600)
            loop.call_later(0.002, order.append, "second")
            loop.call_later(0.001, order.append, "first")
            later = loop.call_later(3600, order.append, "never")
            fake.close()
        loop.call_later(0.003, order.append, "third")
        await asyncio.sleep(0.004)
        later.cancel()

    asyncio.run(life())

    assert order == ["first", "second", "third"]


def test_a_sync_poller_moves_beside_a_loop(fake):
    """A sync poller's thread and a loop's tasks live in one time."""
    fake.add_vm("web-1")
    poller = fake.client.virtual_machines.begin_deallocate("rg", "web-1")

    async def life() -> tuple[bool, bool]:
        await asyncio.sleep(60)
        before = poller.done()
        await asyncio.sleep(6)
        return before, poller.done()

    assert asyncio.run(life()) == (False, True)


def test_a_loop_in_debug_mode_takes_no_callback_for_slow(fake, caplog):
    """Virtual time that passes within a callback is no slowness, and the loop's own limit stays."""

    async def nap_for_long() -> None:
        await asyncio.sleep(60)

    loop = asyncio.new_event_loop()
    try:
        loop.set_debug(True)
        loop.run_until_complete(nap_for_long())
        fake.close()
        assert loop.slow_callback_duration == 0.1
    finally:
        loop.close()
    assert "took" not in caplog.text


# --- trio --------------------------------------------------------------------------------------


async def followed(fake, name="web-1"):
    """Deallocate a machine, and give when its poller had seen the end."""
    fake.add_vm(name)
    poller = await fake.aio_client.virtual_machines.begin_deallocate("rg", name)
    await poller.result()
    return fake.clock.now_us


def test_a_poller_is_followed_in_a_run_of_trios(fake):
    """Under trio, a poller sleeps in virtual time, as in a loop of asyncio."""
    assert trio.run(followed, fake) == 66_000_000


def test_a_task_of_trios_that_spins_does_not_hold_time_up(fake, monkeypatch):
    """A task that always has something to do delays a poller's sleep, and does not stop it."""
    monkeypatch.setattr(_trio, "_PATIENCE_S", 0.01)

    async def main() -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spin)
            at = await followed(fake)
            nursery.cancel_scope.cancel()
            return at

    async def spin() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    assert trio.run(main) == 66_000_000


def test_tasks_of_trios_that_sleep_beside_each_other_take_the_longest(fake):
    """Of several sleepers in one run each wakes at its own instant, in order."""
    woken = []

    async def sleeps(seconds: float) -> None:
        await fake._loops.sleep(seconds)
        woken.append((seconds, fake.clock.now_us))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for seconds in (30, 10, 20):
                nursery.start_soon(sleeps, seconds)

    trio.run(main)

    assert woken == [(10, 10_000_000), (20, 20_000_000), (30, 30_000_000)]


def test_a_sleep_under_trio_may_be_cancelled(fake):
    """A cancelled sleep leaves nothing on the agenda."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await fake._loops.sleep(5)

    trio.run(main)
    fake.clock.run_until_idle()

    assert fake.clock.now_us == 0


def test_what_a_thread_of_trios_does_is_waited_for(fake):
    """While a thread works for a run of trio's, time stands, and its result is found at once."""
    seen = []

    async def works() -> None:
        seen.append(await trio.to_thread.run_sync(lambda: busy(20) and fake.clock.now_us))
        await fake._loops.sleep(1)
        seen.append(fake.clock.now_us)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(works)
            await fake._loops.sleep(10)

    trio.run(main)

    assert seen == [0, 1_000_000]


def test_without_autojump_a_run_of_trios_is_told():
    """A sleep under trio that nobody moves time for is told so."""
    told = "a run of trio's waits until 2026-01-01T00:00:36"
    with FakeCompute(autojump=False) as fake, pytest.raises(ClockStalled, match=told):
        trio.run(followed, fake)


def test_a_sleep_under_trio_ends_with_its_fake():
    """A task of trio's that sleeps when the fake ends is told that it was closed."""
    told = []
    with FakeCompute() as fake:

        async def sleeps() -> None:
            with pytest.raises(FakeClosed):
                await fake._loops.sleep(5)
            told.append(fake)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sleeps)
                await trio.lowlevel.checkpoint()
                fake.close()

        trio.run(main)

    assert told == [fake]
