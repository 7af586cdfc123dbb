"""A test's own mocks of HTTP, beside the fake.

They sit above the fake, which answers where connections are made, so that they go first, in
whatever order they and the fake were started. Left alone, though, they refuse whatever they do not
know. What the fake answers they let pass instead, and keep no record of it. So SDK clients, which
are answered higher up, go the long way as long as somebody stands in that of ``requests``.

pytest-httpx and aioresponses are not among them: what these shall let pass is told by an option of
their own (``should_mock``, ``passthrough``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from pytest_azurevm._swaps import Swaps

Answers = Callable[[str], bool]


def install(swaps: Swaps, answers: Answers) -> None:
    """Let mocks hand on those URLs for which *answers* holds."""
    for module, mend in (
        ("responses", _in_responses),
        ("requests_mock.mocker", _in_requests_mock),
        ("respx.mocks", _in_respx),
        ("vcr.cassette", _in_vcr),
    ):
        swaps.when_imported(module, partial(mend, swaps, answers), may_differ=True)


def stand_before_requests() -> bool:
    """Whether anybody has put something of his own in the place of what sends for ``requests``."""
    sessions = sys.modules.get("requests.sessions")
    if sessions is None:
        return False
    own = "requests.sessions", "requests.adapters"
    senders = sessions.Session.send, sessions.HTTPAdapter.send
    return tuple(getattr(sender, "__module__", "") for sender in senders) != own


def _in_responses(swaps: Swaps, answers: Answers, module: Any) -> None:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def _on_request(mock: Any, adapter: Any, request: Any, **kwargs: Any) -> Any:
            if not answers(request.url):
                return original(mock, adapter, request, **kwargs)
            request.params = mock._parse_request_params(request.path_url)  # noqa: SLF001
            request.req_kwargs = kwargs
            if any(known.matches(request)[0] for known in mock.registered()):
                return original(mock, adapter, request, **kwargs)
            kwargs.pop("retries", None)  # of a mock that has answered before, and is used up
            return mock._real_send(adapter, request, **kwargs)  # noqa: SLF001

        return _on_request

    swaps.wrap(module.RequestsMock, "_on_request", wrapper)


def _in_requests_mock(swaps: Swaps, answers: Answers, module: Any) -> None:
    from requests_mock.adapter import _RunRealHTTP
    from requests_mock.exceptions import NoMockAddress

    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(session: Any, request: Any, **kwargs: Any) -> Any:
            try:
                return original(session, request, **kwargs)
            except NoMockAddress as error:
                if not answers(error.request.url):
                    raise
                history = session.get_adapter(request.url).request_history
                if error.request in history:
                    history.remove(error.request)
                raise _RunRealHTTP from None

        return send

    swaps.wrap(module, "_original_send", wrapper)


def _in_respx(swaps: Swaps, answers: Answers, module: Any) -> None:
    from respx.models import AllMockedAssertionError, PassThrough

    def let_pass(request: Any) -> None:
        if answers(str(request.url)):
            no_route: Any = None
            raise PassThrough("The fake answers.", request=request, origin=no_route)

    handler = module.Mocker.handler.__func__
    async_handler = module.Mocker.async_handler.__func__

    @wraps(handler)
    def handling(mocker: Any, request: Any) -> Any:
        try:
            return handler(mocker, request)
        except AllMockedAssertionError:
            let_pass(request)
            raise

    @wraps(async_handler)
    async def handling_in_task(mocker: Any, request: Any) -> Any:
        try:
            return await async_handler(mocker, request)
        except AllMockedAssertionError:
            let_pass(request)
            raise

    swaps.exchange(module.Mocker, "handler", classmethod(handling))
    swaps.exchange(module.Mocker, "async_handler", classmethod(handling_in_task))


def _in_vcr(swaps: Swaps, answers: Answers, module: Any) -> None:
    being_read: list[Any] = []  # cassettes whose own recordings are being taken in

    def reading(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def _load(cassette: Any) -> None:
            being_read.append(cassette)
            try:
                original(cassette)
            finally:
                being_read.remove(cassette)

        return _load

    def filtering(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def filter_request(cassette: Any, request: Any) -> Any:
            return None if answers(request.uri) else original(cassette, request)

        return filter_request

    def appending(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def append(cassette: Any, request: Any, response: Any) -> None:
            if cassette in being_read or not answers(request.uri):
                original(cassette, request, response)

        return append

    swaps.wrap(module.Cassette, "_load", reading)
    swaps.wrap(module.Cassette, "filter_request", filtering)
    swaps.wrap(module.Cassette, "append", appending)
