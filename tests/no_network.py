"""A plugin of our own runs: the network is blocked from their start, also in what they start.

It is there for good: that no test needs the network is a promise, and one that quietly tries to
reach it fails, even if the code that tried has caught the error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OFFLINE = str(Path(__file__).resolve().parent / "offline")
# Found by the one name that sitecustomize knows it by: there is one list of attempts in a process.
sys.path.append(OFFLINE)
import blocked_sockets  # noqa: E402

blocked_sockets.block()


@pytest.fixture
def network_attempts() -> Iterator[list[str]]:
    """What was refused, for a test that asks for the network on purpose."""
    yield blocked_sockets.attempts
    blocked_sockets.attempts.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a test in which the network was asked for, whatever became of the error."""
    attempts = blocked_sockets.attempts
    try:
        yield
        if attempts:
            pytest.fail(
                f"{item.name} asked for the network: {', '.join(attempts)}. If that is on purpose, "
                "let it take the fixture network_attempts.",
                pytrace=False,
            )
    finally:
        attempts.clear()
