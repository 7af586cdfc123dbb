"""The language in which Resource Graph is asked: a query read, and run over rows.

A part of Kusto's, which Resource Graph itself speaks a part of [doc]: the operators of
``_Reader.operators``, and the functions of ``_kusto_values``. What is left out is said to be, and
never guessed. Rows are dicts, ``None`` is null; names are told apart by case, as in Kusto.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pytest_azurevm._kusto_values import (
    COMPARISONS,
    TOTALS,
    NotSpoken,
    Row,
    Value,
    called,
    column,
    folded,
    key_of,
    member,
    rank,
)

if TYPE_CHECKING:
    import random

Step: TypeAlias = Callable[[list[Row]], list[Row]]


class NotKusto(Exception):
    """The query cannot be read: where, at which token."""

    def __init__(self, line: int, position: int, token: str) -> None:
        super().__init__(f"line {line}, position {position}: {token}")
        self.line, self.position, self.token = line, position, token


class Named(NamedTuple):
    """An expression, and the column that it makes."""

    name: str
    value: Value


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    position: int  # in the line, from 0


_TOKENS: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    | (?P<string>@"[^"]*"|@'[^']*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>(?:project|mv|make)-[a-z]+|!?[A-Za-z_$][\w$]*~?)
    | (?P<sign>[=!<>]=|[=!]~|[|()\[\],.;<>=*/%+-])
    """,
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def run(
    query: str, table: Callable[[str], Iterable[Row]], chance: random.Random
) -> tuple[list[Row], list[str] | None]:
    """Run *query*. Give its rows, and its columns if it says which.

    Args:
        query: what is asked. One that names no table is about ``Resources``.
        table: gives a table's rows, of which none is changed; raises ``NotSpoken``.
        chance: what ``sample`` draws from.

    Raises:
        NotKusto: it is no query.
        NotSpoken: it may be one, which is not served here.
    """
    reader = _Reader(query, chance)
    try:
        name, steps = reader.query()
        rows = list(table(name))
        for step in steps:
            rows = step(rows)
    except RecursionError:
        raise NotSpoken("so many brackets in each other") from None
    return rows, reader.columns


