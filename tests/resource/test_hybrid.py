"""The pushed hybrid: what the view decides, until when, and what happens then."""

import asyncio
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any

import pytest

from dojang.jose import base64url
from dojang.jose.keys import SigningKey
from dojang.oauth.feed import Record
from dojang.oauth.revocation_fact import FactKind
from dojang.resource import (
    ClientSecretBasic,
    Expect,
    FeedState,
    FeedStatus,
    Follower,
    Hybrid,
    HybridVerifier,
    Introspection,
    Local,
    LocalVerifier,
    Refusal,
    RefusalReason,
    Unavailable,
    VerifiedToken,
    WhenStale,
)
from dojang.resource.living import Living
from dojang.testing import SettableClock
from dojang.trust.marks import Marks
from dojang.trust.revocations import RevocationView
from tests.scripted_issuer import AUDIENCE, ScriptedIssuer

Verify = Callable[..., VerifiedToken]

CREDENTIALS = ClientSecretBasic("orders", "secret")
KINDS = {
    FactKind.TOKEN: "jti",
    FactKind.GRANT: "grant",
    FactKind.SESSION: "sid",
    FactKind.CLIENT: "client_id",
    FactKind.ACCOUNT: "sub",
    FactKind.KEY: "kid",
    FactKind.EVERYTHING: "iss",
}


def verify_blocking(verifier: HybridVerifier, token: str, **demand: Any) -> VerifiedToken:
    return verifier.verify(token, **demand)


def verify_async(verifier: HybridVerifier, token: str, **demand: Any) -> VerifiedToken:
    return asyncio.run(verifier.verify_async(token, **demand))


@pytest.fixture(params=[verify_blocking, verify_async])
def verify(request: pytest.FixtureRequest) -> Verify:
    chosen: Verify = request.param
    return chosen


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def issuer(clock: SettableClock) -> ScriptedIssuer:
    return ScriptedIssuer(clock=clock)


@pytest.fixture
def follower(issuer: ScriptedIssuer) -> Follower:
    return Follower(
        issuer.url,
        credentials=CREDENTIALS,
        transport=issuer,
        clock=issuer.clock,
        by_hand=True,
    )


@pytest.fixture
def verifier(issuer: ScriptedIssuer, follower: Follower) -> HybridVerifier:
    """On a view that is fresh now."""
    built = build(issuer, follow=follower)
    follower.poll()
    return built


def build(issuer: ScriptedIssuer, **settings: Any) -> HybridVerifier:
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    introspection = Introspection(credentials=CREDENTIALS, transport=issuer, clock=issuer.clock)
    local = Local(transport=issuer, clock=issuer.clock)
    return Hybrid(introspection=introspection, local=local, **settings).build(expect)


def poll(verifier: HybridVerifier) -> FeedStatus:
    follower = verifier.follower
    assert follower is not None
    return follower.poll()


def reason_of(call: Callable[[], object]) -> RefusalReason:
    with pytest.raises(Refusal) as refusal:
        call()
    return refusal.value.reason


def asked(issuer: ScriptedIssuer) -> int:
    return issuer.count("/introspect")


@pytest.mark.proves("V3")
def test_a_fresh_view_decides_and_nobody_is_asked(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify
) -> None:
    token = issuer.token()
    for _ in range(3):
        assert verify(verifier, token).client_id == "machine"
    assert asked(issuer) == 0


@pytest.mark.proves("V3", "C87")
@pytest.mark.parametrize("kind", FactKind)
@pytest.mark.parametrize("warm", [True, False])
def test_a_fact_of_any_kind_ends_what_it_names(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, kind: FactKind, warm: bool
) -> None:
    claims = {"jti": "its-own", "sid": "session", "sub": "her", "grant": "grant-7"}
    token = issuer.token(**claims)
    if warm:
        verify(verifier, token)
        verify(verifier, token)
    identifiers = {**claims, "client_id": "machine", "kid": "access-1", "iss": issuer.url}
    issuer.revoke(kind, identifiers[KINDS[kind]])
    poll(verifier)
    assert reason_of(lambda: verify(verifier, token)) is RefusalReason.REVOKED
    assert reason_of(lambda: verify(verifier, token)) is RefusalReason.REVOKED
    assert asked(issuer) == 0


