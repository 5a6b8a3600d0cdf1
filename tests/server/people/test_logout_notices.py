"""Clients are told that a session ended: a real one, at a real address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from dojang.fetch import (
    FetchFailed,
    FetchProblem,
    FetchRequest,
    FetchResponse,
    OutwardTransport,
)
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.logout_token import EVENT, MEDIA_TYPE
from dojang.server.logout_notices import AT_ONCE_TO_ONE, KEPT, deliver_notices
from dojang.server.people import LogoutNotice
from dojang.server.ports import Put
from dojang.testing.inline import run
from tests.origin import Answer, Origin
from tests.server.front_door import get, read
from tests.server.people.world import World, read_claims


@pytest.fixture
def relying_party() -> Iterator[Origin]:
    with Origin() as origin:
        origin.answers["/logout"] = lambda _: Answer(200, b"")
        yield origin


@pytest.fixture
def world(relying_party: Origin) -> World:
    return World(backchannel_logout_uri=f"{relying_party.url}/logout")


def deliver(world: World, *permitted: str) -> None:
    async def deliver_all() -> None:
        transport = OutwardTransport(permitted=permitted or ["127.0.0.0/8"])
        await deliver_notices(world.issuer.provider, transport)
        await transport.aclose()

    asyncio.run(deliver_all())


def end_session(world: World) -> dict[str, Any]:
    claims = read_claims(world.get_tokens()["id_token"])
    world.perform("session.end", session_id=claims["sid"])
    return claims


def read_notices(world: World, relying_party: Origin) -> list[dict[str, Any]]:
    keys = KeySet.parse(read(get(world.issuer, "/.well-known/jwks.json")))
    verifier = JwtVerifier(keys, algorithms={"ES256"}, types={MEDIA_TYPE})
    return [verifier.verify(each.form["logout_token"]).claims for each in relying_party.requests]


@pytest.mark.proves("C104", "K6")
def test_a_client_is_told_which_session_ended(world: World, relying_party: Origin) -> None:
    claims = end_session(world)
    deliver(world)
    deliver(world)
    (told,) = read_notices(world, relying_party)
    jti = told.pop("jti")
    assert told == {
        "iss": world.issuer.url,
        "aud": "app",
        "sub": claims["sub"],
        "sid": claims["sid"],
        "iat": world.now,
        "exp": world.now + 120,
        "events": {EVENT: {}},
    }
    assert jti != claims.get("jti")
    assert "nonce" not in told


@pytest.mark.proves("C104")
def test_a_logout_token_is_no_id_token(world: World, relying_party: Origin) -> None:
    end_session(world)
    deliver(world)
    token = relying_party.requests[0].form["logout_token"]
    done = world.ask(id_token_hint=token)
    assert getattr(done, "parameters", {}).get("error") == "invalid_request"


@pytest.mark.proves("C105")
def test_it_is_told_again_until_it_has_heard(world: World, relying_party: Origin) -> None:
    relying_party.answers["/logout"] = lambda _: Answer(503, b"")
    end_session(world)
    for pause in (5, 10, 20):
        deliver(world)
        before = len(relying_party.requests)
        world.issuer.clock.move(pause - 1)
        deliver(world)
        assert len(relying_party.requests) == before
        world.issuer.clock.move(1)
    relying_party.answers["/logout"] = lambda _: Answer(204, b"")
    deliver(world)
    world.issuer.clock.move(KEPT)
    deliver(world)
    notices = read_notices(world, relying_party)
    assert len(notices) == 4
    assert len({notice["jti"] for notice in notices}) == 4
    assert len({notice["sid"] for notice in notices}) == 1


@pytest.mark.proves("C100", "C105")
def test_nothing_is_told_to_an_internal_address(world: World, relying_party: Origin) -> None:
    end_session(world)
    deliver(world, "10.0.0.0/8")
    assert relying_party.requests == []
    (waiting,) = run(world.issuer.provider.store.list_all(LogoutNotice))
    assert waiting.attempts == 1


@pytest.mark.proves("C105")
def test_one_that_never_hears_is_given_up(world: World, relying_party: Origin) -> None:
    relying_party.answers["/logout"] = lambda _: Answer(500, b"")
    end_session(world)
    world.issuer.clock.move(KEPT + 1)
    run(world.issuer.provider.maintain())
    assert run(world.issuer.provider.store.list_all(LogoutNotice)) == []


@pytest.mark.proves("C105")
def test_one_that_is_gone_keeps_no_other_from_hearing(world: World, relying_party: Origin) -> None:
    world.add_client("gone", backchannel_logout_uri="http://127.0.0.1:9/logout")
    world.get_tokens()
    world.get_code(client_id="gone")
    end_session(world)
    deliver(world)
    assert [notice["aud"] for notice in read_notices(world, relying_party)] == ["app"]
    (left,) = run(world.issuer.provider.store.list_all(LogoutNotice))
    assert left.client_id == "gone"


class SlowOutward:
    """`Outward` to a client that never answers, and others that do. It notes whom it is to tell."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def check(self, url: str) -> None:
        pass

    async def send(self, request: FetchRequest) -> FetchResponse:
        self.asked.append(request.host)
        await asyncio.sleep(0)
        if request.host == "slow.test":
            raise FetchFailed(request.host, FetchProblem.TIMEOUT)
        return FetchResponse(200, {}, b"")


@pytest.mark.proves("C105")
def test_one_that_never_answers_takes_no_time_of_others() -> None:
    """Whoever registers it can end as many sessions as they like: each delivery lasts seconds."""
    world = World(backchannel_logout_uri="https://app.test/logout")
    world.add_client("slow", backchannel_logout_uri="https://slow.test/logout")
    store = world.issuer.provider.store
    notices = [
        LogoutNotice(
            notice_id=f"{place:032}",
            client_id="app" if place == 99 else "slow",
            session_id=f"session-{place}",
            sub="account-hong",
            due_at=world.now,
            expires_at=world.now + KEPT,
        )
        for place in range(100)
    ]
    run(store.commit([Put(notice) for notice in notices]))
    outward = SlowOutward()
    asyncio.run(deliver_notices(world.issuer.provider, outward))
    assert outward.asked.count("app.test") == 1
    assert outward.asked.count("slow.test") <= AT_ONCE_TO_ONE
    left = run(store.list_all(LogoutNotice))
    assert len(left) == 99
    assert sum(notice.due_at == world.now for notice in left) >= 99 - AT_ONCE_TO_ONE


@pytest.mark.proves("C62", "C105")
def test_every_way_to_end_a_session_tells(world: World, relying_party: Origin) -> None:
    for operation, parameters in [
        ("user.sign_out", {"username": "hong"}),
        ("user.set_password", {"username": "hong", "password": "correct horse battery staple"}),
        ("revoke.account", {"subject": "account-hong"}),
        ("revoke.session", {}),
    ]:
        sid = read_claims(world.get_tokens()["id_token"])["sid"]
        given = parameters or {"session": sid}
        world.perform(operation, **given)
        deliver(world)
        assert read_notices(world, relying_party)[-1]["sid"] == sid


@pytest.mark.proves("C104")
def test_a_client_that_stays_on_knows_which_session_ended(
    world: World, relying_party: Origin
) -> None:
    """What `offline_access` gave outlives the session, and the client is told of its end."""
    tokens = world.get_tokens(scope="openid offline_access")
    sid = read_claims(tokens["id_token"])["sid"]
    world.perform("session.end", session_id=sid)
    deliver(world)
    assert [notice["sid"] for notice in read_notices(world, relying_party)] == [sid]
    assert world.refresh(tokens["refresh_token"]).status == 200
