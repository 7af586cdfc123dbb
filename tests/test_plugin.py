"""The pytest surface: fixture, marker, options, report; each in a pytest run of its own."""

from __future__ import annotations

import pytest

from tests.runs import run


def test_the_fixture_needs_nothing_but_its_name(pytester):
    """A test that asks for fake_compute has a living subscription, and no other test has."""
    pytester.makepyfile(
        """
        def test_night_shift(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop")
            poller = fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1")
            assert fake_compute.vm("web-1").power_state == "deallocating"
            fake_compute.clock.advance(minutes=5)
            assert poller.done()
            assert fake_compute.vm("web-1").power_state == "deallocated"

        def test_next(fake_compute):
            assert fake_compute.vms == ()
        """
    )

    run(pytester, "-W", "error").assert_outcomes(passed=2)


def test_nothing_is_patched_or_loaded_without_the_fixture(pytester):
    """In a run that does not use the fixture, azure is not imported by the plugin."""
    pytester.makepyfile(
        """
        import sys

        def test_plain():
            assert not [name for name in sys.modules if name.split(".")[0] == "azure"]
        """
    )

    run(pytester).assert_outcomes(passed=1)


def test_the_marker_sets_the_fake_up(pytester):
    """Each keyword of the marker reaches the fake; the closest marker goes first."""
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.azurevm(edition="document", seed=5)

        @pytest.mark.azurevm(timing="slow", start="2030-05-05T05:05:05Z", seed=7)
        def test_marked(fake_compute):
            assert fake_compute.edition == "document"
            assert fake_compute.timing.profile == "slow"
            assert fake_compute.clock.now.isoformat() == "2030-05-05T05:05:05+00:00"

        @pytest.mark.azurevm(subscription_id="11111111-1111-4111-8111-111111111111", autojump=False)
        def test_subscription(fake_compute):
            assert fake_compute.subscription_id.startswith("1111")
            assert fake_compute.clock.autojump is False
        """
    )

    run(pytester, "--strict-markers").assert_outcomes(passed=2)


def test_flags_go_before_the_ini_file_and_markers_before_flags(pytester):
    """An option is taken from the marker, else the flag, else the ini file."""
    pytester.makeini("[pytest]\nazurevm_timing = slow\nazurevm_edition = document\n")
    pytester.makepyfile(
        """
        import pytest

        def test_flag(fake_compute):
            assert (fake_compute.timing.profile, fake_compute.edition) == ("instant", "document")

        @pytest.mark.azurevm(timing="typical")
        def test_marker(fake_compute):
            assert fake_compute.timing.profile == "typical"
        """
    )

    run(pytester, "--azurevm-timing=instant").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "timeing='slow'",
            "azurevm knows no 'timeing'; it knows timing, edition, autojump, start, seed, jitter, "
            "sleep, subscription_id",
        ),
        ("'slow'", "azurevm takes keywords only, such as timing='slow', not 'slow'"),
        ("timing='fast'", "azurevm: timing 'fast' is not one of typical, instant, slow"),
        ("edition='book'", "azurevm: edition 'book' is not one of wire, document"),
        ("start='soon'", "azurevm: start 'soon' is not an ISO 8601 instant"),
        ("seed='x'", "azurevm: seed must be a whole number, not 'x'"),
        ("autojump='no'", "azurevm: autojump must be True or False, not 'no'"),
        ("subscription_id='mine'", "azurevm: subscription_id must be a UUID, not 'mine'"),
        ("jitter=-1", "azurevm: jitter must be zero or more, and finite, not -1"),
        (
            "concurrency='queue'",
            "azurevm: concurrency 'queue' is not one of assumed, preempt, refuse",
        ),
        ("throttling='on'", "azurevm: throttling must be True or False, not 'on'"),
        ("strict=0", "azurevm: strict must be True or False, not 0"),
    ],
)
def test_a_wrong_marker_is_an_error_that_says_what_there_is(pytester, marker, message):
    """A typo in the marker, or a value that cannot be, is refused before the test runs."""
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.azurevm({marker})
        def test_marked(fake_compute):
            pass
        """
    )
    result = run(pytester)

    result.assert_outcomes(errors=1)
    assert message in result.stdout.str()


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("timeing='slow'", "azurevm knows no 'timeing'; it knows timing, edition, autojump, start"),
        ("'slow'", "azurevm takes keywords only, such as timing='slow', not 'slow'"),
        ("timing='fast'", "azurevm: timing 'fast' is not one of typical, instant, slow"),
        ("jitter=4", "azurevm: jitter must be 3 at most, not 4"),
    ],
)
def test_a_wrong_marker_is_an_error_without_the_fixture_too(pytester, marker, message):
    """A marker is judged also where no fake is taken, and a right one costs nothing more."""
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.azurevm({marker})
        def test_marked():
            pass

        @pytest.mark.azurevm(timing="slow")
        def test_marked_right():
            pass

        def test_unmarked():
            pass
        """
    )
    result = run(pytester)

    result.assert_outcomes(errors=1, passed=2)
    assert message in result.stdout.str()


def test_a_wrong_flag_is_an_error(pytester):
    """A flag that cannot be read is named, with its value."""
    pytester.makepyfile("def test_any(fake_compute): pass")
    result = run(pytester, "--azurevm-autojump=perhaps")

    result.assert_outcomes(errors=1)
    assert "azurevm_autojump: 'perhaps' is neither true nor false" in result.stdout.str()


def test_a_failing_report_shows_the_machines_and_the_last_calls(pytester):
    """A failing test's report has a section with virtual time, the VMs and what was asked."""
    pytester.makepyfile(
        """
        def test_failing(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop")
            fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1")
            assert False

        def test_plain():
            assert False
        """
    )
    result = run(pytester)

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- azurevm -*",
            "virtual time 2026-01-01T00:00:00+00:00",
            "shop/web-1: deallocating, Updating, deallocate in flight",
            "last 2 of 2 calls:",
            "  00:00:00 deallocate web-1 -> 202",
            "  00:00:00 poll web-1 -> 200",
        ]
    )
    assert result.stdout.str().count("- azurevm -") == 1


