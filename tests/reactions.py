"""How good applications react to Azure's failures, and how naive ones do: code as teams write it.

Nothing here knows of a fake: it is given a client, and waits with ``time.sleep``. A function whose
name begins with ``naive`` is a bug that was met in the field; its docstring says where.
"""

# ruff: noqa: PERF203  loops that try again are what this is about

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)

NO_CAPACITY: Final = frozenset({
    "AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest", "SkuNotAvailable",
})  # fmt: skip
CONCURRENT: Final = frozenset({"Conflict", "ConflictingConcurrentWriteNotAllowed"})


class GivenUpError(Exception):
    """The application's own patience is over."""


# --- reading -----------------------------------------------------------------------------------


def code_of(error: HttpResponseError) -> str:
    """Give Azure's code for an error."""
    return (error.error.code if error.error else None) or ""


def found_in(view: Any, category: str) -> str | None:
    """Search an instance view's statuses by the prefix of their codes; there may be none at all."""
    for status in getattr(view, "statuses", None) or ():
        prefix, _, state = (status.code or "").partition("/")
        if prefix == category:
            return state
    return None


def power_state(client, group, name) -> str | None:
    """Give a machine's power state, or ``None`` if it shows none just now."""
    return found_in(client.virtual_machines.instance_view(group, name), "PowerState")


def known_power_state(client, group, name, *, looks=10, every_s=5) -> str:
    """Look until a machine shows a power state that one can act upon."""
    for _ in range(looks):
        view = client.virtual_machines.instance_view(group, name)
        state = found_in(view, "PowerState")
        if state not in (None, "unknown"):
            return state
        time.sleep(every_s)
    raise GivenUpError(f"{name} shows no power state")


def is_gone(client, group, name) -> bool:
    """Say whether a machine is no more, whoever says so: ARM and Compute differ in their codes."""
    try:
        client.virtual_machines.get(group, name)
    except ResourceNotFoundError:
        return True
    return False


def power_states(client, group) -> dict[str, str | None]:
    """Give each machine's power state; one that a list still shows may be gone by now."""
    found = {}
    for vm in client.virtual_machines.list(group):
        try:
            found[vm.name] = power_state(client, group, vm.name)
        except ResourceNotFoundError:
            continue
    return found


# --- coming up ---------------------------------------------------------------------------------


def create_in_one_of(client, group, name, candidates: Iterable[Any]) -> int:
    """Create a machine as the first of *candidates* for which there is capacity; say which it was.

    What a failed create leaves behind is deleted before the next.
    """
    for number, parameters in enumerate(candidates):
        try:
            client.virtual_machines.begin_create_or_update(group, name, parameters).result()
        except HttpResponseError as error:
            if code_of(error) not in NO_CAPACITY:
                raise
            client.virtual_machines.begin_delete(group, name).result()
        else:
            return number
    raise GivenUpError(f"no capacity for {name} anywhere")


def start_at_any_size(client, group, name, other_size: bytes, *, pause_s=300) -> None:
    """Start a machine; if there is no capacity come again in minutes, and then as another size."""
    for _ in range(2):
        try:
            client.virtual_machines.begin_start(group, name).result()
        except HttpResponseError as error:
            if code_of(error) not in NO_CAPACITY:
                raise
            time.sleep(pause_s)
        else:
            return
    client.virtual_machines.begin_update(group, name, other_size).result()
    client.virtual_machines.begin_start(group, name).result()


def create_or_say_why(client, group, name, parameters) -> str:
    """Create a machine; a quota that is used up is told to whoever can have it raised."""
    try:
        client.virtual_machines.begin_create_or_update(group, name, parameters).result()
    except HttpResponseError as error:
        if code_of(error) == "OperationNotAllowed" and "quota" in str(error.message).lower():
            return "quota"
        raise
    return "created"


