"""Introspection: RFC 7662, for the callers a token is meant for and for nobody else."""

from typing import Any

import pytest
from msgspec.structs import replace

from dojang.server.model import Resource, TokenFormat
from dojang.server.ports import PutClient, PutResource
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import (
    NOW,
    ORDERS,
    PAYMENTS,
    basic_of,
    bearer,
    decode_jwt,
    header_of,
    open_issuer,
    post,
    read,
    refusal,
)

INACTIVE = b'{"active":false}'


@pytest.fixture(params=TokenFormat)
def issuer(request: pytest.FixtureRequest) -> Issuer:
    issuer = open_issuer()
    settings: dict[str, Any] = {"token_format": request.param}
    issuer.add_resource(ORDERS, ["read", "write"], introspectors=["orders"], **settings)
    issuer.add_resource(PAYMENTS, ["pay"], introspectors=["payments"], **settings)
    issuer.add_client("orders")
    issuer.add_client("payments")
    issuer.add_client("shop", {ORDERS: ["read", "write"], PAYMENTS: ["pay"]})
    return issuer


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")


def ask_as(issuer: Issuer, client_id: str, token: str) -> bytes:
    answer = post(issuer, "/introspect", {"token": token}, basic_of(issuer, client_id))
    assert answer.status == 200
    assert header_of(answer, b"content-type") == b"application/json"
    assert header_of(answer, b"cache-control") == b"no-store"
    return answer.body


def is_active(issuer: Issuer, token: str) -> bool:
    body = ask_as(issuer, "orders", token)
    assert body == INACTIVE or b'"active":true' in body
    return body != INACTIVE


@pytest.mark.proves("C85", "V2")
def test_a_live_token_is_told_to_its_audience(issuer: Issuer, token: str) -> None:
    answer = read(post(issuer, "/introspect", {"token": token}, basic_of(issuer, "orders")))
    assert len(answer.pop("jti")) == 32
    assert len(answer.pop("grant")) == 32
    assert answer == {
        "active": True,
        "token_type": "Bearer",
        "iss": "https://issuer.test",
        "sub": "shop",
        "aud": ORDERS,
        "client_id": "shop",
        "iat": NOW,
        "exp": NOW + 600,
        "scope": "read",
        "rev": [1, 0],
    }


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
@pytest.mark.proves("C85")
def test_a_hint_changes_nothing(issuer: Issuer, token: str, hint: str) -> None:
    form = {"token": token, "token_type_hint": hint}
    answer = post(issuer, "/introspect", form, basic_of(issuer, "orders"))
    assert answer.body == ask_as(issuer, "orders", token)


@pytest.mark.proves("C85", "C86", "C119")
def test_nobody_else_learns_anything(issuer: Issuer, token: str) -> None:
    issuer.add_client("stranger")
    for other in ("payments", "shop", "stranger"):
        assert ask_as(issuer, other, token) == INACTIVE


@pytest.mark.proves("C85")
def test_the_token_is_named(issuer: Issuer) -> None:
    answer = post(issuer, "/introspect", b"", basic_of(issuer, "orders"))
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.proves("C85", "C119")
def test_a_token_of_scope_introspect_authenticates_its_client(issuer: Issuer, token: str) -> None:
    audience = issuer.provider.introspection_audience
    issuer.add_client("service", {audience: ["introspect"]})
    caller = issuer.token(scopes=["introspect"], audience=audience, client_id="service")
    with_header = post(issuer, "/introspect", {"token": token}, bearer(caller))
    assert (with_header.status, with_header.body) == (200, INACTIVE)  # not its audience
    issuer.add_resource(
        "urn:third", ["x"], introspectors=["service"], token_format=TokenFormat.OPAQUE
    )
    third = issuer.token(scopes=["x"], audience="urn:third")
    assert read(post(issuer, "/introspect", {"token": third}, bearer(caller)))["active"] is True
    issuer.revoke(caller)
    refused = post(issuer, "/introspect", {"token": third}, bearer(caller))
    assert refusal(refused) == (401, "invalid_token")


@pytest.mark.proves("C85")
def test_no_other_bearer_token_authenticates(issuer: Issuer, token: str) -> None:
    provider = issuer.provider
    issuer.add_client("admin", {provider.admin_audience: ["admin:read", "admin:write"]})
    admin = issuer.token(scopes=["admin:read"], audience=provider.admin_audience, client_id="admin")
    for caller in (token, admin, "", "junk", "dojang_at_junk", "a.b.c"):
        answer = post(issuer, "/introspect", {"token": token}, bearer(caller))
        assert refusal(answer) == (401, "invalid_token")
        challenge = header_of(answer, b"www-authenticate")
        assert challenge is not None
        assert challenge.startswith(b"Bearer ")
        assert b'error="invalid_token"' in challenge


@pytest.mark.proves("C85")
def test_a_scope_of_that_name_at_another_resource_does_not(issuer: Issuer, token: str) -> None:
    issuer.add_resource("urn:third", ["introspect"])
    caller = issuer.token(scopes=["introspect"], audience="urn:third", client_id="orders2")
    answer = post(issuer, "/introspect", {"token": token}, bearer(caller))
    assert refusal(answer) == (401, "invalid_token")


@pytest.mark.proves("C85")
def test_the_scope_of_the_callers_token_counts(issuer: Issuer, token: str) -> None:
    audience = issuer.provider.introspection_audience
    wider = Resource(identifier=audience, scopes=("introspect", "other"), version=2)
    run(issuer.provider.store.commit([PutResource(wider)]))
    issuer.add_client("service", {audience: ["introspect", "other"]})
    caller = issuer.token(scopes=["other"], audience=audience, client_id="service")
    answer = post(issuer, "/introspect", {"token": token}, bearer(caller))
    assert refusal(answer) == (401, "invalid_token")


