"""F11: Redis is killed, frozen, emptied and full. Speed is lost, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from dojang.oauth.revocation_fact import Rev
from dojang.server.ports import PutClient, Store
from dojang.storage import redis_hints
from dojang.storage.errors import BadStoreUrl
from dojang.storage.opening import open_store
from dojang.storage.redis_hints import RedisHints
from tests.services.postgres import clean_databases, patient_stores, postgres, postgres_url
from tests.services.redis import RedisServer, redis_server
from tests.storage.samples import EVENT, make_client, make_fact

__all__ = ["clean_databases", "patient_stores", "postgres", "postgres_url", "redis_server"]

pytestmark = pytest.mark.proves("F11")

FAULTS: dict[str, Callable[[RedisServer], None]] = {
    "killed": RedisServer.kill,
    "frozen": RedisServer.freeze,
    "emptied": RedisServer.empty,
    "full": RedisServer.fill_up,
}
MENDED: dict[str, Callable[[RedisServer], None]] = {
    "killed": RedisServer.start,
    "frozen": RedisServer.thaw,
    "emptied": RedisServer.empty,
    "full": RedisServer.empty,
}


class Bell:
    """Counts how often it rang."""

    def __init__(self) -> None:
        self.count = 0
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self.count += 1
        self._rung.set()

    async def wait(self) -> None:
        async with asyncio.timeout(20):
            await self._rung.wait()
        self._rung.clear()


async def tell_until_heard(teller: RedisHints, bell: Bell) -> None:
    """A hint may be lost; the next one is not, once Redis is there."""
    count = bell.count
    async with asyncio.timeout(20):
        while bell.count == count:
            teller.tell()
            await asyncio.sleep(0.02)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_hints, "BLOCK", 0.3)
    monkeypatch.setattr(redis_hints, "TIMEOUT", 0.3)
    monkeypatch.setattr(redis_hints, "LONGEST_PAUSE", 0.1)


async def test_nodes_are_told_by_redis(redis_server: RedisServer) -> None:
    ours, theirs = Bell(), Bell()
    us, them = RedisHints(redis_server.url, ours.ring), RedisHints(redis_server.url, theirs.ring)
    await ours.wait()
    await theirs.wait()
    for _ in range(3):
        us.tell()
        await theirs.wait()
    assert ours.count == 1  # what one tells oneself is no news
    await us.close()
    await them.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_hints_come_back_with_redis(
    redis_server: RedisServer, quick: None, fault: str
) -> None:
    bell = Bell()
    us, them = RedisHints(redis_server.url, Bell().ring), RedisHints(redis_server.url, bell.ring)
    await tell_until_heard(us, bell)
    FAULTS[fault](redis_server)
    us.tell()
    await asyncio.sleep(0.8)  # longer than every limit of time
    MENDED[fault](redis_server)
    await tell_until_heard(us, bell)
    await us.close()
    await them.close()


@pytest.fixture
async def nodes(
    postgres_url: str, redis_server: RedisServer, quick: None
) -> AsyncIterator[tuple[Store, Store]]:
    opened = [await open_store(postgres_url, redis=redis_server.url) for _ in range(2)]
    yield opened[0], opened[1]
    for store in opened:
        await store.close()


@pytest.mark.proves("A6", "C48")
@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_with_redis(
    nodes: tuple[Store, Store], redis_server: RedisServer, fault: str
) -> None:
    one, other = nodes
    await one.commit([make_fact("before")])
    FAULTS[fault](redis_server)
    for number in range(20):
        position = await one.commit([make_fact(f"t{number}"), EVENT])
        # Revoked here is revoked there, in the very next answer.
        assert await other.position() == position
        changed = await other.commit([PutClient(make_client(f"c{number}"))])
        assert await one.position() == changed
        # What was used once here is used up there.
        key = b"proof %d" % number
        assert await one.consume_once(key, until=2_000_000_000, now=1)
        assert not await other.consume_once(key, until=2_000_000_000, now=1)
    assert len(await other.load_facts(Rev(0, 0))) == 21
    MENDED[fault](redis_server)


async def test_what_redis_lost_was_not_remembered_there(
    nodes: tuple[Store, Store], redis_server: RedisServer
) -> None:
    one, other = nodes
    assert await one.consume_once(b"proof", until=2_000_000_000, now=1)
    redis_server.empty()
    redis_server.kill()
    redis_server.start()
    assert not await other.consume_once(b"proof", until=2_000_000_000, now=1)


@pytest.mark.proves("O2")
async def test_a_password_is_in_no_log(
    postgres_url: str, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store(postgres_url, redis="redis://dojang:hunter2@127.0.0.1:1/0")
    await store.commit([make_fact("t")])
    async with asyncio.timeout(20):
        while "Redis fails" not in caplog.text:
            await asyncio.sleep(0.01)
    await store.close()
    assert "hunter2" not in caplog.text


async def test_a_missing_package_is_said(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dojang.storage.redis_hints", None)
    with pytest.raises(BadStoreUrl, match="pip install"):
        await open_store(postgres_url, redis="redis://127.0.0.1:1/0")
