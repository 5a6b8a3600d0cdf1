"""An example to copy: a FastAPI service, and its tests with the fixtures of `dojang.testing`."""

from typing import Annotated

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dojang.integrations.fastapi import Guard
from dojang.resource import Hybrid, Introspection, Local, Strategy, VerifiedToken
from dojang.testing import Issuer
from dojang.testing.plugin import MakeToken

ORDERS = "https://orders.example"


# The service. Where it runs for real, `strategy` is what its settings say.


def build_service(issuer: str, strategy: Strategy) -> FastAPI:
    app = FastAPI()
    guard = Guard(issuer=issuer, audience=ORDERS, algorithms=["ES256"], strategy=strategy)

    @app.get("/orders")
    def list_orders(token: Annotated[VerifiedToken, guard("orders:read")]) -> dict[str, str]:
        return {"asked_by": token.client_id}

    @app.post("/orders")
    def add_order(token: Annotated[VerifiedToken, guard("orders:write")]) -> None: ...

    return app


# Its tests.


@pytest.fixture
def service(dojang_issuer: Issuer) -> TestClient:
    strategy = Local(transport=dojang_issuer.transport, clock=dojang_issuer.clock)
    return TestClient(build_service(dojang_issuer.url, strategy))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.proves("R1")
def test_the_right_token_gets_in(service: TestClient, dojang_token: MakeToken) -> None:
    token = dojang_token(scopes=["orders:read"], audience=ORDERS, client_id="shop")
    answer = service.get("/orders", headers=bearer(token))
    assert answer.json() == {"asked_by": "shop"}


@pytest.mark.proves("R1", "R3")
def test_no_token_and_too_little_scope_do_not(service: TestClient, dojang_token: MakeToken) -> None:
    assert service.get("/orders").status_code == 401
    token = dojang_token(scopes=["orders:read"], audience=ORDERS)
    assert service.post("/orders", headers=bearer(token)).status_code == 403


@pytest.mark.proves("A3", "C14")
def test_a_token_for_another_service_does_not(service: TestClient, dojang_token: MakeToken) -> None:
    token = dojang_token(scopes=["orders:read"], audience="https://payments.example")
    assert service.get("/orders", headers=bearer(token)).status_code == 401


@pytest.mark.proves("C12")
def test_an_expired_token_does_not(
    service: TestClient, dojang_token: MakeToken, dojang_issuer: Issuer
) -> None:
    token = dojang_token(scopes=["orders:read"], audience=ORDERS)
    dojang_issuer.clock.move(3600)
    assert service.get("/orders", headers=bearer(token)).status_code == 401


@pytest.mark.proves("V3", "K6")
def test_a_revoked_token_does_not_where_the_issuer_is_asked(
    dojang_issuer: Issuer, dojang_token: MakeToken
) -> None:
    token, other = (dojang_token(scopes=["orders:read"], audience=ORDERS) for _ in range(2))
    introspection = Introspection(
        credentials=dojang_issuer.introspector(ORDERS),
        transport=dojang_issuer.transport,
        clock=dojang_issuer.clock,
    )
    local = Local(transport=dojang_issuer.transport, clock=dojang_issuer.clock)
    strategy = Hybrid(introspection=introspection, local=local)
    service = TestClient(build_service(dojang_issuer.url, strategy))

    assert service.get("/orders", headers=bearer(token)).status_code == 200
    dojang_issuer.revoke(token)
    assert service.get("/orders", headers=bearer(token)).status_code == 401
    with dojang_issuer.down():
        assert service.get("/orders", headers=bearer(other)).status_code == 503


@pytest.mark.proves("V3", "K6", "C92")
def test_a_revoked_token_does_not_once_the_service_was_told(
    dojang_issuer: Issuer, dojang_token: MakeToken
) -> None:
    token, other = (dojang_token(scopes=["orders:read"], audience=ORDERS) for _ in range(2))
    follower = dojang_issuer.follow(ORDERS)
    strategy = dojang_issuer.hybrid(ORDERS, follow=follower, staleness=2)
    service = TestClient(build_service(dojang_issuer.url, strategy))

    follower.poll()
    assert service.get("/orders", headers=bearer(token)).status_code == 200
    dojang_issuer.revoke(token)
    follower.poll()
    assert service.get("/orders", headers=bearer(token)).status_code == 401
    with dojang_issuer.down():
        assert service.get("/orders", headers=bearer(other)).status_code == 200
        dojang_issuer.clock.move(2)  # what is known is too old now, and nobody to ask
        assert service.get("/orders", headers=bearer(other)).status_code == 503
