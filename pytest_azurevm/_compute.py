"""Microsoft.Compute: the virtual machines of all subscriptions, and what may be asked of them.

Nothing here, or below, knows HTTP. Every method is called with ``lock`` held.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import partial

from pytest_azurevm import _lifecycle as table
from pytest_azurevm import _vm_model as models
from pytest_azurevm._errors import arm_error
from pytest_azurevm._incidents import Incidents
from pytest_azurevm._lifecycle import Operation, SettledState
from pytest_azurevm._records import OperationRecord, VirtualMachine, key_of
from pytest_azurevm._register import Register
from pytest_azurevm._vm_form import Json, checked_location


class Compute(Incidents):
    """All virtual machines and operations of all subscriptions."""

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

    def create(self, subscription_id: str, group: str, name: str, body: Json) -> OperationRecord:
        """Create a VM that does not exist yet.

        Raises:
            ArmError: the body cannot be; nothing was created.
        """
        vm = self._new(subscription_id, group, name, self.beside.completed(body))
        self._judge_leftovers(vm)
        self.beside.judge(vm, vm.model)
        plan = self._plan(vm, self._judge(vm, "create", frozenset({self._image_kind(vm)})))
        self._register.add(vm)
        self._evicted_names.discard(key_of(subscription_id, group, name))
        self.beside.attend(vm)
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
                "no-such-vm",
                type="Microsoft.Compute/virtualMachines",
                name=vm.name,
                group=vm.resource_group,
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
        new_model = partial(models.put, vm.model, self.beside.completed(body))
        return self._update(vm, new_model, models.os_type(vm.model))

    def patch(self, vm: VirtualMachine, body: Json) -> OperationRecord:
        """Change some of an existing VM's model.

        Raises:
            ArmError: the body cannot be, or the VM cannot be written now; nothing changed.
        """
        new_model = partial(models.patched, vm.model, self.beside.completed(body))
        return self._update(vm, new_model, "PATCH")

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
        self.beside.judge(vm, model)
        operation = self._accept(vm, self._plan(vm, judged))
        operation.model_before = vm.model
        # What GET returns from now on; what runs stays the effective model until the work is done.
        vm.model = model
        vm.version += 1
        self.beside.attend(vm)
        return operation

    def act(self, vm: VirtualMachine, operation: Operation) -> OperationRecord:
        """Accept a power operation, a repair, or a delete.

        Raises:
            ArmError: it is not allowed now; nothing changed.
        """
        judged = self._judge(vm, operation, table.KINDS_BY_GOAL.get(vm.goal, frozenset()))
        return self._accept(vm, self._plan(vm, judged))

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
