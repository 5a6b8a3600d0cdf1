"""Where slow work is done, so that the event loop turns meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Offload(Protocol):
    """Runs slow pure work (making an RSA key takes a third of a second) and waits for it."""

    async def __call__(self, work: Callable[[], _T], /) -> _T: ...


async def run_inline(work: Callable[[], _T], /) -> _T:
    """An `Offload` for where nobody else waits."""
    return work()
