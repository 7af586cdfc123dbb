"""One virtual machine as a test looks at it."""

from __future__ import annotations

import datetime as _dt
from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

from pytest_azurevm import _resources as resources
from pytest_azurevm import _vm_model as models
from pytest_azurevm._agenda import microseconds
from pytest_azurevm._api_versions import NEWEST
from pytest_azurevm._billing import Bill, bill
from pytest_azurevm._compute import Compute
from pytest_azurevm._lifecycle import GuestEvent
from pytest_azurevm._records import OperationRecord, VirtualMachine
from pytest_azurevm._timing import LONGEST_US
from pytest_azurevm._vm_form import Json


class Status(NamedTuple):
    """One entry of an instance view's ``statuses``."""

    code: str
    level: str
    display_status: str
    time: _dt.datetime | None


class Transition(NamedTuple):
    """One line of a VM's history: what it showed from this instant on, and why."""

    at: _dt.datetime
    power_state: str | None
    provisioning_state: str
    cause: str


class OperationInFlight(NamedTuple):
    """A long-running operation that has not ended."""

    operation: str
    operation_id: str
    started_at: _dt.datetime


class FakeVM:
    """A view of one virtual machine. Reading it never moves time.

    It goes on showing the same machine after that was deleted, or another took its name. Two views
    of one machine are equal.
    """

    def __init__(self, compute: Compute, vm: VirtualMachine) -> None:
        self._compute = compute
        self._vm = vm

    def __eq__(self, other: object) -> bool:
        return self._vm is other._vm if isinstance(other, FakeVM) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._vm)

    @property
    def name(self) -> str:
        """The name, as first written."""
        return self._vm.name

    @property
    def resource_group(self) -> str:
        """The resource group's name, as first written."""
        return self._vm.resource_group

    @property
    def location(self) -> str:
        """The region, such as ``westeurope``."""
        return self._vm.location

    @property
    def id(self) -> str:
        """The full resource ID."""
        return self._vm.resource_id

    @property
    def power_state(self) -> str | None:  # literal types would not let mypy read a second look
        """``"running"``, ``"deallocating"``, …; ``None`` while none is shown."""
        return self._looked().power

    @property
    def provisioning_state(self) -> str:
        """``"Succeeded"``, ``"Updating"``, …: the outcome of the last control-plane operation."""
        return resources.provisioning_state_of(self._looked(), self._compute.edition)

    @property
    def goal_state(self) -> str:
        """The power state that control-plane operations have set the VM to."""
        return self._looked().goal

    @property
    def statuses(self) -> list[Status]:
        """The instance view's statuses, in order, as the edition spells them."""
        vm = self._looked()
        shown = resources.statuses(
            vm, edition=self._compute.edition, calendar=self._compute.clock.calendar
        )
        at = self._compute.clock.calendar(vm.provisioned_us)
        return [
            Status(s["code"], s["level"], s["displayStatus"], at if "time" in s else None)
            for s in shown
        ]

    @property
    def model(self) -> Json:
        """A copy of the persisted model: what GET returns, as JSON."""
        vm = self._looked()
        return deepcopy(
            resources.vm_body(
                vm,
                edition=self._compute.edition,
                calendar=self._compute.clock.calendar,
                api_version=NEWEST,
                user_data_wanted=True,
            )
        )

    @property
    def effective_model(self) -> Json | None:
        """A copy of the model that really runs, as JSON; ``None`` before there is one."""
        return deepcopy(self._looked().effective_model)

    @property
    def extensions(self) -> tuple[Json, ...]:
        """A copy of the VM's extensions, as JSON resources."""
        return tuple(deepcopy(models.extensions(self._looked().model)))

    @property
    def history(self) -> list[Transition]:
        """What the VM showed, from its creation on, as the edition shows it."""
        calendar, edition = self._compute.clock.calendar, self._compute.edition
        return [
            Transition(
                calendar(change.at_us),
                change.power,
                resources.provisioning_state_then(change, edition),
                change.cause,
            )
            for change in self._looked().history
        ]

    @property
    def bill(self) -> Bill:
        """What the VM has cost until now, by the edition's billing table."""
        vm, clock = self._looked(), self._compute.clock
        return bill([vm], self._compute.edition, clock.now_us, clock.calendar)

    @property
    def operation(self) -> OperationInFlight | None:
        """The operation in flight, or ``None``; of several on extensions, the oldest."""
        return self._in_flight(self._looked().in_flight)

    def guest_shutdown(self) -> None:
        """Shut the system down from inside: ``stopping``, then ``stopped``, and still billed.

        The owner's operations are not asked: the provisioning state and the goal stay.

        Raises:
            ValueError: the guest does not run.
        """
        self._event("guest_shutdown")

    def guest_reboot(self) -> None:
        """Restart the system from inside: the power state stays ``running`` throughout.

        Raises:
            ValueError: the guest does not run.
        """
        self._event("guest_reboot")

    def guest_crash(self) -> None:
        """Let the system crash and hang: the power state stays, the agent falls silent.

        Raises:
            ValueError: the guest does not run.
        """
        self._event("guest_crash")

    def evict(self) -> None:
        """Evict the VM, as the platform does when it wants the capacity of a spot VM back.

        Its model's ``evictionPolicy`` says what happens. ``Deallocate``, the default: the power
        state goes over ``deallocating`` to ``deallocated``, the provisioning state stays.
        ``Delete``: the VM is gone with its disks, and GET is a 404 with the code ``NotFound``, not
        ``ResourceNotFound``. An operation in flight ends ``Canceled``, ``OperationPreempted``
        (Azure's documentation of spot VMs; azure-cli's recording of simulate-eviction).

        Raises:
            ValueError: it is no spot VM (priority ``Spot``), it is deleted or being deleted, or it
                holds no host.
        """
        self._do(self._compute.evict)

    def fail_host(self, *, heals_after: float | None = 900) -> None:
        """Let the VM's host fail: the power state stays ``running``, the agent is unresponsive.

        After *heals_after* seconds service healing has put the VM on another host, its guest boots
        and its agent reports again; ``None`` is never. A restart or a redeploy ends it, and so does
        deallocating the VM (Azure's documentation of resource health: 15 minutes at most).

        Raises:
            ValueError: the guest does not run, or the seconds are negative, not finite, or more
                than ten years.
            TypeError: the seconds are no number.
        """
        heals_after_us = None
        if heals_after is not None:
            heals_after_us = microseconds(heals_after, what="heals_after")
            if heals_after_us > LONGEST_US:
                raise ValueError(
                    f"heals_after must be ten years at most, not {heals_after!r}; None is never"
                )
        self._do(lambda vm: self._compute.fail_host(vm, heals_after_us))

    def lose_agent(self) -> None:
        """Let the VM's agent fall silent: it shows ``Not Ready``, while the guest goes on.

        It comes back with ``recover_agent()``, or when the guest boots again. Meanwhile no
        extension can be installed: after 25 minutes such an operation ends ``Failed``,
        ``VMAgentStatusCommunicationError`` (recorded by azure-cli).

        Raises:
            ValueError: the guest does not run, or was given no agent.
        """
        self._do(self._compute.lose_agent)

    def recover_agent(self) -> None:
        """Let an agent that was lost report again.

        Raises:
            ValueError: the guest does not run, or its agent was not lost.
        """
        self._do(self._compute.recover_agent)

    def cancel_operation(self) -> None:
        """Cancel the operation in flight: it ends ``Canceled``, and the VM shows that.

        Power state and goal go back to what they were when the operation was accepted. Azure has
        no such call for a VM; the document names the state that follows.

        Raises:
            ValueError: nothing is in flight, or only what the platform does by itself.
        """
        self._do(self._compute.cancel)

    def __repr__(self) -> str:
        vm = self._vm
        if vm.deleted_us is not None:
            return f"<FakeVM {vm.name}: deleted>"
        return (
            f"<FakeVM {vm.name}: {vm.power or 'no power state'}, "
            f"{resources.provisioning_state_of(vm, self._compute.edition)}>"
        )

    def _looked(self) -> VirtualMachine:
        self._compute.clock.sync()
        return self._vm

    def _event(self, event: GuestEvent) -> None:
        self._do(lambda vm: self._compute.guest_event(vm, event))

    def _do(self, action: Callable[[VirtualMachine], None]) -> None:
        self._compute.clock.sync()
        with self._compute.clock.lock:
            action(self._vm)

    def _in_flight(self, record: OperationRecord | None) -> OperationInFlight | None:
        if record is None:
            return None
        started_at = self._compute.clock.calendar(record.started_us)
        return OperationInFlight(record.operation, record.operation_id, started_at)
