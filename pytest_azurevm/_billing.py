"""What a virtual machine costs: seconds of hardware, software and disks, read from its history.

Nothing is metered while time passes. A bill is computed when it is asked for, from the power states
that the VM went through and from the edition's billing table, and is exact over any history.
"""

from __future__ import annotations

import datetime as _dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from pytest_azurevm import _vm_model as models
from pytest_azurevm._agenda import SECOND_US
from pytest_azurevm._lifecycle import Edition, PowerState
from pytest_azurevm._records import VirtualMachine

ChargeKind: TypeAlias = Literal["hardware", "software", "disks"]

_KINDS: Final[tuple[ChargeKind, ...]] = ("hardware", "software", "disks")
_HOUR_S: Final = 3_600
_Span: TypeAlias = tuple[int, int, ChargeKind]  # from, to, in the clock's microseconds


@dataclass(frozen=True, slots=True)
class Charge:
    """One unbroken stretch of one kind of cost. An open one ends at the present."""

    from_: _dt.datetime
    to: _dt.datetime
    kind: ChargeKind


@dataclass(frozen=True, slots=True)
class Bill:
    """What was charged so far.

    Attributes:
        hardware: seconds for which compute was charged.
        software: seconds for which licences were charged.
        disks: seconds for which storage was charged, once a VM however many disks it has.
        charges: the stretches behind these sums, in order of their beginning.
    """

    hardware: float
    software: float
    disks: float
    charges: tuple[Charge, ...]

    def cost(
        self,
        *,
        hardware: Decimal | float | str = 0,
        software: Decimal | float | str = 0,
        disks: Decimal | float | str = 0,
    ) -> Decimal:
        """Turn the seconds into money, at these prices per hour.

        Raises:
            ValueError: a price is negative, or no number.
        """
        prices = {"hardware": hardware, "software": software, "disks": disks}
        total = Decimal(0)
        for kind, price in prices.items():
            try:
                hourly = Decimal(str(price))
            except ArithmeticError:
                raise ValueError(f"the price of {kind} is no number: {price!r}") from None
            if not hourly.is_finite() or hourly < 0:
                raise ValueError(f"the price of {kind} must be zero or more, not {price!r}")
            total += hourly * Decimal(str(getattr(self, kind))) / _HOUR_S
        return total


def bill(
    vms: Iterable[VirtualMachine],
    edition: Edition,
    now_us: int,
    calendar: Callable[[int], _dt.datetime],
) -> Bill:
    """Give the bill of *vms* until *now_us*."""
    spans = sorted(span for vm in vms for span in _spans(vm, edition, now_us))
    totals_us = dict.fromkeys(_KINDS, 0)
    for from_us, to_us, kind in spans:
        totals_us[kind] += to_us - from_us
    seconds = {kind: total_us / SECOND_US for kind, total_us in totals_us.items()}
    charges = tuple(
        Charge(calendar(from_us), calendar(to_us), kind) for from_us, to_us, kind in spans
    )
    return Bill(seconds["hardware"], seconds["software"], seconds["disks"], charges)


def _spans(vm: VirtualMachine, edition: Edition, now_us: int) -> Iterator[_Span]:
    gone_us = now_us if vm.deleted_us is None else vm.deleted_us
    for kind in _KINDS[:2]:
        since_us: int | None = None
        for at_us, power in _powers(vm):
            charged = kind in edition.billing[power]
            if charged and since_us is None:
                since_us = at_us
            elif not charged and since_us is not None:
                if at_us > since_us:
                    yield (since_us, at_us, kind)
                since_us = None
        if since_us is not None and gone_us > since_us:
            yield (since_us, gone_us, kind)
    if vm.disks_made_us is not None:
        # A detached disk outlives its VM, and its bill goes on [doc delete.md].
        # An eviction takes them along [doc spot-vms.md: Delete removes the VM and its disks].
        until_us = now_us if models.keeps_disks(vm.model) and not vm.evicted else gone_us
        if vm.disks_gone_us is not None:
            until_us = vm.disks_gone_us
        if until_us > vm.disks_made_us:
            yield (vm.disks_made_us, until_us, "disks")


def _powers(vm: VirtualMachine) -> Iterator[tuple[int, PowerState | None]]:
    for change in vm.history:
        yield change.at_us, change.power
