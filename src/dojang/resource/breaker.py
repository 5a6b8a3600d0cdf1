"""Keeping a failing issuer from taking this service with it: a bulkhead and a circuit breaker."""

from __future__ import annotations

from random import SystemRandom
from threading import Lock
from typing import Final

from dojang.clock import Clock
from dojang.fetch.forking import renew_in_children
from dojang.oauth.errors import Unavailable

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does
FAILURES_TO_OPEN: Final = 5
SHORTEST_PAUSE: Final = 0.5  # seconds
LONGEST_PAUSE: Final = 10.0


class Breaker:
    """At most `width` questions at once. After five failures in a row none is asked for a pause;
    then a single one tries, and each failure of it doubles the pause."""

    def __init__(self, what: str, *, width: int, clock: Clock) -> None:
        self._what = what
        self._width = width
        self._clock = clock
        self._failures = 0
        self._pause = SHORTEST_PAUSE
        self._closed_at = float("-inf")  # the end of the pause
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = Lock()
        self._asking = 0

    def enter(self) -> None:
        """To be called before a question; then exactly one of `succeed`, `fail` and `leave`.

        Raises `Unavailable` at once where too many are being asked, or in a pause.
        """
        with self._lock:
            if self._asking >= self._width:
                raise Unavailable(self._what)
            if self._failures >= FAILURES_TO_OPEN:
                now = self._clock.monotonic()
                if now < self._closed_at:
                    raise Unavailable(self._what, retry_after=max(1, round(self._pause)))
                self._closed_at = now + self._pause  # the others wait for this one
            self._asking += 1

    def succeed(self) -> None:
        with self._lock:
            self._asking -= 1
            self._failures = 0
            self._pause = SHORTEST_PAUSE

    def fail(self) -> None:
        with self._lock:
            self._asking -= 1
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                if self._failures > FAILURES_TO_OPEN:
                    self._pause = min(self._pause * 2, LONGEST_PAUSE)
                jitter = _RANDOM.uniform(0.75, 1.25)
                self._closed_at = self._clock.monotonic() + self._pause * jitter

    def leave(self) -> None:
        """Nothing was learned: whoever asked went away."""
        with self._lock:
            self._asking -= 1
