"""The agenda, next to a plain list of what is due."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pytest_azurevm._agenda import Agenda


class PlainList:
    """What the agenda means: a list, sorted by instant, rank and sequence, and looked through."""

    def __init__(self) -> None:
        self.changes, self.sequence = 0, 0
        self.due: list[tuple[int, int, int, str, int]] = []

    def add(self, due_us: int, kind: str, rank: int) -> tuple[Any, ...]:
        """Add an entry, and give it."""
        self.sequence += 1
        self.due.append((due_us, rank, self.sequence, kind, self.changes))
        return self.due[-1]

    def cancel(self, entry: Any) -> None:
        """Take an entry off, if it is still there."""
        if entry in self.due:
            self.due.remove(entry)

    def pop(self) -> int:
        """Take the next off, and give its sequence."""
        first = min(self.due)
        self.due.remove(first)
        self.changes += first[3] == "event"
        return first[2]

    def has_nothing_new(self) -> bool:
        """Whether only polls are left, of whoever has seen every change."""
        return all(kind == "poll" and seen == self.changes for *_, kind, seen in self.due)


@pytest.mark.parametrize("seed", range(100))
def test_any_schedule(seed):
    """Entries come in order of instant, rank and sequence, whatever is added and cancelled."""
    chance = random.Random(seed)
    agenda, plain = Agenda(), PlainList()
    entries, done, now_us = [], [], 0
    kinds = ("event", "poll", "wake") if seed % 2 else ("poll", "poll", "event")
    for number in range(1, 200):
        due_us, kind = now_us + chance.choice((0, 0, 1, 5)), chance.choice(kinds)
        rank = chance.choice((0, 0, 0, 1, 2))
        entries.append((
            agenda.add(due_us, kind, lambda number=number: done.append(number), rank=rank),
            plain.add(due_us, kind, rank),
        ))  # fmt: skip
        if chance.random() < 0.2:
            ours, theirs = chance.choice(entries)
            agenda.cancel(ours)
            plain.cancel(theirs)
        if chance.random() < 0.1:
            agenda.changes += 1
            plain.changes += 1
        for _ in range(chance.choice((0, 1, 3))):
            entry = agenda.peek()
            assert (entry is None) == (not plain.due)
            if entry is not None:
                now_us = entry.due_us
                agenda.pop()()
                assert done[-1] == plain.pop()
        assert agenda.changes == plain.changes
        assert agenda.has_nothing_new() == plain.has_nothing_new()
        assert agenda.has_events() == any(kind == "event" for *_, kind, _ in plain.due)


def test_what_joins_an_instant_comes_before_its_later_ranks():
    """What is added to the present instant, while that is worked off, is not left behind."""
    agenda, done = Agenda(), []
    agenda.add(5, "wake", lambda: done.append("last"), rank=2)
    agenda.add(5, "wake", lambda: done.append("second"), rank=1)
    agenda.add(5, "wake", lambda: done.append("third"), rank=1)
    agenda.pop()()
    agenda.add(5, "event", lambda: done.append("joined"))

    while agenda.peek() is not None:
        agenda.pop()()

    assert done == ["second", "joined", "third", "last"]


def test_an_instants_entries_are_let_go():
    """Nothing is kept of an instant that is over."""
    agenda = Agenda()
    for due_us in (1, 1, 2):
        agenda.cancel(agenda.add(due_us, "event", list))
        agenda.add(due_us, "event", list)
    while agenda.peek() is not None:
        agenda.pop()()

    assert (agenda._entries, agenda._places) == ({}, [])
