"""What nodes on one PostgreSQL database tell each other: that something was committed, who leads,
and who follows.

One connection of a store listens for as long as the store lives. It is made again whenever it
breaks; then everybody is told, because something may have been missed. The lock of the one that
leads is held by that connection, so it is free the moment the node is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import SystemRandom
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from dojang.oauth.errors import Unavailable
from dojang.server.followers import Follower
from dojang.storage import postgres_connections as connections
from dojang.storage import statements
from dojang.storage.postgres_connections import FAILURES, Connection, connect, world_failures
from dojang.storage.records import build_follower_row

if TYPE_CHECKING:
    from dojang.storage.redis_hints import RedisHints

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does

CHANNEL: Final = "dojang"
LEADER_LOCK: Final = 0x646F6A616E68
HEARTBEAT: Final = 5.0  # seconds without news after which the connection is tried
FIRST_PAUSE: Final = 0.05  # seconds before a new connection; doubled each time, up to
LONGEST_PAUSE: Final = 2.0

_SETS: Final = ", ".join(
    f"{name} = excluded.{name}" for name in statements.FOLLOWER_COLUMNS.split(", ")[:-1]
)
KEPT_SECONDS: Final = 3600  # of a follower that nobody has seen since; clocks may differ by less
SAVE_FOLLOWERS: Final = f"""
WITH gone AS (DELETE FROM followers WHERE seen_at < $9 AND follower_id <> ALL ($8))
INSERT INTO followers ({statements.FOLLOWER_COLUMNS})
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::double precision[],
    $7::double precision[], $8::text[]
)
ON CONFLICT (follower_id) DO UPDATE SET {_SETS} WHERE followers.seen_at < excluded.seen_at
"""
LOAD_FOLLOWERS: Final = f"SELECT {statements.FOLLOWER_COLUMNS} FROM followers WHERE seen_at > $1"


class PostgresSignals:
    """The listening connection of a store. `name` tells its own notices from those of others."""

    def __init__(self, dsn: str) -> None:
        self.name: Final = token_hex(8)
        self.hints: RedisHints | None = None
        self._dsn = dsn
        self._watchers: list[Callable[[], None]] = []
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._leading: Connection | None = None
        self._using = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def watch(self, changed: Callable[[], None]) -> None:
        """As `Signals.watch`."""
        self._watchers.append(changed)
        self._start()

    def tell(self) -> None:
        """Call everybody who watches, soon."""
        loop = asyncio.get_running_loop()
        for changed in self._watchers:
            loop.call_soon(changed)

    def tell_all(self) -> None:
        """The same where this store has committed: other nodes had a notice with the commit, and
        have a hint by another way where there is one."""
        self.tell()
        if self.hints is not None:
            self.hints.tell()

    async def lead(self) -> bool:
        """As `Signals.lead`."""
        self._start()
        with world_failures():
            async with asyncio.timeout(connections.CONNECT_TIMEOUT):
                await self._connected.wait()
            connection = self._connection
            if connection is None:  # gone again
                raise Unavailable("database")
            async with self._using:
                if connection is self._leading:
                    await _try(connection)  # it may be lost, and the lock with it
                elif await connection.fetchval(f"SELECT pg_try_advisory_lock({LEADER_LOCK})"):
                    self._leading = connection
            return self._leading is connection

    def _start(self) -> None:
        if self._closed:
            raise Unavailable("database")
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            with suppress(*FAILURES):
                connection = await connect(self._dsn)
                try:
                    await self._stay(connection)
                finally:
                    pause = FIRST_PAUSE if self._connected.is_set() else pause
                    self._connected.clear()
                    self._connection = self._leading = None
                    connection.terminate()
            await asyncio.sleep(_RANDOM.uniform(pause / 2, pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _stay(self, connection: Connection) -> None:
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(CHANNEL, self._hear)
        self._connection = connection
        self._connected.set()
        self.tell()
        while not ended.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await ended.wait()
            except TimeoutError:
                async with self._using:
                    await _try(connection)

    def _hear(self, connection: Any, process: int, channel: str, sender: str) -> None:
        if sender != self.name:
            self.tell()

    async def close(self) -> None:
        """Stop listening."""
        self._closed = True
        if self.hints is not None:
            await self.hints.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task


async def _try(connection: Connection) -> None:
    await connection.execute("SELECT 1")


def build_save(followers: Sequence[Follower]) -> list[Any]:
    """The parameters of `SAVE_FOLLOWERS` for one follower at least."""
    rows = [build_follower_row(follower) for follower in followers]
    latest = max(follower.seen_at for follower in followers)
    return [*([*column] for column in zip(*rows, strict=True)), latest - KEPT_SECONDS]
