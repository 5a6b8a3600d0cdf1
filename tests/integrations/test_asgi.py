"""The ASGI guard, around a plain application and a Starlette one."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route as StarletteRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from dojang.fetch import FetchFailed, FetchProblem
from dojang.integrations.asgi import Message, Protect, Receive, Scope, Send
from dojang.oauth.challenge import parse_challenges
from dojang.resource import (
    ClientSecretBasic,
    CookieToken,
    Expect,
    Follower,
    Hybrid,
    Introspection,
    Local,
    LocalVerifier,
    Policy,
    Refusal,
    RemoteKeys,
    VerifiedToken,
)
from dojang.testing import SettableClock
from tests.origin import Answer, WireIssuer
from tests.scripted_issuer import ScriptedIssuer

AUDIENCE = "https://orders.example"
POLICY = {
    "protect": ["/orders", "/socket"],
    "route": [
        {"method": "GET", "path": "/orders", "scopes": ["orders:read"]},
        {"method": "POST", "path": "/orders", "scopes": ["orders:write"]},
        {"path": "/orders/health", "public": True},
        {"path": "/socket", "scopes": ["orders:read"]},
    ],
}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Says who asks, or nobody; a WebSocket is greeted."""
    while scope["type"] == "lifespan":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
    token: VerifiedToken | None = scope.get("state", {}).get("verified_token")
    who = "nobody" if token is None else token.subject
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": who})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['method']} {who}".encode()})


def expect(served: WireIssuer) -> Expect:
    return Expect(issuer=served.url, audience=AUDIENCE, algorithms=["ES256"])


def protect(served: WireIssuer, **settings: Any) -> Protect:
    settings.setdefault("realm", "orders")
    policy = Policy.parse(settings.pop("policy", POLICY))
    return Protect(application, LocalVerifier(expect(served)), policy, **settings)


def ask(app: Protect, method: str, path: str, **settings: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="https://o.example") as client:
            return await client.request(method, path, **settings)

    return asyncio.run(send())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def challenge_of(response: httpx.Response) -> dict[str, str]:
    (challenge,) = parse_challenges(response.headers["www-authenticate"])
    assert challenge.scheme == "Bearer"
    return dict(challenge.parameters)


@pytest.mark.proves("R1", "V1")
def test_the_application_is_told_who_asks(issuer: WireIssuer) -> None:
    response = ask(protect(issuer), "GET", "/orders", headers=bearer(issuer.token(sub="alice")))
    assert (response.status_code, response.text) == (200, "GET alice")


@pytest.mark.proves("R1")
@pytest.mark.parametrize("path", ["/", "/ordersx", "/elsewhere", "/orders/health"])
def test_other_paths_are_left_alone(issuer: WireIssuer, path: str) -> None:
    app = protect(issuer)
    assert ask(app, "GET", path).text == "GET nobody"
    assert ask(app, "GET", path, headers=bearer("junk")).text == "GET nobody"
    assert not issuer.requests


@pytest.mark.proves("R3", "C74")
def test_without_credentials_the_challenge_says_what_is_needed(issuer: WireIssuer) -> None:
    response = ask(protect(issuer, resource="https://orders.example/"), "GET", "/orders")
    assert response.status_code == 401
    assert challenge_of(response) == {
        "realm": "orders",
        "scope": "orders:read",
        "resource_metadata": "https://orders.example/.well-known/oauth-protected-resource",
    }


@pytest.mark.proves("R3", "C74")
def test_a_bad_token_is_said_to_be_one(issuer: WireIssuer) -> None:
    response = ask(protect(issuer), "GET", "/orders", headers=bearer(issuer.token(aud="other")))
    assert response.status_code == 401
    challenge = challenge_of(response)
    assert challenge["error"] == "invalid_token"
    assert challenge["scope"] == "orders:read"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.proves("R3", "C68", "C74")
def test_too_little_scope_is_403_and_names_what_is_missing(issuer: WireIssuer) -> None:
    response = ask(protect(issuer), "POST", "/orders", headers=bearer(issuer.token()))
    assert response.status_code == 403
    challenge = challenge_of(response)
    assert (challenge["error"], challenge["scope"]) == ("insufficient_scope", "orders:write")


@pytest.mark.proves("C68")
@pytest.mark.parametrize(
    "method, path",
    [
        ("DELETE", "/orders"),
        ("GET", "/orders/7"),
        ("GET", "//orders"),
        ("GET", "/ORDERS"),
        ("GET", "/%2fx/..%2forders"),
    ],
)
def test_a_route_without_a_rule_is_closed(issuer: WireIssuer, method: str, path: str) -> None:
    token = issuer.token(scope="orders:read orders:write")
    response = ask(protect(issuer), method, f"https://o.example{path}", headers=bearer(token))
    assert response.status_code == 403


