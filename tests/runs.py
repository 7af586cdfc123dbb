"""Pytest runs of their own, with no plugin beside ours but those that a test names."""

from __future__ import annotations

import pytest

# By the names of their entry points; hypothesis' changes nothing for tests that do not use it.
NEIGHBOURS = ("anyio", "asyncio", "randomly", "requests_mock", "respx", "xdist")


def chosen(*neighbours: str) -> tuple[str, ...]:
    """Give the arguments that leave *neighbours* in a run, and no others."""
    unknown = set(neighbours) - set(NEIGHBOURS)
    assert not unknown, unknown
    arguments = ["-p", "no:cacheprovider"]
    for name in NEIGHBOURS:
        if name not in neighbours:
            arguments += ["-p", f"no:{name}"]
    if "asyncio" in neighbours:  # unset, it is a warning
        arguments += ["-o", "asyncio_default_fixture_loop_scope=function"]
    return tuple(arguments)


def run(
    pytester: pytest.Pytester, *arguments: str, beside: tuple[str, ...] = ()
) -> pytest.RunResult:
    """Run pytest on what *pytester* has, in this process' environment but a fresh process."""
    return pytester.runpytest_subprocess(*chosen(*beside), *arguments)
