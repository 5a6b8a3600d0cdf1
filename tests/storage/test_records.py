"""Records of people: every kind, in every store, through the `Store` protocol alone."""

import asyncio

import pytest
from msgspec.structs import replace

from dojang.oauth.revocation_fact import Rev
from dojang.server.people import (
    Account,
    Attempts,
    Code,
    Consent,
    Grant,
    Interaction,
    LogoutNotice,
    PushedRequest,
    Record,
    RefreshToken,
    Registration,
    RegistrationToken,
    Session,
    SignInName,
)
from dojang.server.ports import Change, Conflict, Drop, DropAll, Hold, Put, Store
from dojang.storage.record_kinds import KINDS
from tests.storage.samples import EVENT, make_fact

pytestmark = pytest.mark.proves("A6")

SAMPLES: list[Record] = [
    Account(
        account_id="a1",
        username="홍길동",
        password="$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA",
        claims={"name": "홍길동", "address": {"country": "KR"}, "email_verified": True},
        enabled=False,
        created_at=1,
        password_changed_at=2,
    ),
    SignInName(name="gildong@example.com", account_id="a1"),
    Session(
        session_id="s1",
        digest=bytes(range(32)),
        account_id="a1",
        auth_time=5,
        amr=("pwd", "otp"),
        acr="urn:x",
        agent="Firefox",
        network="203.0.113.0/24",
        clients=("c1", "c2"),
        created_at=5,
        expires_at=9,
        ended_at=7,
    ),
    Consent(
        account_id="a1",
        client_id="c1",
        scopes={"https://orders": ("read", "write"), "https://op/userinfo": ("openid",)},
        given_at=3,
    ),
    Grant(
        grant_id="g1",
        client_id="c1",
        account_id="a1",
        session_id="s1",
        scopes=("openid", "email"),
        resource="https://orders",
        resource_scopes=("read",),
        claims={"id_token": {"email": {"essential": True}}},
        auth_time=5,
        amr=("pwd",),
        acr="0",
        created_at=6,
        expires_at=9,
        ended_at=8,
    ),
    Code(
        code_id="k1",
        digest=b"\xff" * 32,
        grant_id="g1",
        client_id="c1",
        redirect_uri="https://client.example/cb?a=b",
        code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        nonce="n",
        valid_until=60,
        expires_at=600,
        used_at=30,
    ),
    RefreshToken(
        token_id="r1",
        digest=bytes(32),
        grant_id="g1",
        client_id="c1",
        issued_at=1,
        expires_at=100,
        used_at=50,
        successor="r2",
        answer=b"\0sealed\xff",
    ),
    Interaction(
        interaction_id="i1",
        digest=bytes(32),
        client_id="c1",
        parameters={"scope": "openid", "state": "한글"},
        created_at=1,
        expires_at=2,
        session_id="s1",
        signed_in_at=1,
    ),
    PushedRequest(request_id="p1", client_id="c1", parameters={"a": "b"}, expires_at=90),
    Attempts(subject="account a1", count=3, since=1, expires_at=900),
    LogoutNotice(
        notice_id="l1",
        client_id="c1",
        session_id="s1",
        sub="a1",
        due_at=5,
        attempts=2,
        expires_at=900,
    ),
    Registration(
        client_id="c1",
        digest=b"\1" * 32,
        metadata={"client_name": "주문", "jwks": {"keys": [{"kty": "EC"}]}},
        registered_at=5,
    ),
    RegistrationToken(
        token_id="t1",
        digest=b"\2" * 32,
        label="팀",
        left=3,
        created_at=5,
        expires_at=900,
    ),
]
EACH = pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__)


def find_key(record: Record) -> str:
    return KINDS[type(record)].identify(record)


def make_token(token_id: str, *, grant_id: str = "g1", expires_at: int = 100) -> RefreshToken:
    return RefreshToken(
        token_id=token_id,
        digest=bytes(32),
        grant_id=grant_id,
        client_id="c1",
        issued_at=1,
        expires_at=expires_at,
    )


def test_there_is_a_sample_of_every_kind() -> None:
    assert {type(record) for record in SAMPLES} == set(KINDS)


@EACH
async def test_every_field_comes_back(store: Store, record: Record) -> None:
    kind = type(record)
    assert await store.find(kind, find_key(record)) is None
    await store.commit([Put(record)])
    assert await store.find(kind, find_key(record)) == record
    assert await store.list_all(kind) == [record]
    for owner in KINDS[kind].owners:
        assert await store.list_by(kind, owner, getattr(record, owner)) == [record]
        assert await store.list_by(kind, owner, "another") == []


@EACH
async def test_a_version_replaces_the_one_before_once(store: Store, record: Record) -> None:
    second = replace(record, version=2)
    await store.commit([Put(record)])
    await store.commit([Put(second)])
    for stale in (Put(record), Put(second), Put(replace(record, version=4)), Drop(record)):
        with pytest.raises(Conflict) as caught:
            await store.commit([stale])
        assert (caught.value.what, caught.value.identifier) == (
            KINDS[type(record)].what,
            find_key(record),
        )
    await store.commit([Drop(second)])
    assert await store.find(type(record), find_key(record)) is None


