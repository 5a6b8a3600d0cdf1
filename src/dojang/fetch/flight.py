"""One run of something slow that many wait for, threads and tasks alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread

_log = logging.getLogger("dojang.fetch")


class Flight:
    """Runs `call` on a daemon thread of its own. What came of it is found where `call` left it."""

    __slots__ = ("_landed",)

    @property
    def landed(self) -> bool:
        return self._landed.done()

    def __init__(self, call: Callable[[], None], *, name: str) -> None:
        self._landed: Future[None] = Future()
        self._landed.set_running_or_notify_cancel()  # so that no waiter can cancel it

        def run() -> None:
            try:
                call()
            except Exception as failure:  # noqa: BLE001  a thread has nobody else to tell
                _log.error("%s failed: %s", name, type(failure).__name__)
            finally:
                self._landed.set_result(None)

        try:
            Thread(target=run, name=name, daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down
            self._landed.set_result(None)

    def wait(self, timeout: float) -> None:
        """Until it has landed, for `timeout` seconds at most."""
        with suppress(TimeoutError):
            self._landed.result(timeout)

    async def wait_async(self, timeout: float) -> None:
        """As `wait`, without blocking the loop; who stops waiting does not stop the flight."""
        landed = asyncio.wrap_future(self._landed)
        try:
            await asyncio.wait({landed}, timeout=timeout)
        finally:
            landed.cancel()
