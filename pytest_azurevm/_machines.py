"""The machines themselves: what each shows, what runs on it, and what its guest reports.

This is the one place where a virtual machine changes; ``_operations`` and what stands above it
decide what changes, and when. Every method is called with ``lock`` held.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_extensions as extensions
from pytest_azurevm import _vm_model as models
from pytest_azurevm._agenda import microseconds
from pytest_azurevm._lifecycle import (
    AgentReport,
    Concurrency,
    Edition,
    Operation,
    PowerState,
    Provisioning,
    Row,
)
from pytest_azurevm._records import Change, Fate, OperationRecord, VirtualMachine
from pytest_azurevm._register import Register
from pytest_azurevm._timekeeper import Timekeeper
from pytest_azurevm._timing import Timing
from pytest_azurevm._vm_form import Json, checked_location, checked_name

FateOf: TypeAlias = Callable[[VirtualMachine, Operation], Fate | None]


def _as_in_the_table(_vm: VirtualMachine, _operation: Operation) -> Fate | None:
    return None


class Beside:
    """What stands beside virtual machines and is told of them: by itself, nothing does."""

    def completed(self, body: Json) -> Json:
        """Give a machine's body with what is known of what it refers to."""
        return body

    def judge(self, vm: VirtualMachine, model: Json) -> None:
        """See that a machine may have what its model names."""

    def attend(self, vm: VirtualMachine) -> None:
        """Hear that a machine's model names what it names now."""

    def gone(self, vm: VirtualMachine) -> None:
        """Hear that a machine is no more."""

    def delete_ended(self, record: OperationRecord) -> None:
        """Hear that a delete of a machine has ended, whichever way."""


class Machines:
    """Every virtual machine, and what changes one."""

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
        self._seed = seed
        self.beside = Beside()
        self._ids = random.Random(f"ids {seed}")  # noqa: S311  reproducible, not secret
        self._register = Register()
        self._operations: dict[str, OperationRecord] = {}
        self._deleted: list[VirtualMachine] = []
        self._ghosts: list[VirtualMachine] = []  # deleted, and still in lists
        self._reserved_nics: dict[str, tuple[str, int]] = {}  # for whom, and until when
        self._evicted_names: set[str] = set()
        self._sequence = 0

    def chance_of(self, what: str) -> random.Random:
        """Give a source of chance for *what*: the same draws on every run with one seed."""
        return random.Random(f"{what} {self._seed}")  # noqa: S311  reproducible, not secret

    def new_id(self) -> str:
        """Give the next id of this run: a UUID, the same on every run with one seed."""
        bits = f"{self._ids.getrandbits(128):032x}"
        variant = "89ab"[int(bits[16], 16) % 4]
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{variant}{bits[17:20]}-{bits[20:]}"

    def next_sequence(self) -> int:
        """Give the next number in the order in which things are made, machines and others."""
        self._sequence += 1
        return self._sequence

    def _new(self, subscription_id: str, group: str, name: str, body: Json) -> VirtualMachine:
        """Make a VM that is in no register yet."""
        checked_name(name)
        model = models.created(
            body, name=name, vm_id=self.new_id(), new_id=self.new_id, tenant_id=self.tenant_id
        )
        return VirtualMachine(
            subscription_id=subscription_id,
            resource_group=group,
            name=name,
            location=checked_location(body),
            sequence=self.next_sequence(),
            created_us=self.clock.now_us,
            model=model,
            goal=table.GUEST_RUNS_IN,
        )

    def _image_kind(self, vm: VirtualMachine) -> str:
        return "specialized" if models.is_specialized(vm.model) else models.os_type(vm.model)

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
        self.beside.attend(vm)

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

    def _fail_extension(self, vm: VirtualMachine, name: str, error: tuple[str, str]) -> None:
        extension = extensions.find(vm.model, name)
        if extension is not None:
            vm.extension_errors = {**vm.extension_errors, name.lower(): error}
            self._set_extensions(vm, extensions.placed(vm.model, extension, "Failed"))

    def _set_extensions(self, vm: VirtualMachine, model: Json) -> None:
        """Make extensions effective, and nothing else that a failed update may have left."""
        vm.model = model
        if vm.effective_model is None:
            return  # its create failed: nothing was ever effective
        runs = {key: value for key, value in vm.effective_model.items() if key != "resources"}
        if models.extensions(model):
            runs["resources"] = model["resources"]
        vm.effective_model = model if runs == model else runs

    def _forget_error(self, vm: VirtualMachine, name: str) -> None:
        vm.extension_errors = {
            known: error for known, error in vm.extension_errors.items() if known != name.lower()
        }

    def _forget_extension(self, vm: VirtualMachine, name: str) -> None:
        self._forget_error(vm, name)
        self._set_extensions(vm, extensions.without(vm.model, name))

    def _remove(self, vm: VirtualMachine, cause: str, *, ghost_us: int = 0) -> None:
        self._forget_guest(vm)
        self._forget_host(vm)
        self._show(vm, vm.provisioning, None, cause)
        vm.deleted_us = self.clock.now_us
        self._register.remove(vm)
        self._deleted.append(vm)
        self.beside.gone(vm)
        if ghost_us:
            vm.listed_until_us = self.clock.now_us + ghost_us
            self._ghosts.append(vm)
        if vm.create_failed:
            for nic in models.nics(vm.model):
                until_us = self.clock.now_us + table.NIC_RESERVED_US
                self._reserved_nics[nic.lower()] = (vm.resource_id, until_us)

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
