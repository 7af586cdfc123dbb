"""What tests ask with: every library of plain HTTP in the same words, and a site to ask."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import httpx
import requests
import urllib3

from pytest_azurevm import FakeCompute

VERSION: Final = "2024-07-01"
ARM: Final = "https://management.azure.com"
TLS: Final = ssl.create_default_context()  # once: to read the certificates takes its time


class Answer(NamedTuple):
    """What came back, whichever library brought it."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Give the body, read as JSON."""
        return json.loads(self.text)


def vm_url(fake: FakeCompute, name: str = "web-1", below: str = "") -> str:
    """Give the URL of a VM, or of something below it."""
    group = f"/subscriptions/{fake.subscription_id}/resourceGroups/rg"
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/{name}{below}"
    return f"{ARM}{path}?api-version={VERSION}"


def by_requests(method: str, url: str, body: Any = None) -> Answer:
    """Ask with requests."""
    answer = requests.request(method, url, json=body, timeout=30)
    return Answer(answer.status_code, answer.headers, answer.text)


def by_session(method: str, url: str, body: Any = None) -> Answer:
    """Ask with a session of requests, whose connections are kept."""
    with requests.Session() as session:
        answer = session.request(method, url, json=body)
    return Answer(answer.status_code, answer.headers, answer.text)


def by_httpx(method: str, url: str, body: Any = None) -> Answer:
    """Ask with httpx."""
    answer = httpx.request(method, url, json=body, verify=TLS)
    return Answer(answer.status_code, answer.headers, answer.text)


def by_async_httpx(method: str, url: str, body: Any = None) -> Answer:
    """Ask with httpx, in a loop."""

    async def ask() -> Answer:
        async with httpx.AsyncClient(verify=TLS) as client:
            answer = await client.request(method, url, json=body)
        return Answer(answer.status_code, answer.headers, answer.text)

    return asyncio.run(ask())


def by_aiohttp(method: str, url: str, body: Any = None) -> Answer:
    """Ask with aiohttp."""

    async def ask() -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.text())

    return asyncio.run(ask())


def by_urllib3(method: str, url: str, body: Any = None) -> Answer:
    """Ask with urllib3 by itself."""
    with urllib3.PoolManager(retries=False) as manager:
        data = None if body is None else json.dumps(body).encode()
        answer = manager.request(method, url, body=data)
    return Answer(answer.status, answer.headers, answer.data.decode())


def by_urllib(method: str, url: str, body: Any = None) -> Answer:
    """Ask with urllib, which takes an answer of 400 and above for an error."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    try:
        # Of its own: urlopen keeps the proxies that its first caller found.
        with urllib.request.build_opener().open(request, timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read().decode())


def by_http_client(method: str, url: str, body: Any = None) -> Answer:
    """Ask with http.client."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port)
    data = None if body is None else json.dumps(body)
    connection.request(method, f"{parts.path}?{parts.query}", body=data)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Answer(answer.status, answer.headers, text)


Ask = Callable[..., Answer]
CLIENTS: Final[dict[str, Ask]] = {
    name.removeprefix("by_"): value for name, value in dict(globals()).items() if "by_" in name
}


class Site(NamedTuple):
    """A site of somebody else's, on this machine."""

    url: str
    asked: list[str]  # method and path of every request
    answers: list[tuple[int, dict[str, str], bytes]]  # to give before it says "hello" to all


@contextmanager
def a_site() -> Iterator[Site]:
    """Serve on a free port."""
    asked: list[str] = []
    answers: list[tuple[int, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(f"{self.command} {self.path}")
            status, headers, body = answers.pop(0) if answers else (200, {}, b'{"hello": 1}')
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_PATCH = answer  # noqa: N815  http.server's names

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{server.server_port}", asked, answers)
        finally:
            server.shutdown()
            thread.join()
