"""A test's own mocks go first, and of what they do not know the fake answers what is ARM's."""

from __future__ import annotations

import http.client
import re
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple
from unittest import mock

import aiohttp
import httpcore
import httpx
import pytest
import requests
import requests_mock
import responses
import respx
import urllib3
import vcr
from azure.core import PipelineClient
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.mgmt.compute import ComputeManagementClient
from requests.adapters import HTTPAdapter
from responses.registries import OrderedRegistry
from urllib3.util import Retry

from pytest_azurevm import AzureOutOfReach, FakeCompute, failures
from tests.plain_clients import CLIENTS, a_site, vm_url
from tests.runs import run

GRAPH = "https://graph.microsoft.com/v1.0/me"
BLOB = "https://shop.blob.core.windows.net/boot/serial.log"
VAULT = "https://shop.vault.azure.net/secrets/door"
ELSEWHERE = "https://shop.example/stock"
ARM = vm_url(FakeCompute(), "mocked")  # a machine that the test answers for
MOCKED = (GRAPH, BLOB, VAULT, ELSEWHERE, ARM)


# --- every library of mocks, in every order ----------------------------------------------------


class Kind(NamedTuple):
    """A library of mocks."""

    begin: Callable[[], Callable[[], object]]  # starts one that answers MOCKED; gives how it ends
    clients: tuple[str, ...]  # whom it answers


def responses_begins():
    """Start a mock of responses'."""
    mocks = responses.RequestsMock(assert_all_requests_are_fired=False)
    mocks.start()
    for url in MOCKED:
        mocks.add("GET", url, json={}, status=418)
    return mocks.stop


def the_default_begins():
    """Start the mock that responses has ready."""
    responses.start()
    for url in MOCKED:
        responses.add("GET", url, json={}, status=418)

    def stop():
        responses.stop()
        responses.reset()

    return stop


def requests_mock_begins():
    """Start a mock of requests_mock's."""
    mocks = requests_mock.Mocker()
    mocks.start()
    for url in MOCKED:
        mocks.get(url, status_code=418)
    return mocks.stop


def respx_begins(using: str = "httpcore"):
    """Start a mock of respx'."""
    mocks = respx.mock(using=using, assert_all_called=False)
    mocks.start()
    for url in MOCKED:
        mocks.get(url).respond(418)
    return mocks.stop


KINDS = {
    "responses": Kind(responses_begins, ("requests", "session")),
    "the default of responses": Kind(the_default_begins, ("requests", "session")),
    "requests_mock": Kind(requests_mock_begins, ("requests", "session")),
    "respx": Kind(respx_begins, ("httpx", "async_httpx")),
    "respx for httpx": Kind(lambda: respx_begins("httpx"), ("httpx", "async_httpx")),
}
OWNERS = (
    *(requests.Session, HTTPAdapter, responses.RequestsMock, requests_mock.Adapter),
    *(requests_mock.mocker, httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.Client),
    *(httpx.AsyncClient, httpcore.ConnectionPool, httpcore.AsyncConnectionPool),
    *(httpcore.HTTPConnection, httpcore.AsyncHTTPConnection, httpcore.SyncBackend),
    *(sys.modules["httpcore._backends.auto"].AutoBackend, respx.mocks.Mocker),
    *(aiohttp.ClientSession, aiohttp.TCPConnector, vcr.cassette.Cassette),
    *(urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection),
    *(urllib3.connectionpool.HTTPConnectionPool, urllib3.connectionpool.HTTPSConnectionPool),
    *(urllib3.connection, urllib3.connectionpool, http.client),
    *(http.client.HTTPConnection, http.client.HTTPSConnection, socket, socket.socket),
    RequestsTransport,
)


def everything() -> list[object]:
    """Give all that might be exchanged, as it is now."""
    return [dict(vars(owner)) for owner in OWNERS] + [list(sys.meta_path)]


def changed(before: list[object]) -> list[str]:
    """Name what has changed since *before*."""
    return [
        f"{owner.__name__}.{name}"
        for owner, old, new in zip(OWNERS, before, everything(), strict=False)
        for name in old.keys() | new.keys()
        if old.get(name) is not new.get(name) and not name.startswith("_abc")
    ]


