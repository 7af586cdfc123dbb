"""What the engine remembers: a virtual machine in its three layers, and its operations.

Plain records without behaviour; ``_compute`` alone writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from pytest_azurevm import _lifecycle as table
from pytest_azurevm._agenda import Entry
from pytest_azurevm._lifecycle import AgentReport, Operation, PowerState, Provisioning, Row
from pytest_azurevm._vm_form import Json

OperationStatus: TypeAlias = Literal["InProgress", "Succeeded", "Failed", "Canceled"]


class Change(NamedTuple):
    """One line of a VM's history: from this instant on, this is what is shown, and why."""

    at_us: int
    power: PowerState | None
    provisioning: Provisioning
    cause: str


class Standing(NamedTuple):
    """Where a VM is, or comes to rest if nobody does anything; and what it is set to."""

    power: PowerState | None
    goal: PowerState


@dataclass(frozen=True, slots=True)
class Failure:
    """How an accepted operation ends, other than well. It leaves the VM in *power*.

    ``SAME`` is where the VM rests when an operation is cut short: see ``_compute``.
    """

    code: str
    message: str
    power: PowerState | table.Same | None = table.SAME


@dataclass(slots=True, eq=False)
class OperationRecord:
    """A long-running operation, in flight or over."""

    operation_id: str
    operation: Operation
    vm: VirtualMachine
    started_us: int
    row: Row | None  # of the table; none for what only follows another, or goes on beside it
    before: Standing  # what a cancel goes back to
    reached: PowerState | None = None  # the power state that it showed last
    ended_us: int | None = None
    status: OperationStatus = "InProgress"
    error: tuple[str, str] | None = None
    polled: bool = False  # a client has looked at it once
    due: tuple[Entry, ...] = ()
    followers: tuple[OperationRecord, ...] = ()
    extension: str = ""  # which one it is about, if any
    when_agent_reports: Callable[[], None] | None = None  # of one that waits for it


@dataclass(slots=True, eq=False)
class VirtualMachine:
    """A virtual machine: its persisted model, what really runs, what the guest reports."""

    subscription_id: str  # as str(UUID()) spells it, so that spellings can be compared
    resource_group: str
    name: str
    location: str
    sequence: int
    created_us: int
    model: Json
    goal: PowerState
    effective_model: Json | None = None
    power: PowerState | None = None
    provisioning: Provisioning = "creating"
    provisioned_us: int = 0
    failure: tuple[str, str] | None = None
    disks_made_us: int | None = None
    agent: AgentReport = "absent"
    agent_us: int = 0
    guest_known: bool = False  # the guest has told its name and system
    operation: OperationRecord | None = None
    extension_operations: list[OperationRecord] = field(default_factory=list)  # beside each other
    extension_errors: dict[str, tuple[str, str]] = field(default_factory=dict)  # by folded name
    guest_due: tuple[Entry, ...] = ()
    agent_lost: bool = False  # not by a crash, nor with its host
    host_failed: bool = False
    healing_due: tuple[Entry, ...] = ()
    history: list[Change] = field(default_factory=list)
    version: int = 1
    generalized: bool = False
    evicted: bool = False  # the platform took it away, its disks included
    deleted_us: int | None = None

    @property
    def in_flight(self) -> OperationRecord | None:
        """The operation on the VM that has not ended, else the oldest on one of its extensions."""
        if self.operation is not None or not self.extension_operations:
            return self.operation
        return self.extension_operations[0]

    @property
    def resource_id(self) -> str:
        """The full resource ID, spelled as at creation."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Compute/virtualMachines/{self.name}"
        )

    def disk_id(self, disk_name: str) -> str:
        """Give the resource ID of a managed disk in the VM's group."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Compute/disks/{disk_name}"
        )
