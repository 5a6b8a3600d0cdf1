"""Facts that are told while a question is held, over real connections."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dojang.jose import base64url
from dojang.oauth.feed import MOST_RECORDS, Answer
from dojang.oauth.feed_notices import MOST_NOTICE_BYTES
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server import feed_notices
from dojang.server.feed_notices import GATHERING, MOST_EASY, MOST_TOLD
from dojang.server.feed_witness import Witness
from dojang.server.model import AppendFact
from tests.server.asker import Asker, Notice, wait_for_holds
from tests.web.peers import Peer, serving
from tests.web.world import BASE, World, make_world

FEED = BASE + "/feed"


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Where nobody is answered only to have what was told signed."""
    monkeypatch.setattr(feed_notices, "SIGNED_WITHIN", 60.0)
    return await make_world()


@asynccontextmanager
async def listeners(world: World, count: int) -> AsyncIterator[list[Asker]]:
    """Followers of a server that runs."""
    async with serving(world.tables[0], service=world.service) as site:
        found = [
            await Asker.join(site.address, FEED, secret=world.introspector_secret, name=f"a:{n}")
            for n in range(count)
        ]
        try:
            yield found
        finally:
            for asker in found:
                await asker.peer.close()


async def listen(world: World, asker: Asker, *, hold: float = 20) -> None:
    """Ask, and wait until the question is held."""
    held = world.provider.feed.holds_open
    await asker.send(hold=hold, heard=asker.rev.number)
    await wait_for_holds(world, held + 1)


async def append(world: World, count: int, *, prefix: str = "t") -> None:
    now = int(time.time())
    await world.store.commit(
        [
            AppendFact(
                kind=FactKind.TOKEN, identifier=f"{prefix}{n}", at=now, forget_after=now + 600
            )
            for n in range(count)
        ]
    )


async def hear_until(asker: Asker, number: int) -> list[Notice]:
    """All notices up to the fact of this number."""
    heard: list[Notice] = []
    while not heard or find_last(heard) < number:
        heard += await asker.hear()
    return heard


def find_last(notices: list[Notice]) -> int:
    return max(notice.first + len(notice.records) - 1 for notice in notices)


def find_numbers(notices: list[Notice]) -> list[int]:
    return [notice.first + place for notice in notices for place, _ in enumerate(notice.records)]


