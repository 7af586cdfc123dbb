"""What the engine remembers: a virtual machine in its three layers, and its operations.

Plain records without behaviour; ``_machines`` and ``_operations`` alone write them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

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


# Of a row's views, the one that lasts until the operation ends: the first, the last, or the one in
# which the machine shows this provisioning state.
Held: TypeAlias = Literal["first", "last"] | Provisioning


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How an accepted operation goes, where that is not as the table says.

    It passes through the views of its row as far as *held_in*, and there it stays until it ends.
    """

    ends: OperationStatus = "Succeeded"  # "InProgress": it never ends
    error: tuple[str, str] = ("", "")  # code and message
    ends_after_s: float | None = None  # so long after it was accepted, whatever the profile
    usually_s: float | None = None  # the same, but of no length where nothing has any
    factor: float = 1.0  # on its seconds
    longer_s: float = 0.0
    held_in: Held = "last"
    # In which it leaves the machine. ``SAME`` is where that rests when an operation is cut short.
    power: PowerState | table.Same | None = table.SAME
    keeps_change: bool = True  # what an update wrote stays written
    terminal: bool = False  # nothing but a delete helps
    extension: str | None = None  # the one that failed; the machine's own system is up
    recovers_after_s: float | None = None  # so long after it failed
    comes_up_after_s: float | None = None  # the system; the operation stays failed
    evicted: Literal["during", "afterwards"] | None = None  # from its host
    evicted_after_s: float | None = None  # it was accepted, or ended
    eviction_policy: str | None = None  # if not the machine's own
    lists_lag_s: float = 0.0  # lists learn of it so much later
    guest_ready_after_s: float | None = None  # the create succeeded; its system is not set up yet


@dataclass(slots=True, eq=False)
class OperationRecord:
    """A long-running operation, in flight or over."""

    operation_id: str
    operation: Operation
    vm: VirtualMachine
    started_us: int
    row: Row | None  # of the table; none for what only follows another, or goes on beside it
    before: Standing  # what a cancel goes back to
    caller: object  # who asked for it
    reached: PowerState | None = None  # the power state that it showed last
    ended_us: int | None = None
    status: OperationStatus = "InProgress"
    error: tuple[str, str] | None = None
    polled: bool = False  # a client has looked at it once
    due: tuple[Entry, ...] = ()
    model_before: Json | None = None  # what an update wrote over
    ghost_us: int = 0  # for how long lists go on showing a machine that it deleted
    followers: tuple[OperationRecord, ...] = ()
    extension: str = ""  # which one it is about, if any
    when_agent_reports: Callable[[], None] | None = None  # of one that waits for it


_NO_ERRORS: Final[Mapping[str, tuple[str, str]]] = {}


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
    disks_gone_us: int | None = None  # the last of those that it left behind
    agent: AgentReport = "absent"
    agent_us: int = 0
    guest_known: bool = False  # the guest has told its name and system
    operation: OperationRecord | None = None
    extension_operations: tuple[OperationRecord, ...] = ()  # beside each other
    # By folded name.
    extension_errors: Mapping[str, tuple[str, str]] = field(default_factory=lambda: _NO_ERRORS)
    guest_due: tuple[Entry, ...] = ()
    agent_lost: bool = False  # not by a crash, nor with its host
    host_failed: bool = False
    healing_due: tuple[Entry, ...] = ()
    history: list[Change] = field(default_factory=list)
    version: int = 1
    generalized: bool = False
    evicted: bool = False  # the platform took it away, its disks included
    deleted_us: int | None = None
    listed_from_us: int = 0
    listed_until_us: int | None = None  # of one that was deleted
    beyond_repair: tuple[str, str] | None = None  # Azure has given it up: the error
    create_failed: bool = False
    key: str = field(init=False)  # what it goes by where it is looked for

    def __post_init__(self) -> None:
        self.key = key_of(self.subscription_id, self.resource_group, self.name)

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


def key_of(*names: str) -> str:
    """Give what a subscription, a group in it, or a machine in that, goes by in any spelling.

    No subscription and no group has a slash in its name, so that no two keys are alike.
    """
    return "/".join(names).rstrip("/").lower()
