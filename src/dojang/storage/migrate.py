"""Moves a database to a schema revision: Alembic writes the SQL, one transaction runs it.

SQLAlchemy and Alembic are imported here and nowhere else, and only when there is work to do.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Final

from dojang.oauth.errors import Unavailable
from dojang.storage.address import Address, MemoryAddress, SqliteAddress, parse_address
from dojang.storage.errors import SchemaTooNew
from dojang.storage.revisions import NEEDED, REVISIONS
from dojang.storage.sqlite_file import FileLock, connect, create_file
from dojang.storage.sqlite_rows import read_revision

SCRIPTS: Final = Path(__file__).with_name("migrations")


async def current(url: str) -> str | None:
    """The schema revision of the database at `url`, or None where it has none.

    Raises `BadStoreUrl` and `Unavailable`.
    """
    address = parse_address(url)
    if isinstance(address, MemoryAddress):
        return NEEDED
    if isinstance(address, SqliteAddress):
        return _read_sqlite(address.database)
    from dojang.storage.postgres_schema import load_revision

    return await load_revision(address.dsn)


async def upgrade(url: str) -> str | None:
    """Bring the database at `url` to the newest revision, making it where it is an SQLite file
    that is not there. The revision it had.

    Raises `BadStoreUrl`, `StoreInUse`, `SchemaTooNew` and `Unavailable`.
    """
    return await _move(parse_address(url), _find_newest)


async def downgrade(url: str) -> str | None:
    """Bring the database at `url` one revision back. The revision it had. Raises as `upgrade`."""
    return await _move(parse_address(url), _find_previous)


def _find_newest(found: str | None) -> str | None:
    return NEEDED


def _find_previous(found: str | None) -> str | None:
    if found is None or found == REVISIONS[0]:
        return None
    return REVISIONS[REVISIONS.index(found) - 1]


def _write_step(dialect: str, aim: Callable[[str | None], str | None], found: str | None) -> str:
    """The SQL that moves a database at revision `found`; empty where it is there already."""
    if found is not None and found not in REVISIONS:
        raise SchemaTooNew(found=found, known=NEEDED)
    target = aim(found)
    if target == found:
        return ""
    # A database that went back to the beginning still has Alembic's table.
    clearing = "" if found else "DROP TABLE IF EXISTS alembic_version; "
    return clearing + write_sql(dialect, found, target)


def write_sql(dialect: str, found: str | None, target: str | None) -> str:
    """The statements from one revision to another; `dialect` is "sqlite" or "postgresql"."""
    from alembic import command
    from alembic.config import Config

    output = StringIO()
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["dialect"] = dialect
    span = f"{found or 'base'}:{target or 'base'}"
    forward = (REVISIONS.index(target) + 1 if target else 0) > (
        REVISIONS.index(found) + 1 if found else 0
    )
    (command.upgrade if forward else command.downgrade)(config, span, sql=True)
    return output.getvalue()


async def _move(address: Address, aim: Callable[[str | None], str | None]) -> str | None:
    if isinstance(address, MemoryAddress):
        return NEEDED
    if isinstance(address, SqliteAddress):
        return await asyncio.to_thread(_move_sqlite, address.database, aim)
    from dojang.storage.postgres_schema import run_step

    return await run_step(address.dsn, lambda found: _write_step("postgresql", aim, found))


def _read_sqlite(database: Path) -> str | None:
    if not database.exists():
        return None
    try:
        connection = connect(database)
        try:
            return read_revision(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Unavailable("database") from error


def _move_sqlite(database: Path, aim: Callable[[str | None], str | None]) -> str | None:
    lock = FileLock.take(database)
    try:
        create_file(database)
        connection = connect(database)
        try:
            found = read_revision(connection)
            if script := _write_step("sqlite", aim, found):
                connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
            return found
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise Unavailable("database") from error
    finally:
        lock.release()
