"""A fleet for an hour: create many virtual machines at once, and delete every one of them again.

No more than so many operations are in flight at a time, and one machine that cannot be made does
not keep the others from being: what went wrong is reported, by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.aio import ComputeManagementClient

AT_ONCE = 25


@dataclass
class Report:
    """Which machines it went well with, and why not with the others."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


async def create_fleet(
    client: ComputeManagementClient,
    group: str,
    fleet: Mapping[str, Mapping[str, Any]],
    *,
    at_once: int = AT_ONCE,
) -> Report:
    """Create the machines of *fleet*, and wait until all are there."""

    async def create(name: str) -> None:
        poller = await client.virtual_machines.begin_create_or_update(group, name, fleet[name])
        await poller.result()

    return await _each(fleet, create, at_once)


async def delete_fleet(
    client: ComputeManagementClient, group: str, names: Iterable[str], *, at_once: int = AT_ONCE
) -> Report:
    """Delete machines, and wait until all are gone."""

    async def delete(name: str) -> None:
        poller = await client.virtual_machines.begin_delete(group, name)
        await poller.result()

    return await _each(names, delete, at_once)


async def _each(
    names: Iterable[str], act: Callable[[str], Awaitable[None]], at_once: int
) -> Report:
    report, turn = Report(), asyncio.Semaphore(at_once)

    async def one(name: str) -> None:
        async with turn:
            try:
                await act(name)
            except HttpResponseError as error:
                report.failed[name] = error.error.code if error.error else error.message
            else:
                report.done.append(name)

    await asyncio.gather(*(one(name) for name in names))
    return report
