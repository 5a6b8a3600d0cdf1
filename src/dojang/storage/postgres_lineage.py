"""Which line of history a PostgreSQL server writes: its system identifier and its timeline.

A standby that takes over begins a new timeline, and a dump that is loaded elsewhere meets another
system identifier. Either may lack commits that were acknowledged. So the head row says which
lineage wrote it, and where a connection leads to another one, a new epoch begins before that
connection is used.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from dojang.server.ports import Conflict, EpochPlan
from dojang.storage import statements
from dojang.storage.errors import AnotherDatabase
from dojang.storage.going_back import Watermark, is_behind
from dojang.storage.postgres_commits import begin_epoch
from dojang.storage.postgres_connections import Connection
from dojang.storage.unit import Head

FIND: Final = (
    "SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) "
    "FROM pg_control_system()"
)
RECORD: Final = "UPDATE head SET lineage = $1 WHERE lineage IS NULL"
HIDDEN: Final = (  # a managed service may keep this to itself
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,
    asyncpg.FeatureNotSupportedError,
)

_log: Final = logging.getLogger("dojang.storage")


class Lineage:
    """Lets connections of one store in. `plan` is what a new epoch begins with; without one
    another lineage is refused. `sender` is the store's name in notices."""

    def __init__(self, plan: EpochPlan | None, seen: Watermark, *, sender: str) -> None:
        self._plan = plan
        self._seen = seen
        self._sender = sender
        self._turn = asyncio.Lock()

    async def admit(self, connection: Connection) -> None:
        """Return when `connection` leads to the database as it was, or in a new epoch.

        Raises `AnotherDatabase`, `Unavailable`, and what connections raise.
        """
        here = await find_lineage(connection)
        if here is None:
            return
        async with self._turn:
            while True:
                head = Head(*await connection.fetchrow(statements.READ_HEAD))
                if head.lineage == here:
                    return
                if head.lineage is None:
                    await connection.execute(RECORD, here)
                    continue
                await self._begin_epoch(connection, head, here)

    async def _begin_epoch(self, connection: Connection, head: Head, here: str) -> None:
        if self._plan is None:
            raise AnotherDatabase
        lost = is_behind(head, self._seen.head)
        _log.error(
            "the database was written by %s and is now %s: a new epoch begins%s",
            head.lineage,
            here,
            "; acknowledged commits are lost" if lost else "",
        )

        def enter(found: Head) -> Head:
            if found.lineage == here:  # another node was first
                raise Conflict("epoch", here)
            return found.begin_epoch(lineage=here)

        with suppress(Conflict):  # then look again
            await begin_epoch(connection, self._plan, lost=lost, enter=enter, sender=self._sender)


async def find_lineage(connection: Connection) -> str | None:
    """The lineage of the server that `connection` leads to; None where it may not be known."""
    try:
        found: str = await connection.fetchval(FIND)
    except HIDDEN:
        return None
    return found
