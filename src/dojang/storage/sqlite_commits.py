"""Group commit on SQLite: units of work that wait together share one transaction and one fsync.

The event loop writes the rows, which costs microseconds; one thread waits for the disk, and the
units that arrive meanwhile form the next group. A savepoint around each unit lets it fail alone.

A busy event loop never lets go of the interpreter long enough for another thread to come through.
So the loop makes way for the disk's thread on purpose: `FIRST_WAIT` when a group is handed over,
which is enough for a good disk, and `WAIT` at a time from then on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from dojang.oauth.errors import Unavailable
from dojang.storage.sqlite_disk import DiskThread

MOST_WAITING: Final = 20_000  # units; more are told to come back
MOST_TOGETHER: Final = 500  # units in a group, so that the event loop is soon free again
BUSY_PATIENCE: Final = 2.0  # seconds for another program's write lock
BUSY_PAUSE: Final = 0.01  # seconds
FIRST_WAIT: Final = 0.0005  # seconds
WAIT: Final = 0.0001  # seconds
PAUSE: Final = 0.001  # seconds for other requests between two waits

T = TypeVar("T")


class Work(Protocol):
    """What surrounds the units of one transaction."""

    def begin(self) -> None:
        """Before the first unit, inside the transaction."""

    def end(self) -> None:
        """After the last unit, inside the transaction."""

    def settle(self, *, written: bool) -> None:
        """When the outcome is on disk, or the transaction failed; before anyone is answered."""


class _Unit(NamedTuple):
    write: Callable[[], Any]
    answer: asyncio.Future[Any]


class _Outcome(NamedTuple):
    answer: asyncio.Future[Any]
    result: Any
    refusal: Exception | None


class GroupCommit:
    """Runs units of work on `connection` in order; each is on disk before it is answered."""

    def __init__(self, connection: sqlite3.Connection, work: Work) -> None:
        self._connection = connection
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._disk = DiskThread(connection)
        self._waiting: deque[_Unit] = deque()
        self._busy_since: float | None = None
        self._running = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def submit(self, write: Callable[[], T]) -> T:
        """What `write` returned, once it is on disk.

        `write` uses the connection and nothing that waits. What it raises is raised here and
        undoes it alone; where the database fails, `Unavailable`.
        """
        if self._closed or len(self._waiting) >= MOST_WAITING:
            raise Unavailable("database")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append(_Unit(write, answer))
        if not self._running:
            self._running = True
            self._idle.clear()
            self._loop.call_soon(self._write_group)
        return await answer

    async def close(self) -> None:
        """Answer what was accepted, then stop."""
        self._closed = True
        await self._idle.wait()
        self._disk.stop()

    def _write_group(self) -> None:
        try:
            self._undo()
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._wait_or_fail(error)
            return
        self._busy_since = None
        units = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
        try:
            self._work.begin()
            outcomes = [self._write_unit(unit) for unit in units]
            self._work.end()
        except Exception:  # noqa: BLE001  the queue must move on, whatever happened
            self._fail(units)
            self._continue()
            return
        self._disk.begin()
        self._wait_for_disk(FIRST_WAIT, units, outcomes)

    def _wait_or_fail(self, error: sqlite3.Error) -> None:
        now = self._loop.time()
        since = self._busy_since = self._busy_since or now
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if busy and now - since < BUSY_PATIENCE:
            self._loop.call_later(BUSY_PAUSE, self._write_group)
            return
        self._busy_since = None
        units = list(self._waiting)
        self._waiting.clear()
        self._fail(units)
        self._continue()

    def _write_unit(self, unit: _Unit) -> _Outcome:
        execute = self._connection.execute
        execute("SAVEPOINT unit")
        try:
            result = unit.write()
        except sqlite3.Error:
            raise
        except Exception as refusal:  # noqa: BLE001  whatever it is, it is this caller's alone
            execute("ROLLBACK TO unit")
            execute("RELEASE unit")
            return _Outcome(unit.answer, None, refusal)
        execute("RELEASE unit")
        return _Outcome(unit.answer, result, None)

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _wait_for_disk(self, wait: float, units: list[_Unit], outcomes: list[_Outcome]) -> None:
        try:
            failure = self._disk.finish(wait)
        except Empty:
            self._loop.call_later(PAUSE, self._wait_for_disk, WAIT, units, outcomes)
            return
        if failure is not None:
            self._fail(units)  # also those refused: what they conflicted with was not written
        else:
            self._work.settle(written=True)
            for answer, result, refusal in outcomes:
                if answer.done():
                    continue
                if refusal is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(refusal)
        self._continue()

    def _fail(self, units: list[_Unit]) -> None:
        with suppress(sqlite3.Error):
            self._undo()
        self._work.settle(written=False)
        for _, answer in units:
            if not answer.done():
                answer.set_exception(Unavailable("database"))

    def _continue(self) -> None:
        if self._waiting:
            self._loop.call_soon(self._write_group)
        else:
            self._running = False
            self._idle.set()