def create_patiently(client, group, name, parameters, *, patience_s=1800) -> str:
    """Create a machine whose image may be slow; give it time, unless Azure has given it up.

    Then it is deleted, and created anew.
    """
    create = client.virtual_machines.begin_create_or_update
    try:
        create(group, name, parameters).result()
    except HttpResponseError as error:
        if code_of(error) != "OSProvisioningTimedOut":
            raise
        terminal = "terminal state" in str(error.message)
    else:
        return "created"
    looks = 0 if terminal else patience_s // 60
    for look in range(looks):
        if client.virtual_machines.get(group, name).provisioning_state == "Succeeded":
            return "recovered"
        if look + 1 < looks:
            time.sleep(60)
    client.virtual_machines.begin_delete(group, name).result()
    create(group, name, parameters).result()
    return "recreated"


def wait_for_guest(client, group, name, *, every_s=10, patience_s=600) -> float:
    """Wait until a machine's agent is Ready, and give the seconds that took."""
    for look in range(patience_s // every_s):
        view = client.virtual_machines.instance_view(group, name)
        agent = view.vm_agent.statuses[0].display_status if view.vm_agent else "absent"
        if agent == "Ready":
            return look * every_s
        time.sleep(every_s)
    raise GivenUpError(f"the guest of {name} does not report")


def create_unless_deleted(client, group, name, parameters) -> str:
    """Create a machine; Canceled is an end like others: somebody wanted something newer."""
    try:
        client.virtual_machines.begin_create_or_update(group, name, parameters).result()
    except HttpResponseError as error:
        if code_of(error) != "OperationPreempted":
            raise
        return "preempted"
    return "created"


def create_spot(client, group, name, candidates: Iterable[Any]) -> int:
    """Create a Spot machine; one that is evicted meanwhile is tried elsewhere."""
    for number, parameters in enumerate(candidates):
        if create_unless_deleted(client, group, name, parameters) == "created":
            return number
        client.virtual_machines.begin_delete(group, name).result()  # of one that is gone: 204
    raise GivenUpError(f"{name} is evicted everywhere")


# --- writing -----------------------------------------------------------------------------------


def with_backoff(call: Callable[[], Any], *, tries=5, first_s=2.0, factor=1.5) -> Any:
    """Call again, a little later, what met another write of the same machine."""
    pause_s = first_s
    for left in reversed(range(tries)):
        try:
            return call()
        except ResourceExistsError as error:  # the SDK's name for every 409
            if code_of(error) not in CONCURRENT or not left:
                raise
        time.sleep(pause_s)
        pause_s *= factor
    raise AssertionError  # the last try has returned, or raised


def tag(client, group, name, tags: Mapping[str, str], body_of: Callable[[dict], bytes]) -> int:
    """Add tags to a machine, and give the tries that took: whoever is preempted looks again."""
    for tries in range(1, 6):
        vm = client.virtual_machines.get(group, name)
        wanted = {**(vm.tags or {}), **tags}
        if vm.tags == wanted:
            return tries - 1  # the preempted write has left its change
        etag = getattr(vm, "etag", None)
        headers = {"If-Match": etag} if etag else {}
        try:
            client.virtual_machines.begin_update(
                group, name, body_of({"tags": wanted}), headers=headers
            ).result()
        except HttpResponseError as error:
            if code_of(error) != "OperationPreempted" and error.status_code != 412:
                raise
        else:
            return tries
    raise GivenUpError(f"{name} is written by others all the time")


def repair(client, group, name) -> str:
    """Repair a machine whose last operation failed: the state is that operation's, not its own."""
    vm = client.virtual_machines.get(group, name)
    if vm.provisioning_state != "Failed" or power_state(client, group, name) != "running":
        return "left alone"
    client.virtual_machines.begin_reapply(group, name).result()
    return "reapplied"


def install(client, group, name, extension, parameters, *, deadline_s=600) -> str:
    """Install an extension; one that takes too long is taken off, for the machine is of use."""
    extensions = client.virtual_machine_extensions
    poller = extensions.begin_create_or_update(group, name, extension, parameters)
    poller.wait(deadline_s)
    if poller.done():
        poller.result()
        return "installed"
    extensions.begin_delete(group, name, extension).result()
    return "taken off"


def exit_code(client, group, name, extension) -> int | None:
    """Read in the instance view with what a failed extension's script ended."""
    view = client.virtual_machines.instance_view(group, name)
    for one in view.extensions or ():
        failed = found_in(one, "ProvisioningState") or ""
        if one.name == extension and failed.startswith("failed/"):
            return int(failed.partition("/")[2])
    return None


def install_on_any(client, group, name, extension, parameters) -> str:
    """Install an extension; a machine that is off is started for that."""
    extensions = client.virtual_machine_extensions
    try:
        extensions.begin_create_or_update(group, name, extension, parameters).result()
    except ResourceExistsError as error:
        if "not running" not in str(error.message):
            raise
    else:
        return "installed"
    client.virtual_machines.begin_start(group, name).result()
    extensions.begin_create_or_update(group, name, extension, parameters).result()
    return "started and installed"


# --- off, and on again -------------------------------------------------------------------------


def power_off(client, group, name) -> str:
    """Power a machine off; one that is deallocated is off already."""
    try:
        client.virtual_machines.begin_power_off(group, name).result()
    except ResourceExistsError as error:
        if "deallocated" not in str(error.message):
            raise
        return "off already"
    return "powered off"


def restart(client, group, name) -> str:
    """Restart a machine; one that does not run is started."""
    try:
        client.virtual_machines.begin_restart(group, name).result()
    except ResourceExistsError as error:
        if "to be running" not in str(error.message):
            raise
    else:
        return "restarted"
    client.virtual_machines.begin_start(group, name).result()
    return "started"


def deallocate_what_stopped(client, group) -> list[str]:
    """Deallocate the machines that somebody shut down from inside: they cost as if they ran."""
    stopped = [name for name, state in power_states(client, group).items() if state == "stopped"]
    for name in stopped:
        client.virtual_machines.begin_deallocate(group, name).result()
    return stopped


def generalize(client, group, name) -> None:
    """Make a machine the source of images: whatever its guest did, Azure has to be told."""
    client.virtual_machines.begin_power_off(group, name).result()
    client.virtual_machines.generalize(group, name)


def start_or_replace(client, group, name, replacement: str, parameters) -> str:
    """Start a machine; one that was generalized is none any more: another takes its place."""
    try:
        client.virtual_machines.begin_start(group, name).result()
    except ResourceExistsError as error:
        if "is generalized" not in str(error.message):
            raise
    else:
        return name
    client.virtual_machines.begin_create_or_update(group, replacement, parameters).result()
    return replacement


def keep_working(client, group, name, on_demand: str, parameters, *, every_s=10) -> str:
    """Wait for a Spot machine's eviction, start it again, or go on with one on demand."""
    while power_state(client, group, name) != "deallocated":
        time.sleep(every_s)
    try:
        client.virtual_machines.begin_start(group, name).result()
    except HttpResponseError as error:
        if code_of(error) not in NO_CAPACITY:
            raise
        client.virtual_machines.begin_create_or_update(group, on_demand, parameters).result()
        return on_demand
    return name


# --- waiting for what Azure keeps --------------------------------------------------------------


def create_on_reserved_nic(client, group, name, parameters, *, tries=10, pause_s=20) -> int:
    """Create a machine on a network interface that may be reserved yet; give the tries it took."""
    for tried in range(1, tries + 1):
        try:
            client.virtual_machines.begin_create_or_update(group, name, parameters).result()
        except HttpResponseError as error:
            if code_of(error) != "NicReservedForAnotherVm":
                raise
            time.sleep(pause_s)
        else:
            return tried
    raise GivenUpError(f"the network interface of {name} stays reserved")


def honouring_retry_after(call: Callable[[], Any], *, tries=3) -> Any:
    """Call again when Azure says so."""
    for left in reversed(range(tries)):
        try:
            return call()
        except HttpResponseError as error:
            if error.status_code != 429 or not left:
                raise
            time.sleep(float(error.response.headers["Retry-After"]))
    raise AssertionError  # the last try has returned, or raised


def recreate(client, group, name, parameters, *, every_s=15, tries=20) -> int:
    """Delete a machine and create it anew, once its name is free; give the tries that took."""
    client.virtual_machines.begin_delete(group, name).result()
    while not is_gone(client, group, name):
        time.sleep(every_s)
    for tried in range(1, tries + 1):
        try:
            client.virtual_machines.begin_create_or_update(group, name, parameters).result()
        except (ResourceNotFoundError, ResourceExistsError):  # of what was there before
            time.sleep(every_s)
        else:
            return tried
    raise GivenUpError(f"the name {name} is not freed")


# --- naive ones --------------------------------------------------------------------------------


def naive_has_failed(client, group, name) -> bool:
    """Look for the code without what may follow it (hail-is/hail#11393 waited for ever)."""
    view = client.virtual_machines.instance_view(group, name)
    return any(status.code == "ProvisioningState/failed" for status in view.statuses)


def naive_codes(client, group, name) -> dict[str, str]:
    """Take each code for two parts (skypilot-org/skypilot#3483)."""
    view = client.virtual_machines.instance_view(group, name)
    return dict(status.code.split("/") for status in view.statuses)


def naive_second_status(client, group, name) -> str:
    """Take the second status for the power state (Parsl, cloudbridge)."""
    view = client.virtual_machines.instance_view(group, name)
    return view.statuses[1].display_status


def naive_last_status(client, group, name) -> str:
    """Take the last status for the power state (scylla-cluster-tests)."""
    view = client.virtual_machines.instance_view(group, name)
    return view.statuses[-1].display_status


def naive_create_if_absent(client, group, name, parameters) -> str:
    """Read ``ResourceExistsError`` as its name says; it is every 409 (microsoft/lisa#4623)."""
    try:
        client.virtual_machines.begin_create_or_update(group, name, parameters).result()
    except ResourceExistsError:
        return "exists already"
    return "created"


def naive_wait(poller, *, patience_s=3600) -> str:
    """Know two ends of an operation, of three (OctopusDeploy/Issues#3391 waited for ever)."""
    for _ in range(patience_s // 30):
        if poller.status() in ("Succeeded", "Failed"):
            return poller.status()
        time.sleep(30)
    raise GivenUpError(f"still {poller.status()}")


def naive_is_gone(client, group, name) -> bool:
    """Know one code for what is gone, of two (scylladb/scylla-cluster-tests#15183)."""
    try:
        client.virtual_machines.get(group, name)
    except HttpResponseError as error:
        if code_of(error) != "ResourceNotFound":
            raise
        return True
    return False


def naive_clean_up(client, group) -> list[str]:
    """Delete whatever says Failed (kubernetes/autoscaler#5767)."""
    failed = [vm.name for vm in client.virtual_machines.list(group)
              if vm.provisioning_state == "Failed"]  # fmt: skip
    for name in failed:
        client.virtual_machines.begin_delete(group, name).result()
    return failed


def naive_is_off(client, group, name) -> bool:
    """Ask for the last operation, which a guest's own shutdown is none of."""
    return client.virtual_machines.get(group, name).provisioning_state != "Succeeded"


def naive_power_states(client, group) -> dict[str, str | None]:
    """Trust a list (Azure/azure-sdk-for-java#35524)."""
    return {
        vm.name: power_state(client, group, vm.name) for vm in client.virtual_machines.list(group)
    }


def naive_watch(client, group, name, *, seconds) -> None:
    """Look at one machine each second, and leave no room for being told to wait."""
    for _ in range(seconds):
        client.virtual_machines.get(group, name, retry_total=0)
        time.sleep(1)
