"""Group commit on PostgreSQL, for units that only append: facts and audit events.

While one group is on its way to the disk the units that come form the next one, which is numbered
together and moves the head once. Each keeps a place of its own: its facts lie together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from dojang.oauth.errors import Unavailable
from dojang.server.model import Position
from dojang.storage.barrier import refuse
from dojang.storage.unit import Unit

MOST_TOGETHER: Final = 500  # units in a group, so that nobody waits long for the head


class _Waiting(NamedTuple):
    unit: Unit
    answer: asyncio.Future[Position]


class GroupedAppends:
    """`commit` puts units on disk together, or raises `Unavailable`: one group at a time."""

    def __init__(self, commit: Callable[[Sequence[Unit]], Awaitable[Sequence[Position]]]) -> None:
        self._commit = commit
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, unit: Unit) -> Position:
        """The position after `unit`, which has no precondition. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Position] = loop.create_future()
        self._waiting.append(_Waiting(unit, answer))
        if self._task is None:
            self._task = loop.create_task(self._serve())
        return await answer

    async def _serve(self) -> None:
        group: list[_Waiting] = []
        try:
            while self._waiting:
                group = [
                    self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))
                ]
                try:
                    positions = await self._commit([each.unit for each in group])
                except Unavailable as error:
                    refuse([each.answer for each in group], error)
                else:
                    for each, position in zip(group, positions, strict=True):
                        if not each.answer.done():
                            each.answer.set_result(position)
        finally:
            self._task = None
            left = [each.answer for each in (*group, *self._waiting)]
            self._waiting.clear()
            refuse(left, Unavailable("database"))
