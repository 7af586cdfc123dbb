"""Frozen time: freezegun's or time-machine's calendar as the clock's ``OutsideTime``.

Both keep what they froze on a stack, the last of which is in force. Reading and setting that is all
the bridge needs. On top, while a fake is active, the methods with which a test moves it are
wrapped, so that what falls due has happened before they return, and threads see freezegun's time
like anybody else.

Nothing here imports either: where nobody freezes time, they stay unloaded.
"""

from __future__ import annotations

import datetime as _dt
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

_EPOCH: Final = _dt.datetime(1970, 1, 1, tzinfo=_dt.timezone.utc)
_MICROSECOND: Final = _dt.timedelta(microseconds=1)
_JUDGE: Final = "_should_use_real_time"  # freezegun's, which looks at the callers
_REAL: Final = ("pytest_azurevm._realtime",)  # which follows real time also under a freeze


class _Freezegun:
    """freezegun's factories."""

    movers = ("tick", "move_to")

    def stack(self) -> tuple[list[Any], tuple[type, ...]] | None:
        """Give what is frozen, and the classes of it; ``None`` where freezegun is not loaded."""
        api = sys.modules.get("freezegun.api")
        if api is None:
            return None
        kinds = (
            api.FrozenDateTimeFactory,
            api.StepTickTimeFactory,
            api.TickingDateTimeFactory,
        )
        return api.freeze_factories, kinds

    def judges(self) -> tuple[tuple[Any, str, Callable[..., Any]], ...]:
        """Give what decides who sees frozen time, and what is to decide it instead."""
        api = sys.modules["freezegun.api"]
        if not hasattr(api, _JUDGE):
            return ()
        return ((api, _JUDGE, _frozen_in_threads(api)),)

    def read_us(self, factory: Any) -> int:
        """Give a factory's present, without ticking one that ticks when it is called."""
        ticking = hasattr(factory, "start")
        instant = factory() if ticking else factory.time_to_freeze
        found: int = (instant.replace(tzinfo=_dt.timezone.utc) - _EPOCH) // _MICROSECOND
        return found

    def set_us(self, factory: Any, instant_us: int) -> None:
        """Move a factory's present."""
        instant = (_EPOCH + instant_us * _MICROSECOND).replace(tzinfo=None)
        if hasattr(factory, "start"):
            factory.move_to(instant)
        else:
            factory.time_to_freeze = instant


def _frozen_in_threads(api: Any) -> Callable[[], bool]:
    """Give freezegun's judgement of who sees real time, but for code near the top of a thread.

    There, freezegun takes ``threading`` for the caller: the thread would see the real Unix time
    beside a frozen ``datetime``.
    """
    original: Callable[[], bool] = getattr(api, _JUDGE)

    @wraps(original)
    def sees_real_time() -> bool:
        if not api.call_stack_inspection_limit or not api.ignore_lists:
            return original()
        real = tuple(name for name in api.ignore_lists[-1] if name != "threading") + _REAL
        frame = sys._getframe(2)  # noqa: SLF001  of whoever asks for the time
        for _ in range(api.call_stack_inspection_limit):
            if str(frame.f_globals.get("__name__")).startswith(real):
                return True
            if frame.f_back is None:
                break
            frame = frame.f_back
        return False

    return sees_real_time


class _TimeMachine:
    """time-machine's travellers, which releases before 3 call coordinates."""

    movers = ("shift", "move_to")

    def stack(self) -> tuple[list[Any], tuple[type, ...]] | None:
        """Give what travels, and its class; ``None`` where time-machine is not loaded."""
        module = sys.modules.get("time_machine")
        for stack, kind in (("traveller_stack", "Traveller"), ("coordinates_stack", "Coordinates")):
            if hasattr(module, stack):
                return getattr(module, stack), (getattr(module, kind),)
        return None

    def judges(self) -> tuple[tuple[Any, str, Callable[..., Any]], ...]:
        """Give nothing: travel is everybody's."""
        return ()

    def read_us(self, traveller: Any) -> int:
        """Give a traveller's present."""
        found: int = traveller.time_ns() // 1_000
        return found

    def set_us(self, traveller: Any, instant_us: int) -> None:
        """Move a traveller's present."""
        traveller.move_to(_EPOCH + instant_us * _MICROSECOND)


_KINDS: Final = (_Freezegun(), _TimeMachine())
_MODULES: Final = ("freezegun.api", "time_machine")


class FrozenTime:
    """Whatever freezes time at the moment."""

    def __init__(self) -> None:
        self._passed: Callable[[], None] | None = None
        self._wrapped: list[tuple[Any, str, Callable[..., Any]]] = []
        self._bridged: set[int] = set()
        self._setting = False

    def present(self) -> tuple[object, int] | None:
        """Give what is in force, and its instant in microseconds since 1970, if anything is."""
        for kind, frozen in self._in_force():
            return frozen, kind.read_us(frozen)
        return None

    def set_us(self, instant_us: int) -> None:
        """Move what is in force to *instant_us*, without telling whoever listens."""
        self._setting = True
        try:
            for kind, frozen in self._in_force():
                kind.set_us(frozen, instant_us)
        finally:
            self._setting = False

    def listen(self, passed: Callable[[], None]) -> None:
        """Call *passed* after each movement that somebody else makes."""
        self._passed = passed
        self._in_force()

    def close(self) -> None:
        """Put the wrapped methods back."""
        self._passed = None
        for owner, name, original in self._wrapped:
            setattr(owner, name, original)
        self._wrapped.clear()
        self._bridged.clear()

    def _in_force(self) -> list[tuple[_Freezegun | _TimeMachine, Any]]:
        found: list[tuple[_Freezegun | _TimeMachine, Any]] = []
        if sys.modules.keys().isdisjoint(_MODULES):
            return found  # most often: and every request asks
        for kind in _KINDS:
            stack = kind.stack()
            if stack is None:
                continue
            if self._passed is not None and id(kind) not in self._bridged:
                self._bridged.add(id(kind))
                for owner in stack[1]:
                    for name in kind.movers:
                        self._wrap(owner, name)
                for owner, name, wrapper in kind.judges():
                    self._exchange(owner, name, wrapper)
            if stack[0] and not found:
                found.append((kind, stack[0][-1]))
        return found

    def _wrap(self, owner: type, name: str) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def moved(frozen: Any, *args: Any, **kwargs: Any) -> Any:
            nested = self._setting
            self._setting = True  # a move_to that ticks is one movement
            try:
                result = original(frozen, *args, **kwargs)
            finally:
                self._setting = nested
            if not nested and self._passed is not None:
                self._passed()
            return result

        self._exchange(owner, name, moved)

    def _exchange(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        self._wrapped.append((owner, name, getattr(owner, name)))
        setattr(owner, name, wrapper)
