"""``Microsoft.Resources/tags/default``: the tags of whatever it is asked of, as a resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pytest_azurevm._door import Door
from pytest_azurevm._errors import arm_error
from pytest_azurevm._http import Answer, Exchange, read_json
from pytest_azurevm._neighbours import Neighbours
from pytest_azurevm._query import action_on, object_in, only
from pytest_azurevm._resource_ids import Address, address_of
from pytest_azurevm._vm_form import Json

_WRITES: Final = ("PUT", "PATCH", "DELETE")


def answer_about_tags(
    exchange: Exchange, method: str, address: Address, neighbours: Neighbours, door: Door
) -> Answer:
    """Answer for ``Microsoft.Resources/tags/default`` of whatever it is asked of."""
    if address.is_collection or address.name.lower() != "default":
        raise arm_error("no-such-resource", name=address.types[-1])
    writes = method in ("PUT", "PATCH")
    value, _ = read_json(exchange.request.body) if writes else (None, "")
    action = action_on(exchange, "Microsoft.Resources/tags")
    door.admit_other(exchange, action, address.subscription, address.group, body=value)
    owner = _owner(address, neighbours)
    tags = dict(owner.tags)
    if method == "PUT":
        tags = _tags_in(value)
    elif method == "PATCH":
        tags = _patched(tags, value)
    elif method == "DELETE":
        tags = {}
    else:
        only(method, "GET")
    if method in _WRITES:
        owner.write(tags)
    if method == "DELETE":
        return Answer(200)
    body = {
        "id": address.id,
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": tags},
    }
    return Answer(200, body)


def _owner(address: Address, neighbours: Neighbours) -> _Owner:
    everything, subscription = neighbours, address.subscription
    if "/providers/" not in address.scope:
        if address.group:
            group = everything.group(subscription, address.group)
            return _Owner(
                group.body.get("tags") or {},
                lambda tags: everything.patch_group(group, {"tags": tags}),
            )
        return _Owner(
            everything.subscription_tags(subscription),
            lambda tags: everything.tag_subscription(subscription, tags),
        )
    of = address_of(tuple(part for part in address.scope.split("/") if part))
    assert of is not None  # its scope is a resource
    if of.type.lower() == "microsoft.compute/virtualmachines":
        vm = everything.compute.vms.find(subscription, of.group, of.name)
        if vm is None:
            raise everything.absent(of)
        everything.judge_machine(vm.resource_id, "write")
        found = vm
        before = vm.model.get("tags") or {}
        return _Owner(  # a machine's PATCH merges tags, so that what is to go is named
            before,
            lambda tags: everything.compute.patch(
                found, {"tags": {**dict.fromkeys(before), **tags}}
            ),
        )
    resource = everything.find(of.id)
    if resource is None:
        raise everything.absent(of)
    tagged = resource
    return _Owner(
        resource.body.get("tags") or {}, lambda tags: everything.patch(tagged, {"tags": tags})
    )


class _Owner(NamedTuple):
    """What has tags, and how they are written."""

    tags: Json
    write: Callable[[Json], object]


def _tags_in(value: Any) -> Json:
    properties = object_in(value).get("properties")
    tags = properties.get("tags") if isinstance(properties, dict) else None
    if tags is not None and not (
        isinstance(tags, dict) and all(isinstance(item, str) for item in tags.values())
    ):
        raise arm_error("bad-content", reason="Error converting value to type 'String'. Path "
                        "'properties.tags'.")  # fmt: skip
    return dict(tags or {})


def _patched(tags: Json, value: Any) -> Json:
    """Apply a patch of tags: merged into what is there, in its place, or taken out [doc]."""
    operation = str(object_in(value).get("operation") or "").lower()
    given = _tags_in(value)
    if operation == "merge":
        return {**tags, **given}
    if operation == "replace":
        return given
    if operation == "delete":
        return {
            name: item
            for name, item in tags.items()
            if name not in given or (given[name] and given[name] != item)
        }
    raise arm_error(
        "bad-content",
        reason=f"Error converting value \"{operation}\" to type 'TagsPatchOperation'. Path "
        "'operation'.",
    )
