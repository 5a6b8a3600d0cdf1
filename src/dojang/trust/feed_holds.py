"""Questions that wait for news. Whoever waits is woken by news, by the end of the wait it asked
for, by a later question of its own, and by the end of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

WOKEN_AT_ONCE: Final = 16


class Holds:
    """One wait for each follower at most."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which somebody waits, None where nobody does."""
        for waiting in self._waiting.values():
            return waiting.get_loop()
        return None

    async def wait(self, follower_id: str, seconds: float) -> None:
        """Return when there is news, or after `seconds`."""
        if self.closed:
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        before = self._waiting.get(follower_id)
        if before is not None:
            _wake(before)
        self._waiting[follower_id] = woken
        timer = loop.call_later(seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            if self._waiting.get(follower_id) is woken:
                del self._waiting[follower_id]

    def wake(self, follower_id: str) -> None:
        """End one wait, if there is one."""
        waiting = self._waiting.get(follower_id)
        if waiting is not None:
            _wake(waiting)

    def release(self) -> None:
        """There is news: wake everybody, a few in each turn of the loop. The first are told while
        the answers to the others are made, and who asks for something else waits for none of it."""
        waiting, self._waiting = self._waiting, {}
        _wake_in_turns(iter(waiting.values()))

    def close(self) -> None:
        """Wake everybody, and let nobody wait from now on."""
        self.closed = True
        self.release()


def _wake_in_turns(waiting: Iterator[asyncio.Future[None]]) -> None:
    woken = None
    for woken in islice(waiting, WOKEN_AT_ONCE):
        _wake(woken)
    if woken is not None:
        woken.get_loop().call_soon(_wake_in_turns, waiting)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
