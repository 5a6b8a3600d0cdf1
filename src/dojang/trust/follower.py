"""Following an issuer's feed: one question after the other, and what to think of the silence.

Whoever is silent, late, gapped or lying makes the view old, and nothing else: `proof.at` moves
only where an answer to the follower's own question is proven, to the moment before that question
left, and when all that the answer tells is known.
"""

from __future__ import annotations

import asyncio
import logging
from threading import Lock
from typing import Final
from weakref import ref

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import (
    AsyncTransport,
    Flow,
    HttpTransport,
    Transport,
    drive,
    drive_async,
)
from dojang.fetch.forking import renew_in_children
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import DEFAULT_HOLD, InvalidFeed
from dojang.oauth.revocation_fact import Rev
from dojang.trust.credentials import Credentials
from dojang.trust.discovery import Issuer
from dojang.trust.feed_door import BearerSource, NotOffered
from dojang.trust.feed_exchange import NEVER, FeedExchange, Proof
from dojang.trust.feed_pace import Pace
from dojang.trust.feed_status import FeedState, FeedStatus
from dojang.trust.following import Following
from dojang.trust.relay_door import Relaying, build_door
from dojang.trust.revocations import RevocationView
from dojang.trust.verified_feed import Progress, VerifiedFeed, Watcher

_log = logging.getLogger("dojang.trust")

FORGET_EVERY: Final = 60.0  # seconds
LOOK_FOR_FEED_EVERY: Final = 300.0


