"""Units that only append and wait together share one transaction on PostgreSQL."""

import asyncio
from contextlib import suppress

import asyncpg  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.audit import find_break
from dojang.server.ports import Change, Conflict, PutClient
from dojang.storage import postgres_appends
from dojang.storage.opening import open_store
from tests.services.postgres import PostgresCluster
from tests.storage.samples import EVENT, make_client, make_fact

pytestmark = pytest.mark.proves("A6")


async def count_transactions(url: str) -> int:
    connection = await asyncpg.connect(url)
    count: int = await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM facts")
    await connection.close()
    return count


async def test_they_move_the_head_once_and_each_has_its_place(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    units: list[list[Change]] = [
        [make_fact(f"{n}-a"), replace(EVENT, target=f"{n}"), make_fact(f"{n}-b")]
        for n in range(200)
    ]
    positions = await asyncio.gather(*(store.commit(unit) for unit in units))
    assert [position.head for position in positions] == [2 * n + 2 for n in range(200)]
    facts = await store.load_facts(Rev(0, 0))
    assert [fact.identifier for fact in facts] == [
        f"{n}-{part}" for n in range(200) for part in "ab"
    ]
    assert [facts[position.head - 1].digest for position in positions] == [
        position.digest for position in positions
    ]
    records = await store.load_audit()
    assert [record.event.target for record in records] == [str(n) for n in range(200)]
    assert find_break(records) is None
    assert await count_transactions(postgres_url) <= 2  # who came first, and the rest
    await store.close()


async def test_a_queue_longer_than_a_group_is_served_in_order(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_appends, "MOST_TOGETHER", 7)
    store = await open_store(postgres_url)
    positions = await asyncio.gather(*(store.commit([make_fact(f"t{n}")]) for n in range(30)))
    assert [position.head for position in positions] == list(range(1, 31))
    assert await count_transactions(postgres_url) >= 5
    await store.close()


async def test_they_and_units_with_a_precondition_share_one_order(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.commit([PutClient(make_client("taken"))])
    commits = [
        store.commit([make_fact(f"t{n}"), *([PutClient(make_client(f"c{n}"))] if n % 3 else [])])
        for n in range(60)
    ]
    refused = store.commit([make_fact("never"), PutClient(make_client("taken"))])
    *positions, conflict = await asyncio.gather(*commits, refused, return_exceptions=True)
    assert isinstance(conflict, Conflict)
    heads = sorted(
        position.head for position in positions if not isinstance(position, BaseException)
    )
    assert heads == list(range(1, 61))
    facts = await store.load_facts(Rev(0, 0))
    assert {fact.identifier for fact in facts} == {f"t{n}" for n in range(60)}
    await store.close()


async def test_all_who_wait_are_told_that_the_database_is_gone(
    broken_postgres: PostgresCluster,
) -> None:
    store = await open_store(broken_postgres.make_database())
    await store.commit([make_fact("before")])
    broken_postgres.kill()
    outcomes = await asyncio.gather(
        *(store.commit([make_fact(f"t{n}")]) for n in range(50)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert len({id(outcome) for outcome in outcomes}) == 50
    broken_postgres.start()
    while True:
        with suppress(Unavailable):
            await store.commit([make_fact("after")])
            break
        await asyncio.sleep(0.01)
    facts = await store.load_facts(Rev(0, 0))
    assert [fact.rev.number for fact in facts] == list(range(1, len(facts) + 1))
    assert facts[-1].identifier == "after"
    await store.close()
