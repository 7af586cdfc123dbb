"""What else may become of operations that Azure accepted: preempted, endless, late, or early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._errors import PREEMPTED
from pytest_azurevm._failure import (
    ALLOCATING,
    CHANGING,
    NOTHING_TO_SET_UP,
    PREEMPTABLE,
    Failure,
    Phase,
    Situation,
)
from pytest_azurevm._records import Fate, Held


@dataclass(frozen=True, kw_only=True, repr=False)
class OperationPreempted(Failure):
    """A newer operation, of somebody else's, pushes this one aside: it ends Canceled.

    That newer one is nobody's here, and leaves nothing in the model. To meet a real one, let a
    second thread or task write the same machine.

    Args:
        preempted_after: virtual seconds until it is pushed aside; by default as long as it takes
            anyway.
        keeps_change: whether what an update wrote stays in the model. Azure may or may not keep it.

    After a create the machine is found deallocated, as after a Spot eviction. Source: seen
    Azure/azure-sdk-for-java#1783 (HTTP 200, Canceled), osbuild/osbuild-composer#1447 (the text).
    """

    phase: ClassVar[Phase] = "preempted"
    operations = PREEMPTABLE
    usually = "update"
    code = PREEMPTED[0]
    source = "seen osbuild/osbuild-composer#1447"

    preempted_after: float | None = None
    keeps_change: bool = False

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let it be pushed aside."""
        return replace(
            fate,
            ends="Canceled",
            error=PREEMPTED,
            ends_after_s=self.preempted_after,
            keeps_change=self.keeps_change,
        )


class Stuck(Failure):
    """The operation never ends: it is InProgress until it is preempted, canceled or deleted.

    Source: seen ansible/ansible#66358 (updating for ever), scylladb/scylla-cluster-tests#15455
    (creating).
    """

    phase = "never ending"
    operations = CHANGING
    usually = "create"
    source = "seen ansible/ansible#66358"

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let it never end."""
        return replace(fate, ends="InProgress")


@dataclass(frozen=True, kw_only=True, repr=False)
class Slow(Failure):
    """The operation succeeds, and takes longer. Other failures may strike the same call.

    Args:
        factor: how many times as long it takes.
        longer: virtual seconds on top of that.

    Source: rec: a deallocate took 1,405 s, 27 times its median.
    """

    phase: ClassVar[Phase] = "slow"
    operations = CHANGING
    usually = "create"
    source = "rec: a deallocate of 1,405 s"

    factor: float = 10.0
    longer: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.factor, bool) or not isinstance(self.factor, int | float):
            raise TypeError(f"Slow(factor=...) must be a number, not {self.factor!r}")
        if not 1 <= self.factor < inf:
            raise ValueError(f"Slow(factor=...) must be 1 or more, and finite, not {self.factor!r}")
        microseconds(self.longer, what="Slow(longer=...)")

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let it take longer."""
        return replace(fate, factor=fate.factor * self.factor, longer_s=fate.longer_s + self.longer)


@dataclass(frozen=True, kw_only=True, repr=False)
class GuestNotReady(Failure):
    """The create succeeds, and its system is still being set up: nobody can log in yet.

    The instance view says ``ProvisioningState/succeeded/osProvisioningInProgress``, and the agent
    is Not Ready. Other failures may strike the same call.

    Args:
        ready_after: virtual seconds after the create's end at which the agent is Ready, and the
            view the usual one.

    Source: rec azure-cli and libraries-for-java, n=59 (the view), test_vm_disk_encryption_e2e
    (Ready about two minutes later). Of a create that brings extensions it is not known: they need a
    system.
    """

    phase: ClassVar[Phase] = "shown"
    operations = ("create",)
    usually = "create"
    source = "rec azure-cli, libraries-for-java, n=59; seen skypilot-org/skypilot#3483"

    ready_after: float = 90.0

    def misfit(self, situation: Situation) -> str:
        """Only a generalized image has a system to set up [doc]; extensions wait for it."""
        if situation.extension:
            return "it brings extensions, which wait for its guest"
        return "" if situation.is_generalized else NOTHING_TO_SET_UP

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let the operation be over before its system is set up."""
        held_in: Held = "creating/osProvisioningInProgress"
        return replace(fate, held_in=held_in, guest_ready_after_s=self.ready_after)


EvictionPolicy: TypeAlias = Literal["Deallocate", "Delete"]
_EVICTION_POLICIES: Final = get_args(EvictionPolicy)


@dataclass(frozen=True, kw_only=True, repr=False)
class SpotEvicted(Failure):
    """Azure takes the hardware of a Spot machine back.

    Args:
        evicted_after: virtual seconds after the operation's end at which that begins, by default
            600; with *during*, after it was accepted, by default half of its time.
        during: whether that happens while the operation is still in flight, which then ends
            Canceled. By default it happens to the machine that runs.
        policy: ``"Deallocate"`` or ``"Delete"``; by default the machine's own evictionPolicy.

    Raises:
        ValueError: the policy is neither.

    Source: rec azure-cli test_vm_simulate_eviction (it takes 57 s; provisioning stays Succeeded;
    404 NotFound after a deletion); seen osbuild/osbuild-composer#1447 (during a create).
    """

    phase: ClassVar[Phase] = "preempted"
    operations = ALLOCATING
    usually = "create"
    code = PREEMPTED[0]
    source = "rec azure-cli test_vm_simulate_eviction"
    _AFTER_S: ClassVar[float] = 600

    evicted_after: float | None = None
    during: bool = False
    policy: EvictionPolicy | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy is not None and self.policy not in _EVICTION_POLICIES:
            raise ValueError(
                f"policy {self.policy!r} is not one of {', '.join(_EVICTION_POLICIES)}"
            )

    def misfit(self, situation: Situation) -> str:
        """Only Spot machines are evicted [rec]."""
        return "" if situation.is_spot else "it is no Spot VM, and only those are evicted"

    def fate(self, situation: Situation, fate: Fate) -> Fate:
        """Let the machine be evicted."""
        unset = self.evicted_after is None
        return replace(
            fate,
            evicted="during" if self.during else "afterwards",
            evicted_after_s=self._AFTER_S if unset and not self.during else self.evicted_after,
            eviction_policy=self.policy,
        )
