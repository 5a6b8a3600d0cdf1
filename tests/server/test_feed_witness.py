"""A database that went back, behind the server's back: followers' proof of more stops it (F15)."""

import logging
from typing import Any

import pytest

from dojang.jose import base64url, json_object
from dojang.jose.jws import CompactSigner
from dojang.jose.keys import SigningKey
from dojang.oauth.feed import MEDIA_TYPE, Page, Record, build_page
from dojang.oauth.http import Request
from dojang.oauth.revocation_fact import FactKind
from dojang.server.lifetimes import DRAIN
from dojang.server.model import AppendFact
from dojang.storage.memory import MemoryStore
from dojang.testing import Issuer
from dojang.testing.inline import run
from dojang.testing.store import SeverableStore
from dojang.web.management import Health
from tests.server.follower import (
    CLIENT,
    ORDERS,
    HandFollower,
    copy_database,
    open_feed,
    put_in_place,
)
from tests.server.front_door import (
    GRANT,
    NOW,
    basic_of,
    bearer,
    get,
    open_issuer,
    post,
    read,
    refusal,
)

OLDER = "the database (it is older than what its followers have seen; run dojang restore)"


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_feed(open_issuer())
    issuer.add_client("shop", {ORDERS: ["read"]})
    return issuer


@pytest.fixture
def follower(issuer: Issuer) -> HandFollower:
    issuer.revoke_client("shop")
    follower = HandFollower(issuer)
    follower.catch_up()
    return follower


class World:
    """A token that was revoked after the backup that is now in the database's place. The store can
    be changed under the running server."""

    def __init__(self, issuer: Issuer, follower: HandFollower) -> None:
        self.issuer, self.follower = issuer, follower
        self.backup = copy_database(issuer)
        self.token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
        issuer.revoke(self.token)
        follower.catch_up()
        self.whole = copy_database(issuer)
        self.store = SeverableStore(self.backup)
        self.provider = put_in_place(issuer, self.store)

    def show(self, witness: str | None = None) -> int:
        """What a question with a witness is answered with: its status."""
        shown = witness or self.follower.signed[-1]
        return self.follower.send(self.follower.build(witness=shown)).status

    def introspect(self) -> dict[str, Any]:
        header = basic_of(self.issuer, CLIENT)
        return read(post(self.issuer, "/introspect", {"token": self.token}, header))

    def missing(self) -> list[str]:
        asked = Request("GET", "/health/ready", b"", (), b"", "127.0.0.1")
        answer = run(Health(self.provider).ready(asked))
        found: list[str] = read(answer).get("missing", [])
        return found


@pytest.fixture
def world(issuer: Issuer, follower: HandFollower) -> World:
    return World(issuer, follower)


def test_without_a_follower_an_old_copy_would_revive_a_token(world: World) -> None:
    """What the other tests here are about."""
    assert world.introspect()["active"] is True
    answer = world.follower.ask()
    assert answer.rev < world.follower.rev  # the server says how far it is, whoever asks


