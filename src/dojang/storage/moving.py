"""From an SQLite file to a PostgreSQL database: everything, or nothing.

1. The file is marked as moved, so that nothing is ever written to two places.
2. Every row is copied, in one transaction.
3. Every row is read back and compared; the audit trail and the digests of facts are followed.
4. The transaction is committed. If anything fails before that, the mark is taken away.

A process that dies in between leaves the mark. Asked again, it goes on from what it finds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from dojang.oauth.errors import Unavailable
from dojang.server.model import AuditEvent, Position
from dojang.storage import statements
from dojang.storage.chains import Chains
from dojang.storage.errors import MovedAway, NotMovable
from dojang.storage.migrate import upgrade
from dojang.storage.postgres_connections import (
    FAILURES,
    Connection,
    close_gently,
    connect,
    first_failures,
    world_failures,
)
from dojang.storage.postgres_lineage import find_lineage
from dojang.storage.postgres_schema import MIGRATION_TIMEOUT
from dojang.storage.revisions import check_revision
from dojang.storage.sqlite_file import FileLock
from dojang.storage.sqlite_file import connect as connect_sqlite
from dojang.storage.sqlite_rows import RowWriter, find_new_place, read_revision
from dojang.storage.unit import NEW_HEAD, Head, split_changes

Progress = Callable[[str, int, int], None]  # a table, rows done, rows in all
Row = tuple[Any, ...]


class _Table(NamedTuple):
    name: str
    columns: str
    order: str


TABLES: Final = (
    _Table("clients", statements.CLIENT_COLUMNS, "client_id"),
    _Table("resources", statements.RESOURCE_COLUMNS, "identifier"),
    _Table("keys", statements.KEY_COLUMNS, "kid"),
    _Table("feed_keys", statements.KEY_COLUMNS, "kid"),
    _Table("facts", statements.FACT_COLUMNS, "epoch, number"),
    _Table("audit", statements.AUDIT_COLUMNS, "number"),
    _Table("replay", "entry, until", "entry"),
)
BOOLEAN: Final = 16  # the number of its type, in every PostgreSQL
BETWEEN_REPORTS: Final = 10_000  # rows
READ_TOGETHER: Final = 5_000  # rows


class Moved(NamedTuple):
    """What was moved: rows by table, and where both databases are."""

    rows: dict[str, int]
    position: Position


class _Task(NamedTuple):
    source: sqlite3.Connection
    target: Connection
    progress: Progress


def describe_target(url: str) -> str:
    """`url` without who connects, and with what password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def move(
    database: Path,
    url: str,
    *,
    event: AuditEvent,
    check: Callable[[Position], None],
    progress: Progress,
) -> Moved:
    """Move what is in the file to the PostgreSQL database at `url`, which is empty. `check` is
    given the position of the file and may refuse it; `event` tells the audit trail who did it.

    Raises `StoreInUse`, `SchemaOutdated`, `MovedAway`, `NotMovable`, `Unavailable`, and what
    `check` raises.
    """
    if not database.exists():  # noqa: ASYNC240  a local file, at the start
        check_revision(None)
    lock = FileLock.take(database)
    try:
        with closing(connect_sqlite(database)) as source:
            check_revision(read_revision(source))
            check(_read_head(source).position)
            await upgrade(url)
            with first_failures():
                target = await connect(url, statement_timeout=MIGRATION_TIMEOUT)
            try:
                task = _Task(source, target, progress)
                return await _move(task, database, describe_target(url), event)
            finally:
                await close_gently(target)
    except sqlite3.Error as error:
        raise Unavailable("database") from error
    finally:
        lock.release()


