"""Plain HTTP: whoever speaks to ARM by hand reaches the fake, and finds what production shows."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp
import httpcore
import httpx
import pytest
import requests
import trio
import urllib3
from azure.core import AsyncPipelineClient, PipelineClient
from azure.core.pipeline.policies import RetryPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pytest_azurevm import AzureOutOfReach, FakeCompute, failures
from tests.builders import linux_vm
from tests.plain_clients import ARM, CLIENTS, vm_url

BLOB = "https://shop.blob.core.windows.net/boot/serial.log?sig=x"

HAVE_PROXIES = {"requests", "session", "httpx", "async_httpx", "urllib"}  # from the environment
every_client = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Let no proxy of the machine's come in between."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def passed(fake: FakeCompute) -> float:
    """Give the virtual seconds since the fake began."""
    return (fake.clock.now - START).total_seconds()


START = FakeCompute().clock.now


# --- every library -----------------------------------------------------------------------------


@every_client
def test_a_machine_is_read(url, fake, ask):
    """Every library of plain HTTP gets a machine, with Azure's headers, in no time."""
    answer = ask("GET", url)

    assert (answer.status, answer.json()["name"]) == (200, "web-1")
    assert answer.headers["x-ms-request-id"]
    assert [call.url for call in fake.calls] == [url]
    assert passed(fake) == 0


@every_client
def test_what_is_missing_is_an_error_with_a_body(fake, ask):
    """A machine that is not there is a 404 whose body says so."""
    answer = ask("GET", vm_url(fake))

    assert (answer.status, answer.json()["error"]["code"]) == (404, "ResourceNotFound")


@every_client
def test_an_operation_by_hand(fake, ask):
    """PUT, polled with time.sleep as its headers say, then GET: the states are exact."""
    begun = ask("PUT", vm_url(fake), linux_vm())
    assert (begun.status, begun.json()["properties"]["provisioningState"]) == (201, "Creating")
    shown, watch = [], begun.headers["Azure-AsyncOperation"]

    answer = begun
    while (operation := ask("GET", watch).json())["status"] == "InProgress":
        shown.append(ask("GET", vm_url(fake)).json()["properties"]["provisioningState"])
        time.sleep(int(answer.headers["Retry-After"]))

    assert operation["status"] == "Succeeded"
    assert set(shown) == {"Creating"}
    assert passed(fake) == 10 * len(shown)
    found = ask("GET", vm_url(fake))
    assert found.json()["properties"]["provisioningState"] == "Succeeded"
    assert fake.vm("web-1").power_state == "running"


@every_client
def test_it_may_connect_again_and_again(url, fake, ask):
    """What has been answered once is answered as often as it is asked."""
    assert [ask("GET", url).status for _ in range(5)] == [200] * 5
    assert len(fake.calls) == 5


@every_client
def test_what_is_not_served_is_refused_by_its_host(fake, ask):
    """What belongs to Azure and is not served is refused, and names the host and what to do."""
    with pytest.raises(AzureOutOfReach, match=r"shop\.blob\.core\.windows\.net.*Let the test"):
        ask("GET", BLOB)


@every_client
def test_other_hosts_are_not_touched(fake, site, ask):
    """A request to anybody else goes there, and the fake hears nothing of it."""
    answer = ask("PUT", f"{site.url}/a?b=c", {"x": 1})

    assert (answer.status, answer.json(), site.asked) == (200, {"hello": 1}, ["PUT /a?b=c"])
    assert list(fake.calls) == []


@every_client
def test_a_proxy_is_not_asked_for_arm(url, ask, monkeypatch):
    """ARM is reached past whatever proxy there is, even one that does not exist."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:3128")

    assert ask("GET", url).status == 200


@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", "http://127.0.0.1:9"])
@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("name", [name for name in CLIENTS if name in HAVE_PROXIES])
def test_a_proxy_is_no_way_out(fake, monkeypatch, name, scheme, proxy):
    """What is Azure's and not served is not handed to a proxy either, wherever that is."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, proxy)

    with pytest.raises(AzureOutOfReach, match=r"shop\.blob\.core\.windows\.net"):
        CLIENTS[name]("GET", BLOB.replace("https", scheme))


