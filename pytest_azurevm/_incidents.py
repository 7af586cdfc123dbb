"""What befalls machines without a request: guests, agents, hosts, evictions, and cancels."""

from __future__ import annotations

from functools import partial

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_extensions as extensions
from pytest_azurevm import _vm_model as models
from pytest_azurevm._errors import CANCELED, ArmError
from pytest_azurevm._extension_operations import ExtensionOperations
from pytest_azurevm._lifecycle import Row
from pytest_azurevm._operations import fixes_power
from pytest_azurevm._records import VirtualMachine


class Incidents(ExtensionOperations):
    """What happens by itself."""

    def guest_event(self, vm: VirtualMachine, event: table.GuestEvent) -> None:
        """Let the guest do something by itself.

        Raises:
            ValueError: the guest is not running.
        """
        self._befall(vm, event)

    def lose_agent(self, vm: VirtualMachine) -> None:
        """Let the VM's agent fall silent, while its guest goes on.

        Raises:
            ValueError: the guest is not running, or has no agent.
        """
        if not models.has_agent(vm.model):
            raise ValueError(
                f"{vm.name} has no agent to lose: it was created with provisionVMAgent false"
            )
        self._befall(vm, "agent_loss")
        vm.agent_lost = True

    def recover_agent(self, vm: VirtualMachine) -> None:
        """Let an agent that was lost report again.

        Raises:
            ValueError: the guest is not running, or its agent was not lost.
        """
        if vm.deleted_us is None and not vm.agent_lost:
            raise ValueError(
                f"{vm.name} has not lost its agent: lose_agent() makes it. After a guest's crash "
                "or a host's failure the agent comes back with the guest: restart or redeploy it."
            )
        self._befall(vm, "agent_recovery")

    def fail_host(self, vm: VirtualMachine, heals_after_us: int | None) -> None:
        """Let the VM's host fail; service healing brings the guest up again, unless ``None``.

        Raises:
            ValueError: the guest is not running.
        """
        row = self._row_of(vm, "host_failure")
        self.clock.changed()
        self._forget_guest(vm)
        self._forget_host(vm)
        for shown in row.shows:
            self._pass_through(vm, shown, "host_failure")
        vm.host_failed, vm.agent_lost = True, False
        if heals_after_us is not None:
            due_us = self.clock.now_us + heals_after_us
            vm.healing_due = (self.clock.at(due_us, partial(self._healed, vm)),)

    def _healed(self, vm: VirtualMachine) -> None:
        """Service healing has put the VM on another host: its guest boots, if it is to run."""
        self._forget_host(vm)
        if vm.power == table.GUEST_RUNS_IN:
            self._forget_guest(vm)
            self._boot(vm)

    def evict(self, vm: VirtualMachine) -> None:
        """Evict a spot VM.

        Raises:
            ValueError: it is none, or it cannot be evicted now.
        """
        if vm.deleted_us is not None:
            raise ValueError(f"{vm.name} cannot be evicted: it is deleted")
        if not models.is_spot(vm.model):
            raise ValueError(
                f"{vm.name} is no spot VM, and only those are evicted. A VM becomes one when it is "
                f'created, by its priority: fake.add_vm("{vm.name}", parameters='
                '{"properties": {"priority": "Spot"}}), or the same in what a PUT sends.'
            )
        try:
            self._evict(vm)
        except ArmError as error:
            raise ValueError(
                f"{vm.name} cannot be evicted now: {error.message} "
                "Only a VM that holds a host, or is about to, is evicted: start it first."
            ) from None

    def _row_of(self, vm: VirtualMachine, event: table.GuestEvent | table.Incident) -> Row:
        """Give the row of what befalls the VM now.

        Raises:
            ValueError: its guest does not run.
        """
        row = table.find_row(event, vm.power, frozenset())
        if row is None or vm.deleted_us is not None:
            found = (
                "is deleted"
                if vm.deleted_us is not None
                else f"is {vm.power or 'without a power state'}"
            )
            raise ValueError(
                f"{vm.name} cannot do {event}: its guest does not run, the VM {found}. "
                "Start it first, or let the operation in flight end."
            )
        return row

    def _befall(self, vm: VirtualMachine, event: table.GuestEvent | table.Incident) -> None:
        row = self._row_of(vm, event)
        if vm.host_failed:
            raise ValueError(
                f"{vm.name} cannot do {event}: its host has failed, and its guest with it. "
                "Restart or redeploy it, or let it heal (fail_host(heals_after=...))."
            )
        end_us = self.clock.now_us + self.timing.duration_us(row, vm.name)
        self.clock.changed()
        self._forget_guest(vm)
        vm.agent_lost = False  # what befalls it now says what its agent does
        for shown in row.shows:
            self._pass_through(vm, shown, event)
        self._guest_later(vm, end_us, partial(self._guest_ended, vm, row))

    def cancel(self, vm: VirtualMachine) -> None:
        """Cancel the operation in flight: the document's "user-initiated cancel".

        Raises:
            ValueError: nothing is in flight, or nothing that its owner began.
        """
        operation = vm.in_flight
        if operation is None:
            raise ValueError(f"{vm.name} has no operation in flight to cancel")
        if operation.operation in table.BY_THE_PLATFORM:
            raise ValueError(
                f"{vm.name} has no operation of its owner's in flight to cancel: the platform is "
                f"at it ({operation.operation}). Let it end: clock.run_until_idle()."
            )
        self.clock.changed()
        if operation.extension:
            self._close(operation, "Canceled", CANCELED)
            extension = extensions.find(vm.model, operation.extension)
            if extension is not None:
                vm.model = extensions.placed(vm.model, extension, "Canceled")
            self._extensions_done(vm, f"{operation.operation}: canceled", keeps_failure=True)
            return
        power = self._cut_short(operation)
        vm.goal = operation.before.goal
        self._close(operation, "Canceled", CANCELED)
        self._provisioned(vm, "canceled", CANCELED, power, f"{operation.operation}: canceled")
        if fixes_power(operation) and power == table.GUEST_RUNS_IN:
            self._boot(vm)
