"""How long operations take: profiles, a test's own seconds, and jitter.

The profiles are columns of the lifecycle table: ``typical`` takes the medians of recorded
operations, ``slow`` their 90th percentiles, ``instant`` no time at all (every state is still
passed through, in order).
"""

from __future__ import annotations

import math
import random
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from pytest_azurevm import _lifecycle
from pytest_azurevm._agenda import SECOND_US, microseconds

Profile: TypeAlias = Literal["typical", "instant", "slow"]
Timed: TypeAlias = _lifecycle.Operation | _lifecycle.GuestEvent | Literal["extension"]

PROFILES: Final[tuple[str, ...]] = get_args(Profile)
# The calendar ends with the year 9999, and nothing that Azure does takes a fraction of this.
_LONGEST_DAYS: Final = 3_650
_LONGEST_S: Final = _LONGEST_DAYS * 86_400
LONGEST_US: Final = _LONGEST_S * SECOND_US
_MOST_JITTER: Final = 3.0  # one duration in six is then twenty times its figure, or more
_TIMED: Final[tuple[str, ...]] = (
    *(name for name in get_args(_lifecycle.Operation) if name not in _lifecycle.AT_ONCE),
    *get_args(_lifecycle.GuestEvent),
    "extension",
)


class Timing:
    """The seconds that operations take. Tests hold it as ``fake.timing``.

    Set one operation's seconds for every VM (``fake.timing.create = 300``), or for those whose
    name matches (``fake.timing.set("start", 45, vm="web-*")``). What is set last wins. The
    operations are create, update, delete, start, power_off, restart, deallocate, redeploy, reapply
    and reimage, an eviction of a spot VM, extension_create, extension_update and extension_delete
    of an extension by itself, the guest events guest_shutdown, guest_reboot and guest_crash, and
    extension: one extension of a create request.
    """

    create: float
    update: float
    delete: float
    start: float
    power_off: float
    restart: float
    deallocate: float
    redeploy: float
    reapply: float
    reimage: float
    eviction: float
    extension_create: float
    extension_update: float
    extension_delete: float
    guest_shutdown: float
    guest_reboot: float
    guest_crash: float
    extension: float

    profile: Profile
    jitter: float

    def __init__(self, profile: Profile = "typical", *, jitter: float = 0.0, seed: int = 0) -> None:
        """Start from *profile*.

        Args:
            profile: ``"typical"``, ``"instant"`` or ``"slow"``.
            jitter: sigma of the log-normal factor on each duration, 3 at most; 0 is none, and the
                median stays. Recorded durations are skewed to the right, 0.5 is about their spread.
            seed: where the jitter's chance starts from; without jitter it changes nothing.
        """
        rules: list[tuple[str, str, float]] = []
        chance = random.Random(f"timing {seed}")  # noqa: S311  reproducible, not secret
        self.__dict__.update(_rules=rules, _chance=chance)
        self.profile = profile
        self.jitter = jitter

    def set(self, operation: Timed, seconds: float, *, vm: str = "*") -> None:
        """Let *operation* take *seconds* on VMs whose name matches *vm* (an fnmatch pattern).

        Raises:
            ValueError: there is no such operation, or the seconds are negative, not finite, or
                more than ten years.
            TypeError: the seconds are not a number.
        """
        if operation not in _TIMED:
            raise ValueError(_unknown(operation))
        if microseconds(seconds, what=f"timing.{operation}") > LONGEST_US:
            raise ValueError(
                f"timing.{operation} must be ten years ({_LONGEST_S:_} seconds) at most, "
                f"not {seconds!r}"
            )
        rules: list[tuple[str, str, float]] = self.__dict__["_rules"]
        rules.append((operation, vm.lower(), float(seconds)))

    def duration_us(self, row: _lifecycle.Row, vm_name: str) -> int:
        """Give the duration of one operation, jitter included, in microseconds."""
        return self._draw_us(row.operation, row.seconds, vm_name)

    def extension_us(self, vm_name: str) -> int:
        """Give the duration of one extension's installation, in microseconds."""
        return self._draw_us("extension", _lifecycle.EXTENSION_SECONDS, vm_name)

    def seconds_us(self, recorded: tuple[float, float], name: str) -> int:
        """Give the duration of what is done to a resource beside virtual machines."""
        return self._draw_us("", recorded, name)

    def recorded_us(self, seconds: float) -> int:
        """Give a time that Azure was seen to take, which ``instant`` makes none."""
        return 0 if self.profile == "instant" else microseconds(seconds)

    def _draw_us(self, operation: str, recorded: tuple[float, float], vm_name: str) -> int:
        seconds = self._of_profile(recorded)
        for ruled, pattern, ruled_seconds in reversed(self.__dict__["_rules"]):
            if ruled == operation and fnmatchcase(vm_name.lower(), pattern):
                seconds = ruled_seconds
                break
        if self.jitter:
            chance: random.Random = self.__dict__["_chance"]
            seconds *= math.exp(chance.gauss(0.0, self.jitter))
        return microseconds(min(seconds, _LONGEST_S))

    def _of_profile(self, recorded: tuple[float, float]) -> float:
        if self.profile == "instant":
            return 0.0
        return recorded[self.profile == "slow"]

    if not TYPE_CHECKING:  # a type checker sees the attributes above, and no others

        def __getattr__(self, name: str) -> float:
            if name not in _TIMED:
                raise AttributeError(_unknown(name))
            for ruled, pattern, seconds in reversed(self.__dict__["_rules"]):
                if ruled == name and pattern == "*":
                    return float(seconds)
            if name == "extension":
                recorded = _lifecycle.EXTENSION_SECONDS
            else:
                recorded = _lifecycle.rows(name)[0].seconds
            return self._of_profile(recorded)

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "profile":
                if value not in PROFILES:
                    raise ValueError(f"timing {value!r} is not one of {', '.join(PROFILES)}")
                object.__setattr__(self, name, value)
            elif name == "jitter":
                microseconds(value, what="jitter")
                if value > _MOST_JITTER:
                    raise ValueError(f"jitter must be {_MOST_JITTER:g} at most, not {value!r}")
                object.__setattr__(self, name, value)
            elif name in _TIMED:
                self.set(name, value)
            else:
                raise AttributeError(_unknown(name))

    def __repr__(self) -> str:
        return (
            f"<Timing {self.profile}, {len(self.__dict__['_rules'])} set, jitter {self.jitter:g}>"
        )


def _unknown(operation: str) -> str:
    return f"timing knows no {operation!r}; it knows {', '.join(_TIMED)}, profile and jitter"
