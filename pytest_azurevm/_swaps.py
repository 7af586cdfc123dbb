"""Names exchanged while a fake is active, also in modules that are imported later; put back after.

Nothing is imported for the sake of being patched: what the code under test never loads costs
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_ABSENT: Final = object()


class Swaps(MetaPathFinder):
    """What is exchanged at present. ``undo`` puts it back, the last one first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._awaited: dict[str, Callable[[Any], None]] = {}
        sys.meta_path.insert(0, self)

    def exchange(self, owner: Any, name: str, new: Any) -> None:
        """Let *owner*'s attribute *name* be *new*."""
        old = vars(owner).get(name, _ABSENT)
        setattr(owner, name, new)

        def put_back() -> None:
            # Somebody else may have exchanged it since, and is going to put ours back: it has to
            # do no harm then, and what is theirs stays theirs.
            if vars(owner).get(name) is not new:
                return
            if old is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, old)

        self._undo.append(put_back)

    def wrap(
        self, owner: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        """Let *owner*'s method *name*, inherited or its own, be what *wrapper* makes of it."""
        self.exchange(owner, name, wrapper(getattr(owner, name)))

    def when_imported(
        self, module: str, act: Callable[[Any], None], *, may_differ: bool = False
    ) -> None:
        """Do *act* with a module: now if it is there, else as soon as somebody imports it.

        One that *may_differ*, for it is no dependency of ours and *act* knows some of its insides,
        is left alone where these have changed.
        """
        if may_differ:
            act = _unless_it_differs(act)
        found = sys.modules.get(module)
        if found is not None:
            act(found)
        else:
            self._awaited[module] = act

    def provide(self, name: str, module: ModuleType) -> None:
        """Let *module* be found under *name*, where there is none of that name."""
        sys.modules[name] = module

        def take_back() -> None:
            if sys.modules.get(name) is module:
                del sys.modules[name]

        self._undo.append(take_back)

    def undo(self) -> None:
        """Put everything back."""
        if self in sys.meta_path:  # a test may have changed that list, too
            sys.meta_path.remove(self)
        self._awaited.clear()
        while self._undo:
            self._undo.pop()()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that is waited for, as the other finders find it (importlib asks)."""
        if fullname not in self._awaited:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Then(spec.loader, self._has_been_imported)
                return spec
        return None

    def _has_been_imported(self, module: ModuleType) -> None:
        # Not before: whoever only looks whether there is such a module does not import it. And
        # where all has been put back meanwhile, nothing is waited for.
        act = self._awaited.pop(module.__name__, None)
        if act is not None:
            act(module)


def genuine(owner: Any) -> Any:
    """Give the class of connections that is meant, where one of vcr's is in its place."""
    return getattr(owner, "_baseclass", owner)


def _unless_it_differs(act: Callable[[Any], None]) -> Callable[[Any], None]:
    def act_if_possible(module: Any) -> None:
        with suppress(ImportError, AttributeError):
            act(module)

    return act_if_possible


class _Then(Loader):
    """Loads a module as another loader does, and then lets something be done with it."""

    def __init__(self, loader: Loader, act: Callable[[Any], None]) -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None  # importlib has made it from one
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._act(module)
