"""A morning round: look at every machine at once, and start those that should be up.

Its clients are built when it is imported, as in most programs, and nothing can be handed in.
"""

from __future__ import annotations

import asyncio
import os

from azure.identity import DefaultAzureCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient

SUBSCRIPTION = os.environ.get("AZURE_SUBSCRIPTION_ID", "5d3c1a2b-0c4e-4f6a-8b7d-9e1f2a3b4c5d")

compute = ComputeManagementClient(DefaultAzureCredential(), SUBSCRIPTION)
async_compute = AsyncComputeManagementClient(AsyncDefaultAzureCredential(), SUBSCRIPTION)


async def power_states(group: str) -> dict[str, str | None]:
    """Give every machine's power state, all asked for at once."""
    names = [vm.name async for vm in async_compute.virtual_machines.list(group)]
    found = await asyncio.gather(*(_power_state(group, name) for name in names))
    return dict(zip(names, found, strict=True))


async def _power_state(group: str, name: str) -> str | None:
    view = await async_compute.virtual_machines.instance_view(group, name)
    codes = [status.code for status in view.statuses or ()]
    return next((code[11:] for code in codes if code.startswith("PowerState/")), None)


def morning_round(group: str) -> list[str]:
    """Start what sleeps and should be up, wait for it, and give the names."""
    states = asyncio.run(power_states(group))
    asleep = [name for name, state in states.items() if state in ("stopped", "deallocated")]
    begun = [compute.virtual_machines.begin_start(group, name) for name in asleep]
    for poller in begun:
        poller.result()
    return asleep
