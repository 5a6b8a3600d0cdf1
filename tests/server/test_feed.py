"""The feed at its front door: pages that are typed, signed with keys of their own, numbered without
gaps and chained; replay from a cursor; snapshots (C91)."""

import pytest

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.feed import MOST_PAGES, MOST_RECORDS, Record
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.lifetimes import DRAIN, FACT_LIFE
from dojang.server.model import AppendFact
from dojang.testing import Issuer
from dojang.testing.inline import run
from dojang.trust.revocations import RevocationView
from tests.server.follower import CLIENT, ORDERS, HandFollower, open_feed
from tests.server.front_door import NOW, bearer, decode_jwt, get, open_issuer, read


@pytest.fixture
def issuer() -> Issuer:
    return open_feed(open_issuer())


@pytest.fixture
def follower(issuer: Issuer) -> HandFollower:
    """One that stands where the record of facts ends."""
    follower = HandFollower(issuer)
    follower.rev, follower.digest = issuer.provider.state.facts.last
    return follower


def append(issuer: Issuer, count: int, *, prefix: str = "t") -> None:
    facts = [
        AppendFact(kind=FactKind.TOKEN, identifier=f"{prefix}{n}", at=NOW, forget_after=NOW + DRAIN)
        for n in range(count)
    ]
    for begins in range(0, count, 1000):  # in process the server takes in no more without a pause
        run(issuer.provider.store.commit(facts[begins : begins + 1000]))
        run(issuer.provider.state.reach_barrier())


@pytest.mark.proves("C91", "V3")
def test_every_kind_of_revocation_comes_as_a_record(issuer: Issuer, follower: HandFollower) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    claims = decode_jwt(token)[1]
    issuer.revoke(token)
    issuer.perform("revoke.grant", grant=claims["grant"])
    issuer.revoke_key()
    issuer.revoke_client()  # which nobody has asked the server about before the follower does
    (page,) = follower.catch_up()
    expected = [
        (FactKind.TOKEN, claims["jti"], FACT_LIFE),
        (FactKind.GRANT, claims["grant"], FACT_LIFE),
        (FactKind.KEY, decode_jwt(token)[0]["kid"], DRAIN),  # by then nobody has the key
        (FactKind.CLIENT, claims["client_id"], FACT_LIFE),
    ]
    tag = follower.tagger.tag
    assert page.records == tuple(
        Record(kind, tag(kind, identifier), NOW + life) for kind, identifier, life in expected
    )
    assert page.as_of == NOW
    assert follower.ask().pages == ()


@pytest.mark.proves("C91")
def test_pages_are_typed_and_signed_with_keys_that_sign_nothing_else(
    issuer: Issuer, follower: HandFollower
) -> None:
    append(issuer, 1)
    follower.catch_up()
    header, _ = decode_jwt(follower.signed[0])
    assert (header["typ"], header["alg"]) == ("dojang-feed+jwt", "RS256")
    public = {key["kid"] for key in read(get(issuer, "/.well-known/jwks.json"))["keys"]}
    own = {key["kid"] for key in follower.lease.feed_keys["keys"]}
    assert header["kid"] in own
    assert not own & public
    assert not any({"d", "p", "q", "k"} & key.keys() for key in follower.lease.feed_keys["keys"])


@pytest.mark.proves("C91")
def test_no_key_of_the_feed_makes_a_token_and_no_key_for_tokens_makes_a_page(
    issuer: Issuer, follower: HandFollower
) -> None:
    issuer.add_resource("urn:rsa", ["x"], algorithm="RS256", introspectors=[CLIENT])
    token = issuer.token(scopes=["x"], audience="urn:rsa")
    with pytest.raises(InvalidToken):
        follower.verifier.verify(token)
    feed = issuer.provider.state.keys.at(NOW).feed
    assert feed is not None
    keys = KeySet.parse(follower.lease.feed_keys)
    as_token = JwtVerifier(keys, algorithms=["RS256"], types=["at+jwt"])
    append(issuer, 1)
    follower.catch_up()
    with pytest.raises(InvalidToken):
        as_token.verify(follower.signed[0])
    assert issuer.introspect(follower.signed[0], audience="urn:rsa") == {"active": False}


@pytest.mark.proves("C91")
def test_a_cursor_anywhere_in_the_record_is_led_to_its_end(
    issuer: Issuer, follower: HandFollower
) -> None:
    """Whoever asks, from wherever: the same facts in the same places, chained."""
    start = follower.rev, follower.digest
    places = [start]
    for count in (1, 2, 147, 1, 300, 5, 1, 1, 1, 1, 1, 1, 1, 1, 20):
        append(issuer, count, prefix=f"{count}-")
        follower.catch_up()
        places.append((follower.rev, follower.digest))
    everything = [record for page in follower.pages for record in page.records]
    for rev, digest in places:
        again = HandFollower(issuer)
        again.rev, again.digest = rev, digest
        again.catch_up()
        records = [record for page in again.pages for record in page.records]
        assert records == everything[rev.number - start[0].number :]
        assert (again.rev, again.digest) == (follower.rev, follower.digest)


@pytest.mark.proves("C91")
def test_more_than_an_answer_holds_comes_in_several(issuer: Issuer, follower: HandFollower) -> None:
    most = MOST_PAGES * MOST_RECORDS
    append(issuer, most + 1000)
    answer = follower.ask()
    assert not answer.snapshot
    assert len(answer.pages) == MOST_PAGES
    pages = [follower.read(signed) for signed in answer.pages]
    follower.rev, follower.digest = Rev(1, pages[-1].last), pages[-1].after
    assert follower.rev < answer.rev
    follower.catch_up()
    assert (follower.rev, follower.digest) == (answer.rev, answer.digest)


