"""The pytest plugin: two fixtures, marker and options, and a section in failing reports.

Loading it imports neither azure nor anything else that is heavy, and nothing is patched until a
test asks for ``fake_compute``, or enters what ``fake_compute_factory`` has made.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from pytest_azurevm._fake import FakeCompute


def _yes_or_no(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


# Each is a keyword of the marker, an ini option azurevm_<name> and a flag --azurevm-<name>.
_OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "timing": (str, "how long operations take: typical, instant or slow"),
    "edition": (str, "whose account is shown: wire or document"),
    "autojump": (_yes_or_no, "whether waiting moves virtual time: true or false"),
    "start": (str, "when virtual time starts, unless it is frozen: such as 2026-01-01T00:00:00Z"),
    "seed": (int, "where ids, and the chance of jitter, start from: a whole number"),
    "jitter": (float, "how far durations scatter about their figures: 0 for not at all, 3 at most"),
    "sleep": (str, "whether time.sleep and asyncio's timers are virtual too: virtual or real"),
    "subscription_id": (str, "the default subscription: a UUID"),
    "concurrency": (
        str,
        "what is taken where Azure's answer is not known: assumed, preempt or refuse",
    ),
    "throttling": (_yes_or_no, "whether Azure's rate limits are enforced: true or false"),
    "strict": (
        _yes_or_no,
        "whether an injected failure that never struck is an error: true or false",
    ),
    "references": (str, "whether what a VM names must have been made: lenient or strict"),
}
_FACTORY = "fake_compute_factory"
_FAKE = pytest.StashKey["FakeCompute"]()
_CUT_SHORT = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("azurevm", "Azure virtual machines that live (pytest-azurevm)")
    for name, (_, help_) in _OPTIONS.items():
        flag = f"--azurevm-{name.replace('_', '-')}"
        group.addoption(flag, dest=f"azurevm_{name}", default=None, help=help_)
        parser.addini(f"azurevm_{name}", help_)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"azurevm({', '.join(f'{name}=...' for name in _OPTIONS)}): "
        "how this test's fake_compute is set up.",
    )


@pytest.fixture
def fake_compute(request: pytest.FixtureRequest) -> Iterator[FakeCompute]:
    """A fake Azure subscription whose virtual machines live, behind the real SDK.

    While a test has it, every client of the Azure SDK in the process reaches it, whoever built that
    and when, and so does plain HTTP to Azure's REST API; nothing that is meant for Azure leaves
    the process. ``fake_compute.client`` is a client for the test itself. For example::

        def test_night_shift(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop")
            poller = fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1")
            assert fake_compute.vm("web-1").power_state == "deallocating"
            fake_compute.clock.advance(minutes=5)
            assert poller.done()
            assert fake_compute.vm("web-1").power_state == "deallocated"

    Set it up with ``@pytest.mark.azurevm(timing="slow", ...)``, an ini option ``azurevm_timing`` or
    a flag ``--azurevm-timing``. For a fixture of a class, a module or the session there is
    ``fake_compute_factory``.
    """
    fake = _new_fake(_settings(request.node))
    fake._holder = f"that of the fake_compute fixture, for {request.node.nodeid}"
    request.node.stash[_FAKE] = fake
    try:
        yield fake.__enter__()
    finally:
        fake.close()
    if not request.node.stash.get(_CUT_SHORT, False):  # else that is what the report is about
        fake.check_injections()


class FakeComputeFactory:
    """Makes fakes for fixtures of any scope: the value of ``fake_compute_factory``."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._made: WeakSet[FakeCompute] = WeakSet()

    def __call__(self, **settings: Any) -> FakeCompute:
        """Make a fake, which is active once it is entered.

        Args:
            settings: the keywords of the ``azurevm`` marker. They go before the flags, and these
                before the ini file. Markers belong to tests, and are not asked.

        Raises:
            pytest.UsageError: there is no such keyword, or it cannot have this value.
        """
        _check_names(_FACTORY, settings)
        fake = _new_fake(_common_settings(self._config) | settings)
        fake._holder = f"made by {_FACTORY}"
        self._made.add(fake)
        return fake

    def _end(self) -> None:
        """End what was entered and never left, and say so."""
        fake = _in_force()
        if fake is None or fake not in self._made:
            return
        fake.close()
        warnings.warn(
            f"a fake was left open until the end of the session: {fake._told_apart()}. "
            f"Let the fixture end it: `with {_FACTORY}() as fake: yield fake`.",
            pytest.PytestWarning,
            stacklevel=1,
        )
        if not fake._excused:
            fake.check_injections()


@pytest.fixture(scope="session")
def fake_compute_factory(request: pytest.FixtureRequest) -> Iterator[FakeComputeFactory]:
    """Makes fake Azure subscriptions for fixtures that last longer than a test.

    ``fake_compute`` is each test's own. Where tests are to share one, let a fixture of the scope
    that you want make it, and hold it in a ``with``::

        @pytest.fixture(scope="module")
        def fleet(fake_compute_factory):
            with fake_compute_factory(timing="instant") as fake:
                yield fake

        def test_a_new_machine_runs(fleet):
            fleet.add_vm("web-1")
            assert fleet.client.virtual_machines.get("rg", "web-1").name == "web-1"

    Its keywords are those of the ``azurevm`` marker, and go before the flags and the ini file. The
    marker itself sets up ``fake_compute`` only. What tests do to a shared fake stays done
    (``fleet.reset()`` starts anew), and time goes on from test to test.

    One fake is active at a time: a test that takes ``fleet`` cannot take ``fake_compute`` too, nor
    can any other test while ``fleet`` lasts. A failing test's report shows the fake that is active.
    At the end of the ``with``, an injected failure that never struck is an error, unless a test
    with this fixture failed or was skipped meanwhile. Tests of one module that are spread over
    several processes (pytest-xdist without ``--dist loadscope``) have a ``fleet`` in each.
    """
    factory = FakeComputeFactory(request.config)
    yield factory
    factory._end()


def _in_force() -> FakeCompute | None:
    """Give the fake that is active, without loading what would make one."""
    loaded = sys.modules.get("pytest_azurevm._fake")
    return None if loaded is None else loaded.FakeCompute._in_force


def _latest() -> FakeCompute | None:
    """Give the last fake that was active in the running test, if it is still there."""
    loaded = sys.modules.get("pytest_azurevm._fake")
    latest = None if loaded is None else loaded.FakeCompute._latest
    return None if latest is None else latest()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a wrong marker also on a test that does not take the fixture."""
    loaded = sys.modules.get("pytest_azurevm._fake")
    if loaded is not None:
        loaded.FakeCompute._latest = None  # those of the tests before are none of this one's
    fixtures = getattr(item, "fixturenames", ())
    if item.get_closest_marker("azurevm") and "fake_compute" not in fixtures:
        _new_fake(_settings(item))
        if _FACTORY in fixtures:
            raise pytest.UsageError(
                "the azurevm marker sets up fake_compute, which this test does not take. What "
                f"{_FACTORY} makes is set up where that is called: {_FACTORY}(timing=...)."
            )


def _new_fake(settings: dict[str, Any]) -> FakeCompute:
    from pytest_azurevm._fake import FakeCompute

    try:
        return FakeCompute(**settings)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"azurevm: {error}") from None


def _check_names(who: str, settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name not in _OPTIONS:
            raise pytest.UsageError(f"{who} knows no {name!r}; it knows {', '.join(_OPTIONS)}")


def _common_settings(config: pytest.Config) -> dict[str, Any]:
    """Gather what is set for all: the flag goes before the ini file."""
    settings: dict[str, Any] = {}
    for name, (read, _) in _OPTIONS.items():
        text = config.getoption(f"azurevm_{name}") or config.getini(f"azurevm_{name}")
        if text:
            try:
                settings[name] = read(text)
            except ValueError as error:
                raise pytest.UsageError(f"azurevm_{name}: {error}") from None
    return settings


def _settings(item: pytest.Item) -> dict[str, Any]:
    """Gather what is set for a test: its markers, the closest first, go before all else."""
    settings = _common_settings(item.config)
    for marker in reversed(list(item.iter_markers("azurevm"))):
        if marker.args:
            raise pytest.UsageError(
                f"azurevm takes keywords only, such as timing='slow', not {marker.args[0]!r}"
            )
        _check_names("azurevm", marker.kwargs)
        settings |= marker.kwargs
    return settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failing test's report what the fake looks like, and what it was asked last."""
    report = yield
    active = _in_force()
    if call.excinfo is not None:
        # It failed, or was skipped on its way: either may have kept it from what it was going to
        # ask.
        item.stash[_CUT_SHORT] = True
        if active is not None and _FACTORY in getattr(item, "fixturenames", ()):
            active._excused = True
    fake = active or item.stash.get(_FAKE, None) or _latest()
    if fake is not None and report.failed and call.when != "teardown":
        try:
            account = fake._account()
        except Exception as error:  # a report must not end the run
            account = f"the fake could not tell what it looks like: {error!r}"
        report.sections.append(("azurevm", account))
    return report
