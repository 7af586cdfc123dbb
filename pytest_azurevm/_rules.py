"""Rules: which requests a failure strikes, how often, and what became of that.

A rule is a condition, a failure, a window and a count. Every request is shown to the rules once, at
the door, in the order in which they were declared; the first whose failure ends the call has it,
and later ones do not see that call. What only delays, or changes what is shown, leaves it to them.
A rule counts as struck when its failure has really happened: not if Azure refused the request for a
reason of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Final

from pytest_azurevm._calls import BOTH
from pytest_azurevm._errors import ArmError
from pytest_azurevm._failure import EVERY, LISTING, Failure, Lost, Situation, fitting
from pytest_azurevm._records import Fate
from pytest_azurevm._vm_form import Json

_NEAREST: Final = 3  # requests that a message about a rule names
_NOT_SERVED: Final = ("capture", "run_command")


class InjectionNeverStruck(AssertionError):
    """A test ended, and a failure that it had injected never happened."""


class Injection(AbstractContextManager["Injection"]):
    """A rule in force. ``fake.inject`` gives it; as a context manager it ends with its block.

    Attributes:
        failure: what it lets happen.
        on: the operations, as they were written.
        vm, resource_group, location, size: the fnmatch patterns of its condition.
        times: how often it strikes at most; ``None`` for as often as it can.
        after: how many requests that meet the condition it lets pass first.
        probability: the chance with which it strikes each of the others.
        hits: how often it has struck.
    """

    def __init__(
        self,
        rules: Rules,
        failure: Failure,
        *,
        on: str | None,
        vm: str,
        resource_group: str,
        location: str,
        size: str,
        times: int | None,
        after: int,
        probability: float,
    ) -> None:
        if type(failure) is Failure or not isinstance(failure, Failure):
            what = failure.__name__ if isinstance(failure, type) else repr(failure)
            raise TypeError(
                f"inject takes a failure such as failures.AllocationFailed(), not {what}"
                + ("; call it" if isinstance(failure, type) else "")
            )
        if times is not None:
            _check_count("times", times, least=1)
        _check_count("after", after, least=0)
        if isinstance(probability, bool) or not isinstance(probability, int | float):
            raise TypeError(f"probability must be a number, not {probability!r}")
        if not 0 < probability <= 1:
            raise ValueError(f"probability must be more than 0, and 1 at most, not {probability!r}")
        for name, pattern in (("vm", vm), ("resource_group", resource_group),
                              ("location", location), ("size", size)):  # fmt: skip
            if not isinstance(pattern, str) or not pattern:
                raise TypeError(f"{name} must be a pattern such as 'web-*', not {pattern!r}")
        self.failure = failure
        self.operations = _checked_operations(failure, on)
        self.on = failure.usually if on is None else on
        if vm != "*" and self.operations <= set(LISTING):
            raise ValueError(
                f"a rule on {self.on!r} cannot ask for vm={vm!r}: a list names no machine, and is "
                "answered or refused as a whole. Leave vm out."
            )
        self.vm, self.resource_group, self.location, self.size = vm, resource_group, location, size
        self.times, self.after, self.probability = times, after, float(probability)
        self.hits = 0
        self._rules = rules
        self._met = 0  # requests that met the condition
        self._nearest: list[tuple[int, str]] = []

    @property
    def remaining(self) -> int | None:
        """How often it may still strike; ``None``: without end."""
        return None if self.times is None else self.times - self.hits

    def remove(self) -> None:
        """Take the rule back. Nothing is asked any more of one that never struck."""
        self._rules.remove(self)

    def __enter__(self) -> Injection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        was_in_force = self._rules.remove(self)  # nothing is asked of one that was taken back
        if was_in_force and kind is None and not self.hits and self._rules.strict:
            raise InjectionNeverStruck(self.account())

    def __repr__(self) -> str:
        return f"<Injection {self.told()}>"

    def told(self) -> str:
        """Say what it lets happen, to what, and how often it has."""
        left = "" if self.times is None else f" of {self.times}"
        return f"{self.failure!r} on {self.condition()}: {self.hits}{left} hits"

    def condition(self) -> str:
        """Say what it waits for."""
        told = [repr(self.on)]
        told += [
            f"{name}={value!r}"
            for name, value, usual in (
                ("vm", self.vm, "*"), ("resource_group", self.resource_group, "*"),
                ("location", self.location, "*"), ("size", self.size, "*"),
                ("after", self.after, 0), ("probability", self.probability, 1.0),
            )
            if value != usual
        ]  # fmt: skip
        return ", ".join(told)

    @property
    def befalls_others(self) -> bool:
        """Whether it strikes what is about no virtual machine, too: one on ``"*"``, of any VM."""
        return self.on == "*" and self.vm == "*" and self.failure.befalls_anything

    # --- at the door ---------------------------------------------------------------------------

    def is_met_by(self, situation: Situation) -> bool:
        """Whether *situation* meets the condition and is in the window; count it."""
        differs = self._how_differs(situation)
        if differs:
            if situation.operation != "poll" or "poll" in self.operations:
                self._note_near_miss(situation, differs)
            return False
        self._met += 1
        if self._met <= self.after or self.remaining == 0:
            return False
        return self.probability == 1 or self._rules.chance() < self.probability

    def is_kept_from(self, situation: Situation, earlier: Injection) -> None:
        """Note that a rule that was declared earlier has *situation*."""
        if not self.hits and not self._how_differs(situation):
            self._note_near_miss(situation, [f"{earlier.failure!r}, declared earlier, had it"])

    def _how_differs(self, situation: Situation) -> list[str]:
        differs = [
            f"the {name} is {value}, not {pattern!r}" if value else f"it names no {name}"
            for name, value, pattern in (
                ("VM", situation.vm, self.vm),
                ("group", situation.resource_group, self.resource_group),
                ("location", "" if self.location == "*" else situation.location, self.location),
                ("size", "" if self.size == "*" else situation.size, self.size),
            )
            if pattern != "*" and not fnmatchcase(value.lower(), pattern.lower())
        ]
        if situation.operation not in self.operations and not (
            self.befalls_others and "/" in situation.operation
        ):
            differs.insert(0, f"the operation is not {self.on!r}")
        elif not differs and (misfit := self.failure.misfit(situation)):
            differs.append(misfit)
        return differs

    def _note_near_miss(self, situation: Situation, differs: list[str]) -> None:
        of = f" {situation.vm}" if situation.vm else ""
        text = f"{situation.now:%H:%M:%S} {situation.operation}{of}: {'; '.join(differs)}"
        self._nearest.append((len(differs), text))
        self._nearest.sort(key=lambda miss: miss[0])  # stable: the earlier of two alike
        del self._nearest[_NEAREST:]

    def account(self) -> str:
        """Say of a rule that never struck what it waited for, and what came nearest."""
        lines = [
            f"{self.failure!r} was injected and never struck. It waited for {self.condition()}."
        ]
        if self._met:
            lines.append(self._why_let_pass())
        if self._nearest:
            lines.append("The requests that came nearest:")
            lines += [f"  {text}" for _, text in self._nearest]
        elif not self._met:
            lines.append("No request reached the fake after it was injected.")
        lines.append(
            "Let the code under test make such a call, mend the condition, or take the rule back "
            "(injection.remove()). strict=False asks for nothing."
        )
        return "\n".join(lines)

    def _why_let_pass(self) -> str:
        why = []
        if self.after:
            why.append(f"after={self.after} lets the first {self.after} pass")
        if self.probability < 1:
            why.append(f"by chance (probability={self.probability:g}) it struck none")
        if self._met > self.after:
            why.append(
                "Azure itself refused them, they had nothing to do, or they showed nothing that it "
                "could change"
            )
        requests = "1 request" if self._met == 1 else f"{self._met} requests"
        return f"{requests} met that condition, to no effect: {'; or '.join(why)}."


class Struck:
    """What the rules let happen to one request."""

    def __init__(self) -> None:
        self.refusal: ArmError | None = None
        self.lost: Lost | None = None
        self._fates: list[tuple[Injection, Callable[[Fate], Fate | None]]] = []
        self._altering: list[Injection] = []

    def add(self, injection: Injection, situation: Situation) -> bool:
        """Note what *injection* does to the request, and say whether that ends the call."""
        failure = injection.failure
        self.refusal = failure.refusal(situation)
        self.lost = failure.lost(situation)
        if self.refusal is not None or self.lost is not None:
            injection.hits += 1
            return True
        self._fates.append((injection, lambda fate: failure.fate(situation, fate)))
        self._altering.append(injection)
        return failure.ends_the_call

    def fate(self) -> Fate | None:
        """Give the fate of the operation that was accepted, if it has one. Asked at most once."""
        found: Fate | None = None
        for injection, told in self._fates:
            fate = told(found or Fate())
            if fate is not None:
                injection.hits += 1
                found = fate
        return found

    def altered(self, body: Json | None) -> Json | None:
        """Give what is shown instead of *body*."""
        for injection in self._altering:
            changed = None if body is None else injection.failure.alter(body)
            if changed is not None:
                injection.hits += 1
                body = changed
        return body


NOTHING: Final = Struck()


class Rules:
    """Every rule in force, in the order in which they were declared."""

    def __init__(self, *, seed: int, strict: bool) -> None:
        self.strict = strict
        self._rules: list[Injection] = []
        self._drawn = random.Random(f"rules {seed}")  # noqa: S311  reproducible, not secret

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, injection: Injection) -> None:
        """Put a rule in force, after all others."""
        self._rules.append(injection)

    def remove(self, injection: Injection) -> bool:
        """Take a rule back, and say whether it was in force."""
        if injection not in self._rules:
            return False
        self._rules.remove(injection)
        return True

    def drop(self) -> None:
        """Take every rule back."""
        self._rules.clear()

    def chance(self) -> float:
        """Draw the next number of this run's chance."""
        return self._drawn.random()

    def strike(self, situation: Situation) -> Struck:
        """Show a request to the rules, and say what they let happen to it."""
        struck = Struck()
        rules = iter(self._rules)
        for injection in rules:
            if injection.is_met_by(situation) and struck.add(injection, situation):
                for later in rules:
                    later.is_kept_from(situation, injection)
        return struck

    def in_force(self) -> tuple[Injection, ...]:
        """Give every rule in force, in the order in which they were declared."""
        return tuple(self._rules)

    def never_struck(self) -> tuple[Injection, ...]:
        """Give the rules that have never struck."""
        return tuple(injection for injection in self._rules if not injection.hits)


def _checked_operations(failure: Failure, on: str | None) -> frozenset[str]:
    """Give the operations that *on* means, of those that the failure fits.

    Raises:
        ValueError: there is no such operation, or none that the failure fits.
    """
    name, fits = type(failure).__name__, failure.where
    if on is None:
        return fitting(failure.usually, fits)
    if not isinstance(on, str):
        raise TypeError(f"on must be an operation or a pattern such as 'list*', not {on!r}")
    if on in _NOT_SERVED:
        raise ValueError(
            f"{name} on {on!r}: this fake does not serve {on} yet, so it never strikes"
        )
    if not fitting(on, EVERY):
        known = ", ".join((*EVERY, *BOTH))
        raise ValueError(f"there is no operation {on!r}; on= takes a pattern of these: {known}")
    operations = fitting(on, fits)
    if not operations:
        raise ValueError(
            f"{name} cannot strike {on!r}: Azure does not fail like that there. "
            f"It fits {', '.join(fits)}."
        )
    return operations


def _check_count(name: str, count: int, *, least: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{name} must be a whole number, not {count!r}")
    if count < least:
        without = " (None for as often as it can)" if name == "times" else ""
        raise ValueError(f"{name} must be {least} or more{without}, not {count!r}")
