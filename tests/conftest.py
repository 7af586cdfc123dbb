"""What every test module shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_azurevm import FakeCompute

pytest_plugins = ["pytester"]


@pytest.fixture
def fake() -> Iterator[FakeCompute]:
    """A fake as a script would have it, without the plugin's fixture."""
    with FakeCompute() as fake:
        yield fake
