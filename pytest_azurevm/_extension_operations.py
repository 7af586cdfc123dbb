"""Operations on a machine's extensions, which its guest's agent does, beside each other."""

from __future__ import annotations

from functools import partial

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_extensions as extensions
from pytest_azurevm import _vm_model as models
from pytest_azurevm._errors import AGENT_SILENT, PREEMPTED, arm_error
from pytest_azurevm._lifecycle import Operation
from pytest_azurevm._operations import Operations, fixes_power, refused, standing
from pytest_azurevm._records import Fate, OperationRecord, VirtualMachine
from pytest_azurevm._vm_form import Json, checked_name


class ExtensionOperations(Operations):
    """The operations on extensions."""

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
        preempted = vm.operation  # if any, for it was judged so
        if preempted is not None and fixes_power(preempted):  # a create: there is no guest yet
            raise refused(table.CONFLICT, vm, operation)
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
            standing(vm.power, vm.goal),
            self.caller,
            extension=extension["name"],
        )
        self._operations[record.operation_id] = record
        if preempted is not None:
            self._close(preempted, "Canceled", PREEMPTED)
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

    def _extensions_done(self, vm: VirtualMachine, cause: str, *, keeps_failure: bool) -> None:
        """Show the VM as it is once the last of its extensions' operations is over."""
        if vm.extension_operations:
            return
        if keeps_failure and vm.failure is not None:  # of an operation on the VM itself, before
            self._provisioned(vm, "failed", vm.failure, vm.power, cause)
        else:
            self._provisioned(vm, "succeeded", None, vm.power, cause)


def _needs_agent(fate: Fate | None) -> bool:
    """Whether an extension's operation waits for the agent: not if it fails whatever that does."""
    return fate is None or fate.ends == "Succeeded"
