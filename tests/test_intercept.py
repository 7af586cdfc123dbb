"""Swapping in: clients of azure-core's make reach the fake, whoever built them, and when."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import azure.identity
import azure.identity.aio
import pytest
from azure.core import PipelineClient
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline import Pipeline
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    RetryPolicy,
    SansIOHTTPPolicy,
)
from azure.core.pipeline.transport import (
    AioHttpTransport,
    AsyncioRequestsTransport,
    HttpTransport,
    RequestsTransport,
)
from azure.core.polling import LROPoller
from azure.core.rest import HttpRequest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.aio import ComputeManagementClient as AsyncComputeManagementClient

from pytest_azurevm import AzureOutOfReach, FakeCompute, PollerLeftRunningWarning, failures
from pytest_azurevm._fake import SUBSCRIPTION_ID
from tests.builders import linux_vm

# Built at import time, as applications build theirs, long before there is a fake.
CLIENT = ComputeManagementClient(azure.identity.DefaultAzureCredential(), SUBSCRIPTION_ID)
AIO_CLIENT = AsyncComputeManagementClient(
    azure.identity.aio.DefaultAzureCredential(), SUBSCRIPTION_ID
)


class NeverAsked:
    """A credential whose owner has nothing to sign in with."""

    def get_token(self, *_scopes, **_options):
        """Fail whoever asks."""
        raise AssertionError("the credential was asked")

    get_token_info = get_token


class NeverAskedInTask:
    """The same for event loops."""

    async def get_token(self, *_scopes, **_options):
        """Fail whoever asks."""
        raise AssertionError("the credential was asked")

    get_token_info = get_token

    async def close(self):
        """Nothing to close."""


@pytest.fixture
def shop(fake):
    """A fake with one machine."""
    fake.add_vm("web-1", resource_group="shop")
    return fake


# --- whoever built it, and when ----------------------------------------------------------------


def test_a_client_built_at_import_time_reaches_the_fake(shop):
    """A client that was there before the fake talks to it, in virtual time."""
    poller = CLIENT.virtual_machines.begin_deallocate("shop", "web-1")
    assert shop.vm("web-1").power_state == "deallocating"
    assert isinstance(poller, LROPoller)

    shop.clock.advance(minutes=5)
    assert poller.done()
    assert shop.vm("web-1").power_state == "deallocated"


def test_so_does_its_twin_for_event_loops(shop):
    """An aio client that was there before the fake talks to it, in one loop after the other."""

    async def bounce(operation: str) -> None:
        poller = await getattr(AIO_CLIENT.virtual_machines, operation)("shop", "web-1")
        await poller.result()

    asyncio.run(bounce("begin_deallocate"))
    asyncio.run(bounce("begin_start"))
    assert [step.power_state for step in shop.vm("web-1").history][-1] == "running"


def test_every_fake_is_reached_in_its_time():
    """One client reaches one fake after the other, each with its own machines."""
    for name in ("web-1", "db-1"):
        with FakeCompute() as fake:
            fake.add_vm(name, resource_group="shop")
            assert [vm.name for vm in CLIENT.virtual_machines.list_all()] == [name]


@pytest.mark.parametrize(
    "build",
    [
        lambda: ComputeManagementClient(NeverAsked(), SUBSCRIPTION_ID),
        lambda: ComputeManagementClient(
            NeverAsked(), SUBSCRIPTION_ID, transport=RequestsTransport(connection_timeout=1)
        ),
        lambda: ComputeManagementClient(
            NeverAsked(), SUBSCRIPTION_ID, retry_policy=RetryPolicy.no_retries()
        ),
        lambda: ComputeManagementClient(
            NeverAsked(), SUBSCRIPTION_ID, per_call_policies=[SansIOHTTPPolicy()]
        ),
        lambda: ComputeManagementClient(
            NeverAsked(),
            SUBSCRIPTION_ID,
            authentication_policy=BearerTokenCredentialPolicy(NeverAsked(), "x"),
        ),
        lambda: ComputeManagementClient(NeverAsked(), SUBSCRIPTION_ID, proxies={"https": "p:1"}),
    ],
)
def test_a_client_is_reached_however_it_was_built(shop, build):
    """Policies, retries, transports and proxies of the user's own change nothing."""
    client = build()
    client.virtual_machines.begin_power_off("shop", "web-1").result()

    assert client.virtual_machines.get("shop", "web-1").name == "web-1"
    assert shop.vm("web-1").power_state == "stopped"
    assert isinstance(client, ComputeManagementClient)


