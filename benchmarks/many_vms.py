"""What many virtual machines cost, next to a tenth of them: time that should grow tenfold, or not.

Requests go in below the SDK, whose own cost is `floor.py`'s affair. Everything runs in one process,
few machines and many alternately; the ratios are what counts. Time is the process's own, for all of
it is computing; the collector of garbage, which looks at whatever is kept, counts.

    python benchmarks/many_vms.py [machines] [rounds]
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request

HOST = "https://management.azure.com"
VERSION = "api-version=2024-07-01"
IN_A_GROUP = 10
LOOKS = 300


def name(number: int) -> str:
    return f"web-{number}"


def group(number: int) -> str:
    return f"shop-{number // IN_A_GROUP}"


class Fleet:
    """So many machines, in groups of ten, and what is done with them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fake = FakeCompute()
        self.fake.__enter__()
        self.all = f"/subscriptions/{self.fake.subscription_id}"

    def ask(self, method: str, path: str) -> dict:
        response = self.fake._arm.handle(Request(method, f"{HOST}{path}?{VERSION}"))
        assert response.status < 300
        return json.loads(response.body) if response.body else {}

    def of_group(self, number: int) -> str:
        return (
            f"{self.all}/resourceGroups/{group(number)}/providers/Microsoft.Compute/virtualMachines"
        )

    def add(self) -> None:
        for number in range(self.size):
            self.fake.add_vm(name(number), resource_group=group(number))

    def list_all(self) -> None:
        found = 0
        url = f"{HOST}{self.all}/providers/Microsoft.Compute/virtualMachines?{VERSION}"
        while url:  # reading the pages is the client's affair
            page = self.fake._arm.handle(Request("GET", url)).body.decode()
            found += page.count('"vmId":')
            url = page.partition('"nextLink":"')[2].partition('"')[0]
        assert found == self.size

    def deallocate(self) -> None:
        for number in range(self.size):
            self.ask("POST", f"{self.of_group(number)}/{name(number)}/deallocate")

    def advance(self) -> None:
        self.fake.clock.advance(hours=1)
        assert self.fake.vm(name(self.size - 1)).power_state == "deallocated"

    def looked_at(self, again: int = 1) -> list[int]:
        """Give the numbers of some machines in the middle of the fleet, *again* and again."""
        first = self.size // 2
        return [*range(first, first + LOOKS // again)] * again

    def get_one(self) -> None:
        for number in self.looked_at(again=30):
            self.ask("GET", f"{self.of_group(number)}/{name(number)}")

    def find_one(self) -> None:
        for number in self.looked_at(again=30):
            self.fake.vm(name(number))

    def list_one_group(self) -> None:
        for number in self.looked_at(again=30):
            self.ask("GET", self.of_group(number))

    def start_one(self) -> None:
        for number in self.looked_at():
            self.ask("POST", f"{self.of_group(number)}/{name(number)}/start")
        self.fake.clock.advance(minutes=10)

    def delete_one(self) -> None:
        for number in self.looked_at():
            self.ask("DELETE", f"{self.of_group(number)}/{name(number)}")
        self.fake.clock.advance(minutes=10)


# What grows with the machines, and what does not: in the order of a fleet's life.
EACH = ("add", "list_all", "deallocate", "advance")
ONE = ("get_one", "find_one", "list_one_group", "start_one", "delete_one")


def timed(run: Callable[[], None]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def life(size: int, seconds: dict[str, list[float]]) -> None:
    fleet = Fleet(size)
    for step in (*EACH, *ONE):
        gc.collect()
        seconds.setdefault(step, []).append(timed(getattr(fleet, step)))
    fleet.fake.close()


def bytes_per_vm(size: int) -> list[tuple[str, float]]:
    gc.collect()
    tracemalloc.start()
    fleet, found = Fleet(size), []
    before = tracemalloc.get_traced_memory()[0]
    for step in EACH:
        getattr(fleet, step)()
        gc.collect()
        found.append((step, (tracemalloc.get_traced_memory()[0] - before) / size))
    tracemalloc.stop()
    fleet.fake.close()
    return found


def main(size: int, rounds: int) -> None:
    few: dict[str, list[float]] = {}
    many: dict[str, list[float]] = {}
    life(size // 10, {})  # warm
    for _ in range(rounds):
        for _ in range(5):  # short lives are at the mercy of whatever else the machine does
            life(size // 10, few)
        life(size, many)
    print(f"{size:_} machines next to {size // 10:_}")
    for steps, reach, times, of in ((EACH, 11, size, "machine"), (ONE, 1.2, LOOKS, "look")):
        for step in steps:
            took = min(many[step])
            ratio = took / min(few[step])
            each = 1e6 * took / times
            print(f"{step:16} {ratio:6.2f} x the time (reach: {reach:>3})  {each:7.1f} us a {of}")
    for step, kept in bytes_per_vm(size):
        print(f"after {step:10} {kept / 1024:6.2f} KiB a machine (reach: 10)")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 10_000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 3,
    )