class Follower:
    """Follows the feed of `issuer`, as a client that may introspect there: with its `credentials`,
    or a `source` of tokens of scope `introspect`. The feed is found by the issuer's metadata, or
    is at `endpoint`; `fetch_from` is another address of the same server. With `relay`, the path of
    its socket, another process of this host is followed, which needs no credentials; `relaying` is
    for that process.

    `look` makes it follow by itself, on a thread of its own, unless it is driven `by_hand`: then
    `poll` asks. `name` is what operators see of it; `hold` how long the issuer may take to say
    "nothing new" (seconds). Raises `ValueError`.
    """

    def __init__(
        self,
        issuer: str,
        *,
        credentials: Credentials | None = None,
        source: BearerSource | None = None,
        relay: str | None = None,
        endpoint: str | None = None,
        fetch_from: str | None = None,
        name: str | None = None,
        hold: float = DEFAULT_HOLD,
        transport: Transport | None = None,
        clock: Clock = SYSTEM_CLOCK,
        by_hand: bool = False,
        relaying: Relaying | None = None,
    ) -> None:
        if [credentials, source, relay].count(None) != 2:
            raise ValueError(
                "a follower needs credentials, a source of tokens or a relay, one of them"
            )
        self._feed = VerifiedFeed(issuer, archive=relaying and relaying.archive)
        self._exchange = FeedExchange(
            self._feed,
            build_door(
                Issuer(issuer, fetch_from=fetch_from),
                credentials=credentials,
                endpoint=endpoint,
                relay=relay,
                files=relaying and relaying.files,
                clock=clock,
            ),
            source=source,
            name=name,
            clock=clock,
            list_kids=relaying and relaying.list_kids,
        )
        self.relay: Final = relay
        self._pace = Pace(hold)
        self._source = source
        self._transport = transport
        self._clock = clock
        self._by_hand = by_hand
        self._offered = True
        self._proven = False  # by the last question
        self._forget_at = NEVER
        self._failure: str | None = None
        self._questions = self._failures = 0
        self._told = FeedState.STARTING
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        return f"Follower({self.issuer!r})"

    def renew(self) -> None:
        # A child is a follower of its own; what was learned, and when it was proven, stays true.
        self._lock = Lock()
        self._following: Following | None = None
        self._exchange.leave()

    @property
    def issuer(self) -> str:
        return self._feed.issuer

    @property
    def exchange(self) -> FeedExchange:
        """The conversation, for a relay."""
        return self._exchange

    @property
    def view(self) -> RevocationView | None:
        """What is known to be revoked; None until the first snapshot."""
        return self._feed.view

    @property
    def position(self) -> Rev:
        """How far the view has come in the issuer's record of facts."""
        return self._feed.position

    @property
    def proof(self) -> Proof:
        """When the view was last proven."""
        return self._exchange.proof

    @property
    def offered(self) -> bool:
        """False while the issuer's metadata names no feed."""
        return self._offered

    @property
    def time_offset(self) -> float:
        """With the boot clock, a time that the issuer's clock has reached (seconds since 1970)."""
        return self._exchange.time_offset

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of what is new, for as long as somebody else holds it. Who comes to a
        conversation has its keys refreshed, as all had who were there when it began."""
        self._feed.watch(watcher)
        if self._exchange.keys_digest:
            watcher.keys.refresh()

    def need(self, bound: float) -> None:
        """Somebody relies on the view for `bound` seconds: keep it fresher than that."""
        with self._lock:  # of two that come at once the smaller counts
            self._pace.need(bound)

    def look(self) -> None:
        """To be called now and then: follow by itself, unless it does or is driven by hand."""
        if self._by_hand:
            return
        with self._lock:
            if self._following is None or self._following.ended:
                self._following = _follow(self, self._transport)
        self._tell()

    def close(self) -> None:
        """Stop, for good and for all verifiers that share it. The view stays as it is and grows
        old. A verifier that is built later has another follower, unless it is given this one."""
        with self._lock:
            following, self._following = self._following, None
            self._by_hand = True
        if following is not None:
            following.stop(5.0)

    def poll(self) -> FeedStatus:
        """Ask until there is a proven answer or a failure. Raises `ValueError` for a follower that
        asks by itself."""
        if self._following is not None:
            raise ValueError("this follower asks by itself")
        if self._transport is None:
            self._transport = HttpTransport(unix=self.relay)
        while True:
            try:
                drive(self._step(self._find_bearer(), hold=0.0), self._transport)
            except Unavailable as flaw:
                self._fail(flaw)
            if self._proven or self._pace.failures or not self._offered:
                break
        if self.needs_base:
            self.rebase(self._transport)
        return self.status()

    def ask(self, transport: Transport) -> float:
        """One exchange; seconds until the next is due."""
        notices = isinstance(transport, HttpTransport)
        try:
            step = self._step(self._find_bearer(), hold=self._find_hold(), notices=notices)
            return drive(step, transport)
        except Unavailable as flaw:
            return self._fail(flaw)
        except Exception as flaw:  # noqa: BLE001  what is the caller's may raise anything
            return self._fail(Unavailable(type(flaw).__name__))

    async def ask_async(self, transport: AsyncTransport) -> float:
        """As `ask`, without blocking the loop."""
        try:
            bearer = await asyncio.to_thread(self._find_bearer) if self._source else None
            return await drive_async(self._step(bearer, hold=self._find_hold()), transport)
        except Unavailable as flaw:
            return self._fail(flaw)
        except Exception as flaw:  # noqa: BLE001  what is the caller's may raise anything
            return self._fail(Unavailable(type(flaw).__name__))

    @property
    def needs_base(self) -> bool:
        """Whether there is a snapshot that is better to build on than the last."""
        return self._exchange.needs_base

    def rebase(self, transport: Transport) -> None:
        """Build on a later snapshot, where that can be had now."""
        try:
            drive(self._exchange.rebase(timeout=self._pace.timeout), transport)
        except (Unavailable, InvalidFeed) as flaw:
            self._tell_no_base(flaw)

    async def rebase_async(self, transport: AsyncTransport) -> None:
        """As `rebase`, without blocking the loop."""
        try:
            await drive_async(self._exchange.rebase(timeout=self._pace.timeout), transport)
        except (Unavailable, InvalidFeed) as flaw:
            self._tell_no_base(flaw)

    def _tell_no_base(self, flaw: Exception) -> None:
        _log.info("no later snapshot of %s could be loaded: %s", self.issuer, flaw)

    def status(self) -> FeedStatus:
        """How things are now."""
        at = self.proof.at
        return FeedStatus(
            state=self._find_state(),
            age=None if at == NEVER else self._clock.monotonic() - at,
            position=None if self.view is None else self.position,
            facts=0 if self.view is None else len(self.view),
            failure=self._failure,
            questions=self._questions,
            failures=self._failures,
        )

    def _find_hold(self) -> float:
        return self._pace.hold if self._proven else 0.0

    def _find_bearer(self) -> str | None:
        if self._source is None or not self._exchange.needs_lease:
            return None
        return self._source.token()

    def _step(self, bearer: str | None, *, hold: float, notices: bool = False) -> Flow[float]:
        """One exchange; seconds until the next is due."""
        pace, began, before = self._pace, self._clock.monotonic(), self.position
        self._questions += 1
        try:
            progress = yield from self._exchange.run(
                bearer, hold=hold, timeout=pace.timeout, notices=notices
            )
        except NotOffered:
            self._offered = self._proven = False
            self._tell()
            return LOOK_FOR_FEED_EVERY
        except (Unavailable, InvalidFeed) as flaw:
            return self._fail(flaw)
        self._offered, self._failure = True, None
        self._proven = progress is Progress.PROVEN
        self._forget()
        self._tell()
        spent = self._clock.monotonic() - began
        facts = self._count_news(before)
        pause = self._exchange.pause if self._proven else 0.0
        return pace.succeed(hold=hold, spent=spent, facts=facts, pause=pause)

    def _count_news(self, before: Rev) -> int:
        """How many facts came after `before`: what is read to catch up is no dense stream, and
        counts as one."""
        if self.position == before:
            return 0
        return max(1, self.position.number - before.number) if self._proven else 1

    def _fail(self, flaw: Exception) -> float:
        self._proven = False
        self._failure = str(flaw)
        self._failures += 1
        if not self._pace.failures and self._told is FeedState.STARTING:
            _log.warning("the revocations of %s cannot be followed: %s", self.issuer, flaw)
        pause = self._pace.fail()
        self._tell()
        return pause

    def _forget(self) -> None:
        now = self._clock.monotonic()
        if self.view is not None and now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY
            self.view.forget(int(now + self.time_offset))

    def _find_state(self) -> FeedState:
        if not self._offered:
            return FeedState.NOT_OFFERED
        if self._exchange.went_back:
            return FeedState.WENT_BACK
        if self.proof.at == NEVER:
            return FeedState.STARTING
        age = self._clock.monotonic() - self.proof.at
        return FeedState.FRESH if age < self._pace.bound else FeedState.STALE

    def _tell(self) -> None:
        """Say in the log what has changed, once."""
        state = self._find_state()
        with self._lock:
            told, self._told = self._told, state
        if state is told:
            return
        if state is FeedState.FRESH:
            _log.info("the view of the revocations of %s is fresh", self.issuer)
        elif state is FeedState.NOT_OFFERED:
            _log.info(
                "%s offers no feed of revocations: it is asked about every token", self.issuer
            )
        elif state is FeedState.WENT_BACK:
            _log.error("the record of facts of %s went back: %s", self.issuer, self._failure)
        elif told is FeedState.FRESH:
            _log.warning(
                "the view of the revocations of %s is stale: %s", self.issuer, self._failure
            )


def _follow(follower: Follower, transport: Transport | None) -> Following:
    """Have `follower` ask for as long as somebody holds it."""
    reference = ref(follower, lambda _: following.cancel())
    following = Following(reference, transport, relay=follower.relay)
    return following
