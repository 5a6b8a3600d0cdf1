"""Callers share a read, but only one that began after they called."""

import asyncio

import pytest

from dojang.oauth.errors import Unavailable
from dojang.storage.barrier import ReadBarrier

pytestmark = pytest.mark.proves("V3", "A6")


class SlowReads:
    """Each read answers its own number when it is let go."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Future[int]] = []
        self._changed = asyncio.Event()

    async def read(self) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.begun.append(answer)
        self._changed.set()
        return await answer

    async def wait_for(self, number: int) -> asyncio.Future[int]:
        while len(self.begun) < number:
            self._changed.clear()
            await self._changed.wait()
        return self.begun[number - 1]


async def test_callers_during_a_read_share_the_next() -> None:
    reads = SlowReads()
    barrier = ReadBarrier(reads.read)
    early = [asyncio.create_task(barrier.pass_through()) for _ in range(3)]
    first = await reads.wait_for(1)
    late = [asyncio.create_task(barrier.pass_through()) for _ in range(5)]
    await asyncio.sleep(0)
    first.set_result(1)
    assert await asyncio.gather(*early) == [1, 1, 1]
    assert not any(task.done() for task in late)
    (await reads.wait_for(2)).set_result(2)
    assert await asyncio.gather(*late) == [2, 2, 2, 2, 2]
    assert len(reads.begun) == 2


async def test_a_cancelled_caller_hurts_nobody() -> None:
    reads = SlowReads()
    barrier = ReadBarrier(reads.read)
    callers = [asyncio.create_task(barrier.pass_through()) for _ in range(3)]
    first = await reads.wait_for(1)
    callers[0].cancel()
    await asyncio.sleep(0)
    first.set_result(1)
    assert await asyncio.gather(*callers[1:]) == [1, 1]
    with pytest.raises(asyncio.CancelledError):
        await callers[0]


async def test_a_failure_is_told_to_its_callers_and_the_next_read_is_free_of_it() -> None:
    reads = SlowReads()
    barrier = ReadBarrier(reads.read)
    callers = [asyncio.create_task(barrier.pass_through()) for _ in range(2)]
    first = await reads.wait_for(1)
    later = asyncio.create_task(barrier.pass_through())
    await asyncio.sleep(0)
    first.set_exception(Unavailable("database"))
    refused = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(error) for error in refused] == [Unavailable, Unavailable]
    assert refused[0] is not refused[1]
    (await reads.wait_for(2)).set_result(7)
    assert await later == 7


async def test_closing_answers_who_waits_and_refuses_who_comes() -> None:
    reads = SlowReads()
    barrier = ReadBarrier(reads.read)
    caller = asyncio.create_task(barrier.pass_through())
    first = await reads.wait_for(1)
    closing = asyncio.create_task(barrier.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await barrier.pass_through()
    first.set_result(1)
    assert await caller == 1
    await closing