@pytest.mark.proves("C97", "V3")
def test_a_key_ends_what_it_made_and_not_what_another_did(
    issuer: ScriptedIssuer, verifier: HybridVerifier
) -> None:
    """Two tokens of one grant, of the old and of the new key; both are warm."""
    another = SigningKey.generate("ES256", "access-2")
    issuer.published.append(another)
    keys = verifier._local.keys
    keys.refresh()
    flight = keys._flight  # type: ignore[attr-defined]
    flight.wait(10)
    first, second = issuer.token(), issuer.token(key=another)
    for token in (first, second) * 2:
        verifier.verify(token)
    issuer.revoke(FactKind.KEY, "access-2")
    poll(verifier)
    assert reason_of(lambda: verifier.verify(second)) is RefusalReason.REVOKED
    assert verifier.verify(first).client_id == "machine"


PARENT = {"jti": "parents", "grant": "parents-grant", "client_id": "app", "kid": "parents-key"}


@pytest.mark.proves("C54", "V3", "C87")
@pytest.mark.parametrize("kind", [FactKind.TOKEN, FactKind.GRANT, FactKind.CLIENT, FactKind.KEY])
@pytest.mark.parametrize("generation", [0, 1])
@pytest.mark.parametrize("seen", range(3))
def test_what_ends_an_ancestor_ends_a_token_seen_or_not(
    issuer: ScriptedIssuer, verifier: HybridVerifier, kind: FactKind, generation: int, seen: int
) -> None:
    other = {name: f"another-{name}" for name in PARENT}
    lineage = [*[other] * generation, PARENT]
    tokens = [issuer.token(jti=f"own-{number}", ancestors=lineage) for number in range(2)]
    innocent = [issuer.token(), issuer.token(ancestors=[other])]
    for _ in range(seen):
        for token in tokens + innocent:
            verifier.verify(token)
    issuer.revoke(kind, PARENT[KINDS[kind]])
    poll(verifier)
    for verify in (verify_blocking, verify_async):
        for token in tokens:
            assert reason_of(lambda: verify(verifier, token)) is RefusalReason.REVOKED  # noqa: B023
        for token in innocent:
            verify(verifier, token)
    assert asked(issuer) == 0


@pytest.mark.proves("C54", "V3")
def test_one_token_in_exchange_says_nothing_of_another(
    issuer: ScriptedIssuer, verifier: HybridVerifier
) -> None:
    """Alike but for what they came of: some are warm, and another is dead at first sight."""
    issuer.revoke(FactKind.TOKEN, "dead")
    poll(verifier)
    alive = [issuer.token(rev=[1, 0], ancestors=[PARENT]) for _ in range(2)]
    dead = issuer.token(rev=[1, 0], ancestors=[{**PARENT, "jti": "dead"}])
    for token in alive * 2:
        verifier.verify(token)
    for _ in range(2):
        assert reason_of(lambda: verifier.verify(dead)) is RefusalReason.REVOKED


@pytest.mark.proves("C54", "C92")
@pytest.mark.parametrize(
    "odd", [None, {}, "x", [None], [{}], [{**PARENT, "kid": 5}], [PARENT, {"jti": "x"}]]
)
def test_about_ancestors_that_cannot_be_read_the_issuer_is_asked(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, odd: object
) -> None:
    token = issuer.token(ancestors=odd)
    verify(verifier, token)
    verify(verifier, token)
    assert asked(issuer) == (0 if odd is None else 2)  # None leaves the claim out
    issuer.active = odd is None
    if odd is not None:
        assert reason_of(lambda: verify(verifier, token)) is RefusalReason.INACTIVE


