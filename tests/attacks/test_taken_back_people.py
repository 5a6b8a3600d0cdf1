"""What was taken back does not go on, whatever happens beside it."""

from collections.abc import Callable
from threading import RLock
from typing import Any

import pytest
from msgspec.structs import replace

from dojang.server.model import RefreshRule
from dojang.server.own_account import find_person, withdraw_app
from dojang.server.ports import PutClient
from dojang.testing import inline
from dojang.testing.inline import run
from tests.server.front_door import basic_of, post, read
from tests.server.people.world import World, read_claims

OFFLINE = "openid offline_access orders:read"


@pytest.fixture
def world() -> World:
    return World()


def before_commit(
    world: World, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any], *, nth: int = 1
) -> None:
    """Have `happens` come in between a plan and its commit, once, as another node would."""
    monkeypatch.setattr(inline, "_TURN", RLock())  # one node's run inside another's
    store = world.issuer.provider.store
    real, count = store.commit, [0]

    async def commit(changes: Any) -> Any:
        count[0] += 1
        if count[0] == nth:
            happens()
        return await real(changes)

    monkeypatch.setattr(store, "commit", commit)


@pytest.mark.proves("C89", "K6")
def test_a_client_revokes_its_refresh_token(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    form = {"token": tokens["refresh_token"], "token_type_hint": "refresh_token"}
    answer = post(world.issuer, "/revoke", form, basic_of(world.issuer, "app"))
    assert answer.status == 200
    assert world.refresh(tokens["refresh_token"]).status == 400
    assert not world.introspect(tokens["access_token"])["active"]


@pytest.mark.proves("K6", "C62")
def test_revoking_a_client_ends_its_refresh_tokens(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    world.perform("revoke.client", client_id="app")
    assert not world.introspect(tokens["access_token"])["active"]
    assert world.refresh(tokens["refresh_token"]).status == 400


@pytest.mark.proves("K6")
def test_revoking_everything_ends_refresh_tokens(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    world.perform("revoke.everything")
    assert world.refresh(tokens["refresh_token"]).status == 400


@pytest.mark.proves("C62")
def test_a_disabled_client_gets_nothing_old_back(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    world.perform("client.disable", client_id="app")
    world.perform("client.enable", client_id="app")
    assert world.refresh(tokens["refresh_token"]).status == 400


@pytest.mark.proves("K6")
def test_an_operator_is_told_whether_a_name_is_somebodys() -> None:
    world = World(subject_type="pairwise")
    tokens = world.get_tokens(scope=OFFLINE)
    pairwise = read_claims(tokens["id_token"])["sub"]
    assert not world.perform("revoke.account", subject=pairwise)["known"]
    assert not world.introspect(tokens["access_token"])["active"]
    assert not world.perform("revoke.session", session="typo")["known"]
    assert world.perform("revoke.account", subject="account-hong")["known"]
    assert world.refresh(tokens["refresh_token"]).status == 400


@pytest.mark.proves("C62")
def test_a_new_password_ends_what_begins_beside_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.get_tokens(scope=OFFLINE)  # consent is remembered, the client is noted
    thief: list[str] = []
    before_commit(
        world, monkeypatch, lambda: thief.append(world.get_code(scope=OFFLINE, prompt="none"))
    )
    world.perform("user.set_password", username="hong", password="a whole new password")
    assert world.redeem(thief[0]).status == 400


@pytest.mark.proves("C62")
def test_a_withdrawn_app_gets_nothing_beside_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.get_tokens(scope=OFFLINE)
    person = run(find_person(world.issuer.provider, world.browser))
    assert person is not None
    thief: list[str] = []
    before_commit(
        world, monkeypatch, lambda: thief.append(world.get_code(scope=OFFLINE, prompt="none"))
    )
    run(withdraw_app(world.issuer.provider, person, "app"))
    assert world.redeem(thief[0]).status == 400


@pytest.mark.proves("C62")
def test_a_thief_cannot_hinder_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    code = world.get_code(scope=OFFLINE)
    before_commit(world, monkeypatch, lambda: world.redeem(code), nth=1)
    world.perform("user.set_password", username="hong", password="a whole new password")


@pytest.mark.proves("C59")
def test_a_replayed_token_ends_its_family_beside_a_redemption(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.get_tokens(scope=OFFLINE)
    world.refresh(first["refresh_token"])
    world.issuer.clock.move(11)
    before_commit(world, monkeypatch, lambda: world.refresh(first["refresh_token"]))
    assert world.refresh(first["refresh_token"]).status == 400  # and no Conflict


@pytest.mark.proves("C31")
def test_two_uses_of_a_code_at_once_end_the_family(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, won = world.get_code(scope=OFFLINE), []
    before_commit(world, monkeypatch, lambda: won.append(read(world.redeem(code))))
    assert world.redeem(code).status == 400
    assert world.refresh(won[0]["refresh_token"]).status == 400


@pytest.mark.proves("C64")
def test_a_narrowed_token_does_not_say_single_claims(world: World) -> None:
    asked = '{"userinfo":{"email":null}}'
    tokens = world.get_tokens(scope="openid offline_access", claims=asked)
    provider = world.issuer.provider
    client = run(provider.store.find_client("app"))
    assert client is not None
    assert client.sign_in is not None
    lost = replace(
        client,
        version=client.version + 1,
        sign_in=replace(client.sign_in, scopes=("openid", "offline_access")),
    )
    run(provider.store.commit([PutClient(lost)]))
    fresh = read(world.refresh(tokens["refresh_token"]))
    assert "email" not in read(world.ask_userinfo(fresh["access_token"]))


@pytest.mark.proves("C57", "C64")
def test_a_client_that_lost_refreshing_refreshes_no_more(world: World) -> None:
    tokens = world.get_tokens(scope=OFFLINE)
    provider = world.issuer.provider
    client = run(provider.store.find_client("app"))
    assert client is not None
    assert client.sign_in is not None
    lost = replace(
        client,
        version=client.version + 1,
        sign_in=replace(client.sign_in, refresh=RefreshRule.NONE),
    )
    run(provider.store.commit([PutClient(lost)]))
    assert world.refresh(tokens["refresh_token"]).status == 400
