"""The lifecycle of a virtual machine, as a table.

Everything that decides what a VM shows, and for how long, stands in this file; no other file decides
anything by the name of a power state. The code below the tables only looks rows up.

How to read a row of ``LIFECYCLE``: *operation*, of a VM of this *kind*, accepted in these power
states: it passes through these views, each for its share of the seconds, and ends in this power
state; the *goal* is what the VM is set to from then on, and the guest's *agent* reports this
afterwards. ``None`` is the absence of a power state (nothing is shown), ``SAME`` keeps what was
there. A pair of seconds is the median and the 90th percentile of recorded operations. No row for a
power state means refused: ``REFUSALS`` says how.

A VM has three layers, which is why goal and power differ: what was asked for (the persisted model,
with the goal power state), what really runs (the effective model and the power state), and what
the guest reports (agent, operating system). A shutdown inside the guest changes the second alone.

Witnesses: ``doc`` is "Virtual Machines Lifecycle and States", the page this package implements;
``page`` is today's "States and billing status of Azure Virtual Machines"; ``rec`` is a recorded
exchange with Azure (the test it comes from); ``err`` is Microsoft's list of VM error messages;
``seen`` is an issue that quotes Azure's answer; ``assumed`` is our inference.
"""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

PowerState: TypeAlias = Literal[
    "starting", "running", "stopping", "stopped", "deallocating", "deallocated"
]
Provisioning: TypeAlias = Literal[
    "creating",
    "creating/osProvisioningInProgress",
    "creating/osProvisioningComplete",
    "updating",
    "deleting",
    "succeeded",
    "succeeded/osProvisioningInProgress",
    "failed",
    "canceled",
]
Operation: TypeAlias = Literal[
    "create",
    "update",
    "delete",
    "start",
    "power_off",
    "restart",
    "deallocate",
    "redeploy",
    "reapply",
    "reimage",
    "generalize",
    "eviction",
    "extension_create",
    "extension_update",
    "extension_delete",
]
GuestEvent: TypeAlias = Literal["guest_shutdown", "guest_reboot", "guest_crash"]
# What befalls a VM from outside its guest, and is no operation.
Incident: TypeAlias = Literal["host_failure", "agent_loss", "agent_recovery"]
EditionName: TypeAlias = Literal["wire", "document"]
AgentReport: TypeAlias = Literal["absent", "not populated", "ready", "unresponsive"]
Same: TypeAlias = Literal["same"]

SAME: Final[Same] = "same"

# --- power states apart from the table ---------------------------------------------------------

# Where a VM may be for ever, and what the agent of one that has long been there last reported:
# that of a VM that was powered off stays, that of a deallocated one is gone [rec].
SettledState: TypeAlias = Literal["running", "stopped", "deallocated"]
SETTLED: Final[dict[SettledState, AgentReport]] = {
    "running": "ready",
    "stopped": "ready",
    "deallocated": "absent",
}
GUEST_RUNS_IN: Final[PowerState] = "running"
# What a machine shows whose start was given up, and that comes up all the same later on [assumed].
COMING_UP: Final[PowerState] = "starting"
# Where a machine is found whose create somebody else's operation pushed aside: what a Spot eviction
# leaves [seen osbuild/osbuild-composer#1447].
AFTER_A_PREEMPTED_CREATE: Final[PowerState] = "deallocated"
# For how long the network interface of a machine whose create failed is kept for it, once that is
# deleted [seen taskcluster/taskcluster#7196].
NIC_RESERVED_US: Final = 180_000_000
# The lease on the hardware is given back, or was never had; what depends on it may be changed.
NOT_ALLOCATED: Final[tuple[PowerState | None, ...]] = (None, "deallocated")
# The managed OS disk's kind and size are not told then [rec, n=6].
OS_DISK_UNTOLD_IN: Final[PowerState] = "deallocated"
# An update beside a create takes as long as one of a VM in this state [assumed].
BESIDE_A_CREATE_AS_IN: Final[PowerState] = "running"
# Done by the time it is answered: it takes no time, and is not polled [rec, n=134].
AT_ONCE: Final[tuple[Operation, ...]] = ("generalize",)
# Of one extension, not of the VM: several go on beside each other, and the VM stays as it was.
OF_AN_EXTENSION: Final[tuple[Operation, ...]] = (
    "extension_create",
    "extension_update",
    "extension_delete",
)
# The platform's own doing: nobody polls it, nobody cancels it.
BY_THE_PLATFORM: Final[tuple[Operation, ...]] = ("eviction",)
# What a VM is by its goal, for the kinds of the table [err "running (or set to run)"].
KINDS_BY_GOAL: Final[dict[PowerState, frozenset[str]]] = {
    "running": frozenset({"set to run"}),
    "stopped": frozenset({"set to be off"}),
    "deallocated": frozenset({"set to be off"}),
}

