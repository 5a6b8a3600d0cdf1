"""The store of a single process, in one SQLite file (WAL).

Reads are made inline on a connection of their own and see every commit that was acknowledged.
Other programs may read the file, and may write only while no server runs.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Fact, Rev
from dojang.server.followers import Follower
from dojang.server.model import AuditRecord, Client, KeyRecord, Position, Resource
from dojang.server.people import R
from dojang.server.ports import Change, EpochPlan
from dojang.storage import statements
from dojang.storage.errors import MovedAway
from dojang.storage.record_kinds import KINDS
from dojang.storage.records import (
    check_entry,
    is_storable,
    parse_audit,
    parse_client,
    parse_fact,
    parse_key,
    parse_resource,
)
from dojang.storage.revisions import check_revision
from dojang.storage.sqlite_commits import GroupCommit
from dojang.storage.sqlite_file import FileLock, connect
from dojang.storage.sqlite_rows import RowWriter, find_new_place, read_revision
from dojang.storage.statements import for_sqlite
from dojang.storage.unit import split_changes

FIND_CLIENT: Final = for_sqlite(statements.FIND_CLIENT)
LIST_CLIENTS: Final = for_sqlite(statements.LIST_CLIENTS)
LOAD_FACTS: Final = for_sqlite(statements.LOAD_FACTS)
LOAD_AUDIT: Final = for_sqlite(statements.LOAD_AUDIT)
FORGOTTEN_TOGETHER: Final = 1000  # rows in one transaction


class SqliteStore:
    """A `Store` on one file. Open one with `open`, inside the event loop that will use it."""

    def __init__(
        self, lock: FileLock, writing: sqlite3.Connection, reading: sqlite3.Connection
    ) -> None:
        self._lock = lock
        self._writing = writing
        self._reading = reading
        self._rows = RowWriter(writing, self._tell)
        self._commits = GroupCommit(writing, self._rows)
        self._watchers: list[Callable[[], None]] = []
        self._closed = False

    @classmethod
    async def open(cls, database: Path) -> Self:
        """The store in the file `database`, which `migrate` has made.

        Raises `StoreInUse`, `SchemaOutdated`, `SchemaTooNew`, `MovedAway` and `Unavailable`.
        """
        if not database.exists():  # noqa: ASYNC240  a local file, at the start
            check_revision(None)
        lock = FileLock.take(database)
        opened: list[sqlite3.Connection] = []
        try:
            opened.append(connect(database))
            check_revision(read_revision(opened[0]))
            if where := find_new_place(opened[0]):
                raise MovedAway(database, where)
            opened.append(connect(database))
            return cls(lock, *opened)
        except BaseException as error:
            for connection in opened:
                connection.close()
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise Unavailable("database") from error
            raise

    async def position(self) -> Position:
        if self._closed:
            raise Unavailable("database")
        return self._rows.position

    async def commit(self, changes: Sequence[Change]) -> Position:
        return await self._commits.submit(partial(self._rows.commit, split_changes(changes)))

    async def begin_epoch(self, plan: EpochPlan, *, beyond: int = 0) -> Position:
        return await self._commits.submit(partial(self._rows.begin_epoch, plan, beyond))

    async def consume_once(self, key: bytes, *, until: int, now: int) -> bool:
        check_entry(key)
        return await self._commits.submit(partial(self._rows.consume, key, until, now))

    async def forget(self, *, now: int) -> None:
        rows = self._rows
        drops = [rows.drop_facts, rows.drop_entries]
        drops += [partial(rows.drop_records, kind) for kind in KINDS.values()]
        for drop in drops:
            while await self._commits.submit(partial(drop, now, FORGOTTEN_TOGETHER)):
                pass

    def _read(self, statement: str, *parameters: object) -> list[Any]:
        try:
            return self._reading.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise Unavailable("database") from error

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        return [parse_fact(row) for row in self._read(LOAD_FACTS, *after, -1)]

    async def find_client(self, client_id: str) -> Client | None:
        if not is_storable(client_id):
            return None
        rows = self._read(FIND_CLIENT, client_id)
        return parse_client(rows[0]) if rows else None

    async def list_clients(self, *, after: str = "", limit: int = 1000) -> Sequence[Client]:
        return [parse_client(row) for row in self._read(LIST_CLIENTS, after, limit)]

    async def find(self, kind: type[R], identifier: str) -> R | None:
        described = KINDS[kind]
        if not is_storable(identifier):
            return None
        rows = self._read(for_sqlite(described.find), identifier)
        return described.parse(rows[0][0]) if rows else None

    async def list_by(
        self, kind: type[R], owner: str, identifier: str, *, after: str = "", limit: int = 1000
    ) -> Sequence[R]:
        described = KINDS[kind]
        rows = self._read(for_sqlite(described.list_by[owner]), identifier, after, limit)
        return [described.parse(row[0]) for row in rows]

    async def list_all(self, kind: type[R], *, after: str = "", limit: int = 1000) -> Sequence[R]:
        described = KINDS[kind]
        rows = self._read(for_sqlite(described.list_all), after, limit)
        return [described.parse(row[0]) for row in rows]

    async def list_resources(self) -> Sequence[Resource]:
        return [parse_resource(row) for row in self._read(statements.LIST_RESOURCES)]

    async def load_keys(self) -> Sequence[KeyRecord]:
        return [parse_key(row) for row in self._read(statements.LOAD_KEYS)]

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    def _tell(self) -> None:
        for changed in self._watchers:
            asyncio.get_running_loop().call_soon(changed)

    async def lead(self) -> bool:
        if self._closed:
            raise Unavailable("database")
        return True

    async def save_followers(self, followers: Sequence[Follower]) -> None:
        """Nobody else is here to be told."""

    async def load_followers(self, *, since: float) -> Sequence[Follower]:
        return ()

    async def load_audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        return [parse_audit(row) for row in self._read(LOAD_AUDIT, after, limit)]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._commits.close()
        self._reading.close()
        self._writing.close()
        self._lock.release()
