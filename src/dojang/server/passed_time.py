"""The time by which things are forgotten for good."""

from __future__ import annotations

from typing import Final

from dojang.clock import Clock
from dojang.server.lifetimes import DRAIN, LEEWAY


class PassedTime:
    """The wall clock, but for a jump ahead: that is believed only after `DRAIN` by the boot clock,
    when all that was alive before it has ended anyway. The clock may be put right until then, and
    what was revoked must still be known. A clock that is wrong from the start is not noticed."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._offset = clock.now() - clock.monotonic()  # from the boot clock to the believed time
        self._claimed = self._offset
        self._claimed_at = clock.monotonic()

    def find(self) -> int:
        """Seconds since 1970. To be called now and then."""
        passed = self._clock.monotonic()
        offset = self._clock.now() - passed
        if abs(offset - self._claimed) > LEEWAY:
            self._claimed, self._claimed_at = offset, passed
        if offset <= self._offset + LEEWAY or passed - self._claimed_at >= DRAIN:
            self._offset = offset
        return int(passed + self._offset)
