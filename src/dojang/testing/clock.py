"""A clock that tests move."""

from __future__ import annotations

import time


class SettableClock:
    """Stands still until it is moved; begins at the present, or at `at` (seconds since 1970).

    Like a machine's, its wall clock may go back and its monotonic one never does.
    """

    def __init__(self, at: float | None = None) -> None:
        self._now = time.time() if at is None else at
        self._monotonic = 0.0

    def __repr__(self) -> str:
        return f"SettableClock({self._now!r})"

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def move(self, seconds: float) -> None:
        """Let time pass; with a negative number, set the wall clock back."""
        self._now += seconds
        self._monotonic += max(seconds, 0.0)

    def move_to(self, at: float) -> None:
        """Move to a time (seconds since 1970), ahead or back."""
        self.move(at - self._now)
