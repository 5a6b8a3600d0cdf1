"""Keys rotate on a schedule, stay while a token of theirs may live, and end at once when leaked."""

import json
from typing import Any

import pytest

from dojang.jose.errors import InvalidToken
from dojang.jose.jwt import JwtVerifier
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.administration import OperationRefused
from dojang.server.key_plans import Schedule
from dojang.server.lifetimes import DRAIN, JWKS_MAX_AGE, LONGEST_ACCESS_TOKEN, RETENTION
from dojang.server.model import KeyUse
from dojang.server.ports import Conflict, DropKey
from dojang.server.provider import Provider, initialise
from dojang.server.rotation import tend_keys
from dojang.server.verifiers import POLLING
from dojang.storage.memory import MemoryStore
from dojang.testing import Issuer, SettableClock
from dojang.testing.feed_keys import share_feed_keys
from dojang.testing.inline import run
from tests.server.fleet import fetch_keys
from tests.server.front_door import NOW, ORDERS, decode_jwt, open_issuer

DAY = 86_400
FIRST = {KeyUse.ACCESS_TOKEN: "ES256", KeyUse.SEAL: "A256GCM", KeyUse.FEED: "RS256"}
LINES = FIRST | {KeyUse.ID_TOKEN: "ES256"}  # once a client signs people in


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"], access_token_lifetime=LONGEST_ACCESS_TOKEN)
    keys = issuer.provider.state.keys.plan_pair(KeyUse.ID_TOKEN, "ES256", now=NOW - 30 * DAY)
    run(issuer.provider.store.commit(keys))
    return issuer


def list_keys(issuer: Issuer, use: KeyUse, *states: str) -> list[str]:
    keys = issuer.perform("keys.list")["keys"]
    return [key["kid"] for key in keys if key["use"] == use and key["state"] in states]


def count_states(provider: Provider) -> dict[str, int]:
    now = int(provider.clock.now())
    records = provider.state.keys.records
    dated = [key for key in records if key.active_from is not None and key.active_from > now]
    signing = [key for key in records if key.active_until is None and key.active_from is not None]
    return {"keys": len(records), "dated": len(dated), "signing": len(signing)}


def start(store: MemoryStore, clock: SettableClock, schedule: Schedule) -> Provider:
    settings: dict[str, Any] = {
        "issuer": "https://issuer.test",
        "store": store,
        "key_encryption_key": bytes(32),
    }
    return run(Provider.start(**settings, clock=clock, schedule=schedule))


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    run(
        initialise(
            issuer="https://issuer.test",
            store=store,
            clock=SettableClock(NOW),
            key_encryption_key=bytes(32),
            feed_keys=share_feed_keys(),
        )
    )
    return store


@pytest.mark.proves("K3")
def test_keys_of_every_line_rotate_when_they_are_due(issuer: Issuer) -> None:
    issuer.clock.move(59 * DAY)  # an issuer of the tests is 30 days old
    run(tend_keys(issuer.provider))
    before = {use: list_keys(issuer, use, "active") for use in KeyUse}
    issuer.clock.move(DAY)
    for _ in range(3):
        run(tend_keys(issuer.provider))
        issuer.clock.move(1)
    for use in KeyUse:
        assert list_keys(issuer, use, "retained") == before[use]
        assert len(list_keys(issuer, use, "active")) == 1
        assert len(list_keys(issuer, use, "upcoming")) == 1
    records = issuer.perform("audit.list", limit=1000)["records"]
    rotated = [each["target"] for each in records if each["action"] == "key.rotate"]
    assert sorted(rotated) == sorted(f"{use} {algorithm}" for use, algorithm in LINES.items())
    assert {each["actor"] for each in records if each["action"] == "key.rotate"} == {"dojang"}


@pytest.mark.proves("K3", "C96")
def test_a_schedule_goes_on_for_a_year(store: MemoryStore) -> None:
    clock = SettableClock(NOW)
    provider = start(store, clock, Schedule(rotate_after=30 * DAY))
    for _ in range(12):
        clock.move(30 * DAY)
        for _ in range(2):
            run(tend_keys(provider))
            clock.move(1)
        run(provider.maintain())
        run(provider.state.reach_barrier())
        # Of each line: what signed before, what signs, what stands by.
        assert count_states(provider) == {"keys": 9, "dated": 0, "signing": 3}


