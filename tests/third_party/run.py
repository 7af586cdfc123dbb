"""Run the guests' suites: packages of others that drive Azure's virtual machines, unmodified.

    python tests/third_party/run.py                      # all of them, in some minutes
    python tests/third_party/run.py apache-libcloud      # one

Each folder here is a guest, named as on the package index: ``requirements.txt`` says what to
install, ``job.py`` what it must get done against the fake, one sentence a test. Guests pin what
they build on, so each gets an environment of its own, made anew, with this checkout in it. At work
they are kept from the network like any test of ours: what they ask for, the fake answers.

None of this is part of the project's own suite: plain ``pytest`` neither collects nor needs it
(``job.py`` is no name that it looks for), no extra of the project installs it, and it alone needs
the package index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
GUESTS = tuple(sorted(path.parent.name for path in HERE.glob("*/job.py")))
# Pytest, with a folder to find plugins in after all that is installed.
_PYTEST = "import sys, pytest; sys.path.append(sys.argv.pop(1)); sys.exit(pytest.main())"
_VERSIONS = (
    "import sys; from importlib.metadata import PackageNotFoundError, version\n"
    "for name in sys.argv[1:]:\n"
    "    try: print(version(name))\n"
    "    except PackageNotFoundError: print('-')\n"
)


class Outcome(NamedTuple):
    """A line of the table: whole numbers count tests."""

    guest: str
    version: str
    sdk: str
    passed: int
    of: int

    @property
    def good(self) -> bool:
        """Whether there were tests, and all of them passed."""
        return 0 < self.passed == self.of


def visited(guest: str, folder: Path) -> Outcome:
    """Install *guest* beside this checkout in an environment under *folder*, and let it work."""
    venv.create(folder / guest, with_pip=True)
    python = folder / guest / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = HERE / guest / "requirements.txt"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # In one go, so that what does not go together is said.
    if subprocess.run([*pip, PROJECT, "-r", requirements], check=False).returncode:
        return Outcome(guest, "not installed", "-", 0, 0)
    report = folder / f"{guest}.xml"
    arguments = [HERE.parent, "-p", "no_network", f"--junitxml={report}", "job.py"]
    subprocess.run([python, "-c", _PYTEST, *arguments], cwd=HERE / guest, check=False)
    asked = subprocess.run(
        [python, "-c", _VERSIONS, guest, "azure-mgmt-compute"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    version, sdk = asked.stdout.split()
    passed, of = counted(report)
    return Outcome(guest, version, sdk, passed, of)


def counted(report: Path) -> tuple[int, int]:
    """Read of a JUnit report how many tests passed, and of how many."""
    if not report.exists():
        return 0, 0
    cases = list(ET.parse(report).getroot().iter("testcase"))  # of our own making
    return sum(len(case.findall("*")) == len(case.findall("properties")) for case in cases), len(
        cases
    )


def table(outcomes: list[Outcome]) -> str:
    """Give the outcomes as lines to read, one a guest."""
    rows = [
        ("package", "version", "azure-mgmt-compute", "passed"),
        *((one.guest, one.version, one.sdk, f"{one.passed} of {one.of}") for one in outcomes),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def main() -> int:
    """Let the guests that are named do their jobs, or all; return 1 unless each did all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("guest", nargs="*", help=f"one of {', '.join(GUESTS)}; all by default")
    asked = parser.parse_args().guest or list(GUESTS)
    if unknown := sorted(set(asked) - set(GUESTS)):
        parser.error(f"no such guest: {', '.join(unknown)}; there are {', '.join(GUESTS)}")
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for guest in asked:
            print(f"--- {guest}", flush=True)
            outcomes.append(visited(guest, Path(folder)))
    print(table(outcomes))
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
