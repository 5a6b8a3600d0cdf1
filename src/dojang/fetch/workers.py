"""A few daemon threads with no queue: work starts now or is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, TypeVar

from dojang.fetch.forking import renew_in_children

T = TypeVar("T")

IDLE: Final = 10.0  # seconds


class Full(Exception):
    """Every thread is taken, or there are no more to be had."""


class Workers:
    """At most `limit` threads, started when needed and ended when idle. They are daemons: they
    hold up no exit of the interpreter."""

    def __init__(self, limit: int, *, name: str) -> None:
        if limit < 1:
            raise ValueError("at least one thread")
        self._limit = limit
        self._name = name
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = Lock()
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._threads = 0
        self._taken = 0

    def run(self, call: Callable[[], T]) -> Future[T]:
        """Run `call` on a thread. Raises `Full`."""
        with self._lock:
            if self._taken >= self._limit:
                raise Full
            self._taken += 1
            if self._taken > self._threads:
                thread = Thread(
                    target=self._serve, args=(self._work,), name=self._name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # the system has no thread to give
                    self._taken -= 1
                    raise Full from None
                self._threads += 1
            future: Future[T] = Future()
            self._work.put((future, call))
        return future

    def _serve(self, work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]]) -> None:
        while True:
            try:
                future, call = work.get(timeout=IDLE)
            except Empty:
                with self._lock:
                    if work.empty():
                        self._threads -= 1
                        return
                continue
            outcome: Any = None
            failure: BaseException | None = None
            try:
                if future.set_running_or_notify_cancel():
                    outcome = call()
            except BaseException as raised:  # noqa: BLE001  it belongs to whoever waits
                failure = raised
            with self._lock:
                self._taken -= 1
            if failure is not None:
                future.set_exception(failure)
            elif not future.cancelled():
                future.set_result(outcome)
            del future, call, outcome, failure
