"""The form of a virtual machine's body: known names, fitting types, a name and a place.

What can be judged at the door without knowing any virtual machine. Whatever is wrong is an
``ArmError``, and nothing has changed yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

from pytest_azurevm._errors import ArmError, arm_error
from pytest_azurevm._resource_ids import checked_characters
from pytest_azurevm._vm_schema import VIRTUAL_MACHINE, Member

Json: TypeAlias = dict[str, Any]

# Public Azure's regions, as the names that ARM takes [doc: az account list-locations].
LOCATIONS: Final = tuple(
    "asia asiapacific australia australiacentral australiacentral2 australiaeast "
    "australiasoutheast austriaeast belgiumcentral brazil brazilsouth brazilsoutheast canada "
    "canadacentral canadaeast centralindia centralus centraluseuap chilecentral eastasia eastus "
    "eastus2 eastus2euap europe francecentral francesouth germanynorth germanywestcentral india "
    "indonesiacentral israelcentral italynorth japaneast japanwest koreacentral koreasouth "
    "malaysiawest mexicocentral newzealandnorth northcentralus northeurope norwayeast norwaywest "
    "polandcentral qatarcentral southafricanorth southafricawest southcentralus southeastasia "
    "southindia spaincentral swedencentral swedensouth switzerlandnorth switzerlandwest uaecentral "
    "uaenorth uk uksouth ukwest usgovarizona usgovtexas usgovvirginia chinaeast chinaeast2 "
    "chinaeast3 chinanorth chinanorth2 chinanorth3 westcentralus westeurope westindia westus "
    "westus2 westus3".split()
)
_KNOWN_LOCATIONS: Final = frozenset(LOCATIONS)


def checked(body: Any, text: str = "", members: Mapping[str, Member] = VIRTUAL_MACHINE) -> Json:
    """Judge the form of a body, and give it with ARM's spelling. *text* is its source.

    A body is a VM's unless *members* says what else.

    Names and choices are taken in any case; what only the service sets is left out.

    Raises:
        ArmError: ``InvalidRequestContent``: no object, or a member that ARM does not know;
            ``BadRequest``: a value that does not fit.
    """
    if not isinstance(body, dict):
        raise arm_error(
            "bad-content",
            reason="Error converting the request body to type 'ResourceDefinition'. Path '', "
            f"line 1, position {len(text)}.",
        )
    read: Json = _read(members, body, "", text)
    return read


def _read(kind: Any, value: Any, path: str, text: str) -> Any:
    if value is None or kind == "any":
        return value
    if isinstance(kind, dict) and isinstance(value, dict):
        if "*" in kind:
            return {
                key: _read(kind["*"], item, f"{path}.{key}", text) for key, item in value.items()
            }
        read: Json = {}
        for name, item in value.items():
            member = kind.get(name.lower()) or _unknown(name, path, text)
            if member.flag == "ro" and member.name not in _ASKED_AT_CREATION:
                continue
            read[member.name] = (
                item
                if type(item) is member.exactly
                else _read(member.kind, item, f"{path}.{member.name}".lstrip("."), text)
            )
        return read
    if isinstance(kind, list) and isinstance(value, list):
        for i, item in enumerate(value):
            if item is None:  # as good as absent in an object; nothing in a list [assumed]
                raise _unfit(item, f"{path}[{i}]", text, wanted=kind[0])
        return [_read(kind[0], item, f"{path}[{i}]", text) for i, item in enumerate(value)]
    if isinstance(kind, tuple) and isinstance(value, str):
        for choice in kind:
            if choice.lower().replace(" ", "") == value.lower().replace(" ", ""):
                return choice
    elif kind == "map" and isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(item, str | None):
                raise _unfit(item, f"{path}.{key}", text, wanted="str")
        return value
    elif isinstance(value, _SCALARS.get(kind, ()) if isinstance(kind, str) else ()) and (
        kind == "bool" or not isinstance(value, bool)
    ):
        return value
    elif isinstance(kind, str) and isinstance(value, str) and kind in _AS_TEXT:
        form, read_as = _AS_TEXT[kind]
        if form.fullmatch(value):
            return read_as(value)
    raise _unfit(value, path, text, wanted=kind if isinstance(kind, str) else None)


# Read-only in the SDK's models, yet part of what a create may ask for: extensions, by name.
_ASKED_AT_CREATION: Final = ("resources", "name")
_SCALARS: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "datetime": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}
# What may stand in quotes all the same: Azure's pages on templates and scale sets write disk sizes,
# LUNs and provisionVMAgent so, and clients that speak REST send it [doc].
_AS_TEXT: Final[dict[str, tuple[re.Pattern[str], Callable[[str], Any]]]] = {
    "int": (re.compile(r"[+-]?[0-9]{1,18}"), int),
    "float": (re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?"), float),
    "bool": (re.compile("true|false", re.IGNORECASE), lambda text: text.lower() == "true"),
}


def _unknown(name: str, path: str, text: str) -> NoReturn:
    owner, listed, _ = path.rpartition(".")[2].partition("[")
    owner = (owner[:-1] if listed else owner) or "ResourceDefinition"
    raise arm_error(
        "bad-content",
        reason=f"Could not find member '{name}' on object of type "
        f"'{owner[0].upper()}{owner[1:]}'. Path '{f'{path}.{name}'.lstrip('.')}', "
        f"{_place(name, text)}.",
    )


# What Newtonsoft's reader calls the kinds of JSON.
_TOKENS: Final = {dict: "StartObject", list: "StartArray", int: "Integer", float: "Float",
                  bool: "Boolean", type(None): "Null"}  # fmt: skip


def _unfit(value: Any, path: str, text: str, *, wanted: Any = None) -> ArmError:
    name = path.rpartition(".")[2].partition("[")[0]
    if isinstance(value, str):
        problem = f"Error converting value \"{value}\" to type '{name[:1].upper()}{name[1:]}'"
    else:
        reading = {"str": "string", "int": "integer", "bool": "boolean"}.get(str(wanted), "value")
        problem = f"Error reading {reading}. Unexpected token: {_TOKENS[type(value)]}"
    reason = f"{problem}. Path '{path}', {_place(name, text)}."
    if path.startswith("properties"):
        return arm_error("bad-value", target=f"vm.{path}", reason=reason)
    return arm_error("bad-content", reason=reason)


def _place(name: str, text: str) -> str:
    before = text[: text.find(f'"{name}"') + len(name) + 2] if f'"{name}"' in text else ""
    return f"line {before.count(chr(10)) + 1}, position {len(before) - before.rfind(chr(10)) - 1}"


def checked_name(name: str) -> None:
    """Judge a VM's name.

    Raises:
        ArmError: it is too long, holds forbidden characters, or ends badly.
    """
    checked_characters(name)
    if not 1 <= len(name) <= 64:
        raise arm_error("long-name", name=name, target="vmName")


def spelled_region(location: str) -> str:
    """Give a region's name as Azure spells it: ``West Europe`` is ``westeurope``."""
    return location.replace(" ", "").lower()


def checked_location(body: Json, of: str = "Microsoft.Compute/virtualMachines") -> str:
    """Give the location in the body of a resource of some type, as Azure spells it.

    Raises:
        ArmError: there is none, or Azure knows none of that name.
    """
    location = body.get("location")
    if not location:
        raise arm_error("no-location")
    spelled = spelled_region(str(location))
    if spelled not in _KNOWN_LOCATIONS:
        raise arm_error(
            "unknown-location", location=location, type=of, locations=",".join(LOCATIONS)
        )
    return spelled
