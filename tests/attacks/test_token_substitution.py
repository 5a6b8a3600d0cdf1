"""A token where it does not belong: another resource, another endpoint, another issuer."""

from typing import Any

import pytest

from dojang.jose.errors import InvalidToken, Reason
from dojang.jose.jwt import JwtVerifier, check_claims
from dojang.jose.keys import KeySet
from dojang.oauth.http import Request, Response
from dojang.server.model import TokenFormat
from dojang.server.paths import ADMIN
from dojang.testing import Issuer
from dojang.testing.inline import run
from dojang.web.admin import build_admin_routes
from dojang.web.routing import RouteTable
from tests.server.front_door import (
    GRANT,
    NOW,
    ORDERS,
    PAYMENTS,
    basic_of,
    bearer,
    get,
    open_issuer,
    post,
    refusal,
)


@pytest.fixture(params=TokenFormat)
def issuer(request: pytest.FixtureRequest) -> Issuer:
    issuer = open_issuer()
    settings: dict[str, Any] = {"token_format": request.param}
    issuer.add_resource(ORDERS, ["read"], introspectors=["orders"], **settings)
    issuer.add_resource(PAYMENTS, ["read"], introspectors=["payments"], **settings)
    issuer.add_client("orders", {PAYMENTS: ["read"]})
    issuer.add_client("payments")
    issuer.add_client("shop", {ORDERS: ["read"], PAYMENTS: ["read"]})
    return issuer


def call_admin(issuer: Issuer, path: str, *headers: tuple[bytes, bytes]) -> Response:
    table = RouteTable(build_admin_routes(issuer.provider))
    place, found, query = table.find((ADMIN + path).encode())
    request = Request("GET", found, query, headers, b"", "127.0.0.1")
    answer = place.methods[b"GET"](request)
    return answer if isinstance(answer, Response) else run(answer)


@pytest.mark.proves("A3", "C85")
def test_a_token_for_one_service_is_nothing_to_another(issuer: Issuer) -> None:
    for_orders = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    as_payments = post(issuer, "/introspect", {"token": for_orders}, basic_of(issuer, "payments"))
    assert as_payments.body == b'{"active":false}'
    if not for_orders.startswith("dojang_at_"):
        keys = KeySet.parse(get(issuer, "/.well-known/jwks.json").body)
        signed = JwtVerifier(keys, algorithms=["ES256"], types=["at+jwt"]).verify(for_orders)
        with pytest.raises(InvalidToken) as refused:
            check_claims(signed, issuer=issuer.url, audience=PAYMENTS, now=NOW)
        assert refused.value.reason is Reason.WRONG_AUDIENCE


@pytest.mark.proves("A3")
def test_a_service_gets_a_token_of_its_own_not_of_its_caller(issuer: Issuer) -> None:
    """What orders sends to payments names orders: the caller's token goes no further."""
    callers = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    own = issuer.token(scopes=["read"], audience=PAYMENTS, client_id="orders")
    told = issuer.introspect(own, audience=PAYMENTS)
    assert (told["active"], told["sub"], told["client_id"]) == (True, "orders", "orders")
    assert issuer.introspect(callers, audience=PAYMENTS) == {"active": False}


@pytest.mark.proves("A1", "C45")
def test_an_access_token_is_no_client_authentication(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    for path in ("/token", "/revoke"):
        answer = post(issuer, path, GRANT | {"token": token}, bearer(token))
        assert refusal(answer) == (401, "invalid_client")
    assertion = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": token,
    }
    assert refusal(post(issuer, "/token", GRANT | assertion)) == (401, "invalid_client")


@pytest.mark.proves("C85")
def test_only_an_admin_token_opens_the_admin_api(issuer: Issuer) -> None:
    provider = issuer.provider
    issuer.add_client(
        "boss",
        {
            provider.admin_audience: ["admin:read", "admin:write"],
            provider.introspection_audience: ["introspect"],
        },
    )
    admin = issuer.token(scopes=["admin:read"], audience=provider.admin_audience, client_id="boss")
    assert call_admin(issuer, "/v1/status", bearer(admin)).status == 200
    introspector = issuer.token(
        scopes=["introspect"], audience=provider.introspection_audience, client_id="boss"
    )
    orders = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    for token in (introspector, orders, "", "junk", issuer.credentials("boss").secret):
        assert call_admin(issuer, "/v1/status", bearer(token)).status == 401
    assert call_admin(issuer, "/v1/status", basic_of(issuer, "boss")).status == 401
    assert call_admin(issuer, "/v1/status").status == 401
    issuer.revoke(admin)
    assert call_admin(issuer, "/v1/status", bearer(admin)).status == 401


@pytest.mark.proves("C110")
def test_another_issuers_token_is_unknown_here(issuer: Issuer) -> None:
    other = open_issuer("https://other.test")
    other.add_resource(ORDERS, ["read"])
    foreign = other.token(scopes=["read"], audience=ORDERS)
    answer = post(issuer, "/introspect", {"token": foreign}, basic_of(issuer, "orders"))
    assert answer.body == b'{"active":false}'


@pytest.mark.proves("C110")
def test_an_issuer_of_the_same_name_has_other_keys(issuer: Issuer) -> None:
    impostor = open_issuer()
    for audience in (ORDERS, "urn:opaque"):
        token_format = "opaque" if audience == "urn:opaque" else "jwt"
        impostor.add_resource(audience, ["read"], token_format=token_format)
        forged = impostor.token(scopes=["read"], audience=audience, client_id="shop")
        answer = post(issuer, "/introspect", {"token": forged}, basic_of(issuer, "orders"))
        assert answer.body == b'{"active":false}'
