"""A PostgreSQL database that another server wrote: a new epoch begins before it is used."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.model import KeyRecord
from dojang.server.ports import Change, PutKey, Store
from dojang.storage.errors import AnotherDatabase, WentBack
from dojang.storage.opening import open_store
from tests.services.postgres import PostgresCluster
from tests.storage.samples import EVENT, make_fact, make_key
from tests.storage.test_epochs import EVERYTHING

pytestmark = pytest.mark.proves("F8", "C63")


class Plan:
    """What begins a new epoch, and what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], bool]] = []

    def __call__(self, keys: Sequence[KeyRecord], *, lost: bool) -> Sequence[Change]:
        self.told.append(([key.kid for key in keys], lost))
        return [EVERYTHING, EVENT, *(PutKey(make_key(key.kid, version=2)) for key in keys)]


async def fill(url: str) -> None:
    store = await open_store(url)
    await store.commit([make_fact("first"), PutKey(make_key("k")), EVENT])
    await store.close()


async def pretend_another_server(url: str) -> None:
    """As if a standby had taken over, or a dump had been loaded elsewhere."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE head SET lineage = '1/00000001'")
    await connection.close()


@pytest.fixture
async def moved_url(postgres_url: str) -> str:
    await fill(postgres_url)
    await pretend_another_server(postgres_url)
    return postgres_url


async def test_the_server_that_wrote_it_is_known(postgres_url: str) -> None:
    plan = Plan()
    for _ in range(2):
        store = await open_store(postgres_url, plan=plan)
        await store.commit([make_fact("t"), EVENT])
        assert (await store.position()).epoch == 1
        await store.close()
    assert plan.told == []


async def test_nothing_is_answered_from_another_before_somebody_says_what_then(
    moved_url: str,
) -> None:
    store = await open_store(moved_url)
    with pytest.raises(AnotherDatabase, match="dojang restore"):
        await store.position()
    with pytest.raises(AnotherDatabase):
        await store.commit([make_fact("never")])
    with pytest.raises(AnotherDatabase):
        await store.load_keys()
    await store.close()


async def test_a_new_epoch_begins_before_the_first_answer(moved_url: str) -> None:
    plan = Plan()
    store = await open_store(moved_url, plan=plan)
    position = await store.position()
    assert position.rev == Rev(2, 2)
    assert plan.told == [(["k"], False)]
    assert [fact.kind for fact in await store.load_facts(Rev(1, 1))] == [FactKind.EVERYTHING]
    assert await store.load_keys() == [make_key("k", version=2)]
    await store.commit([make_fact("after")])
    await store.close()
    again = await open_store(moved_url, plan=plan)
    assert (await again.position()).rev == Rev(2, 3)
    await again.close()
    assert len(plan.told) == 1


async def test_a_commit_begins_it_too(moved_url: str) -> None:
    store = await open_store(moved_url, plan=Plan())
    assert (await store.commit([make_fact("t")])).rev == Rev(2, 3)
    await store.close()


async def test_of_many_nodes_one_begins_it(moved_url: str) -> None:
    def plan(keys: Sequence[KeyRecord], *, lost: bool) -> Sequence[Change]:
        return [EVERYTHING]  # without a precondition

    stores = [await open_store(moved_url, plan=plan) for _ in range(6)]

    async def use(store: Store) -> Rev:
        await store.commit([make_fact("t")])
        return (await store.position()).rev

    assert {rev.epoch for rev in await asyncio.gather(*map(use, stores))} == {2}
    facts = await stores[0].load_facts(Rev(0, 0))
    assert [fact.kind for fact in facts].count(FactKind.EVERYTHING) == 1
    assert [fact.rev.number for fact in facts] == list(range(1, 9))
    for store in stores:
        await store.close()


async def test_a_node_that_misses_commits_says_so(postgres_url: str) -> None:
    plan = Plan()
    store = await open_store(postgres_url, plan=plan)
    await store.commit([make_fact("kept"), EVENT])
    await store.commit([make_fact("lost"), EVENT])
    await store.position()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "DELETE FROM facts WHERE number = 2; DELETE FROM audit WHERE number = 2; "
        "UPDATE head SET number = 1, audit_number = 1, lineage = '1/00000001', "
        "audit_digest = (SELECT digest FROM audit), fact_digest = (SELECT digest FROM facts)"
    )
    with pytest.raises(WentBack):
        await store.position()  # on a connection from before
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
    assert (await store.position()).rev == Rev(2, 2)
    assert plan.told == [([], True)]
    await store.close()


async def test_a_dump_that_is_loaded_into_another_server_is_another_database(
    postgres: PostgresCluster, broken_postgres: PostgresCluster, postgres_url: str, tmp_path: Path
) -> None:
    await fill(postgres_url)
    copy = broken_postgres.make_empty_database()
    broken_postgres.load_dump(postgres.dump(postgres_url), copy)
    store = await open_store(copy, plan=Plan())
    assert (await store.position()).rev == Rev(2, 2)
    await store.close()
    original = await open_store(postgres_url)
    assert (await original.position()).rev == Rev(1, 1)
    await original.close()


async def test_a_server_that_keeps_its_lineage_to_itself_is_used_all_the_same(
    broken_postgres: PostgresCluster,
) -> None:
    url = broken_postgres.make_database()
    name = url.rpartition("/")[2]
    broken_postgres.run_sql(
        "CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain; "
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain; "
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        database=name,
    )
    store = await open_store(url.replace("dojang@", "plain@"))
    assert (await store.commit([make_fact("t")])).rev == Rev(1, 1)
    await store.close()
