"""Kusto, as far as it is spoken: queries in, rows out, without Azure."""

# ruff: noqa: E501  rows are not wrapped: a table is read by column

from __future__ import annotations

import random

import pytest

from pytest_azurevm._kusto import NotKusto, run
from pytest_azurevm._kusto_values import NotSpoken

ROWS = (
    {"name": "web-1", "type": "vm", "size": 2, "tags": {"team": "blue"}, "zones": ["1"]},
    {
        "name": "Web-2",
        "type": "vm",
        "size": 4,
        "tags": {"team": "RED", "of the": "x"},
        "zones": None,
    },
    {"name": "disk", "type": "disk", "size": None, "tags": None, "zones": None},
)


def table(name):
    """The one table that there is, under its usual name."""
    if name.lower() != "resources":
        raise NotSpoken(f"the table {name!r}")
    return ROWS


def found(query, seed=0):
    """The rows that *query* gives."""
    return run(query, table, random.Random(seed))[0]


def names(query):
    """The names that *query* finds, in its order."""
    return [row["name"] for row in found(query)]


# fmt: off
FILTERS = (
    ("name == 'web-1'",                                  "web-1"),
    ("name == 'web-2'",                                  ""),
    ("name =~ 'web-2'",                                  "Web-2"),
    ('name =~ "WEB-2" // a comment',                     "Web-2"),
    ("name != 'web-1'",                                  "Web-2 disk"),
    ("name !~ 'web-2'",                                  "web-1 disk"),
    ("name startswith 'WEB'",                            "web-1 Web-2"),
    ("name startswith_cs 'Web'",                         "Web-2"),
    ("name !startswith 'web'",                           "disk"),
    ("name endswith '2'",                                "Web-2"),
    ("name contains 'EB'",                               "web-1 Web-2"),
    ("name !contains 'eb'",                              "disk"),
    ("name has 'web'",                                   "web-1 Web-2"),
    ("name has 'we'",                                    ""),
    ("name in ('web-1', 'web-2')",                       "web-1"),
    ("name in~ ('web-1', 'web-2')",                      "web-1 Web-2"),
    ("name !in ('web-1', 'web-2')",                      "Web-2 disk"),
    ("name !in~ ('web-1', 'web-2')",                     "disk"),
    ("size > 2",                                         "Web-2"),
    ("size >= 2 and size < 4",                           "web-1"),
    ("size != 2",                                        "Web-2 disk"),
    ("size == -1",                                       ""),
    ("type == 'disk' or name == 'web-1'",                "web-1 disk"),
    ("type == 'disk' or type == 'vm' and size > 2",      "Web-2 disk"),
    ("(type == 'disk' or type == 'vm') and size > 2",    "Web-2"),
    ("not(type == 'vm')",                                "disk"),
    ("tags.team == 'blue'",                              "web-1"),
    ("tags['team'] =~ 'red'",                            "Web-2"),
    ("tags['of the'] == 'x'",                            "Web-2"),
    ("tags.team != 'blue'",                              "Web-2 disk"),
    ("isnull(tags.team)",                                "disk"),
    ("isempty(tags.nothing)",                            "web-1 Web-2 disk"),
    ("isnotempty(tags.team) and isnotnull(zones)",       "web-1"),
    ("zones[0] == '1'",                                  "web-1"),
    ("zones[-1] == '1'",                                 "web-1"),
    ("zones[7] == '1'",                                  ""),
    ("array_length(zones) == 1",                         "web-1"),
    ("tolower(name) == 'web-2'",                         "Web-2"),
    ("strcat(name, '/', tostring(size)) == 'web-1/2'",   "web-1"),
    ("split(name, '-')[1] == '2'",                       "Web-2"),
    ("iff(size > 2, 'big', 'small') == 'big'",           "Web-2"),
    ("case(size > 2, 'big', size > 1, 'small', 'none') == 'none'", "disk"),
    ("coalesce(tags.team, type) == 'disk'",              "disk"),
    ("name == 'it\\'s'",                                 ""),
    ("true",                                             "web-1 Web-2 disk"),
    ("tags",                                             ""),
)
# fmt: on


@pytest.mark.parametrize(("condition", "expected"), FILTERS)
def test_conditions(condition, expected):
    """A condition finds the rows for which it is true: null is not."""
    assert names(f"Resources | where {condition}") == expected.split()


# fmt: off
OPERATORS = (
    ("where type == 'vm'",                                     [{"name": "web-1"}, {"name": "Web-2"}]),
    ("take 1",                                                 [{"name": "web-1"}]),
    ("limit 2 | where type == 'vm' | take 9",                  [{"name": "web-1"}, {"name": "Web-2"}]),
    ("order by name",                                          [{"name": "web-1"}, {"name": "disk"}, {"name": "Web-2"}]),
    ("order by name asc",                                      [{"name": "Web-2"}, {"name": "disk"}, {"name": "web-1"}]),
    ("sort by type asc, name desc",                            [{"name": "disk"}, {"name": "web-1"}, {"name": "Web-2"}]),
    ("order by size",                                          [{"name": "Web-2"}, {"name": "web-1"}, {"name": "disk"}]),
    ("order by size asc",                                      [{"name": "disk"}, {"name": "web-1"}, {"name": "Web-2"}]),
    ("order by size asc nulls last",                           [{"name": "web-1"}, {"name": "Web-2"}, {"name": "disk"}]),
    ("top 1 by size",                                          [{"name": "Web-2"}]),
    ("extend name = toupper(name), first = name | take 1",     [{"name": "WEB-1"}]),
)
# fmt: on


