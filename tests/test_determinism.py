"""The same seed, the same run; looking never changes it."""

from __future__ import annotations

import time
from collections import Counter

from pytest_azurevm import FakeCompute

FLEET = tuple(f"web-{number}" for number in range(20))


def trace(seed: int, *, looking: bool = False) -> str:
    """Live through a small day of five VMs, and give everything that happened."""
    with FakeCompute(seed=seed, jitter=0.5) as fake:
        client = fake.client.virtual_machines
        finished = []
        pollers = []
        for number in range(5):
            fake.add_vm(f"web-{number}")
            poller = client.begin_deallocate("rg", f"web-{number}")
            poller.add_done_callback(lambda _, n=number: finished.append((n, fake.clock.now_us)))
            pollers.append(poller)
        if looking:
            for _ in range(50):
                _ = (fake.vms[2].bill, fake.vm("web-1").statuses, pollers[0].status(), repr(fake))
        pollers[3].result()
        restarted = [client.begin_start("rg", f"web-{n}") for n in (0, 3) if pollers[n].done()]
        fake.vms[4].history  # noqa: B018  a look
        fake.clock.advance(hours=1)
        histories = [vm.history for vm in fake.vms]
        return repr((finished, len(restarted), histories, [str(call) for call in fake.calls]))


def test_one_seed_gives_one_trace():
    """A scenario of pollers and callbacks, run thirty times, is one and the same run."""
    assert len({trace(1) for _ in range(30)}) == 1


def test_another_seed_gives_another():
    """Another seed draws other durations."""
    assert trace(1) != trace(2)


def test_looking_changes_nothing():
    """Bills, statuses, pollers' status and repr may be read at will."""
    assert trace(1, looking=True) == trace(1)


def evening(seed: int) -> str:
    """Send twenty VMs to sleep: pollers, callbacks that begin and sleep, and a loop that sleeps."""
    with FakeCompute(seed=seed, jitter=0.5) as fake:
        client = fake.client.virtual_machines
        ran: list[tuple[str, int]] = []

        def ended(name: str) -> None:
            ran.append((name, fake.clock.now_us))
            if name.endswith("5"):
                client.begin_start("rg", name).result()
            elif name.endswith("7"):
                time.sleep(3)

        for name in FLEET:
            fake.add_vm(name)
        pollers = []
        for name in FLEET:
            pollers.append(client.begin_power_off("rg", name))
            pollers[-1].add_done_callback(lambda _, name=name: ended(name))
            time.sleep(0.7)
        pollers[3].wait(5)
        looks = 0
        while not all(poller.done() for poller in pollers):
            time.sleep(5)
            looks += 1
        fake.clock.run_until_idle()
        told = [(vm.name, vm.power_state, vm.history, vm.bill) for vm in fake.vms]
        return repr((ran, looks, told, [(str(call), call.at, call.url) for call in fake.calls]))


def test_an_evening_of_twenty_machines_run_300_times_is_one():
    """Twenty VMs, sync pollers, callbacks and sleeps: one seed gives one trace, another another."""
    traces = Counter(evening(1) for _ in range(300))

    assert len(traces) == 1
    assert evening(2) not in traces
