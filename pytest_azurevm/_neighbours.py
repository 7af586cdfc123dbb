"""What stands beside virtual machines: groups and resources of any type, and what may be asked.

Nothing here, or below, knows HTTP. Every method is called with ``lock`` held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_azurevm import _resource_types as types
from pytest_azurevm import _vm_model as models
from pytest_azurevm._compute import Compute
from pytest_azurevm._errors import arm_error
from pytest_azurevm._records import VirtualMachine, key_of
from pytest_azurevm._resource_groups import HOME, Written
from pytest_azurevm._resource_ids import Address, address_of_id, group_id
from pytest_azurevm._resource_judge import ResourceJudge
from pytest_azurevm._store import Resource, ResourceOperation
from pytest_azurevm._vm_form import LOCATIONS, Json, checked_location, spelled_region

# What a body says of itself besides what it is; it is known from the URL.
_OWN: Final = ("id", "name", "type", "etag")


class Neighbours(ResourceJudge):
    """Resource groups, and everything in them that is no virtual machine."""

    def __init__(self, compute: Compute, *, strict: bool = False, home: str = HOME) -> None:
        super().__init__(compute, strict=strict, home=home)
        self._subscription_tags: dict[str, Json] = {}

    # --- resources -----------------------------------------------------------------------------

    def put(self, address: Address, body: Json) -> Written:
        """Make a resource, or write it anew.

        Raises:
            ArmError: it cannot be, or not now; nothing changed.
        """
        row = types.row_of(address.type)
        old = self._store.find(address.key)
        parent = self._judge_place(address, body, old)
        location = body.get("location")
        if row.located or location:
            if spelled_region(str(location or "")) == "global":
                location = "global"  # where what has no region is [doc]
            else:
                location = checked_location(body, types.spelled_type(address.type))
            if old is not None and old.row.located and old.region != location:
                raise arm_error(
                    "other-location",
                    name=address.name, group=address.group, old=old.region, new=location,
                )  # fmt: skip
        region = location or (parent.region if parent is not None else "")
        members = {name: item for name, item in body.items() if name not in _OWN}
        if location:
            members = {
                "location": location,
                **{k: v for k, v in members.items() if k != "location"},
            }
        self._judge_content(address, members)
        self.clock.changed()
        if address.group:
            where = region or self._region_of_group(address)
            self.take_group_to_exist(address.subscription, address.group, where)
        resource = old or self._new(address, region)
        operation = self._write(resource, members, row.create if old is None else row.update)
        return Written(resource, old is None, operation)

    def patch(self, resource: Resource, patch: Json) -> Written:
        """Change some of a resource; tags are replaced as a whole [doc].

        Raises:
            ArmError: it cannot be changed so, or not now; nothing changed.
        """
        self._judge_place(resource.address, patch, resource)
        changes = {name: item for name, item in patch.items() if name not in (*_OWN, "location")}
        old = {**resource.body, **({"tags": None} if "tags" in changes else {})}
        members = models.merged(old, changes)
        if isinstance(changes.get("tags"), dict):
            members["tags"] = dict(changes["tags"])
        self._judge_content(resource.address, members)
        operation = self._write(resource, members, resource.row.patch, keeps=True)
        return Written(resource, is_new=False, operation=operation)

    def delete(self, resource: Resource) -> ResourceOperation | None:
        """Delete a resource.

        Raises:
            ArmError: something else needs it, or it is locked; nothing changed.
        """
        if resource.provisioning == "Deleting" and resource.operation is not None:
            return resource.operation
        if resource.type.lower() in types.READ_ONLY:
            raise arm_error("no-method", method="DELETE")
        self._judge_locks(resource.id, "delete")
        for one in (resource, *self._all_children(resource)):
            self._judge_use(one, resource)
        return self._delete(resource)

    def _region_of_group(self, address: Address) -> str:
        found = self._groups.get(key_of(address.subscription, address.group))
        return LOCATIONS[0] if found is None else found.region

    # --- tags ----------------------------------------------------------------------------------

    def subscription_tags(self, subscription: str) -> Json:
        """Give the tags of a subscription itself."""
        return self._subscription_tags.get(subscription, {})

    def tag_subscription(self, subscription: str, tags: Json) -> None:
        """Set the tags of a subscription itself."""
        self.clock.changed()
        self._subscription_tags[subscription] = dict(tags)

    # --- seeded --------------------------------------------------------------------------------

    def _seed_references(self, vm: VirtualMachine) -> None:
        """Put into place what a machine that has long been there refers to, as far as it is not.

        A network for its group, and its network interfaces in that.
        """
        for nic in models.nics(vm.model):
            address = address_of_id(nic)
            if address is None or self.find(nic) is not None or not address.group:
                continue
            self.take_group_to_exist(address.subscription, address.group, vm.location)
            network = address._replace(types=("virtualNetworks",), names=(f"{address.group}-vnet",))
            if self.find(network.id) is None:
                subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/20"}}
                space = {"addressPrefixes": ["10.0.0.0/16"]}
                self._seed(network, vm, {"addressSpace": space, "subnets": [subnet]})
            subnet_id = network.child("subnets", "default").id
            configuration = {"name": "ipconfig1", "properties": {"subnet": {"id": subnet_id}}}
            self._seed(address, vm, {"ipConfigurations": [configuration]})

    def _seed(self, address: Address, vm: VirtualMachine, properties: Json) -> None:
        resource = self._new(address, vm.location)
        resource.taken_to_exist = not self.strict
        self._fill(resource, {"location": vm.location, "properties": properties})
        self._settle(resource)

    # --- listed --------------------------------------------------------------------------------

    def listed(self, resource_type: str, scope: str, *, after: int = 0) -> Iterator[Resource]:
        """Give the resources of a type below a scope, in the order of their creation."""
        self.catch_up()
        return self._store.of_type(resource_type, scope, after=after)

    def everything(
        self, subscription: str, group: str = "", *, after: int = 0
    ) -> list[Resource | VirtualMachine]:
        """Give a subscription's, or a group's, resources that belong to no other, and machines."""
        self.catch_up()
        groups = [group] if group else [one.name for one in self.groups(subscription)]
        found: list[Resource | VirtualMachine] = [
            one
            for name in groups
            for one in self._store.within(group_id(subscription, name))
            if one.sequence > after and one.row.namespace != "Microsoft.Authorization"
        ]
        found += self.compute.listed(subscription, group, after=after)
        return sorted(found, key=lambda one: one.sequence)
