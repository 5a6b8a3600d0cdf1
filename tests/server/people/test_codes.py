"""From a person's sign-in to tokens, as a client sees it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dojang.oauth.errors import OAuthError
from dojang.server.interaction import PersonAsked, Redirected
from dojang.server.ports import PutClient
from dojang.testing.inline import run
from tests.server.front_door import read, refusal
from tests.server.people.world import CALLBACK, ORDERS, VERIFIER, World, read_claims

INVALID_GRANT = (400, "invalid_grant")


@pytest.mark.proves("A1", "A2", "C30")
def test_a_person_signs_in_and_the_client_is_told_who(world: World) -> None:
    tokens = world.get_tokens()
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid profile email"
    claims = read_claims(tokens["id_token"])
    assert claims["iss"] == world.issuer.url
    assert claims["aud"] == "app"
    assert claims["sub"] == "account-hong"
    assert claims["nonce"] == "n-1"
    assert claims["auth_time"] == claims["iat"] == world.now
    assert claims["amr"] == ["pwd"]
    assert "email" not in claims  # it identifies; what else there is stands at userinfo
    answer = read(world.ask_userinfo(tokens["access_token"]))
    assert answer["sub"] == "account-hong"
    assert answer["email"] == "hong@example.com"
    assert answer["name"] == "홍길동"
    assert answer["preferred_username"] == "hong"


@pytest.mark.proves("C27")
def test_the_answer_says_who_gives_it(world: World) -> None:
    done = world.consent(world.sign_in(world.ask()))
    assert isinstance(done, Redirected)
    assert done.target.uri == CALLBACK
    assert done.parameters.keys() == {"code", "state", "iss"}
    assert done.parameters["iss"] == world.issuer.url
    assert done.parameters["state"] == "xyz"


@pytest.mark.proves("C27", "C40")
def test_who_says_no_gives_nothing(world: World) -> None:
    asked = world.sign_in(world.ask())
    done = world.consent(asked, allowed=False)
    assert isinstance(done, Redirected)
    assert done.parameters["error"] == "access_denied"
    assert done.parameters["iss"] == world.issuer.url
    assert isinstance(world.ask(), PersonAsked)  # and nothing is remembered


@pytest.mark.proves("C30")
@pytest.mark.parametrize("seconds,status", [(59, 200), (60, 400)])
def test_a_code_lives_for_a_minute(world: World, seconds: int, status: int) -> None:
    code = world.get_code()
    world.issuer.clock.move(seconds)
    assert world.redeem(code).status == status


@pytest.mark.proves("C30")
def test_a_code_is_of_its_client_alone(world: World) -> None:
    world.add_client("other")
    code = world.get_code()
    assert refusal(world.redeem(code, "other")) == INVALID_GRANT
    assert world.redeem(code).status == 200  # and the other has spoiled nothing


@pytest.mark.proves("C30")
@pytest.mark.parametrize(
    "change",
    [
        lambda code: code[:-1] + ("A" if code[-1] != "A" else "E"),
        lambda code: "dojang_ac_" + code,
        lambda code: code.replace("dojang_ac_", "dojang_rt_"),
        lambda _: "junk",
        lambda _: "\0",
    ],
)
def test_another_code_opens_nothing(world: World, change: Any) -> None:
    assert refusal(world.redeem(change(world.get_code()))) == INVALID_GRANT


@pytest.mark.proves("C31")
def test_a_second_use_ends_what_came_of_the_first(world: World) -> None:
    code = world.get_code(scope="openid offline_access orders:read")
    tokens = read(world.redeem(code))
    assert world.introspect(tokens["access_token"])["active"]
    world.issuer.clock.move(600)
    assert refusal(world.redeem(code)) == INVALID_GRANT
    assert not world.introspect(tokens["access_token"])["active"]
    assert refusal(world.refresh(tokens["refresh_token"])) == INVALID_GRANT


@pytest.mark.proves("C31")
def test_another_client_ends_nothing_by_a_second_use(world: World) -> None:
    world.add_client("other")
    code = world.get_code(scope="openid orders:read")
    tokens = read(world.redeem(code))
    assert refusal(world.redeem(code, "other")) == INVALID_GRANT
    assert world.introspect(tokens["access_token"])["active"]


@pytest.mark.proves("C25")
def test_pkce_is_what_redeems(world: World) -> None:
    code = world.get_code()
    for verifier in ("w" * 50, "v" * 42, "v" * 129, "", "v" * 49 + "!"):
        assert refusal(world.redeem(code, code_verifier=verifier)) == INVALID_GRANT
    assert world.redeem(code).status == 200


@pytest.mark.proves("C25")
@pytest.mark.parametrize(
    "parameters",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge": "short"},
    ],
)
def test_there_is_no_way_around_pkce(world: World, parameters: dict[str, str | None]) -> None:
    done = world.ask(**parameters)
    assert isinstance(done, Redirected)
    assert done.parameters["error"] == "invalid_request"


@pytest.mark.proves("C25", "C26")
def test_a_client_of_the_basic_profile_may_leave_it_out_but_not_half() -> None:
    world = World(profile="oidc-basic")
    without = world.get_code(code_challenge=None, code_challenge_method=None)
    assert refusal(world.redeem(without)) == INVALID_GRANT  # a verifier nobody challenged
    assert world.redeem(without, code_verifier="").status == 200
    assert refusal(world.redeem(world.get_code(), code_verifier="")) == INVALID_GRANT


@pytest.mark.proves("C30")
def test_the_redirect_uri_is_the_one_of_the_request(world: World) -> None:
    code = world.get_code()
    assert refusal(world.redeem(code, redirect_uri=CALLBACK + "/")) == INVALID_GRANT
    assert world.redeem(code).status == 200
    basic = World(profile="oidc-basic")
    code = basic.get_code(code_challenge=None, code_challenge_method=None)
    refused = basic.redeem(code, redirect_uri="", code_verifier="")
    assert refusal(refused) == INVALID_GRANT


@pytest.mark.proves("C30")
def test_a_redirect_uri_that_is_gone_redeems_nothing(world: World) -> None:
    code = world.get_code()
    client = run(world.issuer.provider.store.find_client("app"))
    assert client is not None
    assert client.sign_in is not None
    moved = replace(client.sign_in, redirect_uris=("https://new.test/",))
    later = replace(client, sign_in=moved, version=client.version + 1)
    run(world.issuer.provider.store.commit([PutClient(later)]))
    assert refusal(world.redeem(code)) == INVALID_GRANT


@pytest.mark.proves("C24")
@pytest.mark.parametrize(
    "parameters,phrase",
    [
        ({"client_id": "nobody"}, "invalid client_id"),
        ({"client_id": None}, "invalid client_id"),
        ({"client_id": "é\n"}, "invalid client_id"),
        ({"redirect_uri": "https://evil.test"}, "invalid redirect_uri"),
        ({"redirect_uri": None}, "missing redirect_uri"),
    ],
)
def test_nobody_is_sent_where_no_client_is(
    world: World, parameters: dict[str, str | None], phrase: str
) -> None:
    with pytest.raises(OAuthError) as refused:
        world.ask(**parameters)
    assert refused.value.description == phrase


@pytest.mark.proves("C24")
def test_a_client_for_machines_signs_nobody_in(world: World) -> None:
    world.issuer.add_client("machine", {ORDERS: ["orders:read"]})
    with pytest.raises(OAuthError, match="invalid client_id"):
        world.ask(client_id="machine")
    refused = world.post_token("machine", grant_type="authorization_code", code="x")
    assert refusal(refused) == (400, "unauthorized_client")


@pytest.mark.proves("C28")
@pytest.mark.parametrize("kind", ["token", "id_token", "code token", "code id_token", "none", ""])
def test_there_is_no_implicit_flow(world: World, kind: str) -> None:
    done = world.ask(response_type=kind or None)
    assert isinstance(done, Redirected)
    expected = "unsupported_response_type" if kind else "invalid_request"
    assert done.parameters["error"] == expected
    assert "access_token" not in done.parameters


@pytest.mark.proves("C39")
def test_no_request_object_is_fetched(world: World) -> None:
    done = world.ask(request_uri="https://evil.test/request")
    assert isinstance(done, Redirected)
    assert done.parameters["error"] == "request_uri_not_supported"


@pytest.mark.proves("C24")
def test_a_disabled_client_signs_nobody_in(world: World) -> None:
    world.issuer.disable_client("app")
    with pytest.raises(OAuthError, match="invalid client_id"):
        world.ask()


@pytest.mark.proves("A1", "A3")
def test_a_resource_is_one_audience(world: World) -> None:
    tokens = world.get_tokens(scope="openid orders:read", resource=ORDERS)
    claims = read_claims(tokens["access_token"])
    assert claims["aud"] == ORDERS
    assert claims["scope"] == "orders:read"
    assert claims["sub"] == "account-hong"
    assert claims["sid"] == read_claims(tokens["id_token"])["sid"]
    assert refusal(world.ask_userinfo(tokens["access_token"])) == (401, "invalid_token")


@pytest.mark.proves("C64")
@pytest.mark.parametrize(
    "parameters,error",
    [
        ({"scope": "openid orders:write"}, "invalid_scope"),
        ({"scope": "openid phone"}, "invalid_scope"),
        ({"scope": "unheard-of"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid", "resource": "https://payments.test"}, "invalid_target"),
    ],
)
def test_what_the_client_may_not_have_is_refused(
    world: World, parameters: dict[str, str | None], error: str
) -> None:
    done = world.ask(**parameters)
    assert isinstance(done, Redirected)
    assert done.parameters["error"] == error


@pytest.mark.proves("C33")
def test_what_nobody_knows_is_passed_over(world: World) -> None:
    tokens = world.get_tokens(scope="openid unheard-of", unheard_of="1")
    assert tokens["scope"] == "openid"


@pytest.mark.proves("C33")
def test_what_nobody_knows_is_not_kept(world: World) -> None:
    asked = world.ask(unheard_of="x" * 5000, client_secret="hush")
    assert isinstance(asked, PersonAsked)
    assert not {"unheard_of", "client_secret"} & asked.interaction.parameters.keys()
