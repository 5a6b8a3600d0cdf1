"""When a follower asks, how long it lets the issuer wait, and when it gives an answer up."""

from __future__ import annotations

from random import SystemRandom
from typing import Final

from dojang.oauth.feed import DEFAULT_HOLD, LONGEST_HOLD

DEFAULT_BOUND: Final = 2.0  # seconds

SHORTEST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0
SHORTEST_PATIENCE: Final = 0.25  # for the way there and back, beyond the hold
LONGEST_PATIENCE: Final = 10.0
EARLY_PAUSE: Final = 0.01
RUSH: Final = 16  # answers with news in a row: from then on several facts share an answer
RUSH_INTERVAL: Final = 0.02  # seconds from one question to the next
EASY_RATE: Final = 250.0  # facts a second: of a denser stream, answers come in longer intervals
LONGEST_RUSH_INTERVAL: Final = 0.1
SHORTEST_ELAPSED: Final = 0.001  # seconds that a rate is taken over

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does


class Pace:
    """`hold` is what the issuer may take to say "nothing new", in seconds; it is never more than a
    third of the smallest bound in force. Two questions in a row so fit into every bound, and there
    is time for one that is lost on the way.

    Raises `ValueError`.
    """

    __slots__ = ("_bound", "_early", "_hold", "_paused", "_rush", "failures")

    def __init__(self, hold: float = DEFAULT_HOLD) -> None:
        if not 0 < hold <= LONGEST_HOLD:
            raise ValueError("hold is more than 0 and at most 20 seconds")
        self._hold = hold
        self._bound: float | None = None
        self._early = self._rush = 0
        self._paused = 0.0  # before the last question
        self.failures = 0  # in a row

    @property
    def bound(self) -> float:
        """The smallest bound in force (seconds)."""
        return DEFAULT_BOUND if self._bound is None else self._bound

    def need(self, bound: float) -> None:
        """A route relies on the view for `bound` seconds; with 0 it never does."""
        if bound > 0 and (self._bound is None or bound < self._bound):
            self._bound = bound

    @property
    def hold(self) -> float:
        """For the next question: none where an answer is needed at once."""
        return 0.0 if self.failures else min(self._hold, self.bound / 3)

    @property
    def timeout(self) -> float:
        """For the next question, all of it. It grows where answers do not come in time: late ones
        keep the view growing, if not fresh."""
        patience = max(self.bound / 3, SHORTEST_PATIENCE) * 2.0 ** min(self.failures, 8)
        return self.hold + min(patience, LONGEST_PATIENCE)

    def succeed(self, *, hold: float, spent: float, facts: int, pause: float = 0.0) -> float:
        """The pause after an answer with so many new `facts` that might take `hold` seconds and
        took `spent`. After news it is about as long as the issuer wants (`pause`), or as a rush of
        news wants. An issuer that says "nothing new" at once, and then again, is not asked as fast
        as it can answer."""
        self.failures = 0
        if facts:
            self._early = 0
            self._rush += 1
            self._paused = max(self._find_rush_pause(spent, facts), _draw(pause))
            return self._paused
        self._rush = 0
        self._paused = 0.0
        left = hold - spent
        if left <= 0:
            self._early = 0
            return 0.0
        self._early += 1
        return min(left, EARLY_PAUSE * 2.0 ** min(self._early, 8))

    def _find_rush_pause(self, spent: float, facts: int) -> float:
        """One fact is told at once; of a stream of them each answer takes several, and more of a
        dense one: what an answer costs beside its facts is not to grow into what a service has
        for its own work."""
        if self._rush < RUSH:
            return 0.0
        density = facts / max(spent + self._paused, SHORTEST_ELAPSED) / EASY_RATE
        interval = min(RUSH_INTERVAL * max(1.0, density), LONGEST_RUSH_INTERVAL, self.bound / 10)
        return max(0.0, interval - spent)

    def fail(self) -> float:
        """The pause after a question without a good answer."""
        self.failures += 1
        longest = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(self.failures, 8))
        return _RANDOM.uniform(0.5, 1.0) * longest


def _draw(pause: float) -> float:
    """About as long as `pause`."""
    return _RANDOM.uniform(0.5, 1.5) * pause if pause else 0.0
