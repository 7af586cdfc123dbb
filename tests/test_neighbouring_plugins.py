"""Other plugins and runners in the same run: each in a pytest run of its own, beside ours."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from tests.runs import run

CREATED = """
import time
import pytest

VM = {
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {"imageReference": {
            "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server",
            "version": "latest",
        }},
        "osProfile": {"computerName": "web-1", "adminUsername": "azureuser"},
    },
}

def create(fake, name="web-1"):
    return fake.client.virtual_machines.begin_create_or_update("shop", name, VM)

"""
FLEET = """
import pytest

@pytest.fixture(scope="module")
def fleet(fake_compute_factory):
    with fake_compute_factory({settings}) as fake:
        yield fake

"""
SHARING = (
    CREATED
    + FLEET.format(settings="timing='instant'")
    + """
@pytest.mark.parametrize("number", range(4))
def test_shared(fleet, number):
    create(fleet, f"web-{number}").result()
    assert fleet.vm(f"web-{number}").power_state == "running"
"""
)
OWNING = (
    CREATED
    + """
@pytest.mark.parametrize("number", range(4))
def test_own(fake_compute, number):
    assert fake_compute.vms == ()
    create(fake_compute).result()
    time.sleep(3600)
    assert fake_compute.clock.now_us > 3600_000_000
