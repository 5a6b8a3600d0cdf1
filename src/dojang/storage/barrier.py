"""A read that many callers share, yet never older than the call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from dojang.oauth.errors import Unavailable

T = TypeVar("T")


class ReadBarrier(Generic[T]):
    """Callers that arrive while a read runs share the next one, which has not begun.

    `read` runs in a task of its own: a caller that goes away takes nothing from the others.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._waiting: list[asyncio.Future[T]] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def pass_through(self) -> T:
        """What a read that began after this call found. Raises `Unavailable`."""
        if self._closed:
            raise Unavailable("database")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._waiting.append(answer)
        if self._task is None:
            self._task = loop.create_task(self._serve())
        return await answer

    async def close(self) -> None:
        """Let those who wait have their answer, then take no more."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _serve(self) -> None:
        callers: list[asyncio.Future[T]] = []
        try:
            while self._waiting:
                callers, self._waiting = self._waiting, []
                try:
                    result = await self._read()
                except Unavailable as error:
                    refuse(callers, error)
                else:
                    for answer in callers:
                        if not answer.done():
                            answer.set_result(result)
        finally:
            self._task = None
            refuse([*callers, *self._waiting], Unavailable("database"))


def refuse(answers: Iterable[asyncio.Future[T]], error: Unavailable) -> None:
    """Tell each that waits still; each gets an error of its own to raise."""
    for answer in answers:
        if not answer.done():
            answer.set_exception(_make_twin(error))


def _make_twin(error: Unavailable) -> Unavailable:
    kind = type(error)
    twin = kind.__new__(kind, *error.args)
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
