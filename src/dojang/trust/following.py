"""Asking an issuer again and again, for as long as somebody holds the follower that asks: on a
thread of its own, or on an event loop that has more to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Protocol

from dojang.fetch import AsyncTransport, HttpTransport, Transport
from dojang.fetch.flight import Flight

_log = logging.getLogger("dojang.trust")

ABORT_EVERY: Final = 0.05  # seconds: what was not asked yet is a moment later


class Asks(Protocol):
    """A follower."""

    @property
    def needs_base(self) -> bool: ...

    def ask(self, transport: Transport) -> float: ...

    def rebase(self, transport: Transport) -> None: ...

    async def ask_async(self, transport: AsyncTransport) -> float: ...

    async def rebase_async(self, transport: AsyncTransport) -> None: ...


class Following:
    """A thread that asks until `find` finds nobody, or it is stopped. A thread that waits in one
    blocking read is woken at a third of what an event loop takes.

    Raises `RuntimeError` where the system has no thread to give.
    """

    def __init__(self, find: Callable[[], Asks | None], transport: Transport) -> None:
        self._find = find
        self._transport = transport
        self._stopped = False
        self._waking: SimpleQueue[None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="dojang-feed", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """End it when it has its answer. To be called anywhere, while locks are held too, as the
        garbage collector does."""
        self._stopped = True
        self._waking.put(None)

    def stop(self, timeout: float) -> None:
        """End it, and wait for that for `timeout` seconds at most. Of what others ask over its
        transport nothing ends."""
        self.cancel()
        for _ in range(ceil(timeout / ABORT_EVERY)):
            if isinstance(self._transport, HttpTransport):
                self._transport.abort(self._thread.ident or 0)
            self._thread.join(ABORT_EVERY)
            if self.ended:
                break

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as failure:  # noqa: BLE001  a thread has nobody else to tell
            _log.error("following a feed failed: %s", type(failure).__name__)
        finally:
            if isinstance(self._transport, HttpTransport):
                self._transport.close()

    def _follow(self) -> None:
        """Another snapshot is loaded beside the questions: no answer waits for it."""
        rebasing: Flight | None = None
        while not self._stopped and (found := self._find()) is not None:
            pause = found.ask(self._transport)
            if found.needs_base and (rebasing is None or rebasing.landed):
                rebasing = _rebase(found, self._transport)
            del found
            if pause:
                with suppress(Empty):
                    self._waking.get(timeout=pause)


def _rebase(follower: Asks, transport: Transport) -> Flight:
    return Flight(lambda: follower.rebase(transport), name="dojang-feed-snapshot")


async def follow_on(
    find: Callable[[], Asks | None],
    transport: AsyncTransport,
    answered: Callable[[], None],
) -> None:
    """As `Following`, in a task. `answered` is called after every exchange."""
    rebasing: asyncio.Task[None] | None = None
    try:
        while (found := find()) is not None:
            pause = await found.ask_async(transport)
            answered()
            if found.needs_base and (rebasing is None or rebasing.done()):
                rebasing = asyncio.get_running_loop().create_task(found.rebase_async(transport))
            del found
            if pause:  # an answer has let others go on already
                await asyncio.sleep(pause)
    finally:
        if rebasing is not None:
            rebasing.cancel()
            await asyncio.gather(rebasing, return_exceptions=True)
