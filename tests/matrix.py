"""The version matrix: what goes through the real SDK, run with each release that we promise.

    python -m tests.matrix                              all columns, with this Python
    python -m tests.matrix --quick                      one column a release, and the lowest
    python -m tests.matrix --only 38 --only lowest      these, by release or by column
    python -m tests.matrix --python 3.10 --python 3.13  with these, which lie on the PATH
    python -m tests.matrix -- -k etag -x                what follows -- goes to pytest

Each column has a virtual environment of its own, kept under --environments for the next time, in
which the package is installed from this checkout. Nothing but the standard library is needed here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

# The SDK's part of the suite is all of it, examples included, but for these: they are about what
# lies below the SDK, or about this repository, and no release of the SDK can change them.
WITHOUT_SDK: Final = (
    "tests/test_agenda.py",
    "tests/test_arm.py",
    "tests/test_billing.py",
    "tests/test_clock.py",
    "tests/test_layers.py",
    "tests/test_matrix.py",
    "tests/test_no_network.py",
    "tests/test_recorded_facts.py",
    "tests/test_recordings.py",
    "tests/test_register.py",
)
# These go through the SDK, for minutes, and are about time alone.
ABOUT_TIME: Final = ("tests/test_stress.py", "tests/test_determinism.py")

# Of each release of azure-mgmt-compute, the lowest azure-core that it may be installed with: our
# own lower bound, or that of the azure-mgmt-core it asks for.
LOWEST_CORE: Final = {
    30: "1.28.0",
    33: "1.28.0",
    35: "1.31.0",
    37: "1.32.0",
    38: "1.32.0",
    39: "1.32.0",
}
SHOWN: Final = ("azure-mgmt-compute", "azure-core", "pytest")


@dataclass(frozen=True)
class Column:
    """What is installed beside the package, and under which name."""

    name: str
    sdk: int
    pins: tuple[str, ...]
    quick: bool = False


def bounds(pyproject: str) -> tuple[str, ...]:
    """Give the lower bounds of our dependencies and of [test] as pins: they are promises too."""
    lists = re.findall(
        r"^(?:dependencies|test) = \[\n(.*?)^\]", pyproject, re.MULTILINE | re.DOTALL
    )
    declared = re.findall(r'^\s*"([^"\s]+)>=([^",;]+)', "".join(lists), re.MULTILINE)
    return tuple(f"{name}=={bound}" for name, bound in declared)


def columns(pyproject: str) -> tuple[Column, ...]:
    """Give all columns: the lowest of everything, then each release with either azure-core."""
    lowest = bounds(pyproject)
    release = next(pin for pin in lowest if pin.startswith("azure-mgmt-compute=="))
    found = [Column("lowest", int(re.findall(r"\d+", release)[0]), lowest, quick=True)]
    for place, (sdk, core) in enumerate(LOWEST_CORE.items()):
        compute = f"azure-mgmt-compute=={sdk}.*"
        # In the quick choice one release has the lowest azure-core, the next one the newest.
        old, new = (compute, f"azure-core=={core}", "pytest==8.*"), (compute, "pytest==9.*")
        found.append(Column(f"{sdk}-low", sdk, old, quick=place % 2 == 0))
        found.append(Column(f"{sdk}-new", sdk, new, quick=place % 2 == 1))
    return tuple(found)


@dataclass(frozen=True)
class Result:
    """What came of a column."""

    column: Column
    versions: dict[str, str]
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    output: str = ""


class CannotRunError(Exception):
    """A column could not be set up; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print the table, and give the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    try:
        chosen = chosen_columns(options.only, quick=options.quick)
        if options.list:
            for column in chosen:
                print(f"{column.name:<8} {' '.join(column.pins)}")
            return 0
        pythons = [interpreter(name) for name in options.python] or [sys.executable]
    except CannotRunError as error:
        print(error, file=sys.stderr)
        return 2
    with ThreadPoolExecutor(options.jobs) as pool:
        started = [
            pool.submit(run, column, python, options.environments, options.pytest)
            for python in pythons
            for column in chosen
        ]
        results = []
        for future in started:
            result = future.result()
            results.append(result)
            name = f"{result.column.name}, Python {result.versions.get('Python', '-')}"
            print(f"{name}: {'failed' if result.failed else 'passed'}", flush=True)
            if result.failed:
                print(result.output, flush=True)
    print()
    print(table(results))
    return 1 if any(result.failed for result in results) else 0


def chosen_columns(only: Iterable[str], *, quick: bool = False) -> tuple[Column, ...]:
    """Give the columns that are asked for, by release or by name.

    Raises:
        CannotRunError: there is no such column.
    """
    every = columns((ROOT / "pyproject.toml").read_text())
    wanted = set(only)
    known = {name for column in every for name in (column.name, str(column.sdk))}
    if wanted - known:
        raise CannotRunError(
            f"no column is called {', '.join(sorted(wanted - known))}; there are "
            f"{', '.join(column.name for column in every)}, and each release by its number"
        )
    return tuple(
        column
        for column in every
        if (not wanted or wanted & {column.name, str(column.sdk)}) and (column.quick or not quick)
    )


