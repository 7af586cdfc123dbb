"""Swapping in: while a fake is active, every client of azure-core's make in the process reaches it.

It does not matter when or where a client was built: what is exchanged are the methods of
azure-core's own transports, and what a request is meant for is read from its URL. A transport of
the user's own is left alone; what it passes on to one of azure-core's, or to an HTTP library,
reaches the fake there. Credentials are not asked for what the fake answers.

A fake that has ended leaves nothing exchanged behind, unless it left something running: then what
that asks of Azure is refused, until it has ended too (see ``_guard``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final
from weakref import WeakSet

from pytest_azurevm import _other_mocks, _plain_http
from pytest_azurevm._guard import Guard, asking
from pytest_azurevm._hosts import is_served, part_of_url
from pytest_azurevm._swaps import Swaps
from pytest_azurevm._transport import Link

_TRANSPORTS: Final = "azure.core.pipeline.transport"
_AIOHTTP: Final = f"{_TRANSPORTS}._aiohttp"
_NEVER: Final = 253_402_300_799  # the last second of the year 9999
_lock = threading.Lock()


class _Interception:
    """What stands between clients and Azure, from a fake's beginning on."""

    def __init__(self, link: Link) -> None:
        self._link: Link | None = link
        self._reached: WeakSet[Any] = WeakSet()  # transports that the fake has answered
        self._guard = Guard()
        self._swaps = Swaps()
        self._guard.install(self._swaps)
        _plain_http.install(self._swaps, self.far_end, self._guard.check)
        _other_mocks.install(self._swaps, self._answers)
        await_ = self._swaps.when_imported
        await_(f"{_TRANSPORTS}._requests_basic", self._in_requests)
        await_(f"{_TRANSPORTS}._requests_asyncio", self._in_asyncio)
        await_(f"{_TRANSPORTS}._requests_trio", self._in_trio)
        if _has_aiohttp():
            await_(_AIOHTTP, self._in_aiohttp)
        else:
            self._swaps.provide(_AIOHTTP, self._without_aiohttp())
        await_("azure.core.pipeline.policies._authentication", self._in_sign_in)
        await_("azure.core.pipeline.policies._authentication_async", self._in_async_sign_in)
        await_("azure.mgmt.core.policies._authentication", self._in_more_tokens)
        await_("azure.mgmt.core.policies._authentication_async", self._in_more_async_tokens)

    def end(self) -> bool:
        """Stop answering. Give whether something was left running, which is kept back."""
        self._link = None
        return self._guard.end()

    def undo(self) -> None:
        """Put everything back."""
        self._swaps.undo()

    def far_end(self, method: str, url: str) -> Link | None:
        """Give the fake that answers a request, or ``None`` where it goes on its way.

        Raises:
            AzureOutOfReach: it was left over by a fake that has ended.
        """
        if part_of_url(url) is None:
            return None
        if self._link is not None:
            self._guard.note_loop()
            return self._link if is_served(url) else None
        if self._guard.keeps_back:
            raise self._guard.refusal(f"{method.upper()} {url}")
        if self._guard.is_over:
            with _lock:
                _put_back(self)
        return None

    def _answers(self, url: str) -> bool:
        return self._link is not None and is_served(url)

    # --- transports ----------------------------------------------------------------------------

    def _in_requests(self, module: Any) -> None:
        self._swaps.wrap(module.RequestsTransport, "send", self._sending)
        self._swaps.wrap(module.RequestsTransport, "sleep", self._sleeping)

    def _in_asyncio(self, module: Any) -> None:
        self._swaps.wrap(module.AsyncioRequestsTransport, "send", self._sending_in_task)
        self._swaps.wrap(module.AsyncioRequestsTransport, "sleep", self._sleeping_in_task)

    def _in_trio(self, module: Any) -> None:
        self._swaps.wrap(module.TrioRequestsTransport, "send", self._sending_in_task)
        self._swaps.wrap(module.TrioRequestsTransport, "sleep", self._sleeping_in_task)

    def _in_aiohttp(self, module: Any) -> None:
        sending = partial(self._sending_in_task, over_requests=False)
        self._swaps.wrap(module.AioHttpTransport, "send", sending)
        self._swaps.wrap(module.AioHttpTransport, "sleep", self._sleeping_in_task)

    def _sending(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(transport: Any, request: Any, **kwargs: Any) -> Any:
            link = self.far_end(request.method, request.url)
            if link is not None:
                self._reached.add(transport)
            if link is None or _other_mocks.stand_before_requests():
                with asking(request.method, request.url):
                    return original(transport, request, **kwargs)
            transport.open()  # which refuses one that was closed, as in production
            return link.send(request)

        return send

    def _sleeping(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def sleep(transport: Any, duration: float) -> None:
            link = self._link
            if link is None or transport not in self._reached:
                original(transport, duration)
            else:
                link.sleep(duration)

        return sleep

    def _sending_in_task(
        self, original: Callable[..., Any], *, over_requests: bool = True
    ) -> Callable[..., Any]:
        @wraps(original)
        async def send(transport: Any, request: Any, **kwargs: Any) -> Any:
            link = self.far_end(request.method, request.url)
            if link is not None:
                self._reached.add(transport)
            if link is None or (over_requests and _other_mocks.stand_before_requests()):
                with asking(request.method, request.url):
                    return await original(transport, request, **kwargs)
            return link.send_from_task(request)

        return send

    def _sleeping_in_task(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def sleep(transport: Any, duration: float) -> None:
            link = self._link
            if link is None or transport not in self._reached:
                await original(transport, duration)
            else:
                await link.sleep_in_task(duration)

        return sleep

    def _without_aiohttp(self) -> ModuleType:
        """Give what async clients are built with where aiohttp, their default, is not installed."""
        from azure.core.pipeline.transport import AsyncHttpTransport

        interception = self

        class AioHttpTransport(AsyncHttpTransport[Any, Any]):
            """Stands in for azure-core's transport of that name, which needs aiohttp."""

            def __init__(self, **_kwargs: Any) -> None:
                pass

            async def open(self) -> None:
                pass

            async def close(self) -> None:
                pass

            async def __aexit__(self, *_args: object) -> None:
                pass

            async def send(self, request: Any, **_kwargs: Any) -> Any:
                link = interception_in_force().far_end(request.method, request.url)
                if link is None:
                    raise ModuleNotFoundError(
                        f"{request.method} {request.url} needs aiohttp, which is not installed: "
                        "this client was built while a fake was active, and only what a fake "
                        "answers can do without."
                    )
                return link.send_from_task(request)

            async def sleep(self, duration: float) -> None:
                link = interception_in_force()._link  # noqa: SLF001
                if link is None:
                    await super().sleep(duration)
                else:
                    await link.sleep_in_task(duration)

        def interception_in_force() -> _Interception:
            return _interception or interception

        module = ModuleType(_AIOHTTP)
        module.AioHttpTransport = AioHttpTransport  # type: ignore[attr-defined]
        return module

    # --- credentials ---------------------------------------------------------------------------

    def _in_sign_in(self, module: Any) -> None:
        self._swaps.wrap(module.BearerTokenCredentialPolicy, "on_request", self._signing("_token"))

    def _in_async_sign_in(self, module: Any) -> None:
        policy = module.AsyncBearerTokenCredentialPolicy
        self._swaps.wrap(policy, "on_request", self._signing_in_task("_token"))

    def _in_more_tokens(self, module: Any) -> None:
        policy = module.AuxiliaryAuthenticationPolicy
        self._swaps.wrap(policy, "on_request", self._signing("_aux_tokens"))

    def _in_more_async_tokens(self, module: Any) -> None:
        policy = module.AsyncAuxiliaryAuthenticationPolicy
        self._swaps.wrap(policy, "on_request", self._signing_in_task("_aux_tokens"))

    def _signing(self, kept_in: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            def on_request(policy: Any, request: Any) -> None:
                original(self._signed(policy, request, kept_in), request)

            return on_request

        return wrapper

    def _signing_in_task(self, kept_in: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            async def on_request(policy: Any, request: Any) -> None:
                await original(self._signed(policy, request, kept_in), request)

            return on_request

        return wrapper

    def _signed(self, policy: Any, request: Any, kept_in: str) -> Any:
        """Give a policy that has its tokens already, if it is the fake that will be asked.

        It is another one, so that no false token is left with the client when the fake has ended.

        Raises:
            AzureOutOfReach: the request was left over by a fake that has ended.
        """
        asked = request.http_request
        # A chain of credentials would take a refusal for one more way that does not lead anywhere.
        if self.far_end(asked.method, asked.url) is None:
            return policy
        from azure.core.credentials import AccessToken

        token = AccessToken("fake", _NEVER)
        twin = object.__new__(type(policy))
        twin.__dict__.update(policy.__dict__)
        setattr(twin, kept_in, [token] if kept_in == "_aux_tokens" else token)
        return twin


@lru_cache(maxsize=1)
def _has_aiohttp() -> bool:
    return find_spec("aiohttp") is not None


_interception: _Interception | None = None


def install(link: Link) -> None:
    """Let every client reach the fake behind *link*."""
    global _interception  # noqa: PLW0603  azure-core's classes are one for the process
    with _lock:
        if _interception is not None:  # what an earlier fake left running is this one's now
            _interception.undo()
        _interception = _Interception(link)
        Link.in_force = link


def uninstall() -> None:
    """Let no client reach it any more, and put everything back unless something is left running."""
    with _lock:
        Link.in_force = None
        if _interception is not None and not _interception.end():
            _put_back(_interception)


def _put_back(interception: _Interception) -> None:
    global _interception  # noqa: PLW0603
    if _interception is interception:
        interception.undo()
        _interception = None