# What the model's ``properties.provisioningState`` says while the instance view says the key.
# [rec] Creating stays through both OS provisioning substates (test_vm_create_no_wait).
PROVISIONING_STATE: Final[dict[Provisioning, str]] = {
    "creating": "Creating",
    "creating/osProvisioningInProgress": "Creating",
    "creating/osProvisioningComplete": "Creating",
    "updating": "Updating",
    "deleting": "Deleting",
    "succeeded": "Succeeded",
    "succeeded/osProvisioningInProgress": "Succeeded",
    "failed": "Failed",
    "canceled": "Canceled",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown during a share of an operation's seconds."""

    share: float
    provisioning: Provisioning | Same
    power: PowerState | Same | None
    agent: AgentReport | Same = SAME
    makes_disks: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    operation: Operation | GuestEvent | Incident
    kind: str  # the VM or the request it is about; "" fits all
    accepted_in: tuple[PowerState | None, ...]
    shows: tuple[Shown, ...]
    ends_in: PowerState | Same | None
    goal: PowerState | Same
    agent: AgentReport | Same
    seconds: tuple[float, float]  # median, 90th percentile
    witness: str

    @property
    def fixes_power(self) -> bool:
        """Whether the operation says where the VM ends, whatever its guest does meanwhile."""
        return self.ends_in != SAME


_ON: Final = ("running",)
_OFF: Final = ("stopped",)
_GOING_DOWN: Final = ("stopping",)  # by its guest: nothing is in flight
_ALLOCATED: Final = ("running", "stopped", "starting", "stopping")
_GONE: Final = ("deallocated",)
_NONE_SHOWN: Final = (None,)  # not created yet; or its create was canceled, or failed
_PASSING: Final = (None, "starting", "stopping", "deallocating")
_DOWN: Final = ("stopped", "stopping")
_HELD: Final = ("running", "stopped", "stopping")  # a host, and nothing is in flight
_TAKEN: Final = (None, "starting", "running", "stopping", "stopped")  # a host, or about to be
_ANY: Final = (*_ALLOCATED, *_GONE, *_NONE_SHOWN)

# The five views of a create, in order [rec test_vm_create_no_wait; doc "OS provisioning states"].
# Shares are assumed, but for the first: 2.1 s of 27 passed before the disk was made [rec].
_CREATING: Final = (
    Shown(0.08, "creating", None),
    Shown(0.12, "creating", "starting", makes_disks=True),
    Shown(0.20, "creating", "running"),
    Shown(0.57, "creating/osProvisioningInProgress", "running"),
    # "Short-lived ... unless VM has to install the extension" [doc]: their seconds come on top.
    Shown(0.03, "creating/osProvisioningComplete", "running", agent="not populated"),
)
_CREATING_SPECIALIZED: Final = (
    Shown(0.10, "creating", None),
    Shown(0.50, "creating", "starting", makes_disks=True),
    Shown(0.40, "creating", "running"),
)
_STARTING: Final = (Shown(1, "updating", "starting"),)
_STOPPING: Final = (Shown(1, "updating", "stopping"),)
# Agent, system and extensions vanish from the instance view at once [rec].
_DEALLOCATING: Final = (Shown(1, "updating", "deallocating", agent="absent"),)
# "Shuts down the virtual machine, moves it to a new node, and powers it back on" [doc]; shares assumed.
_MOVING: Final = (Shown(0.3, "updating", "stopping"), Shown(0.7, "updating", "starting"))
_REIMAGING: Final = (
    Shown(0.2, "updating", "stopping"),
    Shown(0.8, "updating", "starting", agent="not populated"),
)
# Provisioning never left Succeeded in what was polled [rec]; that deallocating is shown is assumed.
_EVICTING: Final = (Shown(1, SAME, "deallocating", agent="absent"),)

# fmt: off
LIFECYCLE: Final = (
    #   operation         kind           accepted in         passes through                                 ends in        goal           agent           seconds     witness
    Row("create",         "Linux",       _NONE_SHOWN,        _CREATING,                                     "running",     "running",     "ready",        (80, 147),  "doc; rec cli, n=201"),
    Row("create",         "Windows",     _NONE_SHOWN,        _CREATING,                                     "running",     "running",     "ready",        (94, 274),  "doc; rec, n=16; the slow figure is the 75th percentile"),
    Row("create",         "specialized", _NONE_SHOWN,        _CREATING_SPECIALIZED,                         "running",     "running",     "ready",        (21, 65),   "doc: no OS provisioning substates; rec; the slow figure is the maximum"),
    Row("update",         "PATCH",       (*_ALLOCATED, *_GONE), (Shown(1, "updating", SAME),),              SAME,          SAME,          SAME,           (4.2, 8.5), "rec, n=97"),
    Row("update",         "Linux",       _ALLOCATED,         (Shown(1, "updating", SAME),),                 SAME,          SAME,          SAME,           (11, 20.5), "rec, n=107"),
    Row("update",         "Windows",     _ALLOCATED,         (Shown(1, "updating", SAME),),                 SAME,          SAME,          SAME,           (12, 20.5), "rec; the slow figure is Linux's"),
    Row("update",         "",            _GONE,              (Shown(1, "updating", SAME),),                 SAME,          SAME,          SAME,           (1.7, 1.7), "rec"),
    Row("update",         "",            _NONE_SHOWN,        _STARTING,                                     "running",     "running",     "ready",        (80, 147),  "assumed: of a VM that never came up, a new attempt at allocation; seconds as of a create"),
    Row("delete",         "",            _ON,                (Shown(1, "deleting", SAME),),                 None,          SAME,          SAME,           (44, 282),  "doc; rec, n=50"),
    Row("delete",         "",            _OFF,               (Shown(1, "deleting", SAME),),                 None,          SAME,          SAME,           (44, 242),  "rec 37 to 242 s; the median is that of running VMs"),
    Row("delete",         "",            _GONE,              (Shown(1, "deleting", SAME),),                 None,          SAME,          SAME,           (5, 10.6),  "rec 0.3 to 10.6 s; the median is assumed"),
    Row("delete",         "",            _PASSING,           (Shown(1, "deleting", SAME),),                 None,          SAME,          SAME,           (44, 282),  "seen: a delete preempts; seconds assumed"),
    Row("start",          "",            _ON,                (),                                            SAME,          "running",     SAME,           (0.1, 0.1), "rec test_vm_metric_tail: succeeds at once, shows nothing"),
    Row("start",          "",            _OFF,               _STARTING,                                     "running",     "running",     "ready",        (8, 34),    "page; rec, n=8"),
    Row("start",          "",            _GOING_DOWN,        _STARTING,                                     "running",     "running",     "ready",        (8, 34),    "assumed: as of a stopped VM"),
    Row("start",          "",            _GONE,              _STARTING,                                     "running",     "running",     "ready",        (24, 80),   "page; rec, n=8"),
    Row("start",          "",            _NONE_SHOWN,        _STARTING,                                     "running",     "running",     "ready",        (24, 80),   "assumed: a new attempt at allocation, as of a deallocated VM"),
    Row("power_off",      "",            _ON,                _STOPPING,                                     "stopped",     "stopped",     SAME,           (9.5, 27),  "doc; rec, n=41; the agent's report stays"),
    Row("power_off",      "",            _OFF,               (),                                            SAME,          "stopped",     SAME,           (0.1, 0.1), "assumed: succeeds at once; makes a guest's shutdown the owner's"),
    Row("power_off",      "",            _GOING_DOWN,        _STOPPING,                                     "stopped",     "stopped",     SAME,           (9.5, 27),  "assumed: makes a guest's shutdown the owner's, and sees it through"),
    Row("restart",        "",            _ON,                (Shown(1, "updating", "running"),),            "running",     "running",     "ready",        (14, 21),   "doc: Restart falls under update; rec, n=10"),
    Row("restart",        "set to run",  _OFF,               _STARTING,                                     "running",     "running",     "ready",        (14, 21),   'err "running (or set to run)"; the view is assumed'),
    Row("restart",        "set to run",  _GOING_DOWN,        _STARTING,                                     "running",     "running",     "ready",        (14, 21),   "assumed: as of a stopped VM"),
    Row("deallocate",     "",            _ON,                _DEALLOCATING,                                 "deallocated", "deallocated", SAME,           (52, 463),  "doc; rec, n=96"),
    Row("deallocate",     "",            _OFF,               _DEALLOCATING,                                 "deallocated", "deallocated", SAME,           (46, 509),  "rec, n=7"),
    Row("deallocate",     "",            _GOING_DOWN,        _DEALLOCATING,                                 "deallocated", "deallocated", SAME,           (46, 509),  "assumed: as of a stopped VM"),
    Row("deallocate",     "",            (None, "starting"), _DEALLOCATING,                                 "deallocated", "deallocated", SAME,           (52, 463),  "assumed: it preempts a create"),
    Row("deallocate",     "",            _GONE,              (),                                            SAME,          "deallocated", SAME,           (0.1, 0.1), "assumed: succeeds at once"),
    Row("redeploy",       "",            _ON,                _MOVING,                                       "running",     "running",     "ready",        (78, 317),  "doc; rec, n=6; the views are assumed"),
    Row("redeploy",       "set to run",  _DOWN,              _STARTING,                                     "running",     "running",     "ready",        (78, 317),  "assumed: it is set to run, as of a restart"),
    Row("redeploy",       "",            _DOWN,              (Shown(1, "updating", SAME),),                 "stopped",     SAME,          SAME,           (78, 317),  "seen Azure/azure-sdk-for-python tests: accepted, and generalize succeeds after it; so it stays stopped, assumed"),
    Row("reapply",        "",            (*_ALLOCATED, *_GONE), (Shown(1, "updating", SAME),),              SAME,          SAME,          SAME,           (5, 7),     "doc: same host, no reboot; rec; where it is not running, assumed"),
    Row("reapply",        "",            _NONE_SHOWN,        _STARTING,                                     "running",     "running",     "ready",        (80, 147),  "assumed: of a VM that never came up, a new attempt at allocation; seconds as of a create"),
    Row("reimage",        "",            _ON,                _REIMAGING,                                    "running",     "running",     "ready",        (89, 139),  "rec: accepted since 2023; the views are assumed"),
    Row("reimage",        "set to run",  _DOWN,              _STARTING,                                     "running",     "running",     "ready",        (89, 139),  "assumed: as of a restart"),
    Row("generalize",     "set to be off", _OFF,             (),                                            SAME,          SAME,          SAME,           (0, 0),     "rec test_vm_generalize: 200, nothing shown"),
    Row("generalize",     "",            _GONE,              (),                                            SAME,          SAME,          SAME,           (0, 0),     "rec test_vm_generalize"),
    Row("eviction",       "Deallocate",  _HELD,              _EVICTING,                                     "deallocated", "deallocated", SAME,           (57, 57),   "rec test_vm_simulate_eviction"),
    Row("eviction",       "Delete",      _HELD,              _EVICTING,                                     None,          "deallocated", SAME,           (57, 57),   "rec test_vm_simulate_eviction: then GET is a 404 NotFound"),
    Row("eviction",       "Deallocate, busy", _TAKEN,        _DEALLOCATING,                                 "deallocated", "deallocated", SAME,           (57, 57),   "seen osbuild/osbuild-composer#1447: it preempts; what is shown is assumed"),
    Row("eviction",       "Delete, busy", _TAKEN,            _DEALLOCATING,                                 None,          "deallocated", SAME,           (57, 57),   "seen osbuild/osbuild-composer#1447: it preempts; what is shown is assumed"),
    Row("extension_create", "",          _ON,                (Shown(1, "updating", SAME),),                 SAME,          SAME,          SAME,           (48, 159),  "rec, n=90"),
    Row("extension_update", "",          _ON,                (Shown(1, "updating", SAME),),                 SAME,          SAME,          SAME,           (48, 159),  "rec, n=90; those of existing ones among them"),
    Row("extension_delete", "",          _ON,                (Shown(1, "updating", SAME),),                 SAME,          SAME,          SAME,           (15.5, 91), "rec; the slow figure is the maximum"),
    Row("guest_shutdown", "",            _ON,                (Shown(1, SAME, "stopping"),),                 "stopped",     SAME,          SAME,           (9.5, 27),  "doc; page; seconds as power_off, assumed"),
    Row("guest_reboot",   "",            _ON,                (Shown(1, SAME, SAME, agent="unresponsive"),), SAME,          SAME,          "ready",        (30, 60),   "page: the platform sees it up throughout; seconds assumed"),
    Row("guest_crash",    "",            _ON,                (),                                            SAME,          SAME,          "unresponsive", (120, 120), "page: the platform sees it up; that its agent falls silent, and when, is assumed"),
    Row("host_failure",   "",            _ON,                (Shown(1, SAME, SAME, agent="unresponsive"),), SAME,          SAME,          "ready",        (900, 900), "doc resource health: the power state mostly reads running, service healing takes up to 15 minutes; the agent's silence is assumed"),
    Row("agent_loss",     "",            _ON,                (),                                            SAME,          SAME,          "unresponsive", (0, 0),     "rec: running with a silent agent, 299 of 1663 views"),
    Row("agent_recovery", "",            _ON,                (),                                            SAME,          SAME,          "ready",        (0, 0),     "assumed"),
)
# fmt: on


# How Azure refuses what has no row: the first that fits answers; texts [err], and HTTP 409 [seen]
# for each.
@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation is not accepted."""

    operations: tuple[Operation, ...]
    power_states: tuple[PowerState | None, ...]
    code: str
    message: str
    witness: str


_POWER: Final = ("start", "power_off", "restart", "deallocate")
_MOVES: Final = ("redeploy", "reimage")  # these too change the power state, on their way
_WRITES: Final = ("update", "reapply")  # these leave it alone
PUSHES_THE_MODEL: Final[tuple[str, ...]] = _WRITES  # which a system that was given up cannot take
_EXTENSIONS: Final = OF_AN_EXTENSION
_DEALLOCATED_TEXT: Final = (
    "Operation '{action}' is not allowed on VM '{vm}' since the VM is either deallocated or "
    "marked to be deallocated."
)

REFUSALS: Final = (
    Refusal(
        ("power_off",),
        (*_NONE_SHOWN, "deallocated", "deallocating"),
        "OperationNotAllowed",
        _DEALLOCATED_TEXT,
        "seen hashicorp/terraform-provider-azurerm#28218; of a VM that never came up assumed",
    ),
    Refusal(
        ("redeploy", "eviction"),
        (*_NONE_SHOWN, "deallocated", "deallocating"),
        "OperationNotAllowed",
        _DEALLOCATED_TEXT,
        "assumed: as of a power off, for there is no host to leave",
    ),
    Refusal(
        ("reimage",),
        (*_NONE_SHOWN, "stopped", "stopping", "deallocated", "deallocating"),
        "OperationNotAllowed",
        "The operation requires the VM to be running (or set to run).",
        "assumed: as of a restart",
    ),
    Refusal(
        ("generalize",),
        (*_NONE_SHOWN, "starting", "running", "stopping", "stopped"),
        "OperationNotAllowed",
        "Operation '{action}' is not allowed on VM '{vm}' since the VM is running. Please power "
        "off explicitly in case you shut down the VM from inside the guest operating system.",
        "err; of a VM that never came up assumed",
    ),
    Refusal(
        ("restart",),
        (*_NONE_SHOWN, "stopped", "stopping", "deallocated", "deallocating"),
        "OperationNotAllowed",
        "The operation requires the VM to be running (or set to run).",
        "seen PierreBeucher/cloudypad#69; of a VM that never came up assumed",
    ),
    Refusal(
        _EXTENSIONS,
        (*_NONE_SHOWN, "starting", "stopping", "stopped", "deallocating", "deallocated"),
        "OperationNotAllowed",
        "Cannot modify extensions in the VM when the VM is not running.",
        "err",
    ),
)
BUSY: Final = Refusal(
    (*_POWER, *_MOVES),
    (),
    "OperationNotAllowed",
    "An ongoing operation is changing power state of Virtual Machine {vm} to {target}. "
    "Please perform operation {action} after some time.",
    "err; which pairs it answers is assumed",
)
MARKED_FOR_DELETION: Final = Refusal(
    ("create", *_WRITES, *_POWER, *_MOVES, *_EXTENSIONS, "generalize", "eviction"),
    (),
    "OperationNotAllowed",
    "Operation '{action}' is not allowed on VM '{vm}' since the VM is marked for deletion. You can "
    "only retry the Delete operation (or wait for an ongoing one to complete).",
    "seen sassoftware/viya4-iac-azure#140",
)
# A generalized VM's system is no more: it is the source of images. It may be deallocated [rec] and
# deleted; that it may be written is RECPY's order of calls.
GENERALIZED: Final = Refusal(
    ("start", "power_off", "restart", *_MOVES, "reapply"),
    (),
    "OperationNotAllowed",
    "Operation '{action}' is not allowed on VM '{vm}' since the VM is generalized.",
    "err; start seen Azure/azure-powershell#2818; the others are assumed",
)
UNDER_WAY: Final = Refusal(
    ("generalize",),
    (),
    "OperationNotAllowed",
    "Operation '{action}' is not allowed on VM '{vm}' since another operation is in progress.",
    "err; that it answers this is assumed",
)
CONFLICT: Final = Refusal(
    (*_WRITES, *_EXTENSIONS),
    (),
    "Conflict",
    "The request failed due to conflict with a concurrent request. To resolve it, please refer to "
    "https://aka.ms/activitylog to get more details on the conflicting requests.",
    "seen Azure/azure-cli#15765; that it is these pairs is assumed",
)

# What becomes of a pair whose outcome is only assumed is a policy that a test can set.
Concurrency: TypeAlias = Literal["assumed", "preempt", "refuse"]
CONCURRENCIES: Final[tuple[str, ...]] = get_args(Concurrency)

# An operation that arrives while another is in flight. ``preempt``: the older one ends Canceled.
# ``beside``: both go on, and the older one stays in view. ``follow``: both end together.
# ``refuse``: as in the power state that is shown; ``busy``: whatever is shown on the way.
Meeting: TypeAlias = Literal[
    "preempt", "beside", "follow", "refuse", "busy", "conflict", "deleting"
]

# fmt: off
MEETINGS: Final[tuple[tuple[tuple[Operation, ...], tuple[Operation, ...], Meeting, str], ...]] = (
    # in flight                     arriving                 what becomes of it  witness
    (("delete",),                   ("delete",),             "follow",           'err "you can only retry the Delete operation"'),
    (("delete",),                   ("create", *_WRITES, *_POWER, *_MOVES), "deleting", "err"),
    (("delete",),                   ("generalize", "eviction"), "deleting",      "err; of an eviction assumed"),
    (("create",),                   ("delete",),             "preempt",          "seen Azure/azure-sdk-for-java#1783"),
    ((*_WRITES, *_POWER, *_MOVES),  ("delete",),             "preempt",          "assumed: by analogy with create"),
    (("create",),                   ("eviction",),           "preempt",          "seen osbuild/osbuild-composer#1447"),
    ((*_WRITES, "start", "power_off", "restart", *_MOVES), ("eviction",), "preempt", "seen osbuild/osbuild-composer#1447 for create; the platform asks nobody"),
    (("deallocate",),               ("eviction",),           "refuse",           "err: the host is given back as it is"),
    (("eviction",),                 ("deallocate", "eviction"), "follow",        "seen Azure-Samples/azure-sdk-for-go-samples: deallocates what is being evicted; that both end together is assumed"),
    (("eviction",),                 ("delete",),             "preempt",          "assumed: a delete preempts"),
    (("eviction",),                 ("start", "power_off", "restart", *_MOVES), "refuse", "assumed: as while a VM is deallocated"),
    (("eviction",),                 _WRITES,                 "conflict",         "assumed"),
    (("create", "eviction", *_WRITES, *_POWER, *_MOVES), ("generalize",), "refuse", 'err "since another operation is in progress"; else as in the power state'),
    (("create",),                   ("update",),             "beside",           "rec: tags written during a create"),
    (("create",),                   ("deallocate",),         "preempt",          "assumed"),
    (("create",),                   ("start", "power_off", "restart", *_MOVES), "refuse", "assumed"),
    (("delete",),                   _EXTENSIONS,             "deleting",         "err"),
    (_EXTENSIONS,                   ("update",),             "preempt",          "seen hashicorp/terraform-provider-azurerm#6025; against it rec test_vm_update_with_workspace_linux, n=2: both went on, and ended together"),
    (_EXTENSIONS,                   ("delete", "reapply", "eviction", *_POWER, *_MOVES), "preempt", "assumed: by analogy with update"),
    (_EXTENSIONS,                   _EXTENSIONS,             "beside",           "assumed: each is a resource of its own; see SAME_EXTENSION"),
    (_EXTENSIONS,                   ("generalize",),         "refuse",           "err: it runs"),
    (("create", *_WRITES),          _EXTENSIONS,             "conflict",         "assumed"),
    ((*_POWER, *_MOVES, "eviction"), _EXTENSIONS,            "refuse",           'err "when the VM is not running"; while it restarts assumed'),
    (("create",),                   ("reapply",),            "conflict",         "assumed: it does not help a VM that is stuck in its create"),
    (("update",),                   ("update",),             "preempt",          "seen kubernetes-sigs/cloud-provider-azure#1356"),
    (("update",),                   ("reapply", *_POWER, *_MOVES), "preempt",    "assumed: by analogy with update"),
    (("reapply",),                  (*_WRITES, *_POWER, *_MOVES), "preempt",     "assumed: by analogy with update"),
    (_MOVES,                        (*_POWER, *_MOVES),      "busy",             'assumed: err "An ongoing operation is changing power state", of which pairs is not told'),
    (_MOVES,                        _WRITES,                 "conflict",         "assumed"),
    (_POWER,                        _MOVES,                  "refuse",           'assumed: err "An ongoing operation is changing power state", of which pairs is not told'),
    (_POWER,                        ("reapply",),            "conflict",         "assumed"),
    (("deallocate",),               ("deallocate",),         "follow",           "assumed"),
    (_POWER,                        _POWER,                  "refuse",           'assumed: err "An ongoing operation is changing power state", of which pairs is not told'),
    (_POWER,                        ("update",),             "conflict",         "assumed"),
)
# fmt: on


# Two operations on one and the same extension [assumed: as of two updates of one VM].
SAME_EXTENSION: Final[Meeting] = "preempt"


def rows(operation: Operation | GuestEvent | Incident) -> tuple[Row, ...]:
    """Give the rows of *operation*, in the order of the table."""
    return tuple(row for row in LIFECYCLE if row.operation == operation)


def find_row(
    operation: Operation | GuestEvent | Incident,
    power: PowerState | None,
    kinds: frozenset[str],
) -> Row | None:
    """Give the first row that fits, or ``None``: then the operation is refused."""
    for row in _ROWS_BY_OPERATION[operation]:
        if power in row.accepted_in and (not row.kind or row.kind in kinds):
            return row
    return None


def find_refusal(
    operation: Operation, power: PowerState | None, *, in_flight: bool = False
) -> Refusal:
    """Say why *operation* is not accepted in *power*."""
    for refusal in REFUSALS:
        if operation in refusal.operations and power in refusal.power_states:
            # While a create shows nothing yet, it is the create that is in the way.
            return BUSY if in_flight and power is None else refusal
    if operation == "generalize":
        return UNDER_WAY
    return BUSY if operation in BUSY.operations else CONFLICT


def held(row: Row, where: str) -> int:
    """Give the position of the view in which an operation that fails is held; -1: it shows none."""
    if where == "first":
        return min(0, len(row.shows) - 1)
    for position, shown in enumerate(row.shows):
        if shown.provisioning == where:
            return position
    return len(row.shows) - 1


def resting(power: PowerState | None) -> PowerState | None:
    """Say where a VM in *power* comes to rest if nobody does anything; ``None``: nowhere."""
    if power in SETTLED:
        return power
    # With nothing in flight, a power state that passes is one that the guest passes through.
    for row in rows("guest_shutdown"):
        if power in {shown.power for shown in row.shows} and row.ends_in != SAME:
            return row.ends_in
    return None


def shown_provisioning(
    edition: Edition, provisioning: Provisioning, power: PowerState | None
) -> Provisioning:
    """Give the provisioning state that *edition* shows of a VM with this one."""
    final = edition.provisioning[provisioning].timed  # no operation is at work
    if power == "stopping" and final and edition.stopping_shows != SAME:
        return edition.stopping_shows
    return provisioning


def meet(
    in_flight: Operation, arriving: Operation, concurrency: Concurrency = "assumed"
) -> Meeting:
    """Say what becomes of *arriving* while *in_flight* goes on."""
    for olders, newers, meeting, witness in MEETINGS:
        if in_flight in olders and arriving in newers:
            return meeting if concurrency == "assumed" or not _is_assumed(witness) else concurrency
    return "conflict" if concurrency == "assumed" else concurrency


def _is_assumed(witness: str) -> bool:
    return witness.startswith("assumed")


_ROWS_BY_OPERATION: Final = {row.operation: rows(row.operation) for row in LIFECYCLE}
# Where an operation in flight is taking the VM, as the refusal names it.
TARGETS: Final[dict[PowerState | None, str]] = {
    None: "running",
    "starting": "running",
    "stopping": "stopped",
    "deallocating": "deallocated",
}


# --- what is shown, edition by edition ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Status:
    """How an instance view spells one provisioning state."""

    code: str
    level: str
    display_status: str
    timed: bool = False  # carries the time of completion


@dataclass(frozen=True, slots=True)
class Edition:
    """One account of the truth: the document's, or that of recorded traffic and today's page."""

    name: EditionName
    provisioning: dict[Provisioning, Status]
    names_the_error: bool  # failed/<code>, and the message
    stopping_shows: Provisioning | Same  # while the guest shuts itself down, and nobody asked
    billing: dict[PowerState | None, tuple[str, ...]]


_HARDWARE_AND_SOFTWARE: Final = ("hardware", "software")

_WIRE: Final = Edition(
    name="wire",
    provisioning={
        "creating": Status("ProvisioningState/creating", "Info", "Creating"),
        "creating/osProvisioningInProgress": Status(
            "ProvisioningState/creating/osProvisioningInProgress",
            "Info",
            "OS provisioning in progress",
        ),
        "creating/osProvisioningComplete": Status(
            "ProvisioningState/creating/osProvisioningComplete", "Info", "OS provisioning complete"
        ),
        "updating": Status("ProvisioningState/updating", "Info", "Updating"),
        "deleting": Status("ProvisioningState/deleting", "Info", "Deleting"),
        "succeeded": Status("ProvisioningState/succeeded", "Info", "Provisioning succeeded", True),
        "succeeded/osProvisioningInProgress": Status(  # [rec, n=59]
            "ProvisioningState/succeeded/osProvisioningInProgress",
            "Info",
            "OS provisioning in progress",
            True,
        ),
        "failed": Status("ProvisioningState/failed", "Error", "Provisioning failed", True),
        # Assumed: no recording shows a canceled VM; after the form of the others.
        "canceled": Status("ProvisioningState/canceled", "Info", "Provisioning canceled", True),
    },
    names_the_error=True,
    stopping_shows=SAME,
    # Today's page knows one class, "Billed", where the document has two [page]. That a stopped
    # VM's software goes on costing is read from its saying nothing else [assumed].
    billing={
        None: (),
        "starting": _HARDWARE_AND_SOFTWARE,
        "running": _HARDWARE_AND_SOFTWARE,
        "stopping": _HARDWARE_AND_SOFTWARE,
        "stopped": _HARDWARE_AND_SOFTWARE,
        "deallocating": (),
        "deallocated": (),
    },
)
_DOCUMENT: Final = Edition(
    name="document",
    provisioning={
        **_WIRE.provisioning,
        # The blank after the slash, on the page, is a slip [doc].
        "creating/osProvisioningInProgress": Status(
            "ProvisioningState/OSProvisioningInprogress", "Info", "OS Provisioning In progress"
        ),
        "creating/osProvisioningComplete": Status(
            "ProvisioningState/OSProvisioningComplete", "Info", "OS Provisioning Complete"
        ),
        "failed": Status("ProvisioningState/failed", "Info", "Provisioning failed", True),
    },
    names_the_error=False,
    stopping_shows="updating",  # "either stopped from client or guest OS" [doc]
    billing={
        None: (),
        "starting": (),
        "running": _HARDWARE_AND_SOFTWARE,
        "stopping": _HARDWARE_AND_SOFTWARE,
        "stopped": ("hardware",),
        "deallocating": ("hardware",),
        "deallocated": (),
    },
)
EDITIONS: Final[dict[EditionName, Edition]] = {"wire": _WIRE, "document": _DOCUMENT}

# Power states are spelled alike in both editions, and never carry a time [rec; doc].
POWER_STATUS: Final[dict[PowerState, Status]] = {
    power: Status(f"PowerState/{power}", "Info", f"VM {power}")
    for power in ("starting", "running", "stopping", "stopped", "deallocating", "deallocated")
}


# --- what the guest reports --------------------------------------------------------------------

# Seconds after an operation's end at which the agent of a system that came up is ready: 7 after a
# create's [rec test_vm_create_no_wait]; within 10 to 30 s, at the next look [rec].
AGENT_READY_AFTER_S: Final = 7.0
# What it reports until then, if it had reported nothing before [rec].
AGENT_COMING_UP: Final[AgentReport] = "not populated"
# What a VM shows whose create is over before its system is set up [rec, n=59 since mid-2020]. That
# the agent's first report ends it is assumed.
SETTING_UP: Final[Provisioning] = "succeeded/osProvisioningInProgress"
# An extension that failed is tried again when the VM starts or is moved, and that waits for it
# [seen Azure/azure-xplat-cli#3389, Azure/azure-cli#14841]. That it takes as long as any other, and
# fails again, is assumed.
TRIES_EXTENSIONS_AGAIN: Final[tuple[Operation, ...]] = ("start", "redeploy")

# With an agent that reports this no extension is installed or taken away; the operation waits so
# long for it, from its start, and then has failed [rec test_vm_create_with_default_trusted_launch].
# That it also waits for one that has not reported yet, or whose system was never set up, is assumed.
DEAF: Final[tuple[AgentReport, ...]] = ("unresponsive", "not populated", "absent")
AGENT_GIVEN_UP_AFTER_S: Final = 1_500.0

# What an extension in a create request takes, one after the other [rec, n=90: median, 90th].
EXTENSION_SECONDS: Final = (48.0, 159.0)


def markdown() -> str:
    """Give the table of operations as Markdown, for the documentation."""
    lines = [
        "| operation | of | accepted in | shows (share of its seconds) | ends in | set to | its agent then | median s | slow s | witness |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in LIFECYCLE:
        shows = "<br>".join(
            f"{shown.provisioning} + {shown.power or 'no power state'} ({shown.share:.0%})"
            for shown in row.shows
        )
        accepted = ", ".join(power or "absent" for power in row.accepted_in)
        lines.append(
            f"| {row.operation} | {row.kind or 'any'} | {accepted} | {shows or 'nothing'} "
            f"| {row.ends_in or 'gone'} | {row.goal} | {row.agent} | {row.seconds[0]:g} | {row.seconds[1]:g} "
            f"| {row.witness} |"
        )
    return "\n".join(lines) + "\n"