ORDERS = {
    "around it": ("mock", "fake", "end", "stop"),
    "within it": ("fake", "mock", "stop", "end"),
    "before it and until its midst": ("mock", "fake", "stop", "end"),
    "from its midst on": ("fake", "mock", "end", "stop"),
}
in_every_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


def going(fake, begin, order):
    """Start and end a fake and a mock in an order; give after each step which of them is there."""
    active, ends = set(), {}
    with ExitStack() as at_last:
        for step in order:
            if step == "mock":
                ends["stop"] = at_last.enter_context(ExitStack())
                ends["stop"].callback(begin())
            elif step == "fake":
                ends["end"] = at_last.enter_context(ExitStack())
                ends["end"].enter_context(fake)
                fake.add_vm("web-1", resource_group="rg")
            else:
                ends[step].close()
            active ^= {"fake" if step in ("fake", "end") else "mock"}
            yield active


@in_every_order
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_mock_goes_first_whenever_it_was_started(kind, order):
    """A mock answers what it knows, the fake the rest of ARM, in whatever order they come and go.

    Afterwards everything is what it was.
    """
    before, fake = everything(), FakeCompute()

    for active in going(fake, kind.begin, order):
        for ask in (CLIENTS[name] for name in kind.clients):
            if "mock" in active:
                assert [ask("GET", url).status for url in MOCKED] == [418] * len(MOCKED)
            if active == {"fake"}:
                assert ask("GET", ARM).status == 404
                with pytest.raises(AzureOutOfReach):
                    ask("GET", GRAPH)
            if "fake" in active:
                assert ask("GET", vm_url(fake)).json()["name"] == "web-1"

    assert changed(before) == []
    assert sys.meta_path == before[-1]