def test_a_report_shows_what_is_under_way_first(pytester):
    """Of many machines the report shows those with an operation in flight, and how many more."""
    pytester.makepyfile(
        """
        def test_failing(fake_compute):
            for number in range(12):
                fake_compute.add_vm(f"web-{number}")
            fake_compute.client.virtual_machines.begin_restart("rg", "web-11")
            assert False

        def test_nothing_was_asked(fake_compute):
            assert False
        """
    )
    result = run(pytester)

    result.stdout.fnmatch_lines(
        [
            "virtual time 2026-01-01T00:00:00+00:00",
            "rg/web-11: running, Updating, restart in flight",
            "rg/web-0: running, Succeeded",
            "... and 2 more virtual machines",
            "last 2 of 2 calls:",
            "virtual time 2026-01-01T00:00:00+00:00",
            "no calls",
        ]
    )


def test_a_report_says_that_another_subscription_was_asked(pytester):
    """Where the application's clients name a subscription without machines, the report says so."""
    pytester.makepyfile(
        """
        from azure.identity import DefaultAzureCredential
        from azure.mgmt.compute import ComputeManagementClient

        THEIRS = "5d3c1a2b-0c4e-4f6a-8b7d-9e1f2a3b4c5d"

        def test_failing(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop")
            client = ComputeManagementClient(DefaultAzureCredential(), THEIRS)
            client.virtual_machines.get("shop", "web-1")

        def test_right(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop", subscription_id=THEIRS)
            client = ComputeManagementClient(DefaultAzureCredential(), THEIRS)
            assert client.virtual_machines.get("shop", "web-1") is None
        """
    )
    result = run(pytester)

    result.assert_outcomes(failed=2)
    theirs = "5d3c1a2b-0c4e-4f6a-8b7d-9e1f2a3b4c5d"
    told = (
        f"there is no machine in subscription {theirs}, which was asked; "
        f"fake.add_vm(..., subscription_id='{theirs}') puts one there"
    )
    assert result.stdout.str().count(told) == 1


