"""What the fake costs, next to a transport that answers canned bytes and never sleeps.

The same real SDK client makes the same number of HTTP exchanges against both, alternately, in one
process; the ratios are what counts.

    python benchmarks/floor.py [rounds]         (Python 3.11 or later)
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from functools import partial

from azure.core.pipeline.transport import AsyncHttpTransport, HttpTransport
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request, Response
from pytest_azurevm._transport import (
    AsyncFakeCredential,
    AsyncFakeTransport,
    FakeCredential,
    FakeTransport,
    Link,
)

CREATE = {
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "UbuntuServer",
                "sku": "18.04-LTS",
                "version": "latest",
            }
        },
        "osProfile": {"computerName": "web-1", "adminUsername": "azureuser"},
        "networkProfile": {"networkInterfaces": [{"id": "/nic"}]},
    },
}


class Recorder:
    """Stands where the fake's link stands, and remembers what was answered."""

    def __init__(self, fake: FakeCompute) -> None:
        self.front, self.answers = fake._front_in_force, []

    def handle(self, request: Request) -> Response:
        answer = self.front().handle(request)
        self.answers.append(answer)
        return answer


class Canned:
    """Answers what was recorded, in order, for ever."""

    def __init__(self, answers: list[Response]) -> None:
        self.answers, self.position = answers, 0

    def handle(self, _request: Request) -> Response:
        answer = self.answers[self.position % len(self.answers)]
        self.position += 1
        return answer


def untouched(answer):
    """Let no poller take an answer for the fake's."""
    for name in ("_internal_response", "internal_response"):
        getattr(answer, name, answer).__dict__.pop("azurevm_link", None)
    return answer


class Floor(HttpTransport):
    """Answers as the fake's transport does, and never sleeps. Its pollers are left untouched."""

    def __init__(self, link: Link) -> None:
        self._inner = FakeTransport(link)

    def send(self, request, **kwargs):
        return untouched(self._inner.send(request, **kwargs))

    def open(self) -> None: ...

    def close(self) -> None: ...

    def sleep(self, duration: float) -> None: ...

    def __exit__(self, *_args) -> None: ...


def life(client: ComputeManagementClient) -> None:
    vms = client.virtual_machines
    vms.begin_create_or_update("rg", "web-1", CREATE).result()
    vms.instance_view("rg", "web-1")
    vms.begin_deallocate("rg", "web-1").result()
    vms.begin_start("rg", "web-1").result()
    vms.begin_delete("rg", "web-1").result()


def get(client: ComputeManagementClient) -> None:
    client.virtual_machines.get("rg", "web-0")


class AsyncFloor(AsyncHttpTransport):
    """The same for event loops."""

    def __init__(self, link: Link) -> None:
        self._inner = AsyncFakeTransport(link)

    async def send(self, request, **kwargs):
        return untouched(await self._inner.send(request, **kwargs))

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def sleep(self, duration: float) -> None: ...

    async def __aexit__(self, *_args) -> None: ...


async def aio_life(client) -> None:
    vms = client.virtual_machines
    await (await vms.begin_create_or_update("rg", "web-1", CREATE)).result()
    await vms.instance_view("rg", "web-1")
    await (await vms.begin_deallocate("rg", "web-1")).result()
    await (await vms.begin_start("rg", "web-1")).result()
    await (await vms.begin_delete("rg", "web-1")).result()


async def aio_get(client) -> None:
    await client.virtual_machines.get("rg", "web-0")


def link(fake: FakeCompute, answering) -> Link:
    return Link(lambda: answering, lambda: fake._time, lambda: fake._loops)


def sync_client(fake: FakeCompute, transport) -> ComputeManagementClient:
    return ComputeManagementClient(FakeCredential(), fake.subscription_id, transport=transport)


def aio_client(fake: FakeCompute, transport) -> AsyncComputeManagementClient:
    return AsyncComputeManagementClient(
        AsyncFakeCredential(), fake.subscription_id, transport=transport
    )


def compare(name: str, rounds: int, times: int, ours, theirs) -> None:
    """Run both alternately, and print the ratio of their medians."""
    taken = {ours: [], theirs: []}
    for _ in range(rounds):
        for run, kept in taken.items():
            begun = time.perf_counter()
            for _ in range(times):
                run()
            kept.append(time.perf_counter() - begun)
    ratio = statistics.median(taken[ours]) / statistics.median(taken[theirs])
    each = 1000 * statistics.median(taken[ours]) / times
    print(f"{name:24} {ratio:5.2f} x floor   (reach: 1.25)   {each:6.2f} ms here")


def sync_rows(fake: FakeCompute, rounds: int) -> None:
    for name, run, times in (("one GET", get, 20), ("a full lifecycle", life, 1)):
        recorder = Recorder(fake)
        run(sync_client(fake, FakeTransport(link(fake, recorder))))
        floor = sync_client(fake, Floor(link(fake, Canned(recorder.answers))))
        compare(name, rounds, times, partial(run, fake.client), partial(run, floor))
        anywhere = ComputeManagementClient(FakeCredential(), fake.subscription_id)
        ours = partial(run, anywhere)
        compare("  by a client of its own", rounds, times, ours, partial(run, floor))


def aio_rows(fake: FakeCompute, rounds: int) -> None:
    with asyncio.Runner() as runner:
        for name, run, times in (("one GET, aio", aio_get, 20), ("a full one, aio", aio_life, 1)):
            recorder = Recorder(fake)
            runner.run(run(aio_client(fake, AsyncFakeTransport(link(fake, recorder)))))
            floor = aio_client(fake, AsyncFloor(link(fake, Canned(recorder.answers))))
            compare(
                name,
                rounds,
                times,
                lambda run=run: runner.run(run(fake.aio_client)),
                lambda run=run, floor=floor: runner.run(run(floor)),
            )


def main(rounds: int) -> None:
    with FakeCompute() as fake:
        fake.add_vm("web-0")
        sync_rows(fake, rounds)
        aio_rows(fake, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