@pytest.mark.proves("K3")
def test_only_a_schedule_that_is_there_rotates(store: MemoryStore) -> None:
    clock = SettableClock(NOW + 3650 * DAY)
    provider = start(store, clock, Schedule(rotate_after=None))
    before = provider.state.keys.records
    run(tend_keys(provider))
    assert provider.state.keys.records == before


@pytest.mark.proves("K3", "C96")
def test_a_standby_that_is_lost_is_replaced(store: MemoryStore) -> None:
    provider = start(store, SettableClock(NOW), Schedule())
    standbys = [key for key in provider.state.keys.records if key.active_from is None]
    run(store.commit([DropKey(key.kid, key.version) for key in standbys]))
    run(tend_keys(provider))
    made = [key for key in provider.state.keys.records if key.active_from is None]
    assert sorted(key.use for key in made) == sorted(FIRST)


@pytest.mark.proves("K3")
def test_two_nodes_that_both_lead_rotate_once(store: MemoryStore) -> None:
    clock = SettableClock(NOW + 90 * DAY)
    first, second = (start(store, clock, Schedule()) for _ in range(2))

    async def commit_first(changes: Any) -> Any:
        """Between plan and commit the other node does it all."""
        store.commit = whole  # type: ignore[method-assign]
        await tend_keys(second)
        return await whole(changes)

    whole = store.commit
    store.commit = commit_first  # type: ignore[method-assign]
    run(tend_keys(first))
    run(tend_keys(first))
    assert count_states(first) == count_states(second)
    assert count_states(first)["keys"] == 9
    records = run(store.load_audit(limit=1000))
    assert len([each for each in records if each.event.action == "key.rotate"]) == 3


@pytest.mark.parametrize("use", KeyUse)
@pytest.mark.proves("C96", "F3")
def test_a_key_is_not_removed_while_a_token_of_it_may_live(issuer: Issuer, use: KeyUse) -> None:
    (signing,), (standby,) = list_keys(issuer, use, "active"), list_keys(issuer, use, "upcoming")
    with pytest.raises(OperationRefused, match="until 3960 seconds after another has taken over"):
        issuer.perform("keys.remove", kid=signing)
    with pytest.raises(OperationRefused, match="is to sign") as refused:
        issuer.perform("keys.remove", kid=standby)
    assert refused.value.status == 409
    assert "keys revoke" in refused.value.detail
    issuer.perform("keys.rotate", use=use, algorithm=LINES[use])
    for second in (0, 1, DRAIN, RETENTION - 1):
        issuer.clock.move_to(NOW + second)
        with pytest.raises(OperationRefused, match="may live until 2027-01-15 09:06:00Z"):
            issuer.perform("keys.remove", kid=signing)
    issuer.clock.move(1)
    left = issuer.perform("keys.remove", kid=signing)["keys"]
    assert signing not in [key["kid"] for key in left]
    with pytest.raises(OperationRefused, match="no key") as refused:
        issuer.perform("keys.remove", kid=signing)
    assert refused.value.status == 404


