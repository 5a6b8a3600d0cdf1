"""Every store, through the `Store` protocol alone."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dojang.server.ports import Store
from dojang.storage.migrate import upgrade
from dojang.storage.opening import open_store
from tests.services.postgres import (
    broken_postgres,
    clean_databases,
    patient_stores,
    postgres,
    postgres_url,
)

__all__ = ["broken_postgres", "clean_databases", "patient_stores", "postgres", "postgres_url"]


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("sqlite") / "empty.db"
    asyncio.run(upgrade(f"sqlite://{database}"))
    return database


@pytest.fixture
def sqlite_path(empty_sqlite: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_sqlite, tmp_path / "dojang.db"))


@pytest.fixture
def sqlite_url(sqlite_path: Path) -> str:
    return f"sqlite://{sqlite_path}"


@pytest.fixture(params=["sqlite", "postgres"])
def lasting_url(request: pytest.FixtureRequest) -> str:
    """A new database that outlives its store."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory:"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await open_store(store_url)
    yield opened
    await opened.close()


@pytest.fixture
async def nodes(store_url: str, store: Store) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on one database where the database allows it, else the same one twice."""
    if not store_url.startswith("postgresql"):
        yield store, store
        return
    second = await open_store(store_url)
    yield store, second
    await second.close()
