"""The fake as a test holds it: the parts put together, and views of what they hold."""

from __future__ import annotations

import datetime as _dt
import json
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args
from uuid import UUID
from weakref import ref

from pytest_azurevm import _resources as resources
from pytest_azurevm import _sleeping
from pytest_azurevm import _vm_model as models
from pytest_azurevm._arm import Arm
from pytest_azurevm._billing import Bill, bill
from pytest_azurevm._calls import Calls
from pytest_azurevm._clock import Clock
from pytest_azurevm._compute import Compute
from pytest_azurevm._errors import ArmError
from pytest_azurevm._failure import Failure
from pytest_azurevm._fake_vm import FakeVM
from pytest_azurevm._front import Front
from pytest_azurevm._frozen import FrozenTime
from pytest_azurevm._http import read_json
from pytest_azurevm._identity import Identity
from pytest_azurevm._lifecycle import (
    CONCURRENCIES,
    EDITIONS,
    SETTLED,
    Concurrency,
    EditionName,
    SettledState,
)
from pytest_azurevm._loops import Loops
from pytest_azurevm._neighbours import Neighbours
from pytest_azurevm._records import VirtualMachine
from pytest_azurevm._resource_ids import checked_group
from pytest_azurevm._rest import FakeClosed, LeftRunning, PollerLeftRunningWarning
from pytest_azurevm._rules import Injection, InjectionNeverStruck, Rules
from pytest_azurevm._timekeeper import Timekeeper
from pytest_azurevm._timing import Profile, Timing
from pytest_azurevm._vm_form import Json, checked

if TYPE_CHECKING:
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient

SUBSCRIPTION_ID: Final = "00000000-0000-4000-8000-000000000001"
TENANT_ID: Final = "00000000-0000-4000-8000-000000000002"
START: Final = "2026-01-01T00:00:00Z"
OsType: TypeAlias = Literal["Linux", "Windows"]
Sleeps: TypeAlias = Literal["virtual", "real"]
References: TypeAlias = Literal["lenient", "strict"]

_SLEEPS: Final[tuple[str, ...]] = get_args(Sleeps)
_REFERENCES: Final[tuple[str, ...]] = get_args(References)
_SETTABLE: Final = ("throttling",)
_SUBSCRIPTION: Final = re.compile(r"/subscriptions/([^/?]+)", re.IGNORECASE)
_SHOWN: Final = 10  # machines, and calls, in the report of a failing test
_NAMED: Final = 50  # machines, in the message about one that is not there
# What stands on the stack between whoever enters a fake and the fake.
_BETWEEN: Final = ("contextlib", "pytest_azurevm", "unittest")
_RUNNERS: Final = ("_pytest", "pluggy")  # who runs fixtures, and knows better whose a fake is
_turn: Final = threading.RLock()  # fakes are entered and left one at a time
_IMAGES: Final[dict[OsType, Json]] = {
    "Linux": {
        "publisher": "Canonical",
        "offer": "0001-com-ubuntu-server-jammy",
        "sku": "22_04-lts-gen2",
        "version": "latest",
    },
    "Windows": {
        "publisher": "MicrosoftWindowsServer",
        "offer": "WindowsServer",
        "sku": "2022-datacenter-g2",
        "version": "latest",
    },
}