class _Reader:
    """Reads a query by recursive descent."""

    def __init__(self, query: str, chance: random.Random) -> None:
        self._tokens = list(_tokens_of(query))
        self._at = 0
        self._chance = chance
        self.columns: list[str] | None = None  # None: whatever the table has
        self.operators: dict[str, Callable[[], Step]] = {
            "where": self._where, "filter": self._where,
            "take": self._take, "limit": self._take, "sample": self._sample, "top": self._top,
            "order": self._order, "sort": self._order,
            "project": self._project, "extend": self._extend, "distinct": self._distinct,
            "summarize": self._summarize, "count": self._count,
        }  # fmt: skip

    # --- tokens --------------------------------------------------------------------------------

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _takes(self, *texts: str) -> str:
        """Step over the next token if it is one of *texts*, and give that; else ``""``."""
        if self._next.kind != "string" and self._next.text in texts:
            self._at += 1
            return self._tokens[self._at - 1].text
        return ""

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._unread()

    def _take_kind(self, kind: str) -> str:
        if self._next.kind != kind:
            raise self._unread()
        self._at += 1
        return self._tokens[self._at - 1].text

    def _whole(self) -> int:
        if "." in self._next.text:
            raise self._unread()
        return int(self._take_kind("number"))

    def _unread(self) -> NotKusto:
        return NotKusto(self._next.line, self._next.position, self._next.text)

    # --- operators -----------------------------------------------------------------------------

    def query(self) -> tuple[str, list[Step]]:
        """Read it all: the table's name, and what is done to its rows."""
        name, steps = "Resources", []
        if self._next.text in self.operators and self._tokens[self._at + 1].text != "|":
            steps.append(self._step())  # as first versions of this service had it [doc]
        elif self._next.kind != "end":
            name = self._take_kind("name")
            if self._next.kind == "name" and name in ("let", "union", "set"):
                raise NotSpoken(f"the statement {name!r}")
        while self._next.kind != "end":
            self._expect("|")
            steps.append(self._step())
        return name, steps

    def _step(self) -> Step:
        if self._next.kind == "name" and self._next.text not in self.operators:
            if self._next.text in _OTHER_OPERATORS:
                raise NotSpoken(f"the operator {self._next.text!r}")
            raise self._unread()
        return self.operators[self._take_kind("name")]()

    def _where(self) -> Step:
        holds = self._expression()
        return lambda rows: [row for row in rows if holds(row) is True]

    def _take(self) -> Step:
        count = self._whole()
        return lambda rows: rows[:count]

    def _sample(self) -> Step:
        count = self._whole()
        return lambda rows: self._chance.sample(rows, min(count, len(rows)))

    def _top(self) -> Step:
        count = self._whole()
        ordered = self._order()
        return lambda rows: ordered(rows)[:count]

    def _order(self) -> Step:
        self._expect("by")
        keys = []
        while True:
            value = self._expression()
            descending = self._takes("asc", "desc") != "asc"  # that is the default [doc]
            nulls_first = not descending
            if self._takes("nulls"):
                nulls_first = self._takes("first", "last") == "first"
            keys.append((value, descending, nulls_first))
            if not self._takes(","):
                break

        def ordered(rows: list[Row]) -> list[Row]:
            for value, descending, nulls_first in reversed(keys):
                nulls = [row for row in rows if value(row) is None]
                others = [row for row in rows if value(row) is not None]
                others.sort(key=lambda row, of=value: rank(of(row)), reverse=descending)  # type: ignore[misc]
                rows = nulls + others if nulls_first else others + nulls
            return rows

        return ordered

    def _project(self) -> Step:
        named = self._named_list()
        self.columns = [one.name for one in named]
        return lambda rows: [{one.name: one.value(row) for one in named} for row in rows]

    def _extend(self) -> Step:
        named = self._named_list()
        if self.columns is not None:
            self.columns += [one.name for one in named if one.name not in self.columns]

        def extended(row: Row) -> Row:
            row = dict(row)
            for one in named:  # each sees those before it
                row[one.name] = one.value(row)
            return row

        return lambda rows: [extended(row) for row in rows]

    def _distinct(self) -> Step:
        named = self._named_list()
        self.columns = [one.name for one in named]

        def distinct(rows: list[Row]) -> list[Row]:
            found = ({one.name: one.value(row) for one in named} for row in rows)
            return list({key_of(row.values()): row for row in found}.values())

        return distinct

    def _count(self) -> Step:
        self.columns = ["Count"]
        return lambda rows: [{"Count": len(rows)}]

    def _summarize(self) -> Step:
        totals = [] if self._next.text == "by" else self._list(self._total)
        by = self._named_list() if self._takes("by") else []
        self.columns = [one.name for one in by] + [name for name, _ in totals]

        def summarized(rows: list[Row]) -> list[Row]:
            groups: dict[str, tuple[Row, list[Row]]] = {} if by else {key_of(()): ({}, [])}
            for row in rows:
                head = {one.name: one.value(row) for one in by}
                groups.setdefault(key_of(head.values()), (head, []))[1].append(row)
            return [
                {**head, **{name: total(members) for name, total in totals}}
                for head, members in groups.values()
            ]

        return summarized

    def _total(self) -> tuple[str, Callable[[list[Row]], Any]]:
        name = ""
        if self._tokens[self._at + 1].text == "=":
            name = self._take_kind("name")
            self._expect("=")
        function = self._take_kind("name")
        if function not in TOTALS:
            raise NotSpoken(f"the aggregation {function!r}")
        self._expect("(")
        argument = None
        if not self._takes(")"):
            argument = self._named()
            self._expect(")")
        of = argument.value if argument else None
        name = name or f"{function}_{argument.name if argument and function != 'countif' else ''}"
        return name, lambda rows: TOTALS[function]([row if of is None else of(row) for row in rows])

    # --- expressions ---------------------------------------------------------------------------

    def _list(self, read: Callable[[], Any]) -> list[Any]:
        found = [read()]
        while self._takes(","):
            found.append(read())
        return found

    def _named_list(self) -> list[Named]:
        unnamed = 0
        found: list[Named] = []
        for one in self._list(self._named):
            if not one.name:
                unnamed += 1
            found.append(one if one.name else Named(f"Column{unnamed}", one.value))
        return found

    def _named(self) -> Named:
        if self._next.kind == "name" and self._tokens[self._at + 1].text == "=":
            name = self._take_kind("name")
            self._expect("=")
            return Named(name, self._expression())
        first = self._at
        value = self._expression()
        of = self._tokens[first : self._at]
        if [token.text for token in of[:2]] == ["tostring", "("]:
            of = of[2:-1]
        # A path gives its column its own name, dots as underscores, and so does one that is turned
        # into text [spec, its examples]; any other expression gives none.
        is_path = all(token.kind == "name" or token.text == "." for token in of)
        names = [token.text for token in of if token.text != "."] if is_path else []
        return Named("_".join(names), value)

    def _expression(self) -> Value:
        sides = [self._conjunction()]
        while self._takes("or"):
            sides.append(self._conjunction())
        if len(sides) == 1:
            return sides[0]
        return lambda row: any(side(row) is True for side in sides)

    def _conjunction(self) -> Value:
        sides = [self._comparison()]
        while self._takes("and"):
            sides.append(self._comparison())
        if len(sides) == 1:
            return sides[0]
        return lambda row: all(side(row) is True for side in sides)

    def _comparison(self) -> Value:
        left = self._operand()
        if sign := self._takes(*_MEMBERSHIPS):
            self._expect("(")
            members = self._list(self._expression)
            self._expect(")")
            fold, wanted = sign.endswith("~"), not sign.startswith("!")

            def is_member(row: Row) -> bool:
                value = folded(left(row), fold)
                return any(value == folded(one(row), fold) for one in members) is wanted

            return is_member
        if sign := self._takes(*COMPARISONS):
            right, compare = self._operand(), COMPARISONS[sign]
            return lambda row: compare(left(row), right(row))
        if self._next.text in _OTHER_SIGNS:
            raise NotSpoken(f"the operator {self._next.text!r}")
        return left

    def _operand(self) -> Value:
        value = self._primary()
        while step := self._takes(".", "["):
            if step == ".":
                value = member(value, self._take_kind("name"))
                continue
            sign = -1 if self._takes("-") else 1
            if sign > 0 and self._next.kind == "string":
                key: str | int = _unquoted(self._take_kind("string"))
            else:
                key = sign * self._whole()
            value = member(value, key)
            self._expect("]")
        return value

    def _primary(self) -> Value:
        token = self._next
        if self._takes("("):
            inner = self._expression()
            self._expect(")")
            return inner
        if token.kind == "string":
            text = _unquoted(self._take_kind("string"))
            return lambda _row: text
        if token.kind == "number" or token.text == "-":
            sign = -1 if self._takes("-") else 1
            digits = self._take_kind("number")
            number = sign * (float(digits) if "." in digits else int(digits))
            return lambda _row: number
        name = self._take_kind("name")
        if name in ("true", "false"):
            return lambda _row: name == "true"
        if self._takes("("):
            arguments = [] if self._next.text == ")" else self._list(self._expression)
            self._expect(")")
            return called(name, arguments)
        if name in self.operators:  # a word of the language [rec Az.ResourceGraph's own tests]
            raise self._unread()
        return lambda row: column(row, name)


_MEMBERSHIPS: Final = ("in", "in~", "!in", "!in~")
_OTHER_SIGNS: Final = ("matches", "between", "!between", "has_any", "has_all", *"+-*/%")
_OTHER_OPERATORS: Final = frozenset(
    "join union mvexpand mv-expand parse project-away project-keep project-rename lookup "
    "project-reorder make-series evaluate as invoke serialize search".split()
)


def _tokens_of(query: str) -> Iterable[_Token]:
    at, line, line_began = 0, 1, 0
    while at < len(query):
        match = _TOKENS.match(query, at)
        if match is None:
            raise NotKusto(line, at - line_began, query[at])
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match[0], line, at - line_began)
        line += match[0].count("\n")
        if "\n" in match[0]:
            line_began = at + match[0].rindex("\n") + 1
        at = match.end()
    for _ in range(2):  # so that whoever looks one ahead finds something
        yield _Token("end", "<EOF>", line, at - line_began)


def _unquoted(text: str) -> str:
    if text.startswith("@"):
        return text[2:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
