"""Requests to write or delete a stored resource, judged before anything changes."""

from __future__ import annotations

from typing import Any, Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._resource_groups import ResourceGroups
from pytest_azurevm._resource_ids import (
    Address,
    address_of_id,
    checked_resource_name,
    in_capitals,
    references,
)
from pytest_azurevm._store import Resource
from pytest_azurevm._vm_form import Json

# What a resource that is not there is answered with, where its provider answers itself [rec].
_ABSENT: Final = {
    "microsoft.compute/disks": "no-such-disk",
    "microsoft.compute/snapshots": "no-such-snapshot",
    "microsoft.compute/diskaccesses": "no-such-disk-access",
    "microsoft.compute/diskencryptionsets": "no-such-encryption-set",
}


class ResourceJudge(ResourceGroups):
    """What refuses a request about a stored resource. Nothing here changes anything."""

    def absent(self, address: Address) -> ArmError:
        """Give the error of a resource that is not there."""
        kind = address.type.lower()
        if kind in _ABSENT:
            return arm_error(_ABSENT[kind], name=address.name)
        if address.is_child:
            self.judge_whole(address)
            if address.namespace.lower() == "microsoft.network":
                return arm_error("no-such-child", id=address.id)
        if not address.group:
            return arm_error("no-such-resource", name=address.name)
        pairs = [part for pair in zip(address.types, address.names, strict=True) for part in pair]
        of = "/".join((address.namespace, *pairs[:-1]))
        return arm_error("no-such-vm", type=of, name=address.name, group=address.group)

    def judge_whole(self, address: Address) -> None:
        """See that what a child belongs to is there [rec: the whole is named, not the child].

        Raises:
            ArmError: it is not.
        """
        if address.is_child:
            whole = address._replace(types=address.types[:1], names=address.names[:1])
            if self.find(whole.id) is None:
                raise self.absent(whole)

    def _judge_place(self, address: Address, body: Json, old: Resource | None) -> Resource | None:
        """See that something may be written there; give what it belongs to."""
        checked_resource_name(address.name)
        for member, expected in (("name", address.name), ("type", address.type)):
            given = body.get(member)
            if isinstance(given, str) and given.lower() != expected.lower() and "/" not in given:
                raise arm_error("other-type", member=member, given=given, expected=expected)
        if address.group:
            self.judge_group(address.subscription, address.group, writes=True)
        if address.type.lower() in types.READ_ONLY:
            raise arm_error("no-method", method="PUT")
        self._judge_locks(address.id, "write")
        if old is not None and old.provisioning == "Deleting":
            raise arm_error("being-deleted", id=old.id)
        if address.is_extension:
            self._judge_scope(address)
        if not address.is_child:
            return None
        parent = self._store.find(address.parent.key)
        if parent is None:
            raise arm_error(
                "no-parent",
                action="write",
                type="/".join(address.types),
                parent=address.parent.id,
            )
        return parent

    def _judge_scope(self, address: Address) -> None:
        """See that what an extension is written at is there: a machine, or a stored resource."""
        of = address_of_id(address.scope)
        if of is None or self.find(of.id) is not None:
            return
        vms = self.compute.vms
        if of.type.lower() == "microsoft.compute/virtualmachines" and vms.find(
            of.subscription, of.group, of.name
        ):
            return
        raise arm_error("no-such-vm", type=of.type, name=of.name, group=of.group)

    def _judge_content(self, address: Address, body: Json) -> None:
        kinds = types.CHILDREN.get(address.type.lower(), ())
        properties = body.get("properties")
        if properties is not None and not isinstance(properties, dict):
            reason = "Error converting value to type 'Properties'. Path 'properties'."
            raise arm_error("bad-content", reason=reason)
        if address.namespace.lower() in types.SHAPED:
            _judge_shapes(body, "")
        tags = body.get("tags")
        if tags is not None and not (
            isinstance(tags, dict) and all(isinstance(value, str) for value in tags.values())
        ):
            reason = "Error converting value to type 'String'. Path 'tags'."
            raise arm_error("bad-content", reason=reason)
        for kind in kinds:
            items = (properties or {}).get(kind)
            if items is None:
                continue
            if not isinstance(items, list) or not all(_has_name(item) for item in items):
                raise arm_error("nameless-child", member=kind)
            names = {item["name"].lower() for item in items}
            resource = self._store.find(address.key)
            for child in () if resource is None else self.children(resource, kind):
                if child.name.lower() not in names:
                    self._judge_use(child, child)
        if self.strict:
            self._judge_references(address, body)

    def _judge_references(self, address: Address, body: Json) -> None:
        """See that what a network's resource, or an image, refers to is there [rec]."""
        if address.type.lower() == "microsoft.compute/images":
            for target in references(body):
                of = address_of_id(target)
                if of is not None and of.types[0].lower() in _SOURCES and self.find(target) is None:
                    raise arm_error("no-such-operation", target=target)  # the same words [rec]
        if address.namespace.lower() != "microsoft.network":
            return
        for target in references(body):
            found = address_of_id(target)
            if (
                found is not None
                and found.namespace.lower() == "microsoft.network"
                and found.key != address.key
                and not found.key.startswith(f"{address.key}/")
                and self._store.find(found.key) is None
            ):
                missing = in_capitals(target)
                error = arm_error("no-reference", id=missing, by=address.id)
                detail = arm_error("no-such-child", id=missing)
                raise ArmError(
                    error.status,
                    error.code,
                    error.message,
                    details=[{"code": detail.code, "message": detail.message}],
                )

    def _judge_use(self, resource: Resource, whole: Resource) -> None:
        """See that nobody needs a resource; what belongs to *whole* does not count."""
        if resource.type == types.NIC:
            vm = self.user_of_nic(resource.key)
            if vm is not None:
                raise arm_error("nic-in-use", id=resource.id, by=vm.resource_id)
        if resource.type == types.DISK:
            vm = self.user_of_disk(resource.key)
            if vm is not None:
                raise arm_error("disk-attached", name=resource.name, by=vm.resource_id)
        if resource.type == types.AVAILABILITY_SET and any(
            True for _ in self.machines_of(resource)
        ):
            raise arm_error("set-in-use", name=resource.name)
        held = types.HELD.get(resource.type.lower())
        if held is None:
            return
        below = f"{whole.key}/"
        users = [
            one.id
            for one in self._store.referrers(resource.key)
            if one is not whole and not one.key.startswith(below)
        ]
        if users:
            raise arm_error(
                held.error, id=resource.id, name=resource.name, by=users[0], all=", ".join(users)
            )


# What an image is made of, machines aside.
_SOURCES: Final = ("disks", "snapshots")


def _judge_shapes(value: Any, path: str) -> None:
    """See that the members that are read here are of their kinds.

    Raises:
        ArmError: one is not.
    """
    if isinstance(value, list):
        for number, item in enumerate(value):
            _judge_shapes(item, f"{path}[{number}]")
    if not isinstance(value, dict):
        return
    for member, item in value.items():
        kind = types.SHAPES.get(member)
        where = f"{path}.{member}".lstrip(".")
        if (
            kind is not None
            and item is not None
            and (not isinstance(item, kind) or isinstance(item, bool))
        ):
            name = f"{member[0].upper()}{member[1:]}"
            reason = f"Error converting value to type '{name}'. Path '{where}'."
            raise arm_error("bad-content", reason=reason)
        _judge_shapes(item, where)


def _has_name(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and bool(item["name"])