async def test_a_conflict_undoes_all_of_the_unit(store: Store) -> None:
    await store.commit([Put(make_token("r1"))])
    before = await store.position()
    unit: list[Change] = [
        Put(replace(make_token("r1"), version=2, used_at=5)),
        Put(make_token("r2")),
        make_fact("t"),
        EVENT,
        Put(make_token("r1")),
    ]
    with pytest.raises(Conflict):
        await store.commit(unit)
    assert await store.position() == before
    assert await store.list_all(RefreshToken) == [make_token("r1")]
    assert await store.load_facts(Rev(0, 0)) == []


async def test_records_alone_do_not_move_the_position(nodes: tuple[Store, Store]) -> None:
    one, other = nodes
    await one.commit([make_fact("t")])
    before = await other.position()
    await one.commit([Put(make_token("r1"))])
    assert await other.find(RefreshToken, "r1") == make_token("r1")
    await other.commit([Drop(make_token("r1")), DropAll(Grant)])
    assert await one.position() == before


async def test_a_fact_beside_a_record_moves_it(store: Store) -> None:
    before = await store.position()
    after = await store.commit([Put(make_token("r1")), make_fact("t")])
    assert (after.head, after.generation) == (before.head + 1, before.generation)
    assert await store.position() == after


@pytest.mark.proves("C58")
async def test_one_of_many_at_once_wins(nodes: tuple[Store, Store]) -> None:
    await nodes[0].commit([Put(make_token("r1"))])

    async def rotate(place: int) -> bool:
        used = replace(make_token("r1"), version=2, used_at=place, successor=f"new{place}")
        try:
            await nodes[place % 2].commit([Put(used), Put(make_token(f"new{place}"))])
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*(rotate(place) for place in range(20)))
    assert sum(won) == 1
    (winner,) = [place for place in range(20) if won[place]]
    held = await nodes[1].list_all(RefreshToken)
    assert {token.token_id for token in held} == {"r1", f"new{winner}"}
    assert await nodes[0].find(RefreshToken, "r1") == replace(
        make_token("r1"), version=2, used_at=winner, successor=f"new{winner}"
    )


@pytest.mark.proves("C58")
async def test_what_is_held_is_as_it_was(nodes: tuple[Store, Store]) -> None:
    one, other = nodes
    await one.commit([Put(make_token("r1"))])
    await other.commit([Hold(make_token("r1")), Put(make_token("r2"))])
    await one.commit([Put(replace(make_token("r1"), version=2, used_at=5))])
    for stale in (make_token("r1"), make_token("missing")):
        with pytest.raises(Conflict):
            await other.commit([Put(make_token("r3")), Hold(stale)])
    assert await one.find(RefreshToken, "r3") is None
    assert (await one.find(RefreshToken, "r1")) == replace(make_token("r1"), version=2, used_at=5)


@pytest.mark.proves("C58")
async def test_nothing_begins_beside_the_end_of_what_it_rests_on(
    nodes: tuple[Store, Store],
) -> None:
    """Either what holds the record was first, or it is not written."""
    for turn in range(20):
        session = replace(SAMPLES[2], session_id=f"s{turn}", ended_at=None)
        await nodes[0].commit([Put(session)])
        code = replace(SAMPLES[5], code_id=f"k{turn}")
        ending = nodes[0].commit([Put(replace(session, version=2, ended_at=1))])
        begun, _ = await asyncio.gather(
            nodes[1].commit([Hold(session), Put(code)]), ending, return_exceptions=True
        )
        written = await nodes[0].find(Code, f"k{turn}")
        assert (written is None) == isinstance(begun, Conflict)
        ended = await nodes[1].find(Session, f"s{turn}")
        assert ended is not None
        assert ended.ended_at == 1


async def test_lists_come_in_pages(store: Store) -> None:
    tokens = [make_token(f"r{place}") for place in range(5)]
    await store.commit([Put(token) for token in (*reversed(tokens), make_token("x", grant_id="o"))])
    assert await store.list_by(RefreshToken, "grant_id", "g1", limit=2) == tokens[:2]
    assert await store.list_by(RefreshToken, "grant_id", "g1", after="r1") == tokens[2:]
    assert await store.list_all(RefreshToken, after="r3", limit=1) == [tokens[4]]


async def test_kinds_can_be_asked_for_by_their_owners_alone(store: Store) -> None:
    with pytest.raises(KeyError):
        await store.list_by(RefreshToken, "client_id", "c1")


async def test_what_has_expired_is_forgotten(store: Store) -> None:
    await store.commit([Put(record) for record in SAMPLES])
    await store.commit([Put(make_token("r2", expires_at=10_000))])
    await store.forget(now=100)
    assert [token.token_id for token in await store.list_all(RefreshToken)] == ["r1", "r2"]
    await store.forget(now=101)
    assert [token.token_id for token in await store.list_all(RefreshToken)] == ["r2"]
    assert await store.list_all(Session) == []
    assert len(await store.list_all(Account)) == len(await store.list_all(Consent)) == 1


async def test_all_of_a_kind_can_be_dropped(store: Store) -> None:
    await store.commit([Put(record) for record in SAMPLES])
    await store.commit([DropAll(Session), DropAll(RefreshToken), EVENT])
    assert await store.list_all(Session) == []
    assert await store.list_all(RefreshToken) == []
    assert len(await store.list_all(Grant)) == 1


@pytest.mark.parametrize("odd", ["\0", "a\0b", "\ud800"])
async def test_what_no_database_holds_is_not_there(store: Store, odd: str) -> None:
    assert await store.find(Account, odd) is None
    with pytest.raises(ValueError, match=r"stored|surrogates"):
        await store.commit([Put(SignInName(name=odd, account_id="a"))])
