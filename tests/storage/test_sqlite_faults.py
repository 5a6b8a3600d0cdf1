"""SQLite when the disk is full, the file is locked, or too much is asked at once."""

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.ports import PutClient, Store
from dojang.storage import sqlite_commits
from dojang.storage.opening import open_store
from tests.storage.samples import EVENT, make_client, make_fact

pytestmark = pytest.mark.proves("A6")

FILES = ("dojang.db", "dojang.db-wal")


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """No file of this process grows past the database's present size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max((directory / name).stat().st_size for name in FILES)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


LONG = "x" * 20_000


async def commit_many(store: Store, prefix: str) -> list[object]:
    return await asyncio.gather(
        *(
            store.commit(
                [PutClient(make_client(f"{prefix}{n}", name="x" * 20_000)), make_fact("t")]
            )
            for n in range(50)
        ),
        return_exceptions=True,
    )


@pytest.mark.proves("F13")
async def test_a_full_disk_refuses_and_space_brings_it_back(store: Store, tmp_path: Path) -> None:
    await store.commit([PutClient(make_client("before")), make_fact("t"), EVENT])
    before = await store.position()
    with full_disk(tmp_path):
        outcomes = await commit_many(store, "lost")
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        assert await store.position() == before
        assert await store.find_client("before") is not None
        assert [client.client_id for client in await store.list_clients()] == ["before"]
        assert len(await store.load_facts(Rev(0, 0))) == 1
    outcomes = await commit_many(store, "kept")
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    after = await store.position()
    assert after[:3] == (1, before.head + 50, before.generation + 50)
    assert len(await store.list_clients()) == 51


async def test_another_programs_lock_is_waited_for(store: Store, sqlite_path: Path) -> None:
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    commits = [asyncio.create_task(store.commit([make_fact(f"t{n}")])) for n in range(5)]
    done, _ = await asyncio.wait(commits, timeout=0.05)
    assert not done
    assert (await store.position())[:3] == (1, 0, 0)
    other.execute("ROLLBACK")
    other.close()
    assert [position.head for position in await asyncio.gather(*commits)] == [1, 2, 3, 4, 5]


async def test_another_programs_lock_is_not_waited_for_forever(
    store: Store, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_commits, "BUSY_PATIENCE", 0.05)
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await store.commit([EVENT])
    other.execute("ROLLBACK")
    other.close()
    assert (await store.commit([make_fact("t")]))[:3] == (1, 1, 0)


async def test_who_comes_to_a_full_queue_is_told_to_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_commits, "MOST_WAITING", 10)
    outcomes = await asyncio.gather(
        *(store.commit([make_fact(f"t{n}")]) for n in range(25)), return_exceptions=True
    )
    assert [isinstance(outcome, Unavailable) for outcome in outcomes] == [False] * 10 + [True] * 15
    assert (await store.position()).head == 10


async def test_a_queue_longer_than_a_group_is_served_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_commits, "MOST_TOGETHER", 7)
    positions = await asyncio.gather(*(store.commit([make_fact(f"t{n}")]) for n in range(30)))
    assert [position.head for position in positions] == list(range(1, 31))


async def test_expired_entries_leave_while_new_ones_come(store: Store, sqlite_path: Path) -> None:
    for turn in range(10):
        keys = (b"%d-%d" % (turn, n) for n in range(50))
        spent = [store.consume_once(key, until=turn, now=turn) for key in keys]
        assert all(await asyncio.gather(*spent))
    reader = sqlite3.connect(sqlite_path)
    (held,) = reader.execute("SELECT count(*) FROM replay").fetchone()
    reader.close()
    assert held <= 100