def test_a_report_moves_no_time(pytester):
    """Making the report neither looks at frozen time nor moves the fake's."""
    pytester.makepyfile(
        """
        import datetime
        from freezegun import freeze_time

        freezer = freeze_time("2026-05-05")

        def test_failing(fake_compute):
            frozen = freezer.start()
            fake_compute.add_vm("web-1")
            fake_compute.client.virtual_machines.begin_deallocate("rg", "web-1")
            frozen.time_to_freeze += datetime.timedelta(hours=1)  # behind the fake's back
            raise RuntimeError

        def test_next():
            freezer.stop()
        """
    )
    result = run(pytester)

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "virtual time 2026-05-05T00:00:00+00:00",
            "rg/web-1: deallocating, Updating, deallocate in flight",
        ]
    )


def test_a_report_that_fails_does_not_end_the_run(pytester):
    """Whatever goes wrong while the report is made is told in it, and the next test runs."""
    pytester.makepyfile(
        """
        def test_failing(fake_compute):
            fake_compute._compute = None
            assert False

        def test_next():
            pass
        """
    )
    result = run(pytester)

    result.assert_outcomes(failed=1, passed=1)
    assert "the fake could not tell what it looks like: AttributeError(" in result.stdout.str()


def test_the_fixture_is_documented_where_pytest_shows_it(pytester):
    """Pytest --fixtures prints the fixture's first line, pytest --markers its marker."""
    fixtures = run(pytester, "--fixtures").stdout.str()
    markers = run(pytester, "--markers").stdout.str()

    assert "A fake Azure subscription whose virtual machines live" in fixtures
    assert "fake_compute_factory [session scope]" in fixtures
    assert "@pytest.mark.azurevm(timing=..., edition=..." in markers


# --- injected failures that never strike -------------------------------------------------------

INJECTING = """
import pytest
from pytest_azurevm import failures

def test_injecting(fake_compute):
    fake_compute.add_vm("web-1", resource_group="shop")
    fake_compute.inject(failures.AllocationFailed(), on="start", vm="db-*")
    fake_compute.client.virtual_machines.get("shop", "web-1")
"""


def test_a_failure_that_never_struck_is_an_error_at_the_end(pytester):
    """A test passes, and then errs: its report says what the failure waited for, and what came."""
    pytester.makepyfile(INJECTING)
    result = run(pytester)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([
        "*ERROR at teardown of test_injecting*",
        "E *InjectionNeverStruck: AllocationFailed() was injected and never struck. "
        "It waited for 'start', vm='db-*'.",
        "E *The requests that came nearest:",
        "E *  00:00:00 get web-1: the operation is not 'start'; the VM is web-1, not 'db-[*]'",
        "E *Let the code under test make such a call, mend the condition, or take the rule back "
        "(injection.remove()). strict=False asks for nothing.",
    ])  # fmt: skip


def test_a_failure_that_struck_is_no_error(pytester):
    """A test whose failure struck, or was taken back, ends as it is."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_azurevm import failures

        def test_struck(fake_compute):
            rule = fake_compute.inject(failures.AuthorizationFailed(), on="list_all")
            with pytest.raises(Exception, match="AuthorizationFailed"):
                list(fake_compute.client.virtual_machines.list_all())
            assert rule.hits == 1

        def test_taken_back(fake_compute):
            fake_compute.inject(failures.Stuck()).remove()

        def test_started_anew(fake_compute):
            fake_compute.inject(failures.Stuck())
            fake_compute.reset()
        """
    )

    run(pytester).assert_outcomes(passed=3)


@pytest.mark.parametrize("how", ["marker", "ini", "flag"])
def test_nothing_is_asked_where_that_is_set(pytester, how):
    """With strict=False, by marker, ini file or flag, a failure may never strike."""
    marker = "pytestmark = pytest.mark.azurevm(strict=False)"
    pytester.makepyfile(INJECTING + (marker if how == "marker" else ""))
    if how == "ini":
        pytester.makeini("[pytest]\nazurevm_strict = false\n")

    run(pytester, *(["--azurevm-strict=no"] if how == "flag" else [])).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("ending", "outcomes"),
    [
        ("assert False", {"failed": 1}),
        ("raise RuntimeError", {"failed": 1}),
        ("pytest.skip('for today')", {"skipped": 1}),
        ("pytest.xfail('as known')", {"xfailed": 1}),
    ],
)
def test_a_test_that_did_not_come_to_its_end_is_not_asked(pytester, ending, outcomes):
    """A test that fails, skips or xfails is not also reported for a failure that never struck."""
    pytester.makepyfile(f"{INJECTING}    {ending}\n")

    run(pytester).assert_outcomes(**outcomes)


