"""Requests that clients push (RFC 9126)."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.oauth.errors import OAuthError
from dojang.oauth.pkce import build_challenge
from dojang.server.interaction import PersonAsked, Redirected
from tests.server.front_door import basic_of, post, read, refusal
from tests.server.people.world import CALLBACK, VERIFIER, World

REQUEST = {
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid",
    "state": "pushed",
    "code_challenge": build_challenge(VERIFIER),
    "code_challenge_method": "S256",
}
ELSEWHERE = dict.fromkeys(
    ("redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge"), None
) | {"code_challenge_method": None}


def push(world: World, **changes: str) -> Any:
    form = {name: value for name, value in {**REQUEST, **changes}.items() if value}
    return post(world.issuer, "/par", form, basic_of(world.issuer, "app"))


def push_one(world: World) -> str:
    response = push(world)
    assert response.status == 201
    answer = read(response)
    assert answer["expires_in"] == 60
    uri: str = answer["request_uri"]
    assert len(uri.rpartition(":")[2]) == 43  # 256 bits
    return uri


@pytest.mark.proves("C37", "A2")
def test_what_was_pushed_is_what_is_asked(world: World) -> None:
    asked = world.ask(**{**ELSEWHERE, "request_uri": push_one(world), "scope": "openid email"})
    done = world.consent(world.sign_in(asked))
    assert isinstance(done, Redirected)
    assert done.parameters["state"] == "pushed"
    assert read(world.redeem(done.parameters["code"]))["scope"] == "openid"


@pytest.mark.proves("C37")
def test_it_is_used_once_and_not_by_looking(world: World) -> None:
    uri = push_one(world)
    world.ask(**{**ELSEWHERE, "request_uri": uri})
    asked = world.ask(**{**ELSEWHERE, "request_uri": uri})
    other = world.ask(**{**ELSEWHERE, "request_uri": uri})
    assert isinstance(world.consent(world.sign_in(asked)), Redirected)
    with pytest.raises(OAuthError, match="invalid request_uri"):
        world.ask(**{**ELSEWHERE, "request_uri": uri})
    done = world.sign_in(other)  # in another tab it was under way
    assert isinstance(done, Redirected)
    assert done.parameters["error"] == "invalid_request_uri"


@pytest.mark.proves("C37")
def test_it_is_of_its_client_and_soon_over(world: World) -> None:
    world.add_client("other")
    uri = push_one(world)
    with pytest.raises(OAuthError, match="invalid request_uri"):
        world.ask(**{**ELSEWHERE, "client_id": "other", "request_uri": uri})
    with pytest.raises(OAuthError, match="invalid request_uri"):
        world.ask(**{**ELSEWHERE, "request_uri": uri[:-1]})
    world.issuer.clock.move(60)
    with pytest.raises(OAuthError, match="invalid request_uri"):
        world.ask(**{**ELSEWHERE, "request_uri": uri})


@pytest.mark.proves("C37")
@pytest.mark.parametrize(
    "changes,expected",
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, (400, "invalid_request")),
        ({"redirect_uri": "https://evil.test"}, (400, "invalid_request")),
        ({"code_challenge": ""}, (400, "invalid_request")),
        ({"scope": "openid phone"}, (400, "invalid_scope")),
        ({"response_type": "token"}, (400, "unsupported_response_type")),
        ({"client_id": "other"}, (401, "invalid_client")),
    ],
)
def test_what_is_wrong_is_said_at_once(
    world: World, changes: dict[str, str], expected: tuple[int, str]
) -> None:
    assert refusal(push(world, **changes)) == expected


@pytest.mark.proves("C37")
def test_nobody_pushes_for_another(world: World) -> None:
    form = {**REQUEST, "client_id": "app"}
    assert refusal(post(world.issuer, "/par", form)) == (401, "invalid_client")


@pytest.mark.proves("C37")
def test_a_client_that_pushes_does_nothing_else() -> None:
    world = World(require_pushed=True)
    done = world.ask()
    assert isinstance(done, Redirected)
    assert done.parameters["error"] == "invalid_request"
    assert isinstance(world.ask(**{**ELSEWHERE, "request_uri": push_one(world)}), PersonAsked)