@pytest.mark.parametrize(("steps", "expected"), OPERATORS)
def test_operators(steps, expected):
    """Each operator makes rows of the rows before it."""
    assert [{"name": row["name"]} for row in found(f"resources | {steps}")] == expected


# fmt: off
SHAPES = (
    ("project name, tags.team, big = size > 2 | take 1",       [{"name": "web-1", "tags_team": "blue", "big": False}]),
    ("project tostring(size), toupper(name) | take 1",         [{"size": "2", "Column1": "WEB-1"}]),
    ("project tostring(tags.team), strcat('x', name) | take 1", [{"tags_team": "blue", "Column1": "xweb-1"}]),
    ("extend big = size > 2 | project name, big | take 1",     [{"name": "web-1", "big": False}]),
    ("distinct type",                                          [{"type": "vm"}, {"type": "disk"}]),
    ("count",                                                  [{"Count": 3}]),
    ("where name == 'x' | count",                              [{"Count": 0}]),
    ("where name == 'x' | summarize count()",                  [{"count_": 0}]),
    ("summarize count() by type",                              [{"type": "vm", "count_": 2}, {"type": "disk", "count_": 1}]),
    ("summarize n = count(), sum(size) by kind = type",        [{"kind": "vm", "n": 2, "sum_size": 6}, {"kind": "disk", "n": 1, "sum_size": 0}]),
    ("summarize min(size), max(size), dcount(type)",           [{"min_size": 2, "max_size": 4, "dcount_type": 2}]),
    ("summarize countif(size > 2)",                            [{"countif_": 1}]),
    ("summarize by type | order by type asc",                  [{"type": "disk"}, {"type": "vm"}]),
)
# fmt: on


@pytest.mark.parametrize(("steps", "expected"), SHAPES)
def test_shapes(steps, expected):
    """Some operators say which columns there are, and the columns come in that order."""
    rows, columns = run(f"Resources | {steps}", table, random.Random(0))

    assert rows == expected
    assert columns == list(expected[0])


def test_a_sample_is_drawn_from_the_chance_that_is_given():
    """The same chance draws the same rows, another one others; never more than there are."""
    drawn = [found("Resources | sample 1", seed=seed)[0]["name"] for seed in range(20)]

    assert drawn == [found("Resources | sample 1", seed=seed)[0]["name"] for seed in range(20)]
    assert set(drawn) == {"web-1", "Web-2", "disk"}
    assert len(found("Resources | sample 9")) == 3


def test_a_query_need_not_name_its_table():
    """One that begins with an operator, or is empty, is about resources."""
    assert names("where type == 'disk'") == ["disk"]
    assert len(found("")) == len(found("Resources")) == 3


def test_no_row_is_changed():
    """A query leaves the table as it was."""
    before = [dict(row) for row in ROWS]
    found("Resources | extend name = 'x', new = 1 | project name")

    assert [dict(row) for row in ROWS] == before


# fmt: off
BROKEN = (
    ("Resources | where name = 'x'",        1, 23, "="),
    ("Resources | where where",             1, 23, "<EOF>"),
    ("Resources |",                         1, 11, "<EOF>"),
    ("Resources where name == 'x'",         1, 10, "where"),
    ("Resources\n| where name == 'x",       2, 16, "'"),
    ("Resources | where (name == 'x'",      1, 30, "<EOF>"),
    ("Resources | take many",               1, 17, "many"),
    ("Resources | wear hats",               1, 12, "wear"),
    ("Resources | where name in 'x'",       1, 26, "'x'"),
    ("Resources | where tags[] == 'x'",     1, 23, "]"),
    ("Resources ; take 1",                  1, 10, ";"),
    ("Resources | take 1.5",                1, 17, "1.5"),
    ("Resources | where zones[0.5] == 1",   1, 24, "0.5"),
)
# fmt: on


@pytest.mark.parametrize(("query", "line", "position", "token"), BROKEN)
def test_what_is_no_query(query, line, position, token):
    """What cannot be read is refused, with the place and the token where reading stopped."""
    with pytest.raises(NotKusto) as caught:
        found(query)

    assert (caught.value.line, caught.value.position, caught.value.token) == (line, position, token)


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("Resources | join kind=inner (x) on y", "the operator 'join'"),
        ("Resources | mv-expand zones", "the operator 'mv-expand'"),
        ("Resources | project-away tags", "the operator 'project-away'"),
        ("Resources | where size + 1 > 2", r"the operator '\+'"),
        ("Resources | where name matches regex 'x'", "the operator 'matches'"),
        ("Resources | where base64(name) == 'x'", r"the function base64\(\)"),
        ("Resources | where iff(true, 1) == 1", r"the function iff\(\) of 2"),
        ("Resources | summarize make_list(name)", "the aggregation 'make_list'"),
        ("Resources | where nmae == 'x'", "the column 'nmae': there are name, type"),
        ("ResourceContainers", "the table 'ResourceContainers'"),
        ("let x = 1; Resources", "the statement 'let'"),
        (f"where {'(' * 5000}true{')' * 5000}", "so many brackets"),
    ],
)
def test_what_is_not_spoken(query, what):
    """What may be good Kusto is said not to be served, by its name, and never guessed."""
    with pytest.raises(NotSpoken, match=what):
        found(query)
