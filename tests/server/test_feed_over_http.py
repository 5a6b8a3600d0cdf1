"""Questions that wait, over real connections: ended by news, by time, by another question, by the
end of the connection and by the end of the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dojang.oauth.feed import LONGEST_HOLD, LONGEST_PAUSE
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.feed_witness import Witness
from dojang.server.model import AppendFact
from dojang.web.limits import Limits
from tests.server.asker import Asker, wait_for_holds
from tests.web.peers import Peer, Site, serving
from tests.web.world import BASE, World, make_world

FEED = BASE + "/feed"


@pytest.fixture
async def world() -> World:
    return await make_world()


@asynccontextmanager
async def askers(world: World, site: Site, count: int) -> AsyncIterator[list[Asker]]:
    found = [
        await Asker.join(site.address, FEED, secret=world.introspector_secret, name=f"a:{n}")
        for n in range(count)
    ]
    try:
        yield found
    finally:
        for asker in found:
            await asker.peer.close()


async def revoke(world: World, client_id: str = "shop") -> None:
    await world.operate("revoke.client", client_id=client_id)


def serve(world: World) -> Any:
    return serving(world.tables[0], service=world.service)


@pytest.mark.proves("V3", "C91")
async def test_a_fact_ends_every_wait_at_once(world: World) -> None:
    async with serve(world) as site, askers(world, site, 20) as waiting:
        for asker in waiting:
            await asker.send(hold=20)
        await wait_for_holds(world, 20)
        await revoke(world)
        answers = [await asker.receive() for asker in waiting]
    assert {len(answer.pages) for answer in answers} == {1}
    assert len({answer.pages for answer in answers}) == 1  # one page, signed once
    assert world.provider.counters["dojang_feed_pages_signed_total",] == 1
    assert answers[0].rev == world.provider.state.position.rev


@pytest.mark.proves("V3")
async def test_where_many_are_told_they_are_asked_to_pause(world: World) -> None:
    async with serve(world) as site, askers(world, site, 70) as waiting:
        for asker in waiting:
            await asker.send(hold=20)
        await wait_for_holds(world, 70)
        await revoke(world)
        answers = [await asker.receive() for asker in waiting]
        assert {len(answer.pages) for answer in answers} == {1}
        assert {0 < answer.pause <= LONGEST_PAUSE for answer in answers} == {True}
        await waiting[0].send(hold=20)
        await wait_for_holds(world, 1)
        await revoke(world)
        assert (await waiting[0].receive()).pause == 0


@pytest.mark.proves("V3")
async def test_one_fact_after_the_other_reaches_who_waits_each_time(world: World) -> None:
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        for _ in range(50):
            await asker.send(hold=20)
            await wait_for_holds(world, 1)
            before = asker.rev
            await revoke(world)
            answer = await asker.receive()
            assert answer.rev == (before.epoch, before.number + 1)


@pytest.mark.proves("V3")
async def test_no_fact_is_missed_between_two_questions(world: World) -> None:
    """Facts come while nobody waits, too, and while a question is on its way."""
    most = 300

    async def follow(asker: Asker) -> None:
        while asker.rev.number < most:
            await asker.send(hold=20)
            await asker.receive()  # gives up before a wait would end

    async with serve(world) as site, askers(world, site, 4) as following:
        tasks = [asyncio.create_task(follow(asker)) for asker in following]
        for number in range(most):
            await revoke(world)
            for _ in range(number % 7):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)


@pytest.mark.proves("V3")
async def test_a_fact_that_comes_between_the_barrier_and_the_wait_is_told(world: World) -> None:
    """The store is asked about the lease's client meanwhile, and takes its time."""
    asked, go_on = asyncio.Event(), asyncio.Event()
    find_client = world.store.find_client

    async def find_slowly(client_id: str) -> Any:
        asked.set()
        await go_on.wait()
        return await find_client(client_id)

    async with serve(world) as site, askers(world, site, 1) as (asker,):
        await asker.send(hold=0.01)
        await asker.receive()
        await world.operate("client.add", client_id="new")  # clients are looked up again
        world.store.find_client = find_slowly  # type: ignore[method-assign]
        await asker.send(hold=20)
        await asked.wait()
        fact = AppendFact(kind=FactKind.TOKEN, identifier="t", at=0, forget_after=2**31)
        await world.store.commit([fact])
        go_on.set()
        assert len((await asker.receive()).pages) == 1


