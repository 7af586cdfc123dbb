"""What a failure is: its phase, the operations that it fits, and what it does to one request.

A failure is a value; a rule (``_rules``) says which requests it strikes. At the door of the ARM it
may refuse a request, or lose it on its way; what the engine is asked for, it gives an accepted
operation's fate; of what is answered it may change what is shown. The classes themselves stand in
``_failures_refused``, ``_failures_accepted``, ``_failures_in_flight`` and ``_failures_on_the_way``,
and are public as ``pytest_azurevm.failures``.
"""

from __future__ import annotations

import datetime as _dt
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

from pytest_azurevm._agenda import microseconds
from pytest_azurevm._calls import BOTH
from pytest_azurevm._errors import ArmError
from pytest_azurevm._records import Fate
from pytest_azurevm._timing import LONGEST_US
from pytest_azurevm._vm_form import Json, spelled_region

# How far a request comes, as Azure has it: an error at once, nothing is changed; accepted, and the
# operation fails; it fails, and the machine recovers by itself; it never ends; a newer operation
# pushes it aside; the request or its answer is lost on the way; what is shown is late, missing or
# no JSON; it only takes longer.
Phase: TypeAlias = Literal[
    "refused", "failed", "recovering", "never ending", "preempted", "lost", "shown", "slow"
]
PHASES: Final[tuple[str, ...]] = get_args(Phase)

ALLOCATING: Final = ("create", "start")
# The long-running operations.
CHANGING: Final = (
    "create", "update", "delete", "start", "power_off", "restart", "deallocate", "redeploy",
    "reapply", "reimage", "extension_create", "extension_update", "extension_delete",
)  # fmt: skip
PREEMPTABLE: Final = tuple(operation for operation in CHANGING if operation != "delete")
AT_ONCE: Final = ("generalize", "simulate_eviction")
# Of many machines: these name none.
LISTING: Final = ("list", "list_all", "list_by_location")
LOOKING: Final = ("get", "instance_view", *LISTING, "poll", "extension_get", "extension_list")
EVERY: Final = (*CHANGING, *AT_ONCE, *LOOKING)

NOTHING_TO_SET_UP: Final = "it is not made of a generalized image, so there is no system to set up"
USED_CORES: Final = 100  # of a quota that is used up

# What ARM calls what an operation does to a virtual machine [doc "Azure resource provider
# operations"].
_ACTIONS: Final = {
    "create": "write", "update": "write", "delete": "delete", "get": "read", "list": "read",
    "list_all": "read", "list_by_location": "read", "instance_view": "instanceView/read",
    "power_off": "powerOff/action", "simulate_eviction": "simulateEviction/action",
    "extension_create": "extensions/write", "extension_update": "extensions/write",
    "extension_delete": "extensions/delete", "extension_get": "extensions/read",
    "extension_list": "extensions/read",
}  # fmt: skip


def action_of(operation: str) -> str:
    """Give what role assignments, locks and policies call *operation*."""
    if operation == "poll":
        return "Microsoft.Compute/locations/operations/read"
    if "/" in operation:  # of what is no virtual machine: it is ARM's name already
        return operation
    action = _ACTIONS.get(operation, f"{operation}/action")
    return f"Microsoft.Compute/virtualMachines/{action}"


