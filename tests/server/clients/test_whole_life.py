"""A client that registers, signs a person in, and leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dojang.oauth.pkce import build_challenge
from dojang.server.interaction import PersonAsked, Redirected
from dojang.server.registration_policy import RegistrationPolicy
from dojang.testing import Issuer, SettableClock
from tests.server.clients.registering import JSON
from tests.server.front_door import NOW, basic, bearer, post, read, refusal
from tests.server.people.world import ORDERS, VERIFIER, World, read_claims

CALLBACK = "https://blue.test/callback"
POLICY = RegistrationPolicy(
    open_to_everyone=True,
    scopes=("openid", "email", "offline_access"),
    resources={ORDERS: ("orders:read",)},
)


def send(world: World, method: str, path: str, token: str, document: Any = None) -> Any:
    body = b"" if document is None else json.dumps(document).encode()
    return world.issuer.transport.answer(method, path, (JSON, bearer(token)), body)


def register(world: World, **metadata: Any) -> dict[str, Any]:
    document = {
        "redirect_uris": [CALLBACK],
        "client_name": "Blue",
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "ES256",
        **metadata,
    }
    response = send(world, "POST", "/register", "", document)
    assert response.status == 201, response.body
    return read(response)


def sign_in(world: World, client: dict[str, Any], **parameters: str) -> dict[str, Any]:
    asked = world.ask(
        client_id=client["client_id"],
        redirect_uri=CALLBACK,
        code_challenge=build_challenge(VERIFIER),
        **{"scope": "openid email offline_access orders:read", **parameters},
    )
    if isinstance(asked, PersonAsked) and asked.account_id is None:
        asked = world.sign_in(asked)
    assert isinstance(asked, PersonAsked)  # asked for consent, always
    done = world.consent(asked)
    assert isinstance(done, Redirected)
    form = {
        "grant_type": "authorization_code",
        "code": done.parameters["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    response = post(world.issuer, "/token", form, credentials(client))
    assert response.status == 200, response.body
    return read(response)


def credentials(client: dict[str, Any]) -> tuple[bytes, bytes]:
    return basic(client["client_id"], client["client_secret"])


def refresh(world: World, client: dict[str, Any], tokens: dict[str, Any]) -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return post(world.issuer, "/token", form, credentials(client))


@pytest.mark.proves("C100", "C102", "A2", "K6")
def test_a_registered_client_does_what_it_may_until_it_is_gone() -> None:
    world = World(Issuer("https://issuer.test", clock=SettableClock(NOW), registration=POLICY))
    client = register(world)
    tokens = sign_in(world, client)
    assert read_claims(tokens["id_token"])["aud"] == client["client_id"]
    assert world.introspect(tokens["access_token"])["active"] is True
    again = read(refresh(world, client, tokens))
    for scope in ("profile", "orders:write openid"):
        refused = world.ask(client_id=client["client_id"], redirect_uri=CALLBACK, scope=scope)
        assert isinstance(refused, Redirected)
        assert refused.parameters["error"] == "invalid_scope"
    path = f"/register/{client['client_id']}"
    assert send(world, "DELETE", path, client["registration_access_token"]).status == 204
    for gone in (tokens, again):
        assert world.introspect(gone["access_token"])["active"] is False
    assert refusal(refresh(world, client, again)) == (401, "invalid_client")


@pytest.mark.proves("C100", "C108")
def test_clients_of_one_host_know_a_person_by_one_name_and_others_by_another() -> None:
    world = World(Issuer("https://issuer.test", clock=SettableClock(NOW), registration=POLICY))
    subjects = [
        read_claims(sign_in(world, register(world, subject_type=kind))["id_token"])["sub"]
        for kind in ("pairwise", "pairwise", "public")
    ]
    assert subjects[0] == subjects[1] != subjects[2]


@pytest.mark.proves("C40")
@pytest.mark.parametrize(
    "changes, remembered",
    [
        ({}, True),
        ({"redirect_uris": [CALLBACK, "https://blue.test/other"]}, True),
        ({"client_name": "The Bank"}, False),
        ({"redirect_uris": [CALLBACK, "https://green.test/callback"]}, False),
        ({"redirect_uris": [CALLBACK, "https://blue.test:8443/callback"]}, False),
    ],
)
def test_a_client_that_is_shown_as_another_asks_the_person_again(
    changes: dict[str, Any], remembered: bool
) -> None:
    """Whoever has its registration token could have everybody's consent sent elsewhere."""
    world = World(Issuer("https://issuer.test", clock=SettableClock(NOW), registration=POLICY))
    client = register(world)
    sign_in(world, client)
    path = f"/register/{client['client_id']}"
    kept = ("client_id", "client_name", "redirect_uris", "id_token_signed_response_alg")
    later = {**{name: client[name] for name in kept}, **changes}
    assert send(world, "PUT", path, client["registration_access_token"], later).status == 200
    wanted = {"client_id": client["client_id"], "redirect_uri": CALLBACK, "scope": "openid email"}
    asked = world.ask(**wanted)
    assert isinstance(asked, Redirected if remembered else PersonAsked)
    if isinstance(asked, PersonAsked):
        world.issuer.clock.move(1)
        assert isinstance(world.consent(world.ask(**wanted)), Redirected)
        assert isinstance(world.ask(**wanted), Redirected)
        assert isinstance(world.ask(**{**wanted, "scope": "openid orders:read"}), PersonAsked)


@pytest.mark.proves("C102")
def test_what_a_client_gives_up_it_has_no_more() -> None:
    world = World(Issuer("https://issuer.test", clock=SettableClock(NOW), registration=POLICY))
    client = register(world)
    tokens = sign_in(world, client)
    path = f"/register/{client['client_id']}"
    later = {
        "client_id": client["client_id"],
        "redirect_uris": [CALLBACK],
        "id_token_signed_response_alg": "ES256",
        "scope": "openid",
    }
    assert send(world, "PUT", path, client["registration_access_token"], later).status == 200
    assert refusal(refresh(world, client, tokens)) == (400, "invalid_grant")  # it refreshes no more