def test_a_proxy_that_is_named_is_not_asked_for_arm(url):
    """A proxy that a program names itself is none that ARM is asked through."""
    proxy = "http://proxy.example:3128"

    async def by_aiohttp():
        async with aiohttp.ClientSession() as session, session.get(url, proxy=proxy) as answer:
            return answer.status

    assert requests.get(url, proxies={"https": proxy}).status_code == 200
    assert httpx.get(url, proxy=proxy).status_code == 200
    assert urllib3.ProxyManager(proxy).request("GET", url).status == 200
    assert asyncio.run(by_aiohttp()) == 200


@every_client
def test_the_metadata_service_is_reached_over_plain_http(fake, ask):
    """So is what is asked without TLS, such as the metadata service; it wants its header."""
    answer = ask("GET", "http://169.254.169.254/metadata/instance?api-version=2021-02-01")

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


@every_client
def test_nothing_is_answered_after_the_fake(ask, monkeypatch):
    """As soon as a fake has ended nothing of Azure's is answered; the network is asked again."""
    with FakeCompute() as fake:
        fake.add_vm("web-1", resource_group="rg")
        ask("GET", vm_url(fake))
    looked_up = []

    def look_up(host, *_args, **_kwargs):
        looked_up.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises((OSError, httpx.ConnectError, urllib3.exceptions.HTTPError)):
        ask("GET", vm_url(fake))

    assert {host.decode() if isinstance(host, bytes) else host for host in looked_up} == {
        "management.azure.com"
    }


@every_client
def test_a_write_in_the_same_instant_follows_the_last_one(url, fake, ask):
    """One caller's writes at the same instant follow one another, whichever library sends them."""
    assert ask("PATCH", url, {"tags": {"a": "1"}}).status == 200
    assert ask("PATCH", url, {"tags": {"b": "2"}}).status in (200, 409)
    assert [call.method for call in fake.calls] == ["PATCH", "PATCH"]


@every_client
def test_who_is_left_over_is_refused(ask):
    """A thread that goes on after its fake has ended is refused, and told why."""
    found, asked, goes_on = [], threading.Event(), threading.Event()

    def left_over():
        found.append(ask("GET", vm_url(fake)).status)
        asked.set()
        goes_on.wait()
        try:
            ask("GET", vm_url(fake))
        except AzureOutOfReach as refusal:
            found.append(str(refusal))

    with FakeCompute() as fake:
        fake.add_vm("web-1", resource_group="rg")
        thread = threading.Thread(target=left_over)
        thread.start()
        asked.wait()
    goes_on.set()
    thread.join()

    assert found[0] == 200
    assert "was left running by a fake that has ended since" in found[1]


def test_clients_that_outlive_a_fake_reach_the_next():
    """A session, a client and a pool of connections are as good as new with another fake."""
    with requests.Session() as session, httpx.Client() as client, urllib3.PoolManager() as pool:
        for number in range(2):
            with FakeCompute() as other:
                other.add_vm("web-1", resource_group="rg", parameters={"tags": {"n": str(number)}})
                for answer in (session.get(vm_url(other)), client.get(vm_url(other))):
                    assert answer.json()["tags"] == {"n": str(number)}
                body = pool.request("GET", vm_url(other)).data
                assert json.loads(body)["tags"] == {"n": str(number)}


def test_threads_that_poll_by_hand_take_as_long_as_the_slowest(fake):
    """A pool of threads, each polling with time.sleep, takes the time of the slowest."""

    def create(name):
        watch = requests.put(vm_url(fake, name), json=linux_vm()).headers["Azure-AsyncOperation"]
        while requests.get(watch).json()["status"] == "InProgress":
            time.sleep(10)
        return requests.get(vm_url(fake, name)).json()["properties"]["provisioningState"]

    fake.timing.create = 55
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, [f"web-{n}" for n in range(8)])) == {"Succeeded"}
    assert passed(fake) == 60


