"""Time, as an object that can be replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol


class Clock(Protocol):
    """Two times, both in seconds. `now` is the wall clock (since 1970): it may be set back.
    `monotonic` only grows, counts while the machine sleeps, and means nothing by itself."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...


def _find_monotonic() -> Callable[[], float]:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return time.monotonic


class SystemClock:
    """The machine's clocks. Both are built-ins themselves: they are read for every request."""

    __slots__ = ()

    now = staticmethod(time.time)
    monotonic = staticmethod(_find_monotonic())


SYSTEM_CLOCK: Final[Clock] = SystemClock()
