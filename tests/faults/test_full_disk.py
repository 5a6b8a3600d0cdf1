"""F13: the disk of PostgreSQL is full, or that of the log. What must be written is refused, the
rest goes on, and space brings it back."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.ports import Store
from dojang.storage.migrate import upgrade
from dojang.storage.opening import open_store
from tests.cli.conftest import fill
from tests.cli.installation import ORDERS, Installation, environment
from tests.services.postgres import PostgresCluster, require_programs
from tests.storage.samples import EVENT, make_fact

pytestmark = pytest.mark.proves("F13")

MEGABYTES = 64


@pytest.fixture
def small_postgres() -> Iterator[PostgresCluster]:
    """A server whose disk holds 64 MB. Only root can make one."""
    home = Path(tempfile.mkdtemp(prefix="dojang-small-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(home)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        home.rmdir()
        pytest.skip("only root can mount a small disk")
    try:
        cluster = PostgresCluster(require_programs(), home=home, initdb=["--wal-segsize=1"])
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.remove()
    finally:
        subprocess.run(["umount", "-l", home], check=True)
        home.rmdir()


def use_up(home: Path) -> Path:
    """A file that takes all the space there is."""
    filler = home / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"\0" * 65_536)
    return filler


async def commit(store: Store, name: str) -> bool:
    """Whether it was acknowledged."""
    event = replace(EVENT, target=name, detail={"much": "x" * 20_000})
    try:
        await store.commit([make_fact(name), event])
    except Unavailable:
        return False
    return True


async def test_a_full_disk_refuses_and_space_brings_it_back(
    small_postgres: PostgresCluster,
) -> None:
    small_postgres.run_sql("CREATE DATABASE dojang")
    url = f"{small_postgres.make_url('dojang')}?sslmode=disable"
    await upgrade(url)
    store = await open_store(url)
    acknowledged: list[str] = []
    names = (f"t{number}" for number in range(100_000))
    for name in names:
        if await commit(store, name):
            acknowledged.append(name)
        if len(acknowledged) == 20:
            break
    filler = await asyncio.to_thread(use_up, small_postgres.home)
    refused = 0
    for name in names:
        if await commit(store, name):
            acknowledged.append(name)
        else:
            refused += 1
        if refused == 20:
            break
    filler.unlink()
    if not small_postgres.is_running:  # without room for its log PostgreSQL gives up
        await asyncio.to_thread(small_postgres.start)
    mended = 0
    async with asyncio.timeout(60):
        for name in names:
            if await commit(store, name):
                acknowledged.append(name)
                mended += 1
            else:
                await asyncio.sleep(0.05)
            if mended == 20:
                break
    facts = await store.load_facts(Rev(0, 0))
    assert [fact.rev.number for fact in facts] == list(range(1, len(facts) + 1))
    assert {fact.identifier for fact in facts} >= set(acknowledged)
    await store.close()


def test_a_log_that_cannot_be_written_stops_nobody(fresh_installation: Installation) -> None:
    installation = fresh_installation
    fill(installation)
    with Path("/dev/full").open("w") as full:
        server = subprocess.Popen(
            [installation.program, "serve"],
            cwd=installation.directory,
            env=environment(),
            stdout=full,
            stderr=full,
        )
    try:
        while installation.run("healthcheck").code != 0:
            assert server.poll() is None
        token = installation.issue("shop", ORDERS)
        assert installation.is_active(token)
        installation.must("revoke", "token", "-", stdin=token)
        assert not installation.is_active(token)
    finally:
        server.terminate()
        code = server.wait(60)
    assert code == 0


@pytest.fixture
def fresh_installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)
