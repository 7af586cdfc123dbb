"""``$filter`` of lists of resources and groups, as far as ARM's most common ones go."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pytest_azurevm._errors import arm_error
from pytest_azurevm._http import Exchange
from pytest_azurevm._vm_form import Json, spelled_region

# One term: a member, ``eq`` or ``ne``, and a text in quotes; or a part of a name.
_TERM: Final = re.compile(
    r"\s*(?:(?P<member>resourceType|name|location|resourceGroup|tagName|tagValue)"
    r"\s+(?P<how>eq|ne)\s+'(?P<text>(?:[^']|'')*)'"
    r"|substringof\(\s*'(?P<part>(?:[^']|'')*)'\s*,\s*(?P<of>name|resourceGroup)\s*\))\s*",
    re.IGNORECASE,
)
_AND: Final = re.compile(r"and\s", re.IGNORECASE)


class _Term(NamedTuple):
    member: str
    how: str
    text: str


class Filter(NamedTuple):
    """What a list is asked for: all of these terms."""

    terms: tuple[_Term, ...]

    def fits(self, shown: Json) -> bool:
        """Whether a resource, as it is shown, is wanted."""
        tags = {name.lower(): str(value) for name, value in (shown.get("tags") or {}).items()}
        names = [term.text.lower() for term in self.terms if term.member == "tagname"]
        return all(_fits(term, shown, tags, names) for term in self.terms)


def _fits(term: _Term, shown: Json, tags: dict[str, str], names: list[str]) -> bool:
    if term.member == "tagname":
        found = term.text.lower() in tags
    elif term.member == "tagvalue":
        wanted = names or list(tags)
        found = any(tags.get(name) == term.text for name in wanted)
    elif term.member == "location":
        found = shown.get("location") == spelled_region(term.text)
    else:
        value = _value(term.member, shown)
        found = term.text.lower() in value if term.how == "in" else value == term.text.lower()
    return found != (term.how == "ne")


def _value(member: str, shown: Json) -> str:
    if member == "resourcetype":
        return str(shown["type"]).lower()
    if member == "resourcegroup":
        parts = str(shown["id"]).lower().split("/")
        return parts[4] if len(parts) > 4 else ""
    return str(shown["name"]).lower()


def filter_of(exchange: Exchange) -> Filter | None:
    """Read a request's ``$filter``; ``None``: it has none.

    Raises:
        ArmError: it asks for what is not known here.
    """
    asked = exchange.query.get("$filter", "")
    if not asked.strip():
        return None
    terms = []
    rest = asked
    while True:
        match = _TERM.match(rest)
        if match is None:
            raise arm_error("bad-filter", filter=asked)
        if match["part"] is not None:
            terms.append(_Term(match["of"].lower(), "in", match["part"].replace("''", "'")))
        else:
            text = match["text"].replace("''", "'")
            terms.append(_Term(match["member"].lower(), match["how"].lower(), text))
        rest = rest[match.end() :]
        if not rest:
            return Filter(tuple(terms))
        further = _AND.match(rest)
        if further is None:
            raise arm_error("bad-filter", filter=asked)
        rest = rest[further.end() :]
