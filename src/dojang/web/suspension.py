"""Going on with a coroutine that was begun outside a task and waits for something now.

Most answers wait for nothing: they are stepped once, and no task is made. One that does wait has
given us the future it waits for; a task can take it from there.

While it is stepped there is no current task, so what it runs before its first wait must not ask
for one (`asyncio.timeout` does).
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


async def go_on(coroutine: Coroutine[Any, Any, Result], waited: object) -> Result:
    """What `coroutine` returns; `waited` is what its first step gave."""
    return await _steps(coroutine, waited)


@types.coroutine
def _steps(coroutine: Coroutine[Any, Any, Result], waited: object) -> Generator[Any, Any, Result]:
    result: Result
    while True:
        try:
            yield waited
        except BaseException as error:  # noqa: BLE001  it belongs to the coroutine
            try:
                waited = coroutine.throw(error)
            except StopIteration as done:
                result = done.value
                return result
        else:
            result = yield from coroutine
            return result
