"""Asking an issuer again and again, for as long as somebody holds the follower that asks: on a
thread of its own, or on an event loop that has more to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Protocol

from dojang.fetch import AsyncTransport, HttpTransport, Transport
from dojang.fetch.flight import Flight

_log = logging.getLogger("dojang.trust")


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
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="dojang-feed", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """End it soon."""
        self._stopped.set()
        if isinstance(self._transport, HttpTransport):
            self._transport.abort()

    def stop(self, timeout: float) -> None:
        """End it, and wait for that for `timeout` seconds at most."""
        self.cancel()
        self._thread.join(timeout)

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
        while not self._stopped.is_set() and (found := self._find()) is not None:
            pause = found.ask(self._transport)
            if found.needs_base and (rebasing is None or rebasing.landed):
                rebasing = _rebase(found, self._transport)
            del found
            if pause:
                self._stopped.wait(pause)


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
