"""F21: answers that are lost after the server has done what it was asked, and connections of which
one side knows nothing any more. Nobody waits for ever, and what is not the same twice is not asked
twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import urlencode

import pytest

from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic, TokenSource
from dojang.fetch import FetchFailed, FetchRequest, HttpTransport
from dojang.oauth.revocation_fact import Rev
from dojang.resource import Expect, IntrospectionVerifier, Unavailable
from dojang.testing.fault_proxy import Cut, Fault, FaultProxy, Lose, Mute, Pass, Stall, Truncate
from dojang.web.limits import Limits
from dojang.web.service import Service
from tests.faults.history import History, OpenFiles
from tests.server.asker import Asker
from tests.web.peers import serving
from tests.web.world import BASE, FORM, ISSUER, ORDERS, World, basic, make_world

pytestmark = pytest.mark.proves("F21")

IN_TIME = 0.4  # seconds: what callers give an answer
PATIENCE = 20.0
DONE = [Lose(), Mute(), Truncate(10)]  # the server did it, and the caller does not know
NOT_DONE = [Stall(), Cut()]
FAULTS = [*DONE, *NOT_DONE]

T = TypeVar("T")


def name_of(fault: Fault) -> str:
    return type(fault).__name__


class Between:
    """A server, the proxy in front of it, and what the server was asked."""

    def __init__(self, world: World, proxy: FaultProxy) -> None:
        self.world = world
        self.proxy = proxy
        self.shop = ClientSecretBasic("shop", world.secret)
        self.orders = ClientSecretBasic("orders", world.introspector_secret)

    def count(self, endpoint: str) -> int:
        """How often the server was asked."""
        return sum(
            number
            for labels, number in self.world.provider.counters.items()
            if labels[0] == "dojang_requests_total" and endpoint in labels
        )

    async def count_facts(self) -> int:
        return len(await self.world.store.load_facts(Rev(0, 0)))

    def build_revocation(self, token: str) -> FetchRequest:
        headers = (basic("shop", self.world.secret), FORM)
        body = urlencode({"token": token}).encode()
        return FetchRequest(
            "POST", f"{self.proxy.url}{BASE}/revoke", headers, body, timeout=IN_TIME
        )

    async def call(self, work: Callable[[], T]) -> T:
        """What `work` returns, which blocks, and which must come to an end."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.to_thread(work)


@asynccontextmanager
async def between(limits: Limits | None = None) -> AsyncIterator[Between]:
    world = await make_world()
    world.service = Service(limits)
    async with serving(world.tables[0], service=world.service) as site:
        host, _, port = site.address.rpartition(":")
        with FaultProxy(host, int(port)) as proxy:
            yield Between(world, proxy)


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
async def test_a_revocation_is_repeated_by_who_wants_it_and_is_one_fact(fault: Fault) -> None:
    history = History()
    async with between() as site:
        client = IssuerClient(ISSUER, fetch_from=site.proxy.url)
        token = (await site.call(lambda: client.issue(site.shop, ORDERS, None))).value
        history.issued(token)

        transport = HttpTransport()

        def revoke() -> None:
            history.revoking(token)
            assert transport.send(site.build_revocation(token)).status == 200
            history.revoked(token)

        def ask() -> bool:
            asked_at = history.tick()
            active = bool(client.introspect(site.orders, token)["active"])
            history.answered(token, active=active, asked_at=asked_at)
            return active

        assert await site.call(ask)
        kept = site.build_revocation("another's")  # opens a connection, which is kept
        assert (await site.call(lambda: transport.send(kept))).status == 200
        asked = site.count("revocation")
        done = int(fault in DONE)
        for number in range(1, 3):
            site.proxy.fault = fault
            with pytest.raises(FetchFailed):
                await site.call(revoke)
            assert site.count("revocation") - asked == number * done  # not again by itself
        assert await site.count_facts() == done
        site.proxy.fault = Pass()
        assert await site.call(ask) == (not done)
        for _ in range(2):
            await site.call(revoke)
            assert not await site.call(ask)
        assert await site.count_facts() == 1
        assert history.problems == []
        transport.close()


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
async def test_a_token_is_asked_for_once_and_then_after_a_pause(fault: Fault) -> None:
    async with between() as site:

        def build(resource: str | None) -> Callable[[], str]:
            bound = source.bind(resource=resource)
            return bound.token

        source = TokenSource(
            issuer=ISSUER, credentials=site.shop, fetch_from=site.proxy.url, timeout=IN_TIME
        )
        await site.call(build(None))  # over a connection that is kept
        asked = site.count("token")
        site.proxy.fault = fault
        want = build(ORDERS)
        for _ in range(20):
            with pytest.raises(Unavailable):
                await site.call(want)
        assert site.count("token") - asked <= 2  # a pause has passed at most, of half a second
        assert site.count("token") > asked or fault not in DONE
        site.proxy.fault = Pass()
        token = await until_answered(site, want)
        assert token == await site.call(want)


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
async def test_a_question_about_a_token_may_be_asked_twice_and_ends(fault: Fault) -> None:
    files = OpenFiles()
    await ask_through(fault)
    files.check()


async def ask_through(fault: Fault) -> None:
    async with between() as site:
        client = IssuerClient(ISSUER, fetch_from=site.proxy.url)
        token = (await site.call(lambda: client.issue(site.shop, ORDERS, None))).value
        verifier = IntrospectionVerifier(
            Expect(issuer=ISSUER, audience=ORDERS, algorithms=["ES256"]),
            credentials=site.orders,
            fetch_from=site.proxy.url,
            timeout=IN_TIME,
        )
        await site.call(lambda: verifier.verify(token))
        asked = site.count("introspection")
        site.proxy.fault = fault
        for _ in range(3):
            with pytest.raises(Unavailable):
                await site.call(lambda: verifier.verify(token))
        # Over the kept connection and over a new one: never a third time for one question.
        assert site.count("introspection") - asked <= 2 * 3
        site.proxy.fault = Pass()
        await until_answered(site, lambda: verifier.verify(token))
        await site.call(lambda: client.revoke(site.shop, token))
        assert not (await site.call(lambda: client.introspect(site.orders, token)))["active"]


async def until_answered(site: Between, ask: Callable[[], T]) -> T:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await site.call(ask)
            except Unavailable:
                await asyncio.sleep(0.02)


async def test_a_server_lets_go_of_who_went_away_without_a_word() -> None:
    """A client that is idle, one in the middle of a request, and a follower that waits for news."""
    limits = Limits(
        head_seconds=0.5, request_seconds=1, idle_seconds=0.5, linger_seconds=0.2, sweep_seconds=0.1
    )
    async with between(limits) as site:
        address = site.proxy.url.removeprefix("http://")
        secret = site.world.introspector_secret
        askers = [await Asker.join(address, BASE + "/feed", secret=secret) for _ in range(3)]
        idle, speaking, waiting = askers
        await idle.peer.ask("/nothing")
        await speaking.peer.send(b"POST /tenant/token HTTP/1.1\r\nHost: a\r\nContent-Le")
        await waiting.send(hold=0.3)
        service = site.world.service
        await until(lambda: site.world.provider.feed.holds_open == 1)
        assert len(service.connections) == 3
        site.proxy.fault = Cut()
        for asker in askers:
            await asker.peer.close()
        await until(lambda: not service.connections)
        assert site.world.provider.feed.holds_open == 0


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.01)
