"""Nothing that is meant for Azure leaves the process: the last line, below every library."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import urllib.request

import aiohttp
import pytest
from azure.core import PipelineClient
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from pytest_azurevm import AzureOutOfReach, FakeCompute
from tests.runs import run

BLOB = "https://shop.blob.core.windows.net/boot/web-1.log"


@pytest.mark.parametrize(
    "host",
    [
        "graph.microsoft.com",
        "shop.blob.core.windows.net",
        "md-x.z34.blob.storage.azure.net",
        "shop.vault.azure.net",
        b"prices.azure.com",
        "GRAPH.MICROSOFT.COM.",
    ],
)
@pytest.mark.parametrize("look_up", [socket.getaddrinfo, socket.gethostbyname])
def test_no_name_of_azures_is_looked_up(fake, host, look_up):
    """A look-up of any of Azure's names is refused while a fake is active."""
    arguments = (443,) if look_up.__name__ == "getaddrinfo" else ()

    with pytest.raises(AzureOutOfReach, match="was not reached: it is Azure's"):
        getattr(socket, look_up.__name__)(host, *arguments)


@pytest.mark.parametrize("address", ["169.254.169.254", "168.63.129.16"])
@pytest.mark.parametrize("how", ["connect", "connect_ex"])
def test_no_address_of_azures_is_connected_to(fake, address, how):
    """The addresses that every VM knows are refused by number, too."""
    with socket.socket() as sock, pytest.raises(AzureOutOfReach):
        getattr(sock, how)((address, 80))


def test_no_datagram_is_sent_to_azures_addresses(fake):
    """Nor is anything sent there without a connection."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(AzureOutOfReach):
        sock.sendto(b"hello", ("169.254.169.254", 123))


def test_a_refusal_names_the_url_and_what_to_do(fake):
    """Who asks through an SDK's pipeline is told the whole URL, and the ways out."""
    with pytest.raises(AzureOutOfReach) as refused:
        PipelineClient(BLOB).send_request(HttpRequest("GET", BLOB))

    assert str(refused.value) == (
        f"GET {BLOB} was not reached: it is Azure's, but none of what pytest-azurevm serves, and "
        "nothing that is meant for Azure leaves the process while a fake is active. Let the test "
        "answer it (responses, respx, a mock of the client), or ask for it on the project's issue "
        "tracker."
    )


def test_a_refusal_is_no_error_of_the_network(fake):
    """No retry policy and no handler of network errors takes a refusal for one of those."""
    assert not issubclass(AzureOutOfReach, AzureError | OSError)
    client = PipelineClient(BLOB)
    before = fake.clock.now

    with pytest.raises(AzureOutOfReach):
        client.send_request(HttpRequest("PUT", BLOB))
    assert fake.clock.now == before  # there was no retry, which would have slept


def test_a_way_that_is_not_served_names_those_that_are(fake):
    """Who connects to ARM by a way that is not served is told which are."""
    with pytest.raises(AzureOutOfReach, match=r"azure-core \(every SDK client\), requests, httpx"):
        socket.create_connection(("management.azure.com", 443))


def test_aiohttp_by_itself_is_refused_with_its_url(fake):
    """So is aiohttp, whichever resolver it has."""

    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.get(BLOB):
            pass

    with pytest.raises(AzureOutOfReach, match=f"GET {BLOB} was not reached"):
        asyncio.run(ask())


def test_a_proxy_is_no_way_out(fake, monkeypatch):
    """What is meant for Azure is not handed to a proxy either, wherever that is."""
    for proxy in ("http://proxy.example:3128", "http://127.0.0.1:9"):
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(AzureOutOfReach):
            PipelineClient(BLOB).send_request(HttpRequest("GET", BLOB))
        with pytest.raises(AzureOutOfReach):
            urllib.request.urlopen(BLOB)


def test_other_hosts_and_this_machine_are_not_touched(fake):
    """Loopback is reached, and what is somebody else's is looked up as ever."""
    assert socket.getaddrinfo("localhost", 80)
    with socket.socket() as listener, socket.socket() as sock:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert sock.connect_ex(listener.getsockname()) == 0


def test_nothing_is_guarded_without_a_fake():
    """Before and after a fake the ways out are Python's own."""
    before = dict(vars(socket)), dict(vars(socket.socket))
    with FakeCompute():
        assert vars(socket)["getaddrinfo"] is not before[0]["getaddrinfo"]

    assert (dict(vars(socket)), dict(vars(socket.socket))) == before


def test_a_poller_that_outlives_its_test_is_silent(pytester):
    """A run whose tests leave pollers behind passes, prints no traceback, and asks nobody."""
    pytester.makepyfile(
        """
        import socket, threading
        import pytest
        from azure.identity import DefaultAzureCredential
        from azure.mgmt.compute import ComputeManagementClient
        from pytest_azurevm._fake import SUBSCRIPTION_ID

        client = ComputeManagementClient(DefaultAzureCredential(), SUBSCRIPTION_ID)
        asked = []
        look_up = socket.getaddrinfo
        socket.getaddrinfo = lambda host, *more, **other: asked.append(host) or look_up(host, *more)

        @pytest.mark.filterwarnings("ignore::pytest_azurevm.PollerLeftRunningWarning")
        @pytest.mark.parametrize("number", range(3))
        def test_begins_and_forgets(fake_compute, number):
            fake_compute.add_vm("web-1", resource_group="shop")
            client.virtual_machines.begin_deallocate("shop", "web-1")

        def test_afterwards():
            assert asked == []
            assert not [t for t in threading.enumerate() if t is not threading.main_thread()]
        """
    )
    result = run(pytester, "-W", "error")

    result.assert_outcomes(passed=4)
    assert result.stderr.str().strip() == ""


def test_the_process_ends_with_pollers_left_over():
    """A script that leaves a fake open with an operation under way ends, and asks nobody."""
    code = (
        "from pytest_azurevm import FakeCompute\n"
        "from azure.identity import DefaultAzureCredential\n"
        "from azure.mgmt.compute import ComputeManagementClient\n"
        "fake = FakeCompute().__enter__()\n"
        "client = ComputeManagementClient(DefaultAzureCredential(), fake.subscription_id)\n"
        "fake.add_vm('web-1')\n"
        "client.virtual_machines.begin_deallocate('rg', 'web-1')\n"
        "print('over')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout.strip(), done.stderr) == ("over", "")
