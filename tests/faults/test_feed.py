"""The feed between a real server and a service that follows it, cut, stalled, late and broken."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dojang.resource import (
    ClientSecretBasic,
    Expect,
    FeedState,
    FeedStatus,
    Follower,
    HybridVerifier,
    IntrospectionVerifier,
    LocalVerifier,
    Refusal,
    RemoteKeys,
    Unavailable,
    WhenStale,
)
from dojang.testing.fault_proxy import (
    Answer,
    Cut,
    Delay,
    Fault,
    FaultProxy,
    Lose,
    Mute,
    Pass,
    Replay,
    Reset,
    Stall,
    Trickle,
    Truncate,
)
from tests.web.peers import peer_of, serving
from tests.web.world import ISSUER, ORDERS, World, ask_token, make_world, read_json

BOUND = 0.6
PATIENCE = 30


class Service:
    """A service in front of which its issuer stands, and a proxy between the two for the feed."""

    def __init__(self, world: World, address: str, proxy: FaultProxy) -> None:
        self.world = world
        self.proxy = proxy
        self.address = address
        door = f"http://{address}"
        credentials = ClientSecretBasic("orders", world.introspector_secret)
        expect = Expect(issuer=ISSUER, audience=ORDERS, algorithms=["ES256"])
        self.follower = Follower(ISSUER, credentials=credentials, fetch_from=proxy.url)
        self.verifier = HybridVerifier(
            local=LocalVerifier(expect, keys=RemoteKeys(ISSUER, fetch_from=door)),
            introspection=IntrospectionVerifier(expect, credentials=credentials, fetch_from=door),
            follower=self.follower,
            staleness=BOUND,
            when_stale=WhenStale.REFUSE,
        )

    @property
    def status(self) -> FeedStatus:
        status = self.verifier.feed_status()
        assert status is not None
        return status

    async def token(self) -> str:
        async with peer_of(self.address) as peer:
            token: str = read_json(await ask_token(peer, self.world))["access_token"]
            return token

    async def outcome(self, token: str, **demand: Any) -> str:
        """What becomes of a request: "served", "unavailable" or the reason of its refusal."""
        try:
            await self.verifier.verify_async(token, **demand)
        except Unavailable:
            return "unavailable"
        except Refusal as refusal:
            return str(refusal.reason)
        return "served"

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not happened():
                await asyncio.sleep(0.005)

    async def until_outcome(self, token: str, wanted: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.outcome(token) != wanted:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    world = await make_world()
    async with serving(world.tables[0], service=world.service) as site:
        host, _, port = site.address.rpartition(":")
        with FaultProxy(host, int(port)) as proxy:
            found = Service(world, site.address, proxy)
            found.verifier.ready()
            try:
                yield found
            finally:
                await asyncio.to_thread(found.follower.close)


@pytest.mark.proves("V3", "C91")
async def test_a_revocation_is_pushed_to_a_service_that_asks_nothing() -> None:
    async with service() as orders:
        token, other = await orders.token(), await orders.token()
        await orders.until_outcome(token, "served")
        await orders.world.operate("revoke.token", token=token)
        await orders.until_outcome(token, "revoked")
        assert await orders.outcome(other) == "served"
        assert orders.status.asked == 0


@pytest.mark.proves("C92", "F6", "F21", "V3")
@pytest.mark.parametrize(
    "fault",
    [
        Reset(),
        Stall(),
        Lose(),
        Mute(),
        Cut(),
        Replay(),
        Delay(1.5),
        Trickle(0.05),
        Truncate(200),
        Answer(b"<html>", 200, "text/html"),
        Answer(b"{}", 503),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_broken_feed_is_relied_on_for_its_bound_and_no_longer(fault: Fault) -> None:
    async with service() as orders:
        token = await orders.token()
        await orders.until_outcome(token, "served")
        orders.proxy.fault = fault
        cut_at = time.monotonic()
        await orders.world.operate("revoke.token", token=token)
        # Past the bound, counted from a proof before the cut, nothing is served any more: whether
        # the fact came through at last, or what is known is too old.
        while time.monotonic() < cut_at + BOUND:
            await asyncio.sleep(0.01)
        for _ in range(30):
            assert await orders.outcome(token) in ("revoked", "unavailable")
            await asyncio.sleep(0.02)
        assert await orders.outcome(token, when_stale=WhenStale.ASK) in ("inactive", "revoked")
        orders.proxy.fault = Pass()
        await orders.until_outcome(token, "revoked")
        await orders.until(lambda: orders.status.state is FeedState.FRESH)
        assert await orders.outcome(await orders.token()) == "served"


@pytest.mark.proves("C92", "F6", "F21", "V3")
async def test_whatever_is_late_no_request_relies_on_what_is_older_than_its_bound() -> None:
    """Facts come one after the other through a feed that is late every other time; every token is
    refused once its bound has passed since it was revoked."""
    async with service() as orders:
        await orders.until_outcome(await orders.token(), "served")
        for number in range(4):
            token = await orders.token()
            orders.proxy.fault = Delay(1.0) if number % 2 else Pass()
            await orders.world.operate("revoke.token", token=token)
            revoked_at = time.monotonic()
            while True:
                began_at = time.monotonic()
                outcome = await orders.outcome(token)
                if outcome == "revoked":
                    break
                assert outcome == "unavailable" or began_at < revoked_at + BOUND
                await asyncio.sleep(0.002)


@pytest.mark.proves("F21", "C92")
async def test_an_answer_given_before_proves_nothing_however_often_it_comes() -> None:
    async with service() as orders:
        await orders.until_outcome(await orders.token(), "served")
        await orders.until(lambda: orders.status.state is FeedState.FRESH)
        orders.proxy.fault = Replay()
        failures = orders.status.failures
        await orders.until(lambda: orders.status.failures > failures)
        proven_at = orders.follower.proof.at
        await orders.until(lambda: orders.status.failures > failures + 3)
        assert orders.follower.proof.at == proven_at
        orders.proxy.fault = Pass()
        await orders.until(lambda: orders.follower.proof.at > proven_at)


@pytest.mark.proves("F6", "O3")
async def test_a_service_follows_on_after_its_issuer_was_away() -> None:
    async with service() as orders:
        token, lost = await orders.token(), await orders.token()
        await orders.until_outcome(token, "served")
        orders.world.store.down = True
        await orders.until_outcome(token, "unavailable")
        orders.world.store.down = False
        await orders.world.operate("revoke.token", token=lost)
        await orders.until_outcome(lost, "revoked")
        await orders.until_outcome(token, "served")
        assert orders.status.failure is None