class FakeCompute:
    """A fake Azure subscription whose virtual machines live.

    Use it as a context manager; in pytest, the ``fake_compute`` fixture does. It may be entered
    again while it is active: the outermost ``with`` ends it, or ``close()`` wherever that is
    called. There is one active fake at a time.

    While it is active, every client of azure-core's make in the process reaches it, whoever built
    that and when, sync or aio, with any credential, which is not asked; so does plain HTTP to
    Azure's REST API, and whoever signs in gets a token. What else is meant for Azure raises
    ``AzureOutOfReach``; other hosts are not touched. A ``transport=`` of the user's own is left as
    it is.

    Args:
        timing: how long operations take: ``"typical"``, ``"instant"`` or ``"slow"``.
        edition: ``"wire"``, what recorded Azure traffic shows, or ``"document"``, the lifecycle
            document to the letter.
        autojump: whether waiting moves virtual time.
        start: when virtual time starts, an aware datetime or ISO 8601 text. A frozen clock
            (freezegun) overrides it: its present is the fake's.
        seed: where the ids of VMs, disks and operations, and the chance of jitter, start from: the
            same seed, the same run.
        jitter: how far durations scatter about their figures: sigma of a log-normal factor, 0 for
            not at all, 3 at most.
        subscription_id: the default subscription, a UUID.
        concurrency: what becomes of two operations that meet on one machine where Azure's answer is
            not known: ``"assumed"``, as the lifecycle table assumes; ``"preempt"``, the newer one
            wins; ``"refuse"``, it is refused with 409. Pairs that are known stay as they are, and
            so does what a power state forbids.
        throttling: whether Azure's rate limits are enforced, in virtual time; they are always
            counted. It can be set later, too.
        strict: whether leaving the fake is an error while an injected failure has never struck.
        references: ``"lenient"``: groups, network interfaces and disks that a virtual machine
            names and nobody made are taken to exist; ``"strict"``: they are checked where Azure
            checks them.
        sleep: ``"virtual"``: ``time.sleep`` and asyncio's timers in the code under test are
            virtual too; ``"real"`` leaves them alone. ``time.time()``, ``time.monotonic()`` and the
            present of ``datetime`` are real in both, unless freezegun or time-machine freezes them:
            so a loop whose deadline reads them needs frozen time. Waits of ``threading`` (events,
            conditions, queues) with a timeout are real too.

    Raises:
        ValueError: an argument is none of what it can be.
    """

    _in_force: ClassVar[FakeCompute | None] = None
    _latest: ClassVar[ref[FakeCompute] | None] = None  # that was active, which may be over

    def __init__(
        self,
        *,
        timing: Profile = "typical",
        edition: EditionName = "wire",
        autojump: bool = True,
        start: _dt.datetime | str = START,
        seed: int = 0,
        jitter: float = 0.0,
        subscription_id: str = SUBSCRIPTION_ID,
        sleep: Sleeps = "virtual",
        concurrency: Concurrency = "assumed",
        throttling: bool = False,
        strict: bool = True,
        references: References = "lenient",
    ) -> None:
        if edition not in EDITIONS:
            raise ValueError(f"edition {edition!r} is not one of {', '.join(EDITIONS)}")
        if not isinstance(autojump, bool):
            raise TypeError(f"autojump must be True or False, not {autojump!r}")
        for name, flag in (("throttling", throttling), ("strict", strict)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} must be True or False, not {flag!r}")
        if concurrency not in CONCURRENCIES:
            raise ValueError(
                f"concurrency {concurrency!r} is not one of {', '.join(CONCURRENCIES)}"
            )
        if sleep not in _SLEEPS:
            raise ValueError(f"sleep {sleep!r} is not one of {', '.join(_SLEEPS)}")
        if references not in _REFERENCES:
            raise ValueError(f"references {references!r} is not one of {', '.join(_REFERENCES)}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be a whole number, not {seed!r}")
        self.subscription_id = _checked_subscription(subscription_id)
        self.tenant_id = TENANT_ID
        self.location = "westeurope"
        self.edition: EditionName = edition
        self._autojump, self._start, self._seed = autojump, start, seed
        self._profile, self._jitter, self._sleep = timing, jitter, sleep
        self._concurrency, self._throttling, self._strict = concurrency, throttling, strict
        self._references = references
        self._frozen = FrozenTime()
        self._client: Any = None
        self._aio_client: Any = None
        self._active = False
        self._closed = False
        self._depth = 0  # of one `with` inside another
        self._holder = ""  # whose it is, where somebody knows; for messages
        self._entered_at = ""
        self._build()

    def _build(self) -> None:
        self._time = Timekeeper(self._start, autojump=self._autojump, outside=self._frozen)
        self._clock = Clock(self._time)
        self._loops = Loops(self._time)
        self._timing = Timing(self._profile, jitter=self._jitter, seed=self._seed)
        self._compute = Compute(
            self._time,
            self._timing,
            EDITIONS[self.edition],
            tenant_id=self.tenant_id,
            seed=self._seed,
            concurrency=self._concurrency,
        )
        self._rules = Rules(seed=self._seed, strict=self._strict)
        self._excused = False  # what was injected may never strike: a test was cut short
        self._neighbours = Neighbours(
            self._compute, strict=self._references == "strict", home=self.subscription_id
        )
        self._arm = Arm(self._compute, self._rules, self._neighbours)
        self._arm.door.enforces_limits = self._throttling
        identity = Identity(
            tenant_id=self.tenant_id,
            subscription_id=self.subscription_id,
            location=self.location,
        )
        self._front = Front(self._arm, identity)

    if not TYPE_CHECKING:  # a type checker sees what there is, and nothing else

        def __setattr__(self, name: str, value: Any) -> None:
            # A name that is mistaken would set up nothing, and say so to nobody.
            if not name.startswith("_") and "_closed" in self.__dict__ and name not in _SETTABLE:
                raise AttributeError(
                    f"a fake has no {name!r} to set; it has {', '.join(_SETTABLE)}. Everything "
                    "else is given when it is made: FakeCompute(...), or the marker."
                )
            object.__setattr__(self, name, value)

    # --- being active --------------------------------------------------------------------------

    def __enter__(self) -> FakeCompute:
        from pytest_azurevm import _intercept, _pollers

        with _turn:
            if self._depth:
                self._depth += 1
                return self
            if FakeCompute._in_force is not None:
                raise RuntimeError(self._kept_out_by(FakeCompute._in_force))
            if self._closed:
                self._build()
                self._closed = False
            _pollers.install()
            _intercept.install(self._link())
            FakeCompute._in_force, FakeCompute._latest = self, ref(self)
            self._active = True
            self._depth, self._entered_at = 1, _caller()
            self._frozen.listen(self._sync)
            if self._sleep == "virtual":
                _sleeping.install(self._time)
                self._loops.install()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with _turn:
            self._depth = max(self._depth - 1, 0)  # close() may have ended them all
            if self._depth:
                return
        try:
            self.close()
            if error is None and not self._excused:
                self.check_injections()
        except Exception:
            if error is None:  # else that one is what the test is about
                raise

    def close(self) -> None:
        """End the fake, however often it was entered.

        Pollers still running end with it, and everything is put back.
        """
        from pytest_azurevm import _intercept, _pollers

        with _turn:
            if self._closed or not self._active:
                return
            self._closed = True
            self._depth = 0
        try:
            left = self._end_time()
        finally:
            self._active = False  # until now, a poller in the middle of a look is answered
            self._frozen.close()
            _intercept.uninstall()
            _pollers.uninstall()
            FakeCompute._in_force = None  # last: whoever is next finds everything put back
        for poller in left:
            warnings.warn_explicit(
                f"a poller was left running: {poller.who}. Wait for it (poller.result()), or move "
                "time to its end (clock.run_until_idle()), before the fake ends. If its operation "
                "never ends, end that: vm.cancel_operation().",
                PollerLeftRunningWarning,
                poller.filename,
                poller.lineno,
            )

    def reset(self) -> None:
        """Start anew: an empty subscription, no calls, the clock back at its start.

        Clients go on working; ``clock`` and ``timing`` are new objects. Every injected failure is
        taken back, and nothing is asked of it any more.
        """
        self._end_time()
        self._rules.drop()
        self._build()
        if self._active and self._sleep == "virtual":
            _sleeping.install(self._time)
            self._loops.install()

    def _end_time(self) -> tuple[LeftRunning, ...]:
        _sleeping.uninstall()
        try:
            return self._time.close()
        finally:
            self._loops.close()

    def _kept_out_by(self, other: FakeCompute) -> str:
        """Tell why this fake cannot be entered now, and the ways out."""
        if other is self:
            return "this fake is just ending. Enter it before its end, or once that is over."
        return (
            f"another fake is active already: {other._told_apart()}. The process has only one "
            "time and one Azure, so there is one fake at a time. Use that one (any subscription "
            "exists in it, and entering it again is fine), or end it first: leave its `with`, call "
            "its close(), or do without the fixture that holds it."
        )

    def _told_apart(self) -> str:
        """Tell which of all fakes this is, as far as known."""
        where = f"entered at {self._entered_at}" if self._entered_at else ""
        return ", ".join(part for part in (self._holder, where) if part) or "nobody knows whose"

    def _sync(self) -> None:
        self._time.sync()  # the clock in force: reset() makes a new one

    # --- the parts -----------------------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        """Virtual time."""
        return self._clock

    @property
    def timing(self) -> Timing:
        """How long operations take."""
        return self._timing

    @property
    def calls(self) -> Calls:
        """Every request that reached the fake, in order."""
        return self._arm.calls

    @property
    def client(self) -> ComputeManagementClient:
        """A real ``azure.mgmt.compute.ComputeManagementClient`` on this fake."""
        if self._client is None:
            from azure.mgmt.compute import ComputeManagementClient

            from pytest_azurevm import _transport

            self._client = ComputeManagementClient(
                _transport.FakeCredential(),
                self.subscription_id,
                transport=_transport.FakeTransport(self._link()),
            )
        found: ComputeManagementClient = self._client
        return found

    @property
    def aio_client(self) -> AsyncComputeManagementClient:
        """A real ``azure.mgmt.compute.aio.ComputeManagementClient`` on this fake."""
        if self._aio_client is None:
            from azure.mgmt.compute.aio import ComputeManagementClient

            from pytest_azurevm import _transport

            self._aio_client = ComputeManagementClient(
                _transport.AsyncFakeCredential(),
                self.subscription_id,
                transport=_transport.AsyncFakeTransport(self._link()),
            )
        found: AsyncComputeManagementClient = self._aio_client
        return found

    def _link(self) -> Any:
        from pytest_azurevm._transport import Link

        return Link(self._front_in_force, lambda: self._time, lambda: self._loops)

    def _front_in_force(self) -> Front:
        if not self._active:
            raise FakeClosed(
                "no fake is active behind this client: its requests are answered inside "
                "`with FakeCompute() as fake:` or a test that takes the fake_compute fixture."
            )
        return self._front

    # --- failures ------------------------------------------------------------------------------

    @property
    def throttling(self) -> bool:
        """Whether Azure's rate limits are enforced: an empty bucket refuses with 429.

        Requests that one machine allows, and how many more each minute: 12 and 4 for PUT, as many
        for PATCH, extensions and actions together, as many for delete and deallocate together; 36
        and 12 for GET. One operation allows 45 looks, and 15. A subscription's region allows 1,500
        and 500 of each kind of write, 24,000 and 8,000 GETs, and a subscription 900 and 300 lists.
        Source: doc "Throttling limits for Virtual Machines"; rec, the same figures in headers.
        """
        return self._arm.door.enforces_limits

    @throttling.setter
    def throttling(self, enforced: bool) -> None:
        if not isinstance(enforced, bool):
            raise TypeError(f"throttling must be True or False, not {enforced!r}")
        self._throttling = self._arm.door.enforces_limits = enforced

    def inject(
        self,
        failure: Failure,
        *,
        on: str | None = None,
        vm: str = "*",
        resource_group: str = "*",
        location: str = "*",
        size: str = "*",
        times: int | None = 1,
        after: int = 0,
        probability: float = 1.0,
    ) -> Injection:
        """Declare a failure: from now on it strikes the requests that meet the condition.

        Of several failures that meet one request, the one that was declared first has it. Those
        that only delay an operation, or change what is shown, leave it to the next as well.

        Requests about groups, networks and other stored resources are struck by what can befall
        any request (what is lost on the way, what the front door refuses), if it is declared on
        ``"*"`` and of no machine in particular; looks at their operations by what is on ``poll``.

        Args:
            failure: what happens, such as ``failures.AllocationFailed()``.
            on: the operation: the SDK's method without ``begin_`` (``create`` is the PUT of a VM
                that is absent, ``update`` that of one that is there, and PATCH), ``poll`` for looks
                at a long-running operation, or an fnmatch pattern of these. By default the usual
                one of the failure.
            vm: an fnmatch pattern of the machine's name, in any case, like those that follow.
            resource_group: of the group's name.
            location: of the region, as Azure spells it.
            size: of the machine's size, the new one where a request changes it.
            times: how often it strikes; ``None``: as often as it can. The SDK repeats most requests
                that break or are answered 429, 500, 502, 503 or 504, three times: only the fourth
                hit in a row reaches the code under test.
            after: how many requests that meet the condition pass first.
            probability: the chance with which it strikes each of the others, by the fake's seed.

        Returns:
            The rule in force: it counts its ``hits``, and can be taken back by ``remove()`` or, as
            a context manager, at the end of its block.

        Raises:
            TypeError: an argument is not of its kind.
            ValueError: there is no such operation, the failure does not fit it, or a number cannot
                be.
        """
        injection = Injection(
            self._rules,
            failure,
            on=on,
            vm=vm,
            resource_group=resource_group,
            location=location,
            size=size,
            times=times,
            after=after,
            probability=probability,
        )
        self._time.sync()
        with self._time.lock:
            self._rules.add(injection)
        return injection

    def check_injections(self) -> None:
        """See that every injected failure has struck. A strict fake does so at its end.

        Raises:
            InjectionNeverStruck: one never did; the message says what it waited for.
        """
        missed = self._rules.never_struck() if self._strict else ()
        if missed:
            raise InjectionNeverStruck("\n\n".join(rule.account() for rule in missed))

    # --- virtual machines ----------------------------------------------------------------------

    def add_vm(
        self,
        name: str,
        *,
        resource_group: str = "rg",
        location: str | None = None,
        power_state: SettledState = "running",
        os_type: OsType = "Linux",
        size: str = "Standard_D2s_v5",
        subscription_id: str | None = None,
        parameters: Any = None,
    ) -> FakeVM:
        """Seed a virtual machine that has long been there, without waiting.

        Args:
            name: the VM's name.
            resource_group: the group that it is in; it need not be made.
            location: a region; by default the fake's.
            power_state: ``"running"``, ``"stopped"`` or ``"deallocated"``.
            os_type: ``"Linux"`` or ``"Windows"``.
            size: the VM size.
            subscription_id: a UUID; by default the fake's.
            parameters: more of its model: an SDK ``VirtualMachine`` or a dict as the SDK takes
                it. What it says goes before the other arguments, member by member; an image takes
                the place of the default one, and so does an OS disk to attach, which brings users
                of its own.

        Raises:
            ValueError: the VM exists, or could not.
        """
        if power_state not in SETTLED:
            raise ValueError(f"power_state {power_state!r} is not one of {', '.join(SETTLED)}")
        if os_type not in _IMAGES:
            raise ValueError(f"os_type {os_type!r} is not one of {', '.join(_IMAGES)}")
        subscription = _checked_subscription(subscription_id or self.subscription_id)
        self._time.sync()
        with self._time.lock:
            if self._compute.vms.find(subscription, resource_group, name) is not None:
                raise ValueError(f"{name} exists already in resource group {resource_group}")
            try:
                checked_group(resource_group)
                asked = {} if parameters is None else _read(_wire_form(parameters))
                defaults = self._defaults(name, resource_group, subscription, os_type, asked)
                defaults["location"] = location or self.location
                defaults["properties"]["hardwareProfile"] = {"vmSize": size}
                body = _read(models.merged(defaults, asked))
                vm = self._compute.seed(subscription, resource_group, name, body, power_state)
                self._neighbours.seeded(vm)
            except ArmError as error:
                raise ValueError(f"Azure would not have {name}: {error}") from None
            return FakeVM(self._compute, vm)

    def _defaults(
        self, name: str, group: str, subscription: str, os_type: OsType, asked: Json
    ) -> Json:
        """Give what a VM is made of of which *asked* says nothing."""
        storage = (asked.get("properties") or {}).get("storageProfile") or {}
        attached = (storage.get("osDisk") or {}).get("createOption") == "Attach"
        image = storage.get("imageReference") or {}
        nics = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            "/providers/Microsoft.Network/networkInterfaces"
        )
        properties: Json = {"networkProfile": {"networkInterfaces": [{"id": f"{nics}/{name}-nic"}]}}
        if attached or ("imageReference" in storage and not image.get("publisher")):
            properties["storageProfile"] = {"osDisk": {"osType": os_type}}
        elif not image:
            properties["storageProfile"] = {"imageReference": _IMAGES[os_type]}
        if not attached:
            properties["osProfile"] = {
                "computerName": _computer_name(name, os_type),
                "adminUsername": "azureuser",
            }
        return {"properties": properties}

    def vm(
        self, name: str, resource_group: str | None = None, subscription_id: str | None = None
    ) -> FakeVM:
        """Give the virtual machine of that name, in any group and subscription unless told.

        Raises:
            KeyError: there is none, or more than one.
            ValueError: the subscription is no UUID.
        """
        self._time.sync()
        subscription = _checked_subscription(subscription_id) if subscription_id else None
        found = [
            vm
            for vm in self._compute.vms.named(name)
            if (resource_group is None or vm.resource_group.lower() == resource_group.lower())
            and (subscription is None or vm.subscription_id == subscription)
        ]
        if len(found) == 1:
            return FakeVM(self._compute, found[0])
        if found:
            places = ", ".join(f"{vm.subscription_id}/{vm.resource_group}" for vm in found)
            raise KeyError(
                f"{name!r} is ambiguous: it exists in {places}. "
                "Name the resource_group, or the subscription_id."
            )
        where = f"in resource group {resource_group!r}" if resource_group is not None else "here"
        if subscription is not None:
            where += f", in subscription {subscription}"
        known = [f"{vm.resource_group}/{vm.name}" for vm in islice(self._all(), _NAMED)]
        if len(self._compute.vms) > _NAMED:
            known.append(f"and {len(self._compute.vms) - _NAMED} more")
        raise KeyError(
            f"no virtual machine {name!r} {where}; there are: {', '.join(known) or 'none'}"
        )

    def _all(self) -> Iterator[VirtualMachine]:
        return self._compute.vms.listed()

    @property
    def vms(self) -> tuple[FakeVM, ...]:
        """Every virtual machine there is, of all subscriptions, the oldest first."""
        self._time.sync()
        return tuple(FakeVM(self._compute, vm) for vm in self._all())

    @property
    def bill(self) -> Bill:
        """What all virtual machines have cost until now, deleted ones included."""
        self._time.sync()
        vms = [*self._all(), *self._compute.deleted()]
        return bill(vms, EDITIONS[self.edition], self._time.now_us, self._time.calendar)

    def __repr__(self) -> str:
        return (
            f"<FakeCompute at {self._time.calendar(self._time.now_us).isoformat()}: "
            f"{len(self._compute.vms)} VMs>"
        )

    def _account(self) -> str:
        """Tell what a failing test's report shows. Looks at nothing outside, and moves no time."""
        clock, edition = self._time, EDITIONS[self.edition]
        vms = sorted(self._all(), key=lambda vm: vm.operation is None)
        lines = [f"virtual time {clock.calendar(clock.now_us).isoformat()}"]
        lines += [
            f"{vm.resource_group}/{vm.name}: {vm.power or 'no power state'}, "
            f"{resources.provisioning_state_of(vm, edition)}"
            + (f", {vm.operation.operation} in flight" if vm.operation else "")
            for vm in vms[:_SHOWN]
        ]
        if len(vms) > _SHOWN:
            lines.append(f"... and {len(vms) - _SHOWN} more virtual machines")
        if self._rules:
            lines.append("injected:")
            lines += [f"  {rule.told()}" for rule in self._rules.in_force()]
        last = self.calls[-_SHOWN:]
        lines.append(f"last {len(last)} of {len(self.calls)} calls:" if last else "no calls")
        lines += [f"  {call}" for call in last]
        lines += [
            f"there is no machine in subscription {named}, which was asked; "
            f"fake.add_vm(..., subscription_id={named!r}) puts one there"
            for named in self._asked_in_vain(vms)
        ]
        return "\n".join(lines)

    def _asked_in_vain(self, vms: Sequence[VirtualMachine]) -> list[str]:
        """Give the subscriptions that requests named, where every machine is in another one."""
        found = (_SUBSCRIPTION.search(call.url) for call in self.calls)
        asked = dict.fromkeys(match[1].lower() for match in found if match is not None)
        return [one for one in asked if vms and all(vm.subscription_id != one for vm in vms)]