LOST = {
    "requests": (requests.ConnectionError, requests.ReadTimeout),
    "session": (requests.ConnectionError, requests.ReadTimeout),
    "httpx": (httpx.ReadError, httpx.ReadTimeout),
    "async_httpx": (httpx.ReadError, httpx.ReadTimeout),
    "aiohttp": (aiohttp.ClientOSError, aiohttp.ServerTimeoutError),
    "urllib3": (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError),
    "urllib": (ConnectionResetError, TimeoutError),
    "http_client": (ConnectionResetError, TimeoutError),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_an_answer_that_is_lost_is_the_librarys_own_error(url, fake, name):
    """A connection that is reset, and an answer too late, are what each library makes of them."""
    # aiohttp asks once more by itself where it is harmless, so something else is asked.
    reset, timeout = LOST[name]
    fake.inject(failures.ConnectionReset(), on="deallocate", times=2)
    with pytest.raises(reset):
        CLIENTS[name]("POST", vm_url(fake, below="/deallocate"))
    fake.inject(failures.ReadTimeout(), on="restart", times=2)
    with pytest.raises(timeout):
        CLIENTS[name]("POST", vm_url(fake, below="/restart"))


def test_a_lost_answer_leaves_nothing_half_made():
    """Python's own checks find nothing to complain of after an answer was lost."""
    code = """if True:
        import urllib3
        from pytest_azurevm import FakeCompute, failures
        from tests.plain_clients import vm_url
        with FakeCompute() as fake:
            fake.add_vm("web-1", resource_group="rg")
            fake.inject(failures.ReadTimeout(), on="get")
            fake.inject(failures.ConnectionReset(), on="get")
            print(urllib3.PoolManager().request("GET", vm_url(fake)).status)
    """
    run = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("200\n", "")


@every_client
def test_a_garbled_body_arrives_as_it_is(url, fake, ask):
    """A body that was injected to be garbled arrives garbled, and whole."""
    fake.inject(failures.GarbledBody(), on="get")
    answer = ask("GET", url)

    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


# --- requests ----------------------------------------------------------------------------------


class Stamping(HTTPAdapter):
    """An adapter of the program's own, which adds a header."""

    def send(self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None):
        """Send with a stamp, handing everything on by position."""
        request.headers["x-stamp"] = "yes"
        return super().send(request, stream, timeout, verify, cert, proxies)


class Passing(HTTPAdapter):
    """Another one, which hands everything on by name."""

    def send(self, request, **kwargs):
        """Send."""
        return super().send(request, **kwargs)


@pytest.mark.parametrize("adapter", [Stamping, Passing])
def test_an_adapter_of_the_programs_own_is_asked(url, adapter):
    """A mounted adapter goes on working, and what it passes on reaches the fake."""
    with requests.Session() as session:
        session.mount("https://", adapter())
        answer = session.get(url, timeout=(3, 5))

    assert answer.ok
    assert answer.request.headers.get("x-stamp") == ("yes" if adapter is Stamping else None)


def patient(**options) -> requests.Session:
    """Give a session that tries again."""
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=Retry(**options)))
    return session


def test_retries_wait_as_they_are_told_in_virtual_time(url, fake):
    """A Retry waits for what Retry-After says, on the clock."""
    fake.inject(failures.Throttled(retry_after=40), on="get", times=2)

    with patient(total=3, status_forcelist=[429]) as session:
        assert session.get(url).status_code == 200
    assert passed(fake) == 80
    assert [call.status for call in fake.calls] == [429, 429, 200]


def test_retries_that_are_used_up_are_an_error(url, fake):
    """After its last try a Retry gives up, as in production."""
    fake.inject(failures.Throttled(retry_after=40), on="get", times=None)

    used_up = pytest.raises(requests.exceptions.RetryError, match="too many 429 error responses")
    with patient(total=2, status_forcelist=[429]) as session, used_up:
        session.get(url)
    assert passed(fake) == 80


def test_a_lost_connection_is_tried_again(url, fake):
    """A Retry asks again after a reset and after a timeout, where it is harmless."""
    fake.inject(failures.ConnectionReset(), on="get")
    fake.inject(failures.ReadTimeout(), on="get")

    with patient(total=3, backoff_factor=1) as session:
        assert session.get(url).status_code == 200
    assert len(fake.calls) == 3


def test_a_lost_write_is_not_tried_again(url, fake):
    """A POST is not asked again by itself: nobody knows whether it was done."""
    fake.inject(failures.ConnectionReset(work_done=True), on="deallocate")

    with patient(total=3) as session, pytest.raises(requests.ConnectionError):
        session.post(vm_url(fake, below="/deallocate"))
    assert fake.vm("web-1").power_state == "deallocating"


def test_reads_are_not_tried_again_where_that_is_off(url, fake):
    """With read=0 a reset is an error at once."""
    fake.inject(failures.ConnectionReset(), on="get")

    at_once = pytest.raises(requests.ConnectionError, match="Max retries exceeded")
    with patient(total=3, read=0) as session, at_once:
        session.get(url)
    assert len(fake.calls) == 1


