"""Microsoft.Compute: the virtual machines, and the operations that change them.

This is the one place where a virtual machine changes. A request is decided first, against the
lifecycle table, and changes something only once nothing can refuse it any more; from then on only
the clock changes anything. Nothing here knows HTTP. Every method is called with ``lock`` held.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Final, NamedTuple, TypeAlias

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_extensions as extensions
from pytest_azurevm import _vm_model as models
from pytest_azurevm._agenda import microseconds
from pytest_azurevm._errors import AGENT_SILENT, CANCELED, PREEMPTED, ArmError, arm_error
from pytest_azurevm._lifecycle import (
    AgentReport,
    Concurrency,
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
    Fate,
    OperationRecord,
    OperationStatus,
    Standing,
    VirtualMachine,
    key_of,
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


FateOf: TypeAlias = Callable[[VirtualMachine, Operation], Fate | None]


def _as_in_the_table(_vm: VirtualMachine, _operation: Operation) -> Fate | None:
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
    fate: Fate | None


class Compute:
    """All virtual machines and operations of all subscriptions."""

    def __init__(
        self,
        clock: Timekeeper,
        timing: Timing,
        edition: Edition,
        *,
        tenant_id: str,
        seed: int = 0,
        concurrency: Concurrency = "assumed",
    ) -> None:
        self.clock = clock
        self.timing = timing
        self.edition = edition
        self.tenant_id = tenant_id
        self.concurrency: Concurrency = concurrency
        self.caller: object = None  # who asks: a thread, or a task
        self.fate: FateOf = _as_in_the_table  # asked once for each operation that is accepted
        self._ids = random.Random(f"ids {seed}")  # noqa: S311  reproducible, not secret
        self._register = Register()
        self._operations: dict[str, OperationRecord] = {}
        self._deleted: list[VirtualMachine] = []
        self._ghosts: list[VirtualMachine] = []  # deleted, and still in lists
        self._reserved_nics: dict[str, tuple[str, int]] = {}  # for whom, and until when
        self._evicted_names: set[str] = set()
        self._sequence = 0

    # --- looking -------------------------------------------------------------------------------

    @property
    def vms(self) -> Register:
        """Every VM that exists, of all subscriptions."""
        return self._register

    def deleted(self) -> Iterator[VirtualMachine]:
        """Give every VM that is no more."""
        return iter(self._deleted)

    def ghosts(self) -> list[VirtualMachine]:
        """Give every VM that is no more, and that lists still show."""
        now_us = self.clock.now_us
        self._ghosts = [vm for vm in self._ghosts if now_us < (vm.listed_until_us or 0)]
        return self._ghosts

    def listed(
        self, subscription_id: str, group: str, *, after: int = 0
    ) -> Iterator[VirtualMachine]:
        """Give what lists show: the VMs that exist, but for the lag of a cache that was injected.

        In the order of creation, after the sequence *after*.
        """
        now_us = self.clock.now_us
        there = (
            vm
            for vm in self._register.listed(subscription_id, group, after=after)
            if vm.listed_from_us <= now_us
        )
        ghosts = [
            vm
            for vm in self.ghosts()
            if vm.sequence > after
            and (not subscription_id or vm.subscription_id == subscription_id)
            and (not group or vm.resource_group.lower() == group.lower())
        ]
        return heapq.merge(there, ghosts, key=lambda vm: vm.sequence) if ghosts else there

    def was_evicted(self, subscription_id: str, group: str, name: str) -> bool:
        """Whether an eviction deleted the VM of that name, and no other took it since."""
        return key_of(subscription_id, group, name) in self._evicted_names

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
        self._judge_leftovers(vm)
        plan = self._plan(vm, self._judge(vm, "create", frozenset({self._image_kind(vm)})))
        self._register.add(vm)
        self._evicted_names.discard(key_of(subscription_id, group, name))
        return self._accept(vm, plan)

    def _judge_leftovers(self, vm: VirtualMachine) -> None:
        """Refuse what a machine that is gone still stands in the way of."""
        now_us = self.clock.now_us
        for nic in models.nics(vm.model):
            owner, until_us = self._reserved_nics.get(nic.lower(), ("", 0))
            if now_us < until_us and owner.lower() != vm.resource_id.lower():
                raise arm_error("nic-reserved", vm=owner)
        if any(ghost.resource_id.lower() == vm.resource_id.lower() for ghost in self.ghosts()):
            # The PUT, or the GET after it, is answered 404 [seen Azure/azure-sdk-for-go#1828].
            raise arm_error(
                "no-such-vm", type="virtualMachines", name=vm.name, group=vm.resource_group
            )

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
        self._evicted_names.discard(key_of(subscription_id, group, name))
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
        operation.model_before = vm.model
        # What GET returns from now on; what runs stays the effective model until the work is done.
        vm.model = model
        vm.version += 1
        return operation

    def act(self, vm: VirtualMachine, operation: Operation) -> OperationRecord:
        """Accept a power operation, a repair, or a delete.

        Raises:
            ArmError: it is not allowed now; nothing changed.
        """
        judged = self._judge(vm, operation, table.KINDS_BY_GOAL.get(vm.goal, frozenset()))
        return self._accept(vm, self._plan(vm, judged))

    def put_extension(self, vm: VirtualMachine, name: str, body: Json) -> OperationRecord:
        """Write an extension of the VM, a new one or one that is there.

        Raises:
            ArmError: the body cannot be, or extensions cannot be written now; nothing changed.
        """
        checked_name(name)
        old = extensions.find(vm.model, name)
        made = extensions.created(body, name=name if old is None else old["name"])
        operation: Operation = "extension_create" if old is None else "extension_update"
        return self._on_extension(vm, operation, made, "Creating" if old is None else "Updating")

    def patch_extension(self, vm: VirtualMachine, old: Json, body: Json) -> OperationRecord:
        """Change some of an extension.

        Raises:
            ArmError: extensions cannot be written now; nothing changed.
        """
        made = extensions.patched(old, body)
        return self._on_extension(vm, "extension_update", made, "Updating")

    def delete_extension(self, vm: VirtualMachine, extension: Json) -> OperationRecord:
        """Take an extension off the VM.

        Raises:
            ArmError: extensions cannot be written now; nothing changed.
        """
        return self._on_extension(vm, "extension_delete", extension, "Deleting")

    def _on_extension(
        self, vm: VirtualMachine, operation: Operation, extension: Json, state: str
    ) -> OperationRecord:
        """Begin an operation on one extension, beside those on others."""
        judged = self._judge(vm, operation, frozenset())
        if not models.takes_extensions(vm.model):
            raise arm_error("no-extensions")
        plan = self._plan(vm, judged)
        row = judged.row
        assert row is not None  # none of their meetings goes without one
        self.clock.changed()
        record = OperationRecord(
            self.new_id(),
            operation,
            vm,
            self.clock.now_us,
            row,
            _standing(vm.power, vm.goal),
            self.caller,
            extension=extension["name"],
        )
        self._operations[record.operation_id] = record
        for older in vm.extension_operations:
            if older.extension == record.extension and table.SAME_EXTENSION == "preempt":
                self._close(older, "Canceled", PREEMPTED)
        vm.extension_operations += (record,)
        vm.model = extensions.placed(vm.model, extension, state)
        vm.version += 1
        self._show_in_turn(record, row, plan.views_us, plan.fate)
        self._let_agent_work(record, plan.ends_us, plan.fate)
        return record

    def _let_agent_work(self, record: OperationRecord, span_us: int, fate: Fate | None) -> None:
        """Let the agent do an extension's work, as soon as it reports."""
        record.when_agent_reports = None
        for entry in record.due:
            self.clock.cancel(entry)
        record.due = ()
        if fate is not None and fate.ends == "InProgress":
            return
        if self._agent_works(record.vm) or not _needs_agent(fate):
            due_us = self.clock.now_us + span_us
            action = partial(self._agent_has_worked, record, span_us, fate)
        else:
            record.when_agent_reports = partial(self._let_agent_work, record, span_us, fate)
            patience_us = self.timing.recorded_us(table.AGENT_GIVEN_UP_AFTER_S)
            due_us = max(self.clock.now_us, record.started_us + patience_us)
            code, message = AGENT_SILENT
            silent = Fate(ends="Failed", error=(code, message.format(vm=record.vm.name)))
            action = partial(self._end_extension, record, silent)
        record.due = (self.clock.at(due_us, action),)

    def _agent_works(self, vm: VirtualMachine) -> bool:
        return vm.power == table.GUEST_RUNS_IN and vm.agent not in table.DEAF

    def _agent_has_worked(self, record: OperationRecord, span_us: int, fate: Fate | None) -> None:
        if self._agent_works(record.vm) or not _needs_agent(fate):
            self._end_extension(record, fate)
        else:  # it fell silent over its work
            self._let_agent_work(record, span_us, fate)

    def _end_extension(self, record: OperationRecord, fate: Fate | None) -> None:
        """End an operation on an extension; however it ends, the VM has succeeded [rec, n=2]."""
        vm, name = record.vm, record.extension
        ended_well = fate is None or fate.ends == "Succeeded"
        error = None if ended_well or fate is None else fate.error
        extension = extensions.find(vm.model, name)
        assert extension is not None  # whoever takes it away ends its operations
        self._close(record, "Succeeded" if fate is None else fate.ends, error)
        if error is not None and record.status == "Failed":
            self._fail_extension(vm, name, error)
        elif record.operation == "extension_delete":
            self._forget_extension(vm, name)
        else:  # also of one whose operation was pushed aside [seen azurerm#6025]
            self._forget_error(vm, name)
            self._set_extensions(vm, extensions.placed(vm.model, extension, "Succeeded"))
        cause = record.operation if error is None else f"{record.operation}: {error[0]}"
        self._extensions_done(vm, cause, keeps_failure=error is not None)

    def _fail_extension(self, vm: VirtualMachine, name: str, error: tuple[str, str]) -> None:
        extension = extensions.find(vm.model, name)
        if extension is not None:
            vm.extension_errors = {**vm.extension_errors, name.lower(): error}
            self._set_extensions(vm, extensions.placed(vm.model, extension, "Failed"))

    def _forget_error(self, vm: VirtualMachine, name: str) -> None:
        vm.extension_errors = {
            known: error for known, error in vm.extension_errors.items() if known != name.lower()
        }

    def _extensions_done(self, vm: VirtualMachine, cause: str, *, keeps_failure: bool) -> None:
        """Show the VM as it is once the last of its extensions' operations is over."""
        if vm.extension_operations:
            return
        if keeps_failure and vm.failure is not None:  # of an operation on the VM itself, before
            self._provisioned(vm, "failed", vm.failure, vm.power, cause)
        else:
            self._provisioned(vm, "succeeded", None, vm.power, cause)

    def _set_extensions(self, vm: VirtualMachine, model: Json) -> None:
        """Make extensions effective, and nothing else that a failed update may have left."""
        vm.model = model
        if vm.effective_model is None:
            return  # its create failed: nothing was ever effective
        runs = {key: value for key, value in vm.effective_model.items() if key != "resources"}
        if models.extensions(model):
            runs["resources"] = model["resources"]
        vm.effective_model = model if runs == model else runs

    def _forget_extension(self, vm: VirtualMachine, name: str) -> None:
        self._forget_error(vm, name)
        self._set_extensions(vm, extensions.without(vm.model, name))

    def generalize(self, vm: VirtualMachine) -> None:
        """Mark the VM as generalized: the source of images, and no VM to run any more.

        Raises:
            ArmError: it is not allowed now; nothing changed.
        """
        self._judge(vm, "generalize", table.KINDS_BY_GOAL.get(vm.goal, frozenset()))
        self.clock.changed()
        vm.generalized = True

    def simulate_eviction(self, vm: VirtualMachine) -> None:
        """Evict a spot VM because its owner asks for it.

        Raises:
            ArmError: it is none, or it cannot be evicted now; nothing changed.
        """
        if not models.is_spot(vm.model):
            raise arm_error("not-spot")
        self._evict(vm)

    # --- what happens without a request --------------------------------------------------------

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

    def _evict(self, vm: VirtualMachine, policy: str | None = None) -> None:
        """Take the VM's host away, as its policy says; what is in flight is preempted."""
        busy = ", busy" if vm.in_flight is not None else ""
        kind = f"{policy or models.eviction_policy(vm.model)}{busy}"
        judged = self._judge(vm, "eviction", frozenset({kind}))
        span_us = 0 if judged.row is None else self.timing.duration_us(judged.row, vm.name)
        # The platform's own doing does not fail: no fate is asked.
        self._accept(vm, _Plan(judged, span_us, span_us, None))

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
            if self._at_the_same_instant(vm.operation, operation):
                raise arm_error("concurrent-write")
            meeting = table.meet(vm.operation.operation, operation, self.concurrency)
            if meeting == "deleting":
                raise _refused(table.MARKED_FOR_DELETION, vm, operation)
            if meeting == "conflict":
                raise _refused(table.CONFLICT, vm, operation)
            if meeting == "refuse":
                raise _refused(_refusal(vm, operation), vm, operation)
            if meeting == "busy":
                raise _refused(table.BUSY, vm, operation)
            if meeting in ("follow", "beside"):
                return _Judged(operation, kinds, None, meeting)
        for older in vm.extension_operations:
            if table.meet(older.operation, operation) == "refuse":
                raise _refused(_refusal(vm, operation), vm, operation)
        if vm.generalized and operation in table.GENERALIZED.operations:
            raise _refused(table.GENERALIZED, vm, operation)
        row = table.find_row(operation, vm.power, kinds)
        if meeting == "preempt":
            row = _row_of_what_preempts(vm, operation, kinds, row)
        if row is None:
            raise _refused(_refusal(vm, operation), vm, operation)
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
        fate = self.fate(vm, judged.operation) or _beyond_repair(vm, row)
        if fate is not None:
            views_us, ends_us = self._fated(fate, row, views_us, ends_us)
        return _Plan(judged, min(views_us, LONGEST_US), min(ends_us, LONGEST_US), fate)

    def _fated(self, fate: Fate, row: Row, views_us: int, ends_us: int) -> tuple[int, int]:
        """Say how long an operation of that fate takes, its views and altogether."""
        longer_us = microseconds(fate.longer_s)
        views_us = round(views_us * fate.factor) + longer_us
        ends_us = round(ends_us * fate.factor) + longer_us
        if fate.ends_after_s is not None:
            ends_us = microseconds(fate.ends_after_s)
        elif fate.usually_s is not None:
            ends_us = self.timing.recorded_us(fate.usually_s)
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
            before = _standing(table.resting(vm.power), vm.goal)
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
            if not row.fixes_power and _fixes_power(older) and row.shows:
                self._go_back(vm, older)
        vm.operation = record
        if row.fixes_power:
            self._forget_guest(vm)  # a power operation or a delete takes over
        if row.goal != table.SAME:
            vm.goal = row.goal
        fate = plan.fate
        self._show_in_turn(record, row, plan.views_us, fate)
        if fate is None or fate.ends != "InProgress":
            record.due += (self.clock.at(end_us, partial(self._end, record, row, fate)),)
        if fate is not None:
            self._foresee(record, fate, plan.ends_us)
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

    # --- what falls due ------------------------------------------------------------------------

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

    def _evict_later(self, vm: VirtualMachine, after_us: int, policy: str | None) -> None:
        def evict() -> None:
            with suppress(ArmError):  # it holds no host any more, or is gone
                if vm.deleted_us is None:
                    self._evict(vm, policy)

        self.clock.at(self.clock.now_us + after_us, evict)

    def _end_badly(self, record: OperationRecord, fate: Fate) -> None:
        vm, error = record.vm, fate.error
        short_of = self._cut_short(record)
        power = short_of if fate.power == table.SAME else fate.power
        if record.operation == "create":
            vm.create_failed = True
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
        self._afterwards(vm, fate, error)

    def _afterwards(self, vm: VirtualMachine, fate: Fate, error: tuple[str, str]) -> None:
        """Put on the agenda what becomes of a machine whose operation failed."""
        now_us = self.clock.now_us
        if fate.comes_up_after_s is not None:
            due_us = now_us + microseconds(fate.comes_up_after_s)
            self._guest_later(vm, due_us, partial(self._come_up, vm))
        if fate.recovers_after_s is not None:
            due_us = now_us + microseconds(fate.recovers_after_s)
            self._guest_later(vm, due_us, partial(self._recover, vm, error))

    def _pushed_aside(self, record: OperationRecord, fate: Fate) -> None:
        """Somebody's newer operation is over at once: it leaves the machine Succeeded."""
        vm = record.vm
        if record.model_before is not None and not fate.keeps_change:
            vm.model = record.model_before
            vm.version += 1
        power = vm.power if not _fixes_power(record) else record.before.power
        if record.operation == "create":
            power = vm.goal = table.AFTER_A_PREEMPTED_CREATE
        vm.effective_model = vm.model
        self._provisioned(vm, "succeeded", None, power, f"{record.operation}: {fate.error[0]}")

    def _come_up(self, vm: VirtualMachine) -> None:
        """The system is up at last; what failed stays failed [seen scylla-cluster-tests#15004]."""
        self._show(vm, vm.provisioning, table.GUEST_RUNS_IN, "came up late")
        self._boot(vm)

    def _recover(self, vm: VirtualMachine, error: tuple[str, str]) -> None:
        """The machine is well after all [doc "automatically transition to success"]."""
        if vm.provisioning != "failed" or vm.failure != error:
            return  # something else has happened to it since
        vm.effective_model = vm.model
        self._provisioned(vm, "succeeded", None, vm.power, f"recovered from {error[0]}")
        if vm.power == table.GUEST_RUNS_IN:
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

    def _go_back(self, vm: VirtualMachine, older: OperationRecord) -> None:
        """What changed the power state is pushed aside by what does not."""
        vm.goal = older.before.goal
        self._show(vm, vm.provisioning, self._cut_short(older), f"{older.operation}: preempted")
        if vm.power == table.GUEST_RUNS_IN:
            self._boot(vm)

    def _cut_short(self, record: OperationRecord) -> PowerState | None:
        """Give where the VM rests whose operation does not come to its end.

        Where it was when that was accepted, if it was at rest; else as far as it has come. What its
        guest is about to do goes on only if the operation never touched the power state.
        """
        if _fixes_power(record):
            self._forget_guest(record.vm)
        return _rest_of(record)

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
        if record in record.vm.extension_operations:
            others = (one for one in record.vm.extension_operations if one is not record)
            record.vm.extension_operations = tuple(others)
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
        """Bring every extension to where its owner wants it, also by an operation preempted.

        One that failed stays so: its script is not run again by itself [assumed].
        """
        for extension in models.extensions(vm.model):
            state = extension["properties"]["provisioningState"]
            if state == "Deleting":
                self._forget_extension(vm, extension["name"])
            elif state != "Failed":
                vm.model = extensions.placed(vm.model, extension, "Succeeded")

    def _remove(self, vm: VirtualMachine, cause: str, *, ghost_us: int = 0) -> None:
        self._forget_guest(vm)
        self._forget_host(vm)
        self._show(vm, "deleting", None, cause)
        vm.deleted_us = self.clock.now_us
        self._register.remove(vm)
        self._deleted.append(vm)
        if ghost_us:
            vm.listed_until_us = self.clock.now_us + ghost_us
            self._ghosts.append(vm)
        if vm.create_failed:
            for nic in models.nics(vm.model):
                until_us = self.clock.now_us + table.NIC_RESERVED_US
                self._reserved_nics[nic.lower()] = (vm.resource_id, until_us)

    # --- the guest -----------------------------------------------------------------------------

    def _boot(self, vm: VirtualMachine, ready_after_s: float | None = None) -> None:
        """The system is up, on a host that is well; its agent reports a little later."""
        self._forget_host(vm)
        if vm.agent == "absent":
            self._report(vm, table.AGENT_COMING_UP)
        if ready_after_s is None:
            after_us = self.timing.recorded_us(table.AGENT_READY_AFTER_S)
        else:
            after_us = microseconds(ready_after_s)
        due_us = self.clock.now_us + after_us
        self._guest_later(vm, due_us, partial(self._report, vm, "ready"))

    def _report(self, vm: VirtualMachine, agent: AgentReport) -> None:
        vm.agent = agent
        vm.agent_us = self.clock.now_us
        if agent == "ready":
            vm.guest_known = True
            vm.agent_lost = False
            if vm.provisioning == table.SETTING_UP:
                self._show(vm, "succeeded", vm.power, "OS provisioning complete")
            for record in vm.extension_operations:
                if record.when_agent_reports is not None:
                    record.when_agent_reports()
        elif agent == "absent":  # and so is its host
            vm.guest_known = False
            vm.agent_lost = False
            self._forget_host(vm)

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

    def _forget_host(self, vm: VirtualMachine) -> None:
        """The VM leaves a host that failed, or that host is well again."""
        for entry in vm.healing_due:
            self.clock.cancel(entry)
        vm.healing_due = ()
        vm.host_failed = False

    def _image_kind(self, vm: VirtualMachine) -> str:
        return "specialized" if models.is_specialized(vm.model) else models.os_type(vm.model)


def _beyond_repair(vm: VirtualMachine, row: Row) -> Fate | None:
    """Say what becomes of an operation that would set up a system which Azure has given up."""
    if vm.beyond_repair is None or row.agent == table.SAME:
        return None
    return Fate(ends="Failed", error=vm.beyond_repair)


_standing: Final = cache(Standing)  # there are but a few, and a great many operations


def _fixes_power(record: OperationRecord) -> bool:
    return record.row is not None and record.row.fixes_power


def _rest_of(record: OperationRecord) -> PowerState | None:
    """Give where the VM rests if its operation does not come to its end."""
    if not _fixes_power(record):
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
    if not _fixes_power(older):
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
    changing = older is not None and _fixes_power(older)
    found = table.find_refusal(operation, vm.power, in_flight=changing)
    in_the_way = older is not None and not changing
    return table.CONFLICT if in_the_way and found is table.BUSY else found


def _needs_agent(fate: Fate | None) -> bool:
    """Whether an extension's operation waits for the agent: not if it fails whatever that does."""
    return fate is None or fate.ends == "Succeeded"


def _refused(refusal: table.Refusal, vm: VirtualMachine, operation: Operation) -> ArmError:
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