@pytest.mark.proves("C86", "C87")
def test_an_expired_token_is_inactive(issuer: Issuer, token: str) -> None:
    issuer.clock.move(599)
    assert is_active(issuer, token)
    issuer.clock.move(1)
    assert ask_as(issuer, "orders", token) == INACTIVE


@pytest.mark.parametrize("junk", ["junk", "dojang_at_", "dojang_at_!", "a.b.c", "..", "\x00", "€"])
@pytest.mark.proves("C86")
def test_junk_is_inactive(issuer: Issuer, junk: str) -> None:
    assert ask_as(issuer, "orders", junk) == INACTIVE


@pytest.mark.proves("C87", "K6")
def test_every_way_of_taking_back_ends_a_token(issuer: Issuer) -> None:
    def make() -> str:
        return issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")

    def find_kid() -> str:
        keys = issuer.perform("keys.list")["keys"]
        use = "seal" if make().startswith("dojang_at_") else "access_token"
        active = [key for key in keys if (key["use"], key["state"]) == (use, "active")]
        return str(active[0]["kid"])

    by_jti = make()
    claims = read(post(issuer, "/introspect", {"token": by_jti}, basic_of(issuer, "orders")))
    for operation, name, value in (
        ("revoke.token", "jti", claims["jti"]),
        ("revoke.grant", "grant", claims["grant"]),
        ("revoke.client", "client_id", "shop"),
        ("revoke.account", "subject", "shop"),
        ("revoke.everything", None, None),
        ("keys.revoke", "kid", find_kid()),
        ("revoke.token", "token", None),
    ):
        token = by_jti if name == "jti" else make()
        asked = {name: value or token} if name else {}
        assert is_active(issuer, token)
        issuer.perform(operation, **asked)
        assert ask_as(issuer, "orders", token) == INACTIVE
        assert is_active(issuer, make())


@pytest.mark.proves("C87", "K6")
def test_a_disabled_client_has_no_token_and_gets_none(issuer: Issuer, token: str) -> None:
    issuer.disable_client("shop")
    assert ask_as(issuer, "orders", token) == INACTIVE
    answer = post(issuer, "/token", {"grant_type": "client_credentials"}, basic_of(issuer, "shop"))
    assert refusal(answer) == (401, "invalid_client")
    issuer.enable_client("shop")
    assert ask_as(issuer, "orders", token) == INACTIVE  # those from before stay dead
    assert is_active(issuer, issuer.token(scopes=["read"], audience=ORDERS, client_id="shop"))


@pytest.mark.parametrize("worse", [{"enabled": False}, {"grants": ()}], ids=["off", "no grant"])
@pytest.mark.proves("C87")
def test_the_rows_count_even_without_a_fact(
    issuer: Issuer, token: str, worse: dict[str, Any]
) -> None:
    """A client's row says no where no fact does: the answer is the AND of all."""
    store = issuer.provider.store
    client = run(store.find_client("shop"))
    assert client is not None
    run(store.commit([PutClient(replace(client, **worse, version=client.version + 1))]))
    assert ask_as(issuer, "orders", token) == INACTIVE


@pytest.mark.proves("C87", "C85")
def test_a_caller_must_be_live_itself(issuer: Issuer, token: str) -> None:
    header = basic_of(issuer, "orders")
    issuer.disable_client("orders")
    answer = post(issuer, "/introspect", {"token": token}, header)
    assert refusal(answer) == (401, "invalid_client")


@pytest.mark.proves("C87", "C110")
def test_a_token_of_the_same_keys_and_another_issuer_is_inactive(issuer: Issuer) -> None:
    """The same database, started under another name: what the old one issued is not its own."""
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    object.__setattr__(issuer.provider, "issuer", "https://renamed.test")
    assert ask_as(issuer, "orders", token) == INACTIVE


@pytest.mark.proves("C85")
def test_the_servers_own_tokens_are_for_nobodys_introspection(issuer: Issuer) -> None:
    provider = issuer.provider
    issuer.add_client("admin", {provider.admin_audience: ["admin:read"]})
    admin = issuer.token(scopes=["admin:read"], audience=provider.admin_audience, client_id="admin")
    for caller in ("admin", "orders"):
        assert ask_as(issuer, caller, admin) == INACTIVE


@pytest.mark.proves("C87")
def test_introspection_is_never_older_than_the_last_revocation(issuer: Issuer) -> None:
    for _ in range(20):
        token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
        assert is_active(issuer, token)
        issuer.revoke(token)
        assert not is_active(issuer, token)


@pytest.mark.proves("C87")
def test_a_resource_that_is_gone_takes_its_tokens_along(issuer: Issuer, token: str) -> None:
    assert is_active(issuer, token)
    state = issuer.provider.state
    state.resources = {name: each for name, each in state.resources.items() if name != ORDERS}
    assert ask_as(issuer, "orders", token) == INACTIVE


@pytest.mark.proves("C66")
def test_both_formats_say_the_same(issuer: Issuer, token: str) -> None:
    told = read(post(issuer, "/introspect", {"token": token}, basic_of(issuer, "orders")))
    if not token.startswith("dojang_at_"):
        claims = decode_jwt(token)[1]
        assert claims == {name: told[name] for name in claims}
    assert list(told) == [
        *("active", "token_type", "iss", "sub", "aud", "client_id"),
        *("exp", "iat", "jti", "scope", "grant", "rev"),
    ]
