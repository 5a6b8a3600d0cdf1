"""What followers are told: a function of where the asker stands and of the state. It is made once
for all who stand there; only the proof is each follower's own."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from dojang.jose import json_object
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import Answer, build_answer
from dojang.oauth.revocation_fact import Rev
from dojang.server.feed_pages import Pages

if TYPE_CHECKING:
    from dojang.server.counters import Counters
    from dojang.server.keyring import SigningView
    from dojang.server.state import State

MOST_HELD: Final = 256
SHARED_FOR: Final = 0.25  # seconds that answers end at one place


class Place(NamedTuple):
    """A place in the record of facts: a position, and the digest up to there (32 bytes)."""

    rev: Rev
    digest: bytes


class Body(NamedTuple):
    """An answer as it is sent, and its SHA-256."""

    octets: bytes
    sha256: bytes


class Answers:
    """The answers as of the last barrier. `hold` is the longest wait that they offer, `pause` how
    long askers are to leave the server to the others who wait to be told (seconds). `ends` counts
    the places where answers have ended together."""

    def __init__(
        self,
        state: State,
        counters: Counters,
        monotonic: Callable[[], float],
        *,
        issuer: str,
        hold: float,
    ) -> None:
        self.hold = hold
        self.pause = 0.0
        self._state = state
        self._counters = counters
        self._issuer = issuer
        self._made_of: tuple[SigningView, float] | None = None
        self._bodies: dict[tuple[Place, Place], Body] = {}
        self.ends = 0
        self._monotonic = monotonic
        self.move_shared_end()
        self._pages: Pages | None = None

    @property
    def end(self) -> Place:
        """Where the record of facts ends."""
        return Place(*self._state.facts.last)

    def find_news(self, *, now: int) -> tuple[Place, str]:
        """All that an asker may not have heard of."""
        return self.end, self._state.keys.at(now).keys_digest

    def find_shared_end(self, since: int) -> Place:
        """Where the record of facts ended a moment ago, after that at which `ends` was `since`.
        Answers that are not due at once end there: many end at one place, and share pages."""
        shared = self._shared_end
        young = self._monotonic() < self._shared_at + SHARED_FOR
        if self.ends == since or not young or shared.rev.epoch != self.end.rev.epoch:
            self.move_shared_end()
        return self._shared_end

    def move_shared_end(self) -> None:
        """The next answers are to lead as far as is known now."""
        self.ends += 1
        self._shared_end, self._shared_at = self.end, self._monotonic()

    def find(self, asked_at: Place, end: Place, *, now: int) -> Body:
        """What an asker is told who stands at `asked_at`, up to `end`. Raises `Unavailable`."""
        view = self._state.keys.at(now)
        made_of = self._made_of
        if made_of is None or made_of[0] is not view or made_of[1] != self.hold:
            self._made_of = (view, self.hold)
            self._bodies = {}
        body = self._bodies.get((asked_at, end))
        if body is None:
            if len(self._bodies) >= MOST_HELD:
                self._bodies = {}
            body = self._bodies[asked_at, end] = self._build(asked_at, end, view, now=now)
        return body

    def _build(self, asked_at: Place, end: Place, view: SigningView, *, now: int) -> Body:
        pages = self._find_pages(view).find(*asked_at, end=end.rev, now=now)
        answer = Answer(
            end.rev,
            end.digest,
            pages or (),
            pages is None,
            view.keys_digest,
            self.hold,
            self.pause,
        )
        octets = json_object.dump(build_answer(answer))
        return Body(octets, sha256(octets).digest())

    def _find_pages(self, view: SigningView) -> Pages:
        log, keys = self._state.facts, view.feed
        if keys is None:
            raise Unavailable("the feed's signing key")
        pages = self._pages
        if pages is None or pages.log is not log or pages.keys is not keys:
            self._pages = pages = Pages(log, keys, self._counters, issuer=self._issuer)
        return pages
