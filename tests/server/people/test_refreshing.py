"""Refresh tokens, as their clients and thieves see them."""

from __future__ import annotations

import pytest

from dojang.oauth.revocation_fact import FactKind
from dojang.server.ending import plan_fact
from dojang.testing.inline import run
from tests.server.front_door import basic_of, post, read, refusal
from tests.server.people.world import CALLBACK, ORDERS, VERIFIER, World, read_claims

INVALID_GRANT = (400, "invalid_grant")
OFFLINE = "openid offline_access orders:read"


@pytest.mark.proves("K5", "C57", "C58")
def test_a_refresh_token_is_spent_for_its_successor(world: World) -> None:
    first = world.get_tokens(scope=OFFLINE)
    world.issuer.clock.move(300)
    second = read(world.refresh(first["refresh_token"]))
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert "nonce" not in second["id_token"]
    assert world.introspect(second["access_token"])["active"]
    world.issuer.clock.move(300)
    assert read(world.refresh(second["refresh_token"]))["scope"] == OFFLINE


@pytest.mark.proves("T1", "C60")
def test_a_client_that_lost_the_answer_is_given_it_again(world: World) -> None:
    first = world.get_tokens(scope=OFFLINE)
    second = read(world.refresh(first["refresh_token"]))
    world.issuer.clock.move(9)
    assert read(world.refresh(first["refresh_token"])) == second


@pytest.mark.proves("T1", "C59")
def test_a_replay_after_the_window_ends_the_family(world: World) -> None:
    first = world.get_tokens(scope=OFFLINE)
    second = read(world.refresh(first["refresh_token"]))
    world.issuer.clock.move(10)
    assert refusal(world.refresh(first["refresh_token"])) == INVALID_GRANT
    assert refusal(world.refresh(second["refresh_token"])) == INVALID_GRANT
    assert not world.introspect(second["access_token"])["active"]


@pytest.mark.proves("T1", "C60")
def test_a_retry_after_the_successor_was_used_ends_the_family(world: World) -> None:
    first = world.get_tokens(scope=OFFLINE)
    second = read(world.refresh(first["refresh_token"]))
    third = read(world.refresh(second["refresh_token"]))
    assert refusal(world.refresh(first["refresh_token"])) == INVALID_GRANT
    assert refusal(world.refresh(third["refresh_token"])) == INVALID_GRANT
    assert not world.introspect(third["access_token"])["active"]


@pytest.mark.proves("C57")
def test_another_client_can_neither_use_nor_end_it(world: World) -> None:
    world.add_client("other")
    tokens = world.get_tokens(scope=OFFLINE)
    assert refusal(world.refresh(tokens["refresh_token"], "other")) == INVALID_GRANT
    second = read(world.refresh(tokens["refresh_token"]))
    world.issuer.clock.move(60)
    assert refusal(world.refresh(tokens["refresh_token"], "other")) == INVALID_GRANT
    assert world.introspect(second["access_token"])["active"]


@pytest.mark.proves("C61", "K5")
def test_it_ends_without_use_and_in_any_case() -> None:
    world = World(refresh_idle=3600, refresh_lifetime=7200)
    idle = world.get_tokens(scope=OFFLINE)
    world.issuer.clock.move(3600)
    assert refusal(world.refresh(idle["refresh_token"])) == INVALID_GRANT
    token = world.get_tokens(scope=OFFLINE, prompt="login")["refresh_token"]
    for _ in range(3):
        world.issuer.clock.move(2000)
        token = read(world.refresh(token))["refresh_token"]
    world.issuer.clock.move(1200)
    assert refusal(world.refresh(token)) == INVALID_GRANT


