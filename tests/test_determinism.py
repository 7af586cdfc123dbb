"""The same seed, the same run; looking never changes it."""

from __future__ import annotations

from pytest_azurevm import FakeCompute


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