def interpreter(name: str) -> str:
    """Find a Python by its version, such as 3.10, or by its path.

    Raises:
        CannotRunError: none of that version runs here.
    """
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        *(shutil.which(f"python{name}", path=path) for path in os.get_exec_path()),
        shutil.which(name),
        *sorted(map(str, kept.glob(f"{Path(name).name}.*/bin/python"))),
    ]
    for candidate in filter(None, candidates):
        # What lies on the PATH may be a mere stand-in, which runs only where it is set up.
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    raise CannotRunError(f"no Python {name} runs here: is python{name} on the PATH?")


def run(column: Column, python: str, environments: Path, pytest: Sequence[str]) -> Result:
    """Set a column's environment up, unless it is there, and run the SDK's part in it."""
    began = time.monotonic()
    try:
        own = environment(column, python, environments)
    except CannotRunError as error:
        return Result(column, {}, failed=1, output=str(error))
    versions = installed(own)
    ignored = [f"--ignore={path}" for path in (*WITHOUT_SDK, *ABOUT_TIME)]
    code, counts, output = tested(own, ROOT, [*ignored, *pytest])
    passed, failed, skipped = counts
    if code and not failed:  # it broke off, or nothing was there to run
        failed = 1
    seconds = time.monotonic() - began
    return Result(column, versions, passed, failed, skipped, seconds, output)


def environment(column: Column, python: str, environments: Path) -> str:
    """Give the Python of a column's environment, made from all that is to be in it.

    Raises:
        CannotRunError: it cannot be installed.
    """
    version = _said(python, "import sys; print(*sys.version_info[:3], sep='.')").strip()
    requirements = (ROOT / "pyproject.toml").read_text().partition("[tool.")[0]
    made_from = (version, str(ROOT), requirements, *column.pins)
    key = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:12]
    folder = environments / f"{column.name}-{version}-{key}"
    own = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [python, "-m", "venv", str(folder)],
            [own, *install, "--editable", f"{ROOT}[test]", *column.pins],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CannotRunError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        ready.touch()
    return own


def installed(python: str) -> dict[str, str]:
    """Give the versions that are in an environment, its Python's too."""
    code = (
        "import json, platform; from importlib.metadata import version; "
        f"print(json.dumps({{name: version(name) for name in {SHOWN}}} "
        "| {'Python': platform.python_version()}))"
    )
    found: dict[str, str] = json.loads(_said(python, code))
    return found


def tested(
    python: str, folder: Path, arguments: Sequence[str]
) -> tuple[int, tuple[int, int, int], str]:
    """Run pytest, and give its exit code, what passed, failed and was skipped, and its output."""
    with tempfile.TemporaryDirectory() as kept:
        report = Path(kept, "report.xml")
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        done = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        counts = counted(report.read_text()) if report.exists() else (0, 0, 0)
    return done.returncode, counts, done.stdout


def counted(report: str) -> tuple[int, int, int]:
    """Count what passed, what failed and what was skipped in a JUnit report of pytest's own."""
    failed: set[tuple[str | None, str | None]] = set()
    skipped = set()
    every = set()
    for case in ET.fromstring(report).iter("testcase"):
        name = (case.get("classname"), case.get("name"))
        every.add(name)  # one that passes and fails to be taken down is there twice
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
        elif case.find("skipped") is not None:
            skipped.add(name)
    return len(every - failed - skipped), len(failed), len(skipped - failed)


def table(results: Sequence[Result]) -> str:
    """Give the results as a table, and their sum in its last line."""
    head = ("column", "SDK", *SHOWN, "Python", "passed", "failed", "skipped", "seconds")
    rows = [
        (
            result.column.name,
            str(result.column.sdk),
            *(result.versions.get(name, "-") for name in (*SHOWN, "Python")),
            str(result.passed),
            str(result.failed),
            str(result.skipped),
            f"{result.seconds:.0f}",
        )
        for result in results
    ]
    widths = [max(map(len, cells)) for cells in zip(head, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
    lines.insert(1, "  ".join("-" * width for width in widths))
    passed, failed = (sum(getattr(result, of) for result in results) for of in ("passed", "failed"))
    return "\n".join([*lines, "", f"{passed} passed, {failed} failed"])


def _said(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.matrix",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", default=[], metavar="38", help="these columns")
    parser.add_argument("--quick", action="store_true", help="one column a release, and the lowest")
    parser.add_argument("--list", action="store_true", help="say what would be run, and end")
    parser.add_argument("--python", action="append", default=[], metavar="3.10", help="with these")
    parser.add_argument("--jobs", type=int, default=1, help="so many columns at a time")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "pytest-azurevm-matrix",
        metavar="FOLDER",
        help="where environments are kept; an empty one has the newest of everything",
    )
    parser.add_argument("pytest", nargs="*", metavar="-- pytest's", help="what goes to pytest")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