@pytest.mark.proves("F15", "V3", "O3")
def test_a_witness_stops_everything_that_needs_the_database(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    keys = get(world.issuer, "/.well-known/jwks.json")
    assert world.show() == 503
    shop = basic_of(world.issuer, "shop")
    for answer in (
        post(world.issuer, "/token", GRANT, shop),
        post(world.issuer, "/introspect", {"token": world.token}, basic_of(world.issuer, CLIENT)),
        post(world.issuer, "/revoke", {"token": world.token}, shop),
        post(world.issuer, "/feed/join", {"name": "x"}, basic_of(world.issuer, CLIENT)),
        world.follower.send(),
        get(world.issuer, "/feed/snapshot", bearer(world.follower.lease.lease)),
    ):
        assert refusal(answer) == (503, "temporarily_unavailable")
    assert get(world.issuer, "/.well-known/jwks.json").body == keys.body
    assert world.missing() == [OLDER]
    alarms = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert len(alarms) == 1
    assert "dojang restore" in alarms[0].getMessage()
    assert world.follower.lease.lease not in caplog.text


@pytest.mark.proves("F15")
def test_a_manifest_is_a_witness_too(issuer: Issuer, follower: HandFollower) -> None:
    backup = copy_database(issuer)
    issuer.revoke_client("shop")
    issuer.clock.move(600)
    run(issuer.provider.feed.exchange())  # the snapshot from before is dropped
    manifest = read(get(issuer, "/feed/snapshot", bearer(follower.lease.lease)))["manifest"]
    put_in_place(issuer, backup)
    assert follower.send(follower.build(witness=manifest)).status == 503


@pytest.mark.proves("F15")
def test_as_many_facts_that_are_others_are_no_whole_record(world: World) -> None:
    """The old copy has gone on to the same number, or further: its history is another."""
    append(world.backup, 1)
    assert world.follower.ask().snapshot
    assert world.show() == 503
    append(world.backup, 5)
    assert world.show() == 503
    assert world.missing() == [OLDER]


@pytest.mark.proves("F15", "C116")
def test_a_new_epoch_ends_the_stop(world: World) -> None:
    assert world.show() == 503
    begin_epoch(world.issuer, world.backup)
    assert world.follower.send().status == 401  # its lease is from before, as all tokens are
    world.follower.join()
    answer = world.follower.ask()
    assert (answer.rev.epoch, answer.snapshot) == (2, True)
    assert world.introspect() == {"active": False}
    assert world.show() == 200  # what was seen of the epoch before is no news
    assert world.missing() == []


@pytest.mark.proves("F15")
def test_the_right_database_ends_the_stop_and_all_of_it_is_read_again(world: World) -> None:
    append(world.backup, 1)  # in the place of the fact that was lost
    assert world.introspect()["active"] is True
    assert world.show() == 503
    world.store._store = world.whole
    assert world.show() == 200
    assert world.introspect() == {"active": False}
    world.follower.catch_up()
    assert world.missing() == []


@pytest.mark.proves("F15")
def test_a_database_that_is_newer_and_lacks_the_fact_all_the_same_is_not_the_right_one(
    world: World,
) -> None:
    assert world.show() == 503
    append(world.backup, 10)
    assert world.follower.send().status == 503
    assert world.missing() == [OLDER]


def sign(keys: Any, page: Page, issuer: str, typ: str = MEDIA_TYPE) -> str:
    return CompactSigner(keys, typ=typ).sign(build_page(page, issuer=issuer))


@pytest.mark.proves("F15", "C119")
def test_what_proves_nothing_stops_nobody(issuer: Issuer, follower: HandFollower) -> None:
    """Whoever holds a lease cannot stop the server: only what it has signed itself can."""
    issuer.add_resource("urn:rsa", ["x"], algorithm="RS256")
    record = Record(FactKind.TOKEN, bytes(16), NOW + DRAIN)
    page = Page(1, 1000, 1000, bytes(32), bytes(32), NOW, (), (record,))
    own = [
        key.private
        for key in issuer.provider.state.keys._loaded.values()
        if isinstance(key.private, SigningKey)
    ]
    feed = [key for key in own if key.kid in {k["kid"] for k in follower.lease.feed_keys["keys"]}]
    others = [key for key in own if key not in feed]
    header, payload, _ = sign(feed[0], page, issuer.url).split(".")
    stranger = SigningKey.generate("RS256", kid=feed[0].kid)
    no_page = {"iss": issuer.url, "epoch": 1, "last": 1000, "after": "x"}
    half_manifest = {"iss": issuer.url, "snapshot": 1000}
    for junk in (
        "x",
        "ü",
        "a.b.c",
        ".".join((header, payload, base64url.encode(b"x" * 256))),
        f"{header}.{payload}.",
        sign(stranger, page, issuer.url),
        *(sign(key, page, issuer.url) for key in others),
        sign(feed[0], page, "https://other.test"),
        sign(feed[0], page, issuer.url, typ="at+jwt"),
        CompactSigner(feed[0], typ=MEDIA_TYPE).sign(json_object.dump(no_page)),
        CompactSigner(feed[0], typ=MEDIA_TYPE).sign(json_object.dump(half_manifest)),
        CompactSigner(feed[0], typ=MEDIA_TYPE).sign(b"[]"),
        issuer.token(scopes=["x"], audience="urn:rsa"),
    ):
        assert follower.send(follower.build(witness=junk)).status == 200, junk
    assert follower.send(follower.build(witness=sign(feed[0], page, issuer.url))).status == 503


@pytest.mark.proves("F15", "K6")
def test_a_leaked_key_of_the_feed_bears_no_witness(issuer: Issuer, follower: HandFollower) -> None:
    leaked = issuer.provider.state.keys.at(NOW).feed
    assert leaked is not None
    record = Record(FactKind.TOKEN, bytes(16), NOW + DRAIN)
    page = Page(1, 1000, 1000, bytes(32), bytes(32), NOW, (), (record,))
    witness = leaked.signer.sign(build_page(page, issuer=issuer.url))
    issuer.revoke_key(leaked.signer.kid)
    follower.join()
    assert follower.send(follower.build(witness=witness)).status == 200


@pytest.mark.proves("F15")
def test_what_the_server_knows_stops_nothing(issuer: Issuer, follower: HandFollower) -> None:
    for count in (1, 200):
        append(issuer.provider.store, count)
        follower.catch_up()
    for signed in follower.signed:
        assert follower.send(follower.build(witness=signed)).status == 200


def append(store: Any, count: int) -> None:
    facts = [
        AppendFact(kind=FactKind.TOKEN, identifier=f"t{n}", at=NOW, forget_after=NOW + DRAIN)
        for n in range(count)
    ]
    run(store.commit(facts))


def begin_epoch(issuer: Issuer, store: MemoryStore) -> None:
    """What restoring does: nothing from before is good any more."""
    store._head = store._head._replace(epoch=store._head.epoch + 1)
    fact = AppendFact(
        kind=FactKind.EVERYTHING, identifier=issuer.url, at=NOW, forget_after=NOW + DRAIN
    )
    run(store.commit([fact]))