async def _move(task: _Task, database: Path, where: str, event: AuditEvent) -> Moved:
    marked = find_new_place(task.source)
    if marked not in (None, where):
        raise MovedAway(database, marked or "")
    with world_failures():
        await task.target.execute("BEGIN")
        found = Head(*await task.target.fetchrow(statements.LOCK_HEAD))
        if not await _is_empty(task.target, found):
            if marked is None:
                raise NotMovable(f"{where} holds an installation already; nothing was changed")
            return await _compare(task, otherwise=MovedAway(database, where))
        try:
            _mark(task.source, where, event)
            await _copy(task)
            different = NotMovable("what was read back from PostgreSQL is not what was written")
            moved = await _compare(task, otherwise=different)
        except BaseException:
            task.source.execute("UPDATE head SET moved_to = NULL")
            raise
    try:
        await task.target.execute("COMMIT")
    except FAILURES as error:
        raise NotMovable(
            "PostgreSQL did not say whether it kept what it was given; do the same again"
        ) from error
    return moved


def _read_head(source: sqlite3.Connection) -> Head:
    return Head(*source.execute(statements.READ_HEAD).fetchone())


def _mark(source: sqlite3.Connection, where: str, event: AuditEvent) -> None:
    rows = RowWriter(source, lambda: None)
    source.execute("BEGIN IMMEDIATE")
    rows.commit(split_changes([event]))
    rows.end()
    source.execute("UPDATE head SET moved_to = ?", (where,))
    source.execute("COMMIT")


async def _is_empty(target: Connection, head: Head) -> bool:
    if head._replace(lineage=None) != NEW_HEAD:
        return False
    for table in TABLES:
        if await target.fetchval(f"SELECT EXISTS (SELECT FROM {table.name})"):
            return False
    return True


async def _copy(task: _Task) -> None:
    source, target, progress = task
    for table in TABLES:
        total = _count(source, table)
        columns = table.columns.split(", ")
        truths = await _find_truths(target, table)
        with closing(_read(source, table, truths)) as written:
            rows = _report(written, f"copying {table.name}", total, progress)
            await target.copy_records_to_table(table.name, records=rows, columns=columns)
    head = _read_head(source)._replace(lineage=await find_lineage(target))
    await target.execute(statements.WRITE_HEAD, *head)


async def _compare(task: _Task, *, otherwise: Exception) -> Moved:
    """What is in both databases; raises `otherwise` where that is not the same."""
    source, target, progress = task
    head = _read_head(source)
    copied = Head(*await target.fetchrow(statements.READ_HEAD))
    if copied._replace(lineage=None) != head._replace(lineage=None):
        raise otherwise
    chains = Chains()
    counts: dict[str, int] = {}
    for table in TABLES:
        counts[table.name] = total = _count(source, table)
        if await target.fetchval(f"SELECT count(*) FROM {table.name}") != total:
            raise otherwise
        query = f"SELECT {table.columns} FROM {table.name} ORDER BY {table.order}"
        truths = await _find_truths(target, table)
        with closing(_read(source, table, truths)) as written:
            rows = _report(written, f"checking {table.name}", total, progress)
            async for record in target.cursor(query, prefetch=READ_TOGETHER):
                row = tuple(record)
                if row != next(rows):
                    raise otherwise
                chains.follow(table.name, row)
    chains.check_ends(head)
    return Moved(counts, head.position)


def _count(source: sqlite3.Connection, table: _Table) -> int:
    (count,) = source.execute(f"SELECT count(*) FROM {table.name}").fetchone()
    return int(count)


def _read(
    source: sqlite3.Connection, table: _Table, truths: Collection[str]
) -> Generator[Row, None, None]:
    """The rows as PostgreSQL holds them: `truths` are its boolean columns, which are numbers in
    SQLite."""
    rows = source.execute(f"SELECT {table.columns} FROM {table.name} ORDER BY {table.order}")
    places = [place for place, name in enumerate(table.columns.split(", ")) if name in truths]
    for row in rows:
        values = list(row)
        for place in places:
            values[place] = bool(values[place])
        yield tuple(values)


async def _find_truths(target: Connection, table: _Table) -> set[str]:
    rows = await target.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND atttypid = $2",
        table.name,
        BOOLEAN,
    )
    return {str(row[0]) for row in rows}


def _report(rows: Iterator[Row], what: str, total: int, progress: Progress) -> Iterator[Row]:
    for done, row in enumerate(rows):
        if done % BETWEEN_REPORTS == 0:
            progress(what, done, total)
        yield row
    progress(what, total, total)
