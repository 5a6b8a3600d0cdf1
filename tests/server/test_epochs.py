"""After a failover or a restore no token of before is good, nor any key that made one."""

from functools import partial
from typing import Any

import msgspec
import pytest

from dojang.jose.jws import CompactSigner
from dojang.jose.seal import SealKey
from dojang.oauth.access_token import MEDIA_TYPE
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.epochs import plan_failover, plan_restore
from dojang.server.key_records import KeyState, WrongEncryptionKey, find_state
from dojang.server.model import KeyRecord, KeyUse
from dojang.server.ports import EpochPlan
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import NOW, ORDERS, PAYMENTS, get, open_issuer, read

pytestmark = pytest.mark.proves("C63")


@pytest.fixture
def issuer() -> Issuer:
    opened = open_issuer()
    opened.add_resource(ORDERS, ["read"])
    opened.add_resource(PAYMENTS, ["pay"], token_format="opaque")
    return opened


def settings(issuer: Issuer) -> dict[str, Any]:
    key = issuer.provider.state.keys._encryption_key
    return {"issuer": issuer.url, "encryption_key": key, "clock": issuer.clock}


def failover(issuer: Issuer, *, lossless: bool = False) -> EpochPlan:
    return partial(plan_failover, lossless=lossless, **settings(issuer))


def restore(issuer: Issuer) -> EpochPlan:
    return partial(plan_restore, actor="local:root", source="backup.db", **settings(issuer))


def begin(issuer: Issuer, plan: EpochPlan) -> None:
    run(issuer.provider.store.begin_epoch(plan))


def issue(issuer: Issuer) -> dict[str, str]:
    return {
        ORDERS: issuer.token(scopes=["read"], audience=ORDERS),
        PAYMENTS: issuer.token(scopes=["pay"], audience=PAYMENTS),
    }


def are_active(issuer: Issuer, tokens: dict[str, str]) -> list[bool]:
    return [issuer.introspect(token, audience=api)["active"] for api, token in tokens.items()]


def find_kids(issuer: Issuer, *states: KeyState) -> set[str]:
    now = int(issuer.clock.now())
    records = issuer.provider.state.keys.records
    return {record.kid for record in records if find_state(record, now) in states}


def read_published(issuer: Issuer) -> set[str]:
    return {key["kid"] for key in read(get(issuer, "/.well-known/jwks.json"))["keys"]}


@pytest.mark.proves("F8", "F15", "C116")
@pytest.mark.parametrize("build", [failover, restore])
def test_tokens_of_before_die_and_new_ones_live(issuer: Issuer, build: Any) -> None:
    before = issue(issuer)
    assert are_active(issuer, before) == [True, True]
    begin(issuer, build(issuer))
    assert are_active(issuer, before) == [False, False]
    after = issue(issuer)
    assert are_active(issuer, after) == [True, True]
    assert issuer.provider.state.position.epoch == 2
    first, *_ = run(issuer.provider.store.load_facts(Rev(1, 10**6)))
    assert (first.kind, first.identifier) == (FactKind.EVERYTHING, issuer.url)
    issuer.clock.move(1)
    assert are_active(issuer, before) == [False, False]


@pytest.mark.proves("F8", "C116")
@pytest.mark.parametrize("build", [failover, restore])
def test_a_key_whose_revocation_was_lost_makes_no_good_token(issuer: Issuer, build: Any) -> None:
    issue(issuer)
    leaked = issuer.provider.state.keys.at(NOW).signers["ES256"].kid
    loaded: Any = issuer.provider.state.keys._loaded[leaked].private
    begin(issuer, build(issuer))
    issue(issuer)
    after = issuer.provider.state.position
    claims = issuer.provider.state.tokens.parse(
        issuer.token(scopes=["read"], audience=ORDERS), now=NOW
    )
    assert claims is not None
    assert claims.kid != leaked
    # Made with the leaked key, and said to be of any time to come.
    for rev in (after.rev, Rev(99, 99)):
        payload = build_claims(issuer, rev)
        forged = CompactSigner(loaded, typ=MEDIA_TYPE).sign(payload)
        assert not issuer.introspect(forged, audience=ORDERS)["active"]


def build_claims(issuer: Issuer, rev: Rev) -> bytes:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    presented = issuer.provider.state.tokens.parse(token, now=NOW)
    assert presented is not None
    return msgspec.json.encode(msgspec.structs.replace(presented.claims, rev=rev))