@pytest.mark.proves("C72", "C71")
@pytest.mark.parametrize(
    "path, headers",
    [
        ("/orders?access_token=abc", []),
        ("/orders", [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]),
        ("/orders", [("Authorization", "Bearer a b")]),
    ],
)
def test_a_bad_request_is_400(issuer: WireIssuer, path: str, headers: Any) -> None:
    response = ask(protect(issuer), "GET", path, headers=headers)
    assert response.status_code == 400
    assert challenge_of(response)["error"] == "invalid_request"


@pytest.mark.proves("R3", "F1", "O3")
def test_unknown_is_503_and_says_when_to_come_again(issuer: WireIssuer) -> None:
    issuer.answers["/jwks"] = lambda _: Answer(500)
    response = ask(protect(issuer), "GET", "/orders", headers=bearer(issuer.token()))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert "www-authenticate" not in response.headers


@pytest.mark.proves("R3", "C68")
def test_a_cors_preflight_passes_and_learns_nothing_else(issuer: WireIssuer) -> None:
    app = protect(issuer)
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    preflight = ask(app, "OPTIONS", "/orders", headers=headers)
    assert (preflight.status_code, preflight.content) == (200, b"")
    assert preflight.headers["content-length"] == "0"
    assert ask(app, "OPTIONS", "/elsewhere", headers=headers).text == "OPTIONS nobody"
    for some in ({}, {"Origin": "https://app.example"}, {"Access-Control-Request-Method": "GET"}):
        assert ask(app, "OPTIONS", "/orders", headers=some).status_code == 403
    assert ask(app, "POST", "/orders", headers=headers).status_code == 401


@pytest.mark.proves("R3")
def test_a_cors_middleware_behind_the_guard_answers_preflights(issuer: WireIssuer) -> None:
    inner = CORSMiddleware(application, allow_origins=["https://app.example"])
    app = Protect(inner, LocalVerifier(expect(issuer)), Policy.parse(POLICY))
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    preflight = ask(app, "OPTIONS", "/orders", headers=headers)
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert (preflight.status_code, preflight.content) == (200, b"")


@pytest.mark.proves("R3")
def test_entry_point_and_denied_handler_can_be_replaced(issuer: WireIssuer) -> None:
    def enter(_: Scope, refusal: Refusal) -> PlainTextResponse:
        return PlainTextResponse(f"enter {refusal.reason}", status_code=401)

    def deny(_: Scope, refusal: Refusal) -> PlainTextResponse:
        return PlainTextResponse(f"denied {refusal.reason}", status_code=404)

    app = protect(issuer, entry_point=enter, denied=deny)
    assert ask(app, "GET", "/orders").text == "enter no_credentials"
    response = ask(app, "POST", "/orders", headers=bearer(issuer.token()))
    assert (response.status_code, response.text) == (404, "denied insufficient_scope")
    issuer.answers["/jwks"] = lambda _: Answer(500)
    app = protect(issuer, entry_point=enter, denied=deny)
    assert ask(app, "GET", "/orders", headers=bearer(issuer.token())).status_code == 503


