"""From an address to a store, importing only the database that it names."""

from __future__ import annotations

from dojang.server.ports import EpochPlan, Store
from dojang.storage.address import MemoryAddress, SqliteAddress, parse_address
from dojang.storage.errors import StoreInUse


def is_free(url: str) -> bool:
    """Whether no process has the SQLite database at `url` open. False for any other store, and
    where that cannot be told: nobody is turned away for it. Raises `BadStoreUrl`."""
    address = parse_address(url)
    if not isinstance(address, SqliteAddress) or not address.database.exists():
        return False
    from dojang.storage.sqlite_file import FileLock

    try:
        FileLock.take(address.database).release()
    except (StoreInUse, OSError):
        return False
    return True


async def open_store(url: str, *, plan: EpochPlan | None = None, redis: str = "") -> Store:
    """The store at `url`, for the event loop that runs now. `plan` is what a new epoch begins with
    where PostgreSQL turns out to have failed over, or to have been restored elsewhere; `redis` is
    the address of a Redis by which nodes on PostgreSQL tell each other of commits as well.

    Raises `BadStoreUrl`, `StoreInUse`, `SchemaOutdated`, `SchemaTooNew`, `MovedAway` and
    `Unavailable`.
    """
    address = parse_address(url)
    if isinstance(address, MemoryAddress):
        from dojang.storage.memory import MemoryStore

        return MemoryStore()
    if isinstance(address, SqliteAddress):
        from dojang.storage.sqlite import SqliteStore

        return await SqliteStore.open(address.database)
    from dojang.storage.postgres import PostgresStore

    return await PostgresStore.open(address.dsn, plan, redis)