def test_a_test_that_fails_as_expected_is_not_asked(pytester):
    """A test that is marked xfail, and fails, is not also reported."""
    marked = INJECTING.replace("def test", "@pytest.mark.xfail(strict=True)\ndef test")
    pytester.makepyfile(f"{marked}    assert False\n")

    run(pytester).assert_outcomes(xfailed=1)


def test_a_test_whose_setup_failed_is_not_asked(pytester):
    """A fixture that fails after it has injected is what the report is about."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_azurevm import failures

        @pytest.fixture
        def broken(fake_compute):
            fake_compute.inject(failures.Stuck())
            raise RuntimeError("no fixture")

        def test_any(broken):
            pass
        """
    )
    result = run(pytester)

    result.assert_outcomes(errors=1)
    assert "never struck" not in result.stdout.str()


def test_the_next_test_has_a_fake_of_its_own(pytester):
    """A test that errs at its end stands in nobody's way, and leaves no rule behind."""
    pytester.makepyfile(
        INJECTING
        + """
def test_next(fake_compute):
    fake_compute.add_vm("db-1", resource_group="shop", power_state="deallocated")
    fake_compute.client.virtual_machines.begin_start("shop", "db-1").result()
"""
    )

    run(pytester).assert_outcomes(passed=2, errors=1)


def test_limits_and_meetings_are_set_by_marker_ini_and_flag(pytester):
    """Throttling and concurrency are settings like any other."""
    pytester.makeini("[pytest]\nazurevm_throttling = true\n")
    pytester.makepyfile(
        """
        import pytest

        def over(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop", power_state="deallocated")
            vms = fake_compute.client.virtual_machines
            vms.begin_start("shop", "web-1")
            vms.begin_power_off("shop", "web-1")
            return fake_compute.vm("web-1").operation.operation

        def test_set(fake_compute):
            assert fake_compute.throttling is True
            assert over(fake_compute) == "power_off"

        @pytest.mark.azurevm(throttling=False, concurrency="refuse")
        def test_marked(fake_compute):
            assert fake_compute.throttling is False
            with pytest.raises(Exception, match="An ongoing operation is changing power state"):
                over(fake_compute)
        """
    )

    run(pytester, "--azurevm-concurrency=preempt").assert_outcomes(passed=2)


# --- fakes that outlast a test -----------------------------------------------------------------

FLEET = """
import pytest
from pytest_azurevm import failures

@pytest.fixture(scope="{scope}")
def fleet(fake_compute_factory):
    with fake_compute_factory({settings}) as fake:
        yield fake
"""


def fleet(scope: str = "module", settings: str = "") -> str:
    """Give the source of a fixture that shares one fake between tests."""
    return FLEET.format(scope=scope, settings=settings)


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        ("function", [0, 0, 0, 0]),
        ("class", [0, 1, 0, 0]),
        ("module", [0, 1, 2, 0]),
        ("session", [0, 1, 2, 3]),
    ],
)
def test_a_fixture_of_any_scope_has_a_fake_for_as_long_as_it_lasts(pytester, scope, seen):
    """Tests that share the fixture share machines and time; the next fixture has a fresh fake."""
    pytester.makeconftest(fleet(scope))
    found = "assert (len(fleet.vms), fleet.clock.now_us) == ({0}, {0}_000_000); "
    step = 'fleet.add_vm("vm-{0}"); fleet.clock.advance(1)'
    lines = [(found + step).format(number) for number in seen]
    pytester.makepyfile(
        test_a=f"""
        class TestOne:
            def test_a(self, fleet):
                {lines[0]}
            def test_b(self, fleet):
                {lines[1]}

        class TestTwo:
            def test_c(self, fleet):
                {lines[2]}
        """,
        test_b=f"""
        def test_d(fleet):
            {lines[3]}
        """,
    )

    run(pytester, "-W", "error").assert_outcomes(passed=4)


