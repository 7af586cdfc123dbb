"""Microsoft.Compute: the virtual machines, and the operations that change them.

This is the one place where a virtual machine changes. A request is decided first, against the
lifecycle table, and changes something only once nothing can refuse it any more; from then on only
the clock changes anything. Nothing here knows HTTP. Every method is called with ``lock`` held.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Final, NamedTuple, TypeAlias

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_model as models
from pytest_azurevm._errors import CANCELED, PREEMPTED, ArmError, arm_error
from pytest_azurevm._lifecycle import (
    AgentReport,
    Edition,
    Meeting,
    Operation,
    PowerState,
    Provisioning,
    Row,
    SettledState,
)
from pytest_azurevm._records import (
    Change,
    Failure,
    OperationRecord,
    OperationStatus,
    Standing,
    VirtualMachine,
)
from pytest_azurevm._register import Register
from pytest_azurevm._timekeeper import Timekeeper
from pytest_azurevm._timing import LONGEST_US, Timing
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


class _Judged(NamedTuple):
    """An operation that would be accepted, and how."""

    operation: Operation
    kinds: frozenset[str]
    row: Row | None
    meeting: Meeting | None


class _Plan(NamedTuple):
    """All that is to be known of an operation before it is accepted."""

    judged: _Judged
    views_us: int  # over which its row's views are spread
    ends_us: int  # after so long
    failure: Failure | None


class Compute:
    """All virtual machines and operations of all subscriptions."""

    def __init__(
        self, clock: Timekeeper, timing: Timing, edition: Edition, *, tenant_id: str, seed: int = 0
    ) -> None:
        self.clock = clock
        self.timing = timing
        self.edition = edition
        self.tenant_id = tenant_id
        self.fate: Fate = _ends_well  # asked once for each operation that is accepted
        self._ids = random.Random(f"ids {seed}")  # noqa: S311  reproducible, not secret
        self._register = Register()
        self._operations: dict[str, OperationRecord] = {}
        self._deleted: list[VirtualMachine] = []
        self._sequence = 0

    # --- looking -------------------------------------------------------------------------------

    @property
    def vms(self) -> Register:
        """Every VM that exists, of all subscriptions."""
        return self._register

    def deleted(self) -> Iterator[VirtualMachine]:
        """Give every VM that is no more."""
        return iter(self._deleted)

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
        vm = self._new(subscription_id, group, name, body)
        plan = self._plan(vm, self._judge(vm, "create", frozenset({self._image_kind(vm)})))
        self._register.add(vm)
        return self._accept(vm, plan)

    def seed(
        self, subscription_id: str, group: str, name: str, body: Json, power: SettledState
    ) -> VirtualMachine:
        """Put a VM into place that has long been there, in a settled state.

        Raises:
            ArmError: the body cannot be; nothing was created.
        """
        vm = self._new(subscription_id, group, name, body)
        self.clock.changed()
        self._register.add(vm)
        vm.goal = power
        self._make_disks(vm)
        self._install_extensions(vm)
        vm.effective_model = vm.model
        self._provisioned(vm, "succeeded", None, power, "seeded")
        self._report(vm, table.SETTLED[power])
        return vm

    def _new(self, subscription_id: str, group: str, name: str, body: Json) -> VirtualMachine:
        """Make a VM that is in no register yet."""
        checked_name(name)
        model = models.created(
            body, name=name, vm_id=self.new_id(), new_id=self.new_id, tenant_id=self.tenant_id
        )
        self._sequence += 1
        return VirtualMachine(
            subscription_id=subscription_id,
            resource_group=group,
            name=name,
            location=checked_location(body),
            sequence=self._sequence,
            created_us=self.clock.now_us,
            model=model,
            goal=table.GUEST_RUNS_IN,
        )

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
        judged = self._judge(vm, "update", frozenset({kind}))
        model = new_model(
            name=vm.name,
            deallocated=vm.power in table.NOT_ALLOCATED,
            new_id=self.new_id,
            tenant_id=self.tenant_id,
        )
        operation = self._accept(vm, self._plan(vm, judged))
        # What GET returns from now on; what runs stays the effective model until the work is done.
        vm.model = model
        vm.version += 1
        return operation

    def act(self, vm: VirtualMachine, operation: Operation) -> OperationRecord:
        """Accept a power operation, or a delete.

        Raises:
            ArmError: it is not allowed now; nothing changed.
        """
        judged = self._judge(vm, operation, table.KINDS_BY_GOAL.get(vm.goal, frozenset()))
        return self._accept(vm, self._plan(vm, judged))

    # --- what happens without a request --------------------------------------------------------

    def guest_event(self, vm: VirtualMachine, event: table.GuestEvent) -> None:
        """Let the guest do something by itself.

        Raises:
            ValueError: the guest is not running.
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
        end_us = self.clock.now_us + self.timing.duration_us(row, vm.name)
        self.clock.changed()
        self._forget_guest(vm)
        for shown in row.shows:
            self._pass_through(vm, shown, event)
        self._guest_later(vm, end_us, partial(self._guest_ended, vm, row))

    def cancel(self, vm: VirtualMachine) -> None:
        """Cancel the operation in flight: the document's "user-initiated cancel".

        Raises:
            ValueError: nothing is in flight.
        """
        operation = vm.operation
        if operation is None:
            raise ValueError(f"{vm.name} has no operation in flight to cancel")
        self.clock.changed()
        power = self._cut_short(operation)
        vm.goal = operation.before.goal
        self._close(operation, "Canceled", CANCELED)
        self._provisioned(vm, "canceled", CANCELED, power, f"{operation.operation}: canceled")
        if _fixes_power(operation) and power == table.GUEST_RUNS_IN:
            self._boot(vm)

    # --- accepting -----------------------------------------------------------------------------

    def _judge(self, vm: VirtualMachine, operation: Operation, kinds: frozenset[str]) -> _Judged:
        """Say how *operation* would go, and change nothing.

        Raises:
            ArmError: it is not allowed now.
        """
        meeting = None
        if vm.operation is not None:
            meeting = table.meet(vm.operation.operation, operation)
            if meeting == "deleting":
                raise _refused(table.MARKED_FOR_DELETION, vm, operation)
            if meeting == "conflict":
                raise _refused(table.CONFLICT, vm, operation)
            if meeting == "refuse":
                raise _refused(_refusal(vm, operation), vm, operation)
            if meeting in ("follow", "beside"):
                return _Judged(operation, kinds, None, meeting)
        row = table.find_row(operation, vm.power, kinds)
        if row is None:
            raise _refused(_refusal(vm, operation), vm, operation)
        return _Judged(operation, kinds, row, meeting)

    def _plan(self, vm: VirtualMachine, judged: _Judged) -> _Plan:
        """Say how long the operation takes, and how it ends: the last that can raise anything."""
        row = judged.row
        if judged.meeting == "follow":
            return _Plan(judged, 0, 0, None)
        if row is None:
            row = table.find_row("update", table.BESIDE_A_CREATE_AS_IN, judged.kinds)
            assert row is not None  # the table has one for every kind of update
            beside_us = self.timing.duration_us(row, vm.name)
            return _Plan(judged, beside_us, beside_us, None)
        views_us = ends_us = self.timing.duration_us(row, vm.name)
        if judged.operation == "create":
            ends_us += sum(self.timing.extension_us(vm.name) for _ in models.extensions(vm.model))
        failure = self.fate(vm, judged.operation)
        return _Plan(judged, views_us, min(ends_us, LONGEST_US), failure)

    def _accept(self, vm: VirtualMachine, plan: _Plan) -> OperationRecord:
        """Begin an operation. Nothing can refuse it any more."""
        operation, _, row, meeting = plan.judged
        self.clock.changed()
        now_us = self.clock.now_us
        older = vm.operation
        if older is not None and vm.power not in table.SETTLED:
            before = older.before  # on its way: it goes back to where it set out from
        else:
            before = _standing(table.resting(vm.power), vm.goal)
        record = OperationRecord(self.new_id(), operation, vm, now_us, row, before)
        self._operations[record.operation_id] = record
        if older is not None and meeting == "follow":
            older.followers += (record,)
            return record
        end_us = now_us + plan.ends_us
        if row is None:
            record.due = (self.clock.at(end_us, partial(self._end_beside, record)),)
            return record
        if older is not None:
            self._close(older, "Canceled", PREEMPTED)
        vm.operation = record
        if row.fixes_power:
            self._forget_guest(vm)  # a power operation or a delete takes over
        if row.goal != table.SAME:
            vm.goal = row.goal
        self._show_in_turn(record, row, plan.views_us)
        record.due += (self.clock.at(end_us, partial(self._end, record, row, plan.failure)),)
        return record

    def _show_in_turn(self, record: OperationRecord, row: Row, span_us: int) -> None:
        """Show the first view now, and put the others on the agenda."""
        share = 0.0
        for position, shown in enumerate(row.shows):
            if position == 0:
                self._step(record, shown)
            else:
                due_us = record.started_us + round(span_us * share)
                record.due += (self.clock.at(due_us, partial(self._step, record, shown)),)
            share += shown.share

    # --- what falls due ------------------------------------------------------------------------

    def _step(self, record: OperationRecord, shown: table.Shown) -> None:
        self._pass_through(record.vm, shown, record.operation)
        if shown.power != table.SAME:
            record.reached = shown.power

    def _end(self, record: OperationRecord, row: Row, failure: Failure | None) -> None:
        vm = record.vm
        if failure is not None:
            error = (failure.code, failure.message)
            short_of = self._cut_short(record)
            power = short_of if failure.power == table.SAME else failure.power
            self._close(record, "Failed", error)
            self._provisioned(vm, "failed", error, power, f"{record.operation}: {failure.code}")
            return
        self._close(record, "Succeeded", None)
        if record.operation == "delete":
            self._remove(vm)
            return
        if not row.shows and vm.provisioning != "updating":
            return  # there was nothing to do, not even what a preempted update had left
        if row.fixes_power:
            self._forget_guest(vm)
        if record.operation in ("create", "update") or vm.disks_made_us is None:
            self._make_disks(vm)
        self._install_extensions(vm)
        vm.effective_model = vm.model
        power = vm.power if row.ends_in == table.SAME else row.ends_in
        self._provisioned(vm, "succeeded", None, power, record.operation)
        if row.agent == "ready":
            self._boot(vm)

    def _cut_short(self, record: OperationRecord) -> PowerState | None:
        """Give where the VM rests whose operation does not come to its end.

        Where it was when that was accepted, if it was at rest; else as far as it has come. What its
        guest is about to do goes on only if the operation never touched the power state.
        """
        if not _fixes_power(record):
            return record.vm.power
        self._forget_guest(record.vm)
        if record.before.power in table.SETTLED:
            return record.before.power
        return record.reached if record.reached in table.SETTLED else None

    def _end_beside(self, record: OperationRecord) -> None:
        self._close(record, "Succeeded", None)

    def _close(
        self, record: OperationRecord, status: OperationStatus, error: tuple[str, str] | None
    ) -> None:
        """End an operation, whichever way: this and nothing else does."""
        for entry in record.due:
            self.clock.cancel(entry)
        record.due = ()
        record.status = status
        record.error = error
        record.ended_us = self.clock.now_us
        if record.vm.operation is record:
            record.vm.operation = None
        for follower in record.followers:
            self._close(follower, status, error)
        record.followers = ()

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

    def _pass_through(self, vm: VirtualMachine, shown: table.Shown, cause: str) -> None:
        """Show what the table says for a while."""
        if shown.power != table.SAME:
            self._forget_guest(vm)
        if shown.makes_disks:
            self._make_disks(vm)
        if shown.agent != table.SAME:
            self._report(vm, shown.agent)
        provisioning = vm.provisioning if shown.provisioning == table.SAME else shown.provisioning
        power = vm.power if shown.power == table.SAME else shown.power
        if (shown.provisioning, shown.power) != (table.SAME, table.SAME):
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
        self._register.remove(vm)
        self._deleted.append(vm)

    # --- the guest -----------------------------------------------------------------------------

    def _boot(self, vm: VirtualMachine) -> None:
        """The system is up; its agent reports a little later."""
        if vm.agent == "absent":
            self._report(vm, table.AGENT_COMING_UP)
        ready_us = self.clock.now_us + self.timing.agent_us(table.AGENT_READY_AFTER_S)
        self._guest_later(vm, ready_us, partial(self._report, vm, "ready"))

    def _report(self, vm: VirtualMachine, agent: AgentReport) -> None:
        vm.agent = agent
        vm.agent_us = self.clock.now_us
        if agent == "ready":
            vm.guest_known = True
        elif agent == "absent":
            vm.guest_known = False

    def _guest_ended(self, vm: VirtualMachine, row: Row) -> None:
        """What the guest did by itself is over."""
        if row.agent != table.SAME:
            self._report(vm, row.agent)
        if row.ends_in != table.SAME:
            self._show(vm, vm.provisioning, row.ends_in, row.operation)

    def _guest_later(self, vm: VirtualMachine, due_us: int, action: Callable[[], None]) -> None:
        vm.guest_due += (self.clock.at(due_us, action),)

    def _forget_guest(self, vm: VirtualMachine) -> None:
        """Whatever the guest was about to do or to report, it does not any more."""
        for entry in vm.guest_due:
            self.clock.cancel(entry)
        vm.guest_due = ()

    def _image_kind(self, vm: VirtualMachine) -> str:
        return "specialized" if models.is_specialized(vm.model) else models.os_type(vm.model)


_standing: Final = cache(Standing)  # there are but a few, and a great many operations


def _fixes_power(record: OperationRecord) -> bool:
    return record.row is not None and record.row.fixes_power


def _refusal(vm: VirtualMachine, operation: Operation) -> table.Refusal:
    return table.find_refusal(operation, vm.power, in_flight=vm.operation is not None)


def _refused(refusal: table.Refusal, vm: VirtualMachine, operation: Operation) -> ArmError:
    message = refusal.message.format(
        action=ACTIONS[operation],
        vm=vm.name,
        target=table.TARGETS.get(vm.power, vm.power),
    )
    return ArmError(409, refusal.code, message)
