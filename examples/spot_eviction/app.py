"""A pool of workers on Spot machines: cheap, and taken away whenever Azure wants them back.

Every so often the pool looks at each worker, clears away what was evicted, and makes another. Once
it has lost as many as it can stand, it buys machines at the full price, which stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import sleep
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute import ComputeManagementClient

GONE = {"ResourceNotFound", "NotFound"}  # deleted by somebody; deleted by an eviction
LOST = {"deallocating", "deallocated", None}
LOOK_EVERY_S = 30
_SPOT = {"priority": "Spot", "billingProfile": {"maxPrice": -1}}


def code_of(error: HttpResponseError) -> str | None:
    """Give Azure's code of an error."""
    return error.error.code if error.error else None


@dataclass
class Pool:
    """So many workers, whatever happens to them."""

    client: ComputeManagementClient
    group: str
    template: Mapping[str, Any]
    size: int
    eviction_policy: str = "Deallocate"
    most_evictions: int = 3
    evictions: int = 0
    workers: list[str] = field(default_factory=list)
    _made: int = 0

    def tend(self, *, seconds: float) -> None:
        """Look after the workers for so long."""
        for _ in range(int(seconds // LOOK_EVERY_S)):
            self.look()
            sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Replace the workers that were lost, and fill up the pool."""
        for name in list(self.workers):
            if self._power_state(name) in LOST:
                self._drop(name)
        while len(self.workers) < self.size:
            self._hire()

    def _hire(self) -> None:
        self._made += 1
        name = f"worker-{self._made}"
        spot = self.evictions < self.most_evictions
        kind = {**_SPOT, "evictionPolicy": self.eviction_policy} if spot else {}
        asked = {**self.template, "properties": {**self.template["properties"], **kind}}
        self.workers.append(name)
        try:
            self.client.virtual_machines.begin_create_or_update(self.group, name, asked).result()
        except HttpResponseError as error:
            if code_of(error) != "OperationPreempted":
                raise
            self._drop(name)  # evicted before it was ready

    def _drop(self, name: str) -> None:
        """Delete what an eviction has left of a worker: its disk, which goes on costing."""
        self.client.virtual_machines.begin_delete(self.group, name).result()
        self.workers.remove(name)
        self.evictions += 1

    def _power_state(self, name: str) -> str | None:
        try:
            view = self.client.virtual_machines.instance_view(self.group, name)
        except HttpResponseError as error:
            # A subscription or a group that is not found is a 404 too, and no eviction.
            if code_of(error) in GONE:
                return None
            raise
        for status in view.statuses or ():
            category, _, state = (status.code or "").partition("/")
            if category == "PowerState":
                return state
        return None