@pytest.mark.parametrize("transport", [AioHttpTransport, AsyncioRequestsTransport])
def test_an_async_client_is_reached_over_either_transport(shop, transport):
    """So does an async client over aiohttp, or over requests."""

    async def stop() -> None:
        async with AsyncComputeManagementClient(
            NeverAskedInTask(), SUBSCRIPTION_ID, transport=transport()
        ) as client:
            await (await client.virtual_machines.begin_power_off("shop", "web-1")).result()

    asyncio.run(stop())
    assert shop.vm("web-1").power_state == "stopped"


def test_a_pipeline_of_the_users_own_is_reached(shop):
    """A pipeline that was put together by hand reaches the fake."""
    pipeline = Pipeline(transport=RequestsTransport(), policies=[RetryPolicy()])
    client = PipelineClient("https://management.azure.com", pipeline=pipeline)
    url = f"https://management.azure.com{shop.vm('web-1').id}?api-version=2024-07-01"
    answer = client.send_request(HttpRequest("GET", url))

    assert answer.json()["name"] == "web-1"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://management.usgovcloudapi.net",
        "https://management.chinacloudapi.cn",
        "https://westeurope.management.azure.com",
    ],
)
def test_national_and_regional_endpoints_are_answered_likewise(shop, endpoint):
    """A client of another cloud is answered, and polls where it asked."""
    client = ComputeManagementClient(
        NeverAsked(), SUBSCRIPTION_ID, base_url=endpoint, credential_scopes=[f"{endpoint}/.default"]
    )
    client.virtual_machines.begin_restart("shop", "web-1").result()

    assert {call.url[: len(endpoint)] for call in shop.calls} == {endpoint}


def test_a_transport_that_is_not_azure_cores_is_left_alone(shop):
    """A transport of the user's own answers by itself; one that passes on reaches the fake."""

    class Canned(HttpTransport):
        """Knows one answer."""

        def send(self, request, **_kwargs):
            raise ServiceRequestError("as canned")

        def open(self): ...
        def close(self): ...
        def __exit__(self, *_args): ...

    class Passing(Canned):
        """Hands on what it is given."""

        def send(self, request, **kwargs):
            return RequestsTransport().send(request, **kwargs)

    canned = ComputeManagementClient(
        NeverAsked(), SUBSCRIPTION_ID, transport=Canned(), retry_total=0
    )
    with pytest.raises(ServiceRequestError, match="as canned"):
        canned.virtual_machines.get("shop", "web-1")
    assert list(shop.calls) == []

    passing = ComputeManagementClient(NeverAsked(), SUBSCRIPTION_ID, transport=Passing())
    passing.virtual_machines.begin_deallocate("shop", "web-1").result()
    assert shop.vm("web-1").power_state == "deallocated"


def test_a_client_that_was_closed_is_as_good_as_in_production(shop):
    """A closed client is refused by its own transport, by those releases that refuse it at all."""
    by_itself, transport = RequestsTransport(), RequestsTransport()
    client = ComputeManagementClient(NeverAsked(), SUBSCRIPTION_ID, transport=transport)
    client.virtual_machines.get("shop", "web-1")
    client.close()
    by_itself.open()
    by_itself.close()

    try:
        by_itself.open()
    except ValueError as error:  # since 1.29
        with pytest.raises(ValueError, match=re.escape(str(error))):
            client.virtual_machines.get("shop", "web-1")
    else:
        assert client.virtual_machines.get("shop", "web-1")


