"""The members of a virtual machine's body, compared with those of the SDK that is installed."""

from __future__ import annotations

import datetime as _dt
from collections.abc import Iterator
from enum import Enum
from importlib.metadata import version
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from azure.mgmt.compute import models

from pytest_azurevm._vm_schema import VIRTUAL_MACHINE, Member

RELEASE = int(version("azure-mgmt-compute").partition(".")[0])
NEWEST = 39  # the release whose names the schema holds
SCALARS = {str: "str", int: "int", bool: "bool", float: "float", Any: "any", _dt.datetime:
           "datetime"}  # fmt: skip
OPEN = ("VirtualMachineSizeTypes",)  # dated choices, which Azure does not hold to
SERVICES_OWN = ("properties.instanceView", "systemData")  # "any" in the schema, on purpose

pytestmark = pytest.mark.skipif(
    RELEASE < 38,
    reason="the models of azure-mgmt-compute before 38 declare their members another way",
)


def sdk_members(model: Any, path: str = "", above: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Give (path, kind, writable) of every member of an SDK model, depth first."""
    model({})  # the fields are collected when the first instance is made
    hints = get_type_hints(model, localns={"_models": models})
    for name, field in model._attr_to_rest_field.items():
        where = f"{path}.{field._rest_name}".lstrip(".")
        writable = field._visibility is None or "create" in field._visibility
        yield from sdk_kinds(hints[name], where, writable, (*above, model))


def sdk_kinds(hint: Any, path: str, writable: bool, above: tuple[Any, ...]) -> Iterator[Any]:
    """Give the same of one annotation."""
    if isinstance(hint, str):  # Python 3.10 leaves names within list[...] as they are written
        hint = getattr(models, hint.rpartition(".")[2])
    choices = [choice for choice in get_args(hint) if choice is not type(None)]
    if get_origin(hint) is Union:
        enums = [choice for choice in choices if choice is not str]
        if len(choices) == 1 or len(enums) == 1:
            hint = enums[0] if enums else choices[0]
            yield from sdk_kinds(hint, path, writable, above)
            return
    if get_origin(hint) is list:
        yield (path, "list", writable)
        yield from sdk_kinds(choices[0], f"{path}[]", writable, above)
    elif get_origin(hint) is dict and choices[1] is str:
        yield (path, "map", writable)
    elif get_origin(hint) is dict:
        yield (path, "map of", writable)
        yield from sdk_kinds(choices[1], f"{path}{{}}", writable, above)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        values = tuple(choice.value for choice in hint)
        yield (path, "str" if hint.__name__ in OPEN else values, writable)
    elif hint in SCALARS:
        yield (path, SCALARS[hint], writable)
    elif hint not in above:
        yield (path, "object", writable)
        yield from sdk_members(hint, path, above)


def our_members(kinds: dict[str, Member], path: str = "") -> Iterator[Any]:
    """Give (path, kind, writable) of every member of the schema, depth first."""
    for folded, member in kinds.items():
        assert folded == member.name.lower()
        yield from our_kinds(member.kind, f"{path}.{member.name}".lstrip("."), member.flag != "ro")


def our_kinds(kind: Any, path: str, writable: bool) -> Iterator[Any]:
    """Give the same of one kind."""
    if isinstance(kind, list):
        yield (path, "list", writable)
        yield from our_kinds(kind[0], f"{path}[]", writable)
    elif isinstance(kind, dict) and "*" in kind:
        yield (path, "map of", writable)
        kinds = kind["*"]
        inner = kinds if isinstance(next(iter(kinds.values())), Member) else spelled_out(kinds)
        yield (f"{path}{{}}", "object", writable)
        yield from our_members(inner, f"{path}{{}}")
    elif isinstance(kind, dict):
        yield (path, "object", writable)
        yield from our_members(kind, path)
    else:
        yield (path, kind, writable)


def spelled_out(kinds: dict[str, Any]) -> dict[str, Member]:
    """Give the members of an object that is written in the schema's short notation."""
    flagged = {key: kind for keys, kind in kinds.items() for key in keys.split()}
    parts = {key: key.partition(":") for key in flagged}
    return {
        parts[key][0].lower(): Member(parts[key][0], kind, parts[key][2])
        for key, kind in flagged.items()
    }


def own(path: str) -> bool:
    """Whether a path lies in what the schema leaves to the service."""
    return any(f".{name}." in f".{path}." for name in ("instanceView", "systemData"))


def of_sdk() -> dict[str, tuple[Any, bool]]:
    """Give the SDK's members by path, without what the schema leaves to the service."""
    found = sdk_members(models.VirtualMachine)
    return {path: (kind, writable) for path, kind, writable in found if not own(path)}


def of_ours() -> dict[str, tuple[Any, bool]]:
    """Give the schema's members by path, without what it leaves to the service."""
    found = our_members(VIRTUAL_MACHINE)
    return {path: (kind, writable) for path, kind, writable in found if not own(path)}


def test_every_member_of_the_sdk_is_known():
    """Whatever the installed SDK can send is known, spelled alike."""
    assert sorted(of_sdk().keys() - of_ours().keys()) == []


@pytest.mark.skipif(RELEASE < NEWEST, reason=f"the schema holds the names of release {NEWEST}")
def test_every_member_is_one_of_the_sdk():
    """The schema knows no member that the SDK does not have."""
    assert sorted(of_ours().keys() - of_sdk().keys()) == []


def test_members_hold_the_same():
    """A member is of the kind that the SDK declares; a choice has each of the SDK's at least."""
    ours = of_ours()
    different = {
        path: (kind, ours[path][0])
        for path, (kind, _) in of_sdk().items()
        if path in ours and not (
            kind == ours[path][0]
            or (isinstance(kind, tuple) and isinstance(ours[path][0], tuple)
                and set(kind) <= set(ours[path][0]))
        )
    }  # fmt: skip

    assert different == {}


def test_who_may_write_a_member():
    """What the SDK lets a caller write may be written, and the rest the service alone sets."""
    ours = of_ours()
    different = [
        path
        for path, (_, writable) in of_sdk().items()
        if path in ours and ours[path][1] != writable
    ]

    assert different == []


def test_what_a_patch_may_not_hold():
    """A member is marked as one of PUT alone exactly if the SDK's update has none of its name."""
    model = models.VirtualMachineUpdate
    model({})
    in_update = {field._rest_name for field in model._attr_to_rest_field.values()}
    put_alone = {member.name for member in VIRTUAL_MACHINE.values() if member.flag == "put"}
    writable = {path for path, (_, writes) in of_sdk().items() if writes and "." not in path}

    assert put_alone == {path for path in writable if path.isalpha()} - in_update


@pytest.mark.parametrize("path", SERVICES_OWN)
def test_what_the_service_alone_writes_in_depth(path):
    """Views that only the service writes are of any form, and not the caller's to write."""
    found = {path: (kind, writable) for path, kind, writable in our_members(VIRTUAL_MACHINE)}

    assert found[path] == ("any", False)
