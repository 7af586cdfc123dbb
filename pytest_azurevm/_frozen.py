"""Frozen time: freezegun's calendar as the clock's ``OutsideTime``.

freezegun keeps its frozen instants in a list of factories, the last of which is in force. Reading
and setting that factory is all the bridge needs; on top, its ``tick`` and ``move_to`` are wrapped
while a fake is active, so that what falls due has happened before they return.

Nothing here imports freezegun: where nobody froze time, it stays unloaded.
"""

from __future__ import annotations

import datetime as _dt
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

_EPOCH: Final = _dt.datetime(1970, 1, 1)  # noqa: DTZ001  freezegun's instants are naive UTC
_MICROSECOND: Final = _dt.timedelta(microseconds=1)
_MOVERS: Final = ("tick", "move_to")


class FrozenTime:
    """The frozen clock that is in force, if one is."""

    def __init__(self) -> None:
        self._passed: Callable[[], None] | None = None
        self._wrapped: list[tuple[type, str, Callable[..., Any]]] = []
        self._setting = False

    def now_us(self) -> int | None:
        """Give the frozen instant in microseconds since 1970, or ``None`` while time runs."""
        api = self._api()
        if api is None or not api.freeze_factories:
            return None
        factory = api.freeze_factories[-1]
        # Calling a factory with an automatic tick would tick it; its attribute does not.
        instant = (
            factory() if isinstance(factory, api.TickingDateTimeFactory) else factory.time_to_freeze
        )
        found: int = (instant - _EPOCH) // _MICROSECOND
        return found

    def set_us(self, instant_us: int) -> None:
        """Move the frozen clock to *instant_us*, without telling whoever listens."""
        api = self._api()
        if api is None or not api.freeze_factories:
            return
        factory = api.freeze_factories[-1]
        instant = _EPOCH + instant_us * _MICROSECOND
        if isinstance(factory, api.TickingDateTimeFactory):
            self._setting = True
            try:
                factory.move_to(instant)
            finally:
                self._setting = False
        else:
            factory.time_to_freeze = instant

    def listen(self, passed: Callable[[], None]) -> None:
        """Call *passed* after each movement that somebody else makes."""
        self._passed = passed
        self._api()

    def close(self) -> None:
        """Put freezegun's methods back."""
        self._passed = None
        for owner, name, original in self._wrapped:
            setattr(owner, name, original)
        self._wrapped.clear()

    def _api(self) -> Any:
        api = sys.modules.get("freezegun.api")
        if api is not None and self._passed is not None and not self._wrapped:
            for owner in (
                api.FrozenDateTimeFactory,
                api.StepTickTimeFactory,
                api.TickingDateTimeFactory,
            ):
                for name in _MOVERS:
                    self._wrap(owner, name)
        return api

    def _wrap(self, owner: type, name: str) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def moved(factory: Any, *args: Any, **kwargs: Any) -> Any:
            nested = self._setting
            self._setting = True  # a move_to that ticks is one movement
            try:
                result = original(factory, *args, **kwargs)
            finally:
                self._setting = nested
            if not nested and self._passed is not None:
                self._passed()
            return result

        setattr(owner, name, moved)
        self._wrapped.append((owner, name, original))