class Situation:
    """A request at the door: all that a rule asks of it, and that a message tells of it."""

    def __init__(
        self,
        operation: str,
        *,
        vm: str,
        resource_group: str,
        subscription_id: str,
        method: str,
        path: str,
        now: _dt.datetime,
        number: int,
        location: str,
        model: Json | None,
        body: Any,
    ) -> None:
        self.operation = operation
        self.vm = vm  # "" where the request is about no one machine
        self.resource_group = resource_group
        self.subscription_id = subscription_id
        self.location = location  # the machine's, as Azure spells it
        self.method = method
        self.path = path
        self.now = now
        self.number = number  # of the request, in this run
        self.body: Json = body if isinstance(body, dict) else {}
        # The machine as it is there, or else as it is asked for.
        self.model = model if model is not None else self.body

    @property
    def size(self) -> str:
        """The machine's size: what is asked for, or else what it has."""
        asked = _text(self.body, "properties", "hardwareProfile", "vmSize") if self._writes else ""
        return asked or _text(self.model, "properties", "hardwareProfile", "vmSize")

    @property
    def _cores(self) -> int:
        """What the size's name says of its cores; no size has as many as 10,000."""
        return int((re.search(r"\d{1,4}", self.size) or ["2"])[0])

    @property
    def _writes(self) -> bool:
        return self.operation in ("create", "update")

    def facts(self) -> dict[str, str]:
        """Give what messages tell of the request."""
        correlation = f"00000000-0000-4000-8000-{self.number:012x}"
        nics = _list(self.model, "properties", "networkProfile", "networkInterfaces")
        disks = _list(self.body, "properties", "storageProfile", "dataDisks")
        extension = self.extension
        of_extension: Any = extension.get("properties") or {}
        return {
            "vm": self.vm,
            "group": self.resource_group,
            "subscription": self.subscription_id,
            "location": self.location,
            "size": self.size,
            "scope": self.scope,
            "cores": str(self._cores),
            "cores_wanted": str(USED_CORES + self._cores),
            "action": action_of(self.operation),
            "route": self.route,
            "verb": "delete" if self.operation.endswith("delete") else "write",
            "nic": _text(nics[0], "id") if nics else f"{self.scope}-nic",
            "disk": (_text(disks[0], "name") if disks else "") or f"{self.vm}_disk2",
            "extension": _text(extension, "name") or self.path.rpartition("/")[2],
            "publisher": _text(of_extension, "publisher"),
            "type": _text(of_extension, "type"),
            "correlation": correlation,
            "stamp": f"{self.now:%Y%m%dT%H%M%SZ}",
            "now": _in_words(self.now),
            "expired": _in_words(self.now - _dt.timedelta(seconds=11)),
        }

    @property
    def scope(self) -> str:
        """The resource ID of the machine or extension, or of where those listed stand."""
        steps = self.path.split("/")
        if "locations" in steps:
            return "/".join(steps[:3])
        as_far_as = 11 if self.operation.startswith("extension_") else 9
        return "/".join(steps[:as_far_as])

    @property
    def route(self) -> str:
        """What the front door's own throttling calls the request [seen azure-docs#105248]."""
        before, _, after = self.path.strip("/").partition("/providers/")
        kinds = [*before.split("/")[::2], "providers", *after.split("/")[:1]]
        return f"{self.method}/{'/'.join([*kinds, *after.split('/')[1::2]])}".upper()

    @property
    def extension(self) -> Json:
        """The first extension that the request brings, or itself writes."""
        if self.operation.startswith("extension_"):
            return {"name": self.path.rpartition("/")[2], **self.body}
        extensions = self.body.get("resources")
        first = extensions[0] if isinstance(extensions, list) and extensions else {}
        return first if isinstance(first, dict) else {}

    @property
    def is_generalized(self) -> bool:
        """Whether the machine is made of a generalized image, whose system is yet to be set up."""
        attached = _text(self.model, "properties", "storageProfile", "osDisk", "createOption")
        properties = self.model.get("properties")
        has_users = isinstance(properties, dict) and "osProfile" in properties
        return attached != "Attach" and has_users

    @property
    def is_spot(self) -> bool:
        """Whether the machine runs on capacity that Azure may take back."""
        return _text(self.model, "properties", "priority") in ("Spot", "Low")


def location_of(body: Any) -> str:
    """Give the region that a body asks for, as Azure spells it, or ``""``."""
    return spelled_region(_text(body, "location"))


def _in_words(instant: _dt.datetime) -> str:
    """Give an instant as ARM's messages do: ``3/19/2023 8:55:46 AM`` [seen]."""
    hour = instant.hour % 12 or 12
    return f"{instant.month}/{instant.day}/{instant.year} {hour}:{instant:%M:%S %p}"