@pytest.mark.parametrize("first", ["fake", "mock"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_mock_alone_refuses_as_ever(kind, first):
    """Where the fake is not, or does not answer, a mock refuses what it does not know."""
    ask = CLIENTS[kind.clients[0]]
    with ExitStack() as stack:
        if first == "fake":
            stack.enter_context(FakeCompute())
        stack.callback(kind.begin())
        if first == "mock":
            stack.enter_context(FakeCompute())
        with pytest.raises(Exception, match=r"(?i)mock") as refused:
            ask("GET", "https://nowhere.example/")
        with pytest.raises(type(refused.value)):
            ask("GET", f"{GRAPH}/photo")


# --- responses ---------------------------------------------------------------------------------


@responses.activate
def test_responses_counts_its_own_calls_only(url):
    """What the fake answers is none of a mock's calls."""
    responses.add("GET", ELSEWHERE, json={})

    assert requests.get(url).ok
    assert requests.get(ELSEWHERE).ok
    assert [call.request.url for call in responses.calls] == [ELSEWHERE]


def test_responses_asserts_that_all_was_asked(url):
    """A mock that was never asked is an error, whatever the fake has answered."""
    mocks = responses.RequestsMock()
    mocks.start()
    mocks.add("GET", ARM)
    assert requests.get(url).ok

    with pytest.raises(AssertionError, match="Not all requests have been executed"):
        mocks.stop()


def test_a_mock_that_is_used_up_gives_way(url):
    """Of two mocks of one URL each answers once, then the fake does."""
    with responses.RequestsMock(registry=OrderedRegistry) as mocks:
        mocks.add("GET", url, status=500)
        mocks.add("GET", url, status=503)
        assert [requests.get(url).status_code for _ in range(3)] == [500, 503, 200]


def test_mocks_in_order_insist_on_it(url):
    """A mock that is asked out of its order refuses, as ever."""
    with responses.RequestsMock(registry=OrderedRegistry, assert_all_requests_are_fired=False) as m:
        m.add("GET", ELSEWHERE)
        m.add("GET", url, status=500)
        with pytest.raises(requests.ConnectionError, match="Next 'Response' in the order"):
            requests.get(url)


def test_a_mock_may_fail_before_the_fake_answers(url, fake):
    """A retry after an error that a mock gave is answered by the fake."""
    with responses.RequestsMock(registry=OrderedRegistry) as mocks, requests.Session() as session:
        mocks.add("GET", url, status=503)
        session.mount("https://", HTTPAdapter(max_retries=Retry(2, status_forcelist=[503])))
        assert session.get(url).status_code == 200


@responses.activate
def test_passing_through_goes_where_it_says(url, site):
    """What passes through a mock reaches the fake, or whoever else is meant."""
    responses.add_passthru("https://management.azure.com")
    responses.add_passthru(site.url)

    assert requests.get(url).json()["name"] == "web-1"
    assert requests.get(site.url).json() == {"hello": 1}
    responses.add_passthru(BLOB)
    with pytest.raises(AzureOutOfReach):
        requests.get(BLOB)


def test_a_callback_sees_the_request(fake):
    """A callback of a mock's answers for Azure, too."""
    with responses.RequestsMock() as mocks:
        mocks.add_callback("POST", GRAPH, lambda asked: (200, {}, asked.body))
        assert requests.post(GRAPH, data="hello").text == "hello"


def test_clients_of_the_sdks_are_answered_by_mocks_too(fake):
    """A vault, a blob or a directory that the SDK asks for is answered by the test's mock."""
    with responses.RequestsMock() as mocks:
        for url in (VAULT, BLOB, GRAPH):
            mocks.add("GET", url, json={"value": "open"})
            with PipelineClient(url) as client:
                answer = client.send_request(HttpRequest("GET", url))
            assert answer.json() == {"value": "open"}


# --- requests_mock -----------------------------------------------------------------------------


MACHINE = re.compile(r".*/virtualMachines/mocked[?].*")


def a_machine_in_responses():
    """Start a mock of responses' that knows one machine."""
    mocks = responses.RequestsMock()
    mocks.start()
    mocks.get(MACHINE, json={"name": "mocked", "location": "the test's"})
    return mocks.stop


def a_machine_in_requests_mock():
    """Start a mock of requests_mock's that knows one machine."""
    mocks = requests_mock.Mocker()
    mocks.start()
    mocks.get(MACHINE, json={"name": "mocked", "location": "the test's"})
    return mocks.stop


@pytest.mark.parametrize("begin", [a_machine_in_responses, a_machine_in_requests_mock])
@pytest.mark.parametrize("mock_first", [True, False])
def test_a_mock_answers_sdk_clients_for_arm_too(begin, mock_first):
    """A client of compute is answered by a mock that knows its URL, else by the fake, exactly."""
    with ExitStack() as stack:
        if mock_first:
            stack.callback(begin())
        fake = stack.enter_context(FakeCompute())
        if not mock_first:
            stack.callback(begin())
        fake.add_vm("web-1", resource_group="rg")
        client = ComputeManagementClient(DefaultAzureCredential(), fake.subscription_id)
        assert client.virtual_machines.get("rg", "mocked").location == "the test's"
        poller = client.virtual_machines.begin_deallocate("rg", "web-1")
        assert fake.vm("web-1").power_state == "deallocating"
        fake.clock.advance(minutes=5)
        assert poller.done()
        assert not fake.calls.filter(vm="mocked")


def test_requests_mock_counts_its_own_calls_only(url):
    """What the fake answers is none of its calls either."""
    with requests_mock.Mocker() as mocks:
        mocks.get(ELSEWHERE, text="hello")
        assert requests.get(url).ok
        assert requests.get(ELSEWHERE).text == "hello"

    assert [call.url for call in mocks.request_history] == [ELSEWHERE]


def test_requests_mock_lets_pass(url, site):
    """With real_http the fake is reached, and so is any other site; nothing of Azure's is."""
    with requests_mock.Mocker(real_http=True) as mocks:
        mocks.get(GRAPH, text="me")
        assert requests.get(url).json()["name"] == "web-1"
        assert requests.get(site.url).json() == {"hello": 1}
        assert requests.get(GRAPH).text == "me"
        with pytest.raises(AzureOutOfReach):
            requests.get(BLOB)


def test_an_adapter_that_is_mounted_answers_alone(url):
    """Whoever mounts a mock for a host gets that, and nothing else from there."""
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", ARM, text="mine")
    with requests.Session() as session:
        session.mount("https://management.azure.com", adapter)
        assert session.get(ARM).text == "mine"
        with pytest.raises(requests_mock.NoMockAddress):
            session.get(url)
    assert requests.get(url).ok


def test_retries_go_on_beneath_a_mock(url, fake):
    """A session's retries are its own, though a mock stands before them."""
    fake.inject(failures.Throttled(retry_after=40), on="get")
    with requests_mock.Mocker(), requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=Retry(2, status_forcelist=[429])))
        assert session.get(url).status_code == 200


