"""A database that went back in time is noticed by whoever saw it later, and not trusted again
before it proves that it is the one it was, or begins a new epoch."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.model import KeyRecord
from dojang.server.ports import Change, PutClient, Store
from dojang.storage.errors import WentBack
from dojang.storage.opening import open_store
from tests.storage.samples import EVENT, make_client, make_fact

pytestmark = pytest.mark.proves("F15", "C63")


class Backup:
    """Every row that was there, to be put back behind the store's back."""

    TABLES = ("head", "clients", "facts", "audit")

    def __init__(self, url: str) -> None:
        self._url = url
        self._rows: dict[str, list[asyncpg.Record]] = {}

    async def take(self) -> None:
        connection = await asyncpg.connect(self._url)
        for table in self.TABLES:
            self._rows[table] = await connection.fetch(f"SELECT * FROM {table}")
        await connection.close()

    async def put_back(self) -> None:
        connection = await asyncpg.connect(self._url, server_settings={"dojang.counts": "on"})
        async with connection.transaction():
            for table, rows in self._rows.items():
                await connection.execute(f"DELETE FROM {table}")
                await connection.copy_records_to_table(table, records=[tuple(row) for row in rows])
        await connection.close()


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    opened = await open_store(postgres_url)
    await opened.commit([make_fact("first"), PutClient(make_client("c")), EVENT])
    yield opened
    await opened.close()


@pytest.fixture
async def backup(postgres_url: str, store: Store) -> Backup:
    taken = Backup(postgres_url)
    await taken.take()
    return taken


LATER: dict[str, list[Change]] = {
    "a fact": [make_fact("later")],
    "a client": [PutClient(make_client("c", version=2))],
    "an event": [EVENT],
}


async def fail_every_call(store: Store) -> None:
    with pytest.raises(WentBack, match="dojang restore"):
        await store.position()
    for change in (make_fact("never"), PutClient(make_client("never"))):
        with pytest.raises(Unavailable) as refused:
            await store.commit([change])
        assert isinstance(refused.value, WentBack)


@pytest.mark.parametrize("lost", LATER.values(), ids=LATER)
async def test_what_was_committed_here_is_missed(
    store: Store, backup: Backup, lost: list[Change]
) -> None:
    await store.commit(lost)
    await backup.put_back()
    await fail_every_call(store)
    assert await store.find_client("never") is None
    assert [fact.identifier for fact in await store.load_facts(Rev(0, 0))] == ["first"]


@pytest.mark.parametrize("lost", LATER.values(), ids=LATER)
async def test_what_was_read_here_is_missed(
    store: Store, backup: Backup, postgres_url: str, lost: list[Change]
) -> None:
    other = await open_store(postgres_url)
    await other.commit(lost)
    await other.close()
    await store.position()
    await backup.put_back()
    await fail_every_call(store)


async def test_a_commit_alone_notices(store: Store, backup: Backup) -> None:
    await store.commit([make_fact("later")])
    await backup.put_back()
    with pytest.raises(WentBack):
        await store.commit([make_fact("never")])


@pytest.mark.parametrize("lost", LATER.values(), ids=LATER)
async def test_another_history_of_the_same_length_is_noticed(
    store: Store, backup: Backup, postgres_url: str, lost: list[Change]
) -> None:
    await store.commit([*lost, make_fact("here"), EVENT])
    await backup.put_back()
    other = await open_store(postgres_url)
    await other.commit([*lost, make_fact("there"), EVENT])
    await other.close()
    await fail_every_call(store)


async def test_one_that_grows_past_it_is_not_trusted(
    store: Store, backup: Backup, postgres_url: str
) -> None:
    await store.commit([make_fact("here"), EVENT])
    await backup.put_back()
    await fail_every_call(store)
    other = await open_store(postgres_url)
    await other.commit([make_fact("there"), make_fact("and there"), EVENT, EVENT])
    await fail_every_call(store)
    await other.commit([PutClient(make_client("c", version=2))])
    await fail_every_call(store)
    await other.close()


async def test_the_later_one_is_trusted_when_it_is_back(
    store: Store, backup: Backup, postgres_url: str
) -> None:
    await store.commit([make_fact("here"), EVENT, PutClient(make_client("c", version=2))])
    later = Backup(postgres_url)
    await later.take()
    await backup.put_back()
    await fail_every_call(store)
    await later.put_back()
    position = await store.position()
    assert position.rev == Rev(1, 2)
    assert (await store.commit([make_fact("on it goes")])).rev == Rev(1, 3)
    assert (await store.position()).rev == Rev(1, 3)


async def test_the_later_one_is_trusted_when_it_is_back_and_has_grown(
    store: Store, backup: Backup, postgres_url: str
) -> None:
    await store.commit([make_fact("here"), EVENT])
    other = await open_store(postgres_url)
    await other.commit([make_fact("unseen"), EVENT])
    later = Backup(postgres_url)
    await later.take()
    await other.close()
    await backup.put_back()
    await fail_every_call(store)
    await later.put_back()
    assert (await store.position()).rev == Rev(1, 3)


async def test_a_new_epoch_is_trusted(store: Store, backup: Backup, postgres_url: str) -> None:
    await store.commit([make_fact("here"), make_fact("here too"), EVENT])
    await backup.put_back()
    await fail_every_call(store)
    other = await open_store(postgres_url)
    begun = await other.begin_epoch(plan_nothing)
    assert await store.position() == begun
    assert (await store.commit([make_fact("after")])).rev == Rev(2, 2)
    # An epoch that is over does not come back.
    await backup.put_back()
    await fail_every_call(store)
    await other.close()


def plan_nothing(keys: Sequence[KeyRecord], *, lost: bool) -> Sequence[Change]:
    return []


async def test_an_sqlite_file_that_somebody_else_set_back_is_noticed(
    sqlite_url: str, sqlite_path: Path
) -> None:
    store = await open_store(sqlite_url)
    await store.commit([make_fact("first")])
    await store.commit([make_fact("second")])
    other = sqlite3.connect(sqlite_path)
    with other:
        other.execute("DELETE FROM facts WHERE number = 2")
        other.execute("UPDATE head SET number = 1")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await store.commit([make_fact("third")])
        with pytest.raises(WentBack):
            await store.position()
    assert other.execute("SELECT count(*) FROM facts").fetchone() == (1,)
    other.close()
    await store.close()
