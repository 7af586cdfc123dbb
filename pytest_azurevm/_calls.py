"""The requests that reached the fake, in order. Tests hold them as ``fake.calls``."""

from __future__ import annotations

import datetime as _dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, overload


@dataclass(frozen=True, slots=True)
class Call:
    """One request and how it was answered.

    Attributes:
        operation: the SDK's method without ``begin_``: ``create`` (PUT of an absent VM),
            ``update`` (PUT of an existing one, PATCH), ``get``, ``start``, …; ``poll`` is a look at
            a long-running operation, ``other`` what this fake does not serve.
        method: the HTTP method.
        url: the whole URL.
        vm: the VM's name as the request has it, or ``None``.
        status: the HTTP status of the answer.
        error_code: the answer's error code, or ``None``.
        at: the instant, aware UTC.
        request_body: the request's JSON, or ``None``. Secrets in it are as sent.
        response_body: the answer's JSON, or ``None``.
    """

    operation: str
    method: str
    url: str
    vm: str | None
    status: int
    error_code: str | None
    at: _dt.datetime
    request_body: Any
    response_body: Any

    def __str__(self) -> str:
        of = f" {self.vm}" if self.vm else ""
        why = f" {self.error_code}" if self.error_code else ""
        return f"{self.at:%H:%M:%S} {self.operation}{of} -> {self.status}{why}"


class Calls(Sequence[Call]):
    """A sequence of calls that can be narrowed down."""

    def __init__(self, calls: Sequence[Call] = ()) -> None:
        self._calls = list(calls)

    def note(self, call: Call) -> None:
        """Add *call* at the end."""
        self._calls.append(call)

    def filter(
        self, *, operation: str = "*", vm: str = "*", method: str = "*", status: int | None = None
    ) -> Calls:
        """Give the calls that fit all of these: fnmatch patterns, and an HTTP status."""
        return Calls(
            [
                call
                for call in self._calls
                if fnmatchcase(call.operation, operation)
                and (
                    vm == "*" or (call.vm is not None and fnmatchcase(call.vm.lower(), vm.lower()))
                )
                and fnmatchcase(call.method, method.upper())
                and (status is None or call.status == status)
            ]
        )

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Calls: ...
    def __getitem__(self, index: int | slice) -> Call | Calls:
        if isinstance(index, slice):
            return Calls(self._calls[index])
        return self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def __repr__(self) -> str:
        return f"<Calls {[str(call) for call in self._calls]}>"
