"""The public API as users write it. Never run: mypy reads it, and holds every ignore to account."""

from __future__ import annotations

import datetime as _dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pytest_azurevm import (
    Bill,
    Call,
    Calls,
    Charge,
    Clock,
    ClockStalled,
    FakeClosed,
    FakeCompute,
    FakeComputeFactory,
    FakeVM,
    Injection,
    InjectionNeverStruck,
    OperationInFlight,
    PollerLeftRunningWarning,
    Status,
    Timing,
    Transition,
    failures,
)

if TYPE_CHECKING:
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient


def use(*_values: object) -> None:
    """Take values, so that they are not in vain."""


def settings() -> None:
    """A fake takes what it can be, and nothing else."""
    with FakeCompute(
        timing="slow", edition="document", autojump=False, start="2026-01-01T00:00:00Z", seed=1,
        jitter=0.5,
    ) as fake:  # fmt: skip
        taken: FakeCompute = fake
    FakeCompute(start=_dt.datetime(2026, 1, 1, tzinfo=_dt.timezone.utc))
    FakeCompute(timing="fast")  # type: ignore[arg-type]
    FakeCompute(edition="book")  # type: ignore[arg-type]
    FakeCompute(references="strict")
    FakeCompute(references="loose")  # type: ignore[arg-type]
    FakeCompute(autojump="no")  # type: ignore[arg-type]
    FakeCompute("slow")  # type: ignore[call-arg]
    taken.edition = "both"  # type: ignore[assignment]


def shared(fake_compute_factory: FakeComputeFactory) -> None:
    """A fixture of any scope makes a fake, and holds it."""
    with fake_compute_factory(timing="instant", seed=1) as fake, fake as again:
        taken: tuple[FakeCompute, FakeCompute] = (fake, again)
    fake_compute_factory("slow")  # type: ignore[call-arg]
    use(taken)


def machines(fake_compute: FakeCompute) -> None:
    """A machine is seeded, looked at, meddled with, and looked at again."""
    vm: FakeVM = fake_compute.add_vm("web-1", power_state="stopped", os_type="Windows")
    fake_compute.add_vm("web-2", power_state="starting")  # type: ignore[arg-type]
    fake_compute.add_vm("web-2", os_type="BeOS")  # type: ignore[arg-type]
    fake_compute.add_vm("web-2", "shop")  # type: ignore[call-arg]
    assert vm.power_state == "running"
    vm.guest_shutdown()
    assert vm.power_state == "stopping"
    vm.fail_host()
    vm.fail_host(heals_after=None)
    vm.fail_host(600)  # type: ignore[call-arg]
    vm.evict()
    vm.lose_agent()
    vm.recover_agent()
    vm.power_state = "running"  # type: ignore[misc]
    views: tuple[FakeVM, ...] = fake_compute.vms
    statuses: list[Status] = views[0].statuses
    time: _dt.datetime | None = statuses[0].time
    history: list[Transition] = vm.history
    at: _dt.datetime = history[0].at
    in_flight: OperationInFlight | None = vm.operation
    operation: str = in_flight.operation  # type: ignore[union-attr]
    bill: Bill = vm.bill
    charges: tuple[Charge, ...] = bill.charges
    cost: Decimal = bill.cost(hardware="0.096")
    use(operation, time, at, charges, cost, vm.model["properties"], {vm: 1})


def timing(fake_compute: FakeCompute) -> None:
    """Seconds are set by an operation's name."""
    chosen: Timing = fake_compute.timing
    chosen.create = 300
    chosen.set("start", 45, vm="web-*")
    chosen.profile = "instant"
    seconds: float = chosen.create
    chosen.strat = 5  # type: ignore[attr-defined]
    chosen.set("strat", 5)  # type: ignore[arg-type]
    chosen.start = "45"  # type: ignore[assignment]
    chosen.profile = "fast"  # type: ignore[assignment]
    use(seconds, chosen.strat)  # type: ignore[attr-defined]


def time(fake_compute: FakeCompute) -> None:
    """Time is moved by keyword."""
    clock: Clock = fake_compute.clock
    clock.advance(30)
    clock.advance(minutes=5)
    clock.advance(fortnights=1)  # type: ignore[call-arg]
    clock.advance("30")  # type: ignore[arg-type]
    clock.advance_to("2026-01-01T01:00:00Z")
    clock.run_until_idle()
    now: _dt.datetime = clock.now
    use(now)


def calls(fake_compute: FakeCompute) -> None:
    """Calls are a sequence that can be narrowed down."""
    found: Calls = fake_compute.calls.filter(operation="start", vm="web-*", status=202)
    last: Call = found[-1]
    few: Calls = found[:3]
    code: str | None = last.error_code
    fake_compute.calls.filter(operatoin="start")  # type: ignore[call-arg]
    use(few, code, len(found))


def clients(fake_compute: FakeCompute) -> None:
    """Clients are the SDK's own."""
    client: ComputeManagementClient = fake_compute.client
    aio_client: AsyncComputeManagementClient = fake_compute.aio_client
    use(client, aio_client)


def injections(fake_compute: FakeCompute) -> None:
    """Failures are values, and rules can be looked at, taken back, and end with a block."""
    slow = failures.Slow(factor=3, longer=60)
    rule: Injection = fake_compute.inject(slow, on="start", vm="web-*", times=None)
    left: int | None = rule.remaining
    rule.remove()
    error = failures.ArmError("Gone", "It is gone.", status=410, phase="refused")
    with fake_compute.inject(error, on="get", probability=0.5) as struck:
        hits: int = struck.hits
    fake_compute.throttling = True
    failures.ServerError(status=418)  # type: ignore[arg-type]
    failures.OSProvisioningTimedOut(600)  # type: ignore[call-arg]
    fake_compute.inject(slow, no="start")  # type: ignore[call-arg]
    fake_compute.throtling = True  # type: ignore[attr-defined]
    use(left, hits)


def errors(fake_compute: FakeCompute) -> None:
    """What is raised and warned of can be caught by its name."""
    with pytest.raises(ClockStalled):
        fake_compute.clock.advance(1)
    with pytest.raises(FakeClosed):
        fake_compute.close()
    with pytest.warns(PollerLeftRunningWarning):
        fake_compute.reset()
    with pytest.raises(InjectionNeverStruck):
        fake_compute.check_injections()