def test_an_answer_is_streamed(url):
    """A streamed answer is read in pieces, by lines, or raw, and closes like any other."""
    whole = requests.get(url).content
    with requests.get(url, stream=True) as answer:
        assert b"".join(answer.iter_content(7)) == whole
    with requests.get(url, stream=True) as answer:
        assert list(answer.iter_lines()) == whole.splitlines()
    with requests.get(url, stream=True) as answer:
        assert answer.raw.read(5) == whole[:5]
        assert answer.raw.read() == whole[5:]


def test_hooks_cookies_auth_and_params(fake):
    """Hooks see the answer; cookies, auth and params are sent as they are given."""
    fake.add_vm("web-1", resource_group="rg")
    seen = []
    with requests.Session() as session:
        session.params = {"api-version": "2024-07-01"}
        session.cookies.set("a", "b", domain="management.azure.com")
        answer = session.get(
            vm_url(fake).partition("?")[0],
            params={"$expand": "instanceView"},
            auth=("me", "secret"),
            hooks={"response": lambda response, **_: seen.append(response.status_code)},
        )

    assert seen == [200]
    assert answer.json()["properties"]["instanceView"]["statuses"]
    assert answer.request.headers["Cookie"] == "a=b"
    assert answer.request.headers["Authorization"].startswith("Basic ")
    assert answer.elapsed < timedelta(minutes=1)
    assert answer.url == answer.request.url == f"{vm_url(fake)}&%24expand=instanceView"


@pytest.mark.parametrize("kind", ["text", "bytes", "file", "generator"])
def test_a_body_of_every_kind_arrives(fake, kind):
    """A body arrives whole, however it is handed over, chunked too."""
    raw = json.dumps(linux_vm()).encode()
    body = {
        "text": raw.decode(),
        "bytes": raw,
        "file": io.BytesIO(raw),
        "generator": (raw[at : at + 100] for at in range(0, len(raw), 100)),
    }[kind]
    answer = requests.put(vm_url(fake), data=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 201
    assert fake.vm("web-1").model["location"] == "westeurope"


def test_a_head_has_no_body(url):
    """HEAD is answered without a body, by whichever library."""
    assert requests.head(url).content == b""
    assert httpx.head(url).content == b""
    assert requests.head(url).status_code == httpx.head(url).status_code


def test_a_prepared_request_is_sent(url):
    """A request that was prepared earlier is sent, and what fails is raised when asked for."""
    session = requests.Session()
    answer = session.send(session.prepare_request(requests.Request("GET", url)))
    session.close()
    assert session.get(url).ok  # a closed session may be used again, in production too

    assert answer.raise_for_status() is None
    with pytest.raises(requests.HTTPError, match="404 Client Error: Not Found"):
        session.get(url.replace("web-1", "web-9")).raise_for_status()


def test_a_redirect_that_leads_to_arm_is_followed(url, site):
    """A redirect from elsewhere leads to the fake."""
    site.answers.extend([(307, {"Location": url}, b"")] * 2)

    assert requests.get(site.url).json()["name"] == "web-1"
    assert httpx.get(site.url, follow_redirects=True).json()["name"] == "web-1"


def test_a_connection_that_is_kept_serves_both(url, site):
    """One session speaks to ARM and to others, in turn."""
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(url).status_code == 200
            assert session.get(site.url).json() == {"hello": 1}


def test_bodies_that_are_read_from_elsewhere_meanwhile(fake, site):
    """A body that is read from another site while it is sent is read from there."""
    raw = json.dumps(linux_vm()).encode()
    site.answers.append((200, {}, raw))

    def body():
        yield requests.get(site.url).content

    assert requests.put(vm_url(fake), data=body()).status_code == 201


# --- httpx -------------------------------------------------------------------------------------


def test_a_client_with_a_base_and_hooks(fake):
    """base_url, params, event hooks and elapsed are httpx's own."""
    fake.add_vm("web-1", resource_group="rg")
    seen = []
    hooks = {"request": [lambda r: seen.append(r.method)], "response": [seen.append]}
    with httpx.Client(
        base_url=ARM, params={"api-version": "2024-07-01"}, event_hooks=hooks
    ) as client:
        answer = client.get(urlsplit(vm_url(fake)).path)

    assert seen == ["GET", answer]
    assert (answer.json()["name"], answer.http_version) == ("web-1", "HTTP/1.1")
    assert answer.elapsed < timedelta(minutes=1)


def test_httpx_streams(url):
    """A streamed answer is read in pieces, in a loop or out of it."""
    whole = httpx.get(url).content
    with httpx.stream("GET", url) as answer:
        assert b"".join(answer.iter_bytes(7)) == whole

    async def read():
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            return b"".join([part async for part in answer.aiter_raw()])

    assert asyncio.run(read()) == whole


def test_httpx_sends_what_is_generated(fake):
    """A body that is generated while it is sent arrives whole."""
    raw = json.dumps(linux_vm()).encode()

    async def parts():
        yield raw[:50]
        yield raw[50:]

    async def put():
        async with httpx.AsyncClient() as client:
            return await client.put(vm_url(fake), content=parts())

    assert asyncio.run(put()).status_code == 201
    assert httpx.put(vm_url(fake), content=iter([raw])).status_code in (200, 409)


def test_a_transport_of_the_programs_own(url):
    """A transport that wraps httpx's own reaches the fake; one that answers itself does so."""

    class Stamping(httpx.HTTPTransport):
        def handle_request(self, request):
            request.headers["x-stamp"] = "yes"
            return super().handle_request(request)

    mock = httpx.MockTransport(lambda _request: httpx.Response(418))
    with httpx.Client(mounts={"https://": Stamping()}) as client:
        assert client.get(url).request.headers["x-stamp"] == "yes"
    with httpx.Client(transport=mock) as client:
        assert client.get(url).status_code == 418


def test_applications_that_are_called_directly(fake):
    """WSGI and ASGI transports stay with their applications."""

    def wsgi(_environ, start_response):
        start_response("200 OK", [])
        return [b"mine"]

    async def asgi(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"mine"})

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi)) as client:
            return (await client.get(ARM)).text

    with httpx.Client(transport=httpx.WSGITransport(wsgi)) as client:
        assert client.get(ARM).text == "mine"
    assert asyncio.run(ask()) == "mine"
    assert list(fake.calls) == []


