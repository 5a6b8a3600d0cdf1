"""From SQLite to PostgreSQL: every row, or none."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from dojang.oauth.revocation_fact import Rev
from dojang.server.audit import find_break
from dojang.server.model import AuditEvent, KeyUse, Position
from dojang.server.ports import Put, PutClient, PutKey, PutResource
from dojang.storage.errors import MovedAway, NotMovable, OlderThanWitness, StoreInUse
from dojang.storage.moving import Moved, describe_target, move
from dojang.storage.opening import open_store
from dojang.storage.record_kinds import KINDS
from tests.services.postgres import PostgresCluster
from tests.storage.samples import (
    EVENT,
    FULL_CLIENT,
    FULL_KEY,
    FULL_RESOURCE,
    make_client,
    make_fact,
)
from tests.storage.test_records import SAMPLES

pytestmark = pytest.mark.proves("A6")

MOVE = AuditEvent(at=1_700_000_000, actor="local:root", action="server.move", target="there")


async def fill(url: str) -> None:
    store = await open_store(url)
    feed_key = replace(FULL_KEY, kid="feed", use=KeyUse.FEED)
    await store.commit([PutClient(FULL_CLIENT), PutResource(FULL_RESOURCE), PutKey(FULL_KEY)])
    await store.commit([PutKey(feed_key), *(PutClient(make_client(f"ä{n}")) for n in range(30))])
    await store.commit([make_fact("gone", forget_after=5), EVENT])
    for number in range(20):
        await store.commit([make_fact(f"t{number}"), replace(EVENT, detail={"한": "\0"})])
    await store.forget(now=100)
    await store.commit([PutKey(replace(FULL_KEY, kid="id", use=KeyUse.ID_TOKEN))])
    await store.commit([Put(record) for record in SAMPLES])
    assert await store.consume_once(b"\0jti\xff", until=2_000_000_000, now=1)
    await store.close()


@pytest.fixture
async def source(sqlite_url: str, sqlite_path: Path) -> Path:
    await fill(sqlite_url)
    return sqlite_path


async def do_move(
    source: Path, url: str, *, check: Callable[[Position], None] = lambda position: None
) -> Moved:
    reports: list[tuple[str, int, int]] = []
    moved = await move(
        source, url, event=MOVE, check=check, progress=lambda *report: reports.append(report)
    )
    assert all(done <= total for _, done, total in reports)
    return moved


async def read_everything(url: str) -> list[Any]:
    store = await open_store(url)
    everything: list[Any] = [
        await store.position(),
        await store.list_clients(),
        await store.list_resources(),
        await store.load_keys(),
        await store.load_facts(Rev(0, 0)),
        *[await store.list_all(type(record)) for record in SAMPLES],
        await store.load_audit(),
    ]
    await store.close()
    return everything


async def test_everything_is_there_afterwards_and_goes_on(
    source: Path, sqlite_url: str, postgres_url: str
) -> None:
    before = await read_everything(sqlite_url)
    moved = await do_move(source, postgres_url)
    *rest, audit = await read_everything(postgres_url)
    assert [*rest, audit[:-1]] == before
    assert audit[-1].event == MOVE
    assert find_break(audit) is None
    assert moved.position == rest[0]
    assert moved.rows == {
        "clients": 31,
        "resources": 1,
        "keys": 1,
        "feed_keys": 1,
        "id_token_keys": 1,
        "facts": 20,
        "audit": 22,
        "replay": 1,
        **{kind.table: 1 for kind in KINDS.values()},
    }
    store = await open_store(postgres_url)
    assert not await store.consume_once(b"\0jti\xff", until=2_000_000_001, now=2)
    position = await store.commit([make_fact("next"), EVENT])
    assert position.rev == Rev(1, moved.position.head + 1)
    assert find_break(await store.load_audit()) is None
    await store.close()


async def test_the_file_says_where_its_data_went(
    source: Path, sqlite_url: str, postgres_url: str
) -> None:
    secret = postgres_url.replace("dojang@", "dojang:hunter2@")
    await do_move(source, secret)
    with pytest.raises(MovedAway) as refused:
        await open_store(sqlite_url)
    assert describe_target(postgres_url) in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert b"hunter2" not in source.read_bytes()


async def test_a_target_that_is_not_empty_is_left_alone(
    source: Path, sqlite_url: str, postgres_url: str
) -> None:
    store = await open_store(postgres_url)
    await store.commit([PutClient(make_client("theirs"))])
    await store.close()
    before = await read_everything(sqlite_url)
    with pytest.raises(NotMovable, match="already"):
        await do_move(source, postgres_url)
    assert await read_everything(sqlite_url) == before
    assert len((await read_everything(postgres_url))[1]) == 1


async def test_a_server_must_not_be_at_work(
    source: Path, sqlite_url: str, postgres_url: str
) -> None:
    store = await open_store(sqlite_url)
    with pytest.raises(StoreInUse):
        await do_move(source, postgres_url)
    await store.close()


async def test_a_file_that_is_refused_stays(
    source: Path, sqlite_url: str, postgres_url: str
) -> None:
    def refuse(position: Position) -> None:
        raise OlderThanWitness(source, found=position.rev, seen=Rev(1, 99))

    with pytest.raises(OlderThanWitness):
        await do_move(source, postgres_url, check=refuse)
    await do_move(source, postgres_url)


def break_trail(source: Path) -> None:
    connection = sqlite3.connect(source)
    with connection:
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE number = 3")
    connection.close()


def break_facts(source: Path) -> None:
    connection = sqlite3.connect(source)
    with connection:
        connection.execute("UPDATE facts SET identifier = 'another' WHERE number = 7")
    connection.close()


def cut_trail(source: Path) -> None:
    connection = sqlite3.connect(source)
    with connection:
        connection.execute("DELETE FROM audit WHERE number = 21")
    connection.close()


@pytest.mark.parametrize("damage", [break_trail, break_facts, cut_trail])
async def test_what_does_not_hold_together_is_not_moved(
    source: Path, postgres_url: str, damage: Callable[[Path], None]
) -> None:
    damage(source)
    with pytest.raises(NotMovable):
        await do_move(source, postgres_url)
    assert await count_rows(postgres_url) == 0


async def count_rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    count: int = await connection.fetchval(
        "SELECT (SELECT count(*) FROM clients) + (SELECT count(*) FROM facts)"
    )
    await connection.close()
    return count


async def test_what_is_not_read_back_as_it_was_is_not_moved(
    source: Path, sqlite_url: str, postgres_url: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.forget_after = NEW.forget_after + 1; RETURN NEW; END $$; "
        "CREATE TRIGGER spoil BEFORE INSERT ON facts FOR EACH ROW EXECUTE FUNCTION spoil()"
    )
    with pytest.raises(NotMovable, match="read back"):
        await do_move(source, postgres_url)
    await connection.execute("DROP FUNCTION spoil CASCADE")
    await connection.close()
    assert await count_rows(postgres_url) == 0
    await (await open_store(sqlite_url)).close()
    await do_move(source, postgres_url)


@pytest.mark.parametrize("copied", [False, True], ids=["before the commit", "after the commit"])
async def test_a_move_that_was_cut_off_is_finished_when_asked_again(
    source: Path, sqlite_url: str, postgres_url: str, copied: bool
) -> None:
    moved = await do_move(source, postgres_url) if copied else None
    if not copied:  # only the mark is left
        connection = sqlite3.connect(source)
        with connection:
            connection.execute("UPDATE head SET moved_to = ?", (describe_target(postgres_url),))
        connection.close()
    with pytest.raises(MovedAway):
        await open_store(sqlite_url)
    again = await do_move(source, postgres_url)
    assert moved in (None, again)
    assert again.rows["facts"] == 20
    await (await open_store(postgres_url)).close()


async def test_what_has_gone_on_elsewhere_is_not_moved_again(
    source: Path, postgres_url: str
) -> None:
    await do_move(source, postgres_url)
    store = await open_store(postgres_url)
    await store.commit([make_fact("later")])
    await store.close()
    with pytest.raises(MovedAway):
        await do_move(source, postgres_url)


async def test_it_is_moved_to_one_place(
    source: Path, postgres_url: str, postgres: PostgresCluster
) -> None:
    await do_move(source, postgres_url)
    with pytest.raises(MovedAway, match=describe_target(postgres_url)):
        await do_move(source, postgres.make_database())