def test_other_requests_of_azure_core_are_not_touched(shop):
    """A pipeline whose service is none of Azure's reaches it, and sleeps for real if told to."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"hi")

        def log_message(self, *_what): ...

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        answer = PipelineClient(address).send_request(HttpRequest("GET", address))
        thread.join()

    assert answer.text() == "hi"
    assert list(shop.calls) == []


def test_retries_of_any_client_are_slept_in_virtual_time(shop):
    """What is injected strikes below the retries of a client of the application's own."""
    shop.inject(failures.Throttled(retry_after=17), on="get", times=2)
    before = shop.clock.now

    assert CLIENT.virtual_machines.get("shop", "web-1").name == "web-1"
    assert (shop.clock.now - before).total_seconds() == 34


@pytest.mark.parametrize("sleep", ["virtual", "real"])
def test_pollers_are_virtual_whatever_sleeps_are(sleep):
    """With real sleeps, the poller of a client built anywhere still waits in virtual time."""
    with FakeCompute(sleep=sleep) as fake:
        fake.add_vm("web-1", resource_group="shop")
        CLIENT.virtual_machines.begin_deallocate("shop", "web-1").result()
        assert fake.vm("web-1").power_state == "deallocated"


def test_a_pool_of_workers_takes_the_time_of_the_slowest(fake):
    """A hundred machines, each stopped by a worker with one client for all, stop at once."""
    names = [f"web-{number}" for number in range(20)]
    for name in names:
        fake.add_vm(name, resource_group="shop")
    before = fake.clock.now

    def stop(name: str) -> None:
        CLIENT.virtual_machines.begin_deallocate("shop", name).result()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stop, names))
    assert {vm.power_state for vm in fake.vms} == {"deallocated"}
    assert (fake.clock.now - before).total_seconds() <= 3 * 70


def test_an_operation_is_taken_up_again_by_its_token(shop):
    """A poller made of a continuation token is exact as well."""
    vms = CLIENT.virtual_machines
    token = vms.begin_deallocate("shop", "web-1").continuation_token()
    poller = vms.begin_deallocate("shop", "web-1", continuation_token=token)

    shop.clock.advance(minutes=5)
    assert poller.done()


# --- credentials -------------------------------------------------------------------------------


def test_no_credential_is_asked_sync_or_in_a_task(shop):
    """What the fake answers needs no token, also not an auxiliary one."""
    client = ComputeManagementClient(
        NeverAsked(), SUBSCRIPTION_ID, auxiliary_credentials=[NeverAsked()]
    )
    assert client.virtual_machines.get("shop", "web-1")

    async def look() -> str:
        async with AsyncComputeManagementClient(
            NeverAskedInTask(), SUBSCRIPTION_ID, auxiliary_credentials=[NeverAskedInTask()]
        ) as client:
            return (await client.virtual_machines.get("shop", "web-1")).name

    assert asyncio.run(look()) == "web-1"


def test_no_false_token_is_left_with_a_client():
    """A client that has reached the fake asks its credential anew when the fake has ended."""
    client = ComputeManagementClient(NeverAsked(), SUBSCRIPTION_ID)
    with FakeCompute() as fake:
        fake.add_vm("web-1", resource_group="shop")
        client.virtual_machines.get("shop", "web-1")

    with pytest.raises(AssertionError, match="the credential was asked"):
        client.virtual_machines.get("shop", "web-1")


def test_a_token_never_travels_unencrypted(shop):
    """Azure-core's refusal to send a token over plain HTTP stands."""
    client = ComputeManagementClient(
        NeverAsked(), SUBSCRIPTION_ID, base_url="http://management.azure.com"
    )
    with pytest.raises(ServiceRequestError, match="non-TLS"):
        client.virtual_machines.get("shop", "web-1")


