"""The authorization server as a part of an ASGI application, with the application's own people.

server = AuthorizationServer(config, accounts=ShopAccounts(), sign_in_page="/sign-in")
application = server.in_front_of(application)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from dojang.app import keep_up, open_provider
from dojang.oauth.metadata import find_metadata_paths
from dojang.server.accounts import Accounts, Profile, Proven
from dojang.server.administration import OPERATIONS, OperationRefused, perform
from dojang.server.config import Config, Keys, Storage
from dojang.server.provider import Provider
from dojang.server.vouching import vouch
from dojang.storage.address import anchor_url
from dojang.web.asgi import AsgiApp, Receive, Scope, Send
from dojang.web.peer import TrustedProxies
from dojang.web.public import build_public_routes

__all__ = [
    "Accounts",
    "Application",
    "AuthorizationServer",
    "Config",
    "Keys",
    "NotStarted",
    "Profile",
    "Proven",
    "Storage",
]

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ACTOR: Final = "application"  # in the audit trail

_log: Final = logging.getLogger("dojang")


class NotStarted(RuntimeError):
    """The server has not been started, or has been stopped."""

    def __init__(self) -> None:
        super().__init__(
            "the authorization server is not running: serve `server.in_front_of(application)`, or "
            "use `async with server`"
        )


class AuthorizationServer:
    """An authorization server that answers below the path of its issuer.

    People are those of `accounts`, or the server's own. They sign in on `sign_in_page`, a path of
    the application, or on the server's own page, which asks `accounts` for name and password.
    Everything else of `config` is as for `dojang serve`; it opens no listener. The relative path of
    an SQLite database begins in the working directory.
    """

    def __init__(
        self,
        config: Config,
        *,
        accounts: Accounts | None = None,
        sign_in_page: str | None = None,
    ) -> None:
        """Raises `ValueError` for an issuer without a path, and for a page that is no path."""
        self._base: Final = urlsplit(config.issuer).path.rstrip("/")
        if not self._base:
            raise ValueError(
                f"{config.issuer} has no path: beside an application the issuer is a part of its "
                f"address, such as {config.issuer}/auth"
            )
        if sign_in_page is not None:
            _check_page(sign_in_page)
        url = anchor_url(config.storage.url, Path())
        self.config: Final = replace(config, storage=replace(config.storage, url=url))
        self._accounts = accounts
        self._page = sign_in_page
        self._metadata: Final = frozenset(find_metadata_paths(config.issuer))
        self._starting: Final = asyncio.Lock()
        self._running: AsyncExitStack | None = None
        self._provider: Provider | None = None
        self._answer: AsgiApp | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the database and begin; nothing where it runs. Raises what `dojang.app`'s
        `open_provider` raises."""
        async with self._starting:
            if self._running is not None:
                return
            config = self.config
            async with AsyncExitStack() as stack:
                provider = await stack.enter_async_context(
                    open_provider(config, accounts=self._accounts, sign_in_page=self._page)
                )
                await stack.enter_async_context(keep_up(provider))
                stack.callback(provider.feed.close)
                proxies = TrustedProxies(config.trusted_proxies)
                self._answer = AsgiApp(
                    build_public_routes(provider, proxies), trusted_proxies=config.trusted_proxies
                )
                self._provider = provider
                self._running = stack.pop_all()

    async def stop(self) -> None:
        """Close the database."""
        async with self._starting:
            running, self._running, self._provider, self._answer = self._running, None, None, None
            if running is not None:
                await running.aclose()

    @property
    def provider(self) -> Provider:
        """The running server. Raises `NotStarted`."""
        if self._provider is None:
            raise NotStarted
        return self._provider

    def confirm_sign_in(
        self,
        return_to: str,
        account_id: str,
        *,
        amr: Sequence[str] = ("pwd",),
        acr: str | None = None,
        auth_time: int | None = None,
    ) -> str:
        """The address to send the browser to from the application's sign-in page, once it is sure
        who is there: the person `account_id`. `return_to` is the parameter that the page was
        opened with; `amr` and `acr` say how they proved it (RFC 8176; OpenID Connect Core §2), and
        `auth_time` when, if not now (seconds since 1970). Good for 60 seconds, once.

        Raises `NotOurAddress` (a `ValueError`) for any other `return_to`, `ValueError` for what
        cannot be an account's id, `NotStarted`, and `Unavailable`.
        """
        return vouch(self.provider, return_to, account_id, amr=amr, acr=acr, auth_time=auth_time)

    async def perform(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """An operation of the admin API by its name, such as `client.add`, or `revoke.account`
        with `subject`: everything of a person ends, everywhere.

        Raises `OperationRefused`, `NotStarted` and `Unavailable`."""
        known = OPERATIONS.get(operation)
        if known is None:
            raise OperationRefused(404, "No such operation", f"{operation}; see docs/reference")
        try:
            asked = msgspec.convert(parameters, known.parameters)
        except msgspec.ValidationError as error:
            raise OperationRefused(400, "Invalid", f"{operation}: {error}") from None
        return await perform(self.provider, known, asked, actor=ACTOR)

    def in_front_of(self, application: Application) -> Application:
        """`application` with this server before it: what is below the issuer's path is answered
        here, and the rest there. It starts and stops with the ASGI server, or starts with the first
        request where that has no lifespan."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await self._live(application, scope, receive, send)
            elif scope["type"] == "http" and self.answers(scope["path"]):
                await self._serve(scope, receive, send)
            else:
                await application(scope, receive, send)

        return answer

    def answers(self, path: str) -> bool:
        """Whether a path is the server's."""
        return path == self._base or path.startswith(f"{self._base}/") or path in self._metadata

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._answer is None:
            try:
                await self.start()
            except Exception:  # noqa: BLE001  the peer is told to come back, and the operator why
                _log.exception("the authorization server cannot start")
        if self._answer is None:
            await _refuse(send)
        else:
            await self._answer(scope, receive, send)

    async def _live(
        self, application: Application, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Start before the application and stop after it, whether it knows of lifespans or not."""
        first: list[Any] = [await receive()]
        try:
            await self.start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        told = False

        async def hear() -> Any:
            return first.pop() if first else await receive()

        async def tell(message: Any) -> None:
            nonlocal told
            told = True
            if message["type"].startswith("lifespan.shutdown."):
                await self.stop()
            await send(message)

        try:
            await application(scope, hear, tell)
        except Exception:
            if told:
                raise
        finally:
            if told:
                await self.stop()
        if not told:  # it has no lifespan: nobody hears of what it raised (ASGI, Lifespan Protocol)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.stop()
            await send({"type": "lifespan.shutdown.complete"})


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"error":"temporarily_unavailable"}'})


def _check_page(page: str) -> None:
    plain = page.isascii() and page.isprintable() and " " not in page
    if not plain or not page.startswith("/") or page.startswith("//") or "#" in page:
        raise ValueError("sign_in_page: write a path of the application, such as /sign-in")
