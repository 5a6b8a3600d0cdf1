"""Paths that the guard and the application behind it could read differently."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from dojang.integrations.asgi import Protect
from dojang.jose.keys import KeySet, SigningKey
from dojang.resource import Expect, FixedKeys, LocalVerifier, Policy

KEY = SigningKey.generate("ES256", kid="1")
EXPECT = Expect(
    issuer="https://as.example", audience="https://orders.example", algorithms=["ES256"]
)
POLICY = Policy.parse(
    {"protect": ["/admin"], "route": [{"path": "/admin", "scopes": ["admin"]}]},
)


async def greet(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def meet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def guard(app: Any) -> Protect:
    verifier = LocalVerifier(EXPECT, keys=FixedKeys(KeySet([KEY.verifying_key()])))
    return Protect(app, verifier, POLICY)


GUARDED = guard(
    Starlette(
        routes=[
            Route("/admin", greet),
            Route("/open", greet),
            WebSocketRoute("/admin/socket", meet),
        ]
    )
)


def get(app: Any, path: str, *, root_path: str = "") -> int:
    async def send() -> int:
        transport = httpx.ASGITransport(app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="https://o.example") as client:
            return (await client.get(path)).status_code

    return asyncio.run(send())


@pytest.mark.proves("C68", "R1")
def test_an_application_that_is_mounted_is_as_closed_as_before() -> None:
    app = Starlette(routes=[Mount("/shop/v1", app=GUARDED), Mount("/", app=GUARDED)])
    for below in ("", "/shop/v1"):
        assert get(app, f"{below}/admin") == 401
        assert get(app, f"{below}/open") == 200
    with (
        TestClient(app) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/shop/v1/admin/socket"),
    ):
        pass


@pytest.mark.proves("C68", "R1")
@pytest.mark.parametrize("root_path", ["/shop", "/shop/", "/admin"])
@pytest.mark.parametrize("prefixed", [True, False])  # servers differ
def test_a_root_path_opens_nothing(root_path: str, prefixed: bool) -> None:
    path = f"{root_path}/admin" if prefixed else "/admin"
    assert get(GUARDED, path, root_path=root_path) in {401, 403}


@pytest.mark.proves("C68")
def test_routes_compared_with_the_whole_path_are_closed_too() -> None:
    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("reached")(scope, receive, send)

    assert get(guard(whole), "/admin", root_path="/adm") == 401
    assert get(guard(whole), "/admin/more", root_path="/admin") == 403
