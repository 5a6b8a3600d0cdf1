"""The store of many processes and nodes, in PostgreSQL.

Each call runs in a task of its own: a caller that goes away leaves no half-done work behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Fact, Rev
from dojang.server.followers import Follower
from dojang.server.model import AuditRecord, Client, KeyRecord, Position, Resource
from dojang.server.people import R
from dojang.server.ports import Change, EpochPlan
from dojang.storage import statements
from dojang.storage.errors import BadStoreUrl
from dojang.storage.postgres_commits import count_rows
from dojang.storage.postgres_connections import close_gently, connect, first_failures
from dojang.storage.postgres_ledger import PostgresLedger
from dojang.storage.postgres_schema import read_revision
from dojang.storage.postgres_signals import (
    LOAD_FOLLOWERS,
    SAVE_FOLLOWERS,
    PostgresSignals,
    build_save,
)
from dojang.storage.record_kinds import KINDS
from dojang.storage.records import (
    check_entry,
    is_storable,
    parse_audit,
    parse_client,
    parse_fact,
    parse_follower,
    parse_key,
    parse_resource,
)
from dojang.storage.revisions import check_revision
from dojang.storage.unit import split_changes

if TYPE_CHECKING:
    from dojang.storage.redis_hints import RedisHints

MOST_WAITING: Final = 10_000  # calls; more are told to come back
ROWS_TOGETHER: Final = 1000
FACTS_TOGETHER: Final = 20_000
CONSUMED_BETWEEN_CLEARINGS: Final = 64

T = TypeVar("T")


class PostgresStore:
    """A `Store` in one database. Open one with `open`, inside the event loop that will use it."""

    def __init__(self, dsn: str, plan: EpochPlan | None) -> None:
        self._signals = PostgresSignals(dsn)
        self._ledger = PostgresLedger(dsn, self._signals, plan)
        self._running: set[asyncio.Task[Any]] = set()
        self._consumed = 0
        self._closed = False

    @classmethod
    async def open(cls, dsn: str, plan: EpochPlan | None = None, redis: str = "") -> Self:
        """The store in the database that `dsn` names, which `migrate` has prepared. `plan` is what
        a new epoch begins with where the database turns out to be another copy than it was;
        `redis` is the address of a Redis by which nodes tell each other of commits as well.

        Raises `BadStoreUrl`, `SchemaOutdated`, `SchemaTooNew` and `Unavailable`.
        """
        with first_failures():
            connection = await connect(dsn)
            try:
                check_revision(await read_revision(connection))
            finally:
                await close_gently(connection)
        store = cls(dsn, plan)
        if redis:
            store._signals.hints = _make_hints(redis, store._signals.tell)
        return store

    async def position(self) -> Position:
        return await self._ledger.position()

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed or len(self._running) >= MOST_WAITING:
            work.close()
            raise Unavailable("database")
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def commit(self, changes: Sequence[Change]) -> Position:
        unit = split_changes(changes)
        if unit.only_appends:
            return await self._run(self._ledger.append(unit))
        if not unit.moves:
            return await self._run(self._ledger.put(unit))
        return await self._run(self._ledger.commit(unit))

    async def begin_epoch(self, plan: EpochPlan, *, beyond: int = 0) -> Position:
        return await self._run(self._ledger.begin_epoch(plan, beyond))

    async def consume_once(self, key: bytes, *, until: int, now: int) -> bool:
        check_entry(key)
        fresh = await self._run(self._execute(statements.CONSUME, key, until, now)) == 1
        self._consumed += 1
        if self._consumed % CONSUMED_BETWEEN_CLEARINGS == 0:
            most = 2 * CONSUMED_BETWEEN_CLEARINGS
            await self._run(self._execute(statements.DROP_ENTRIES, now, most))
        return fresh

    async def forget(self, *, now: int) -> None:
        records = [kind.drop_expired for kind in KINDS.values()]
        for statement in (statements.DROP_FACTS, statements.DROP_ENTRIES, *records):
            while await self._run(self._execute(statement, now, ROWS_TOGETHER)):
                pass

    async def _execute(self, statement: str, *parameters: object) -> int:
        async with self._ledger.connections.lend() as connection:
            return count_rows(await connection.execute(statement, *parameters))

    async def _fetch(self, statement: str, *parameters: object) -> list[Any]:
        async with self._ledger.connections.lend() as connection:
            rows: list[Any] = await connection.fetch(statement, *parameters)
            return rows

    async def _read(self, statement: str, *parameters: object) -> list[Any]:
        return await self._run(self._fetch(statement, *parameters))

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        facts: list[Fact] = []
        while True:
            rows = await self._read(statements.LOAD_FACTS, *after, FACTS_TOGETHER)
            facts.extend(parse_fact(row) for row in rows)
            if len(rows) < FACTS_TOGETHER:
                return facts
            after = facts[-1].rev

    async def find_client(self, client_id: str) -> Client | None:
        if not is_storable(client_id):
            return None
        rows = await self._read(statements.FIND_CLIENT, client_id)
        return parse_client(rows[0]) if rows else None

    async def list_clients(self, *, after: str = "", limit: int = 1000) -> Sequence[Client]:
        rows = await self._read(statements.LIST_CLIENTS, after, limit)
        return [parse_client(row) for row in rows]

    async def find(self, kind: type[R], identifier: str) -> R | None:
        described = KINDS[kind]
        if not is_storable(identifier):
            return None
        rows = await self._read(described.find, identifier)
        return described.parse(rows[0][0]) if rows else None

    async def list_by(
        self, kind: type[R], owner: str, identifier: str, *, after: str = "", limit: int = 1000
    ) -> Sequence[R]:
        described = KINDS[kind]
        rows = await self._read(described.list_by[owner], identifier, after, limit)
        return [described.parse(row[0]) for row in rows]

    async def list_all(self, kind: type[R], *, after: str = "", limit: int = 1000) -> Sequence[R]:
        described = KINDS[kind]
        rows = await self._read(described.list_all, after, limit)
        return [described.parse(row[0]) for row in rows]

    async def list_resources(self) -> Sequence[Resource]:
        return [parse_resource(row) for row in await self._read(statements.LIST_RESOURCES)]

    async def load_keys(self) -> Sequence[KeyRecord]:
        return [parse_key(row) for row in await self._read(statements.LOAD_KEYS)]

    def watch(self, changed: Callable[[], None]) -> None:
        self._signals.watch(changed)

    async def lead(self) -> bool:
        return await self._signals.lead()

    async def save_followers(self, followers: Sequence[Follower]) -> None:
        if followers:
            await self._run(self._execute(SAVE_FOLLOWERS, *build_save(followers)))

    async def load_followers(self, *, since: float) -> Sequence[Follower]:
        return [parse_follower(row) for row in await self._read(LOAD_FOLLOWERS, since)]

    async def load_audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        return [parse_audit(row) for row in await self._read(statements.LOAD_AUDIT, after, limit)]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._signals.close()
        if self._running:
            await asyncio.wait(self._running)
        await self._ledger.close()


def _make_hints(redis: str, heard: Callable[[], None]) -> RedisHints:
    try:
        from dojang.storage.redis_hints import RedisHints
    except ImportError:
        raise BadStoreUrl(
            "redis.url is set and the package redis is missing: pip install 'dojang[redis]'"
        ) from None
    return RedisHints(redis, heard)
