"""The FastAPI guard: three lines that document and verify."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from dojang.integrations.fastapi import Denied, DocsSignIn, Guard, Unauthenticated
from dojang.oauth.challenge import parse_challenges
from dojang.resource import (
    ClientSecretBasic,
    Follower,
    HeaderToken,
    Hybrid,
    Introspection,
    Local,
    VerifiedToken,
    WhenStale,
)
from dojang.testing import SettableClock
from tests.origin import Answer, WireIssuer
from tests.scripted_issuer import ScriptedIssuer

AUDIENCE = "https://orders.example"


def build_guard(served: WireIssuer, **settings: Any) -> Guard:
    return Guard(issuer=served.url, audience=AUDIENCE, algorithms=["ES256"], **settings)


def build_app(guard: Guard) -> FastAPI:
    app = FastAPI()

    @app.get("/orders")
    def orders(token: Annotated[VerifiedToken, guard("orders:read")]) -> str:
        return token.subject

    @app.post("/orders")
    async def order(token: VerifiedToken = guard("orders:read", "orders:write")) -> str:
        return token.subject

    @app.get("/reports")
    def reports(token: Annotated[VerifiedToken, guard(roles=["auditor"])]) -> str:
        return token.subject

    @app.get("/open")
    def open_() -> str:
        return "open"

    @app.websocket("/socket")
    async def socket(
        websocket: WebSocket, token: Annotated[VerifiedToken, guard("orders:read")]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(token.subject)
        await websocket.close()

    return app


@pytest.fixture
def guard(issuer: WireIssuer) -> Guard:
    return build_guard(issuer, realm="orders", resource=AUDIENCE)


@pytest.fixture
def client(guard: Guard) -> Iterator[TestClient]:
    with TestClient(build_app(guard)) as opened:
        yield opened


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def challenge_of(response: Any) -> dict[str, str]:
    (challenge,) = parse_challenges(response.headers["www-authenticate"])
    return dict(challenge.parameters)


@pytest.mark.proves("R1", "V1")
def test_three_lines_give_the_route_its_principal(issuer: WireIssuer, client: TestClient) -> None:
    headers = bearer(issuer.token(sub="alice", scope="orders:read orders:write"))
    assert client.get("/orders", headers=headers).json() == "alice"
    assert client.post("/orders", headers=headers).json() == "alice"
    assert client.get("/open").json() == "open"


@pytest.mark.proves("R3", "C74")
def test_without_credentials(client: TestClient) -> None:
    response = client.get("/orders")
    assert response.status_code == 401
    assert challenge_of(response) == {
        "realm": "orders",
        "scope": "orders:read",
        "resource_metadata": f"{AUDIENCE}/.well-known/oauth-protected-resource",
    }
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"detail": "An access token is needed."}


@pytest.mark.proves("R3", "C74")
def test_without_a_realm_it_is_the_audience(issuer: WireIssuer) -> None:
    with TestClient(build_app(build_guard(issuer))) as client:
        challenge = challenge_of(client.get("/orders"))
    assert challenge == {"realm": AUDIENCE, "scope": "orders:read"}


@pytest.mark.proves("R3", "R4", "C68", "C74", "C14")
@pytest.mark.parametrize(
    "request_line, claims, answer",
    [
        ("GET /orders", {"aud": "other"}, (401, "invalid_token")),
        ("GET /orders", {"exp": 1}, (401, "invalid_token")),
        ("POST /orders", {"scope": "orders:read"}, (403, "insufficient_scope")),
        ("POST /orders", {"scope": None}, (403, "insufficient_scope")),
        ("GET /reports", {"scope": "auditor"}, (403, None)),
    ],
)
def test_refusals(
    issuer: WireIssuer, client: TestClient, request_line: str, claims: Any, answer: Any
) -> None:
    response = client.request(*request_line.split(), headers=bearer(issuer.token(**claims)))
    assert (response.status_code, challenge_of(response).get("error")) == answer


@pytest.mark.proves("R4")
def test_roles(issuer: WireIssuer, client: TestClient) -> None:
    headers = bearer(issuer.token(roles=["auditor"], scope=None))
    assert client.get("/reports", headers=headers).status_code == 200


@pytest.mark.proves("C71", "C72")
def test_bad_requests(client: TestClient) -> None:
    assert client.get("/orders?access_token=abc").status_code == 400
    two = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    response = client.get("/orders", headers=two)
    assert response.status_code == 400
    assert challenge_of(response)["error"] == "invalid_request"


@pytest.mark.proves("F1", "R3")
def test_unreachable_keys_are_503(issuer: WireIssuer, client: TestClient) -> None:
    issuer.answers["/jwks"] = lambda _: Answer(500)
    response = client.get("/orders", headers=bearer(issuer.token()))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.proves("R1")
def test_websockets(issuer: WireIssuer, client: TestClient) -> None:
    with client.websocket_connect("/socket", headers=bearer(issuer.token())) as opened:
        assert opened.receive_text() == "machine"
    with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect("/socket"):
        pass
    assert refusal.value.code == 1008


@pytest.mark.proves("R1")
def test_the_document_says_what_is_enforced(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    (name,) = document["components"]["securitySchemes"]
    scheme = document["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    assert document["paths"]["/orders"]["get"]["security"] == [{name: ["orders:read"]}]
    assert document["paths"]["/orders"]["post"]["security"] == [
        {name: ["orders:read", "orders:write"]}
    ]
    assert "security" not in document["paths"]["/open"]["get"]
    assert "parameters" not in document["paths"]["/orders"]["get"]


@pytest.mark.proves("R1")
def test_the_document_says_where_to_sign_in(issuer: WireIssuer) -> None:
    where = DocsSignIn("https://auth.example/authorize", "https://auth.example/token")
    with TestClient(build_app(build_guard(issuer, docs_sign_in=where))) as client:
        document = client.get("/openapi.json").json()
        assert client.get("/orders", headers=bearer(issuer.token())).status_code == 200
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["type"] == "oauth2"
    assert scheme["flows"]["authorizationCode"] == {
        "authorizationUrl": where.authorization_url,
        "tokenUrl": where.token_url,
        "scopes": {"orders:read": "", "orders:write": ""},
    }


@pytest.mark.proves("R3")
def test_entry_point_and_denied_handler_can_be_replaced(issuer: WireIssuer, guard: Guard) -> None:
    app = build_app(guard)

    @app.exception_handler(Unauthenticated)
    async def enter(_: Request, refused: Unauthenticated) -> PlainTextResponse:
        return PlainTextResponse(f"enter {refused.refusal.reason}", refused.status_code)

    @app.exception_handler(Denied)
    async def deny(_: Request, denied: Denied) -> PlainTextResponse:
        return PlainTextResponse(f"denied {denied.refusal.reason}", 404)

    with TestClient(app) as client:
        assert client.get("/orders").text == "enter no_credentials"
        response = client.post("/orders", headers=bearer(issuer.token()))
    assert (response.status_code, response.text) == (404, "denied insufficient_scope")


@pytest.mark.proves("V2", "V3")
def test_the_strategy_is_one_keyword(issuer: WireIssuer) -> None:
    asking = Introspection(credentials=ClientSecretBasic("orders", "secret"), timeout=5)
    token = issuer.token()
    issuer.states[token] = {"active": True, **issuer.claims()}
    for strategy in (asking, Hybrid(introspection=asking)):
        with TestClient(build_app(build_guard(issuer, strategy=strategy))) as client:
            assert client.get("/orders", headers=bearer(token)).status_code == 200
            kept = issuer.states.pop(token)
            assert client.get("/orders", headers=bearer(token)).status_code == 401
            issuer.states[token] = kept


@pytest.mark.proves("R2")
def test_the_place_is_one_keyword(issuer: WireIssuer) -> None:
    guard = build_guard(issuer, places=[HeaderToken("X-Token")])
    with TestClient(build_app(guard)) as client:
        assert client.get("/orders", headers={"X-Token": issuer.token()}).status_code == 200
        assert client.get("/orders", headers=bearer(issuer.token())).status_code == 401


@pytest.mark.proves("C68")
@pytest.mark.parametrize("demand", [{}, {"roles": []}, {"acr": ["mfa"]}])
def test_a_guard_that_demands_nothing_is_refused(guard: Guard, demand: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="demand"):
        guard(**demand)
    guard(authenticated=True)


@pytest.mark.proves("V3")
def test_a_staleness_that_cannot_be_kept_is_refused(guard: Guard) -> None:
    with pytest.raises(ValueError, match="hybrid"):
        guard("orders:read", staleness=1)


@pytest.mark.proves("C92", "V3")
def test_each_route_has_its_bound_and_what_comes_after_it() -> None:
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
    guard = Guard(
        issuer=issuer.url,
        audience=AUDIENCE,
        algorithms=["ES256"],
        strategy=strategy,
        clock=issuer.clock,
    )
    app = FastAPI()
    demands: dict[str, dict[str, Any]] = {
        "/read": {},
        "/pay": {"staleness": 0},
        "/strict": {"staleness": 1, "when_stale": "refuse"},
        "/lenient": {"when_stale": WhenStale.ACCEPT_UNTIL_EXPIRY},
    }
    for path, demand in demands.items():
        app.get(path, dependencies=[guard("orders:read", **demand)])(lambda: "ok")
    follower.poll()
    headers = bearer(issuer.token())
    with TestClient(app) as client:

        def ask() -> list[tuple[int, int]]:
            found = []
            for path in demands:
                before = issuer.count("/introspect")
                status = client.get(path, headers=headers).status_code
                found.append((status, issuer.count("/introspect") - before))
            return found

        assert ask() == [(200, 0), (200, 1), (200, 0), (200, 0)]
        issuer.clock.move(1.5)
        assert ask() == [(200, 0), (200, 1), (503, 0), (200, 0)]
        issuer.clock.move(1)
        assert ask() == [(200, 1), (200, 1), (503, 0), (200, 0)]
        refused = client.get("/strict", headers=headers)
        assert refused.headers["retry-after"] == "1"
        follower.poll()
        assert ask() == [(200, 0), (200, 1), (200, 0), (200, 0)]
    with pytest.raises(ValueError, match="WhenStale"):
        guard("orders:read", when_stale="sometimes")  # type: ignore[arg-type]


@pytest.mark.proves("C74")
def test_it_serves_its_metadata(issuer: WireIssuer, guard: Guard) -> None:
    app = build_app(guard)
    app.include_router(guard.router)
    with TestClient(app) as client:
        document = client.get("/.well-known/oauth-protected-resource").json()
    assert document["resource"] == AUDIENCE
    assert document["authorization_servers"] == [issuer.url]
    assert document["scopes_supported"] == ["orders:read", "orders:write"]
    with pytest.raises(ValueError, match="resource"):
        _ = build_guard(issuer).router