"""
)


# --- pytest-xdist ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["load", "loadscope", "worksteal"])
def test_workers_of_xdist_have_fakes_of_their_own(pytester, how):
    """Spread over two processes, tests with their own and with shared fakes pass."""
    pytester.makepyfile(test_a=SHARING, test_b=OWNING, test_c=SHARING, test_d=OWNING)
    result = run(pytester, "-n", "2", "--dist", how, "-W", "error", beside=("xdist",))

    result.assert_outcomes(passed=16)


def test_a_worker_of_xdist_tells_of_its_fake(pytester):
    """The section of a failing test, and the error of a failure that never struck, come through."""
    pytester.makepyfile(
        """
        from pytest_azurevm import failures

        def test_failing(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop")
            assert False

        def test_never_struck(fake_compute):
            fake_compute.inject(failures.Stuck())
        """
    )
    result = run(pytester, "-n", "2", beside=("xdist",))

    result.assert_outcomes(failed=1, passed=1, errors=1)
    text = result.stdout.str()
    assert "- azurevm -" in text
    assert "shop/web-1: running, Succeeded" in text
    assert "InjectionNeverStruck: Stuck() was injected and never struck" in text


# --- pytest-randomly ---------------------------------------------------------------------------


def test_a_random_order_changes_no_ids(pytester):
    """In any order, and however random is seeded, a fake gives the same ids and the same chance."""
    pytester.makepyfile(
        """
        import random
        import pytest

        @pytest.mark.parametrize("number", range(3))
        @pytest.mark.azurevm(jitter=0.5)
        def test_ids(fake_compute, number):
            for _ in range(number):
                random.random()
            vm = fake_compute.add_vm("web-1")
            fake_compute.client.virtual_machines.begin_deallocate("rg", "web-1").result()
            asked = [call.url for call in fake_compute.calls]
            print("seen", vm.model["properties"]["vmId"], fake_compute.clock.now_us, asked)
        """
    )
    seen = set()
    for seed in (1, 2):
        result = run(pytester, "-s", f"--randomly-seed={seed}", beside=("randomly",))
        result.assert_outcomes(passed=3)
        seen |= {line.partition("seen ")[2] for line in result.outlines if "seen " in line}

    assert len(seen) == 1


# --- how pytest imports tests, and what else runs them -----------------------------------------


@pytest.mark.parametrize("mode", ["importlib", "prepend", "append"])
def test_tests_may_be_imported_in_any_mode(pytester, mode):
    """Fixtures, sleeps imported by name and sections work however test modules are imported."""
    pytester.mkpydir("tests")
    pytester.path.joinpath("tests/test_it.py").write_text(
        "from time import sleep\n"
        "def test_it(fake_compute):\n"
        "    sleep(3600)\n"
        "    assert fake_compute.clock.now_us == 3600_000_000\n"
        "def test_failing(fake_compute):\n"
        "    assert False\n"
    )
    result = run(pytester, f"--import-mode={mode}", "-W", "error")

    result.assert_outcomes(passed=1, failed=1)
    assert "- azurevm -" in result.stdout.str()


def test_a_run_without_the_plugin_has_none_of_it(pytester):
    """With -p no:azurevm the package is there, and its fixtures, options and sections are not."""
    pytester.makepyfile(
        """
        from pytest_azurevm import FakeCompute

        def test_by_hand():
            with FakeCompute() as fake:
                fake.clock.advance(1)
                assert False

        def test_fixture(fake_compute):
            pass
        """
    )
    result = run(pytester, "-p", "no:azurevm")

    result.assert_outcomes(failed=1, errors=1)
    assert "- azurevm -" not in result.stdout.str()
    assert "fixture 'fake_compute' not found" in result.stdout.str()


def test_doctests_take_the_fixture(pytester):
    """A doctest asks for the fixture by name, and its failure has a section."""
    pytester.makepyfile(
        shop='''
        def right():
            """
            >>> fake = getfixture("fake_compute")
            >>> fake.add_vm("web-1", resource_group="shop").power_state
            'running'
            """

        def wrong():
            """
            >>> fake = getfixture("fake_compute")
            >>> fake.add_vm("web-2", resource_group="shop").power_state
            'stopped'
            """
        '''
    )
    result = run(pytester, "--doctest-modules", "-W", "error")

    result.assert_outcomes(passed=1, failed=1)
    assert "shop/web-2: running, Succeeded" in result.stdout.str()


def test_the_marker_may_stand_on_a_class_or_a_module(pytester):
    """What is set for a module holds in it, and a class or a test may set it anew."""
    pytester.makepyfile(
        """
        import unittest
        import pytest

        pytestmark = [pytest.mark.azurevm(timing="slow", seed=5)]

        @pytest.mark.azurevm(timing="instant")
        class TestSet:
            def test_class(self, fake_compute):
                assert fake_compute.timing.profile == "instant"

            @pytest.mark.azurevm(timing="typical")
            def test_method(self, fake_compute):
                assert fake_compute.timing.profile == "typical"

        @pytest.mark.azurevm(edition="document")
        @pytest.mark.usefixtures("fake_compute")
        class TestCase(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _fake(self, fake_compute):
                self.fake = fake_compute

            def test_case(self):
                assert (self.fake.timing.profile, self.fake.edition) == ("slow", "document")
        """
    )

    run(pytester, "-W", "error", "--strict-markers").assert_outcomes(passed=3)


# --- unittest ----------------------------------------------------------------------------------

CASES = """
import asyncio
import unittest
from pytest_azurevm import FakeCompute

class Base:
    def test_a(self):
        create(self.fake).result()
        time.sleep(60)
        self.assertEqual(self.fake.vm("web-1").power_state, "running")

    def test_b(self):
        self.assertEqual(self.fake.vms, ())

class Autouse(Base, unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _fake(self, fake_compute):
        self.fake = fake_compute

class Cleanup(Base, unittest.TestCase):
    def setUp(self):
        self.fake = FakeCompute()
        self.fake.__enter__()
        self.addCleanup(self.fake.close)

@unittest.skipUnless(hasattr(unittest.TestCase, "enterContext"), "since Python 3.11")
class Context(Base, unittest.TestCase):
    def setUp(self):
        self.fake = self.enterContext(FakeCompute())

class Torn(Base, unittest.TestCase):
    def setUp(self):
        self.fake = FakeCompute().__enter__()

    def tearDown(self):
        self.fake.close()

class OfTheClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fake = FakeCompute()
        cls.fake.__enter__()
        cls.addClassCleanup(cls.fake.close)

    def test_a(self):
        self.fake.add_vm("web-1")

    def test_b(self):
        self.assertEqual(len(self.fake.vms), 1)

class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.fake = FakeCompute()
        self.fake.__enter__()
        self.addCleanup(self.fake.close)
        await asyncio.sleep(3600)

    async def test_a(self):
        async with self.fake.aio_client as client:
            self.fake.add_vm("web-1", resource_group="shop")
            poller = await client.virtual_machines.begin_deallocate("shop", "web-1")
            await asyncio.wait_for(poller.result(), 600)
        self.assertEqual(self.fake.vm("web-1").power_state, "deallocated")

    async def test_b(self):
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 5)
        self.assertEqual(self.fake.clock.now_us, 3605_000_000)

class AsyncByFixture(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def _fake(self, fake_compute):
        self.fake = fake_compute

    async def test_a(self):
        await asyncio.sleep(3600)
        self.assertEqual(self.fake.clock.now_us, 3600_000_000)
"""


def test_unittest_classes_take_the_fixture_or_enter_a_fake(pytester):
    """Classes of unittest have a fake by autouse, enterContext, addCleanup, or for the class."""
    pytester.makepyfile(CREATED + CASES)
    contexts = 2 if sys.version_info >= (3, 11) else 0

    run(pytester, "-W", "error").assert_outcomes(passed=11 + contexts, skipped=2 - contexts)


# --- pytest-asyncio ----------------------------------------------------------------------------

needs_asyncio = pytest.mark.skipif(  # which is what pytest before 8.2 can have
    version("pytest-asyncio").startswith("0.23."), reason="pytest-asyncio has no loop scopes yet"
)

IN_A_LOOP = """
import asyncio
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def machine(fake_compute):
    await asyncio.sleep(60)
    yield fake_compute.add_vm("web-1", resource_group="shop")
    await asyncio.sleep(60)

@pytest_asyncio.fixture(params=["running", "stopped"])
async def either(request, fake_compute):
    await asyncio.sleep(1)
    return fake_compute.add_vm("web-1", resource_group="shop", power_state=request.param)

@pytest.mark.asyncio
async def test_machine(machine, fake_compute):
    assert fake_compute.clock.now_us == 60_000_000
    async with fake_compute.aio_client as client:
        poller = await client.virtual_machines.begin_deallocate("shop", "web-1")
        await asyncio.wait_for(poller.result(), 600)
    assert machine.power_state == "deallocated"

@pytest.mark.asyncio
async def test_either(either, fake_compute):
    async with fake_compute.aio_client as client:
        vm = await client.virtual_machines.instance_view("shop", "web-1")
    assert vm.statuses[-1].code == f"PowerState/{either.power_state}"

@pytest.mark.asyncio
async def test_sync_client(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop")
    poller = fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1")
    await asyncio.to_thread(poller.result)
    assert fake_compute.vm("web-1").power_state == "deallocated"
"""


@needs_asyncio
@needs_asyncio
@pytest.mark.parametrize(
    ("mode", "scope"), [("strict", "function"), ("auto", "module"), ("strict", "session")]
)
def test_async_tests_and_fixtures_live_in_virtual_time(pytester, mode, scope):
    """In either mode of pytest-asyncio, and loops of any scope, sleeps and pollers are virtual."""
    source = IN_A_LOOP
    if mode == "auto":
        source = source.replace("@pytest.mark.asyncio\n", "").replace("@pytest_asyncio", "@pytest")
    pytester.makepyfile(test_a=source, test_b=source)
    result = run(
        pytester, "-W", "error", f"--asyncio-mode={mode}",
        "-o", f"asyncio_default_fixture_loop_scope={scope}",
        "-o", f"asyncio_default_test_loop_scope={scope}",
        beside=("asyncio",),
    )  # fmt: skip

    result.assert_outcomes(passed=8)


@needs_asyncio
def test_an_async_test_that_fails_has_a_section(pytester):
    """The report of a failing coroutine shows its fake, whichever plugin ran it."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.asyncio
        async def test_asyncio(fake_compute):
            fake_compute.add_vm("one", resource_group="shop")
            assert False

        @pytest.mark.anyio
        async def test_anyio(fake_compute):
            fake_compute.add_vm("two", resource_group="shop")
            assert False

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
    )
    result = run(pytester, beside=("asyncio", "anyio"))

    result.assert_outcomes(failed=2)
    assert "shop/one: running, Succeeded" in result.stdout.str()
    assert "shop/two: running, Succeeded" in result.stdout.str()


LASTING = """
import asyncio
import time
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
tasks = []
"""


def lasting(pytester: pytest.Pytester, source: str) -> pytest.RunResult:
    """Run async tests that share one loop."""
    pytester.makepyfile(LASTING + source)
    return run(pytester, "-W", "error", beside=("asyncio",))


@needs_asyncio
def test_a_loop_may_outlive_many_fakes(pytester):
    """In a loop that lasts, each fake has a time of its own, and the loop its own in between."""
    result = lasting(
        pytester,
        """
loops = set()

def ahead():
    return asyncio.get_running_loop().time() - time.monotonic()

@pytest.mark.parametrize("number", range(3))
async def test_with_a_fake(fake_compute, number):
    await asyncio.sleep(3600)
    assert fake_compute.clock.now_us == 3600_000_000
    assert ahead() > 3500
    loops.add(asyncio.get_running_loop())

async def test_without():
    assert abs(ahead()) < 60
    await asyncio.sleep(0.001)
    loops.add(asyncio.get_running_loop())

async def test_with_a_fake_again(fake_compute):
    await asyncio.wait_for(asyncio.sleep(60), 120)
    assert fake_compute.clock.now_us == 60_000_000
    assert loops == {asyncio.get_running_loop()}
""",
    )

    result.assert_outcomes(passed=5)


@needs_asyncio
def test_the_executor_of_a_lasting_loop_sleeps_in_virtual_time(pytester):
    """A worker thread that an earlier test has left in the loop's executor sleeps on the clock."""
    result = lasting(
        pytester,
        """
@pytest.mark.parametrize("number", range(3))
async def test_in_a_thread(fake_compute, number):
    await asyncio.to_thread(time.sleep, 0.01)
    assert fake_compute.clock.now_us == 10_000
""",
    )

    result.assert_outcomes(passed=3)


@needs_asyncio
def test_what_a_test_leaves_sleeping_in_a_lasting_loop_goes_on_for_real(pytester):
    """A task that sleeps when its fake ends has the rest of its sleep in the loop's own time.

    It is not ended, and does not wait for the hours that passed while the fake was active.
    """
    result = lasting(
        pytester,
        """
async def beats():
    for beat in range(3):
        await asyncio.sleep(0.001)
    return "beaten"

async def test_leaves(fake_compute):
    await asyncio.sleep(3600)
    tasks.append(asyncio.create_task(beats()))
    await asyncio.sleep(0)

async def test_meets():
    assert await asyncio.wait_for(tasks[0], 30) == "beaten"
""",
    )

    result.assert_outcomes(passed=2)


@needs_asyncio
def test_a_task_older_than_the_fake_sleeps_on_in_virtual_time(pytester):
    """A task that slept before the fake began has the rest of it in virtual time, and survives."""
    result = lasting(
        pytester,
        """
async def sleeper():
    await asyncio.sleep(1800)
    await asyncio.sleep(1800)
    return "slept"

async def beats():
    while True:
        await asyncio.sleep(30)

async def test_before():
    tasks.append(asyncio.create_task(sleeper()))
    tasks.append(asyncio.create_task(beats()))
    await asyncio.sleep(0)

async def test_waits(fake_compute):
    assert await tasks[0] == "slept"
    assert 3500_000_000 < fake_compute.clock.now_us <= 3600_000_000

async def test_after():
    await asyncio.sleep(0.001)
    assert not tasks[1].done()
    tasks[1].cancel()
""",
    )

    result.assert_outcomes(passed=3)


@needs_asyncio
def test_a_poller_left_in_a_lasting_loop_ends_with_its_fake(pytester):
    """A task that follows an operation when its fake ends is told that the fake was closed."""
    result = lasting(
        pytester,
        """
from pytest_azurevm import FakeClosed

async def test_leaves(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop")
    client = fake_compute.aio_client
    poller = await client.virtual_machines.begin_deallocate("shop", "web-1")
    tasks.append(asyncio.create_task(poller.result()))
    await asyncio.sleep(0)

async def test_meets():
    with pytest.raises(FakeClosed):
        await asyncio.wait_for(tasks[0], 30)
""",
    )

    result.assert_outcomes(passed=2)


@needs_asyncio
def test_a_shared_fake_and_a_lasting_loop_share_their_time(pytester):
    """A module's fake in a module's loop goes on from test to test, its timers too."""
    result = lasting(
        pytester,
        FLEET.format(settings="")
        + """
async def sleeper():
    await asyncio.sleep(100)
    return "slept"

async def test_one(fleet):
    tasks.append(asyncio.create_task(sleeper()))
    await asyncio.sleep(60)
    assert fleet.clock.now_us == 60_000_000

async def test_two(fleet):
    fleet.clock.advance(30)

async def test_three(fleet):
    assert await tasks[0] == "slept"
    assert fleet.clock.now_us == 100_000_000
""",
    )

    result.assert_outcomes(passed=3)


@needs_asyncio
def test_an_async_fixture_of_a_module_may_hold_a_fake(pytester):
    """A fake that is entered and left within a lasting loop is that loop's time in between."""
    result = lasting(
        pytester,
        """
import pytest_asyncio

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(fake_compute_factory):
    with fake_compute_factory() as fake:
        fake.add_vm("web-1", resource_group="shop")
        await asyncio.sleep(60)
        yield fake
        await asyncio.sleep(60)
    await asyncio.sleep(0.001)
    assert fake.clock.now_us == 186_000_000

async def test_one(fleet):
    poller = await fleet.aio_client.virtual_machines.begin_deallocate("shop", "web-1")
    tasks.append(asyncio.create_task(poller.result()))

async def test_two(fleet):
    await tasks[0]
    assert fleet.vm("web-1").power_state == "deallocated"
""",
    )

    result.assert_outcomes(passed=2)


# --- anyio -------------------------------------------------------------------------------------

ANYIO = """
import time
import anyio
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return BACKEND

@pytest.fixture
async def machine(fake_compute):
    yield fake_compute.add_vm("web-1", resource_group="shop")

async def follow(client, name):
    poller = await client.virtual_machines.begin_deallocate("shop", name)
    await poller.result()

async def test_aio(machine, fake_compute):
    async with fake_compute.aio_client as client:
        await follow(client, "web-1")
    assert machine.power_state == "deallocated"
    assert fake_compute.clock.now_us == 66_000_000

async def test_many_at_once(fake_compute):
    async with fake_compute.aio_client as client, anyio.create_task_group() as group:
        for number in range(5):
            fake_compute.add_vm(f"web-{number}", resource_group="shop")
            group.start_soon(follow, client, f"web-{number}")
    assert {vm.power_state for vm in fake_compute.vms} == {"deallocated"}
    assert fake_compute.clock.now_us == 66_000_000

async def test_sync(machine, fake_compute):
    poller = fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1")
    await anyio.to_thread.run_sync(poller.result)
    assert machine.power_state == "deallocated"
    time.sleep(3600)
    assert fake_compute.clock.now_us > 3600_000_000

@pytest.mark.parametrize("number", range(2))
async def test_next(fake_compute, number):
    assert fake_compute.vms == ()
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tests_of_anyio_live_in_virtual_time(pytester, backend):
    """Under anyio's plugin, on either backend, pollers of both clients are followed."""
    pytester.makepyfile(ANYIO.replace("BACKEND", repr(backend)))

    run(pytester, "-W", "error", beside=("anyio",)).assert_outcomes(passed=5)
