"""Token exchange (RFC 8693), as services meet it: what may be exchanged for what."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dojang.oauth.token_exchange import JWT
from dojang.resource import Expect, Introspection
from dojang.server.administration import OperationRefused
from dojang.server.model import AuthenticationMethod, ExchangeRule, TokenFormat
from dojang.server.ports import PutClient
from dojang.testing import Issuer, TokenRefused
from dojang.testing.inline import run
from tests.server.front_door import NOW, PAYMENTS, basic_of, open_issuer, post, read, refusal
from tests.server.people.services import LEDGER, Services
from tests.server.people.world import ORDERS, read_claims

INVALID_REQUEST = (400, "invalid_request")
INVALID_TARGET = (400, "invalid_target")
INVALID_SCOPE = (400, "invalid_scope")
UNAUTHORIZED = (400, "unauthorized_client")


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.mark.proves("C54", "A2")
@pytest.mark.parametrize("token_format", TokenFormat)
def test_a_service_exchanges_what_a_person_called_it_with(token_format: str) -> None:
    services = Services(token_format=token_format)
    tokens = services.get_tokens(scope="openid orders:read orders:write", resource=ORDERS)
    subject = services.told(tokens["access_token"], ORDERS)
    services.issuer.clock.move(60)
    answer = read(services.ask_exchange(tokens["access_token"], scope="payments:charge"))
    assert answer.keys() == {
        "access_token",
        "issued_token_type",
        "token_type",
        "expires_in",
        "scope",
    }
    assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (answer["token_type"], answer["scope"]) == ("Bearer", "payments:charge")
    told = services.told(answer["access_token"])
    assert told["active"]
    assert told["sub"] == subject["sub"] == "account-hong"
    assert (told["aud"], told["client_id"]) == (PAYMENTS, "orders")
    assert told["act"] == {"sub": "orders", "act": {"sub": "app"}}
    for name in ("sid", "auth_time", "amr"):
        assert told[name] == subject[name]
    assert told["exp"] == subject["exp"] == services.now + answer["expires_in"]
    assert told["jti"] != subject["jti"]
    (ancestor,) = told["ancestors"]
    assert {
        name: subject[name] for name in ("jti", "grant", "client_id")
    }.items() <= ancestor.items()
    assert services.told(answer["access_token"], ORDERS) == {"active": False}


@pytest.mark.proves("C54", "A3")
@pytest.mark.parametrize("token_format", TokenFormat)
def test_a_service_exchanges_what_a_machine_called_it_with(token_format: str) -> None:
    services = Services(token_format=token_format)
    subject = services.issuer.token(scopes=["orders:write"], audience=ORDERS, client_id="shop")
    told = services.told(services.exchange(subject))
    assert (told["sub"], told["client_id"]) == ("shop", "orders")
    assert told["act"] == {"sub": "orders"}
    assert "sid" not in told


@pytest.mark.proves("C54", "A2")
def test_a_chain_shows_everybody_who_acted(services: Services) -> None:
    first = services.get_subject()
    second = services.exchange(first)
    third = services.exchange(second, "payments")
    told = services.told(third, LEDGER)
    assert told["act"] == {"sub": "payments", "act": {"sub": "orders", "act": {"sub": "app"}}}
    assert told["scope"] == "ledger:write"
    assert [each["jti"] for each in told["ancestors"]] == [
        read_claims(second)["jti"],
        read_claims(first)["jti"],
    ]
    assert told["sid"] == read_claims(first)["sid"]


@pytest.mark.proves("C54")
def test_a_chain_has_an_end(services: Services) -> None:
    services.perform(
        "client.set_exchanges",
        client_id="orders",
        exchanges=({"resource": ORDERS, "scopes": ("orders:read",)},),
    )
    token = services.get_subject()
    for _ in range(5):
        token = services.exchange(token, audience=ORDERS)
    answer = services.ask_exchange(token, audience=ORDERS)
    assert refusal(answer) == INVALID_REQUEST
    assert "too many exchanges" in read(answer)["error_description"]
    assert len(token) < 8192


@pytest.mark.proves("C54")
def test_it_never_outlives_its_subject_token(services: Services) -> None:
    subject = services.get_subject()
    end = read_claims(subject)["exp"]
    services.issuer.clock.move_to(end - 1)
    answer = read(services.ask_exchange(subject))
    assert answer["expires_in"] == 1
    services.issuer.clock.move_to(end)
    assert services.told(answer["access_token"]) == {"active": False}
    assert refusal(services.ask_exchange(subject)) == INVALID_REQUEST


@pytest.mark.proves("C54")
def test_it_lives_no_longer_than_its_resource_says(services: Services) -> None:
    services.issuer.add_resource("urn:brief", ["orders:read"], access_token_lifetime=30)
    rule = {"resource": "urn:brief", "scopes": ("orders:read",)}
    services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))
    answer = read(services.ask_exchange(services.get_subject(), audience=None))
    assert answer["expires_in"] == 30


@pytest.mark.proves("C54")
@pytest.mark.parametrize(
    "held, asked, given",
    [
        ("orders:read orders:write", None, "payments:charge orders:read"),
        ("orders:read orders:write", "orders:read", "orders:read"),
        ("orders:write", None, "payments:charge"),
        ("orders:read", None, "orders:read"),
        ("orders:read", "payments:charge", None),
        ("orders:read", "orders:read payments:charge", None),
        ("orders:write", "orders:read", None),
        ("orders:write", "orders:write", None),
        ("orders:write", "payments:refund", None),
        ("orders:write", '"', None),
    ],
)
def test_scopes_are_given_for_scopes_by_rule(
    services: Services, held: str, asked: str | None, given: str | None
) -> None:
    answer = services.ask_exchange(services.get_subject(f"openid {held}"), scope=asked)
    if given is None:
        assert refusal(answer) == INVALID_SCOPE
    else:
        assert read(answer)["scope"] == given


@pytest.mark.proves("C54")
def test_a_rule_needs_every_scope_it_names(services: Services) -> None:
    needs = ("orders:read", "orders:write")
    rule = {"resource": PAYMENTS, "scopes": ("payments:refund",), "needs": needs}
    services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))
    assert (
        refusal(services.ask_exchange(services.get_subject("openid orders:read"))) == INVALID_SCOPE
    )
    assert services.told(services.exchange(services.get_subject()))["scope"] == "payments:refund"


@pytest.mark.proves("C54")
def test_a_rule_that_needs_nothing_gives_nothing(services: Services) -> None:
    """No operation makes one; whoever writes one into the database has not opened anything."""
    store = services.issuer.provider.store
    orders = run(store.find_client("orders"))
    assert orders is not None
    rule = ExchangeRule(needs=(), gives=("payments:refund",))
    grant = replace(orders.exchanges[0], rules=(rule,))
    run(store.commit([PutClient(replace(orders, exchanges=(grant,), version=2))]))
    assert refusal(services.ask_exchange(services.get_subject())) == INVALID_SCOPE


@pytest.mark.proves("C54")
def test_there_is_one_target_and_it_is_allowed(services: Services) -> None:
    subject = services.get_subject()
    assert services.exchange(subject, audience=None, resource=PAYMENTS)
    assert services.exchange(subject, resource=PAYMENTS)
    assert services.exchange(subject, audience=None)  # it may exchange for no other
    for form in (
        {"audience": LEDGER},
        {"audience": ORDERS},
        {"audience": "https://nobody.test"},
        {"audience": services.issuer.provider.userinfo_audience},
        {"audience": services.issuer.provider.admin_audience},
        {"resource": ORDERS},
    ):
        assert refusal(services.ask_exchange(subject, **form)) == INVALID_TARGET
    rules = tuple(
        {"resource": each, "scopes": (scope,), "needs": ("orders:read",)}
        for each, scope in ((PAYMENTS, "payments:charge"), (LEDGER, "ledger:write"))
    )
    services.perform("client.set_exchanges", client_id="orders", exchanges=rules)
    assert refusal(services.ask_exchange(subject, audience=None)) == INVALID_TARGET
    assert services.exchange(subject, audience=LEDGER)
    both = services.ask_exchange(subject, audience=LEDGER, resource=PAYMENTS)
    assert refusal(both) == INVALID_TARGET


@pytest.mark.proves("C54")
def test_only_a_client_that_was_let_exchanges(services: Services) -> None:
    subject = services.get_subject()
    for client_id in ("ledger", "app", "shop"):
        assert refusal(services.ask_exchange(subject, client_id)) == UNAUTHORIZED
    services.add_client("spa", "none")
    store = services.issuer.provider.store
    client, orders = run(store.find_client("spa")), run(store.find_client("orders"))
    assert client is not None
    assert orders is not None
    assert client.authentication is AuthenticationMethod.NONE
    let = replace(client, exchanges=orders.exchanges, version=2)  # no operation would
    run(store.commit([PutClient(let)]))
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "client_id": "spa"}
    assert refusal(post(services.issuer, "/token", form)) == UNAUTHORIZED


@pytest.mark.proves("C54", "A3")
def test_only_the_service_a_token_is_for_exchanges_it(services: Services) -> None:
    """Whoever finds a token of another service gets nothing for it."""
    rule = {"resource": LEDGER, "scopes": ("ledger:write",), "needs": ("orders:write",)}
    services.perform("client.set_exchanges", client_id="payments", exchanges=(rule,))
    subject = services.get_subject()
    assert refusal(services.ask_exchange(subject, "payments")) == INVALID_REQUEST
    assert refusal(services.ask_exchange(services.exchange(subject))) == INVALID_REQUEST


@pytest.mark.proves("C54")
@pytest.mark.parametrize(
    "form",
    [
        {"subject_token": None},
        {"subject_token": ""},
        {"subject_token_type": None},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": "access_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"actor_token": "x", "actor_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        {"actor_token_type": "urn:ietf:params:oauth:token-type:access_token"},
    ],
)
def test_what_is_no_exchange_is_refused(services: Services, form: dict[str, Any]) -> None:
    assert refusal(services.ask_exchange(services.get_subject(), **form)) == INVALID_REQUEST


@pytest.mark.proves("C54")
def test_an_actor_token_is_refused_whatever_it_is(services: Services) -> None:
    """The actor is who authenticates, so that none can be claimed."""
    subject = services.get_subject()
    answer = services.ask_exchange(
        subject,
        actor_token=services.exchange(subject),
        actor_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    assert refusal(answer) == INVALID_REQUEST


@pytest.mark.proves("C54")
@pytest.mark.parametrize("name", ["subject_token", "audience", "resource", "scope"])
def test_a_parameter_stands_once(services: Services, name: str) -> None:
    body = f"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&{name}=a&{name}=b"
    answer = post(services.issuer, "/token", body.encode(), basic_of(services.issuer, "orders"))
    assert refusal(answer) == INVALID_REQUEST


@pytest.mark.proves("C54", "A2")
def test_a_jwt_is_asked_for_and_given_where_there_are_any(services: Services) -> None:
    answer = read(
        services.ask_exchange(
            services.get_subject(), subject_token_type=JWT, requested_token_type=JWT
        )
    )
    assert answer["issued_token_type"] == JWT
    opaque = Services(token_format="opaque")
    subject = opaque.get_subject()
    assert refusal(opaque.ask_exchange(subject, subject_token_type=JWT)) == INVALID_REQUEST
    assert refusal(opaque.ask_exchange(subject, requested_token_type=JWT)) == INVALID_REQUEST


@pytest.mark.proves("C54", "C110")
def test_only_tokens_of_this_issuer_are_exchanged(services: Services) -> None:
    other = Services()  # of the same name, with other keys
    foreign: Issuer = open_issuer("https://other.test")
    foreign.add_resource(ORDERS, ["orders:write"])
    for subject in (
        other.get_subject(),
        foreign.token(scopes=["orders:write"], audience=ORDERS, client_id="shop"),
        "junk",
        "a.b.c",
        "dojang_at_AAAA",
    ):
        assert refusal(services.ask_exchange(subject)) == INVALID_REQUEST


@pytest.mark.proves("C54")
def test_a_pairwise_name_is_not_given_away() -> None:
    """The subject is called what the subject token called it, whoever is called."""
    services = Services(subject_type="pairwise")
    subject = services.get_subject()
    token = services.exchange(subject)
    told = services.told(token)
    assert told["sub"] == read_claims(subject)["sub"] != "account-hong"
    assert "account-hong" not in str(told)
    services.perform("user.disable", username="hong")
    assert services.told(token) == {"active": False}


@pytest.mark.proves("C54", "V2")
@pytest.mark.parametrize("token_format", TokenFormat)
def test_a_service_that_asks_the_issuer_sees_who_acts(token_format: str) -> None:
    services = Services(token_format=token_format)
    issuer = services.issuer
    asking = Introspection(
        credentials=issuer.introspector(PAYMENTS), transport=issuer.transport, clock=issuer.clock
    )
    expect = Expect(issuer=issuer.url, audience=PAYMENTS, algorithms=["ES256"])
    verified = asking.build(expect).verify(services.exchange(services.get_subject()))
    assert (verified.subject, verified.client_id) == ("account-hong", "orders")
    assert verified.actors == ("orders", "app")


@pytest.mark.proves("C54", "C87")
def test_rules_are_read_when_they_are_needed(services: Services) -> None:
    subject = services.get_subject()
    token = services.exchange(subject)
    services.perform("client.set_exchanges", client_id="orders", exchanges=())
    assert services.told(token) == {"active": False}
    assert refusal(services.ask_exchange(subject)) == UNAUTHORIZED


@pytest.mark.proves("C54")
def test_what_comes_of_an_unchanged_rule_lives_on(services: Services) -> None:
    subject = services.get_subject()
    token = services.exchange(subject)
    charge = {"resource": PAYMENTS, "scopes": ("payments:charge",), "needs": ("orders:write",)}
    read_orders = {"resource": PAYMENTS, "scopes": ("orders:read",)}
    more = {"resource": LEDGER, "scopes": ("ledger:write",), "needs": ("orders:write",)}
    refund = {"resource": PAYMENTS, "scopes": ("payments:refund",), "needs": ("orders:write",)}
    for rules in (
        (read_orders, charge),
        (charge, read_orders, more),
        (charge, refund, read_orders),
    ):
        services.perform("client.set_exchanges", client_id="orders", exchanges=rules)
        assert services.told(token)["active"]
    services.perform("client.set_exchanges", client_id="orders", exchanges=(charge,))
    assert services.told(token) == {"active": False}
    assert services.told(services.exchange(subject))["scope"] == "payments:charge"


@pytest.mark.proves("C54")
def test_nothing_is_exchanged_for_the_servers_own_endpoints(services: Services) -> None:
    provider = services.issuer.provider
    for audience in (
        provider.admin_audience,
        provider.introspection_audience,
        provider.userinfo_audience,
    ):
        rule = {"resource": audience, "scopes": ("admin:write",), "needs": ("orders:read",)}
        with pytest.raises(OperationRefused, match="own endpoints"):
            services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))


@pytest.mark.proves("C54")
@pytest.mark.parametrize(
    "rule",
    [
        {"resource": "https://nobody.test", "scopes": ("a",)},
        {"resource": PAYMENTS, "scopes": ()},
        {"resource": PAYMENTS, "scopes": ("ledger:write",)},
        {"resource": PAYMENTS, "scopes": ("payments:charge",), "needs": ("a b",)},
        {"resource": PAYMENTS, "scopes": ("payments:charge",), "needs": ("",)},
    ],
)
def test_a_rule_that_cannot_be_is_refused(services: Services, rule: dict[str, Any]) -> None:
    with pytest.raises(OperationRefused):
        services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))
    with pytest.raises(OperationRefused):
        services.issuer.add_client("new", exchanges=(rule,))


@pytest.mark.proves("C54")
def test_a_public_client_is_given_no_rule(services: Services) -> None:
    rule = {"resource": PAYMENTS, "scopes": ("orders:read",)}
    services.add_client("spa", "none")
    with pytest.raises(OperationRefused, match="proves who it is"):
        services.perform("client.set_exchanges", client_id="spa", exchanges=(rule,))


@pytest.mark.proves("C54")
def test_the_issuer_of_tests_exchanges_too(services: Services) -> None:
    issuer = services.issuer
    subject = issuer.token(scopes=["orders:write"], audience=ORDERS, client_id="shop")
    token = issuer.exchange(
        subject, audience=PAYMENTS, scopes=["payments:charge"], client_id="orders"
    )
    assert services.told(token)["act"] == {"sub": "orders"}
    with pytest.raises(TokenRefused) as refused:
        issuer.exchange(subject, audience=LEDGER, client_id="orders")
    assert refused.value.error == "invalid_target"
    assert issuer.clock.now() == NOW
