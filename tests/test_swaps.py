"""Names exchanged while a fake is active, and put back."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest

from pytest_azurevm._swaps import Swaps


@pytest.fixture
def swaps():
    """Exchanges that are put back in the end, whatever a test does."""
    swaps = Swaps()
    yield swaps
    if swaps in sys.meta_path:
        swaps.undo()


@pytest.fixture
def later(tmp_path, monkeypatch):
    """The name of a module that nobody has imported yet."""
    (tmp_path / "azurevm_later.py").write_text("name = 'as written'\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "azurevm_later"
    sys.modules.pop("azurevm_later", None)


class _Base:
    def inherited(self) -> str:
        return "theirs"


class _Owner(_Base):
    own = "theirs"


def test_an_attribute_is_exchanged_and_put_back(swaps):
    """Own attributes are put back as they were, inherited ones are inherited again."""
    swaps.exchange(_Owner, "own", "ours")
    swaps.wrap(_Owner, "inherited", lambda original: lambda self: f"not {original(self)}")
    assert (_Owner.own, _Owner().inherited()) == ("ours", "not theirs")

    swaps.undo()
    assert (_Owner.own, _Owner().inherited()) == ("theirs", "theirs")
    assert "inherited" not in vars(_Owner)


def test_what_somebody_else_has_exchanged_since_stays_theirs(swaps):
    """A name that carries somebody else's by now is left to them."""
    owner = SimpleNamespace(name="first")
    swaps.exchange(owner, "name", "ours")
    owner.name = "another mock's"

    swaps.undo()
    assert owner.name == "another mock's"


def test_what_was_exchanged_twice_comes_back_whole(swaps):
    """Of two exchanges of one name, the later is undone first."""
    owner = SimpleNamespace(name="first")
    swaps.exchange(owner, "name", "second")
    swaps.exchange(owner, "name", "third")

    swaps.undo()
    assert owner.name == "first"


def test_a_module_is_met_when_it_is_imported(swaps, later):
    """What is to be done with a module waits until somebody imports it, and happens once."""
    met = []
    swaps.when_imported(later, lambda module: met.append(module.name))
    assert met == []

    __import__(later)
    __import__(later)
    assert met == ["as written"]


def test_whoever_only_looks_for_a_module_does_not_import_it(swaps, later):
    """A module that somebody looked for, and imported later, is met when it is imported."""
    met = []
    swaps.when_imported(later, lambda module: met.append(module.name))
    assert importlib.util.find_spec(later)
    assert met == []

    __import__(later)
    assert met == ["as written"]


def test_a_module_that_was_found_before_the_end_is_not_met_after_it(swaps, later):
    """What was found in time, and loaded once everything is put back, is nobody's business."""
    met = []
    swaps.when_imported(later, met.append)
    spec = importlib.util.find_spec(later)
    swaps.undo()
    spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert met == []


def test_everything_is_put_back_whoever_has_changed_the_finders(swaps):
    """A test that put back the list of finders itself keeps nothing else from being put back."""
    owner = SimpleNamespace(name="first")
    swaps.exchange(owner, "name", "second")
    sys.meta_path.remove(swaps)

    swaps.undo()
    assert owner.name == "first"


def test_a_module_that_was_met_looks_as_ever(swaps, later):
    """A module's loader and spec are those that it would have had."""
    swaps.when_imported(later, lambda _module: None)
    module = __import__(later)

    assert module.__loader__ is module.__spec__.loader
    assert type(module.__loader__).__module__.startswith("_frozen_importlib")


def test_a_module_that_is_there_is_met_at_once(swaps):
    """A module that was imported before is met without waiting."""
    met = []
    swaps.when_imported("json", met.append)

    assert met == [sys.modules["json"]]


def test_a_module_whose_insides_have_changed_is_left_alone(swaps, later):
    """What is done with a module that is no dependency of ours must not break its import."""
    swaps.when_imported(later, lambda module: module.no_longer_there, may_differ=True)

    assert __import__(later).name == "as written"


def test_nobody_is_met_any_more_in_the_end(swaps, later):
    """After the end a module's import is nobody's business, and no finder is left."""
    met = []
    swaps.when_imported(later, met.append)
    swaps.undo()
    __import__(later)

    assert met == []
    assert swaps not in sys.meta_path


def test_a_module_that_does_not_exist_is_still_not_found(swaps):
    """Waiting for a module does not make it exist."""
    swaps.when_imported("azurevm_never", lambda _module: None)

    with pytest.raises(ModuleNotFoundError):
        __import__("azurevm_never")


def test_a_module_is_provided_for_a_while(swaps):
    """A stand-in is found under its name, and only until the end."""
    swaps.provide("azurevm_stand_in", ModuleType("azurevm_stand_in"))
    assert __import__("azurevm_stand_in")

    swaps.undo()
    with pytest.raises(ModuleNotFoundError):
        __import__("azurevm_stand_in")
