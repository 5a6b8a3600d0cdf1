"""Nodes tell each other that something was committed, who leads, and who follows."""

import asyncio

import pytest
from msgspec.structs import replace

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.followers import Follower
from dojang.server.ports import PutClient, Store
from dojang.storage import postgres_signals
from dojang.storage.opening import open_store
from tests.services.postgres import PostgresCluster
from tests.storage.samples import make_client, make_fact

pytestmark = pytest.mark.proves("A6", "V3")

FOLLOWER = Follower(
    follower_id="f1",
    client_id="c1",
    name="주문:7",
    rev=Rev(1, 7),
    kids=("k1", "k2"),
    hold=0.5,
    seen_at=1_800_000_000.25,
)


class Watcher:
    """Counts what it is told."""

    def __init__(self, store: Store) -> None:
        self.calls = 0
        self._told = asyncio.Event()
        store.watch(self._note)

    def _note(self) -> None:
        self.calls += 1
        self._told.set()

    async def wait(self) -> None:
        """Until it was told once more."""
        async with asyncio.timeout(30):
            await self._told.wait()
        self._told.clear()


async def listen(store: Store) -> Watcher:
    """One whose store listens by now."""
    watcher = Watcher(store)
    await store.lead()
    await asyncio.sleep(0)
    watcher._told.clear()
    return watcher


async def test_a_commit_on_one_node_is_told_on_every_node(nodes: tuple[Store, Store]) -> None:
    watchers = [await listen(node) for node in nodes]
    for number, node in enumerate(nodes):
        for change in (make_fact("t"), PutClient(make_client(f"c{number}"))):
            position = await node.commit([change])
            for watcher, other in zip(watchers, nodes, strict=True):
                await watcher.wait()
                assert await other.position() >= position


async def test_everybody_who_watches_is_told(store: Store) -> None:
    first, second = await listen(store), await listen(store)
    await store.commit([make_fact("t")])
    await first.wait()
    await second.wait()


async def test_one_that_fails_when_told_hurts_nobody(
    lasting_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(lasting_url)
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    monkeypatch.setattr(loop, "call_exception_handler", failures.append)

    def fail() -> None:
        raise RuntimeError("not ready")

    store.watch(fail)
    watcher = await listen(store)
    failures.clear()
    assert (await store.commit([make_fact("t")])).head == 1
    await watcher.wait()
    assert failures
    await store.close()


async def test_there_is_one_leader_and_another_when_it_is_gone(postgres_url: str) -> None:
    stores = [await open_store(postgres_url) for _ in range(3)]
    leads = [await store.lead() for store in stores]
    assert leads.count(True) == 1
    assert [await store.lead() for store in stores] == leads
    leader = stores.pop(leads.index(True))
    await leader.close()
    with pytest.raises(Unavailable):
        await leader.lead()
    async with asyncio.timeout(30):
        while not await stores[0].lead():
            await asyncio.sleep(0.01)
    assert not await stores[1].lead()
    for store in stores:
        await store.close()


async def test_a_node_alone_leads(store: Store) -> None:
    assert await store.lead()
    assert await store.lead()
    await store.close()
    with pytest.raises(Unavailable):
        await store.lead()


async def test_a_broken_connection_is_made_again_and_leads_again(
    broken_postgres: PostgresCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_signals, "HEARTBEAT", 0.05)
    url = f"{broken_postgres.make_database()}?sslmode=disable"  # asyncpg's attempt at TLS is noisy
    store = await open_store(url)
    watcher = await listen(store)
    assert await store.lead()
    broken_postgres.freeze()
    with pytest.raises(Unavailable):
        await store.lead()
    broken_postgres.thaw()
    broken_postgres.kill()
    broken_postgres.start()
    async with asyncio.timeout(30):
        while True:
            try:
                if await store.lead():
                    break
            except Unavailable:
                await asyncio.sleep(0.01)
    await watcher.wait()  # it may have missed something
    calls = watcher.calls
    other = await open_store(url)
    await other.commit([make_fact("t")])
    async with asyncio.timeout(30):
        while watcher.calls == calls:
            await watcher.wait()
    await other.close()
    await store.close()


async def test_followers_are_known_on_every_node(postgres_url: str) -> None:
    one, other = await open_store(postgres_url), await open_store(postgres_url)
    later = replace(FOLLOWER, seen_at=FOLLOWER.seen_at + 10, rev=Rev(1, 9), kids=())
    second = replace(FOLLOWER, follower_id="f2")
    await one.save_followers([FOLLOWER, second])
    assert sorted(await other.load_followers(since=0), key=lambda each: each.follower_id) == [
        FOLLOWER,
        second,
    ]
    assert await other.load_followers(since=FOLLOWER.seen_at) == []
    await other.save_followers([later])
    await one.save_followers([FOLLOWER])  # older news than what is known
    assert await one.load_followers(since=FOLLOWER.seen_at + 1) == [later]
    await one.save_followers([])
    await one.close()
    await other.close()


async def test_followers_that_are_long_gone_are_deleted(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.save_followers([FOLLOWER])
    later = replace(FOLLOWER, follower_id="f2", seen_at=FOLLOWER.seen_at + 3601)
    await store.save_followers([later])
    assert await store.load_followers(since=0) == [later]
    await store.close()


async def test_a_store_of_one_process_has_nobody_to_tell(store: Store, store_url: str) -> None:
    await store.save_followers([FOLLOWER])
    found = await store.load_followers(since=0)
    assert list(found) == ([FOLLOWER] if store_url.startswith("postgresql") else [])
