"""Which virtual machines there are: found by id, name, group and subscription.

Whatever is asked costs the same however many there are of others; each listing is in the order of
creation, and goes on from any place in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from pytest_azurevm._records import VirtualMachine, key_of

_SWEEP_AT: Final = 64  # deleted ones that a listing holds at least before it is swept


class Register:
    """Every virtual machine that exists. Subscriptions are spelled as ``str(UUID())`` does."""

    def __init__(self) -> None:
        self._by_id: dict[str, VirtualMachine] = {}
        self._listings: dict[str, _Listing] = {"": _Listing()}  # all, by subscription, by group
        # Most names are borne by one VM: that one itself, so that as little as possible is kept.
        self._by_name: dict[str, VirtualMachine | _Listing] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, vm: VirtualMachine) -> None:
        """Add *vm*, which was created after every other."""
        self._by_id[vm.key] = vm
        for key in _places(vm):
            self._listings.setdefault(key, _Listing()).add(vm)
        name = vm.name.lower()
        namesake = self._by_name.setdefault(name, vm)
        if isinstance(namesake, VirtualMachine) and namesake is not vm:
            self._by_name[name] = both = _Listing()
            both.add(namesake)
            both.add(vm)
        elif isinstance(namesake, _Listing):
            namesake.add(vm)

    def remove(self, vm: VirtualMachine) -> None:
        """Take *vm* off, which is marked as deleted."""
        del self._by_id[vm.key]
        for key in _places(vm):
            if not self._listings[key].drop_one() and key:
                del self._listings[key]
        found = self._by_name[vm.name.lower()]
        if found is vm or (isinstance(found, _Listing) and not found.drop_one()):
            del self._by_name[vm.name.lower()]

    def find(self, subscription_id: str, group: str, name: str) -> VirtualMachine | None:
        """Give the VM, names compared without regard to case."""
        return self._by_id.get(key_of(subscription_id, group, name))

    def named(self, name: str) -> Iterator[VirtualMachine]:
        """Give the VMs of that name, in whichever case, of all groups and subscriptions."""
        found = self._by_name.get(name.lower())
        return iter((found,)) if isinstance(found, VirtualMachine) else _after(found, 0)

    def listed(
        self, subscription_id: str = "", group: str = "", *, after: int = 0
    ) -> Iterator[VirtualMachine]:
        """Give all VMs, a subscription's, or a group's, that come after the sequence *after*."""
        return _after(self._listings.get(key_of(subscription_id, group)), after)


class _Listing:
    """Virtual machines by sequence. A delete is cheap: the deleted are swept now and then."""

    __slots__ = ("deleted", "vms")

    def __init__(self) -> None:
        self.vms: list[VirtualMachine] = []
        self.deleted = 0

    def add(self, vm: VirtualMachine) -> None:
        self.vms.append(vm)

    def drop_one(self) -> int:
        """Note that one of them was deleted, and say how many are left."""
        self.deleted += 1
        if self.deleted > max(_SWEEP_AT, len(self.vms) // 2):
            self.vms = [vm for vm in self.vms if vm.deleted_us is None]  # who reads on, reads on
            self.deleted = 0
        return len(self.vms) - self.deleted


def _after(listing: _Listing | None, sequence: int) -> Iterator[VirtualMachine]:
    vms = listing.vms if listing is not None else []
    for position in range(bisect_right(vms, sequence, key=lambda vm: vm.sequence), len(vms)):
        if vms[position].deleted_us is None:
            yield vms[position]


def _places(vm: VirtualMachine) -> tuple[str, str, str]:
    return ("", key_of(vm.subscription_id), key_of(vm.subscription_id, vm.resource_group))
