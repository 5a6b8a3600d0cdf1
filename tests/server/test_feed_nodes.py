"""Two nodes on one PostgreSQL database: followers of one hear what the other commits, and move."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import pytest

from dojang.clock import SYSTEM_CLOCK
from dojang.jose.keys import SigningKey
from dojang.server.administration import OPERATIONS, perform
from dojang.server.model import KeyUse
from dojang.server.ports import DropKey
from dojang.server.provider import Provider, initialise
from dojang.storage.opening import open_store
from dojang.testing.feed_keys import share_feed_keys
from dojang.web.public import build_public_routes
from tests.server.asker import Asker
from tests.services.postgres import clean_databases, patient_stores, postgres, postgres_url
from tests.web.peers import PATIENCE, Site, serving

__all__ = ["clean_databases", "patient_stores", "postgres", "postgres_url"]

ISSUER = "https://login.example"
KEY = bytes(32)


class Node:
    def __init__(self, provider: Provider, site: Site) -> None:
        self.provider = provider
        self.site = site

    async def operate(self, name: str, **parameters: object) -> dict[str, object]:
        operation = OPERATIONS[name]
        converted = msgspec.convert(parameters, operation.parameters)
        return await perform(self.provider, operation, converted, actor="test")

    async def join(self, secret: str) -> Asker:
        return await Asker.join(self.site.address, "/feed", secret=secret)

    async def wait_for_holds(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.provider.feed.holds_open != count:
                await asyncio.sleep(0.005)


async def start(url: str, stack: AsyncExitStack) -> Provider:
    store = await open_store(url)
    stack.push_async_callback(store.close)
    return await Provider.start(
        issuer=ISSUER,
        store=store,
        clock=SYSTEM_CLOCK,
        key_encryption_key=KEY,
        offload=asyncio.to_thread,
    )


async def fill(url: str, feed_keys: tuple[SigningKey, ...] = ()) -> None:
    store = await open_store(url)
    await initialise(
        issuer=ISSUER,
        store=store,
        clock=SYSTEM_CLOCK,
        key_encryption_key=KEY,
        feed_keys=feed_keys,
    )
    await store.close()


@pytest.fixture
async def nodes(postgres_url: str) -> AsyncIterator[tuple[Node, Node, str]]:
    """Two of them, and the secret of the client that may introspect."""
    await fill(postgres_url, share_feed_keys())
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            provider = await start(postgres_url, stack)
            site = await stack.enter_async_context(serving(build_public_routes(provider)))
            found.append(Node(provider, site))
        added = await found[0].operate("client.add", client_id="orders")
        await found[0].operate("client.add", client_id="shop")
        await found[0].operate(
            "resource.add", identifier="https://o.example", scopes=["x"], introspectors=["orders"]
        )
        yield found[0], found[1], str(added["client_secret"])


@pytest.mark.proves("A6", "V3")
async def test_what_one_node_commits_ends_the_waits_at_the_other(
    nodes: tuple[Node, Node, str],
) -> None:
    here, there, secret = nodes
    follower = await there.join(secret)
    for _ in range(5):
        await follower.send(hold=20)
        await there.wait_for_holds(1)
        before = follower.rev
        await here.operate("revoke.client", client_id="shop")
        answer = await follower.receive()  # gives up before the wait would end
        assert answer.rev == (before.epoch, before.number + 1)
    await follower.peer.close()


@pytest.mark.proves("A6", "V3")
async def test_a_follower_moves_from_node_to_node(nodes: tuple[Node, Node, str]) -> None:
    here, there, secret = nodes
    follower = await here.join(secret)
    await here.operate("revoke.client", client_id="shop")
    await follower.send(hold=0)
    first = await follower.receive()
    moved = await there.join(secret)
    moved.lease, moved.rev, moved.digest = follower.lease, follower.rev, follower.digest
    await here.operate("revoke.client", client_id="shop")
    await moved.send(hold=0)
    second = await moved.receive()
    assert len(first.pages) == len(second.pages) == 1
    assert second.keys_digest == first.keys_digest
    assert second.rev.number == first.rev.number + 1
    await follower.peer.close()
    await moved.peer.close()


@pytest.mark.proves("A6", "K3")
async def test_every_node_knows_who_follows_at_the_others(nodes: tuple[Node, Node, str]) -> None:
    here, there, secret = nodes
    follower = await here.join(secret)
    await follower.send(hold=0)
    await follower.receive()
    for node in (here, there):
        await node.provider.feed.exchange()
    now = SYSTEM_CLOCK.now()
    (seen,) = there.provider.feed.followers.find_alive(now)
    assert (seen.client_id, seen.name) == ("orders", "a")
    assert [*there.provider.feed.followers.here] == []
    await follower.peer.close()


@pytest.mark.proves("C118")
async def test_nodes_that_make_the_feeds_first_keys_at_once_make_one_pair(
    postgres_url: str,
) -> None:
    """The database is of before the feed; both nodes are started on it at the same time."""
    await fill(postgres_url, share_feed_keys())
    async with AsyncExitStack() as stack:
        store = await open_store(postgres_url)
        stack.push_async_callback(store.close)
        keys = [key for key in await store.load_keys() if key.use is KeyUse.FEED]
        await store.commit([DropKey(key.kid, key.version) for key in keys])
        started = await asyncio.gather(*(start(postgres_url, stack) for _ in range(3)))
        made = {key.kid for key in await store.load_keys() if key.use is KeyUse.FEED}
        assert len(made) == 2
        assert made.isdisjoint(key.kid for key in keys)
        signers = [node.state.keys.at(int(SYSTEM_CLOCK.now())).feed for node in started]
        assert None not in signers
        assert len({feed.signer.kid for feed in signers if feed is not None}) == 1