def test_what_the_factory_makes_is_set_up_by_keywords_flags_and_ini_file(pytester):
    """Keywords go before flags, flags before the ini file."""
    pytester.makeini(
        "[pytest]\nazurevm_timing = slow\nazurevm_edition = document\nazurevm_seed = 7\n"
    )
    pytester.makepyfile(
        """
        def test_all(fake_compute_factory):
            made = fake_compute_factory(seed=5, strict=False)
            with made as fake:
                assert (fake.timing.profile, fake.edition) == ("instant", "document")
                a = fake.add_vm("web-1").model["properties"]["vmId"]
            with fake_compute_factory() as fake:
                b = fake.add_vm("web-1").model["properties"]["vmId"]
            with fake_compute_factory(seed=7) as fake:
                c = fake.add_vm("web-1").model["properties"]["vmId"]
            assert (a == b, b == c) == (False, True)
        """
    )

    run(pytester, "--azurevm-timing=instant").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "timeing='slow'",
            "fake_compute_factory knows no 'timeing'; it knows timing, edition, autojump, start, "
            "seed, jitter, sleep, subscription_id",
        ),
        ("timing='fast'", "azurevm: timing 'fast' is not one of typical, instant, slow"),
        ("seed='x'", "azurevm: seed must be a whole number, not 'x'"),
    ],
)
def test_a_wrong_keyword_of_the_factory_is_an_error_that_says_what_there_is(
    pytester, settings, message
):
    """A typo, or a value that cannot be, is refused where the fake is made."""
    pytester.makepyfile(fleet(settings=settings) + "\ndef test_any(fleet):\n    pass\n")
    result = run(pytester)

    result.assert_outcomes(errors=1)
    assert message in result.stdout.str()


def test_a_marker_that_sets_up_nothing_is_an_error(pytester):
    """A marked test that takes a shared fake only is told where that one is set up."""
    pytester.makepyfile(
        fleet()
        + """
@pytest.mark.azurevm(timing="slow")
def test_marked(fleet):
    pass
"""
    )
    result = run(pytester)

    result.assert_outcomes(errors=1)
    assert "the azurevm marker sets up fake_compute, which this test does not take." in (
        result.stdout.str()
    )


def test_a_test_cannot_take_a_shared_fake_and_its_own(pytester):
    """Two fakes at once are an error that names whose the other one is, either way round."""
    pytester.makepyfile(
        test_a=fleet()
        + """
def test_both(fleet, fake_compute):
    pass
""",
        test_b="""
        def test_own(fake_compute, fake_compute_factory):
            with fake_compute_factory():
                pass
        """,
    )
    result = run(pytester)

    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines([
        "*another fake is active already: made by fake_compute_factory, entered at *test_a.py:6. *",
        "*another fake is active already: that of the fake_compute fixture, for "
        "test_b.py::test_own. *",
    ])  # fmt: skip


def test_a_failing_test_shows_the_fake_that_is_active(pytester):
    """A section about the fake is in each failing report: shared, or entered in the test itself.

    A test that had none has none.
    """
    pytester.makepyfile(
        test_a=fleet()
        + """
def test_shared(fleet):
    fleet.add_vm("shared", resource_group="shop")
    assert False
""",
        test_b="""
        import unittest
        import pytest
        from pytest_azurevm import FakeCompute

        def test_entered():
            with FakeCompute() as fake:
                fake.add_vm("entered", resource_group="shop")
                assert False

        def test_had_none():
            assert False

        class TestCase(unittest.TestCase):
            def setUp(self):
                self.fake = FakeCompute().__enter__()
                self.addCleanup(self.fake.close)

            def test_it(self):
                self.fake.add_vm("in-a-case", resource_group="shop")
                self.fail("so it is")

        @pytest.fixture
        def broken(fake_compute):
            fake_compute.add_vm("in-a-fixture", resource_group="shop")
            raise RuntimeError

        def test_never(broken):
            pass
        """,
    )
    result = run(pytester)

    result.assert_outcomes(failed=4, errors=1)
    text = result.stdout.str()
    assert text.count("- azurevm -") == 4
    for name in ("shared", "entered", "in-a-case", "in-a-fixture"):
        assert f"shop/{name}: running, Succeeded" in text


