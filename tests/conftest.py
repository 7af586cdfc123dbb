"""What every test module shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_azurevm
from pytest_azurevm import FakeCompute
from tests.plain_clients import a_site, vm_url

pytest_plugins = ["pytester"]


@pytest.fixture
def fake() -> Iterator[FakeCompute]:
    """A fake as a script would have it, without the plugin's fixture."""
    with FakeCompute() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _same_package(request: pytest.FixtureRequest) -> None:
    """Let a fresh process find the package that this one tests, and no other that is installed."""
    if "pytester" in request.fixturenames:
        monkeypatch = request.getfixturevalue("monkeypatch")
        root = str(Path(pytest_azurevm.__file__).parents[1])
        monkeypatch.setenv("PYTHONPATH", root, prepend=os.pathsep)


@pytest.fixture
def site():
    """A site of somebody else's."""
    with a_site() as site:
        yield site


@pytest.fixture
def url(fake) -> str:
    """Give the URL of a running machine."""
    fake.add_vm("web-1", resource_group="rg")
    return vm_url(fake)