@pytest.mark.proves("C54", "V3")
@pytest.mark.parametrize(
    "act, actors",
    [
        (None, ()),
        ({"sub": "orders"}, ("orders",)),
        ({"sub": "orders", "act": {"sub": "app"}}, ("orders", "app")),
        ({"sub": "orders", "act": {"client_id": "app"}}, ("orders",)),
        ({"act": {"sub": "app"}}, ()),
        ("orders", ()),
        ({"sub": 5}, ()),
        ({"sub": "orders", "act": ["app"]}, ("orders",)),
    ],
)
def test_a_service_sees_who_acts(
    issuer: ScriptedIssuer, verifier: HybridVerifier, act: object, actors: tuple[str, ...]
) -> None:
    assert verifier.verify(issuer.token(act=act)).actors == actors


ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin(token: str) -> str:
    """The same token under the other signature that fits: (r, n - s) for (r, s)."""
    signing_input, _, segment = token.rpartition(".")
    signature = base64url.decode(segment)
    s = ORDER_OF_P256 - int.from_bytes(signature[32:], "big")
    return f"{signing_input}.{base64url.encode(signature[:32] + s.to_bytes(32, 'big'))}"


@pytest.mark.proves("V3", "C92")
def test_a_fact_ends_every_text_of_a_token(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify
) -> None:
    token = issuer.token(jti="two-faced")
    texts = [token, twin(token)]
    for text in texts * 2:
        verify(verifier, text)
    issuer.revoke(FactKind.TOKEN, "two-faced")
    poll(verifier)
    for text in texts:
        assert reason_of(lambda: verify(verifier, text)) is RefusalReason.REVOKED  # noqa: B023


@pytest.mark.proves("V3")
def test_a_token_is_refused_at_first_sight_where_its_like_lives(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify
) -> None:
    dead = issuer.token(jti="dead")
    verify(verifier, issuer.token(jti="alive"))
    issuer.revoke(FactKind.TOKEN, "dead")
    poll(verifier)
    assert reason_of(lambda: verify(verifier, dead)) is RefusalReason.REVOKED
    verify(verifier, issuer.token(jti="another"))


@pytest.mark.proves("V3")
@pytest.mark.parametrize("kind", FactKind)
def test_a_fact_about_others_ends_nothing(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, kind: FactKind
) -> None:
    token = issuer.token()
    verifier.verify(token)
    issuer.revoke(kind, "another")
    follower.poll()
    assert verifier.verify(token).client_id == "machine"
    assert verifier.verify(token).client_id == "machine"
    assert asked(issuer) == 0


@pytest.mark.proves("V3", "F12")
def test_order_decides_and_not_clocks(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, clock: SettableClock
) -> None:
    before = issuer.token(jti="before", iat=int(clock.now()) + 4)
    unseen = issuer.token(jti="unseen")
    issuer.revoke(FactKind.CLIENT, "machine")
    after = issuer.token(jti="after", iat=int(clock.now()) - 4)
    follower.poll()
    assert reason_of(lambda: verifier.verify(before)) is RefusalReason.REVOKED
    assert verifier.verify(after).token_id == "after"
    for dead in (before, unseen):
        assert reason_of(lambda: verifier.verify(dead)) is RefusalReason.REVOKED  # noqa: B023


@pytest.mark.proves("C92", "V3")
@pytest.mark.parametrize(
    "age, staleness, decides",
    [
        (0, None, True),
        (1.9, None, True),
        (2, None, False),
        (1, 1, False),
        (5, 6, True),
        (0, 0, False),
    ],
)
def test_a_route_relies_on_the_view_within_its_bound(
    issuer: ScriptedIssuer,
    verifier: HybridVerifier,
    age: float,
    staleness: float | None,
    decides: bool,
) -> None:
    token = issuer.token()
    issuer.clock.move(age)
    for number, verify in enumerate((verify_blocking, verify_async, verify_blocking), 1):
        verify(verifier, token, staleness=staleness)
        assert asked(issuer) == (0 if decides else number)
    issuer.active = False  # what a stale view does not know, the issuer does
    if not decides:
        refused = reason_of(lambda: verifier.verify(token, staleness=staleness))
        assert refused is RefusalReason.INACTIVE


@pytest.mark.proves("C92", "F6", "V3")
def test_pages_that_come_late_make_no_route_rely_on_them(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, clock: SettableClock
) -> None:
    token = issuer.token()
    verifier.verify(token)
    issuer.lateness = 60
    for number in range(3):
        issuer.revoke(FactKind.TOKEN, f"other-{number}")
        follower.poll()
        verifier.verify(token)
        assert asked(issuer) == number + 1
        verifier.verify(token, staleness=61)
        assert asked(issuer) == number + 1


