"""What the fake costs, next to a transport that answers canned bytes and never sleeps.

The same real SDK client makes the same number of HTTP exchanges against both, alternately, in one
process; the ratios are what counts.

    python benchmarks/floor.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from azure.core.pipeline.transport import HttpTransport
from azure.mgmt.compute import ComputeManagementClient

from pytest_azurevm import FakeCompute
from pytest_azurevm._http import Request, Response
from pytest_azurevm._transport import FakeCredential, FakeTransport, Link

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
        self.arm, self.answers = fake._arm_in_force, []

    def handle(self, request: Request) -> Response:
        answer = self.arm().handle(request)
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


class Floor(HttpTransport):
    """Answers as the fake's transport does, and never sleeps. Its pollers are left untouched."""

    def __init__(self, link: Link) -> None:
        self._inner = FakeTransport(link)

    def send(self, request, **kwargs):
        return self._inner.send(request, **kwargs)

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


def canned_client(fake: FakeCompute, run: Callable[[ComputeManagementClient], None]):
    """Record one run against the fake, and give a client on a transport that replays it."""

    def client(transport) -> ComputeManagementClient:
        return ComputeManagementClient(FakeCredential(), fake.subscription_id, transport=transport)

    def link(answering) -> Link:
        return Link(lambda: answering, lambda: fake.clock, lambda: fake._loops)

    recorder = Recorder(fake)
    run(client(FakeTransport(link(recorder))))
    return client(Floor(link(Canned(recorder.answers))))


def main(rounds: int) -> None:
    with FakeCompute() as fake:
        fake.add_vm("web-0")
        for name, run, times in (("one GET", get, 20), ("a full lifecycle", life, 1)):
            floor = canned_client(fake, run)
            run(fake.client)
            ours, theirs = [], []
            for _ in range(rounds):
                for client, kept in ((floor, theirs), (fake.client, ours)):
                    begun = time.perf_counter()
                    for _ in range(times):
                        run(client)
                    kept.append(time.perf_counter() - begun)
            ratio = statistics.median(ours) / statistics.median(theirs)
            each = 1000 * statistics.median(ours) / times
            print(f"{name:18} {ratio:5.2f} x floor   (reach: 1.25)   {each:6.2f} ms here")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