# --- respx -------------------------------------------------------------------------------------


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
def test_respx_counts_its_own_calls_only(url, using):
    """What the fake answers is none of respx' calls, and a route may let pass."""
    with respx.mock(using=using) as mocks:
        mocks.get(ELSEWHERE).respond(text="hello")
        assert httpx.get(url).json()["name"] == "web-1"
        assert httpx.get(ELSEWHERE).text == "hello"
        assert len(mocks.calls) == 1
        passing = mocks.get(url).pass_through()
        assert httpx.get(url).json()["name"] == "web-1"
        assert passing.called


def test_two_mocks_of_respx_are_both_asked(url):
    """Before the fake answers, every mock has been asked."""
    with respx.mock as outer, respx.mock() as inner:
        inner.get(ELSEWHERE).respond(text="inner")
        outer.get(ARM).respond(text="outer")
        assert httpx.get(ARM).text == "outer"
        assert httpx.get(ELSEWHERE).text == "inner"
        assert httpx.get(url).json()["name"] == "web-1"


def test_a_mock_that_answers_everything_does_so(url):
    """Who lets respx answer everything gets its answer for everything."""
    with respx.mock(assert_all_mocked=False):
        assert httpx.get(url).content == b""


# --- vcr ---------------------------------------------------------------------------------------

RECORDED = ("requests", "httpx", "async_httpx", "aiohttp", "urllib")


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("order", ["fake first", "cassette first"])
def test_a_cassette_keeps_what_is_not_the_fakes(tmp_path, site, name, order):
    """A cassette records another site, and plays that; what the fake answers is not in it."""
    ask, path = CLIENTS[name], str(tmp_path / "cassette.yaml")
    for mode in ("once", "none"):
        cassette, fake = vcr.use_cassette(path, record_mode=mode), FakeCompute()
        with ExitStack() as stack:
            if order == "fake first":
                stack.enter_context(fake)
            tape = stack.enter_context(cassette)
            if order == "cassette first":
                stack.enter_context(fake)
            fake.add_vm("web-1", resource_group="rg")
            assert ask("GET", f"{site.url}/a").json() == {"hello": 1}
            assert ask("GET", vm_url(fake)).json()["name"] == "web-1"
            assert [request.path for request in tape.requests] == ["/a"]

    assert site.asked == ["GET /a"]


def test_a_cassette_plays_what_it_has_of_azure(tmp_path, fake):
    """What was once recorded of Azure is played, before the fake is asked."""
    path = tmp_path / "cassette.yaml"
    path.write_text(
        "interactions:\n"
        f"- request: {{body: null, headers: {{}}, method: GET, uri: '{ARM}'}}\n"
        "  response:\n"
        "    body: {string: recorded}\n"
        "    headers: {}\n"
        "    status: {code: 200, message: OK}\n"
        "version: 1\n"
    )
    with vcr.use_cassette(str(path), record_mode="none"):
        assert requests.get(ARM).text == "recorded"


@in_every_order
def test_a_cassette_leaves_nothing_behind(tmp_path, site, order):
    """In whatever order a cassette and a fake come and go, nothing that is left does anything."""
    fake = FakeCompute()

    def begin():
        stack = ExitStack()
        stack.enter_context(vcr.use_cassette(str(tmp_path / "cassette.yaml")))
        return stack.close

    for active in going(fake, begin, order):
        if "fake" in active:
            assert {CLIENTS[name]("GET", vm_url(fake)).status for name in RECORDED} == {200}

    for name in RECORDED:
        assert CLIENTS[name]("GET", site.url).json() == {"hello": 1}
    assert len(site.asked) == len(RECORDED)


