"""The documentation does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_azurevm import FakeCompute, FakeVM, _lifecycle
from tests.runs import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Give the README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_readmes_tests_pass(pytester):
    """Every Python block of the README is a test that passes as it stands."""
    pytester.makepyfile("\n\n".join(blocks("python")))
    result = run(pytester)

    result.assert_outcomes(passed=len(blocks("python")))


def test_the_readme_shows_what_a_failing_run_prints(pytester):
    """The report section in the README is the one that a failing test really gets."""
    shown = blocks("text")[0].splitlines()[1:]
    test = blocks("python")[0].replace("assert not poller.done()", "assert poller.done()")
    pytester.makepyfile(test)
    output = run(pytester).stdout.str()

    assert shown
    assert [line for line in shown if line not in output] == []


@pytest.mark.parametrize("name", re.findall(r"`(?:fake_compute|fake|vm)\.([a-z_]+)", README))
def test_the_readme_names_what_there_is(name):
    """Every member that the README mentions exists."""
    assert hasattr(FakeCompute, name) or hasattr(FakeVM, name)


def test_the_readme_links_to_what_there_is():
    """Every relative link of the documentation leads somewhere."""
    for page in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "FAILURES.md"):
        text = (ROOT / page).read_text()
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_architecture_names_every_module():
    """No module is missing from the map."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    modules = {path.stem for path in (ROOT / "pytest_azurevm").glob("*.py")} - {"__init__"}

    assert {module for module in modules if f"`{module}`" not in text} == set()


def test_the_lifecycle_prints_as_a_table():
    """The documentation's table is made of the very rows that the engine walks."""
    lines = _lifecycle.markdown().splitlines()

    assert len(lines) == 2 + len(_lifecycle.LIFECYCLE)
