"""F8: the primary is killed under load and its standby takes over. DOJANG_FAILOVERS sets how often
(3 by default). F22: of two sites, the one that can write does."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Literal, Self

import pytest

from dojang.app import open_provider
from dojang.clock import SYSTEM_CLOCK
from dojang.jose import base64url
from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.config import Config, Keys, Storage
from dojang.server.endpoints.discovery import jwks
from dojang.server.provider import Provider, initialise
from dojang.storage import postgres_connections
from dojang.storage.migrate import upgrade
from dojang.storage.opening import open_store
from tests.faults.history import History, OpenFiles
from tests.faults.issuing import Clients, ask, ask_until_answered, work
from tests.services.postgres import PostgresCluster, require_programs

FAILOVERS = int(os.environ.get("DOJANG_FAILOVERS", "3"))
KEY = bytes(range(32))
ENOUGH = 40  # revocations before the next blow
LOST = 15  # acknowledged by the primary alone
DATABASE = "dojang"


class Pair:
    """A primary and its standby; `fail_over` makes the second the first."""

    def __init__(self, primary: PostgresCluster) -> None:
        self.primary = primary
        self.standby = primary.make_standby()
        self.gone: list[PostgresCluster] = []

    @property
    def url(self) -> str:
        ports = ",".join(f"127.0.0.1:{each.port}" for each in (self.primary, self.standby))
        return f"postgresql://dojang@{ports}/{DATABASE}?sslmode=disable"

    def fail_over(self) -> None:
        """Nobody has time to say goodbye."""
        self.primary.kill()
        self.standby.thaw()
        self.standby.promote()
        self.gone.append(self.primary)
        self.primary = self.standby

    def remove(self) -> None:
        for each in {*self.gone, self.primary, self.standby}:
            each.remove()


@pytest.fixture
def pair() -> Iterator[Pair]:
    primary = PostgresCluster(require_programs())
    try:
        primary.start()
        primary.run_sql(f"CREATE DATABASE {DATABASE}")
        made = Pair(primary)
    except BaseException:
        primary.remove()
        raise
    yield made
    made.remove()


@pytest.fixture(autouse=True)
def loaded_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connections, "CONNECT_TIMEOUT", 10.0)
    monkeypatch.setattr(postgres_connections, "STATEMENT_TIMEOUT", 3.0)


def configure(url: str, failover: Literal["lossy", "lossless"] = "lossy") -> Config:
    return Config(
        issuer="https://auth.example",
        storage=Storage(url=url, failover=failover),
        keys=Keys(encryption_key=base64url.encode(KEY)),
    )


async def install(config: Config) -> None:
    await upgrade(config.storage.url)
    store = await open_store(config.storage.url)
    await initialise(issuer=config.issuer, store=store, clock=SYSTEM_CLOCK, key_encryption_key=KEY)
    await store.close()


async def open_nodes(stack: AsyncExitStack, config: Config, count: int) -> list[Provider]:
    return [await stack.enter_async_context(open_provider(config)) for _ in range(count)]


class Load:
    """Clients at work on `nodes`, and what they are told."""

    def __init__(self, clients: Clients, nodes: list[Provider]) -> None:
        self.history = History()
        self._clients = clients
        self._nodes = nodes
        self._tasks: list[asyncio.Task[None]] = []
        self._going = True

    async def __aenter__(self) -> Self:
        def going() -> bool:
            return self._going

        self._tasks = [
            asyncio.create_task(work(self._clients, self._nodes, self.history, going))
            for _ in range(6)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def wait_for(self, revocations: int) -> None:
        wanted = len(self.history.dead) + revocations
        async with asyncio.timeout(120):
            while len(self.history.dead) < wanted:
                await asyncio.sleep(0.005)

    async def wait_until_back(self) -> None:
        async with asyncio.timeout(120):
            await asyncio.gather(*(ask_until_answered(self._clients, node) for node in self._nodes))


async def check_all(clients: Clients, nodes: list[Provider], history: History) -> None:
    """Ask every node about every token that there is."""
    for node in nodes:
        for given in history.all:
            await ask(clients, node, history, given)


@pytest.mark.proves("F8", "C63", "O3")
async def test_commits_that_a_failover_loses_revive_nothing(pair: Pair) -> None:
    clients = Clients()
    await install(configure(pair.url))
    async with AsyncExitStack() as stack:
        async with open_provider(configure(pair.url)) as provider:
            await clients.register(provider)
        for number in range(FAILOVERS):
            if number:
                pair.standby = pair.primary.make_standby()
            nodes = await open_nodes(stack, configure(pair.url), 2)
            files = OpenFiles()
            load = Load(clients, nodes)
            epoch = nodes[0].state.position.epoch
            async with load:
                await load.wait_for(ENOUGH)
                pair.standby.freeze()
                await load.wait_for(LOST)  # the standby has none of these
                load.history.begin_outage()
                await asyncio.to_thread(pair.fail_over)
                await load.wait_until_back()
                load.history.end_outage()
                await load.wait_for(ENOUGH)
            await check_all(clients, nodes, load.history)
            assert load.history.problems == []
            assert load.history.alive
            assert nodes[1].state.position.epoch == epoch + 1
            await check_record(pair.url, epoch + 1)
            await stack.aclose()
            files.check()


async def check_record(url: str, epoch: int) -> None:
    """Numbers without gaps, and one end for each epoch."""
    store = await open_store(url)
    facts = await store.load_facts(Rev(0, 0))
    await store.close()
    assert [fact.rev.number for fact in facts] == list(range(1, len(facts) + 1))
    assert [fact.kind for fact in facts].count(FactKind.EVERYTHING) == epoch - 1


@pytest.mark.proves("F8", "O3")
async def test_a_failover_that_loses_nothing_costs_no_token(pair: Pair) -> None:
    clients = Clients()
    config = configure(pair.url, "lossless")
    await install(config)
    async with AsyncExitStack() as stack:
        nodes = await open_nodes(stack, config, 2)
        await clients.register(nodes[0])
        pair.primary.replicate_synchronously()
        load = Load(clients, nodes)
        async with load:
            await load.wait_for(ENOUGH)
            await asyncio.to_thread(pair.fail_over)
            await load.wait_until_back()
            await load.wait_for(ENOUGH)
        await check_all(clients, nodes, load.history)
        assert load.history.problems == []
        assert nodes[0].state.position.epoch == 2
        assert all([await clients.is_active(nodes[0], given) for given in load.history.alive])


@pytest.fixture
async def sites(pair: Pair) -> AsyncIterator[tuple[Clients, Provider]]:
    """A node beside the standby, which can reach nothing else once it is cut off."""
    clients = Clients()
    config = configure(pair.url)
    await install(config)
    async with open_provider(config) as provider:
        await clients.register(provider)
        yield clients, provider


@pytest.mark.proves("F22")
async def test_a_site_that_can_only_read_issues_and_accepts_nothing(
    pair: Pair, sites: tuple[Clients, Provider]
) -> None:
    clients, node = sites
    given = await clients.issue(node)
    request = Request("GET", "/.well-known/jwks.json", b"", (), b"", "127.0.0.1")
    published = (await jwks(node, request)).body
    pair.primary.kill()  # the link to the other site is cut: only the standby can be reached
    for _ in range(5):
        for call in (
            clients.issue(node),
            clients.is_active(node, given),
            clients.revoke(node, given),
        ):
            with pytest.raises(Unavailable):
                await call
    assert (await jwks(node, request)).body == published
    pair.standby.promote()
    await ask_until_answered(clients, node)
    assert node.state.position.epoch == 2
    assert not await clients.is_active(node, given)
    pair.gone.append(pair.primary)
    pair.primary = pair.standby


@pytest.mark.proves("F22", "C63")
async def test_a_node_that_has_seen_the_new_site_refuses_the_old_one(
    pair: Pair, sites: tuple[Clients, Provider]
) -> None:
    """The old primary was never killed, and is what the node reaches again: two databases."""
    clients, node = sites
    given = await clients.issue(node)
    old = pair.primary
    pair.standby.promote()
    old.stop()
    await ask_until_answered(clients, node)
    assert node.state.position.epoch == 2
    old.start()
    pair.standby.kill()
    for _ in range(20):
        for call in (clients.issue(node), clients.is_active(node, given)):
            with pytest.raises(Unavailable):
                await call
