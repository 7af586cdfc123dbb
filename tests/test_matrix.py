"""The version matrix: what it runs, how it counts, and what it says."""

from __future__ import annotations

import ast
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests import matrix

PYPROJECT = (matrix.ROOT / "pyproject.toml").read_text()
EVERY = {column.name: column for column in matrix.columns(PYPROJECT)}


def test_each_release_runs_with_either_azure_core():
    """Each release of the SDK has two columns, and the lowest of everything has one."""
    names = [f"{sdk}-{core}" for sdk in (30, 33, 35, 37, 38, 39) for core in ("low", "new")]

    assert list(EVERY) == ["lowest", *names]
    assert EVERY["38-low"].pins == ("azure-mgmt-compute==38.*", "azure-core==1.32.0", "pytest==8.*")
    assert EVERY["38-new"].pins == ("azure-mgmt-compute==38.*", "pytest==9.*")


def test_the_lowest_of_everything_is_what_is_declared():
    """Each lower bound in pyproject.toml, those of [test] too, is a pin; the rest is left alone."""
    pyproject = """
dependencies = [
    # Each bound is tested.
    "azure-mgmt-compute>=30",
    "requests>=2.28",  # whose Response it is
]

[project.optional-dependencies]
test = [
    "freezegun>=1.5,<3",
    "trio>=0.22; python_version >= '3.10'",
]
dev = [
    "mypy>=1.15",
]
"""

    assert matrix.bounds(pyproject) == (
        "azure-mgmt-compute==30",
        "requests==2.28",
        "freezegun==1.5",
        "trio==0.22",
    )


def test_every_dependency_of_ours_has_a_lower_bound():
    """None is missing among the pins of the lowest column."""
    declared = PYPROJECT.partition("dependencies = [")[2].partition("\ndev = [")[0]
    names = [line.strip() for line in declared.splitlines() if line.strip().startswith('"')]

    assert len(EVERY["lowest"].pins) == len(names)


def test_the_quick_choice_has_each_release_and_either_azure_core():
    """One column a release, old and new azure-core in turn, and the lowest of everything."""
    names = [column.name for column in matrix.chosen_columns((), quick=True)]

    assert names == ["lowest", "30-low", "33-new", "35-low", "37-new", "38-low", "39-new"]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["38"], ["38-low", "38-new"]),
        (["33-new", "lowest"], ["lowest", "33-new"]),
        (["30"], ["lowest", "30-low", "30-new"]),
    ],
)
def test_columns_are_chosen_by_release_or_by_name(only, names):
    """A release's number means all of its columns, a name means one."""
    assert [column.name for column in matrix.chosen_columns(only)] == names


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "36"], "no column is called 36; there are lowest, 30-low, "),
        (["--python", "3.1"], "no Python 3.1 runs here: is python3.1 on the PATH?"),
    ],
)
def test_what_there_is_not_is_told_at_once(capsys, arguments, told):
    """A column or a Python that there is not ends the command before anything runs."""
    assert matrix.main(arguments) == 2
    assert capsys.readouterr().err.startswith(told)


def test_the_list_says_what_would_be_run(capsys):
    """--list prints columns and pins, and runs nothing."""
    assert matrix.main(["--list", "--only", "39-new"]) == 0
    assert capsys.readouterr().out == "39-new   azure-mgmt-compute==39.* pytest==9.*\n"


def test_a_python_on_the_path_that_does_not_run_is_passed_over(monkeypatch, tmp_path):
    """A stand-in that fails is no Python; the next one on the PATH is taken."""
    for folder, script in (("a", "#!/bin/sh\nexit 127\n"), ("b", "#!/bin/sh\nexit 0\n")):
        (tmp_path / folder).mkdir()
        python = tmp_path / folder / "python3.10"
        python.write_text(script)
        python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")

    assert matrix.interpreter("3.10") == str(tmp_path / "b" / "python3.10")
    assert matrix.interpreter(sys.executable) == sys.executable


def test_results_are_counted_by_test(tmp_path):
    """What passes, fails, is skipped, or fails to be taken down is counted once, as pytest says."""
    (tmp_path / "test_it.py").write_text(
        """
import pytest

@pytest.fixture
def leaves_something():
    yield
    raise RuntimeError

def test_passes(): pass
def test_fails(): assert False
def test_is_skipped(): pytest.skip("not today")
def test_passes_and_leaves_something(leaves_something): pass
"""
    )
    code, counts, output = matrix.tested(sys.executable, tmp_path, ["-p", "no:asyncio"])

    assert (code, counts) == (1, (1, 2, 1))
    assert "test_fails" in output