@pytest.mark.proves("K6", "C97")
async def test_a_changed_key_set_ends_a_wait(world: World) -> None:
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        await asker.send(hold=0)
        before = await asker.receive()
        await asker.send(hold=20)
        await wait_for_holds(world, 1)
        await world.operate("client.add", client_id="another")  # changes no key
        await world.operate("keys.rotate", algorithm="ES256")
        answer = await asker.receive()
    assert answer.keys_digest != before.keys_digest
    assert answer.pages == ()


@pytest.mark.proves("V3")
async def test_a_wait_without_news_ends_in_time(world: World) -> None:
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        await asker.send(hold=0.01)
        answer = await asker.receive()
        assert (answer.pages, answer.snapshot) == ((), False)
        assert answer.hold == LONGEST_HOLD
        await wait_for_holds(world, 0)


@pytest.mark.proves("C112")
async def test_the_limit_on_requests_is_longer_than_any_wait() -> None:
    assert Limits().request_seconds > LONGEST_HOLD


@pytest.mark.proves("V3")
async def test_a_later_question_ends_the_wait_of_an_earlier_one(world: World) -> None:
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        second = Asker(await Peer.connect(site.address), FEED, asker.lease)
        second.rev, second.digest = asker.rev, asker.digest
        await asker.send(hold=20)
        await wait_for_holds(world, 1)
        await second.send(hold=20)
        assert (await asker.receive()).pages == ()
        assert world.provider.feed.holds_open == 1
        await revoke(world)
        assert len((await second.receive()).pages) == 1
        await second.peer.close()


@pytest.mark.proves("F21", "C112")
async def test_a_follower_that_goes_away_leaves_nothing_behind(world: World) -> None:
    async with serve(world) as site:
        async with askers(world, site, 5) as waiting:
            for asker in waiting:
                await asker.send(hold=20)
            await wait_for_holds(world, 5)
        await wait_for_holds(world, 0)


@pytest.mark.proves("O3")
async def test_the_end_of_the_server_ends_every_wait(world: World) -> None:
    async with serve(world) as site, askers(world, site, 20) as waiting:
        for asker in waiting:
            await asker.send(hold=20)
        await wait_for_holds(world, 20)
        world.provider.feed.close()
        stopping = asyncio.create_task(site.server.stop(grace_seconds=10))
        for asker in waiting:
            answer = await asker.receive()
            assert (answer.pages, answer.hold) == ((), 0.0)  # it offers no wait any more
            assert await asker.peer.receive_all() == b""  # nor another question
            await asker.peer.close()
        await stopping


@pytest.mark.proves("O3")
async def test_nobody_waits_at_a_server_that_ends(world: World) -> None:
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        world.provider.feed.close()
        await asker.send(hold=20)
        assert (await asker.receive()).hold == 0.0


@pytest.mark.proves("F15")
async def test_who_waits_is_not_told_that_nothing_happened_by_a_server_that_lost_facts(
    world: World,
) -> None:
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        await asker.send(hold=0.05)
        await wait_for_holds(world, 1)
        world.provider.state.stop(Witness(Rev(9, 9), bytes(32)))
        assert (await asker.peer.receive()).status == 503


@pytest.mark.proves("F7")
async def test_who_waits_while_the_database_is_away_is_told_no_more_than_was_known(
    world: World,
) -> None:
    """An answer is as good as its question: it was asked before, and proves that moment."""
    async with serve(world) as site, askers(world, site, 1) as (asker,):
        await asker.send(hold=0.05)
        await wait_for_holds(world, 1)
        world.store.down = True
        assert (await asker.receive()).pages == ()
        await asker.send(hold=20)
        assert (await asker.peer.receive()).status == 503


async def test_the_metrics_page_tells_of_the_feed(world: World) -> None:
    tables = world.tables
    async with (
        serving(*tables, service=world.service) as site,
        askers(world, site, 2) as waiting,
    ):
        await waiting[0].send(hold=20)
        await wait_for_holds(world, 1)
        await revoke(world)
        await waiting[0].receive()
        await waiting[1].send(hold=20)
        await wait_for_holds(world, 0)
        await waiting[1].receive()
        await waiting[1].send(hold=20)
        await wait_for_holds(world, 1)
        peer = await Peer.connect(site.addresses[1])
        page = (await peer.ask("/metrics")).body.decode()
        await peer.close()
    for line in (
        'dojang_requests_total{endpoint="feed",outcome="ok"} 2.0',
        "dojang_feed_pages_signed_total 1.0",
        "dojang_feed_epoch 1.0",
        "dojang_feed_head 1.0",
        "dojang_feed_followers 2.0",
        "dojang_feed_holds 1.0",
        "dojang_feed_stopped 0.0",
    ):
        assert line in page.splitlines(), line