@pytest.mark.proves("V3", "C91")
async def test_a_fact_is_told_at_once_and_signed_at_the_end_of_the_hold(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        began = time.monotonic()
        await listen(world, asker, hold=0.5)
        await append(world, 1)
        (notice,) = await asker.hear()
        told = time.monotonic() - began
        answer = await asker.conclude()
        assert told < 0.4 <= time.monotonic() - began
    assert (notice.epoch, notice.first, len(notice.records)) == (*answer.rev, 1)
    assert len(answer.pages) == 1
    assert answer.pause == 0


@pytest.mark.proves("V3")
async def test_one_fact_after_the_other_is_told_while_one_question_is_held(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await listen(world, asker)
        for number in range(1, 21):
            await append(world, 1)
            (notice,) = await asker.hear()
            assert notice.first == number


@pytest.mark.proves("V3", "C91")
async def test_followers_that_ask_at_different_times_share_pages(world: World) -> None:
    """A page is cut and signed where one of them is answered, and serves all that were asked
    before."""
    async with listeners(world, 20) as waiting:
        for place, asker in enumerate(waiting):
            await listen(world, asker, hold=0.4 + place / 50)
        for _ in range(3):
            await append(world, 1)
            for asker in waiting:
                await hear_until(asker, world.provider.state.position.rev.number)
        answers = [await asker.conclude() for asker in waiting]
    assert len({answer.pages for answer in answers}) == 1
    assert world.provider.counters["dojang_feed_pages_signed_total",] == 1


@pytest.mark.proves("C92", "F6")
async def test_an_answer_tells_all_that_had_happened_when_it_was_asked_for(world: World) -> None:
    """Where others were answered last is no place to end for one that was asked for later."""
    async with listeners(world, 2) as (first, second):
        await listen(world, first, hold=0.1)
        await append(world, 1)
        await first.hear()
        assert (await first.conclude()).rev.number == 1
        await append(world, 1)
        await listen(world, second, hold=0.1)  # it is told of both, and held
        await hear_until(second, 2)
        assert (await second.conclude()).rev.number == 2


@pytest.mark.proves("V3")
async def test_what_was_missed_is_told_at_once_and_what_was_heard_is_not_told_again(
    world: World,
) -> None:
    async with listeners(world, 1) as (asker,):
        await append(world, 5)
        await asker.send(hold=0.2, heard=2)
        assert find_numbers(await asker.hear()) == [3, 4, 5]
        assert {each.rev for each in world.provider.feed.followers.here} == {Rev(1, 2)}
        assert (await asker.conclude()).rev.number == 5
        await listen(world, asker)
        await append(world, 1)
        assert find_numbers(await asker.hear()) == [6]


@pytest.mark.proves("F15", "C91")
async def test_what_was_told_is_soon_signed_in_somebodys_hand(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_notices, "SIGNED_WITHIN", 0.1)
    async with listeners(world, 3) as waiting:
        for asker in waiting:
            await listen(world, asker)
        for number in range(3):
            await append(world, 1, prefix=f"{number}-")
            await waiting[number].hear()
            for later in waiting[number + 1 :]:
                await later.hear()
            answer = await waiting[number].conclude()  # who waits the longest
            assert answer.rev.number == number + 1
            assert world.provider.feed.holds_open == 2 - number


@pytest.mark.proves("F15", "C91")
async def test_what_was_told_with_the_question_is_soon_signed_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_notices, "SIGNED_WITHIN", 0.1)
    async with listeners(world, 1) as (asker,):
        await append(world, 1)
        await asker.send(hold=20, heard=0)
        await asker.hear()
        assert (await asker.conclude()).rev.number == 1


@pytest.mark.proves("C92", "V3")
async def test_answers_that_end_together_lead_no_page_further_than_they_say(world: World) -> None:
    """Others, who are answered at once, have pages that end later."""
    async with listeners(world, 3) as (slow, other, early):
        await append(world, 1)
        for asker in (slow, other):
            await asker.send(hold=0)
            await asker.receive()
        await append(world, 1, prefix="u")
        await other.send(hold=0)
        assert (await other.receive()).rev.number == 2
        await slow.send(hold=0.3, heard=2)
        await wait_for_holds(world, 1)
        await listen(world, other, hold=0.2)
        await append(world, 1, prefix="v")
        assert (await conclude(other)).rev.number == 3
        await append(world, 2, prefix="w")
        await early.send(hold=0)
        assert (await early.receive()).rev.number == 5
        answer = await conclude(slow)
        assert answer.rev.number == find_last_record(answer)


@pytest.mark.proves("V3")
async def test_who_is_answered_before_time_is_told_everything(world: World) -> None:
    async with listeners(world, 2) as (first, second):
        await listen(world, second)
        await listen(world, first, hold=0.05)
        await append(world, 1)
        assert (await conclude(first)).rev.number == 1
        await append(world, MOST_TOLD + 1, prefix="u")
        assert (await conclude(second)).rev.number == MOST_TOLD + 2


async def conclude(asker: Asker) -> Answer:
    """The answer, after whatever is told before it."""
    while True:
        part = await asker.receive_part()
        if not part.endswith(b"\n"):
            return await asker.finish(part)


def find_last_record(answer: Answer) -> int:
    claims = json.loads(base64url.decode(answer.pages[-1].split(".")[1]))
    return int(claims["last"])


@pytest.mark.proves("V3")
async def test_a_question_without_notices_ends_an_earlier_one_with(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        host, port = asker.peer.writer.get_extra_info("peername")
        second = Asker(await Peer.connect(f"{host}:{port}"), FEED, asker.lease)
        second.rev, second.digest = asker.rev, asker.digest
        await listen(world, asker)
        await second.send(hold=20)
        assert (await asker.receive()).rev.number == 0
        await asker.send(hold=20, heard=0)
        assert (await second.receive()).rev.number == 0
        await second.peer.close()


@pytest.mark.proves("V3")
async def test_who_is_told_nothing_is_answered_as_ever(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await asker.send(hold=0.05, heard=0)
        answer = await asker.receive()
        assert (answer.pages, answer.snapshot) == ((), False)


@pytest.mark.proves("V3")
async def test_who_is_far_behind_is_answered(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await append(world, MOST_TOLD + 1)
        await asker.send(hold=20, heard=0)
        assert (await asker.receive()).rev.number == MOST_TOLD + 1


@pytest.mark.proves("V3")
async def test_many_facts_at_once_are_told_in_lines_that_hold_a_page_each(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await listen(world, asker)
        await append(world, MOST_TOLD)
        told = await hear_until(asker, MOST_TOLD)
        assert [len(notice.records) for notice in told] == [MOST_RECORDS] * 4
        await append(world, MOST_TOLD + 1, prefix="u")  # not worth telling one by one
        assert (await asker.conclude()).rev.number == 2 * MOST_TOLD + 1


@pytest.mark.proves("V3", "F6")
async def test_of_a_dense_stream_each_line_takes_several_and_none_is_missed(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await listen(world, asker)
        most, told = 4 * MOST_EASY, asyncio.create_task(hear_until(asker, 4 * MOST_EASY))
        for number in range(most):
            await append(world, 1, prefix=f"{number}-")
            await asyncio.sleep(0)
        last = time.monotonic()
        notices = await told
        assert time.monotonic() - last < 3 * GATHERING
    assert find_numbers(notices) == list(range(1, most + 1))
    assert len(notices) < most / 2


@pytest.mark.proves("C112")
async def test_who_was_told_much_is_answered(world: World) -> None:
    """So nobody who does not read has the server keep more for him."""
    async with listeners(world, 1) as (asker,):
        await listen(world, asker)
        told = 0
        while world.provider.feed.holds_open:
            await append(world, MOST_RECORDS, prefix=f"{told}-")
            told += MOST_RECORDS
            await asyncio.sleep(GATHERING)
        assert told * 28 < 2 * MOST_NOTICE_BYTES
        await hear_until(asker, told)
        assert (await asker.conclude()).rev.number == told


@pytest.mark.proves("K6", "C97")
async def test_a_changed_key_set_ends_a_wait_at_once(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await asker.send(hold=0)
        before = await asker.receive()
        await listen(world, asker)
        await append(world, 1)
        await asker.hear()
        await world.operate("keys.rotate", algorithm="ES256")
        assert (await asker.conclude()).keys_digest != before.keys_digest


@pytest.mark.proves("C91", "F15")
async def test_another_history_is_told_nothing(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await append(world, 1)
        asker.rev, asker.digest = Rev(1, 1), bytes(32)
        await asker.send(hold=20, heard=1)
        assert (await asker.receive()).snapshot


@pytest.mark.proves("V3")
@pytest.mark.parametrize("heard", [7, 10**15])
async def test_who_claims_to_have_heard_what_did_not_happen_is_answered(
    world: World, heard: int
) -> None:
    async with listeners(world, 1) as (asker,):
        await append(world, 1)
        await asker.send(hold=20, heard=heard)
        assert (await asker.receive()).rev.number == 1


@pytest.mark.proves("V3")
@pytest.mark.parametrize("heard", ["-1", "x", "1e3", "9" * 17])
async def test_a_number_that_is_none_is_refused(world: World, heard: str) -> None:
    async with listeners(world, 1) as (asker,):
        await asker.send(hold=20, heard=heard)
        assert (await asker.peer.receive()).status == 400


@pytest.mark.proves("F15")
async def test_a_server_that_stops_leaves_no_answer_that_looks_whole(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        await listen(world, asker)
        await append(world, 1)
        await asker.hear()
        world.provider.state.stop(Witness(Rev(1, 9), bytes(32)))
        world.provider.feed._notices.release()
        assert await asker.peer.receive_all() == b""


@pytest.mark.proves("O3")
async def test_the_end_of_the_server_ends_every_wait(world: World) -> None:
    async with listeners(world, 3) as waiting:
        for asker in waiting:
            await listen(world, asker)
        await append(world, 1)
        for asker in waiting:
            await asker.hear()
        world.provider.feed.close()
        assert {(await asker.conclude()).hold for asker in waiting} == {0}


@pytest.mark.proves("V3")
async def test_a_later_question_ends_an_earlier_one(world: World) -> None:
    async with listeners(world, 1) as (asker,):
        host, port = asker.peer.writer.get_extra_info("peername")
        second = Asker(await Peer.connect(f"{host}:{port}"), FEED, asker.lease)
        second.rev, second.digest = asker.rev, asker.digest
        await listen(world, asker)
        await append(world, 1)
        await asker.hear()
        await second.send(hold=20, heard=1)
        assert (await asker.conclude()).rev.number == 1
        await append(world, 1, prefix="u")
        assert find_numbers(await second.hear()) == [2]
        await second.peer.close()


@pytest.mark.proves("F21", "C112")
async def test_listeners_that_go_away_leave_nothing_behind(world: World) -> None:
    async with listeners(world, 5) as waiting:
        for asker in waiting:
            await listen(world, asker)
        for asker in waiting[:4]:
            await asker.peer.close()
        await append(world, 1)
        await waiting[4].hear()
        await wait_for_holds(world, 1)


@pytest.mark.proves("V3")
async def test_no_fact_is_missed_between_two_questions(world: World) -> None:
    most = 300

    async def follow(asker: Asker) -> None:
        known: set[int] = set()
        while len(known) < most:
            await asker.send(hold=0.02, heard=max(known, default=0))
            head = await asker.peer.reader.readuntil(b"\r\n\r\n")
            if b"chunked" not in head:
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await asker.peer.reader.readexactly(length)
                continue
            asker.listening = True
            while True:
                part = await asker.receive_part()
                if not part.endswith(b"\n"):
                    break
                known |= set(find_numbers(asker.read(part)))
            assert await asker.receive_part() == b""
            asker.listening = False

    async with listeners(world, 4) as following:
        tasks = [asyncio.create_task(follow(asker)) for asker in following]
        for number in range(most):
            await append(world, 1, prefix=f"{number}-")
            for _ in range(number % 7):
                await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)
