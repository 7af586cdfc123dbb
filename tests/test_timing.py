"""How long operations take: profiles, a test's own seconds, jitter, and what is refused."""

from __future__ import annotations

import pytest

from pytest_azurevm import FakeCompute, Timing
from pytest_azurevm import _lifecycle as table
from tests.builders import EXTENSION, GROUP, begin, begin_put, changed, linux_vm, windows_vm

# The operations in their usual case: median and 90th percentile of the recorded ones.
RECORDED = (
    # operation     before         typical  slow
    ("start",       "deallocated", 24,      80),
    ("start",       "stopped",     8,       34),
    ("start",       "running",     0.1,     0.1),
    ("power_off",   "running",     9.5,     27),
    ("restart",     "running",     14,      21),
    ("deallocate",  "running",     52,      463),
    ("deallocate",  "stopped",     46,      509),
    ("update",      "running",     4.2,     8.5),
    ("delete",      "running",     44,      282),
    ("delete",      "stopped",     44,      242),
    ("delete",      "deallocated", 5,       10.6),
    ("redeploy",    "running",     78,      317),
    ("redeploy",    "stopped",     78,      317),
    ("reapply",     "running",     5,       7),
    ("reimage",     "running",     89,      139),
)  # fmt: skip
TIMED = (
    "create", "update", "delete", "start", "power_off", "restart", "deallocate", "redeploy",
    "reapply", "reimage", "eviction", "extension_create", "extension_update", "extension_delete",
    "guest_shutdown", "guest_reboot", "guest_crash", "extension",
)  # fmt: skip
KNOWN = f"it knows {', '.join(TIMED)}, profile and jitter"


def power_off_us(timing, name="web-1"):
    """Draw the duration of a power off."""
    [row] = [row for row in table.rows("power_off") if row.accepted_in == ("running",)]
    return timing.duration_us(row, name)


@pytest.mark.parametrize(("operation", "before", "typical", "slow"), RECORDED)
@pytest.mark.parametrize("profile", ["typical", "slow", "instant"])
def test_profiles(profile, operation, before, typical, slow):
    """An operation takes the recorded median, or the slow figure, or no time at all."""
    expected = {"typical": typical, "slow": slow, "instant": 0}[profile]
    with FakeCompute(timing=profile) as fake:
        fake.add_vm("web-1", resource_group=GROUP, power_state=before)
        vm = fake.vm("web-1")
        begin(fake, operation, "web-1")
        fake.clock.advance(max(0, expected - 0.001))
        before_the_end = vm.operation
        fake.clock.advance(0.001 if expected else 0)

        assert vm.operation is None
        assert (before_the_end is None) == (expected == 0)


@pytest.mark.parametrize(
    ("body", "typical", "slow"),
    [
        (linux_vm(), 80, 147),
        (windows_vm(), 94, 274),
        (changed(linux_vm(), "resources", [EXTENSION, EXTENSION]), 80 + 96, 147 + 318),
    ],
)
@pytest.mark.parametrize("profile", ["typical", "slow"])
def test_creates(profile, body, typical, slow):
    """A create takes longer for Windows, and the more extensions it brings."""
    expected = {"typical": typical, "slow": slow}[profile]
    with FakeCompute(timing=profile) as fake:
        begin_put(fake, "web-1", body)
        fake.clock.advance(expected - 0.001)
        before_the_end = fake.vm("web-1").provisioning_state
        fake.clock.advance(0.001)

        assert before_the_end == "Creating"
        assert fake.vm("web-1").provisioning_state == "Succeeded"


def test_instant_still_passes_through_every_state():
    """With no time at all the states are still passed through, in order, at one instant."""
    with FakeCompute(timing="instant") as fake:
        begin_put(fake, "web-1", linux_vm())
        fake.clock.run_until_idle()
        history = fake.vm("web-1").history

        assert [(line.power_state, line.provisioning_state) for line in history] == [
            (None, "Creating"),
            ("starting", "Creating"),
            ("running", "Creating"),
            ("running", "Creating"),
            ("running", "Creating"),
            ("running", "Succeeded"),
        ]
        assert len({line.at for line in history}) == 1


@pytest.mark.parametrize("operation", TIMED)
def test_a_tests_own_seconds(fake, operation):
    """Seconds that are set are given back, and hold for each row of the operation."""
    setattr(fake.timing, operation, 300)

    assert getattr(fake.timing, operation) == 300.0
    if operation != "extension":
        for row in table.rows(operation):
            assert fake.timing.duration_us(row, "web-1") == 300_000_000
    else:
        assert fake.timing.extension_us("web-1") == 300_000_000


TEN_YEARS = 3_650 * 86_400


