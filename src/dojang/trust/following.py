"""Asking an issuer again and again, for as long as somebody holds the follower that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from dojang.fetch import AsyncTransport


class Asks(Protocol):
    """A follower."""

    @property
    def needs_base(self) -> bool: ...

    async def ask(self, transport: AsyncTransport) -> float: ...

    async def rebase(self, transport: AsyncTransport) -> None: ...


async def follow_on(
    find: Callable[[], Asks | None],
    transport: AsyncTransport,
    answered: Callable[[], None] = lambda: None,
) -> None:
    """Ask until `find` finds nobody. `answered` is called after every exchange. Another snapshot is
    loaded beside the questions: no answer waits for it."""
    rebasing: asyncio.Task[None] | None = None
    try:
        while (found := find()) is not None:
            pause = await found.ask(transport)
            answered()
            if found.needs_base and (rebasing is None or rebasing.done()):
                rebasing = asyncio.get_running_loop().create_task(found.rebase(transport))
            del found
            if pause:  # an answer has let others go on already
                await asyncio.sleep(pause)
    finally:
        if rebasing is not None:
            rebasing.cancel()
            await asyncio.gather(rebasing, return_exceptions=True)