@pytest.mark.proves("C64")
def test_scope_can_only_narrow(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    refused = world.refresh(tokens["refresh_token"], scope="orders:read orders:write")
    assert refusal(refused) == (400, "invalid_scope")
    narrow = world.refresh(tokens["refresh_token"], resource=ORDERS, scope="orders:read")
    assert world.introspect(read(narrow)["access_token"])["scope"] == "orders:read"


@pytest.mark.proves("C64")
def test_a_client_may_say_again_what_it_was_granted(world: World) -> None:
    """As many libraries do at every refresh."""
    tokens = world.get_tokens(scope=f"{OFFLINE} profile")
    again = read(world.refresh(tokens["refresh_token"], scope=tokens["scope"]))
    assert again["scope"] == tokens["scope"]
    assert world.introspect(again["access_token"])["scope"] == "orders:read"
    less = read(world.refresh(again["refresh_token"], scope="openid"))
    assert less["scope"] == "openid"
    assert set(read(world.ask_userinfo(less["access_token"]))) == {"sub"}
    assert "id_token" in less
    without = read(world.refresh(less["refresh_token"], scope="orders:read"))
    assert "id_token" not in without
    whole = read(world.refresh(without["refresh_token"]))
    assert whole["scope"] == tokens["scope"]


@pytest.mark.proves("C57", "K5")
def test_a_fixed_one_stays(world: World) -> None:
    world.add_client("fixed", refresh="fixed")
    code = world.get_code(client_id="fixed", scope=OFFLINE)
    tokens = read(world.redeem(code, "fixed"))
    for _ in range(3):
        world.issuer.clock.move(86_400)
        again = read(world.refresh(tokens["refresh_token"], "fixed"))
        assert "refresh_token" not in again
        assert world.introspect(again["access_token"])["active"]


@pytest.mark.proves("C57")
def test_a_public_client_cannot_have_a_fixed_one(world: World) -> None:
    from dojang.server.administration import OperationRefused

    with pytest.raises(OperationRefused, match="public"):
        world.add_client("spa", "none", refresh="fixed")


@pytest.mark.proves("C25", "A2")
def test_a_public_client_has_its_verifier_and_no_secret(world: World) -> None:
    world.add_client("spa", "none")
    form = {
        "grant_type": "authorization_code",
        "client_id": "spa",
        "code": world.get_code(client_id="spa", scope=OFFLINE),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    as_another = post(world.issuer, "/token", {**form, "client_id": "app"})
    assert refusal(as_another) == (401, "invalid_client")
    with_secret = post(world.issuer, "/token", form, basic_of(world.issuer, "app"))
    assert refusal(with_secret) == (401, "invalid_client")
    tokens = read(post(world.issuer, "/token", form))
    token = {"client_id": "spa", "token": tokens["access_token"]}
    assert refusal(post(world.issuer, "/introspect", token)) == (401, "invalid_client")


@pytest.mark.proves("C62")
@pytest.mark.parametrize(
    "operation,parameters",
    [
        ("user.sign_out", {"username": "hong"}),
        ("user.disable", {"username": "hong"}),
        ("user.remove", {"username": "hong"}),
        ("user.set_password", {"username": "hong", "password": "another long one"}),
        ("revoke.account", {"subject": "account-hong"}),
    ],
)
def test_what_ends_the_person_ends_the_family(
    world: World, operation: str, parameters: dict[str, str]
) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    here = world.get_tokens(scope="openid")
    world.perform(operation, **parameters)
    assert refusal(world.refresh(tokens["refresh_token"])) == INVALID_GRANT
    assert not world.introspect(tokens["access_token"])["active"]
    assert refusal(world.ask_userinfo(here["access_token"])) == (401, "invalid_token")


@pytest.mark.proves("C62")
def test_a_disabled_client_refreshes_nothing(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    world.issuer.disable_client("app")
    assert refusal(world.refresh(tokens["refresh_token"])) == (401, "invalid_client")
    world.issuer.enable_client("app")
    assert refusal(world.refresh(tokens["refresh_token"])) == INVALID_GRANT


@pytest.mark.proves("K6")
def test_the_end_of_a_session_spares_what_outlives_it(world: World) -> None:
    offline = world.get_tokens(scope=OFFLINE)
    online = world.get_tokens(scope="openid orders:read")
    (session,) = world.perform("session.list", username="hong")["sessions"]
    world.perform("session.end", session_id=session["session_id"])
    assert refusal(world.refresh(online["refresh_token"])) == INVALID_GRANT
    assert not world.introspect(online["access_token"])["active"]
    assert world.refresh(offline["refresh_token"]).status == 200


@pytest.mark.proves("K6")
def test_a_fact_about_a_session_ends_its_tokens(world: World) -> None:
    tokens = world.get_tokens(scope="openid orders:read")
    sid = read_claims(tokens["id_token"])["sid"]
    fact = plan_fact(FactKind.SESSION, sid, now=world.now)
    run(world.issuer.provider.store.commit([fact]))
    assert not world.introspect(tokens["access_token"])["active"]


@pytest.mark.proves("C64")
def test_a_scope_that_the_resource_lost_is_gone_at_the_next_refresh(world: World) -> None:
    from msgspec.structs import replace

    from dojang.server.ports import PutResource

    tokens = world.get_tokens(scope=OFFLINE)
    resource = world.issuer.provider.state.resources[ORDERS]
    lessened = replace(resource, scopes=("orders:write",), version=resource.version + 1)
    run(world.issuer.provider.store.commit([PutResource(lessened)]))
    assert refusal(world.refresh(tokens["refresh_token"])) == (400, "invalid_target")
    for_itself = f"{world.issuer.url}/userinfo"
    again = read(world.refresh(tokens["refresh_token"], resource=for_itself))
    assert "orders:read" not in again["scope"].split(" ")
