"""The same routes under any ASGI server."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import httpx
import pytest

from dojang.web.asgi import AsgiApp, Receive, Scope, Send
from dojang.web.routing import RouteTable
from tests.web.routes import ROUTES
from tests.web.test_failures import ROUTES as FAILING
from tests.web.world import BASE, ISSUER, World, basic

APP = AsgiApp(RouteTable([*ROUTES, *FAILING]))


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=APP, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as opened:
        yield opened


async def test_a_request_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo?a=b", content=b"content")
    assert (answer.status_code, answer.text) == (200, "POST|/echo|a=b|content")
    assert answer.headers["content-length"] == "22"
    assert (await client.get("/late")).json() == "after a turn"
    head = await client.head("/at-once")
    assert (head.content, head.headers["content-length"]) == (b"", "9")
    assert (await client.get("/ech%6f")).status_code == 404
    assert (await client.delete("/echo")).headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_failures_are_answered_as_on_our_own_listener(client: httpx.AsyncClient) -> None:
    assert (await client.get("/broken")).status_code == 500
    down = await client.get("/down-late")
    assert (down.status_code, down.headers["retry-after"]) == (503, "7")


async def test_limits_are_kept(client: httpx.AsyncClient) -> None:
    assert (await client.post("/echo", content=b"x" * 65_537)).status_code == 413
    assert (await client.get("/echo?" + "x" * 9000)).status_code == 414
    assert (await client.get("/echo", headers={"X": "x" * 17_000})).status_code == 431


async def test_the_authorization_server_runs_there(world: World) -> None:
    public, _ = world.tables
    transport = httpx.ASGITransport(app=AsgiApp(public))
    async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as client:
        origin = {"Origin": "https://app.example"}
        document = await client.get(f"{BASE}/.well-known/openid-configuration", headers=origin)
        assert document.json()["issuer"] == ISSUER
        assert document.headers["access-control-allow-origin"] == "https://app.example"
        answer = await client.post(
            f"{BASE}/token",
            data={"grant_type": "client_credentials", "resource": "https://orders.example"},
            headers=[basic("shop", world.secret)],
        )
        assert answer.json()["token_type"] == "Bearer"


async def test_it_can_be_mounted() -> None:
    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        await APP({**scope, "root_path": "/below"}, receive, send)

    transport = httpx.ASGITransport(app=mount)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        assert (await client.get("/below/echo")).text == "GET|/echo||"


async def test_it_takes_part_in_the_servers_life() -> None:
    sent = []
    incoming: Iterator[MutableMapping[str, Any]] = iter(
        [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    )

    async def receive() -> MutableMapping[str, Any]:
        return next(incoming)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await APP({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
