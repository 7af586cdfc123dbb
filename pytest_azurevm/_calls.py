"""The requests that reached the fake, in order. Tests hold them as ``fake.calls``."""

from __future__ import annotations

import datetime as _dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias, overload

# What a call's ``operation`` may be: the SDK's methods without ``begin_``, those of extensions with
# ``extension_`` before them, and two of our own.
OPERATIONS: Final = (
    "create", "update", "create_or_update", "delete", "get", "instance_view", "list", "list_all",
    "list_by_location", "start", "power_off", "restart", "deallocate", "redeploy", "reapply",
    "reimage", "generalize", "simulate_eviction", "extension_create", "extension_update",
    "extension_delete", "extension_get", "extension_list", "capture", "run_command", "poll",
    "other",
)  # fmt: skip
# One PUT is a create or an update; the SDK has one method for both.
BOTH: Final = {
    "create_or_update": ("create", "update"),
    "extension_create_or_update": ("extension_create", "extension_update"),
}
_WILD: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Call:
    """One request and how it was answered.

    Attributes:
        operation: the SDK's method without ``begin_``: ``create`` (PUT of an absent VM),
            ``update`` (PUT of an existing one, PATCH), ``get``, ``start``, …; ``poll`` is a look at
            a long-running operation, ``other`` what this fake does not serve. What is about no
            virtual machine goes by what ARM calls it, such as
            ``Microsoft.Network/networkInterfaces/write``: a type, and ``read``, ``write``,
            ``delete`` or ``action``.
        method: the HTTP method.
        url: the whole URL.
        vm: the VM's name as the request has it, or ``None``.
        status: the HTTP status of the answer; 0 where that was lost on its way.
        error_code: the answer's error code, or ``None``.
        at: the instant, aware UTC.
        sent: the request's body as it was sent.
        answered: the answer's body.
    """

    operation: str
    method: str
    url: str
    vm: str | None
    status: int
    error_code: str | None
    at: _dt.datetime
    sent: bytes = field(repr=False)
    answered: bytes = field(repr=False)

    @property
    def request_body(self) -> Any:
        """The request's JSON, or ``None`` where there was none. Secrets in it are as sent."""
        return _json(self.sent)

    @property
    def response_body(self) -> Any:
        """The answer's JSON, or ``None`` where there was none."""
        return _json(self.answered)

    def __str__(self) -> str:
        of = f" {self.vm}" if self.vm else ""
        why = f" {self.error_code}" if self.error_code else ""
        return f"{self.at:%H:%M:%S} {self.operation}{of} -> {self.status or 'no answer'}{why}"


# What is kept of a call until somebody looks: a plain tuple of its values, in the order of its
# attributes. Most are never looked at, and the collector of garbage passes over these.
Noted: TypeAlias = tuple[
    str, str, str, str | None, int, str | None, _dt.datetime, bytes, bytes
]  # fmt: skip


class Calls(Sequence[Call]):
    """A sequence of calls that can be narrowed down."""

    def __init__(self, noted: Sequence[Noted] = ()) -> None:
        self._noted = list(noted)

    def note(self, noted: Noted) -> None:
        """Add a call at the end."""
        self._noted.append(noted)

    def filter(
        self, *, operation: str = "*", vm: str = "*", method: str = "*", status: int | None = None
    ) -> Calls:
        """Give the calls that fit all of these.

        Args:
            operation: an fnmatch pattern, or one of create, update, create_or_update (either of
                these two), delete, get, instance_view, list, list_all, list_by_location, start,
                power_off, restart, deallocate, redeploy, reapply, reimage, generalize,
                simulate_eviction, extension_create, extension_update, extension_delete,
                extension_get, extension_list, capture, run_command, poll and other; or, with a
                slash in it, what ARM calls it: ``"Microsoft.Network/*"``,
                ``"*/resourceGroups/delete"``, in any case.
            vm: an fnmatch pattern of the VM's name, in any case.
            method: an fnmatch pattern of the HTTP method.
            status: the answer's HTTP status.

        Raises:
            ValueError: there is no such operation.
        """
        for name, pattern in (("operation", operation), ("vm", vm), ("method", method)):
            if not isinstance(pattern, str):
                raise TypeError(f"{name} must be a pattern such as 'web-*', not {pattern!r}")
        if status is not None and (isinstance(status, bool) or not isinstance(status, int)):
            raise TypeError(f"status must be an HTTP status such as 409, not {status!r}")
        if operation not in OPERATIONS and not _WILD & set(operation) and "/" not in operation:
            raise ValueError(
                f"calls know no operation {operation!r}; they know {', '.join(OPERATIONS)}"
            )
        operations = BOTH.get(operation, (operation,))
        return Calls(
            [
                noted
                for noted, call in zip(self._noted, self, strict=True)
                if any(_fits(call.operation, pattern) for pattern in operations)
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
            return Calls(self._noted[index])
        return Call(*self._noted[index])

    def __len__(self) -> int:
        return len(self._noted)

    def __iter__(self) -> Iterator[Call]:
        return (Call(*noted) for noted in self._noted)

    def __repr__(self) -> str:
        return f"<Calls {[str(call) for call in self]}>"


def _fits(operation: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(operation.lower(), pattern.lower())
    return fnmatchcase(operation, pattern)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:  # what was sent was no JSON
        return None
