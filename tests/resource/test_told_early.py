"""The hybrid verifier and facts that are told while a question is held."""

from collections.abc import Callable

import pytest

from dojang.fetch import FetchFailed, drive
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.resource import (
    ClientSecretBasic,
    Expect,
    FeedState,
    Follower,
    Hybrid,
    HybridVerifier,
    Introspection,
    Local,
    Refusal,
    RefusalReason,
    Unavailable,
    WhenStale,
)
from dojang.testing import SettableClock
from tests.scripted_issuer import AUDIENCE, Held, ScriptedIssuer, Wire

CREDENTIALS = ClientSecretBasic("orders", "secret")
CLAIMS = {"jti": "its-own", "sid": "session", "sub": "her", "grant": "grant-7"}


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def issuer(clock: SettableClock) -> ScriptedIssuer:
    return ScriptedIssuer(clock=clock)


@pytest.fixture
def verifier(issuer: ScriptedIssuer, clock: SettableClock) -> HybridVerifier:
    """On a view that is fresh now."""
    follower = Follower(
        issuer.url, credentials=CREDENTIALS, transport=issuer, clock=clock, by_hand=True
    )
    introspection = Introspection(credentials=CREDENTIALS, transport=issuer, clock=clock)
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    local = Local(transport=issuer, clock=clock)
    built: HybridVerifier = Hybrid(introspection=introspection, local=local, follow=follower).build(
        expect
    )
    follower.poll()
    return built


def find_follower(verifier: HybridVerifier) -> Follower:
    assert verifier.follower is not None
    return verifier.follower


def is_revoked(verifier: HybridVerifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except Refusal as refusal:
        return refusal.reason is RefusalReason.REVOKED
    return False


def hold_and(
    verifier: HybridVerifier, issuer: ScriptedIssuer, do: Callable[[Held], object]
) -> Follower:
    """One question, while which is held this is done."""
    done = []

    def hold(held: Held) -> None:
        do(held)
        done.append(held)

    issuer.hold = hold
    follower = find_follower(verifier)
    follower.ask(Wire(issuer))
    assert len(done) == 1
    return follower


@pytest.mark.proves("V3", "C87", "C92")
@pytest.mark.parametrize("kind", FactKind)
@pytest.mark.parametrize("seen", range(3))
def test_a_fact_of_any_kind_ends_what_it_names_before_the_answer(
    issuer: ScriptedIssuer, verifier: HybridVerifier, kind: FactKind, seen: int
) -> None:
    """And nothing that began later, but for what a leaked key signs."""
    identifiers = [*CLAIMS.values(), "machine", "access-1", issuer.url]
    kinds = [
        FactKind.TOKEN,
        FactKind.SESSION,
        FactKind.ACCOUNT,
        FactKind.GRANT,
        FactKind.CLIENT,
        FactKind.KEY,
        FactKind.EVERYTHING,
    ]
    issuer.revoke(FactKind.TOKEN, "something")
    find_follower(verifier).poll()
    token, other = issuer.token(**CLAIMS), issuer.token(client_id="app", sub="him", grant="g")
    for _ in range(seen):
        assert not is_revoked(verifier, token)
        assert not is_revoked(verifier, other)

    def do(held: Held) -> None:
        issuer.revoke(kind, identifiers[kinds.index(kind)])
        assert not is_revoked(verifier, token) or not seen
        held.tell(2)
        ends_all = kind in (FactKind.KEY, FactKind.EVERYTHING)
        later = issuer.token(**{**CLAIMS, "jti": "later"})
        for _ in range(3):
            assert is_revoked(verifier, token)
            assert is_revoked(verifier, other) is ends_all
            assert is_revoked(verifier, later) is (kind is FactKind.KEY)
        assert find_follower(verifier).position == Rev(1, 1)

    follower = hold_and(verifier, issuer, do)
    assert (follower.position, follower.status().failure) == (Rev(1, 2), None)
    assert is_revoked(verifier, token)
    assert issuer.count("/introspect") == 0


@pytest.mark.proves("V3", "C87")
def test_many_that_are_warm_end_each_with_its_own_notice(
    issuer: ScriptedIssuer, verifier: HybridVerifier
) -> None:
    tokens = [issuer.token(jti=f"jti-{number}", sub=f"sub-{number}") for number in range(20)]
    for token in tokens * 2:
        verifier.verify(token)

    def do(held: Held) -> None:
        for number in range(20):
            kind, name = (FactKind.TOKEN, "jti") if number % 2 else (FactKind.ACCOUNT, "sub")
            issuer.revoke(kind, f"{name}-{number}")
            held.tell(number + 1)
            ended = [is_revoked(verifier, token) for token in tokens]
            assert ended == [other <= number for other in range(20)]

    hold_and(verifier, issuer, do)


@pytest.mark.proves("V3", "C92", "F6")
@pytest.mark.parametrize("when_stale", WhenStale)
def test_a_notice_ends_on_a_stale_view_and_makes_it_no_fresher(
    issuer: ScriptedIssuer,
    verifier: HybridVerifier,
    clock: SettableClock,
    when_stale: WhenStale,
) -> None:
    """What is dead is refused however old the view is; about what lives it decides nothing."""
    dead, alive = issuer.token(**CLAIMS), issuer.token(sub="him", jti="alive")
    for token in (dead, alive) * 2:
        verifier.verify(token)
    clock.move(60)
    proven_at = find_follower(verifier).proof.at

    def do(held: Held) -> None:
        issuer.revoke(FactKind.ACCOUNT, "her")
        held.tell(1)
        status = verifier.feed_status()
        assert status is not None
        assert (status.state, status.age) == (FeedState.STALE, 60)
        assert is_revoked(verifier, dead)
        asked = issuer.count("/introspect")
        if when_stale is WhenStale.REFUSE:
            with pytest.raises(Unavailable):
                verifier.verify(alive, when_stale=when_stale)
        else:
            verifier.verify(alive, when_stale=when_stale)
        assert issuer.count("/introspect") == asked + (when_stale is WhenStale.ASK)
        issuer.change_response = lambda response: response._replace(body=b"")

    follower = hold_and(verifier, issuer, do)
    assert follower.proof.at == proven_at


@pytest.mark.proves("C91", "C92", "F6")
def test_a_forged_notice_ends_no_token(issuer: ScriptedIssuer, verifier: HybridVerifier) -> None:
    tokens = [issuer.token(**CLAIMS), issuer.token()]
    verifier.verify(tokens[0])
    verifier.verify(tokens[0])
    issuer.revoke(FactKind.EVERYTHING, issuer.url)
    lies: list[Callable[[Held], None]] = [
        lambda held: held.tell(1, proof_key=bytes(31) + b"\1"),
        lambda held: held.tell(1, epoch=2),
    ]
    for lie in lies:
        issuer.hold = lie
        run = find_follower(verifier).exchange.run
        with pytest.raises(FetchFailed, match="malformed"):
            drive(run(None, hold=0.5, timeout=1.0, notices=True), issuer)
        assert not any(is_revoked(verifier, token) for token in tokens)
    find_follower(verifier).poll()
    assert all(is_revoked(verifier, token) for token in tokens)
