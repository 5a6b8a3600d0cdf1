"""Connections to PostgreSQL: few, opened when needed, thrown away when anything goes wrong.

A connection is only ever reused after its last statement succeeded, so no answer can be another
question's. Session state is set once, when it opens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

import asyncpg  # type: ignore[import-untyped]

from dojang.oauth.errors import Unavailable
from dojang.server.ports import Conflict
from dojang.storage.errors import BadStoreUrl

Connection: TypeAlias = Any  # asyncpg.Connection; asyncpg has no types

CONNECT_TIMEOUT = 2.0  # seconds
STATEMENT_TIMEOUT = 1.0  # seconds
FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError is one
)

# A node that stops in the middle of a commit would keep the head row from all others.
_SETTINGS: Final = {
    "application_name": "dojang",
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "dojang.counts": "on",  # what it changes of directories it counts itself: see `schema`
    "idle_in_transaction_session_timeout": "2000",
    "jit": "off",
    # The server is to notice in seconds, not hours, that a node is out of reach: what leads holds
    # a lock for as long as its connection seems to live.
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "6000",
}
_WAIT_FOR_DISK: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)


@contextmanager
def world_failures() -> Iterator[None]:
    """Whatever PostgreSQL or the way to it does wrong is `Unavailable`."""
    try:
        yield
    except FAILURES as error:
        raise Unavailable("database") from error


@contextmanager
def first_failures() -> Iterator[None]:
    """As `world_failures`, for the first connection: what will not pass is `BadStoreUrl`."""
    try:
        with world_failures():
            yield
    except ValueError:
        raise BadStoreUrl("the store's address is no PostgreSQL address") from None
    except Unavailable as error:
        match error.__cause__:
            case asyncpg.InvalidCatalogNameError():
                raise BadStoreUrl("PostgreSQL has no database of that name") from None
            case asyncpg.InvalidAuthorizationSpecificationError():
                raise BadStoreUrl("PostgreSQL refuses that user or password") from None
            case asyncpg.ClientConfigurationError():
                raise BadStoreUrl("the store's address is no PostgreSQL address") from None
            case _:
                raise


async def connect(dsn: str, *, statement_timeout: float | None = None) -> Connection:
    """A new connection to a server that accepts writes, in `CONNECT_TIMEOUT` seconds.

    Raises one of `FAILURES`.
    """
    statement_timeout = statement_timeout or STATEMENT_TIMEOUT
    milliseconds = str(int(statement_timeout * 1000))
    async with asyncio.timeout(CONNECT_TIMEOUT):
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT,
            command_timeout=statement_timeout,
            server_settings=_SETTINGS | {"statement_timeout": milliseconds},
            target_session_attrs="read-write",
        )
        try:
            await connection.execute(_WAIT_FOR_DISK)
        except BaseException:
            connection.terminate()
            raise
    return connection


class Connections:
    """At most `most` at a time, made by `open_one`; who comes later waits its turn,
    `CONNECT_TIMEOUT` at most."""

    def __init__(self, open_one: Callable[[], Awaitable[Connection]], *, most: int) -> None:
        self._open_one = open_one
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(most)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """A connection for one piece of work; it comes back only if the work succeeds, or ends
        in a `Conflict`."""
        with world_failures():
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._turns.acquire()
            try:
                connection = self._find_idle() or await self._open_one()
                try:
                    yield connection
                except Conflict:  # all was undone
                    self._idle.append(connection)
                    raise
                except BaseException:
                    connection.terminate()
                    raise
                self._idle.append(connection)
            finally:
                self._turns.release()

    def _find_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def close(self) -> None:
        """Close those that are idle; what is lent is not."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await close_gently(connection)


async def close_gently(connection: Connection) -> None:
    """Say goodbye to the server, if it listens."""
    try:
        await connection.close(timeout=STATEMENT_TIMEOUT)
    except FAILURES:
        connection.terminate()