@pytest.mark.proves("C91")
@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": "0"},
        {"epoch": "2"},
        {"head": "999"},
        {"digest": base64url.encode(b"x" * 32)},
    ],
    ids=str,
)
def test_a_cursor_of_another_history_needs_a_snapshot(
    issuer: Issuer, follower: HandFollower, wrong: dict[str, str]
) -> None:
    append(issuer, 3)
    follower.catch_up()
    answer = follower.ask(**wrong)
    assert (answer.snapshot, answer.pages) == (True, ())
    assert (answer.rev, answer.digest) == (follower.rev, follower.digest)


@pytest.mark.proves("C91", "V3")
def test_a_snapshot_holds_what_is_remembered_and_pages_lead_on(issuer: Issuer) -> None:
    append(issuer, 500)
    follower = HandFollower(issuer)
    manifest, chunks = follower.load_snapshot()
    assert manifest.rev == issuer.provider.state.position.rev
    assert manifest.as_of == NOW
    view = RevocationView(follower.tagger)
    view.take(chunks, rev=manifest.rev)
    assert len(view) == 500
    assert view.find_killer(view.mark(Rev(1, 0), {"jti": "t499"})) is FactKind.TOKEN
    assert view.find_killer(view.mark(Rev(1, 0), {"jti": "t500"})) is None
    follower.rev, follower.digest = manifest.rev, manifest.digest
    append(issuer, 2, prefix="later")
    (page,) = follower.catch_up()
    assert page.first == manifest.rev.number + 1


@pytest.mark.proves("C91")
def test_a_snapshot_is_made_anew_when_pages_would_be_many(issuer: Issuer) -> None:
    follower = HandFollower(issuer)
    first = follower.load_snapshot()
    append(issuer, 10)
    assert follower.load_snapshot().manifest == first.manifest
    append(issuer, MOST_PAGES * MOST_RECORDS)
    second = follower.load_snapshot()
    assert second.manifest.rev == issuer.provider.state.position.rev


@pytest.mark.proves("C91")
def test_chunks_are_found_by_their_hash_for_as_long_as_somebody_may_fetch_them(
    issuer: Issuer,
) -> None:
    append(issuer, 100)
    follower = HandFollower(issuer)
    (name,) = read(get(issuer, "/feed/snapshot", bearer(follower.lease.lease)))["chunks"]
    append(issuer, MOST_PAGES * MOST_RECORDS)
    follower.load_snapshot()  # another one
    follower.load_chunk(name)
    issuer.clock.move(600)
    run(issuer.provider.feed.exchange())
    for unknown in (name, "0" * 64, "x", "%00", "a" * 1000):
        answer = get(issuer, f"/feed/chunks/{unknown}", bearer(follower.lease.lease))
        assert answer.status == 404


@pytest.mark.proves("C91")
def test_a_page_is_signed_once_for_all_who_need_it(issuer: Issuer) -> None:
    followers = [HandFollower(issuer, name=f"host:{n}") for n in range(20)]
    for each in followers:
        each.catch_up()
    counters = issuer.provider.counters
    before = counters["dojang_feed_pages_signed_total",]
    for _ in range(5):
        append(issuer, 1)
        for each in followers[:10]:
            each.catch_up()
    for each in followers:
        each.catch_up()
    assert counters["dojang_feed_pages_signed_total",] == before + 5
    assert len({each.digest for each in followers}) == 1


@pytest.mark.proves("C91", "K3")
def test_pages_introduce_the_next_key_of_the_feed(issuer: Issuer, follower: HandFollower) -> None:
    append(issuer, 1)
    (page,) = follower.catch_up()
    given = {key.thumbprint for key in KeySet.parse(follower.lease.feed_keys).keys}
    assert set(page.introduces) == given
    assert len(given) == 2  # the one that signs, and its standby

    issuer.perform("keys.rotate", use="feed", algorithm="RS256")
    append(issuer, 1)
    (page,) = follower.catch_up()  # still signed with a key of the lease
    new = set(page.introduces) - given
    assert len(new) == 1
    later = HandFollower(issuer)
    assert new < {key.thumbprint for key in KeySet.parse(later.lease.feed_keys).keys}


@pytest.mark.proves("C91", "K6")
def test_a_leaked_key_of_the_feed_signs_no_page_and_ends_every_lease(
    issuer: Issuer, follower: HandFollower
) -> None:
    append(issuer, 1)
    follower.catch_up()
    leaked = decode_jwt(follower.signed[-1])[0]["kid"]
    issuer.perform("keys.revoke", kid=leaked)
    assert follower.send().status == 401
    follower.join()
    assert leaked not in {key["kid"] for key in follower.lease.feed_keys["keys"]}
    follower.catch_up()
    assert decode_jwt(follower.signed[-1])[0]["kid"] != leaked


@pytest.mark.proves("V3")
def test_the_answer_changes_with_the_key_set_of_access_tokens(
    issuer: Issuer, follower: HandFollower
) -> None:
    first = follower.ask().keys_digest
    issuer.perform("keys.rotate", use="feed", algorithm="RS256")
    issuer.perform("keys.rotate", use="seal", algorithm="A256GCM")
    assert follower.ask().keys_digest == first
    issuer.rotate_keys()
    assert follower.ask().keys_digest != first


@pytest.mark.proves("F7")
def test_without_the_database_nothing_is_proven(issuer: Issuer, follower: HandFollower) -> None:
    with issuer.without_database():
        assert follower.send().status == 503
        assert get(issuer, "/feed/snapshot", bearer(follower.lease.lease)).status == 503
    assert follower.ask().pages == ()
