"""A coroutine that was begun outside a task goes on inside one as if nothing had happened."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from dojang.web.suspension import go_on


async def begin(coroutine: Coroutine[Any, Any, str | None]) -> str | None:
    waited = coroutine.send(None)
    return await asyncio.create_task(go_on(coroutine, waited))


async def test_it_returns_what_the_coroutine_returns() -> None:
    async def work() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_soon(future.set_result, "done")
        first = await future
        await asyncio.sleep(0)
        async with asyncio.timeout(10):  # needs a current task: there is one by now
            return first + await asyncio.sleep(0.001, "!")

    assert await begin(work()) == "done!"


async def test_it_raises_what_the_coroutine_raises() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        await begin(work())


async def test_a_failed_wait_is_the_coroutines_to_deal_with() -> None:
    async def work() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_soon(future.set_exception, LookupError())
        try:
            return await future
        except LookupError:
            await asyncio.sleep(0)
            return "dealt with"

    assert await begin(work()) == "dealt with"


@pytest.mark.parametrize("deals", [True, False])
async def test_it_can_be_cancelled(deals: bool) -> None:
    cleaned = False

    async def work() -> str:
        nonlocal cleaned
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cleaned = True
            if not deals:
                raise
        return "dealt with"

    coroutine = work()
    task = asyncio.create_task(go_on(coroutine, coroutine.send(None)))
    await asyncio.sleep(0)
    task.cancel()
    if deals:
        assert await task == "dealt with"
    else:
        with pytest.raises(asyncio.CancelledError):
            await task
    assert cleaned