def test_a_credential_is_asked_for_what_the_fake_does_not_answer(shop):
    """A client of a data plane asks its credential, as ever, before it is refused."""
    policies = [BearerTokenCredentialPolicy(NeverAsked(), "https://storage.azure.com/.default")]
    client = PipelineClient("https://shop.blob.core.windows.net", policies=policies)

    with pytest.raises(AssertionError, match="the credential was asked"):
        client.send_request(HttpRequest("GET", "https://shop.blob.core.windows.net/x"))


# --- the end -----------------------------------------------------------------------------------

EXCHANGED = """
import http.client, socket, sys
import aiohttp.connector, httpx, requests, responses
from azure.core.pipeline import policies, transport
from azure.core.polling import LROPoller
from azure.mgmt.core import policies as more

OWNERS = [
    transport.RequestsTransport, transport.AsyncioRequestsTransport, transport.AioHttpTransport,
    transport.TrioRequestsTransport, policies.BearerTokenCredentialPolicy,
    policies.AsyncBearerTokenCredentialPolicy, more.AuxiliaryAuthenticationPolicy,
    more.AsyncAuxiliaryAuthenticationPolicy, LROPoller, requests.adapters.HTTPAdapter,
    responses.RequestsMock, httpx.HTTPTransport, httpx.AsyncHTTPTransport, aiohttp.TCPConnector,
    http.client.HTTPConnection, http.client.HTTPSConnection, socket, socket.socket, sys,
]

def now():
    return [dict(vars(owner)) for owner in OWNERS] + [list(sys.meta_path)]

def changed(before, after):
    return [
        f"{owner.__name__}.{name}"
        for owner, old, new in zip(OWNERS, before, after)
        for name in old.keys() | new.keys()
        if old.get(name) is not new.get(name)
    ]

from pytest_azurevm import FakeCompute

before = now()
with FakeCompute():
    during = changed(before, now())
"""


def run(code: str) -> str:
    """Run *code* in a process of its own, warnings being errors, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_everything_is_put_back():
    """While a fake is active names are exchanged, and afterwards each is what it was."""
    code = EXCHANGED + (
        "assert 'RequestsTransport.send' in during, during\n"
        "assert 'socket.getaddrinfo' in during\n"
        "print(changed(before, now()), before[-1] == now()[-1])"
    )

    assert run(code) == "[] True"


def test_nothing_heavy_is_loaded_to_be_exchanged():
    """A fake by itself loads no HTTP library that the code under test has not loaded."""
    code = (
        "import sys\nfrom pytest_azurevm import FakeCompute\n"
        "with FakeCompute():\n    pass\n"
        "print([m for m in ('aiohttp', 'httpx', 'trio', 'azure.identity') "
        "if m in sys.modules])"
    )

    assert run(code) == "[]"


def test_libraries_that_are_loaded_later_are_met_too():
    """A program that imports its SDK within the test reaches the fake, sync and async."""
    code = f"""
import sys
from pytest_azurevm import FakeCompute
with FakeCompute() as fake:
    fake.add_vm("web-1", resource_group="shop")
    import asyncio
    from azure.identity import DefaultAzureCredential
    from azure.identity.aio import DefaultAzureCredential as AsyncCredential
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.compute.aio import ComputeManagementClient as AsyncClient
    vms = ComputeManagementClient(DefaultAzureCredential(), "{SUBSCRIPTION_ID}").virtual_machines
    vms.begin_deallocate("shop", "web-1").result()
    async def start():
        credential = AsyncCredential()
        async with AsyncClient(credential, "{SUBSCRIPTION_ID}") as client, credential:
            await (await client.virtual_machines.begin_start("shop", "web-1")).result()
    asyncio.run(start())
    print(fake.vm("web-1").power_state)