@pytest.mark.parametrize("operation", TIMED)
def test_seconds_beyond_all_bounds(operation):
    """No operation takes more than ten years, so that the calendar does not end."""
    timing = Timing()
    setattr(timing, operation, TEN_YEARS)
    message = rf"timing.{operation} must be ten years \(315_360_000 seconds\) at most, not 3153600"
    with pytest.raises(ValueError, match=message):
        setattr(timing, operation, TEN_YEARS + 0.001)
    with pytest.raises(ValueError, match=rf"timing.{operation} must be ten years"):
        timing.set(operation, 1e300, vm="web-*")

    assert getattr(timing, operation) == TEN_YEARS


@pytest.mark.parametrize("jitter", [3.001, 400, 1e300])
def test_jitter_beyond_all_bounds(jitter):
    """Jitter is a sigma of 3 at most, and the message says so."""
    with pytest.raises(ValueError, match=r"jitter must be 3 at most, not "):
        Timing(jitter=jitter)


def test_no_draw_is_longer_than_an_operation_may_be():
    """Jitter takes no duration beyond ten years."""
    timing = Timing(jitter=3)
    timing.power_off = TEN_YEARS
    drawn = [power_off_us(timing) for _ in range(100)]

    assert max(drawn) == TEN_YEARS * 1_000_000
    assert min(drawn) < TEN_YEARS * 1_000_000


def test_a_create_with_extensions_is_bounded_too(fake):
    """However many extensions a create brings, the instant of its end exists."""
    fake.timing.create = fake.timing.extension = TEN_YEARS
    many = [{**EXTENSION, "name": f"e{number}"} for number in range(1_000)]
    body = changed(linux_vm(), "resources", many)
    record = fake._compute.create(fake.subscription_id, GROUP, "web-1", body)
    fake.clock.run_until_idle()

    assert (record.status, fake.clock.now.year) == ("Succeeded", 2035)


def test_a_crashed_guest_falls_silent_when_its_seconds_are_over(fake):
    """A crash is seen by the agent's silence, two minutes later unless the test says otherwise."""
    vm = fake.add_vm("web-1", resource_group=GROUP)

    def agent():
        view = fake.client.virtual_machines.instance_view(GROUP, "web-1")
        return view.vm_agent.statuses[0].display_status

    vm.guest_crash()
    fake.clock.advance(119.999)
    before = agent()
    fake.clock.advance(0.001)
    seen = [before, agent()]
    fake.timing.guest_crash = 0
    fake.add_vm("web-2", resource_group=GROUP).guest_crash()
    view = fake.client.virtual_machines.instance_view(GROUP, "web-2")
    seen.append(view.vm_agent.statuses[0].display_status)

    assert seen == ["Ready", "Not Ready", "Not Ready"]


@pytest.mark.parametrize(("profile", "expected"), [("typical", 80), ("slow", 147), ("instant", 0)])
def test_seconds_that_nobody_set(profile, expected):
    """What nobody has set reads as the profile has it."""
    assert Timing(profile).create == expected


def test_own_seconds_hold_for_what_begins_later(fake):
    """Setting an operation's seconds leaves one in flight alone."""
    vm = fake.add_vm("web-1", resource_group=GROUP)
    begin(fake, "power_off", "web-1")
    fake.timing.power_off = 300
    fake.clock.advance(9.5)

    assert vm.power_state == "stopped"


def test_a_create_of_ones_own_seconds_keeps_its_shares(fake):
    """The views of a create take their shares of whatever it takes."""
    fake.timing.create = 300
    begin_put(fake, "web-1", linux_vm())
    fake.clock.advance(300)

    assert [(line.at - fake.vm("web-1").history[0].at).total_seconds()
            for line in fake.vm("web-1").history] == [0, 24, 60, 120, 291, 300]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("web-1", 45), ("WEB-2", 45), ("web", 9.5), ("db-1", 7), ("db-10", 9.5), ("adb-1", 9.5)],
)
def test_seconds_by_pattern(name, seconds):
    """Seconds may be set for the VMs whose names match a pattern, in any case."""
    timing = Timing()
    timing.set("power_off", 45, vm="web-*")
    timing.set("power_off", 7, vm="DB-?")

    assert power_off_us(timing, name) == seconds * 1_000_000


def test_what_is_set_last_wins():
    """Of two that match, the one that was set last is taken, be it the wider one."""
    timing = Timing()
    timing.set("power_off", 45, vm="web-*")
    timing.set("power_off", 50, vm="web-1")
    first = [power_off_us(timing, name) for name in ("web-1", "web-2")]
    timing.power_off = 60

    assert first == [50_000_000, 45_000_000]
    assert power_off_us(timing) == 60_000_000


def test_a_pattern_is_not_the_operations_own_seconds():
    """Seconds that hold for some VMs are not what the operation reads as."""
    timing = Timing()
    timing.set("power_off", 45, vm="web-*")

    assert timing.power_off == 9.5


def test_own_seconds_go_before_the_profile():
    """What a test has set holds in any profile."""
    timing = Timing("instant")
    timing.power_off = 5

    assert power_off_us(timing) == 5_000_000