def _caller() -> str:
    """Give the line that enters a fake; nothing where that is a test runner's."""
    frame = sys._getframe(2)  # noqa: SLF001  documented, in spite of its name
    while (package := _package_of(frame)) in _BETWEEN and frame.f_back is not None:
        frame = frame.f_back
    return "" if package in _RUNNERS else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _checked_subscription(subscription_id: str) -> str:
    try:
        return str(UUID(subscription_id))
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"subscription_id must be a UUID, not {subscription_id!r}") from None


def _read(body: Any) -> Json:
    """Judge a body as one that came over the wire."""
    value, text = read_json(json.dumps(body).encode())
    return checked(value, text)


def _computer_name(name: str, os_type: str) -> str:
    fitting = "".join(char for char in name if char.isalnum() or char == "-") or "vm"
    return fitting[:15] if os_type == "Windows" else fitting[:64]


def _wire_form(parameters: Any) -> Any:
    """Give an SDK model, of any of its releases, or a dict as the JSON that the SDK would send."""
    if isinstance(parameters, dict):
        return _dict_form(parameters)
    for dumped in ("serialize", "as_dict"):  # models of releases before 38, and since
        if hasattr(parameters, dumped):
            return getattr(parameters, dumped)()
    raise TypeError(
        f"parameters must be an SDK VirtualMachine or a dict, not {type(parameters).__name__}"
    )


def _dict_form(parameters: Mapping[str, Any]) -> Any:
    """Give a dict as the SDK that is installed would send it."""
    from azure.mgmt.compute.models import VirtualMachine

    from_dict = getattr(VirtualMachine, "from_dict", None)
    if from_dict is not None:  # before 38, names of attributes were taken too
        return from_dict(parameters).serialize()
    return json.loads(json.dumps(parameters))
