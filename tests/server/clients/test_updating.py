"""An operator changes a client: what is not named stays, and what came of lost rights ends."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.jose.keys import SigningKey
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.administration import OperationRefused
from dojang.testing import Issuer, SettableClock
from dojang.testing.inline import run
from tests.server.clients.registering import ORDERS, Registry, perform
from tests.server.front_door import NOW, basic_of, post, read, refusal
from tests.server.people.world import CALLBACK, VERIFIER, World

OTHER = "https://other.test"
NEW = "https://new.test/callback"


@pytest.fixture
def issuer() -> Issuer:
    issuer = Issuer("https://issuer.test", clock=SettableClock(NOW))
    issuer.add_resource(ORDERS, ["read", "write"])
    issuer.add_resource(OTHER, ["a"])
    issuer.add_client("shop", {ORDERS: ["read", "write"], OTHER: ["a"]}, name="Shop")
    return issuer


def grants(**scopes: list[str]) -> tuple[dict[str, Any], ...]:
    where = {"orders": ORDERS, "other": OTHER}
    return tuple({"resource": where[name], "scopes": each} for name, each in scopes.items())


def facts(issuer: Issuer) -> list[tuple[FactKind, str]]:
    return [
        (each.kind, each.identifier) for each in run(issuer.provider.store.load_facts(Rev(0, 0)))
    ]


def refused(issuer: Issuer, operation: str, **asked: Any) -> tuple[int, str]:
    with pytest.raises(OperationRefused) as raised:
        perform(issuer, operation, **asked)
    return raised.value.status, raised.value.detail


@pytest.mark.proves("K6")
def test_what_is_not_named_stays(issuer: Issuer) -> None:
    before = perform(issuer, "client.show", client_id="shop")["client"]
    answer = perform(issuer, "client.update", client_id="shop", name="The shop")
    assert answer["changed"] == ["name"]
    assert answer["revoked"] == []
    assert "client_secret" not in answer
    assert answer["client"] == {**before, "name": "The shop", "version": 2}
    event = run(issuer.provider.store.load_audit())[-1].event
    assert (event.action, event.target, event.detail) == (
        "client.update",
        "shop",
        {"changed": "name"},
    )
    token = issuer.token(scopes=["write"], audience=ORDERS, client_id="shop")  # its secret is good
    assert issuer.introspect(token, audience=ORDERS)["active"]


@pytest.mark.proves("K6")
@pytest.mark.parametrize("left", [grants(orders=["read"], other=["a"]), grants(other=["a"])])
def test_a_scope_that_is_taken_away_ends_the_tokens_of_its_grant_alone(
    issuer: Issuer, left: Any
) -> None:
    lost = issuer.token(scopes=["write"], audience=ORDERS, client_id="shop")
    kept = issuer.token(scopes=["a"], audience=OTHER, client_id="shop")
    answer = perform(issuer, "client.update", client_id="shop", grants=left)
    assert [each["kind"] for each in answer["revoked"]] == [FactKind.GRANT]
    assert not issuer.introspect(lost, audience=ORDERS)["active"]
    assert issuer.introspect(kept, audience=OTHER)["active"]
    form = {"grant_type": "client_credentials", "resource": ORDERS, "scope": "write"}
    assert post(issuer, "/token", form, basic_of(issuer, "shop")).status == 400


def test_a_scope_more_ends_nothing(issuer: Issuer) -> None:
    perform(issuer, "client.update", client_id="shop", grants=grants(orders=["read"]))
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    more = grants(orders=["read", "write"], other=["a"])
    assert perform(issuer, "client.update", client_id="shop", grants=more)["revoked"] == []
    assert issuer.introspect(token, audience=ORDERS)["active"]


def test_a_null_is_as_if_it_had_never_been_named(issuer: Issuer) -> None:
    assert perform(issuer, "client.update", client_id="shop", name=None)["client"]["name"] == "shop"
    answer = perform(issuer, "client.update", client_id="shop", grants=None)
    assert answer["client"]["grants"] == []
    assert len(answer["revoked"]) == 2


def test_somebody_elses_change_is_not_overwritten(issuer: Issuer) -> None:
    perform(issuer, "client.update", client_id="shop", version=1, name="One")
    status, detail = refused(issuer, "client.update", client_id="shop", version=1, name="Two")
    assert status == 409
    assert "is at 2, not 1" in detail


def test_how_a_client_proves_itself_is_changed(issuer: Issuer) -> None:
    old = basic_of(issuer, "shop")
    key = SigningKey.generate("ES256", kid="k1")
    by_key = {"authentication": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]}}
    answer = perform(issuer, "client.update", client_id="shop", **by_key)
    assert "client_secret" not in answer
    assert answer["client"]["secrets"] == 0
    form = {"grant_type": "client_credentials", "resource": OTHER}
    assert refusal(post(issuer, "/token", form, old)) == (401, "invalid_client")
    elsewhere = perform(issuer, "client.update", client_id="shop", jwks_uri="https://keys.test/")
    assert elsewhere["client"]["jwks"] is None
    back = {"authentication": "client_secret_post", "jwks_uri": None}
    told = perform(issuer, "client.update", client_id="shop", **back)
    assert told["client_secret"].startswith("dojang_cs_")


@pytest.mark.parametrize(
    "asked, status, what",
    [
        ({"client_id": "nobody"}, 404, "nobody"),
        ({"sign_in": {"first_party": True}}, 400, "redirect_uris"),
        ({"sign_in": {"redirect_uris": [CALLBACK], "colour": 1}}, 400, "colour"),
        ({"sign_in": {"redirect_uris": [CALLBACK], "profile": "x"}}, 400, "sign_in.profile"),
        ({"sign_in": {"redirect_uris": 1}}, 400, "sign_in.redirect_uris"),
        ({"grants": grants(orders=["admin"])}, 400, "grants"),
        ({"grants": grants(orders=["read"]) * 2}, 400, "stands twice"),
        ({"jwks_uri": "https://10.0.0.1/"}, 400, "jwks_uri"),
        ({"jwks_uri": "https://a.test/", "jwks": {"keys": []}}, 400, "one of the two"),
        ({"name": "\n"}, 400, "name"),
        ({"authentication": "none"}, 400, "none is for clients that people sign in to"),
    ],
)
def test_what_cannot_be_is_refused_whole(
    issuer: Issuer, asked: dict[str, Any], status: int, what: str
) -> None:
    found = refused(issuer, "client.update", **{"client_id": "shop", **asked})
    assert found[0] == status
    assert what in found[1]
    assert perform(issuer, "client.show", client_id="shop")["client"]["version"] == 1


@pytest.mark.proves("C64", "K6")
@pytest.mark.parametrize("lost", [{"resources": None}, {"scopes": ["openid", "offline_access"]}])
def test_what_people_allowed_and_the_client_lost_is_in_no_token(
    world: World, lost: dict[str, Any]
) -> None:
    tokens = world.get_tokens(scope="openid email offline_access orders:read")
    answer = perform(world.issuer, "client.update", client_id="app", sign_in=lost)
    assert answer["revoked"] == [{"kind": FactKind.CLIENT, "identifier": "app"}]
    assert not world.introspect(tokens["access_token"])["active"]
    again = world.refresh(
        tokens["refresh_token"], resource=f"{world.issuer.url}/userinfo"
    )  # people stay signed in
    assert again.status == 200
    if "scopes" in lost:
        assert "email" not in read(again)["scope"].split(" ")
        return
    named = world.refresh(read(again)["refresh_token"], resource=ORDERS)
    assert refusal(named) == (400, "invalid_target")


@pytest.mark.proves("K6")
def test_where_people_sign_in_no_more_everything_of_theirs_ends(world: World) -> None:
    tokens = world.get_tokens(scope="openid offline_access orders:read")
    world.issuer.clock.move(3600)
    perform(
        world.issuer,
        "client.update",
        client_id="app",
        sign_in=None,
        grants=grants(orders=["orders:read"]),
    )
    assert not world.introspect(tokens["access_token"])["active"]
    assert refusal(world.refresh(tokens["refresh_token"])) == (400, "unauthorized_client")
    wanted = {"redirect_uris": [CALLBACK], "id_token_algorithm": "ES256"}
    perform(world.issuer, "client.update", client_id="app", sign_in=wanted)
    assert refusal(world.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.proves("C38", "K6")
@pytest.mark.parametrize("sent", [CALLBACK, None])
def test_a_code_that_was_sent_where_the_client_is_no_more_is_refused(
    world: World, sent: str | None
) -> None:
    code = world.get_code(redirect_uri=sent, scope="orders:read")
    perform(world.issuer, "client.update", client_id="app", sign_in={"redirect_uris": [NEW]})
    form = {"redirect_uri": sent} if sent else {}
    redeemed = world.post_token(
        grant_type="authorization_code", code=code, code_verifier=VERIFIER, **form
    )
    assert refusal(redeemed) == (400, "invalid_grant")


def test_who_signed_in_before_stays_signed_in_when_a_redirect_uri_goes(world: World) -> None:
    tokens = world.get_tokens(scope="openid offline_access")
    world.issuer.clock.move(120)
    answer = perform(
        world.issuer, "client.update", client_id="app", sign_in={"redirect_uris": [NEW]}
    )
    assert answer["changed"] == ["sign_in.redirect_uris"]
    assert world.refresh(tokens["refresh_token"]).status == 200


@pytest.mark.proves("C57")
@pytest.mark.parametrize(
    "sign_in, authentication, what",
    [
        ({}, "none", "does not become public"),
        ({"subject_type": "pairwise"}, "client_secret_basic", "another sub"),
    ],
)
def test_what_no_client_becomes(
    world: World, sign_in: dict[str, Any], authentication: str, what: str
) -> None:
    with pytest.raises(OperationRefused) as raised:
        perform(
            world.issuer,
            "client.update",
            client_id="app",
            sign_in=sign_in,
            authentication=authentication,
        )
    assert raised.value.status == 409
    assert what in raised.value.detail


def test_a_pairwise_client_keeps_its_sector(world: World) -> None:
    world.add_client("pair", subject_type="pairwise", sector="one.test")
    sector = {"sector": "two.test"}
    assert refused(world.issuer, "client.update", client_id="pair", sign_in=sector)[0] == 409
    more = {"redirect_uris": [CALLBACK, NEW]}
    answer = perform(world.issuer, "client.update", client_id="pair", sign_in=more)
    assert answer["client"]["sign_in"]["sector"] == "one.test"


@pytest.mark.proves("C102")
def test_a_client_that_registered_itself_is_taken_over_and_said_so(registry: Registry) -> None:
    client = registry.register()
    asked = {"client_id": client["client_id"], "sign_in": {"first_party": True}}
    assert perform(registry.issuer, "client.show", client_id=client["client_id"])["registered"]
    status, detail = refused(registry.issuer, "client.update", **asked)
    assert status == 409
    assert "adopt" in detail
    perform(registry.issuer, "client.update", **asked, adopt=True)
    assert registry.manage("GET", client).status == 401
    shown = perform(registry.issuer, "client.show", client_id=client["client_id"])
    assert not shown["registered"]
    assert shown["client"]["sign_in"]["first_party"]


@pytest.mark.proves("C102", "K6")
def test_a_client_that_names_less_for_itself_ends_its_tokens_too(registry: Registry) -> None:
    client = registry.register()
    lesser = {
        "client_id": client["client_id"],
        "redirect_uris": client["redirect_uris"],
        "id_token_signed_response_alg": "ES256",
        "scope": "openid",
    }
    assert registry.manage("PUT", client, lesser).status == 200
    assert facts(registry.issuer) == [(FactKind.CLIENT, client["client_id"])]
