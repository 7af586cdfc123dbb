"""The pytest plugin: one fixture, its marker and options, and a section in failing reports.

Loading it imports neither azure nor anything else that is heavy, and nothing is patched until a
test asks for ``fake_compute``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

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

    Hand ``fake_compute.client`` to the code under test. For example::

        def test_night_shift(fake_compute):
            fake_compute.add_vm("web-1", resource_group="shop")
            poller = fake_compute.client.virtual_machines.begin_deallocate("shop", "web-1")
            assert fake_compute.vm("web-1").power_state == "deallocating"
            fake_compute.clock.advance(minutes=5)
            assert poller.done()
            assert fake_compute.vm("web-1").power_state == "deallocated"

    Set it up with ``@pytest.mark.azurevm(timing="slow", ...)``, an ini option ``azurevm_timing`` or
    a flag ``--azurevm-timing``.
    """
    fake = _new_fake(request.node)
    request.node.stash[_FAKE] = fake
    try:
        yield fake.__enter__()
    finally:
        fake.close()
    if not request.node.stash.get(_CUT_SHORT, False):  # else that is what the report is about
        fake.check_injections()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a wrong marker also on a test that does not take the fixture."""
    if item.get_closest_marker("azurevm") and "fake_compute" not in getattr(
        item, "fixturenames", ()
    ):
        _new_fake(item)


def _new_fake(item: pytest.Item) -> FakeCompute:
    from pytest_azurevm._fake import FakeCompute

    settings = _settings(item)
    try:
        return FakeCompute(**settings)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"azurevm: {error}") from None


def _settings(item: pytest.Item) -> dict[str, Any]:
    """Gather what is set: the marker goes before the flag, the flag before the ini file."""
    settings: dict[str, Any] = {}
    for name, (read, _) in _OPTIONS.items():
        for text in (
            item.config.getoption(f"azurevm_{name}"),
            item.config.getini(f"azurevm_{name}"),
        ):
            if text:
                try:
                    settings[name] = read(text)
                except ValueError as error:
                    raise pytest.UsageError(f"azurevm_{name}: {error}") from None
                break
    for marker in reversed(list(item.iter_markers("azurevm"))):
        if marker.args:
            raise pytest.UsageError(
                f"azurevm takes keywords only, such as timing='slow', not {marker.args[0]!r}"
            )
        for name in marker.kwargs:
            if name not in _OPTIONS:
                raise pytest.UsageError(
                    f"azurevm knows no {name!r}; it knows {', '.join(_OPTIONS)}"
                )
        settings |= marker.kwargs
    return settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failing test's report what the fake looks like, and what it was asked last."""
    report = yield
    fake = item.stash.get(_FAKE, None)
    # It failed, or was skipped on its way: either may have kept it from what it was going to ask.
    item.stash[_CUT_SHORT] = item.stash.get(_CUT_SHORT, False) or call.excinfo is not None
    if fake is not None and report.failed and call.when == "call":
        try:
            account = fake._account()  # noqa: SLF001  its other half
        except Exception as error:  # a report must not end the run
            account = f"the fake could not tell what it looks like: {error!r}"
        report.sections.append(("azurevm", account))
    return report
