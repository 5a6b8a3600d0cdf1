"""The public listener, over real connections."""

import pytest

from tests.web.peers import peer_of, serving
from tests.web.world import BASE, ISSUER, World, ask_introspection, ask_token, read_json

DOCUMENTS = [
    "/.well-known/oauth-authorization-server/tenant",
    "/.well-known/openid-configuration/tenant",
    "/tenant/.well-known/oauth-authorization-server",
    "/tenant/.well-known/openid-configuration",
]

FORGED = [
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Original-Host", "evil.example"),
    ("Forwarded", 'host="evil.example";proto=http'),
]


async def test_a_token_is_issued_introspected_and_revoked(world: World) -> None:
    async with serving(*world.tables) as site, peer_of(site.address) as peer:
        answer = await ask_token(peer, world)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "no-store"
        token = read_json(answer)["access_token"]
        assert read_json(await ask_introspection(peer, world, token))["active"] is True
        await world.operate("revoke.client", client_id="shop")
        assert read_json(await ask_introspection(peer, world, token)) == {"active": False}


@pytest.mark.proves("C110")
@pytest.mark.parametrize("path", DOCUMENTS)
async def test_the_issuer_is_never_taken_from_a_request(world: World, path: str) -> None:
    async with serving(*world.tables) as site, peer_of(site.address) as peer:
        await peer.send(
            f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n".encode()
            + "".join(f"{name}: {value}\r\n" for name, value in FORGED).encode()
            + b"\r\n"
        )
        answer = await peer.receive()
    document = read_json(answer)
    assert document["issuer"] == ISSUER
    for name, value in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(ISSUER + "/")
    assert b"evil" not in answer.head + answer.body


@pytest.mark.proves("C110")
async def test_a_request_to_another_host_gets_the_same_token(world: World) -> None:
    import base64
    import json
    from urllib.parse import urlencode

    from tests.web.world import FORM, ORDERS, basic

    body = urlencode({"grant_type": "client_credentials", "resource": ORDERS})
    name, value = basic("shop", world.secret)
    lines = [
        f"POST {BASE}/token HTTP/1.1",
        "Host: evil.example",
        *(f"{name}: {value}" for name, value in [FORM, (name, value), *FORGED]),
        f"Content-Length: {len(body)}",
    ]
    async with serving(*world.tables) as site, peer_of(site.address) as peer:
        await peer.send("\r\n".join([*lines, "", body]).encode())
        token = read_json(await peer.receive())["access_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["iss"] == ISSUER


async def test_documents_may_be_kept(world: World) -> None:
    async with serving(*world.tables) as site, peer_of(site.address) as peer:
        for path in (*DOCUMENTS, BASE + "/.well-known/jwks.json"):
            whole = await peer.ask(path)
            assert whole.headers["cache-control"].startswith("public, max-age=")
            again = await peer.ask(path, headers=[("If-None-Match", whole.headers["etag"])])
            assert (again.status, again.body) == (304, b"")
            assert "content-length" not in again.headers


async def test_a_method_that_is_not_there_is_named_so(world: World) -> None:
    async with serving(*world.tables) as site, peer_of(site.address) as peer:
        answer = await peer.ask(BASE + "/token")
        assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
        assert (await peer.ask("/token", method="POST")).status == 404
        assert (await peer.ask("/health/live")).status == 404


@pytest.mark.parametrize(
    "path, method, allowed",
    [
        (BASE + "/token", "POST", True),
        (BASE + "/revoke", "POST", True),
        (BASE + "/par", "POST", True),
        (BASE + "/.well-known/jwks.json", "GET", True),
        (DOCUMENTS[0], "GET", True),
        (BASE + "/introspect", "POST", False),
    ],
)
async def test_scripts_of_other_origins(
    world: World, path: str, method: str, allowed: bool
) -> None:
    origin = ("Origin", "https://app.example")
    async with serving(*world.tables) as site, peer_of(site.address) as peer:
        asked = await peer.ask(
            path, method="OPTIONS", headers=[origin, ("Access-Control-Request-Method", method)]
        )
        answer = await peer.ask(path, method=method, headers=[origin])
        opaque = await peer.ask(path, method=method, headers=[("Origin", "null")])
        plain = await peer.ask(path, method=method)
    assert asked.status == 204
    assert ("access-control-allow-methods" in asked.headers) is allowed
    assert ("x-requested-with" in asked.headers.get("access-control-allow-headers", "")) is allowed
    expected = "https://app.example" if allowed else None
    assert answer.headers.get("access-control-allow-origin") == expected
    assert asked.headers.get("access-control-allow-origin") == expected
    for each in (asked, answer, opaque, plain):
        assert "access-control-allow-credentials" not in each.headers
        assert ("vary" in each.headers) is allowed
    assert "access-control-allow-origin" not in opaque.headers
