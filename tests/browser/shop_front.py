"""An application behind a `Bff` over TLS, its API, and a stranger's pages, beside a `Stage`."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from dojang.client import ClientSecretBasic, RelyingParty
from dojang.clock import SYSTEM_CLOCK
from dojang.fetch import OutwardTransport
from dojang.integrations.asgi import ASGIApp, Protect, Receive, Scope, Send
from dojang.integrations.bff import Bff, SealKey, SealRing, SessionsInOneProcess, Upstream
from dojang.resource import Expect, IntrospectionVerifier, Policy, Route, Rule
from dojang.server.logout_notices import deliver_notices
from tests.browser.stage import Stage, find_free_port
from tests.services.certificates import make_certificate

API: Final = "https://shelf.example"
LIFE: Final = 60  # seconds that an access token lasts
PAGE: Final = b"<!doctype html><title>front</title><h1 id=front>the front</h1>"


class FastClock:
    """The machine's, `ahead` by some seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic() + self.ahead


class ShopFront:
    """`address` is where the application is, `stranger` the same machine's other port, and
    `far` another site."""

    def __init__(self, stage: Stage, certificate: Path) -> None:
        ports = [find_free_port() for _ in range(3)]
        self.address: Final = f"https://127.0.0.1:{ports[0]}"
        self.stranger: Final = f"https://127.0.0.1:{ports[2]}"
        self.far: Final = f"https://localhost:{ports[2]}"
        self.clock: Final = FastClock()
        self.calls = 0
        self._stage = stage
        self._certificate = certificate
        self._ports = ports
        self._servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    def open(self) -> None:
        stage = self._stage
        reader = stage.operate("client.add", client_id="shelf", name="Shelf")
        stage.operate(
            "resource.add",
            identifier=API,
            scopes=["shelf:read"],
            introspectors=["shelf"],
            access_token_lifetime=LIFE,
        )
        front = stage.operate(
            "client.add",
            client_id="front",
            name="Front",
            sign_in={
                "redirect_uris": [self.address + "/bff/callback"],
                "post_logout_redirect_uris": [self.address + "/"],
                "backchannel_logout_uri": self.address + "/bff/backchannel-logout",
                "scopes": ["openid", "profile"],
                "resources": {API: ["shelf:read"]},
                "id_token_algorithm": "ES256",
                "first_party": False,
            },
        )
        stage.run(self._start(reader["client_secret"], front["client_secret"]))

    def close(self) -> None:
        self._stage.run(self._stop())

    def deliver_logouts(self) -> None:
        """What the node that leads does once a second."""
        context = ssl.create_default_context(cafile=str(self._certificate))
        transport = OutwardTransport(permitted=["127.0.0.0/8"], tls=context)
        self._stage.run(deliver_notices(self._stage.provider, transport))

    async def _start(self, reader: str, front: str) -> None:
        api = f"http://127.0.0.1:{self._ports[1]}"
        party = RelyingParty(
            issuer=self._stage.issuer,
            credentials=ClientSecretBasic("front", front),
            redirect_uri=self.address + "/bff/callback",
            scopes=("openid", "profile", "shelf:read"),
            claims=("name",),
            resource=API,
            clock=self.clock,
        )
        bff = Bff(
            party,
            ring=SealRing(SealKey.generate()),
            sessions=SessionsInOneProcess(clock=self.clock),
            upstreams=[Upstream(prefix="/api", url=api)],
            signed_out_url=self.address + "/",
        )
        verifier = IntrospectionVerifier(
            Expect(issuer=self._stage.issuer, audience=API, algorithms=["ES256"]),
            credentials=ClientSecretBasic("shelf", reader),
        )
        policy = Policy([Route("GET", "/shelf", Rule(scopes=("shelf:read",)))], protect=["/shelf"])
        await self._serve(mount(bff), self._ports[0], secure=True)
        await self._serve(Protect(self._answer, verifier, policy), self._ports[1], secure=False)
        await self._serve(show_page, self._ports[2], secure=True)

    async def _serve(self, app: ASGIApp, port: int, *, secure: bool) -> None:
        settings: dict[str, Any] = {"ssl_certfile": str(self._certificate)} if secure else {}
        config = uvicorn.Config(
            app, port=port, log_config=None, lifespan="off", ws="none", http="httptools", **settings
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        self._servers.append((server, task))

    async def _stop(self) -> None:
        for server, task in self._servers:
            server.should_exit = server.force_exit = True
            await task

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await send_text(send, scope["state"]["verified_token"].subject.encode())


def mount(bff: Bff) -> ASGIApp:
    """`bff` below /bff of an application that is one page."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/bff/"):
            await bff({**scope, "root_path": "/bff"}, receive, send)
        else:
            await show_page(scope, receive, send)

    return app


async def show_page(scope: Scope, receive: Receive, send: Send) -> None:
    await send_text(send, PAGE)


async def send_text(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def open_shop_front(stage: Stage, certificate: Path) -> Iterator[ShopFront]:
    front = ShopFront(stage, make_certificate(certificate, "127.0.0.1", "localhost"))
    front.open()
    try:
        yield front
    finally:
        front.close()
