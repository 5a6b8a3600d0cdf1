"""From an address to a store, importing only the database that it names."""

from __future__ import annotations

from dojang.server.ports import Store
from dojang.storage.address import MemoryAddress, SqliteAddress, parse_address


async def open_store(url: str) -> Store:
    """The store at `url`, for the event loop that runs now.

    Raises `BadStoreUrl`, `StoreInUse`, `SchemaOutdated`, `SchemaTooNew` and `Unavailable`.
    """
    address = parse_address(url)
    if isinstance(address, MemoryAddress):
        from dojang.storage.memory import MemoryStore

        return MemoryStore()
    if isinstance(address, SqliteAddress):
        from dojang.storage.sqlite import SqliteStore

        return await SqliteStore.open(address.database)
    from dojang.storage.postgres import PostgresStore

    return await PostgresStore.open(address.dsn)