# --- unittest.mock -----------------------------------------------------------------------------


def test_what_a_test_patches_is_patched(url, fake):
    """A function, a transport and a method of a client's may be patched, and come back."""
    with mock.patch("requests.get", return_value="mine"):
        assert requests.get(url) == "mine"
    assert requests.get(url).ok

    def by_the_sdk():
        return fake.client.virtual_machines.get("rg", "web-1").name

    def by_a_pipeline():
        with PipelineClient(url) as client:
            return client.send_request(HttpRequest("GET", url)).json()["name"]

    for owner, name, ask in (
        (RequestsTransport, "send", by_a_pipeline),
        (type(fake.client.virtual_machines), "get", by_the_sdk),
    ):
        patch = mock.patch.object(owner, name, side_effect=ZeroDivisionError)
        with patch, pytest.raises(ZeroDivisionError):
            ask()
        assert ask() == "web-1"


PATCHED = {
    "requests": (HTTPAdapter, "send"),
    "session": (requests.Session, "request"),
    "httpx": (httpx.HTTPTransport, "handle_request"),
    "aiohttp": (aiohttp.ClientSession, "_request"),
    "urllib3": (urllib3.connectionpool.HTTPConnectionPool, "urlopen"),
    "azure-core": (RequestsTransport, "send"),
}


@in_every_order
@pytest.mark.parametrize("name", PATCHED)
def test_a_patch_of_the_very_method_is_the_tests_own(name, order):
    """A patch of what the fake exchanges too holds as long as it is there, in every order.

    What it leaves behind, where the two were not nested, does nothing.
    """
    owner, attribute = PATCHED[name]
    original, fake = vars(owner)[attribute], FakeCompute()

    def begin():
        patch = mock.patch.object(owner, attribute, side_effect=ZeroDivisionError)
        patch.start()
        return patch.stop

    def ask():
        if name == "azure-core":
            with PipelineClient(vm_url(fake)) as client:
                return client.send_request(HttpRequest("GET", vm_url(fake))).json()["name"]
        return CLIENTS[name]("GET", vm_url(fake)).json()["name"]

    for active in going(fake, begin, order):
        if active == {"fake", "mock"} and order[0] == "fake":
            with pytest.raises(ZeroDivisionError):
                ask()
        if active == {"fake"}:
            assert ask() == "web-1"

    if order in (ORDERS["around it"], ORDERS["within it"]):
        assert vars(owner)[attribute] is original
    with a_site() as site:
        assert CLIENTS.get(name, CLIENTS["requests"])("GET", site.url).json() == {"hello": 1}


# --- fixtures ----------------------------------------------------------------------------------


def test_fixtures_of_mocks_and_the_fakes_own(pytester):
    """Beside the fixtures of requests_mock and respx the fake answers, whichever comes first."""
    pytester.makepyfile(
        f"""
        import httpx
        import requests

        def ask(fake_compute, ask):
            fake_compute.add_vm("web-1", resource_group="rg")
            assert ask({GRAPH!r}).text == "me"
            assert ask({vm_url(FakeCompute())!r}).json()["name"] == "web-1"

        def test_requests_mock_first(requests_mock, fake_compute):
            requests_mock.get({GRAPH!r}, text="me")
            ask(fake_compute, requests.get)

        def test_requests_mock_second(fake_compute, requests_mock):
            requests_mock.get({GRAPH!r}, text="me")
            ask(fake_compute, requests.get)

        def test_respx_first(respx_mock, fake_compute):
            respx_mock.get({GRAPH!r}).respond(text="me")
            ask(fake_compute, httpx.get)

        def test_respx_second(fake_compute, respx_mock):
            respx_mock.get({GRAPH!r}).respond(text="me")
            ask(fake_compute, httpx.get)
        """
    )
    run(pytester, "-W", "error", beside=("requests_mock", "respx")).assert_outcomes(passed=4)
