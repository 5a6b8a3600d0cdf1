"""Opening and closing a store, and what an operator is told when it cannot be."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.ports import PutClient
from dojang.storage.errors import BadStoreUrl, SchemaOutdated, SchemaTooNew, StoreInUse
from dojang.storage.migrate import current, downgrade, upgrade
from dojang.storage.opening import open_store
from tests.services.postgres import PostgresCluster
from tests.storage.samples import EVENT, FULL_CLIENT, make_client, make_fact

pytestmark = pytest.mark.proves("A6")


@pytest.mark.proves("F18")
async def test_what_was_committed_is_there_after_a_restart(lasting_url: str) -> None:
    store = await open_store(lasting_url)
    await store.commit([PutClient(FULL_CLIENT), make_fact("t"), EVENT])
    assert await store.consume_once(b"jti", until=100, now=1)
    position = await store.position()
    facts, trail = await store.load_facts(Rev(0, 0)), await store.load_audit()
    await store.close()

    store = await open_store(lasting_url)
    assert await store.position() == position
    assert await store.find_client(FULL_CLIENT.client_id) == FULL_CLIENT
    assert await store.load_facts(Rev(0, 0)) == facts
    assert await store.load_audit() == trail
    assert not await store.consume_once(b"jti", until=100, now=1)
    assert (await store.commit([make_fact("u")]))[:3] == (1, 2, 1)
    await store.close()


async def test_closing_finishes_what_was_accepted(store_url: str) -> None:
    store = await open_store(store_url)
    commits = [asyncio.create_task(store.commit([make_fact(f"t{n}")])) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert {position.head for position in await asyncio.gather(*commits)} == set(range(1, 51))
    for call in (store.position(), store.commit([EVENT]), store.find_client("c")):
        with pytest.raises(Unavailable):
            await call
    with pytest.raises(Unavailable):
        await store.consume_once(b"k", until=2, now=1)
    await store.close()


async def test_an_sqlite_file_has_one_process(sqlite_url: str, sqlite_path: Path) -> None:
    store = await open_store(sqlite_url)
    with pytest.raises(StoreInUse) as caught:
        await open_store(sqlite_url)
    assert (caught.value.path, caught.value.pid) == (sqlite_path, os.getpid())
    assert str(os.getpid()) in str(caught.value)
    with pytest.raises(StoreInUse):
        await upgrade(sqlite_url)
    program = (
        "import asyncio, sys\n"
        "from dojang.storage.opening import open_store\n"
        "from dojang.storage.errors import StoreInUse\n"
        "try: asyncio.run(open_store(sys.argv[1]))\n"
        "except StoreInUse as error: print(error.pid)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, sqlite_url], check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == str(os.getpid())
    await store.close()
    await (await open_store(sqlite_url)).close()


async def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    database = tmp_path / "new.db"
    await upgrade(f"sqlite://{database}")
    store = await open_store(f"sqlite://{database}")
    await store.commit([EVENT])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes.keys() == {"new.db", "new.db-wal", "new.db-shm", "new.db.lock"}
    assert set(modes.values()) == {0o600}
    await store.close()


async def test_an_empty_database_asks_for_a_migration(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    for url in (f"sqlite://{tmp_path}/none.db", postgres.make_empty_database()):
        assert await current(url) is None
        with pytest.raises(SchemaOutdated, match="run dojang migrate") as caught:
            await open_store(url)
        assert caught.value.found is None
    assert not (tmp_path / "none.db").exists()


async def test_an_older_database_asks_for_a_migration_which_helps(lasting_url: str) -> None:
    await downgrade(lasting_url)
    with pytest.raises(SchemaOutdated, match="run dojang migrate"):
        await open_store(lasting_url)
    await upgrade(lasting_url)
    store = await open_store(lasting_url)
    assert (await store.position())[:3] == (1, 0, 0)
    await store.close()


async def test_a_newer_database_is_left_alone(tmp_path: Path, postgres: PostgresCluster) -> None:
    statement = "UPDATE alembic_version SET version_num = '9999'"
    database = tmp_path / "newer.db"
    await upgrade(f"sqlite://{database}")
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()
    url = postgres.make_database()
    postgres.run_sql(statement, database=url.rpartition("/")[2])
    for address in (f"sqlite://{database}", url):
        assert await current(address) == "9999"
        for attempt in (open_store, upgrade):
            with pytest.raises(SchemaTooNew, match="9999"):
                await attempt(address)


BAD_URLS = [
    "",
    "memory",
    "dojang.db",
    "sqlite://relative.db",
    "sqlite:dojang.db",
    "sqlite:///",
    "sqlite:///x.db?mode=ro",
    "mysql://localhost/dojang",
    "postgresql://localhost",
    "http://[",
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_an_address_of_no_known_form_is_refused(url: str) -> None:
    for attempt in (open_store, upgrade, current):
        with pytest.raises(BadStoreUrl):
            await attempt(url)


@pytest.mark.proves("O2")
async def test_a_wrong_postgresql_address_is_told_apart_from_an_outage(
    postgres: PostgresCluster,
) -> None:
    here = f"127.0.0.1:{postgres.port}"
    name = postgres.make_database().rpartition("/")[2]
    for url in (
        f"postgresql://dojang:hunter2@{here}/nowhere",
        f"postgresql://stranger:hunter2@{here}/{name}",
        f"postgresql://dojang:hunter2@{here}x/{name}",
    ):
        for attempt in (open_store, upgrade, current):
            with pytest.raises(BadStoreUrl) as caught:
                await attempt(url)
            assert "hunter2" not in f"{caught.value!r} {caught.value}"
    with pytest.raises(Unavailable):
        await open_store(f"postgresql://dojang:hunter2@127.0.0.1:1/{name}")


async def test_a_server_that_refuses_writes_is_an_outage(postgres: PostgresCluster) -> None:
    url = postgres.make_database()
    name = url.rpartition("/")[2]
    postgres.run_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await open_store(url)


async def test_postgresql_is_reached_by_socket_too(postgres: PostgresCluster) -> None:
    name = postgres.make_database().rpartition("/")[2]
    store = await open_store(postgres.make_socket_url(name))
    assert (await store.commit([PutClient(make_client("c"))]))[:3] == (1, 0, 1)
    await store.close()


def test_a_start_on_a_current_database_imports_no_migration_tool(lasting_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from dojang.storage.opening import open_store\n"
        "async def main(): await (await open_store(sys.argv[1])).close()\n"
        "asyncio.run(main())\n"
        "print({'sqlalchemy', 'alembic', 'mako'} & sys.modules.keys())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, lasting_url], check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == "set()"
