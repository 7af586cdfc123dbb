"""Operations on machines: judged, accepted, shown view by view, and ended.

A request is decided first, against the lifecycle table, and changes something only once nothing can
refuse it any more; from then on only the clock changes anything. Every method is called with
``lock`` held.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial
from typing import Final, NamedTuple

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_extensions as extensions
from pytest_azurevm import _vm_model as models
from pytest_azurevm._agenda import microseconds
from pytest_azurevm._errors import PREEMPTED, ArmError, arm_error
from pytest_azurevm._lifecycle import Meeting, Operation, PowerState, Row
from pytest_azurevm._machines import Machines
from pytest_azurevm._records import (
    Fate,
    OperationRecord,
    OperationStatus,
    Standing,
    VirtualMachine,
)
from pytest_azurevm._timing import LONGEST_US

# The action of ARM that an operation goes by in error messages [seen].
ACTIONS: Final[dict[Operation, str]] = {
    "create": "write",
    "update": "write",
    "delete": "delete",
    "start": "start",
    "power_off": "powerOff",
    "restart": "restart",
    "deallocate": "deallocate",
    "redeploy": "redeploy",
    "reapply": "reapply",
    "reimage": "reimage",
    "generalize": "generalize",
    "extension_create": "extensions/write",
    "extension_update": "extensions/write",
    "extension_delete": "extensions/delete",
}


# An eviction is no operation of ARM; only a simulated one is asked for.
_SIMULATED: Final[dict[Operation, str]] = {"eviction": "simulateEviction"}


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
    fate: Fate | None


class Operations(Machines):
    """Every operation, in flight or over."""

    def find_operation(self, operation_id: str) -> OperationRecord | None:
        """Give the operation of that id."""
        return self._operations.get(operation_id.lower())

    def _judge(self, vm: VirtualMachine, operation: Operation, kinds: frozenset[str]) -> _Judged:
        """Say how *operation* would go, and change nothing.

        Raises:
            ArmError: it is not allowed now.
        """
        meeting = None
        if vm.operation is not None:
            if self._at_the_same_instant(vm.operation, operation):
                raise arm_error("concurrent-write")
            meeting = table.meet(vm.operation.operation, operation, self.concurrency)
            if meeting == "deleting":
                raise refused(table.MARKED_FOR_DELETION, vm, operation)
            if meeting == "conflict":
                raise refused(table.CONFLICT, vm, operation)
            if meeting == "refuse":
                raise refused(_refusal(vm, operation), vm, operation)
            if meeting == "busy":
                raise refused(table.BUSY, vm, operation)
            if meeting in ("follow", "beside"):
                return _Judged(operation, kinds, None, meeting)
        for older in vm.extension_operations:
            if table.meet(older.operation, operation) == "refuse":
                raise refused(_refusal(vm, operation), vm, operation)
        if vm.generalized and operation in table.GENERALIZED.operations:
            raise refused(table.GENERALIZED, vm, operation)
        row = table.find_row(operation, vm.power, kinds)
        if meeting == "preempt":
            row = _row_of_what_preempts(vm, operation, kinds, row)
        if row is None:
            raise refused(_refusal(vm, operation), vm, operation)
        return _Judged(operation, kinds, row, meeting)

    def _at_the_same_instant(self, older: OperationRecord, operation: Operation) -> bool:
        """Whether two writes of a model meet that know nothing of each other [seen bosh#762].

        One caller's requests follow each other, however little virtual time passes between them;
        those of another thread or task, at the very same instant, are made at once.
        """
        return (
            operation == "update"
            and older.operation in ("create", "update")
            and older.started_us == self.clock.now_us
            and older.caller != self.caller
        )

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
        elif judged.operation in table.TRIES_EXTENSIONS_AGAIN and row.agent == "ready":
            failed = extensions.failed(vm.model)
            ends_us += sum(self.timing.extension_us(vm.name) for _ in failed)
        # Where there is nothing to do, nothing can go wrong.
        fate = (self.fate(vm, judged.operation) if row.shows else None) or _beyond_repair(vm, row)
        if fate is not None:
            views_us, ends_us = self._fated(fate, row, views_us, ends_us)
        return _Plan(judged, min(views_us, LONGEST_US), min(ends_us, LONGEST_US), fate)

    def _fated(self, fate: Fate, row: Row, views_us: int, ends_us: int) -> tuple[int, int]:
        """Say how long an operation of that fate takes, its views and altogether."""
        longer_us = microseconds(fate.longer_s)
        if fate.usually_s is not None:
            ends_us = self.timing.recorded_us(fate.usually_s)
        views_us = round(views_us * fate.factor) + longer_us
        ends_us = round(ends_us * fate.factor) + longer_us
        if fate.ends_after_s is not None:
            ends_us = microseconds(fate.ends_after_s)
        # However early it ends: it has come as far as where it is held.
        before = sum(shown.share for shown in row.shows[: table.held(row, fate.held_in)])
        if before * views_us > ends_us:
            views_us = int(ends_us / before)
        return views_us, ends_us

    def _accept(self, vm: VirtualMachine, plan: _Plan) -> OperationRecord:
        """Begin an operation. Nothing can refuse it any more."""
        operation, _, row, meeting = plan.judged
        self.clock.changed()
        now_us = self.clock.now_us
        older = vm.operation
        if older is not None and vm.power not in table.SETTLED:
            before = older.before  # on its way: it goes back to where it set out from
        else:
            before = standing(table.resting(vm.power), vm.goal)
        record = OperationRecord(self.new_id(), operation, vm, now_us, row, before, self.caller)
        self._operations[record.operation_id] = record
        if older is not None and meeting == "follow":
            older.followers += (record,)
            return record
        end_us = now_us + plan.ends_us
        if row is None:
            record.due = (self.clock.at(end_us, partial(self._end_beside, record)),)
            return record
        for extension_operation in vm.extension_operations:
            self._close(extension_operation, "Canceled", PREEMPTED)
        if older is not None:
            self._close(older, "Canceled", PREEMPTED)
            if not row.fixes_power and fixes_power(older) and row.shows:
                self._go_back(vm, older)
        vm.operation = record
        if row.fixes_power:
            self._forget_guest(vm)  # a power operation or a delete takes over
        if row.goal != table.SAME:
            vm.goal = row.goal
        fate = plan.fate
        self._show_in_turn(record, row, plan.views_us, fate)
        if fate is not None:  # first: what comes during it comes before its end, if at one instant
            self._foresee(record, fate, plan.ends_us)
        if fate is None or fate.ends != "InProgress":
            record.due += (self.clock.at(end_us, partial(self._end, record, row, fate)),)
        return record

    def _foresee(self, record: OperationRecord, fate: Fate, span_us: int) -> None:
        """Put on the agenda, and note, what the operation's fate brings besides its end."""
        if fate.evicted == "during":
            after_s = fate.evicted_after_s
            after_us = span_us // 2 if after_s is None else microseconds(after_s)
            self._evict_later(record.vm, after_us, fate.eviction_policy)
        vm, lag_us = record.vm, microseconds(fate.lists_lag_s)
        if record.operation == "create" and lag_us:
            vm.listed_from_us = self.clock.now_us + lag_us
        record.ghost_us = lag_us if record.operation == "delete" else 0

    def _show_in_turn(
        self, record: OperationRecord, row: Row, span_us: int, fate: Fate | None
    ) -> None:
        """Show the first view now, and put the others on the agenda."""
        share = 0.0
        as_far_as = len(row.shows) if fate is None else table.held(row, fate.held_in) + 1
        for position, shown in enumerate(row.shows[:as_far_as]):
            if position == 0:
                self._step(record, shown)
            else:
                due_us = record.started_us + round(span_us * share)
                record.due += (self.clock.at(due_us, partial(self._step, record, shown)),)
            share += shown.share

    def _step(self, record: OperationRecord, shown: table.Shown) -> None:
        self._pass_through(record.vm, shown, record.operation)
        if shown.power != table.SAME:
            record.reached = shown.power

    def _end(self, record: OperationRecord, row: Row, fate: Fate | None) -> None:
        if fate is not None and fate.ends in ("Failed", "Canceled"):
            self._end_badly(record, fate)
        else:
            self._end_well(record, row, None if fate is None else fate.guest_ready_after_s)
            if fate is not None and fate.evicted == "afterwards":
                after_us = microseconds(fate.evicted_after_s or 0)
                self._evict_later(record.vm, after_us, fate.eviction_policy)

    def _end_badly(self, record: OperationRecord, fate: Fate) -> None:
        vm, error = record.vm, fate.error
        short_of = self._cut_short(record)
        power = short_of if fate.power == table.SAME else fate.power
        if record.operation == "create":
            vm.create_failed = fate.ends == "Failed"
            self._make_disks(vm)  # a machine that is not to be keeps its disks, and its NIC [seen]
        if fate.terminal:
            vm.beyond_repair = error
        self._close(record, fate.ends, error)
        if fate.ends == "Canceled":
            self._pushed_aside(record, fate)
            return
        if fate.extension is not None:
            self._fail_extension(vm, fate.extension, error)
            self._install_extensions(vm)
            vm.effective_model = vm.model
        if fate.comes_up_after_s is not None:
            power = table.COMING_UP  # for longer than anybody waited for it
        self._provisioned(vm, "failed", error, power, f"{record.operation}: {error[0]}")
        if fate.extension is not None:
            self._boot(vm)
        else:
            self._guest_goes_on(record)
        self._afterwards(vm, fate, error)

    def _guest_goes_on(self, record: OperationRecord) -> None:
        """The guest boots that the operation took down, or found booting, if it is to run."""
        vm = record.vm
        if vm.power != table.GUEST_RUNS_IN or not fixes_power(record) or record.row is None:
            return
        taken_down = any(shown.agent == vm.agent for shown in record.row.shows)
        if vm.agent == table.AGENT_COMING_UP or (taken_down and not vm.create_failed):
            self._boot(vm)

    def _afterwards(self, vm: VirtualMachine, fate: Fate, error: tuple[str, str]) -> None:
        """Put on the agenda what becomes of a machine whose operation failed."""
        now_us = self.clock.now_us
        if fate.comes_up_after_s is not None:
            due_us = now_us + microseconds(fate.comes_up_after_s)
            self._guest_later(vm, due_us, partial(self._come_up, vm))
        if fate.recovers_after_s is not None:
            # Whatever its guest does meanwhile, so that this is nothing of the guest's.
            due_us = now_us + microseconds(fate.recovers_after_s)
            self.clock.at(due_us, partial(self._recover, vm, error))

    def _pushed_aside(self, record: OperationRecord, fate: Fate) -> None:
        """Somebody's newer operation is over at once: it leaves the machine Succeeded."""
        vm = record.vm
        if record.model_before is not None and not fate.keeps_change:
            vm.model = record.model_before
            vm.version += 1
        power = vm.power if not fixes_power(record) else record.before.power
        if record.operation == "create":
            power = vm.goal = table.AFTER_A_PREEMPTED_CREATE
        elif fixes_power(record):
            vm.goal = record.before.goal
        vm.effective_model = vm.model
        self._provisioned(vm, "succeeded", None, power, f"{record.operation}: {fate.error[0]}")
        self._guest_goes_on(record)

    def _come_up(self, vm: VirtualMachine) -> None:
        """The system is up at last; what failed stays failed [seen scylla-cluster-tests#15004]."""
        self._show(vm, vm.provisioning, table.GUEST_RUNS_IN, "came up late")
        self._boot(vm)

    def _recover(self, vm: VirtualMachine, error: tuple[str, str]) -> None:
        """The machine is well after all [doc "automatically transition to success"]."""
        if vm.failure is not error or vm.deleted_us is not None:
            return  # something else has happened to it since
        if vm.provisioning != "failed":
            vm.failure = None  # what is in flight says what it shows from here on
            return
        vm.effective_model = vm.model
        self._provisioned(vm, "succeeded", None, vm.power, f"recovered from {error[0]}")
        if vm.power == table.GUEST_RUNS_IN and vm.agent == "absent":
            self._boot(vm)

    def _end_well(
        self, record: OperationRecord, row: Row, guest_ready_after_s: float | None
    ) -> None:
        vm = record.vm
        self._close(record, "Succeeded", None)
        if record.operation == "delete":
            self._remove(vm, "delete: gone", ghost_us=record.ghost_us)
            return
        if record.operation == "eviction":
            self._evicted(vm, row)
            return
        vm.create_failed = False
        if not row.shows and self.edition.provisioning[vm.provisioning].timed:
            return  # there was nothing to do, not even what a preempted operation had left
        if row.fixes_power:
            self._forget_guest(vm)
        # Whatever succeeds makes the persisted model effective, also one that a failed update left
        # [doc: reapply, redeploy, restart repair it].
        if vm.effective_model is not vm.model or vm.disks_made_us is None:
            self._make_disks(vm)
        if vm.goal == table.GUEST_RUNS_IN:  # where no guest runs, what was preempted stays undone
            self._install_extensions(vm)
        vm.effective_model = vm.model
        power = vm.power if row.ends_in == table.SAME else row.ends_in
        provisioning = "succeeded" if guest_ready_after_s is None else table.SETTING_UP
        self._provisioned(vm, provisioning, None, power, record.operation)
        in_mid_boot = not row.shows and vm.agent in ("absent", table.AGENT_COMING_UP)
        if row.agent == "ready" or (in_mid_boot and power == table.GUEST_RUNS_IN):
            self._boot(vm, guest_ready_after_s)

    def _cut_short(self, record: OperationRecord) -> PowerState | None:
        """Give where the VM rests whose operation does not come to its end.

        Where it was when that was accepted, if it was at rest; else as far as it has come. What its
        guest is about to do goes on only if the operation never touched the power state.
        """
        if fixes_power(record):
            self._forget_guest(record.vm)
        return _rest_of(record)

    def _end_beside(self, record: OperationRecord) -> None:
        """End an update beside a create, but not before that: there is no machine yet [assumed]."""
        create = record.vm.operation
        if create is not None and create.operation == "create":
            create.followers += (record,)
        else:
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
        if record in record.vm.extension_operations:
            others = (one for one in record.vm.extension_operations if one is not record)
            record.vm.extension_operations = tuple(others)
        for follower in record.followers:
            self._close(follower, status, error)
        record.followers = ()
        if record.operation == "delete":
            self.beside.delete_ended(record)

    def _evict(self, vm: VirtualMachine, policy: str | None = None) -> None:
        """Take the VM's host away, as its policy says; what is in flight is preempted."""
        busy = ", busy" if vm.in_flight is not None else ""
        kind = f"{policy or models.eviction_policy(vm.model)}{busy}"
        judged = self._judge(vm, "eviction", frozenset({kind}))
        span_us = 0 if judged.row is None else self.timing.duration_us(judged.row, vm.name)
        # The platform's own doing does not fail: no fate is asked.
        self._accept(vm, _Plan(judged, span_us, span_us, None))

    def _evict_later(self, vm: VirtualMachine, after_us: int, policy: str | None) -> None:
        def evict() -> None:
            with suppress(ArmError):  # it holds no host any more, or is gone
                if vm.deleted_us is None:
                    self._evict(vm, policy)

        self.clock.at(self.clock.now_us + after_us, evict)

    def _evicted(self, vm: VirtualMachine, row: Row) -> None:
        """End an eviction: the VM is deallocated, or gone with its disks."""
        if row.ends_in is None:
            vm.evicted = True
            self._evicted_names.add(vm.key)
            self._remove(vm, "eviction: gone")
            return
        self._forget_guest(vm)
        power = vm.power if row.ends_in == table.SAME else row.ends_in
        if any(shown.provisioning != table.SAME for shown in row.shows):
            self._provisioned(vm, "succeeded", None, power, "eviction")
        else:
            self._show(vm, vm.provisioning, power, "eviction")

    def _go_back(self, vm: VirtualMachine, older: OperationRecord) -> None:
        """What changed the power state is pushed aside by what does not."""
        vm.goal = older.before.goal
        self._show(vm, vm.provisioning, self._cut_short(older), f"{older.operation}: preempted")
        if vm.power == table.GUEST_RUNS_IN:
            self._boot(vm)


def _beyond_repair(vm: VirtualMachine, row: Row) -> Fate | None:
    """Say what becomes of an operation that would repair a system which Azure has given up."""
    repairs = row.agent != table.SAME or row.operation in table.PUSHES_THE_MODEL
    if vm.beyond_repair is None or not repairs:
        return None
    return Fate(ends="Failed", error=vm.beyond_repair)


standing: Final = cache(Standing)  # there are but a few, and a great many operations


def fixes_power(record: OperationRecord) -> bool:
    return record.row is not None and record.row.fixes_power


def _rest_of(record: OperationRecord) -> PowerState | None:
    """Give where the VM rests if its operation does not come to its end."""
    if not fixes_power(record):
        return record.vm.power
    if record.before.power in table.SETTLED:
        return record.before.power
    return record.reached if record.reached in table.SETTLED else None


def _row_of_what_preempts(
    vm: VirtualMachine, operation: Operation, kinds: frozenset[str], row: Row | None
) -> Row | None:
    """Give the row of an operation that pushes aside one in flight; *row* is that of the present.

    What changes no power state finds the VM where that one's end leaves it. What does, and has no
    row for a VM on its way, takes it from where it set out, or else from where it was going.
    """
    older = vm.operation
    assert older is not None  # else nothing is preempted
    assert older.row is not None  # it is in view
    if not fixes_power(older):
        return row
    if operation == "update":
        return table.find_row(operation, _rest_of(older), kinds)
    if row is not None or _refusal(vm, operation) is not table.BUSY:
        return row
    for power in (older.before.power, older.row.ends_in):
        row = None if power == table.SAME else table.find_row(operation, power, kinds)
        if row is not None and row.shows:
            return row
    return None


def _refusal(vm: VirtualMachine, operation: Operation) -> table.Refusal:
    older = vm.in_flight
    changing = older is not None and fixes_power(older)
    found = table.find_refusal(operation, vm.power, in_flight=changing)
    in_the_way = older is not None and not changing
    return table.CONFLICT if in_the_way and found is table.BUSY else found


def refused(refusal: table.Refusal, vm: VirtualMachine, operation: Operation) -> ArmError:
    target = table.TARGETS.get(vm.power, vm.power)
    if vm.operation is not None and vm.operation.row is not None:
        ends_in = vm.operation.row.ends_in  # a redeploy passes through more than it is set to
        target = ends_in if ends_in in table.SETTLED else target
    message = refusal.message.format(
        action=ACTIONS.get(operation) or _SIMULATED[operation],
        vm=vm.name,
        target=target,
    )
    return ArmError(409, refusal.code, message)