def _text(value: Any, *path: str) -> str:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _list(value: Any, *path: str) -> list[Any]:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


class Lost(NamedTuple):
    """How an answer is lost on its way, or what comes instead of it."""

    work_done: bool
    instead: Instead
    error: ArmError | None = None  # what a gateway says instead


# What a client meets instead of the answer: a connection that breaks, an answer that does not come,
# another error, or an answer that is none.
Instead: TypeAlias = Literal["reset", "timeout", "error", "truncated", "empty", "html"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Failure:
    """One way in which Azure fails. Give one to ``fake.inject(...)``.

    Attributes of each class:
        phase: how far a request comes, see ``failures.PHASES``.
        operations: the operations that it fits.
        usually: where it strikes if ``on`` is left out.
        status: the HTTP status of the answer that tells of it.
        code: Azure's error code, or ``""``.
        source: where its form is known from: ``rec`` is a recorded answer, ``seen`` an issue that
            quotes one, ``err`` Microsoft's list of VM error messages, ``doc`` its documentation,
            ``assumed`` our inference.
    """

    phase: ClassVar[Phase]
    operations: ClassVar[tuple[str, ...]] = EVERY
    usually: ClassVar[str] = "*"
    status: ClassVar[int] = 200
    code: ClassVar[str] = ""
    source: ClassVar[str] = ""

    def _is_of(self, phase: Phase, *, status: int | None = None) -> None:
        """State a phase that follows from arguments; the class states the usual one."""
        object.__setattr__(self, "phase", phase)
        if status is not None:
            object.__setattr__(self, "status", status)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            what = f"{type(self).__name__}({field.name}=...)"
            is_span = field.name.endswith("_after") and value is not None
            if is_span and microseconds(value, what=what) > LONGEST_US:
                raise ValueError(f"{what} must be ten years at most, not {value!r}")
            if isinstance(field.default, bool) and not isinstance(value, bool):
                raise TypeError(f"{what} must be True or False, not {value!r}")
            if isinstance(field.default, str) and not isinstance(value, str):
                raise TypeError(f"{what} must be text, not {value!r}")

    def __repr__(self) -> str:
        told = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default and not (field.default is MISSING and not value):
                told.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(told)})"

    @property
    def where(self) -> tuple[str, ...]:
        """The operations that it fits."""
        return self.operations

    @property
    def befalls_anything(self) -> bool:
        """Whether it can befall any request, also one that is about no virtual machine.

        What Compute itself refuses does not; what is lost on the way, or the front door refuses,
        does.
        """
        if set(self.operations) != set(EVERY):
            return False
        return self.phase == "lost" or (
            self.phase == "refused" and getattr(self, "gateway", True) is True
        )

    @property
    def ends_the_call(self) -> bool:
        """Whether no later rule has a say once this one struck."""
        return self.phase not in ("slow", "shown")

    def misfit(self, situation: Situation) -> str:
        """Say why it cannot happen to this machine; ``""``: it can."""
        return ""

    # A failure does one of these.

    def refusal(self, situation: Situation) -> ArmError | None:
        """Give the error with which the request is answered at once."""
        return None

    def lost(self, situation: Situation) -> Lost | None:
        """Say how the answer is lost."""
        return None

    def fate(self, situation: Situation, fate: Fate) -> Fate | None:
        """Give the fate of the operation, on top of the *fate* that earlier rules gave it."""
        return None

    def alter(self, body: Json) -> Json | None:
        """Give what is shown instead of *body*, or ``None``."""
        return None


def fitting(pattern: str, operations: Iterable[str]) -> frozenset[str]:
    """Give the *operations* that an fnmatch pattern, or a name of two of them, stands for."""
    wanted = BOTH.get(pattern, (pattern,))
    return frozenset(
        operation for operation in operations if any(fnmatchcase(operation, one) for one in wanted)
    )