def test_httpx_under_trio(url):
    """Under trio httpx reaches the fake, too."""

    async def ask():
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).json()["name"]

    assert trio.run(ask) == "web-1"


def test_httpcore_by_itself(url):
    """What httpx is built on reaches the fake without it."""
    with httpcore.ConnectionPool() as pool:
        assert pool.request("GET", url).status == 200


def test_an_operation_by_hand_in_a_loop(fake):
    """In a loop, asyncio.sleep between polls moves the clock, for several at once too."""

    async def create(client, name):
        begun = await client.put(vm_url(fake, name), json=linux_vm())
        watch, pause = begun.headers["Azure-AsyncOperation"], int(begun.headers["Retry-After"])
        while (await client.get(watch)).json()["status"] == "InProgress":  # noqa: ASYNC110
            await asyncio.sleep(pause)
        return (await client.get(vm_url(fake, name))).json()["properties"]["provisioningState"]

    async def main():
        async with httpx.AsyncClient() as client:
            return await asyncio.gather(*(create(client, f"web-{n}") for n in range(4)))

    assert asyncio.run(main()) == ["Succeeded"] * 4
    operations = {call.at for call in fake.calls if call.method == "PUT"}
    assert operations == {START}
    assert passed(fake) < 120


# --- aiohttp -----------------------------------------------------------------------------------


def test_one_aiohttp_session_speaks_to_both(url, site, fake):
    """A session of aiohttp speaks to ARM and to others, and sends what is generated."""
    raw = json.dumps(linux_vm()).encode()

    async def parts():
        yield raw[:50]
        yield raw[50:]

    async def main():
        found = []
        async with aiohttp.ClientSession() as session:
            for target in (url, site.url, url, site.url):
                async with session.get(target) as answer:
                    found.append(await answer.json(content_type=None))
            async with session.put(vm_url(fake, "web-2"), data=parts()) as answer:
                return found, answer.status

    found, status = asyncio.run(main())
    assert [one.get("name") for one in found] == ["web-1", None, "web-1", None]
    assert status == 201


def test_aiohttp_reads_in_pieces(url):
    """An answer is read in pieces."""

    async def main():
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return [part async for part in answer.content.iter_chunked(100)]

    assert json.loads(b"".join(asyncio.run(main())))["name"] == "web-1"


def test_aiohttp_names_what_it_was_refused(fake):
    """What is not served is refused with its whole URL, and so is a path of sign-in's."""

    async def ask(target):
        async with aiohttp.ClientSession() as session, session.get(target):
            pass

    with pytest.raises(AzureOutOfReach, match=f"GET {BLOB.partition('?')[0]}"):
        asyncio.run(ask(BLOB))
    with pytest.raises(AzureOutOfReach, match=r"GET https://login\.microsoftonline\.com/a/b"):
        asyncio.run(ask("https://login.microsoftonline.com/a/b"))


