"""What a fake costs to set up and tear down, and what a day of one machine's life costs.

python benchmarks/little_things.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from floor import CREATE

from pytest_azurevm import FakeCompute


def set_up_and_tear_down() -> None:
    with FakeCompute() as fake:
        _ = fake.client


def day() -> None:
    """Work by day, guest shut down in the evening, forgotten, deallocated by night."""
    with FakeCompute() as fake:
        client = fake.client.virtual_machines
        client.begin_create_or_update("rg", "web-1", CREATE).result()
        for _ in range(9):
            fake.clock.advance(hours=1)
            client.instance_view("rg", "web-1")
        fake.vm("web-1").guest_shutdown()
        fake.clock.advance(hours=2)
        client.begin_deallocate("rg", "web-1").result()
        fake.clock.advance(hours=10)
        client.begin_start("rg", "web-1").result()
        fake.clock.advance_to("2026-01-02T00:00:00Z")


def median_ms(run: Callable[[], None], rounds: int) -> float:
    run()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def main(rounds: int) -> None:
    print(f"set up and torn down  {median_ms(set_up_and_tear_down, rounds):6.2f} ms   (reach: 1)")
    print(f"one virtual day       {median_ms(day, rounds):6.2f} ms   (reach: 50)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
