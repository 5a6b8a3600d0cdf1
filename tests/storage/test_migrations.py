"""Migrations and `schema.py` say the same, on both databases."""

import asyncio
import re
from itertools import pairwise
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, create_mock_engine
from sqlalchemy.schema import ExecutableDDLElement

from dojang.server.ports import PutClient
from dojang.storage.migrate import SCRIPTS, current, downgrade, upgrade
from dojang.storage.opening import open_store
from dojang.storage.revisions import NEEDED, REVISIONS
from dojang.storage.schema import TRIGGERS, metadata, postgresql_metadata
from tests.services.postgres import PostgresCluster
from tests.storage.samples import FULL_CLIENT

pytestmark = pytest.mark.proves("A6")


def test_alembic_finds_nothing_to_migrate(sqlite_path: Path) -> None:
    engine = create_engine(f"sqlite:///{sqlite_path}")
    with engine.connect() as connection:
        found = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(found, metadata) == []
    engine.dispose()


def write_tables() -> str:
    """The SQL that makes the tables of `schema.py` on PostgreSQL."""
    statements: list[str] = []

    def note(statement: ExecutableDDLElement, *_: object, **__: object) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("postgresql+asyncpg://", note)
    metadata.create_all(engine, checkfirst=False)
    postgresql_metadata.create_all(engine, checkfirst=False)
    return ";".join([*statements, *TRIGGERS])


def test_postgresql_dumps_the_same_tables(postgres: PostgresCluster) -> None:
    migrated, made = postgres.make_database(), postgres.make_empty_database()
    postgres.run_sql(write_tables(), database=made.rpartition("/")[2])
    assert postgres.dump_schema(migrated) == postgres.dump_schema(made)
    assert len(re.findall("CREATE TABLE", postgres.dump_schema(made))) == 22


def test_the_revisions_known_at_the_start_are_those_that_exist() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS
    assert scripts.get_heads() == [NEEDED]


async def test_there_and_one_step_back(lasting_url: str) -> None:
    assert await current(lasting_url) == NEEDED
    for revision, before in pairwise([*reversed(REVISIONS), None]):
        assert await downgrade(lasting_url) == revision
        assert await current(lasting_url) == before
    assert await downgrade(lasting_url) is None
    assert await upgrade(lasting_url) is None
    assert await current(lasting_url) == NEEDED


async def test_a_second_upgrade_changes_nothing(lasting_url: str) -> None:
    store = await open_store(lasting_url)
    await store.commit([PutClient(FULL_CLIENT)])
    await store.close()
    assert await upgrade(lasting_url) == NEEDED
    store = await open_store(lasting_url)
    assert await store.find_client(FULL_CLIENT.client_id) == FULL_CLIENT
    await store.close()


async def test_a_table_in_use_is_waited_for_without_stopping_others(
    postgres: PostgresCluster,
) -> None:
    url = postgres.make_database()
    while await downgrade(url) != "0002":
        pass
    reader, server = await asyncpg.connect(url), await asyncpg.connect(url)
    await reader.execute("BEGIN; SELECT FROM facts")  # as pg_dump does
    upgrading = asyncio.create_task(upgrade(url))
    for _ in range(20):
        # Time enough for many who stand in line: the migration gives way again and again.
        await server.fetchrow("SELECT epoch FROM head", timeout=30)
        await asyncio.sleep(0.02)
    assert not upgrading.done()
    await reader.execute("COMMIT")
    assert await upgrading == "0001"
    assert await current(url) == NEEDED
    await reader.close()
    await server.close()


async def test_simultaneous_upgrades_wait_for_each_other(postgres: PostgresCluster) -> None:
    url = postgres.make_empty_database()
    found = await asyncio.gather(*(upgrade(url) for _ in range(4)))
    assert sorted(found, key=str) == [NEEDED, NEEDED, NEEDED, None]
    assert await current(url) == NEEDED