def result(name: str, **counts: int) -> matrix.Result:
    """Give a column's result with made-up versions."""
    versions = dict(
        zip((*matrix.SHOWN, "Python"), ("38.4.0", "1.41.0", "9.2.0", "3.11.7"), strict=True)
    )
    return matrix.Result(EVERY[name], versions, seconds=61.4, **counts)


def test_the_table_has_a_row_for_each_column_and_the_sum_below():
    """Which release, what was installed, and what came of it; the last line says it all."""
    broken = replace(result("39-new", failed=1), versions={}, seconds=0.0)
    shown = matrix.table([result("38-new", passed=3600, skipped=49), broken]).splitlines()

    assert [line.split() for line in shown] == [
        "column SDK azure-mgmt-compute azure-core pytest Python "
        "passed failed skipped seconds".split(),
        ["-" * width for width in (6, 3, 18, 10, 6, 6, 6, 6, 7, 7)],
        "38-new 38 38.4.0 1.41.0 9.2.0 3.11.7 3600 0 49 61".split(),
        "39-new 39 - - - - 0 1 0 0".split(),
        [],
        ["3600", "passed,", "1", "failed"],
    ]


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 1)])
def test_the_exit_code_says_whether_all_passed(monkeypatch, capsys, failed, code):
    """Any failure in any column is a failure of the command, and its output is shown."""
    monkeypatch.setattr(
        matrix,
        "run",
        lambda column, *_: replace(
            result(column.name, passed=2, failed=failed if column.name == "33-new" else 0),
            output="what pytest said",
        ),
    )

    assert matrix.main(["--only", "33", "--jobs", "2"]) == code
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "33-low, Python 3.11.7: passed"
    assert out.splitlines()[-1] == f"4 passed, {failed} failed"
    assert ("what pytest said" in out) == bool(failed)


def test_what_cannot_be_installed_is_a_failure_that_says_why(monkeypatch, tmp_path):
    """A column whose environment cannot be made fails, with the command and what it said."""
    monkeypatch.setattr(
        matrix.subprocess,
        "run",
        lambda command, **_: matrix.subprocess.CompletedProcess(command, 1, "3.11.7\n", "no room"),
    )
    came = matrix.run(EVERY["33-new"], "python3", tmp_path, ())

    assert (came.passed, came.failed) == (0, 1)
    assert came.output.startswith("python3 -m venv ")
    assert came.output.endswith("no room")


@pytest.mark.parametrize("code", [2, 5])
def test_a_run_that_broke_off_or_ran_nothing_is_no_success(monkeypatch, tmp_path, code):
    """An exit code of pytest's that is not 0 counts as a failure even if no test failed."""
    monkeypatch.setattr(matrix, "environment", lambda *_: sys.executable)
    monkeypatch.setattr(matrix, "tested", lambda *_: (code, (3, 0, 0), "interrupted"))
    came = matrix.run(EVERY["39-new"], sys.executable, tmp_path, ())

    assert (came.passed, came.failed) == (3, 1)
    assert came.versions["Python"].startswith("3.")


def test_an_environment_is_kept_until_something_in_it_changes(monkeypatch, tmp_path):
    """It is made once for one set of requirements, and anew for another or if it was left half."""
    made = []

    def installing(command, **_):
        made.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return matrix.subprocess.CompletedProcess(command, 0, "3.11.7\n", "")

    monkeypatch.setattr(matrix.subprocess, "run", installing)

    def made_by(name: str) -> tuple[str, int]:
        made.clear()
        own = matrix.environment(EVERY[name], "python3", tmp_path)
        return own, sum("pip" in command for command in made)

    first, _ = made_by("38-new")
    assert made_by("38-new") == (first, 0)
    assert made_by("38-low")[1] == 1
    Path(first).parents[1].joinpath("ready").unlink()
    assert made_by("38-new") == (first, 1)
    shutil.rmtree(tmp_path)
    assert made_by("38-new") == (first, 1)


@pytest.mark.parametrize("path", matrix.WITHOUT_SDK)
def test_what_is_left_out_does_not_touch_the_sdk(path):
    """A file that no column runs is there, imports no azure, and uses no client."""
    tree = ast.parse((matrix.ROOT / path).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert not imported & {"azure", "reactions"}
    assert not used & {"client", "aio_client"}


def test_what_is_about_time_alone_is_there():
    """Each of those files exists."""
    assert [path for path in matrix.ABOUT_TIME if not (matrix.ROOT / path).is_file()] == []