@pytest.mark.proves("C96")
def test_a_key_stays_as_long_as_a_token_of_it_and_a_cache_may(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    kid = decode_jwt(token)[0]["kid"]
    issuer.rotate_keys()
    issuer.clock.move(LONGEST_ACCESS_TOKEN + JWKS_MAX_AGE)
    run(issuer.provider.maintain())
    assert kid in fetch_keys(issuer).kids
    issuer.clock.move(RETENTION)
    run(issuer.provider.maintain())
    assert kid not in [key["kid"] for key in issuer.perform("keys.list")["keys"]]


@pytest.mark.proves("C96")
def test_a_key_that_waits_to_sign_is_not_removed(issuer: Issuer) -> None:
    issuer.rotate_keys()
    (dated,) = list_keys(issuer, KeyUse.ACCESS_TOKEN, "upcoming")
    issuer.rotate_keys()
    with pytest.raises(OperationRefused, match="is to sign"):
        issuer.perform("keys.remove", kid=dated)
    (signing,) = list_keys(issuer, KeyUse.ACCESS_TOKEN, "active")
    with pytest.raises(OperationRefused, match="may live until 2027-01-15 09:12:00Z"):
        issuer.perform("keys.remove", kid=signing)


@pytest.mark.proves("K3")
def test_a_key_that_was_revoked_may_be_removed_at_once(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    kid = decode_jwt(token)[0]["kid"]
    issuer.revoke_key(kid)
    issuer.perform("keys.remove", kid=kid)
    records = issuer.perform("audit.list", limit=1000)["records"]
    assert (records[-1]["action"], records[-1]["target"]) == ("key.remove", kid)
    assert issuer.introspect(token, audience=ORDERS) == {"active": False}


@pytest.mark.parametrize("use", KeyUse)
@pytest.mark.proves("C97", "K3")
def test_an_emergency_is_one_commit_of_a_fact_and_the_standby(issuer: Issuer, use: KeyUse) -> None:
    (leaked,), (standby,) = list_keys(issuer, use, "active"), list_keys(issuer, use, "upcoming")
    before = issuer.provider.state.position
    issuer.revoke_key(leaked)
    after = issuer.provider.state.position
    assert (after.head, after.generation) == (before.head + 1, before.generation + 1)
    (fact,) = run(issuer.provider.store.load_facts(Rev(before.epoch, before.head)))
    assert (fact.kind, fact.identifier) == (FactKind.KEY, leaked)
    assert list_keys(issuer, use, "active") == [standby]
    assert len(list_keys(issuer, use, "upcoming")) == 1
    feed = issuer.provider.state.keys.at(NOW).feed
    assert feed is not None
    assert leaked not in json.dumps(feed.jwks)


@pytest.mark.proves("C97", "K3", "F3")
def test_after_an_emergency_a_verifier_with_an_old_key_set_takes_new_tokens(
    issuer: Issuer,
) -> None:
    held = fetch_keys(issuer)
    leaked = issuer.token(scopes=["read"], audience=ORDERS)
    issuer.revoke_key()
    fresh = issuer.token(scopes=["read"], audience=ORDERS)
    verifier = JwtVerifier(held, algorithms=["ES256"], types=["at+jwt"])
    assert verifier.verify(fresh).kid != decode_jwt(leaked)[0]["kid"]
    with pytest.raises(InvalidToken):
        JwtVerifier(fetch_keys(issuer), algorithms=["ES256"], types=["at+jwt"]).verify(leaked)
    for token, active in ((leaked, False), (fresh, True)):
        assert issuer.introspect(token, audience=ORDERS)["active"] is active


@pytest.mark.proves("C97")
def test_every_key_of_a_line_leaks_one_after_the_other(issuer: Issuer) -> None:
    for _ in range(4):
        token = issuer.token(scopes=["read"], audience=ORDERS)
        issuer.revoke_key()
        assert issuer.introspect(token, audience=ORDERS) == {"active": False}
        assert len(list_keys(issuer, KeyUse.ACCESS_TOKEN, "upcoming")) == 1


@pytest.mark.proves("K3")
def test_a_key_that_changed_meanwhile_is_not_removed(issuer: Issuer) -> None:
    (signing,) = list_keys(issuer, KeyUse.ACCESS_TOKEN, "active")
    version = next(key.version for key in issuer.provider.state.keys.records if key.kid == signing)
    issuer.rotate_keys()
    with pytest.raises(Conflict):
        run(issuer.provider.store.commit([DropKey(signing, version)]))


def test_the_wait_for_who_polls_is_what_they_were_told_and_a_leeway() -> None:
    assert POLLING == JWKS_MAX_AGE + 60
    assert RETENTION == LONGEST_ACCESS_TOKEN + JWKS_MAX_AGE + 60
