"""An operator changes a resource, with what that means for clients and tokens."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.oauth.revocation_fact import FactKind
from dojang.server.administration import OperationRefused
from dojang.testing import Issuer, SettableClock
from tests.server.clients.registering import ORDERS, perform
from tests.server.front_door import NOW, refusal
from tests.server.people.world import World, read_claims

PAYMENTS = "https://payments.test"


@pytest.fixture
def issuer() -> Issuer:
    issuer = Issuer("https://issuer.test", clock=SettableClock(NOW))
    issuer.add_client("gateway")
    issuer.add_resource(ORDERS, ["read", "write"], introspectors=["gateway"])
    issuer.add_resource(PAYMENTS, ["pay"])
    issuer.add_client("shop", {ORDERS: ["read", "write"], PAYMENTS: ["pay"]})
    issuer.add_client("reader", {ORDERS: ["read"]})
    return issuer


@pytest.mark.proves("K6")
def test_a_scope_that_is_removed_is_taken_from_every_client(issuer: Issuer) -> None:
    dead = issuer.token(scopes=["write"], audience=ORDERS, client_id="shop")
    kept = issuer.token(scopes=["pay"], audience=PAYMENTS, client_id="shop")
    reader = issuer.token(scopes=["read"], audience=ORDERS, client_id="reader")
    answer = perform(issuer, "resource.update", identifier=ORDERS, scopes=["read"])
    assert answer["changed"] == ["scopes"]
    assert [each["kind"] for each in answer["revoked"]] == [FactKind.GRANT]
    assert not issuer.introspect(dead, audience=ORDERS)["active"]
    assert issuer.introspect(kept, audience=PAYMENTS)["active"]
    assert issuer.introspect(reader, audience=ORDERS)["active"]
    shop = perform(issuer, "client.show", client_id="shop")["client"]
    assert [each["scopes"] for each in shop["grants"]] == [["read"], ["pay"]]
    perform(issuer, "resource.update", identifier=ORDERS, scopes=["read", "write"])
    assert perform(issuer, "client.show", client_id="shop")["client"] == shop  # it comes not again


@pytest.mark.proves("C64", "K6")
def test_what_people_allowed_ends_with_the_scope(world: World) -> None:
    tokens = world.get_tokens(scope="openid offline_access orders:read")
    answer = perform(world.issuer, "resource.update", identifier=ORDERS, scopes=["orders:write"])
    assert answer["revoked"] == [{"kind": FactKind.CLIENT, "identifier": "app"}]
    assert not world.introspect(tokens["access_token"])["active"]
    assert refusal(world.refresh(tokens["refresh_token"])) == (400, "invalid_target")


def test_tokens_of_before_stay_as_they_are(issuer: Issuer) -> None:
    before = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    perform(
        issuer,
        "resource.update",
        identifier=ORDERS,
        algorithm="RS256",
        access_token_lifetime=60,
        scopes=["read", "write", "more"],
    )
    after = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    assert read_claims(after)["exp"] == NOW + 60
    assert all(issuer.introspect(token, audience=ORDERS)["active"] for token in (before, after))
    perform(issuer, "resource.update", identifier=ORDERS, token_format="opaque")
    opaque = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    assert opaque.startswith("dojang_at_")
    assert all(issuer.introspect(token, audience=ORDERS)["active"] for token in (before, opaque))


@pytest.mark.proves("K6")
def test_who_asks_no_more_keeps_nothing_of_what_it_exchanged(issuer: Issuer) -> None:
    rule = {"resource": PAYMENTS, "scopes": ["pay"], "needs": ["read"]}
    perform(issuer, "client.update", client_id="gateway", exchanges=[rule])
    subject = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    exchanged = issuer.exchange(subject, audience=PAYMENTS, client_id="gateway")
    assert issuer.introspect(exchanged, audience=PAYMENTS)["active"]
    perform(issuer, "resource.update", identifier=ORDERS, introspectors=[])
    assert not issuer.introspect(exchanged, audience=PAYMENTS)["active"]
    assert perform(issuer, "resource.show", identifier=ORDERS)["resource"]["introspectors"] == []


@pytest.mark.proves("K6")
def test_a_rule_for_an_exchange_loses_the_scope(issuer: Issuer) -> None:
    rules = [
        {"resource": ORDERS, "scopes": ["read", "write"], "needs": ["pay"]},
        {"resource": ORDERS, "scopes": ["write"], "needs": ["refund"]},
    ]
    client = perform(issuer, "client.update", client_id="gateway", exchanges=rules)["client"]
    answer = perform(issuer, "resource.update", identifier=ORDERS, scopes=["read"])
    grant_id = client["exchanges"][0]["grant_id"]
    assert {"kind": FactKind.GRANT, "identifier": grant_id} in answer["revoked"]
    later = perform(issuer, "client.show", client_id="gateway")["client"]["exchanges"]
    assert later == [
        {
            "grant_id": grant_id,
            "resource": ORDERS,
            "rules": [{"needs": ["pay"], "gives": ["read"]}],
        }
    ]


@pytest.mark.parametrize(
    "asked, status, what",
    [
        ({"identifier": "https://nobody.test"}, 404, "no resource"),
        ({"identifier": "https://issuer.test/admin"}, 400, "own endpoints"),
        ({"scopes": []}, 400, "scopes"),
        ({"scopes": ["a b"]}, 400, "scopes"),
        ({"algorithm": "none"}, 400, "algorithm"),
        ({"access_token_lifetime": 1}, 400, "access_token_lifetime"),
        ({"introspectors": ["a b"]}, 400, "introspectors"),
        ({"version": 7}, 409, "is at 1, not 7"),
    ],
)
def test_what_cannot_be_is_refused(
    issuer: Issuer, asked: dict[str, Any], status: int, what: str
) -> None:
    with pytest.raises(OperationRefused) as raised:
        perform(issuer, "resource.update", **{"identifier": ORDERS, **asked})
    assert raised.value.status == status
    assert what in raised.value.detail