@pytest.mark.proves("C22", "C117")
def test_answers_and_logs_hold_no_token(
    issuer: WireIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token = issuer.token(aud="other")
    response = ask(protect(issuer), "GET", "/orders", headers=bearer(token))
    assert "wrong_audience" in caplog.text
    assert token not in caplog.text + response.text + str(response.headers)


def test_the_policy_can_be_replaced_at_run_time(issuer: WireIssuer) -> None:
    app = protect(issuer)
    headers = bearer(issuer.token())
    assert ask(app, "GET", "/orders", headers=headers).status_code == 200
    stricter = {"route": [{"path": "/orders", "scopes": ["orders:admin"]}]}
    app.policy = Policy.parse(stricter)
    assert ask(app, "GET", "/orders", headers=headers).status_code == 403
    assert ask(app, "GET", "/elsewhere", headers=headers).status_code == 403


@pytest.mark.proves("V3")
def test_a_staleness_that_cannot_be_kept_stops_the_start(issuer: WireIssuer) -> None:
    rules = {"route": [{"path": "/orders", "authenticated": True, "staleness": 1}]}
    with pytest.raises(ValueError, match="hybrid"):
        protect(issuer, policy=rules)


@pytest.mark.proves("C92", "V3")
def test_a_policy_says_how_stale_a_route_may_be() -> None:
    issuer = ScriptedIssuer(clock=SettableClock())
    credentials = ClientSecretBasic("orders", "secret")
    follower = Follower(
        issuer.url, credentials=credentials, transport=issuer, clock=issuer.clock, by_hand=True
    )
    strategy = Hybrid(
        introspection=Introspection(credentials=credentials, transport=issuer, clock=issuer.clock),
        local=Local(transport=issuer, clock=issuer.clock),
        follow=follower,
    )
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    rules = [
        {"path": "/read", "authenticated": True, "staleness": 5},
        {"path": "/strict", "authenticated": True, "staleness": 0.3, "when_stale": "refuse"},
    ]
    app = Protect(application, strategy.build(expect), Policy.parse({"route": rules}))
    follower.poll()
    headers = bearer(issuer.token())
    issuer.clock.move(1)
    assert ask(app, "GET", "/read", headers=headers).status_code == 200
    assert ask(app, "GET", "/strict", headers=headers).status_code == 503
    assert issuer.count("/introspect") == 0
    issuer.clock.move(4)
    assert ask(app, "GET", "/read", headers=headers).status_code == 200
    assert issuer.count("/introspect") == 1
    # The smallest bound in force is what the follower keeps up with.
    assert follower._pace.hold == pytest.approx(0.1)


@pytest.mark.proves("C74")
def test_it_serves_its_metadata(issuer: WireIssuer) -> None:
    app = protect(issuer, resource="https://orders.example/api")
    response = ask(app, "GET", "/.well-known/oauth-protected-resource/api")
    assert response.json() == {
        "resource": "https://orders.example/api",
        "authorization_servers": [issuer.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["orders:read", "orders:write"],
    }
    assert response.headers["content-type"] == "application/json"
    assert ask(protect(issuer), "GET", "/.well-known/oauth-protected-resource").text != "{}"


@pytest.mark.parametrize("resource", ["http://orders.example", "orders", "https://o.example#a"])
def test_a_resource_is_an_https_url(issuer: WireIssuer, resource: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        protect(issuer, resource=resource)


@pytest.mark.parametrize("settings", [{"places": ()}, {"realm": "주문\n"}])
def test_settings_that_cannot_be_meant_are_refused(
    issuer: WireIssuer, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        protect(issuer, **settings)


@pytest.mark.proves("R1")
def test_a_starlette_application_finds_the_token_in_its_state(issuer: WireIssuer) -> None:
    async def orders(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.state.verified_token.client_id)

    inner = Starlette(routes=[StarletteRoute("/orders", orders)])
    app = Protect(inner, LocalVerifier(expect(issuer)), Policy.parse(POLICY))
    assert ask(app, "GET", "/orders", headers=bearer(issuer.token())).text == "machine"


@pytest.mark.proves("R1", "C71")
def test_websockets_are_protected_too(issuer: WireIssuer) -> None:
    with TestClient(protect(issuer)) as client:
        with client.websocket_connect(
            "/socket", headers=bearer(issuer.token(sub="alice"))
        ) as open_:
            assert open_.receive_text() == "alice"
        for headers in ({}, bearer("junk"), bearer(issuer.token(scope="other"))):
            with (
                pytest.raises(WebSocketDisconnect),
                client.websocket_connect("/socket", headers=headers),
            ):
                pass
        with client.websocket_connect("/elsewhere") as open_:
            assert open_.receive_text() == "nobody"


@pytest.mark.proves("C71")
def test_a_cookie_opens_no_websocket_of_another_origin(issuer: WireIssuer) -> None:
    app = protect(issuer, places=[CookieToken("t", origins=["https://app.example"])])
    cookie = {"Cookie": f"t={issuer.token()}"}
    with TestClient(app) as client:
        right = {**cookie, "Origin": "https://app.example"}
        with client.websocket_connect("/socket", headers=right) as open_:
            assert open_.receive_text() == "machine"
        wrong = {**cookie, "Origin": "https://evil.example"}
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket", headers=wrong):
            pass


@pytest.mark.parametrize("extension", [True, False])
def test_a_refused_websocket_gets_what_the_server_can_say(
    issuer: WireIssuer, extension: bool
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "path": "/socket", "query_string": b"", "headers": []}
    if extension:
        scope["extensions"] = {"websocket.http.response": {}}
    asyncio.run(protect(issuer)(scope, receive, send))
    if extension:
        assert [each["type"] for each in sent] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert sent[0]["status"] == 401
        assert "error_description" in json.loads(sent[1]["body"])
    else:
        assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_keys_are_fetched_while_the_application_starts(issuer: WireIssuer) -> None:
    with TestClient(protect(issuer)):
        assert issuer.asked.wait(10)


def test_an_outage_after_the_start_is_not_noticed(issuer: WireIssuer) -> None:
    clock = SettableClock()

    class Cut:
        def send(self, request: Any) -> Any:
            if cut:
                raise FetchFailed(request.host, FetchProblem.CONNECTION)
            return inner.send(request)

    cut = False
    inner = RemoteKeys(issuer.url)._transport
    keys = RemoteKeys(issuer.url, transport=Cut(), clock=clock)
    verifier = LocalVerifier(expect(issuer), keys=keys, clock=clock)
    app = Protect(application, verifier, Policy.parse(POLICY))
    headers = bearer(issuer.token(exp=int(clock.now()) + 9000))
    assert ask(app, "GET", "/orders", headers=headers).status_code == 200
    cut = True
    for _ in range(5):
        clock.move(700)
        assert ask(app, "GET", "/orders", headers=headers).status_code == 200
