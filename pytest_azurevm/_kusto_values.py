"""What Kusto's expressions come to: comparisons, functions, totals.

Values are JSON's. Two nulls are neither equal nor unequal, but null; a null is unequal to anything
else, and neither smaller nor greater [doc].
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

Row: TypeAlias = dict[str, Any]
Value: TypeAlias = Callable[[Row], Any]


class NotSpoken(Exception):
    """The query may be good Kusto, and that part of it is not served here."""


def column(row: Row, name: str) -> Any:
    if name not in row:
        raise NotSpoken(f"the column {name!r}: there are {', '.join(row)}")
    return row[name]


def member(value: Value, key: str | int) -> Value:
    def found_in(row: Row) -> Any:
        found = value(row)
        if isinstance(key, str):
            return found.get(key) if isinstance(found, dict) else None
        return found[key] if isinstance(found, list) and -len(found) <= key < len(found) else None

    return found_in


def called(name: str, arguments: Sequence[Value]) -> Value:
    """Give a function of *arguments*. Which of them are looked at is its own affair."""
    if name in ("iif", "iff") and len(arguments) == 3:
        name = "case"
    if name == "case" and len(arguments) % 2:
        *pairs, otherwise = arguments

        def case(row: Row) -> Any:
            for holds, value in zip(pairs[::2], pairs[1::2], strict=True):
                if holds(row) is True:
                    return value(row)
            return otherwise(row)

        return case
    if name not in _FUNCTIONS:
        raise NotSpoken(f"the function {name}() of {len(arguments)}")
    function = _FUNCTIONS[name]
    return lambda row: function(*[argument(row) for argument in arguments])


def _text(value: Any) -> str:
    """Give a value as tostring() does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _empty(value: Any) -> bool:
    return value is None or value == ""


def _coalesced(*values: Any) -> Any:
    return next((value for value in values if not _empty(value)), None)


def folded(value: Any, fold: bool = True) -> Any:  # noqa: FBT001, FBT002  the other is itself
    return value.lower() if fold and isinstance(value, str) else value


def rank(value: Any) -> tuple[int, Any]:
    """Give what values are sorted by, whatever they are."""
    if isinstance(value, bool | int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, _json(value))


def key_of(values: Iterable[Any]) -> str:
    return _json(list(values))


def _equal(left: Any, right: Any) -> bool | None:
    return None if left is None and right is None else left == right  # two nulls are null [doc]


def _unequal(left: Any, right: Any) -> bool | None:
    return None if left is None and right is None else left != right


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        (of, left), (other, right) = rank(left), rank(right)
        return of == other and holds(left, right)

    return compare


def _texts(holds: Callable[[str, str], bool], *, fold: bool, wanted: bool = True) -> Any:
    def compare(left: Any, right: Any) -> bool:
        return holds(folded(_text(left), fold), folded(_text(right), fold)) is wanted

    return compare


def _has(text: str, term: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(term)}(?![^\W_])", text) is not None


COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": _equal,
    "!=": _unequal,
    "=~": lambda left, right: _equal(folded(left), folded(right)),
    "!~": lambda left, right: _unequal(folded(left), folded(right)),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    **{
        f"{no}{name}{cs}": _texts(holds, fold=not cs, wanted=not no)
        for name, holds in {
            "contains": lambda text, part: part in text,
            "startswith": lambda text, part: text.startswith(part),
            "endswith": lambda text, part: text.endswith(part),
            "has": _has,
        }.items()
        for no in ("", "!")
        for cs in ("", "_cs")
    },
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "tostring": _text,
    "tolower": lambda value: _text(value).lower(),
    "toupper": lambda value: _text(value).upper(),
    "strcat": lambda *values: "".join(map(_text, values)),
    "strlen": lambda value: len(_text(value)),
    "isempty": _empty,
    "isnotempty": lambda value: not _empty(value),
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
    "not": lambda value: None if value is None else not value,
    "coalesce": _coalesced,
    "array_length": lambda value: len(value) if isinstance(value, list) else None,
    "split": lambda value, by: _text(value).split(_text(by)),
}
TOTALS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "count": len,
    "countif": lambda values: sum(value is True for value in values),
    "dcount": lambda values: len({key_of([value]) for value in values if value is not None}),
    "sum": lambda values: sum(value for value in values if isinstance(value, int | float)),
    "min": lambda values: min((one for one in values if one is not None), key=rank, default=None),
    "max": lambda values: max((one for one in values if one is not None), key=rank, default=None),
}
