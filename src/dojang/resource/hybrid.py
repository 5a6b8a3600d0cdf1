"""Local verification first, then whether the token was revoked: junk never reaches the issuer.

A view of revocations that the issuer pushes decides where it is fresh enough for the route; where
it is not, or there is none, the issuer is asked, or what the route says instead happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.oauth.revocation_fact import NUMBER_BITS, Rev
from dojang.oauth.token_exchange import is_traceable
from dojang.resource.admission import Admission, Admitted
from dojang.resource.errors import Refusal, RefusalReason, Unavailable
from dojang.resource.expect import Expect
from dojang.resource.introspection import IntrospectionVerifier
from dojang.resource.living import Living
from dojang.resource.local import LocalVerifier
from dojang.resource.staleness import DEFAULT_STALENESS, WhenStale, check_staleness
from dojang.resource.verified import VerifiedToken
from dojang.trust.feed_exchange import Proof
from dojang.trust.feed_status import FeedStatus
from dojang.trust.follower import Follower
from dojang.trust.revocations import RevocationView

MOST_INACTIVE: Final = 4096  # tokens that the issuer called inactive
_LOOK_EVERY: Final = 1.0  # seconds
_STEP: Final = 0.5  # seconds: less is how far two clocks that are read one after the other differ


class HybridVerifier:
    """Both checks of one token, in this order, under one `Expect`: `local`, then revocation, known
    as of at most `staleness` seconds ago: from the view of `follower`, or by `introspection`.

    Beyond that `when_stale` decides. Both are for calls that name none of their own. Without a
    follower the issuer is asked about every token, and its answer serves for the `keep` of
    `introspection`. Raises `ValueError`.
    """

    def __init__(
        self,
        *,
        local: LocalVerifier,
        introspection: IntrospectionVerifier,
        follower: Follower | None = None,
        staleness: float = DEFAULT_STALENESS,
        when_stale: WhenStale = WhenStale.ASK,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if local.expect != introspection.expect:
            raise ValueError("both verifiers must expect the same")
        if follower is not None and follower.issuer != local.expect.issuer:
            raise ValueError("the follower follows another issuer")
        check_staleness(staleness)
        self.freshness = introspection.freshness if follower is None else staleness
        self._local = local
        self._introspection = introspection
        self._follower = follower
        self._staleness = staleness
        self._when_stale = WhenStale(when_stale)
        self._clock = clock
        self._monotonic = clock.monotonic
        self._keys = local.keys
        self._inactive: dict[str, None] = {}
        self._living = Living(local.keys, size=local.known_tokens)
        self._proof = Proof() if follower is None else follower.proof
        self._feed = None if follower is None else follower.exchange.feed
        self._look_at = self._offset = float("-inf")
        self._decided = self._asked = self._refused = self._accepted = 0
        if follower is not None:
            follower.need(staleness)
            follower.watch(self._living)

    def __repr__(self) -> str:
        return f"HybridVerifier({self.expect!r})"

    @property
    def expect(self) -> Expect:
        """What is demanded."""
        return self._introspection.expect

    @property
    def follower(self) -> Follower | None:
        """Who keeps the view."""
        return self._follower

    def ready(self) -> bool:
        """Whether there are keys to verify with; asking starts to follow."""
        if self._follower is not None:
            self._follower.look()
        return self._local.ready()

    def need(self, bound: float) -> None:
        """A route relies on the view for `bound` seconds: it is kept fresher than that."""
        if self._follower is not None:
            self._follower.need(bound)

    def feed_status(self) -> FeedStatus | None:
        """How far the view can be relied on, and what became of requests; None without one."""
        if self._follower is None:
            return None
        return self._follower.status()._replace(
            decided=self._decided,
            asked=self._asked,
            refused=self._refused,
            accepted=self._accepted,
        )

    def verify(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """The token, verified here, and not revoked as of at most `staleness` seconds ago.

        Raises `Refusal`; `Unavailable` where that cannot be known, and where the view is too old
        and `when_stale` says so.
        """
        # A warm request. When the view was proven is read before the living: what a later proof
        # includes is taken out of them before it counts.
        now = self._monotonic()
        living = self._living
        if (
            now - self._proof.at < (self._staleness if staleness is None else staleness)
            and now < self._look_at
            and living.key_set is self._keys.keys
            and living.expect is self._local._expect  # noqa: SLF001  a property takes a tenth of it
        ):
            found = living.tokens.get(token)
            if found is not None and now + self._offset < found[4]:
                self._decided += 1
                return found[0]
        again = self._local.knows(token)
        admission, admitted = self._local.admit(token)
        if self._must_ask(token, admission, admitted, staleness, when_stale, again=again):
            try:
                self._introspection.verify(token, staleness=self._find_bound(staleness))
            except Refusal as refusal:
                self._note(token, refusal)
                raise
            self._inactive.pop(token, None)
        return admitted[0]

    async def verify_async(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """As `verify`, without blocking the loop."""
        now = self._monotonic()
        living = self._living
        if (  # as in `verify`, where a call would cost more than it does here
            now - self._proof.at < (self._staleness if staleness is None else staleness)
            and now < self._look_at
            and living.key_set is self._keys.keys
            and living.expect is self._local._expect  # noqa: SLF001
        ):
            found = living.tokens.get(token)
            if found is not None and now + self._offset < found[4]:
                self._decided += 1
                return found[0]
        again = self._local.knows(token)
        admission, admitted = await self._local.admit_async(token)
        if self._must_ask(token, admission, admitted, staleness, when_stale, again=again):
            try:
                bound = self._find_bound(staleness)
                await self._introspection.verify_async(token, staleness=bound)
            except Refusal as refusal:
                self._note(token, refusal)
                raise
            self._inactive.pop(token, None)
        return admitted[0]

    def _note(self, token: str, refusal: Refusal) -> None:
        """What the issuer called inactive no route takes from here, until the issuer says
        otherwise."""
        if refusal.reason is RefusalReason.INACTIVE and self._follower is not None:
            while len(self._inactive) >= MOST_INACTIVE:
                self._inactive.pop(next(iter(self._inactive)), None)
            self._inactive[token] = None
            self._living.let_go(token)

    def _find_bound(self, staleness: float | None) -> float | None:
        """How old an answer of the issuer may be; None: as `introspection` has it."""
        return self._staleness if staleness is None and self._follower is not None else staleness

    def _must_ask(
        self,
        token: str,
        admission: Admission,
        admitted: Admitted,
        staleness: float | None,
        when_stale: WhenStale | None,
        *,
        again: bool,
    ) -> bool:
        """Whether the issuer has to be asked about a token whose signature and claims are good.

        1. what has expired by the issuer's own time is refused, wherever the clock here was set;
        2. about what the issuer called inactive only the issuer says otherwise; 3. what the view
        knows to be revoked is refused, however old it is; 4. a view that is fresh enough decides;
        5. else the issuer, or what the route says instead.
        """
        follower, feed = self._follower, self._feed
        if follower is None or feed is None:
            return True
        now = self._monotonic()
        if now >= self._look_at:
            self._look(follower, now)
        if now + self._offset >= admitted[4]:
            raise Refusal(RefusalReason.EXPIRED)
        bound = self._staleness if staleness is None else staleness
        fresh = now - self._proof.at < bound  # before the view is read
        rev = _find_rev(admitted[6].claims)
        view = feed.view
        if token in self._inactive:
            if rev is not None and view is not None and _is_dead(admitted, rev, view):
                raise Refusal(RefusalReason.REVOKED)
            return self._ask_again(bound, when_stale or self._when_stale)
        if rev is not None and view is not None:
            living = self._living
            # One that comes again is worth keeping among them.
            if (again or not living.lives(admitted, rev, view)) and living.find_whether_dead(
                token, admission, admitted, rev, view
            ):
                raise Refusal(RefusalReason.REVOKED)
            if fresh:
                self._decided += 1
                return False
        follower.need(bound)
        if bound == 0 or rev is None or not follower.offered:
            self._asked += 1
            return True
        return self._fall_back(when_stale or self._when_stale)

    def _ask_again(self, bound: float, when_stale: WhenStale) -> bool:
        """Only the issuer says that what it called inactive is not."""
        if bound and when_stale is WhenStale.ACCEPT_UNTIL_EXPIRY:
            raise Refusal(RefusalReason.INACTIVE)
        self._asked += 1
        return True

    def _fall_back(self, when_stale: WhenStale) -> bool:
        """What a route says of a view that is too old for it."""
        if when_stale is WhenStale.REFUSE:
            self._refused += 1
            raise Unavailable(f"the view of the revocations of {self.expect.issuer}")
        if when_stale is WhenStale.ACCEPT_UNTIL_EXPIRY:
            self._accepted += 1
            return False
        self._asked += 1
        return True

    def _look(self, follower: Follower, now: float) -> None:
        """Once a second: see that it follows, and what time it is. Of a token that is warm it is
        only asked whether it has ended: it had begun, and has, unless the clock was set back."""
        follower.look()
        offset = max(self._clock.now() - now, follower.time_offset)
        if offset < self._offset - _STEP:
            self._living.evict_all()
        self._offset = offset
        self._look_at = now + _LOOK_EVERY


def _find_rev(claims: Mapping[str, Any]) -> int | None:
    """The position a token was allowed at, as one number; None for tokens that no feed is about,
    and for those whose ancestors cannot be read: of them the issuer knows."""
    value = claims.get("rev")
    if type(value) is list and len(value) == 2 and is_traceable(claims):
        epoch, number = value
        if type(epoch) is int and type(number) is int and epoch >= 0 <= number < 1 << NUMBER_BITS:
            return epoch << NUMBER_BITS | number
    return None


def _is_dead(admitted: Admitted, rev: int, view: RevocationView) -> bool:
    """Whether the view knows a fact that has ended a token; nothing of it is kept."""
    identifiers = {**admitted[6].claims, "kid": admitted[7]}
    return view.find_killer(view.mark(Rev(0, 0), identifiers)._replace(rev=rev)) is not None