def test_a_shared_fake_asks_at_its_end_for_what_never_struck(pytester):
    """The fixture's teardown errs when a failure that was injected on the way never struck."""
    pytester.makepyfile(
        fleet()
        + """
def test_first(fleet):
    fleet.inject(failures.Stuck(), vm="db-*")

def test_last(fleet):
    pass
"""
    )
    result = run(pytester)

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_last*", "E *InjectionNeverStruck: Stuck() was injected *"]
    )


@pytest.mark.parametrize(
    ("other", "outcomes"),
    [
        ("def test_b(fleet):\n    assert False\n", {"passed": 1, "failed": 1}),
        ("def test_b(fleet):\n    pytest.skip('today')\n", {"passed": 1, "skipped": 1}),
        ("def test_b():\n    assert False\n", {"passed": 1, "failed": 1, "errors": 1}),
    ],
)
def test_a_shared_fake_asks_for_nothing_where_a_test_of_it_was_cut_short(pytester, other, outcomes):
    """What a failing or skipped test would have let strike is not reported; others do not count."""
    pytester.makepyfile(
        f"{fleet()}\ndef test_a(fleet):\n    fleet.inject(failures.Stuck())\n\n{other}"
    )

    run(pytester).assert_outcomes(**outcomes)


def test_a_fake_that_is_left_open_is_ended_with_the_session_and_named(pytester):
    """What a fixture has entered and never left is closed, warned of, and asked for injections."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_azurevm import failures

        @pytest.fixture(scope="module")
        def fleet(fake_compute_factory):
            return fake_compute_factory().__enter__()

        def test_any(fleet):
            fleet.inject(failures.Stuck())
        """
    )
    pytester.makeconftest(
        """
        import time
        from azure.core.polling import LROPoller

        before = time.sleep, LROPoller.wait

        def pytest_unconfigure():
            assert (time.sleep, LROPoller.wait) == before
            print("all is put back")
        """
    )
    result = run(pytester)

    result.assert_outcomes(passed=1, errors=1, warnings=1)
    text = result.stdout.str()
    assert "InjectionNeverStruck: Stuck() was injected and never struck" in text
    assert "all is put back" in text
    result.stdout.fnmatch_lines([
        "*PytestWarning: a fake was left open until the end of the session: made by "
        "fake_compute_factory, entered at *.py:6. Let the fixture end it: `with "
        "fake_compute_factory() as fake: yield fake`.",
    ])  # fmt: skip


def test_a_fake_that_was_never_entered_says_so_where_it_is_used(pytester):
    """A fake that a fixture made and did not enter patches nothing, and its client says why."""
    pytester.makepyfile(
        """
        import time
        import pytest
        from pytest_azurevm import FakeClosed

        def test_any(fake_compute_factory):
            sleep, fake = time.sleep, fake_compute_factory()
            with pytest.raises(FakeClosed, match="no fake is active behind this client"):
                list(fake.client.virtual_machines.list_all())
            assert time.sleep is sleep
        """
    )

    run(pytester, "-W", "error").assert_outcomes(passed=1)


def test_a_fixture_may_be_entered_again_in_the_test(pytester):
    """Code that enters the fixture's own fake leaves it to the fixture to end."""
    pytester.makepyfile(
        """
        def test_any(fake_compute):
            with fake_compute as fake:
                fake.add_vm("web-1")
            assert fake_compute.client.virtual_machines.get("rg", "web-1").name == "web-1"
        """
    )

    run(pytester, "-W", "error").assert_outcomes(passed=1)


@pytest.mark.parametrize("how", ["marker", "ini", "flag"])
def test_references_are_strict_by_marker_ini_and_flag(pytester, how):
    """A fake can be asked to know nothing that was not made, in each of the three ways."""
    marker = "pytestmark = pytest.mark.azurevm(references='strict')" if how == "marker" else ""
    pytester.makepyfile(
        f"""
        import pytest
        from azure.core.exceptions import HttpResponseError

        {marker}

        def test_nothing_is_taken_to_exist(fake_compute):
            with pytest.raises(HttpResponseError, match="ResourceGroupNotFound"):
                fake_compute.client.virtual_machines.get("shop", "web-1")
        """
    )
    if how == "ini":
        pytester.makeini("[pytest]\nazurevm_references = strict\n")
    flags = ["--azurevm-references=strict"] if how == "flag" else []

    run(pytester, *flags).assert_outcomes(passed=1)