def test_the_profile_may_change():
    """A test may change the profile, for what begins from then on."""
    timing = Timing()
    before = power_off_us(timing)
    timing.profile = "slow"

    assert (before, power_off_us(timing)) == (9_500_000, 27_000_000)


def test_jitter_is_the_same_on_every_run():
    """Jitter is drawn from the seed: the same seed, the same durations; another, others."""

    def draw(seed):
        timing = Timing(jitter=0.5, seed=seed)
        return [power_off_us(timing) for _ in range(50)]

    first = draw(7)

    assert draw(7) == first
    assert draw(8) != first
    assert len(set(first)) == 50


def test_jitter_is_log_normal():
    """Jitter leaves the median where it was, scatters by its sigma, and never goes negative."""
    timing = Timing(jitter=0.5)
    drawn = sorted(power_off_us(timing) / 9_500_000 for _ in range(4001))

    assert drawn[2000] == pytest.approx(1.0, rel=0.05)
    assert drawn[3366] == pytest.approx(1.6487, rel=0.08)  # exp(0.5), at one sigma
    assert drawn[634] == pytest.approx(0.6065, rel=0.08)  # exp(-0.5)
    assert drawn[0] > 0


def test_jitter_scatters_a_tests_own_seconds():
    """Seconds that are set are scattered too, and without jitter are exact."""
    timing = Timing(jitter=0.5)
    timing.power_off = 100
    scattered = {power_off_us(timing) for _ in range(10)}
    timing.jitter = 0

    assert len(scattered) == 10
    assert power_off_us(timing) == 100_000_000


def test_jitter_of_no_time_is_none():
    """No time at all stays so under jitter."""
    assert power_off_us(Timing("instant", jitter=0.5)) == 0


@pytest.mark.parametrize("operation", ["poweroff", "stop", "get", "begin_start", "", "Create"])
def test_a_misspelt_operation(operation):
    """An operation that there is not is refused, and those that there are are named."""
    timing = Timing()
    message = f"timing knows no {operation!r}; {KNOWN}"

    with pytest.raises(ValueError) as set_:
        timing.set(operation, 1)
    with pytest.raises(AttributeError) as written:
        setattr(timing, operation, 1)
    with pytest.raises(AttributeError) as read:
        getattr(timing, operation)
    assert [str(error.value) for error in (set_, written, read)] == [message] * 3


# fmt: off
NO_SECONDS = (
    (-1,            ValueError, "must be zero or more, and finite, not -1"),
    (-0.001,        ValueError, "must be zero or more, and finite, not -0.001"),
    (float("nan"),  ValueError, "must be zero or more, and finite, not nan"),
    (float("inf"),  ValueError, "must be zero or more, and finite, not inf"),
    ("45",          TypeError,  "must be a number of seconds, not '45'"),
    (None,          TypeError,  "must be a number of seconds, not None"),
    (True,          TypeError,  "must be a number of seconds, not True"),
)
# fmt: on


@pytest.mark.parametrize(("seconds", "kind", "message"), NO_SECONDS)
@pytest.mark.parametrize("operation", ["start", "extension"])
def test_what_is_no_duration(operation, seconds, kind, message):
    """Seconds that are negative, endless or no number are refused, and nothing is set."""
    timing = Timing()
    for set_ in (
        lambda: timing.set(operation, seconds),
        lambda: timing.set(operation, seconds, vm="web-*"),
        lambda: setattr(timing, operation, seconds),
    ):
        with pytest.raises(kind) as caught:
            set_()
        assert str(caught.value) == f"timing.{operation} {message}"
    assert getattr(timing, operation) == getattr(Timing(), operation)


@pytest.mark.parametrize(("jitter", "kind", "message"), NO_SECONDS)
def test_what_is_no_jitter(jitter, kind, message):
    """Jitter that is negative, endless or no number is refused, also by the fake itself."""
    with pytest.raises(kind) as by_timing:
        Timing(jitter=jitter)
    with pytest.raises(kind) as by_fake:
        FakeCompute(jitter=jitter)

    assert str(by_timing.value) == str(by_fake.value) == f"jitter {message}"


@pytest.mark.parametrize("profile", ["Typical", "", "fast", None, 3])
def test_no_other_profile(profile):
    """A profile that there is not is refused, and those that there are are named."""
    message = f"timing {profile!r} is not one of typical, instant, slow"
    with pytest.raises(ValueError) as by_timing:
        Timing(profile)
    with pytest.raises(ValueError) as by_fake:
        FakeCompute(timing=profile)

    assert str(by_timing.value) == str(by_fake.value) == message


def test_how_timing_looks():
    """Its repr tells the profile, how much is set, and the jitter."""
    timing = Timing("slow", jitter=0.5)
    timing.start = 3

    assert repr(timing) == "<Timing slow, 1 set, jitter 0.5>"
