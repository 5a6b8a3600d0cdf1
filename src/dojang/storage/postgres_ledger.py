"""The order of things on PostgreSQL: the position, and what moves it.

No connection is used before its server is known to write the history that the store has seen, and
nothing is answered or written at a position behind one that was seen before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from dojang.server.model import Position
from dojang.server.ports import EpochPlan
from dojang.storage import statements
from dojang.storage.barrier import ReadBarrier
from dojang.storage.going_back import Watermark
from dojang.storage.postgres_appends import GroupedAppends
from dojang.storage.postgres_commits import begin_epoch, commit_units, put_records
from dojang.storage.postgres_connections import (
    FAILURES,
    Connection,
    Connections,
    close_gently,
    connect,
    world_failures,
)
from dojang.storage.postgres_lineage import Lineage
from dojang.storage.postgres_signals import PostgresSignals
from dojang.storage.unit import Head, Unit

MOST_CONNECTIONS: Final = 10  # for everything but the barrier, which has one of its own


class PostgresLedger:
    """Positions and commits of one store, and the `connections` that all of it uses. `plan` is
    what a new epoch begins with after a failover."""

    def __init__(self, dsn: str, signals: PostgresSignals, plan: EpochPlan | None) -> None:
        self._dsn = dsn
        self._signals = signals
        self._seen = Watermark()
        self._lineage = Lineage(plan, self._seen, sender=signals.name)
        self.connections: Final = Connections(self._open_one, most=MOST_CONNECTIONS)
        self._appends = GroupedAppends(self._append)
        self._barrier = ReadBarrier(self._read_position)
        self._barrier_connection: Connection | None = None

    async def _open_one(self) -> Connection:
        connection = await connect(self._dsn)
        try:
            await self._lineage.admit(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def position(self) -> Position:
        """As `Ledger.position`; not one of its callers reads alone."""
        return await self._barrier.pass_through()

    async def _read_position(self) -> Position:
        held, self._barrier_connection = self._barrier_connection, None
        with world_failures():
            if held is not None and not held.is_closed():
                try:
                    return await self._read_position_on(held)
                except TimeoutError:
                    raise
                except FAILURES:
                    pass  # the server was restarted: a new connection may do
            return await self._read_position_on(await self._open_one())

    async def _read_position_on(self, connection: Connection) -> Position:
        before = self._seen.head
        try:
            head = Head(*await connection.fetchrow(statements.READ_HEAD))
            if (lost := self._seen.lost) is not None:
                places = lost.number, lost.epoch, lost.audit_number
                digests = await connection.fetchrow(statements.FIND_DIGESTS, *places)
                self._seen.prove(head, *digests)
        except BaseException:
            connection.terminate()
            raise
        self._barrier_connection = connection
        self._seen.check(head, before)
        return head.position

    def _follow(self) -> Callable[[Head], Head]:
        """Has a commit go on only from a head that is not behind what was seen until now."""
        before = self._seen.head

        def enter(found: Head) -> Head:
            self._seen.check(found, before)
            return found

        return enter

    async def append(self, unit: Unit) -> Position:
        """The position after `unit`, which only appends. Raises `Unavailable`."""
        return await self._appends.submit(unit)

    async def _append(self, units: Sequence[Unit]) -> list[Position]:
        return await self._write(partial(commit_units, units=units, enter=self._follow()))

    async def commit(self, unit: Unit) -> Position:
        """The position after `unit`. Raises `Conflict` and `Unavailable`."""
        (position,) = await self._append([unit])
        return position

    async def put(self, unit: Unit) -> Position:
        """A position that is as good as before, after `unit`, which is about records alone.
        Raises `Conflict` and `Unavailable`."""
        async with self.connections.lend() as connection:
            await put_records(connection, unit)
        return self._seen.head.position

    async def begin_epoch(self, plan: EpochPlan, beyond: int) -> Position:
        """As `Ledger.begin_epoch`."""
        enter = partial(Head.begin_epoch, beyond=beyond)
        (position,) = await self._write(partial(begin_epoch, plan=plan, lost=False, enter=enter))
        return position

    async def _write(self, work: Callable[..., Awaitable[list[Head]]]) -> list[Position]:
        async with self.connections.lend() as connection:
            heads = await work(connection, sender=self._signals.name)
        self._seen.note(heads[-1])
        self._signals.tell_all()
        return [head.position for head in heads]

    async def close(self) -> None:
        """Let those who wait for the position have it, then close what is idle."""
        await self._barrier.close()
        await self.connections.close()
        if self._barrier_connection is not None:
            await close_gently(self._barrier_connection)
