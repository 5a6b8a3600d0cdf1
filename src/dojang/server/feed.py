"""The revocation feed of this node: who follows it, who waits to be told, and what they are told.

Whoever asks has passed the barrier, so an answer is never older than its question. Those who wait
are told of facts as soon as a hint leads to some, or are answered where they take no notices.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.feed import LONGEST_HOLD, LONGEST_PAUSE, MOST_PAGES, MOST_RECORDS, Lease
from dojang.oauth.feed_notices import begin_proofs
from dojang.server.feed_answers import Answers, Body, Place
from dojang.server.feed_leases import LeaseClaims, Leases
from dojang.server.feed_notices import Listener, Notices
from dojang.server.feed_snapshots import Snapshots
from dojang.server.feed_witness import parse_witness
from dojang.server.followers import Follower, Followers, TooManyFollowers
from dojang.trust.feed_holds import Holds

if TYPE_CHECKING:
    from dojang.clock import Clock
    from dojang.oauth.feed_questions import Question
    from dojang.oauth.http import Channel
    from dojang.server.counters import Counters
    from dojang.server.feed_keys import FeedKeys
    from dojang.server.offloading import Offload
    from dojang.server.ports import Store
    from dojang.server.state import State

TELLING: Final = 30e-6  # seconds that it takes to tell one who waits
FEW: Final = 64  # who are told so soon that nobody needs to pause
# Facts that an answer after notices has room for, with as many again that come meanwhile.
MOST_BEHIND: Final = MOST_PAGES * MOST_RECORDS // 2
LONGEST_LEASE: Final = 3 * LONGEST_HOLD  # seconds without a question, and a follower is gone

_log: Final = logging.getLogger("dojang.feed")


class Feed:
    """What the feed's endpoints share. `followers` are those of this node and the others."""

    def __init__(
        self,
        state: State,
        store: Store,
        clock: Clock,
        offload: Offload,
        counters: Counters,
        *,
        issuer: str,
        view_key: bytes,
    ) -> None:
        self.leases: Final = Leases(state, issuer=issuer)
        self.followers: Final = Followers()
        self.snapshots: Final = Snapshots(state, offload, issuer=issuer)
        self._answers = Answers(state, counters, clock.monotonic, issuer=issuer, hold=LONGEST_HOLD)
        self._holds = Holds()
        self._notices = Notices(state, clock.monotonic, self._answers.move_shared_end)
        self._state = state
        self._store = store
        self._clock = clock
        self._counters = counters
        self._issuer = issuer
        self._view_key = view_key
        self._watching = False
        self._hints = self._followed = 0
        self._looking: asyncio.Task[None] | None = None
        self._told: tuple[Place, str] | None = None

    @property
    def holds_open(self) -> int:
        """How many questions wait."""
        return len(self._holds) + len(self._notices)

    def build_lease(self, lease: str, claims: LeaseClaims, *, now: float) -> Lease:
        """What a follower is given with its lease. Raises `Unavailable`."""
        keys = self.load_keys(now)
        lasts = claims.expires_at - int(now)
        return Lease(lease, claims.proof_key, self._view_key, keys.jwks, lasts)

    def load_keys(self, now: float) -> FeedKeys:
        """The feed's keys at `now`. Raises `Unavailable`."""
        keys = self._state.keys.at(int(now)).feed
        if keys is None:
            raise Unavailable("the feed's signing key")
        return keys

    def hear(self, signed: str, *, now: float) -> None:
        """Weigh what a follower has seen signed. Where it proves that the store has lost facts, the
        server stops: raises `Unavailable`, then and from then on."""
        witness = parse_witness(signed, self.load_keys(now), issuer=self._issuer)
        if witness is None:
            outcome = "unproven"
        elif self._state.knows(witness):
            outcome = "known"
        else:
            outcome = "ahead"
        self._counters["dojang_feed_witnesses_total", "outcome", outcome] += 1
        if witness is not None and outcome == "ahead":
            _log.critical(
                "ALARM: the database is at fact %d of epoch %d, and followers have seen fact %d of "
                "epoch %d signed: it is an old copy, or has lost commits. Nothing is issued until "
                "dojang restore has begun a new epoch, or the right database is back",
                *reversed(self._answers.end.rev),
                *reversed(witness.rev),
            )
            self._state.stop(witness)
            self._holds.release()
            self._notices.release()
            self._state.check_whole()

    def note(self, lease: LeaseClaims, asked: Question, *, now: float) -> None:
        """Write down what a follower says of itself. Raises `OAuthError` where its client has too
        many."""
        follower = Follower(
            follower_id=lease.follower_id,
            client_id=lease.client_id,
            name=lease.name,
            rev=asked.known,
            kids=asked.kids,
            hold=asked.hold,
            seen_at=now,
        )
        try:
            self.followers.report(follower)
        except TooManyFollowers:
            self.followers.drop_absent(now)
            self._report_again(follower)

    def _report_again(self, follower: Follower) -> None:
        try:
            self.followers.report(follower)
        except TooManyFollowers:
            raise OAuthError(
                ErrorCode.TOO_MANY_FOLLOWERS,
                "The client has as many followers as one may have.",
                reason="too_many_followers",
            ) from None

    async def answer(
        self, lease: LeaseClaims, asked: Question, channel: Channel | None
    ) -> tuple[Body, Listener | None]:
        """What to tell, now or when there is something; and who was told of facts meanwhile, where
        there is a `channel` for them. Raises `Unavailable`."""
        asked_at = Place(asked.rev, asked.digest)
        answers = self._answers
        if channel is not None and asked.heard is not None and self._can_tell(asked):
            listener = Listener(channel, begin_proofs(lease.proof_key, asked.nonce))
            since = answers.ends
            self._holds.wake(lease.follower_id)
            self._expect_news()
            await self._notices.listen(lease.follower_id, listener, asked.heard, seconds=asked.hold)
            self._state.check_whole()
            end = answers.find_shared_end(since)
            return answers.find(asked_at, end, now=int(self._clock.now())), listener
        self._notices.wake(lease.follower_id)
        if asked.hold and asked_at == answers.end:
            self._expect_news()
            await self._holds.wait(lease.follower_id, asked.hold)
            self._state.check_whole()
        return answers.find(asked_at, answers.end, now=int(self._clock.now())), None

    def _can_tell(self, asked: Question) -> bool:
        """Whether facts can be told while a question is held: of the asker's own history, and not
        so many that its answer is worth more."""
        facts = self._state.facts
        behind = facts.last[0].number - asked.rev.number
        return (
            asked.hold > 0 and facts.digest_at(asked.rev) == asked.digest and behind <= MOST_BEHIND
        )

    def _expect_news(self) -> None:
        if not self._watching:
            self._watching = True
            self._store.watch(self._hint)
            self._hints += 1
        self._tell_news()  # those who wait on from before know less than who waits from now
        if self._hints != self._followed:
            self._look_soon()  # at what came while nobody waited

    def _hint(self) -> None:
        self._hints += 1
        loop = self._holds.loop or self._notices.loop
        if loop is not None:
            loop.call_soon_threadsafe(self._look_soon)

    def _look_soon(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            while self._followed != self._hints and self.holds_open:
                hints = self._hints
                await self.look()
                self._followed = hints
        except Unavailable:
            pass  # those who wait are told at the end of their wait
        finally:
            self._looking = None

    async def look(self) -> None:
        """Answer those who wait if there is news. Raises `Unavailable`."""
        await self._state.reach_barrier()
        self._tell_news()

    def _tell_news(self) -> None:
        news = self._answers.find_news(now=int(self._clock.now()))
        if news != self._told:
            if self._told is not None and news[1] != self._told[1]:
                self._notices.release()
            self._told = news
            waiting = len(self._holds)
            self._answers.pause = min(LONGEST_PAUSE, TELLING * waiting) if waiting > FEW else 0.0
            self._holds.release()
        self._notices.tell()

    async def exchange(self) -> None:
        """Tell the other nodes who follows here, and learn who follows there; to be called every
        second or two. Raises `Unavailable`."""
        now = self._clock.now()
        self.followers.drop_absent(now)
        self.snapshots.drop_unasked(now)
        await self._store.save_followers(list(self.followers.here))
        self.followers.others = tuple(await self._store.load_followers(since=now - LONGEST_LEASE))
        if self.holds_open:
            await self.look()

    def close(self) -> None:
        """The server stops: answer all who wait, and let nobody wait from now on."""
        self._answers.hold = 0.0
        self._holds.close()
        self._notices.close()
        if self._looking is not None:
            self._looking.cancel()