@pytest.mark.proves("C92", "V3")
def test_beyond_its_bound_a_route_may_refuse(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, clock: SettableClock
) -> None:
    token = issuer.token()
    verify(verifier, token)
    clock.move(2)
    with pytest.raises(Unavailable) as unavailable:
        verify(verifier, token, when_stale=WhenStale.REFUSE)
    assert unavailable.value.retry_after >= 1
    assert asked(issuer) == 0


@pytest.mark.proves("C92", "V3")
def test_beyond_its_bound_a_route_may_go_on_until_tokens_expire(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, clock: SettableClock
) -> None:
    issuer.revoke(FactKind.TOKEN, "not heard of")
    token = issuer.token(jti="not heard of", rev=[1, 0])
    accept = {"when_stale": WhenStale.ACCEPT_UNTIL_EXPIRY}
    clock.move(300)
    assert verify(verifier, token, **accept).token_id == "not heard of"
    assert asked(issuer) == 0
    clock.move(310)
    assert reason_of(lambda: verify(verifier, token, **accept)) is RefusalReason.EXPIRED


@pytest.mark.proves("C92", "V3")
@pytest.mark.parametrize("mode", WhenStale)
def test_what_the_view_knows_is_refused_in_every_mode_and_at_every_age(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, mode: WhenStale
) -> None:
    token = issuer.token(jti="known")
    verify(verifier, token)
    issuer.revoke(FactKind.TOKEN, "known")
    poll(verifier)
    issuer.clock.move(300)
    for staleness in (None, 0, 301):
        refused = reason_of(lambda: verify(verifier, token, staleness=staleness, when_stale=mode))  # noqa: B023
        assert refused is RefusalReason.REVOKED
    assert asked(issuer) == 0


@pytest.mark.proves("C92", "V3")
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("age", [0, 300])
def test_what_one_route_was_told_is_dead_no_route_takes(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, *, age: int, again: bool
) -> None:
    """The feed is late, and a route that asks every time was first to hear of it."""
    token = issuer.token(jti="dead")
    for _ in range(1 + again):
        verify(verifier, token)
    issuer.active = False
    issuer.clock.move(age)
    assert reason_of(lambda: verify(verifier, token, staleness=0)) is RefusalReason.INACTIVE
    for mode in WhenStale:
        refused = reason_of(lambda: verify(verifier, token, staleness=30, when_stale=mode))  # noqa: B023
        assert refused is RefusalReason.INACTIVE
    assert asked(issuer) == 1  # whose answer is young enough for the others


@pytest.mark.proves("V3")
def test_only_the_issuer_takes_back_that_a_token_is_dead(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify
) -> None:
    token = issuer.token(jti="alive")
    issuer.active = False  # as for a caller that is not the token's service
    assert reason_of(lambda: verify(verifier, token, staleness=0)) is RefusalReason.INACTIVE
    issuer.active = True
    issuer.clock.move(5)  # for so long the answer was kept
    poll(verifier)
    verify(verifier, token)
    verify(verifier, token)
    assert asked(issuer) == 2


@pytest.mark.proves("C92", "V3")
@pytest.mark.parametrize("mode", WhenStale)
def test_a_bound_of_zero_asks_whatever_the_mode(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, mode: WhenStale
) -> None:
    verify(verifier, issuer.token(), staleness=0, when_stale=mode)
    assert asked(issuer) == 1


@pytest.mark.proves("V3")
@pytest.mark.parametrize("mode", WhenStale)
def test_an_issuer_without_a_feed_is_asked_until_it_has_one(
    issuer: ScriptedIssuer, follower: Follower, verify: Verify, mode: WhenStale
) -> None:
    issuer.offered = False
    verifier = build(issuer, follow=follower, when_stale=mode)
    follower.poll()
    token = issuer.token()
    verify(verifier, token)
    assert asked(issuer) == 1
    issuer.offered = True
    follower.poll()
    verify(verifier, token)
    assert asked(issuer) == 1


