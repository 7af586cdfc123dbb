"""Microsoft.Compute: the virtual machines, and the operations that change them.

This is the one place where a virtual machine changes. A request is decided first, against the
lifecycle table, and changes something only once nothing can refuse it any more; from then on only
the clock changes anything. Nothing here knows HTTP. Every method is called with ``lock`` held.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_model as models
from pytest_azurevm._clock import Clock
from pytest_azurevm._errors import CANCELED, PREEMPTED, ArmError, arm_error
from pytest_azurevm._lifecycle import Edition, Operation, PowerState, Provisioning, Row
from pytest_azurevm._records import (
    AgentReport,
    Change,
    Failure,
    OperationRecord,
    OperationStatus,
    VirtualMachine,
)
from pytest_azurevm._timing import Timing
from pytest_azurevm._vm_form import Json, checked_location, checked_name

# The action of ARM that an operation goes by in error messages [seen].
ACTIONS: Final[dict[Operation, str]] = {
    "create": "write",
    "update": "write",
    "delete": "delete",
    "start": "start",
    "power_off": "powerOff",
    "restart": "restart",
    "deallocate": "deallocate",
}


Fate: TypeAlias = Callable[[VirtualMachine, Operation], Failure | None]


def _ends_well(_vm: VirtualMachine, _operation: Operation) -> Failure | None:
    return None


class Compute:
    """All virtual machines and operations of all subscriptions."""

    def __init__(
        self, clock: Clock, timing: Timing, edition: Edition, *, tenant_id: str, seed: int = 0
    ) -> None:
        self.clock = clock
        self.timing = timing
        self.edition = edition
        self.tenant_id = tenant_id
        self.fate: Fate = _ends_well  # asked once for each operation that is accepted
        self._ids = random.Random(f"ids {seed}")  # noqa: S311  reproducible, not secret
        self._vms: dict[tuple[str, str, str], VirtualMachine] = {}
        self._listed: list[VirtualMachine] = []  # by sequence; the deleted are swept now and then
        self._operations: dict[str, OperationRecord] = {}
        self._deleted: list[VirtualMachine] = []
        self._sequence = 0

    # --- looking -------------------------------------------------------------------------------

    def find(self, subscription_id: str, group: str, name: str) -> VirtualMachine | None:
        """Give the VM, names compared without regard to case."""
        return self._vms.get((subscription_id.lower(), group.lower(), name.lower()))

    def all(self) -> Iterator[VirtualMachine]:
        """Give every VM that exists, of all subscriptions, in the order of their creation."""
        return (vm for vm in self._listed if vm.deleted_us is None)

    def deleted(self) -> Iterator[VirtualMachine]:
        """Give every VM that is no more."""
        return iter(self._deleted)

    def after(self, sequence: int) -> Iterator[VirtualMachine]:
        """Give the VMs that were created after the one of *sequence*."""
        start = bisect_right(self._listed, sequence, key=lambda vm: vm.sequence)
        for position in range(start, len(self._listed)):
            if self._listed[position].deleted_us is None:
                yield self._listed[position]

    def find_operation(self, operation_id: str) -> OperationRecord | None:
        """Give the operation of that id."""
        return self._operations.get(operation_id.lower())

    def new_id(self) -> str:
        """Give the next id of this run: a UUID, the same on every run with one seed."""
        bits = f"{self._ids.getrandbits(128):032x}"
        variant = "89ab"[int(bits[16], 16) % 4]
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{variant}{bits[17:20]}-{bits[20:]}"

    # --- requests ------------------------------------------------------------------------------

    def create(self, subscription_id: str, group: str, name: str, body: Json) -> OperationRecord:
        """Create a VM that does not exist yet.

        Raises:
            ArmError: the body cannot be; nothing was created.
        """
        checked_name(name)
        model = models.created(
            body, name=name, vm_id=self.new_id(), new_id=self.new_id, tenant_id=self.tenant_id
        )
        now_us = self.clock.now_us
        self._sequence += 1
        vm = VirtualMachine(
            subscription_id=subscription_id,
            resource_group=group,
            name=name,
            location=checked_location(body),
            sequence=self._sequence,
            created_us=now_us,
            model=model,
        )
        self._vms[(subscription_id.lower(), group.lower(), name.lower())] = vm
        self._listed.append(vm)
        return self._accept(vm, "create", frozenset({self._image_kind(vm)}))

    def put(self, vm: VirtualMachine, body: Json) -> OperationRecord:
        """Write an existing VM's model anew.

        Raises:
            ArmError: the body cannot be, or the VM cannot be written now; nothing changed.
        """
        location = checked_location(body)
        if location != vm.location:
            raise arm_error(
                "other-location",
                name=vm.name,
                group=vm.resource_group,
                old=vm.location,
                new=location,
            )
        return self._update(vm, partial(models.put, vm.model, body), models.os_type(vm.model))

    def patch(self, vm: VirtualMachine, body: Json) -> OperationRecord:
        """Change some of an existing VM's model.

        Raises:
            ArmError: the body cannot be, or the VM cannot be written now; nothing changed.
        """
        return self._update(vm, partial(models.patched, vm.model, body), "PATCH")

    def _update(
        self, vm: VirtualMachine, new_model: Callable[..., Json], kind: str
    ) -> OperationRecord:
        self._judge(vm, "update", frozenset({kind}))
        model = new_model(
            name=vm.name,
            deallocated=vm.power == "deallocated",
            new_id=self.new_id,
            tenant_id=self.tenant_id,
        )
        operation = self._accept(vm, "update", frozenset({kind}))
        # What GET returns from now on; what runs stays the effective model until the work is done.
        vm.model = model
        vm.version += 1
        return operation

    def act(self, vm: VirtualMachine, operation: Operation) -> OperationRecord:
        """Accept a power operation, or a delete.

        Raises:
            ArmError: it is not allowed now; nothing changed.
        """
        return self._accept(vm, operation, self._kinds(vm))

    # --- what happens without a request --------------------------------------------------------

    def guest_event(self, vm: VirtualMachine, event: table.GuestEvent) -> None:
        """Let the guest do something by itself.

        Raises:
            ValueError: the guest is not running.
        """
        row = table.find_row(event, vm.power, frozenset())
        if row is None or vm.deleted_us is not None:
            raise ValueError(
                f"{vm.name} cannot do {event}: its guest does not run, the VM "
                f"{'is deleted' if vm.deleted_us is not None else f'is {vm.power}'}. "
                "Start it first, or let the operation in flight end."
            )
        self.clock.changed()
        now_us = self.clock.now_us
        self._forget_guest(vm)
        if event == "guest_crash":
            silent_us = now_us + self.timing.agent_us(table.AGENT_SILENT_AFTER_S)
            self._guest_later(vm, silent_us, partial(self._report, vm, "unresponsive"))
            return
        end_us = now_us + self.timing.duration_us(row, vm.name)
        if event == "guest_reboot":
            self._report(vm, "unresponsive")
            self._guest_later(vm, end_us, partial(self._report, vm, "ready"))
            return
        self._show(vm, vm.provisioning, "stopping", event)
        self._guest_later(vm, end_us, partial(self._guest_stopped, vm, event))

    def cancel(self, vm: VirtualMachine) -> None:
        """Cancel the operation in flight: the document's "user-initiated cancel".

        Raises:
            ValueError: nothing is in flight.
        """
        operation = vm.operation
        if operation is None:
            raise ValueError(f"{vm.name} has no operation in flight to cancel")
        self.clock.changed()
        self._close(operation, "Canceled", CANCELED)
        self._provisioned(
            vm, "canceled", CANCELED, _settled(vm.power), f"{operation.operation}: canceled"
        )

    def settle(self, vm: VirtualMachine, power: PowerState) -> None:
        """Put a VM, just created, into a settled state as if its past had been long ago."""
        operation = vm.operation
        if operation is not None:
            self._close(operation, "Succeeded", None)
        self._forget_guest(vm)
        vm.history.clear()
        self._make_disks(vm)
        vm.effective_model = vm.model
        self._install_extensions(vm)
        vm.goal = power
        self._provisioned(vm, "succeeded", None, power, "seeded")
        if power == "deallocated":
            self._report(vm, "absent")
        else:
            self._report(vm, "ready")

    # --- accepting -----------------------------------------------------------------------------

    def _judge(
        self, vm: VirtualMachine, operation: Operation, kinds: frozenset[str]
    ) -> tuple[Row | None, table.Meeting | None]:
        """Say how *operation* would go, and change nothing."""
        meeting = None
        if vm.operation is not None:
            meeting = table.meet(vm.operation.operation, operation)
            if meeting == "deleting":
                raise _refused(table.MARKED_FOR_DELETION, vm, operation)
            if meeting == "conflict":
                raise _refused(table.CONFLICT, vm, operation)
            if meeting == "refuse":
                raise _refused(table.find_refusal(operation, vm.power), vm, operation)
        row = table.find_row(operation, vm.power, kinds)
        if row is None and meeting not in ("follow", "beside"):
            raise _refused(table.find_refusal(operation, vm.power), vm, operation)
        return row, meeting

    def _accept(
        self, vm: VirtualMachine, operation: Operation, kinds: frozenset[str]
    ) -> OperationRecord:
        row, meeting = self._judge(vm, operation, kinds)
        self.clock.changed()
        now_us = self.clock.now_us
        record = OperationRecord(self.new_id(), operation, vm, now_us)
        self._operations[record.operation_id] = record
        older = vm.operation
        if older is not None and meeting == "follow":
            older.followers.append(record)
            return record
        if older is not None and meeting == "beside":
            end_us = now_us + self._beside_us(vm, kinds)
            record.due.append(self.clock.at(end_us, partial(self._end_beside, record)))
            return record
        if older is not None:
            self._close(older, "Canceled", PREEMPTED)
        assert row is not None  # _judge refuses what has no row
        vm.operation = record
        if row.shows and operation != "update":
            self._forget_guest(vm)  # a power operation or a delete takes over
        if row.goal != table.SAME:
            vm.goal = row.goal
        end_us = self._show_in_turn(record, row)
        failure = self.fate(vm, operation)
        record.due.append(self.clock.at(end_us, partial(self._end, record, row, failure)))
        return record

    def _show_in_turn(self, record: OperationRecord, row: Row) -> int:
        """Show the first view now, put the others on the agenda; give the instant of the end."""
        vm = record.vm
        start_us = self.clock.now_us
        span_us = self.timing.duration_us(row, vm.name)
        share = 0.0
        for position, shown in enumerate(row.shows):
            step = partial(self._step, record, shown, position)
            if position == 0:
                step()
            else:
                record.due.append(self.clock.at(start_us + round(span_us * share), step))
            share += shown.share
        if record.operation == "create":
            span_us += sum(self.timing.extension_us(vm.name) for _ in models.extensions(vm.model))
        return start_us + span_us

    def _beside_us(self, vm: VirtualMachine, kinds: frozenset[str]) -> int:
        row = table.find_row("update", "running", kinds)
        assert row is not None  # the table has one for every kind of update
        return self.timing.duration_us(row, vm.name)

    # --- what falls due ------------------------------------------------------------------------

    def _step(self, record: OperationRecord, shown: table.Shown, position: int) -> None:
        vm = record.vm
        provisioning = vm.provisioning if shown.provisioning == table.SAME else shown.provisioning
        power = vm.power if shown.power == table.SAME else shown.power
        if record.operation == "create" and position == 1:
            self._make_disks(vm)
        if provisioning == "creating/osProvisioningComplete":
            self._report(vm, "not populated")
        if power == "deallocating":
            self._report(vm, "absent")
        self._show(vm, provisioning, power, record.operation)

    def _end(self, record: OperationRecord, row: Row, failure: Failure | None) -> None:
        vm = record.vm
        if failure is not None:
            error = (failure.code, failure.message)
            self._close(record, "Failed", error)
            power = _settled(vm.power) if failure.power == table.SAME else failure.power
            self._provisioned(vm, "failed", error, power, f"{record.operation}: {failure.code}")
            return
        self._close(record, "Succeeded", None)
        if record.operation == "delete":
            self._remove(vm)
            return
        power = vm.power if row.ends_in == table.SAME else row.ends_in
        if not row.shows and vm.provisioning != "updating":
            return  # there was nothing to do, not even what a preempted update had left
        if record.operation in ("create", "update") or vm.disks_made_us is None:
            self._make_disks(vm)
        self._install_extensions(vm)
        vm.effective_model = vm.model
        self._provisioned(vm, "succeeded", None, power, record.operation)
        if power == "running" and record.operation in ("create", "start", "restart"):
            self._boot(vm)

    def _end_beside(self, record: OperationRecord) -> None:
        self._close(record, "Succeeded", None)

    def _close(
        self, record: OperationRecord, status: OperationStatus, error: tuple[str, str] | None
    ) -> None:
        """End an operation, whichever way: this and nothing else does."""
        for entry in record.due:
            self.clock.cancel(entry)
        record.due.clear()
        record.status = status
        record.error = error
        record.ended_us = self.clock.now_us
        if record.vm.operation is record:
            record.vm.operation = None
        for follower in record.followers:
            self._close(follower, status, error)
        record.followers.clear()

    # --- changing a VM -------------------------------------------------------------------------

    def _show(
        self, vm: VirtualMachine, provisioning: Provisioning, power: PowerState | None, cause: str
    ) -> None:
        vm.provisioning = provisioning
        vm.power = power
        vm.history.append(Change(self.clock.now_us, power, provisioning, cause))

    def _provisioned(
        self,
        vm: VirtualMachine,
        provisioning: Provisioning,
        failure: tuple[str, str] | None,
        power: PowerState | None,
        cause: str,
    ) -> None:
        vm.provisioned_us = self.clock.now_us
        vm.failure = failure
        self._show(vm, provisioning, power, cause)

    def _make_disks(self, vm: VirtualMachine) -> None:
        vm.model = models.completed(vm.model, name=vm.name, disk_id=vm.disk_id, new_id=self.new_id)
        if vm.disks_made_us is None:
            vm.disks_made_us = self.clock.now_us

    def _install_extensions(self, vm: VirtualMachine) -> None:
        if models.extensions(vm.model):
            vm.model = {**vm.model, "resources": [
                {**extension, "properties": {**extension["properties"],
                                             "provisioningState": "Succeeded"}}
                for extension in models.extensions(vm.model)
            ]}  # fmt: skip

    def _remove(self, vm: VirtualMachine) -> None:
        self._forget_guest(vm)
        self._show(vm, "deleting", None, "delete: gone")
        vm.deleted_us = self.clock.now_us
        del self._vms[(vm.subscription_id.lower(), vm.resource_group.lower(), vm.name.lower())]
        self._deleted.append(vm)
        if len(self._listed) > 2 * len(self._vms) + 64:
            self._listed = [vm for vm in self._listed if vm.deleted_us is None]

    # --- the guest -----------------------------------------------------------------------------

    def _boot(self, vm: VirtualMachine) -> None:
        """The system is up; its agent reports a little later."""
        if vm.agent == "absent":
            self._report(vm, "not populated")
        ready_us = self.clock.now_us + self.timing.agent_us(table.AGENT_READY_AFTER_S)
        self._guest_later(vm, ready_us, partial(self._report, vm, "ready"))

    def _report(self, vm: VirtualMachine, agent: AgentReport) -> None:
        vm.agent = agent
        vm.agent_us = self.clock.now_us
        if agent == "ready":
            vm.guest_known = True
        elif agent == "absent":
            vm.guest_known = False

    def _guest_stopped(self, vm: VirtualMachine, event: str) -> None:
        self._show(vm, vm.provisioning, "stopped", event)

    def _guest_later(self, vm: VirtualMachine, due_us: int, action: Callable[[], None]) -> None:
        vm.guest_due.append(self.clock.at(due_us, action))

    def _forget_guest(self, vm: VirtualMachine) -> None:
        """Whatever the guest was about to do or to report, it does not any more."""
        for entry in vm.guest_due:
            self.clock.cancel(entry)
        vm.guest_due.clear()

    def _kinds(self, vm: VirtualMachine) -> frozenset[str]:
        return frozenset({"set to run"} if vm.goal == "running" else ())

    def _image_kind(self, vm: VirtualMachine) -> str:
        return "specialized" if models.is_specialized(vm.model) else models.os_type(vm.model)


# Where a VM comes to rest whose operation was stopped in a passing power state [assumed].
_RESTS: Final[dict[PowerState | None, PowerState | None]] = {
    "starting": "stopped",
    "stopping": "running",
    "deallocating": "deallocated",
}


def _settled(power: PowerState | None) -> PowerState | None:
    return _RESTS.get(power, power)


def _refused(refusal: table.Refusal, vm: VirtualMachine, operation: Operation) -> ArmError:
    message = refusal.message.format(
        action=ACTIONS[operation],
        vm=vm.name,
        target=table.TARGETS.get(vm.power, vm.power),
    )
    return ArmError(409, refusal.code, message)