def test_after_a_failover_keys_that_verifiers_hold_sign(issuer: Issuer) -> None:
    issue(issuer)
    published = read_published(issuer)
    standbys = find_kids(issuer, KeyState.UPCOMING)
    old = find_kids(issuer, KeyState.ACTIVE)
    begin(issuer, failover(issuer))
    issue(issuer)
    assert find_kids(issuer, KeyState.ACTIVE) == standbys
    assert find_kids(issuer, KeyState.REVOKED) == old
    assert len(find_kids(issuer, KeyState.UPCOMING)) == len(standbys)
    now_published = read_published(issuer)
    assert now_published & published == standbys & published
    assert not now_published & old


def test_a_key_that_is_on_its_way_takes_over(issuer: Issuer) -> None:
    issuer.rotate_keys()
    assert issuer.rotate_keys() > NOW
    waiting = {
        key.kid
        for key in issuer.provider.state.keys.records
        if key.active_from is not None and find_state(key, NOW) is KeyState.UPCOMING
    }
    begin(issuer, failover(issuer))
    issue(issuer)
    assert waiting
    assert waiting <= find_kids(issuer, KeyState.ACTIVE)
    assert issuer.provider.state.keys.at(NOW + 10**6).signers["ES256"].kid in waiting


@pytest.mark.proves("F15", "C116")
def test_after_a_restore_every_key_that_makes_tokens_is_new(issuer: Issuer) -> None:
    issue(issuer)
    records = issuer.provider.state.keys.records
    before = {record.kid for record in records if record.use is not KeyUse.FEED}
    lines = {(key.use, key.algorithm) for key in records}
    begin(issuer, restore(issuer))
    issue(issuer)
    assert find_kids(issuer, KeyState.REVOKED) == before
    assert len(find_kids(issuer, KeyState.ACTIVE)) == len(lines)
    assert len(find_kids(issuer, KeyState.UPCOMING)) == len(lines)
    assert not read_published(issuer) & before
    facts = run(issuer.provider.store.load_facts(Rev(1, 10**6)))
    assert {fact.identifier for fact in facts if fact.kind is FactKind.KEY} == before


@pytest.mark.proves("F8")
def test_where_nothing_is_lost_tokens_and_keys_live_on(issuer: Issuer) -> None:
    before = issue(issuer)
    keys = list(issuer.provider.state.keys.records)
    begin(issuer, failover(issuer, lossless=True))
    assert are_active(issuer, before) == [True, True]
    assert issuer.provider.state.position.epoch == 2
    assert list(issuer.provider.state.keys.records) == keys
    issuer.revoke(before[ORDERS])
    assert are_active(issuer, before) == [False, True]


@pytest.mark.proves("F8")
def test_what_shows_that_commits_are_lost_goes_before_the_setting(issuer: Issuer) -> None:
    before = issue(issuer)
    plan = failover(issuer, lossless=True)

    def lose(keys: list[KeyRecord], *, lost: bool) -> Any:
        return plan(keys, lost=True)

    begin(issuer, lose)  # type: ignore[arg-type]
    assert are_active(issuer, before) == [False, False]


@pytest.mark.proves("F14", "C98")
@pytest.mark.parametrize("build", [failover, restore])
def test_no_keys_are_made_under_a_wrong_encryption_key(issuer: Issuer, build: Any) -> None:
    before = issue(issuer)
    wrong = SealKey.from_bytes("key-encryption-key", bytes(32))
    with pytest.raises(WrongEncryptionKey):
        begin(issuer, partial(build(issuer), encryption_key=wrong))
    assert issuer.provider.state.position.epoch == 1
    assert are_active(issuer, before) == [True, True]


@pytest.mark.proves("A5")
def test_it_stands_in_the_audit_trail(issuer: Issuer) -> None:
    begin(issuer, failover(issuer))
    begin(issuer, failover(issuer, lossless=True))
    begin(issuer, restore(issuer))
    records = issuer.perform("audit.list")["records"]
    assert [
        (each["actor"], each["action"], each["target"], each["detail"]) for each in records[-3:]
    ] == [
        ("dojang", "server.failover", issuer.url, {"tokens": "revoked"}),
        ("dojang", "server.failover", issuer.url, {"tokens": "live on"}),
        ("local:root", "server.restore", issuer.url, {"source": "backup.db"}),
    ]
    assert issuer.perform("audit.verify")["intact"]