@pytest.mark.proves("V3", "C92")
@pytest.mark.parametrize(
    "rev", [None, "1.4", [1], [1, 2, 3], [1, "2"], [True, 2], [1, -1], {"a": 1}]
)
def test_a_token_that_no_feed_is_about_is_asked_about(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, rev: object
) -> None:
    token = issuer.token(rev=rev)
    for number in range(1, 3):
        verify(verifier, token, when_stale=WhenStale.ACCEPT_UNTIL_EXPIRY)
        assert asked(issuer) == number


@pytest.mark.proves("V3")
@pytest.mark.parametrize("staleness", [None, 0])
def test_junk_never_reaches_the_issuer(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, staleness: float | None
) -> None:
    forged = issuer.token(key=SigningKey.generate("ES256", "access-1"))
    expired = issuer.token(exp=int(issuer.clock.now()) - 60)
    for junk in ("x", forged, expired, issuer.token(aud="https://other.example")):
        with pytest.raises(Refusal):
            verify(verifier, junk, staleness=staleness)
    assert asked(issuer) == 0


@pytest.mark.proves("C92", "V3")
def test_before_the_first_proof_nothing_is_relied_on(
    issuer: ScriptedIssuer, follower: Follower, verify: Verify
) -> None:
    verifier = build(issuer, follow=follower)
    token = issuer.token()
    verify(verifier, token)
    assert asked(issuer) == 1
    with pytest.raises(Unavailable):
        verify(verifier, token, when_stale=WhenStale.REFUSE)
    verify(verifier, token, when_stale=WhenStale.ACCEPT_UNTIL_EXPIRY)
    assert asked(issuer) == 1


@pytest.mark.proves("C92", "F15", "V3")
def test_an_issuer_that_went_back_is_not_relied_on_and_brings_nothing_back(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier
) -> None:
    dead, alive = issuer.token(jti="dead"), issuer.token(jti="alive")
    issuer.revoke(FactKind.TOKEN, "dead")
    follower.poll()
    issuer.go_back(0)
    issuer.change_answer = lambda answer: answer._replace(snapshot=False)
    follower.poll()
    assert reason_of(lambda: verifier.verify(dead)) is RefusalReason.REVOKED
    assert asked(issuer) == 0
    verifier.verify(alive)
    assert asked(issuer) == 1


@pytest.mark.proves("F12", "V3")
@pytest.mark.parametrize("back", [1, 5, 60, 100, 125, 600, 86_400])
def test_a_clock_set_back_revives_nothing(
    issuer: ScriptedIssuer, verifier: HybridVerifier, verify: Verify, back: float
) -> None:
    clock = issuer.clock
    token = issuer.token(jti="revoked", exp=int(clock.now()) + 60)
    issuer.revoke(FactKind.TOKEN, "revoked", life=65)
    poll(verifier)
    clock.move(130)
    assert poll(verifier).facts == 0  # the fact is forgotten, for the token has expired
    clock.move(-back)
    clock.move(2)
    for staleness in (None, 0, 1000):
        with pytest.raises(Refusal) as refusal:
            verify(verifier, token, staleness=staleness)
        # Where the clock was set back by much the token seems to be of the future besides.
        assert refusal.value.reason in (RefusalReason.EXPIRED, RefusalReason.NOT_YET_VALID)
    poll(verifier)
    with pytest.raises(Refusal):
        verify(verifier, token, when_stale=WhenStale.ACCEPT_UNTIL_EXPIRY)
    assert asked(issuer) == 0


@pytest.mark.proves("F12")
def test_a_warm_token_does_not_outlive_itself(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, clock: SettableClock
) -> None:
    token = issuer.token()
    verifier.verify(token)
    clock.move(604)
    follower.poll()
    verifier.verify(token)
    clock.move(1)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.EXPIRED


