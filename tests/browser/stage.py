"""A real server with pages and an app that sends people there, both on loopback, on a thread of
their own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec

from dojang.clock import SYSTEM_CLOCK
from dojang.fetch import OutwardTransport
from dojang.oauth.http import Request, Response, parse_parameters
from dojang.oauth.pkce import build_challenge
from dojang.server.administration import OPERATIONS, perform
from dojang.server.config import TcpAddress
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.testing.feed_keys import share_feed_keys
from dojang.web.public import build_public_routes
from dojang.web.routing import Route, RouteTable
from dojang.web.service import Service
from dojang.web.serving import Listener, Server

T = TypeVar("T")

PASSWORD: Final = "correct horse battery staple"
VERIFIER: Final = "v" * 50
ORDERS: Final = "https://orders.example"
_PAGE: Final = ((b"content-type", b"text/html; charset=utf-8"),)


class App:
    """The client: it keeps what browsers bring it."""

    def __init__(self) -> None:
        self.address: Final = f"http://127.0.0.1:{find_free_port()}"
        self.callback: Final = self.address + "/callback"
        self.after: Final = self.address + "/after"
        self.received: Final[list[dict[str, str]]] = []

    @property
    def routes(self) -> RouteTable:
        return RouteTable(
            [
                Route("/callback", {"GET": self._take, "POST": self._take}),
                Route("/after", {"GET": self._take}),
                Route("/callback/far", {"GET": self._lead_far, "POST": self._lead_far}),
            ]
        )

    def _lead_far(self, request: Request) -> Response:
        """On to another origin, as many apps do with what came to their callback."""
        far = self.after.replace("127.0.0.1", "localhost").encode()
        return Response(303, ((b"location", far),), b"")

    def _take(self, request: Request) -> Response:
        given = request.query if request.method == "GET" else request.body
        self.received.append({"": request.path, **parse_parameters(given)})
        return Response(200, _PAGE, b"<!doctype html><title>app</title><h1 id=app>the app</h1>")


class Stage:
    """The server at `issuer`, and an app that is two clients: `shop` asks for consent, `intranet`
    is of the house."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.issuer: Final = f"http://127.0.0.1:{find_free_port()}"
        self.app: Final = App()
        self._loop = loop
        self._provider: Provider
        self._servers: list[Server] = []
        self._people = 0

    @property
    def provider(self) -> Provider:
        return self._provider

    def count_people(self) -> int:
        """One more than the last time."""
        self._people += 1
        return self._people

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def open(self) -> None:
        given: dict[str, Any] = {
            "issuer": self.issuer,
            "store": MemoryStore(),
            "clock": SYSTEM_CLOCK,
            "key_encryption_key": bytes(32),
        }
        await initialise(**given, feed_keys=share_feed_keys())
        self._provider = provider = await Provider.start(
            **given,
            offload=asyncio.to_thread,
            outward=OutwardTransport(permitted=["127.0.0.0/8"]),
        )
        await self._operate("resource.add", identifier=ORDERS, scopes=["orders:read"])
        await provider.state.reach_barrier()
        sign_in = {
            "redirect_uris": [self.app.callback, self.app.callback + "/far"],
            "post_logout_redirect_uris": [self.app.after],
            "scopes": ["openid", "profile", "email", "offline_access"],
            "resources": {ORDERS: ["orders:read"]},
            "id_token_algorithm": "ES256",
            "policy_uri": "https://shop.example/privacy",
            "tos_uri": "https://shop.example/terms",
        }
        for client_id, name in (("shop", "Green Shop"), ("intranet", "Intranet")):
            await self._operate(
                "client.add",
                client_id=client_id,
                name=name,
                authentication="none",
                sign_in={**sign_in, "first_party": client_id == "intranet"},
            )
        tables = {self.issuer: build_public_routes(provider), self.app.address: self.app.routes}
        for address, table in tables.items():
            port = int(address.rpartition(":")[2])
            listener = Listener(TcpAddress("127.0.0.1", port), table)
            self._servers.append(await Server.start([listener], Service()))

    async def close(self) -> None:
        self._provider.feed.close()
        for server in self._servers:
            await server.stop(grace_seconds=0)

    async def _operate(self, name: str, /, **parameters: Any) -> dict[str, Any]:
        operation = OPERATIONS[name]
        asked = msgspec.convert(parameters, operation.parameters)
        return await perform(self._provider, operation, asked, actor="test")

    def operate(self, name: str, /, **parameters: Any) -> dict[str, Any]:
        """Any operation of the admin API."""
        return self.run(self._operate(name, **parameters))

    def build_address(self, client_id: str = "shop", **parameters: str) -> str:
        """Where the app sends a person who is to sign in."""
        wanted: Mapping[str, str] = {
            "client_id": client_id,
            "redirect_uri": self.app.callback,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "xyz",
            "code_challenge": build_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **parameters,
        }
        return f"{self.issuer}/authorize?{urlencode(wanted)}"


@contextmanager
def open_stage() -> Iterator[Stage]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stage = Stage(loop)
    try:
        stage.run(stage.open())
        yield stage
    finally:
        stage.run(stage.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