# --- urllib and http.client --------------------------------------------------------------------


def test_urllib_raises_with_a_body(fake):
    """The error that urllib raises for a 404 can be read."""
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(vm_url(fake))
    with failed.value as error:
        assert (error.code, json.load(error)["error"]["code"]) == (404, "ResourceNotFound")


def test_a_connection_of_http_client_is_kept(url):
    """One connection carries several requests, a chunked one among them."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}"
    connection = http.client.HTTPSConnection(parts.hostname, timeout=3)
    for _ in range(2):
        connection.request("GET", target)
        assert json.loads(connection.getresponse().read())["name"] == "web-1"
    connection.request(
        "PATCH", target, body=iter([b'{"tags":', b'{"a":"1"}}']), encode_chunked=True
    )
    assert json.loads(connection.getresponse().read())["tags"] == {"a": "1"}
    connection.putrequest("PATCH", target)
    connection.putheader("Content-Length", "2")
    connection.endheaders(b"{}")
    assert connection.getresponse().read()
    connection.close()


def test_a_request_that_does_not_end_is_not_answered(url, fake):
    """Who announces more than is sent waits for an answer until the time is out."""
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname)
    connection.putrequest("PATCH", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", "9")
    connection.endheaders(b"{}")

    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert list(fake.calls) == []


def test_a_chunk_that_looks_like_the_last_one_is_not(url, fake):
    """A body is read to its end, whatever its chunks end with."""

    async def parts():
        for part in (b'{"tags": {"a": "0"}}\r\n0\r\n', b"\r\n"):
            yield part
            await asyncio.sleep(0)

    async def patch():
        async with aiohttp.ClientSession() as s, s.patch(url, data=parts()) as answer:
            return answer.status

    assert asyncio.run(patch()) == 400  # two documents in one
    assert fake.vm("web-1").model.get("tags") is None


# --- others ------------------------------------------------------------------------------------


def test_a_client_of_somebody_elses_service_is_not_touched(site, fake):
    """azure-core's pipelines with a base of their own go there, in a loop or out of it."""

    async def ask():
        async with AsyncPipelineClient(site.url, transport=AioHttpTransport()) as client:
            return (await client.send_request(HttpRequest("GET", f"{site.url}/b"))).status_code

    with PipelineClient(site.url) as client:
        assert client.send_request(HttpRequest("GET", f"{site.url}/a")).status_code == 200
    assert asyncio.run(ask()) == 200
    assert site.asked == ["GET /a", "GET /b"]
    assert list(fake.calls) == []


def test_retries_at_somebody_elses_are_theirs(site, fake):
    """Who is told by another site to come back asks it again, and is answered there."""
    site.answers.append((503, {"Retry-After": "0"}, b""))

    policies = [RetryPolicy(retry_total=1)]
    with PipelineClient(site.url, policies=policies) as client:
        assert client.send_request(HttpRequest("GET", f"{site.url}/a")).status_code == 200
    assert site.asked == ["GET /a", "GET /a"]


@pytest.mark.parametrize(("sleep", "virtual"), [("real", 0), ("virtual", 0.001)])
def test_pauses_between_tries_elsewhere_are_as_real_as_sleep(site, sleep, virtual):
    """Between tries at another site, azure-core pauses on the clock only where sleep is virtual."""
    site.answers.extend([(503, {}, b"")] * 2)  # after the first of which it asks again at once
    policies = [RetryPolicy(retry_total=2, retry_mode="fixed", retry_backoff_factor=0.001)]

    with FakeCompute(sleep=sleep) as fake, PipelineClient(site.url, policies=policies) as client:
        assert client.send_request(HttpRequest("GET", f"{site.url}/a")).status_code == 200
        assert passed(fake) == virtual


@pytest.mark.parametrize("name", ["requests", "httpx", "async_httpx", "urllib3"])
def test_what_is_refused_names_the_whole_url(fake, name):
    """A refusal names method and URL, where the library that asks has an eye for them."""
    with pytest.raises(AzureOutOfReach) as refused:
        CLIENTS[name]("PUT", BLOB)

    assert str(refused.value).startswith(f"PUT {BLOB} was not reached: ")