@pytest.mark.proves("F12")
def test_a_clock_that_is_put_right_takes_back_what_it_let_in_early(
    issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    wrong = SettableClock(clock.now() + 3600)
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    asking = Introspection(credentials=CREDENTIALS, transport=issuer, clock=wrong)
    strategy = Hybrid(
        introspection=asking, local=Local(transport=issuer, clock=wrong), staleness=60
    )
    verifier = strategy.build(expect)
    poll(verifier)
    at = int(clock.now())
    early = issuer.token(nbf=at + 1800, exp=at + 7200)
    verifier.verify(early)
    verifier.verify(early)
    wrong.move_to(clock.now())
    wrong.move(1)  # time is looked at once a second
    for _ in range(2):
        assert reason_of(lambda: verifier.verify(early)) is RefusalReason.NOT_YET_VALID
        verifier.verify(issuer.token())


@pytest.mark.proves("C97", "K6")
def test_a_leaked_key_is_dropped_with_the_next_answer(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier
) -> None:
    leaked = issuer.token()
    verifier.verify(leaked)
    standby = SigningKey.generate("ES256", "access-2")
    issuer.revoke(FactKind.KEY, "access-1")
    issuer.published, issuer.keys_digest = [standby], "keys-2"
    follower.poll()
    forged = issuer.token(jti="forged", rev=[1, 0])
    for token in (leaked, forged):
        with pytest.raises(Refusal) as refusal:
            verifier.verify(token)
        assert refusal.value.reason in (RefusalReason.REVOKED, RefusalReason.UNKNOWN_KEY)
    assert verifier.verify(issuer.token(key=standby)).client_id == "machine"
    assert asked(issuer) == 0


@pytest.mark.proves("C97")
def test_a_leaked_key_is_dropped_where_the_new_set_cannot_be_had(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier
) -> None:
    token = issuer.token()
    verifier.verify(token)
    issuer.status["/jwks"] = 503
    issuer.revoke(FactKind.KEY, "access-1")
    issuer.keys_digest = "keys-2"
    follower.poll()
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.REVOKED


@pytest.mark.proves("V3")
def test_a_change_of_policy_drops_what_is_warm(issuer: ScriptedIssuer, follower: Follower) -> None:
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    local = Local(transport=issuer, clock=issuer.clock).build(expect)
    asking = Introspection(credentials=CREDENTIALS, transport=issuer, clock=issuer.clock)
    verifier = HybridVerifier(
        local=local, introspection=asking.build(expect), follower=follower, clock=issuer.clock
    )
    follower.poll()
    token = issuer.token()
    verifier.verify(token)
    local.expect = Expect(issuer=issuer.url, audience="https://other.example", algorithms=["ES256"])
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.WRONG_AUDIENCE


@pytest.mark.proves("V3", "C97")
def test_a_change_of_keys_drops_what_is_warm(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, clock: SettableClock
) -> None:
    token = issuer.token()
    verifier.verify(token)
    issuer.published = [SigningKey.generate("ES256", "access-2")]
    keys = verifier._local.keys
    keys.refresh()
    flight = keys._flight  # type: ignore[attr-defined]
    flight.wait(10)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.UNKNOWN_KEY


class Interrupted(RevocationView):
    """Another thread brings a fact in the middle of a look-up."""

    meanwhile: Callable[[], None] | None = None

    def find_killer(self, marks: Marks) -> FactKind | None:
        found = super().find_killer(marks)
        if marks.token is not None and self.meanwhile is not None:  # the last that is asked
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


@pytest.mark.proves("C92", "V3")
@pytest.mark.parametrize("kind", [FactKind.TOKEN, FactKind.GRANT])
def test_a_fact_that_comes_while_a_token_is_looked_up_is_not_missed(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, kind: FactKind
) -> None:
    view = follower.view
    assert view is not None
    view.__class__ = Interrupted
    assert isinstance(view, Interrupted)
    applied = Event()

    def learn() -> None:
        follower.poll()
        applied.set()

    polling = Thread(target=learn)

    def meanwhile() -> None:
        issuer.revoke(kind, "raced")
        polling.start()
        applied.wait(0.1)  # it cannot be proven before the look-up is over

    view.meanwhile = meanwhile
    token = issuer.token(jti="raced", grant="raced")
    verifier.verify(token)
    polling.join(10)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.REVOKED


@pytest.mark.proves("C92", "V3")
def test_what_a_fact_ends_is_gone_before_the_view_counts_as_fresher(
    issuer: ScriptedIssuer,
    follower: Follower,
    verifier: HybridVerifier,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = issuer.token(jti="warm")
    verifier.verify(token)
    before = follower.proof.at
    seen: list[tuple[float, bool]] = []
    evict = Living.evict

    def note(living: Living, records: Sequence[Record]) -> None:
        evict(living, records)
        seen.append((follower.proof.at, token in living.tokens))

    monkeypatch.setattr(Living, "evict", note)
    clock.move(1)
    issuer.revoke(FactKind.TOKEN, "warm")
    follower.poll()
    assert seen == [(before, False)]
    assert follower.proof.at == before + 1


@pytest.mark.proves("V3")
def test_only_so_many_tokens_are_kept_warm(
    issuer: ScriptedIssuer, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dojang.resource.living.MOST_FAMILIES", 3)
    monkeypatch.setattr("dojang.resource.living.MOST_TAGS", 8)
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    asking = Introspection(credentials=CREDENTIALS, transport=issuer, clock=issuer.clock)
    keys = Local(transport=issuer, clock=issuer.clock).build(expect).keys
    for size in (0, 4):
        local = LocalVerifier(expect, keys=keys, clock=issuer.clock, known_tokens=size)
        verifier = HybridVerifier(
            local=local, introspection=asking.build(expect), follower=follower, clock=issuer.clock
        )
        follower.poll()
        for number in range(30):
            token = issuer.token(jti=f"jti-{size}-{number}", sid=f"session-{number // 3}")
            verifier.verify(token)
            verifier.verify(token)
            if number % 5 == 0:
                issuer.revoke(FactKind.SESSION, f"session-{number // 3}")
                issuer.revoke(FactKind.TOKEN, f"jti-{size}-{number}")
                follower.poll()
            living = verifier._living
            assert max(len(living.tokens), len(living._by_own_tag)) <= size
            assert len(living._families) <= 3
            assert len(living._tags) <= 8


@pytest.mark.proves("C92", "V3")
def test_counts_what_became_of_requests(
    issuer: ScriptedIssuer, follower: Follower, verifier: HybridVerifier, clock: SettableClock
) -> None:
    token = issuer.token()
    verifier.verify(token)
    verifier.verify(token)
    asyncio.run(verifier.verify_async(token))
    clock.move(10)
    verifier.verify(token)
    with pytest.raises(Unavailable):
        verifier.verify(token, when_stale=WhenStale.REFUSE)
    verifier.verify(token, when_stale=WhenStale.ACCEPT_UNTIL_EXPIRY)
    status = verifier.feed_status()
    assert status is not None
    assert (status.state, status.age) == (FeedState.STALE, 10)
    assert (status.decided, status.asked, status.refused, status.accepted) == (3, 1, 1, 1)
    assert verifier.feed_status() == status
    follower.poll()
    status = verifier.feed_status()
    assert status is not None
    assert (status.state, status.age, status.position) == (FeedState.FRESH, 0, issuer.position)


@pytest.mark.proves("C92", "V3")
def test_every_change_of_freshness_is_in_the_log_once(
    issuer: ScriptedIssuer,
    follower: Follower,
    clock: SettableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="dojang.trust")
    verifier = build(issuer, follow=follower)
    token = issuer.token()

    def told() -> list[tuple[str, str]]:
        lines = [(each.levelname, each.getMessage()) for each in caplog.records]
        caplog.clear()
        return lines

    follower.poll()
    assert told() == [("INFO", f"the view of the revocations of {issuer.url} is fresh")]
    clock.move(1)
    verifier.verify(token)
    assert told() == []
    issuer.down = True
    clock.move(2)
    follower.poll()
    follower.poll()
    ((level, line),) = told()
    assert level == "WARNING"
    assert line.startswith(f"the view of the revocations of {issuer.url} is stale: ")
    issuer.down = False
    follower.poll()
    assert told() == [("INFO", f"the view of the revocations of {issuer.url} is fresh")]


@pytest.mark.proves("V3")
def test_a_hybrid_is_put_together_of_parts_that_fit(
    issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    other = Follower("https://other.test", credentials=CREDENTIALS, by_hand=True)
    with pytest.raises(ValueError, match="another issuer"):
        build(issuer, follow=other)
    for staleness in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="staleness"):
            build(issuer, staleness=staleness)
    assert build(issuer, follow=False).feed_status() is None
    followed = build(issuer).feed_status()
    assert followed is not None
    assert followed.state is FeedState.STARTING
