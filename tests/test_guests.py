"""The suite of guests stands apart: nothing here needs it, and its table says what happened."""

from __future__ import annotations

import runpy
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "third_party"
PROJECT = FOLDER.parent.parent


def runner():
    """The runner, as a module."""
    spec = spec_from_file_location("guests", FOLDER / "run.py")
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_guest_has_a_job_and_requirements():
    """A folder is a guest, and the first thing that it wants installed is what it is named for."""
    folders = sorted(
        path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0] != "_"
    )

    assert folders == list(runner().GUESTS)
    for guest in folders:
        assert (FOLDER / guest / "requirements.txt").read_text().startswith(guest)


def test_the_projects_own_suite_has_no_guests(pytester):
    """Plain pytest collects none of them, and no extra of the project installs one."""
    result = pytester.runpytest_subprocess("--collect-only", "-q", str(FOLDER))
    declared = (PROJECT / "pyproject.toml").read_text()

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert [guest for guest in runner().GUESTS if guest in declared] == []


def test_a_guest_that_nobody_knows_is_named(monkeypatch, capsys):
    """Asked for one that there is not, the runner says which there are, and installs nothing."""
    monkeypatch.setattr(sys, "argv", ["run.py", "nobody"])

    with pytest.raises(SystemExit):
        runpy.run_path(str(FOLDER / "run.py"), run_name="__main__")
    assert "no such guest: nobody; there are apache-libcloud" in capsys.readouterr().err


def test_the_table_tells_each_guest_its_version_and_what_passed(tmp_path):
    """A test counts as passed if its report holds neither failure, error nor skip."""
    module = runner()
    report = tmp_path / "x.xml"
    report.write_text(
        "<testsuites><testsuite><testcase name='a'/><testcase name='b'><failure/></testcase>"
        "<testcase name='c'><properties/></testcase><testcase name='d'><skipped/></testcase>"
        "</testsuite></testsuites>"
    )
    outcome = module.Outcome("some-guest", "1.2", "39.0.0", *module.counted(report))

    assert (outcome.passed, outcome.of, outcome.good) == (2, 4, False)
    assert module.table([outcome]).splitlines() == [
        "package     version  azure-mgmt-compute  passed",
        "some-guest  1.2      39.0.0              2 of 4",
    ]
    assert module.counted(tmp_path / "none.xml") == (0, 0)
    assert not module.Outcome("x", "-", "-", 0, 0).good
