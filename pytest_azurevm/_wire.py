"""A connection whose other end is the fake, as bytes: requests in, answers out, one at a time.

Plain HTTP is answered here, below everything that a library does itself: its retries, redirects,
streams, timeouts and errors are its own, and mocks of the test's own, which sit above, go first.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from http.client import responses as reasons
from typing import Final

from pytest_azurevm._http import AnswerLost, Request, Response
from pytest_azurevm._transport import Link

FarEnd = Callable[[str, str], "Link | None"]
RESET: Final = (104, "Connection reset by peer")
TIMEOUT: Final = "The read operation timed out"
_END_OF_HEAD: Final = b"\r\n\r\n"
_NO_BODY: Final = frozenset({204, 304})
_TUNNEL: Final = b"HTTP/1.1 200 Connection established" + _END_OF_HEAD


class Wire:
    """What has been sent so far.

    Args:
        base: scheme and host of what is asked, unless a request names them itself, as one that is
            meant to pass through a proxy does.
        far_end: gives the fake that answers.
        caller: which thread or task asks.
    """

    def __init__(self, base: str, far_end: FarEnd, caller: object) -> None:
        self._base = base
        self._far_end = far_end
        self._caller = caller
        self._sent = bytearray()

    def send(self, data: bytes) -> None:
        """Take some more of a request."""
        self._sent += data

    def secure(self) -> None:
        """Note that what follows is sent under TLS."""
        self._base = "https://" + self._base.partition("://")[2]

    @property
    def has_request(self) -> bool:
        """Whether a whole request has been sent, for whoever is not told."""
        return self._request() is not None

    def answer(self) -> bytes:
        """Answer the request that has been sent.

        Raises:
            AnswerLost: no answer comes: that was injected, the request does not end, or the fake
                has ended since.
            AzureOutOfReach: it asks for something that is not served.
        """
        request = self._request()
        self._sent.clear()
        if request is None:
            raise AnswerLost("timeout")
        method, target, headers, body = request
        if method == "CONNECT":  # there is no proxy on this wire, only its client
            self._base = "https://" + target.rpartition(":")[0]
            return _TUNNEL
        url = target if "://" in target else self._base + target
        link = self._far_end(method, url)
        if link is None:
            raise AnswerLost("reset")
        response = link.handle(Request(method, url, dict(headers.items()), body, self._caller))
        return _as_bytes(response, with_body=method != "HEAD")

    def _request(self) -> tuple[str, str, http.client.HTTPMessage, bytes] | None:
        """Read what has been sent: method, target, headers, and body."""
        if _END_OF_HEAD not in self._sent:
            return None
        reader = io.BytesIO(self._sent)
        method, target, _version = reader.readline().decode("iso-8859-1").split()
        headers = http.client.parse_headers(reader)
        body: bytes | None
        if headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = _unchunked(reader)
        else:
            length = int(headers.get("Content-Length", "0"))
            body = reader.read(length)
            if len(body) < length:
                return None
        return None if body is None else (method, target, headers, body)


def _as_bytes(response: Response, *, with_body: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {reasons.get(response.status, '')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.status in _NO_BODY:
        with_body = False
    elif "Content-Length" not in response.headers:
        lines.append(f"Content-Length: {len(response.body)}")
    head = "\r\n".join(lines).encode() + _END_OF_HEAD
    return head + response.body if with_body else head


def _unchunked(reader: io.BytesIO) -> bytes | None:
    """Give what is sent in chunks, or ``None`` as long as the last one has not come."""
    body = bytearray()
    while line := reader.readline():
        if not line.endswith(b"\n"):
            break
        size = int(line.partition(b";")[0], 16)
        body += reader.read(size)
        if not reader.readline().endswith(b"\n"):
            break
        if not size:
            return bytes(body)
    return None
