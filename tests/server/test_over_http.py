"""The same endpoints behind a real listener, as a client without any of our code meets them."""

import httpx
import pytest

from dojang.server.config import TcpAddress
from dojang.web.public import build_public_routes
from dojang.web.service import Service
from dojang.web.serving import Listener, Server
from tests.server.front_door import ORDERS, open_issuer


@pytest.mark.proves("A1", "A3", "C52", "C90")
async def test_a_token_is_issued_introspected_and_revoked() -> None:
    issuer = open_issuer("http://127.0.0.1:8460")
    issuer.add_resource(ORDERS, ["read"], introspectors=["orders"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    issuer.add_client("orders")
    shop, orders = (
        httpx.BasicAuth(client_id, issuer.credentials(client_id).secret)
        for client_id in ("shop", "orders")
    )
    listener = Listener(TcpAddress("127.0.0.1", 0), build_public_routes(issuer.provider))
    server = await Server.start([listener], Service())
    try:
        base = f"http://{server.addresses[0]}"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            answer = await client.post(
                "/token", data={"grant_type": "client_credentials"}, auth=shop
            )
            assert answer.headers["cache-control"] == "no-store"
            form = {"token": answer.json()["access_token"]}

            async def is_active() -> bool:
                told = await client.post("/introspect", data=form, auth=orders)
                return told.json()["active"] is True

            assert await is_active()
            refused = await client.post("/revoke", data=form, auth=orders)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
            assert await is_active()
            assert (await client.post("/revoke", data=form, auth=shop)).status_code == 200
            assert not await is_active()
            metadata = await client.get("/.well-known/oauth-authorization-server")
            assert metadata.json()["issuer"] == issuer.url  # not the address it was asked at
            bare = await client.post("/token", data={"grant_type": "client_credentials"})
            assert bare.status_code == 401
            assert bare.headers["www-authenticate"].startswith("Basic ")
    finally:
        await server.stop(grace_seconds=1)