"""

    assert run(code) == "running"


def test_async_clients_do_without_aiohttp():
    """Where aiohttp is not installed, a client built in the fake's time works, and ends with it."""
    code = f"""
import asyncio, sys
sys.modules["aiohttp"] = None
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "aiohttp":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from azure.mgmt.compute.aio import ComputeManagementClient
from pytest_azurevm import FakeCompute
class Credential:
    async def get_token(self, *scopes, **options):
        raise AssertionError
with FakeCompute() as fake:
    fake.add_vm("web-1", resource_group="shop")
    client = ComputeManagementClient(Credential(), "{SUBSCRIPTION_ID}")
    async def stop(client):
        async with client:
            await (await client.virtual_machines.begin_deallocate("shop", "web-1")).result()
    asyncio.run(stop(client))
    print(fake.vm("web-1").power_state)
with FakeCompute() as fake:
    fake.add_vm("web-1", resource_group="shop")
    asyncio.run(stop(client))
    print(fake.vm("web-1").power_state)
try:
    ComputeManagementClient(Credential(), "{SUBSCRIPTION_ID}")
except ImportError as error:
    print("no aiohttp, as ever")
"""

    assert run(code).splitlines() == ["deallocated", "deallocated", "no aiohttp, as ever"]


def test_a_poller_that_outlives_its_fake_ends_with_it(recwarn):
    """A poller of a client built anywhere ends when the fake ends, and asks nobody any more."""
    with FakeCompute() as fake:
        fake.add_vm("web-1", resource_group="shop")
        poller = CLIENT.virtual_machines.begin_deallocate("shop", "web-1")

    assert not poller._thread.is_alive()
    assert [warning.category for warning in recwarn] == [PollerLeftRunningWarning]


def test_a_thread_that_outlives_its_fake_is_kept_from_azure():
    """A loop in a thread that nobody ended gets an error when the fake is over, and no network."""
    over, met = threading.Event(), []

    def watch() -> None:
        over.wait(10)
        for _ in range(2):
            with pytest.raises(AzureOutOfReach) as refused:
                CLIENT.virtual_machines.get("shop", "web-1")
            met.append(str(refused.value))

    with FakeCompute(strict=False) as fake:
        fake.add_vm("web-1", resource_group="shop")
        thread = threading.Thread(target=watch, name="watcher")
        thread.start()
    over.set()
    thread.join()

    assert len(met) == 2
    assert "who asks (watcher) was left running by a fake that has ended" in met[0]
    with pytest.raises(
        ServiceRequestError
    ):  # anybody else's requests go out again, and that ends it
        RequestsTransport().send(HttpRequest("GET", "http://127.0.0.1:9/management.azure.com"))


def test_a_task_that_outlives_its_fake_is_kept_from_azure():
    """A task in a loop that goes on is refused, and another task of that loop is not."""

    async def watch(asked: asyncio.Event, over: asyncio.Event) -> str:
        await AIO_CLIENT.virtual_machines.get("shop", "web-1")
        asked.set()
        await over.wait()
        try:
            await AIO_CLIENT.virtual_machines.get("shop", "web-1")
        except AzureOutOfReach as error:
            return str(error)
        return "it went out"

    async def session() -> str:
        over = asyncio.Event()
        with FakeCompute() as fake:
            fake.add_vm("web-1", resource_group="shop")
            asked = asyncio.Event()
            task = asyncio.create_task(watch(asked, over))
            await asked.wait()
        over.set()
        return await task

    assert "was left running by a fake that has ended" in asyncio.run(session())


def test_whoever_waits_for_work_is_not_left_running():
    """A pool's idle workers are nobody's, and everything is put back in spite of them."""
    with FakeCompute():
        pass  # which ends what any fake before it may have left
    send = RequestsTransport.send
    with ThreadPoolExecutor(2) as pool:
        with FakeCompute() as fake:
            fake.add_vm("web-1", resource_group="shop")
            list(pool.map(lambda _: CLIENT.virtual_machines.get("shop", "web-1"), range(4)))
        assert RequestsTransport.send is send


def test_reset_keeps_every_client_connected(shop):
    """A reset fake is reached by the same clients, empty."""
    shop.reset()

    assert list(CLIENT.virtual_machines.list_all()) == []
    CLIENT.virtual_machines.begin_create_or_update("shop", "web-2", linux_vm()).result()
    assert shop.vm("web-2").power_state == "running"
