"""The schema revision of a PostgreSQL database: reading it, and moving it in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from dojang.storage import statements
from dojang.storage.postgres_connections import (
    Connection,
    close_gently,
    connect,
    first_failures,
    world_failures,
)

MIGRATION_TIMEOUT: Final = 3600.0  # seconds
MIGRATION_LOCK: Final = 0x646F6A616E67  # one migration at a time
LOCK_TIMEOUT: Final = 200  # milliseconds: whoever comes after the migration waits for it too
LOCK_ATTEMPTS: Final = 150
PAUSE: Final = 0.2  # seconds in which servers work


async def read_revision(connection: Connection) -> str | None:
    """The schema revision of the database, or None where it has no schema."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    found = await connection.fetchval(statements.READ_REVISION)
    return None if found is None else str(found)


async def load_revision(dsn: str) -> str | None:
    """As `read_revision`, on a connection of its own. Raises `BadStoreUrl` and `Unavailable`."""
    with first_failures():
        connection = await connect(dsn)
        try:
            return await read_revision(connection)
        finally:
            await close_gently(connection)


async def run_step(dsn: str, write_step: Callable[[str | None], str]) -> str | None:
    """Run what `write_step` makes of the revision found, all or nothing. The revision found.

    Servers may be at work: where a table is held by one, all is undone and tried again later.
    """
    with first_failures():
        connection = await connect(dsn, statement_timeout=MIGRATION_TIMEOUT)
    with world_failures():
        try:
            for _ in range(LOCK_ATTEMPTS - 1):
                try:
                    return await _run_step(connection, write_step)
                except asyncpg.LockNotAvailableError:
                    await asyncio.sleep(PAUSE)
            return await _run_step(connection, write_step)
        finally:
            await close_gently(connection)


async def _run_step(connection: Connection, write_step: Callable[[str | None], str]) -> str | None:
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        found = await read_revision(connection)
        if script := write_step(found):
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
            await connection.execute(script)
        return found
