"""The one thread on which a process follows feeds: an event loop of its own, off every request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any, Final

from dojang.fetch.forking import renew_in_children

_log = logging.getLogger("dojang.trust")

Follow = Callable[[], Coroutine[Any, Any, None]]


class Following:
    """Something that runs on the loop until it returns or is stopped."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended = Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def cancel(self) -> None:
        """End it soon."""
        with suppress(RuntimeError):  # the loop has ended, and all on it
            self._loop.call_soon_threadsafe(self._cancel)

    def stop(self, timeout: float) -> None:
        """End it, and wait for that for `timeout` seconds at most."""
        self.cancel()
        self._ended.wait(timeout)

    def begin(self, follow: Follow, end: Callable[[], None]) -> None:
        """To be called on the loop, which then calls `end`."""
        self._task = self._loop.create_task(follow())

        def finish(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (failure := task.exception()) is not None:
                _log.error("following a feed failed: %s", type(failure).__name__)
            end()
            self._ended.set()

        self._task.add_done_callback(finish)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class FeedLoop:
    """Starts with the first that follows and ends with the last. In a forked child there is none
    until somebody follows there."""

    def __init__(self) -> None:
        self._inherited: list[object] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        # Never closed in a child: it shares its epoll instance with the parent's.
        self._inherited.append(self._loop)
        self._lock = Lock()
        self._loop = None
        self._running = 0

    def run(self, follow: Follow) -> Following:
        """Run `follow()`. Raises `RuntimeError` where the system has no thread to give."""
        with self._lock:
            loop = self._loop or _start_loop()
            self._loop = loop
            self._running += 1
            following = Following(loop)
            loop.call_soon_threadsafe(following.begin, follow, self._end)
            return following

    def _end(self) -> None:
        with self._lock:
            self._running -= 1
            if not self._running and self._loop is not None:
                self._loop.stop()
                self._loop = None


def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def run() -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()

    try:
        Thread(target=run, name="dojang-feed", daemon=True).start()
    except RuntimeError:
        loop.close()
        raise
    return loop


FEED_LOOP: Final = FeedLoop()
