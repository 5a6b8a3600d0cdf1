"""Answers to introspection, kept for moments (RFC 7662 §4)."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

from dojang.oauth.access_token import AccessToken

LONGEST_POSITIVE: Final = 30.0  # seconds
LONGEST_NEGATIVE: Final = 5.0


class Answer(NamedTuple):
    """What the issuer said of a token, at `asked_at` (monotonic seconds); None for inactive.
    Whether the claims are good enough, and still in time, is checked on every use."""

    token: AccessToken | None
    asked_at: float


class Answers:
    """A bounded cache. It is keyed by a hash of the token, so holds none. Refused tokens have room
    of their own: junk drives out no good answer."""

    __slots__ = ("_negative", "_positive", "_refused", "_taken")

    def __init__(self, *, positive: float, negative: float, size: int) -> None:
        """`positive` and `negative` are seconds: 30 and 5 at most. Raises `ValueError`."""
        if not 0 <= positive <= LONGEST_POSITIVE:
            raise ValueError("an answer is kept for 0 to 30 seconds")
        if not 0 <= negative <= LONGEST_NEGATIVE:
            raise ValueError("a negative answer is kept for 0 to 5 seconds")
        self._positive = positive
        self._negative = negative
        self._taken = _Generations(size)
        self._refused = _Generations(size)

    def find(
        self, token: str, *, now: float, monotonic: float, staleness: float | None
    ) -> Answer | None:
        """An answer that is young enough, also for a `staleness` in seconds where one is given,
        and does not outlive the token. `now` is in seconds since 1970."""
        if not (self._positive or self._negative):
            return None
        key = _hash(token)
        answer = self._taken.find(key) or self._refused.find(key)
        if answer is None:
            return None
        limit = self._negative
        if answer.token is not None:
            limit = self._positive if staleness is None else min(self._positive, staleness)
            if now >= answer.token.expires_at:
                return None
        return answer if 0 <= monotonic - answer.asked_at < limit else None

    def keep(self, token: str, answer: Answer) -> None:
        """`asked_at` is when the question left, so that its way there counts."""
        key = _hash(token)
        if answer.token is None:
            self._taken.drop(key)
            if self._negative:
                self._refused.keep(key, answer)
        elif self._positive:
            self._taken.keep(key, answer)


class _Generations:
    """Two dictionaries of at most half the size; the older goes when the younger is full."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(size // 2, 1)
        self._young: dict[bytes, Answer] = {}
        self._old: dict[bytes, Answer] = {}

    def find(self, key: bytes) -> Answer | None:
        return self._young.get(key) or self._old.get(key)

    def keep(self, key: bytes, answer: Answer) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[key] = answer

    def drop(self, key: bytes) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
