"""Time, as an object that can be replaced."""

from __future__ import annotations

import time
from typing import Final, Protocol


class Clock(Protocol):
    """Two times, both in seconds. `now` is the wall clock (since 1970): it may be set back.
    `monotonic` only grows, counts while the machine sleeps, and means nothing by itself."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...


def _boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """The machine's clocks. `now` is the built-in itself: it is read for every request."""

    __slots__ = ()

    now = staticmethod(time.time)
    monotonic = staticmethod(_boot_time if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic)


SYSTEM_CLOCK: Final[Clock] = SystemClock()
