"""The thread that waits for the disk, and does nothing else."""

from __future__ import annotations

import sqlite3
from queue import SimpleQueue
from threading import Thread
from typing import Literal


class DiskThread:
    """Commits on `connection`, one transaction at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._orders: SimpleQueue[Literal["commit", "stop"]] = SimpleQueue()
        self._reports: SimpleQueue[BaseException | None] = SimpleQueue()
        Thread(target=self._run, name="dojang-sqlite", daemon=True).start()

    def _run(self) -> None:
        while self._orders.get() == "commit":
            failure: BaseException | None = None
            try:
                self._connection.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001  told to the event loop
                failure = error
            self._reports.put(failure)

    def begin(self) -> None:
        """Start to commit."""
        self._orders.put("commit")

    def finish(self, wait: float) -> BaseException | None:
        """What went wrong, if anything. Raises `queue.Empty` after `wait` seconds without news."""
        return self._reports.get(timeout=wait)

    def stop(self) -> None:
        """End the thread."""
        self._orders.put("stop")
