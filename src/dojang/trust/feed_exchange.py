"""One follower's conversation with its issuer: the lease, questions, answers, snapshots.

What is learned is kept in the `VerifiedFeed`, and what it is worth in the `Proof`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from secrets import token_urlsafe
from typing import Final

from dojang.clock import Clock
from dojang.fetch import Flow
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import PROOF_HEADER, InvalidFeed, Lease
from dojang.oauth.feed_notices import begin_proofs
from dojang.oauth.revocation_fact import Rev
from dojang.trust.feed_archive import Place
from dojang.trust.feed_door import BearerSource, FeedDoor, LeaseEnded, NotWelcome, Question
from dojang.trust.feed_keys import UnknownSigner
from dojang.trust.verified_feed import Progress, VerifiedFeed, WentBack

_log = logging.getLogger("dojang.trust")

NEVER: Final = float("-inf")
LONGEST_NAME: Final = 64
MOST_KIDS: Final = 64
LONGEST_KID: Final = 128
LEASE_USED: Final = 0.8  # of a lease's life, until the next is asked for
LEASE_RETRY: Final = 30.0  # seconds
HARDLY: Final = 0.02  # of the hold, that a notice is ahead of its answer
MOST_LATE: Final = 8
DEAF_FOR: Final = 300.0  # seconds
BASE_PAUSE: Final = 30.0  # seconds from one look for a better snapshot to the next


class Proof:
    """When a view was last proven: a moment on the boot clock before which nothing had happened at
    the issuer that the view does not know. It is read for every request."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = NEVER


class FeedExchange:
    """`pause` is what the issuer wants between news and the next question (seconds).

    `time_offset` leads from the boot clock to a time that the issuer's clock has reached: it
    may have forgotten what is older, and a clock set back here must not revive that."""

    def __init__(
        self,
        feed: VerifiedFeed,
        door: FeedDoor,
        *,
        source: BearerSource | None,
        name: str | None,
        clock: Clock,
        list_kids: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        if name is not None and not _is_plain(name, LONGEST_NAME):
            raise ValueError("a name is 1 to 64 printable ASCII characters without spaces")
        self.feed: Final = feed
        self.proof: Final = Proof()
        self.time_offset = NEVER
        self.pause = 0.0
        self.went_back = False
        self.keys_digest = ""
        self._door = door
        self._source = source
        self._name = name
        self._clock = clock
        self._find_kids = list_kids or self._find_shared_kids
        self._relaying = list_kids is not None
        self._doubtful = False
        self._shown: str | None = None
        self._first_heard: float | None = None
        self._late = 0  # answers in a row whose notices came with them
        self._deaf_until = NEVER
        self._offered_base: Rev | None = None
        self._base_after = NEVER
        self.leave()

    def leave(self) -> None:
        """Forget the lease: what asks next is another follower."""
        self._lease: Lease | None = None
        self._lease_due = NEVER

    @property
    def needs_lease(self) -> bool:
        """Whether the next exchange begins with joining."""
        return self._lease is None or self._clock.monotonic() >= self._lease_due

    @property
    def needs_base(self) -> bool:
        """Whether there is a snapshot that is better to build on than the last."""
        feed = self.feed
        offered = self._offered_base is not None and self._offered_base > feed.base
        kept = feed.archive is not None and feed.archive.base_due
        return (offered or kept) and self._clock.monotonic() >= self._base_after

    def run(
        self, bearer: str | None, *, hold: float, timeout: float, notices: bool = False
    ) -> Flow[Progress]:
        """Join where that is due, then ask once; a snapshot is loaded where only that leads on.
        `notices` says that the transport can bring some.

        Raises `NotOffered`, `Unavailable`, and `InvalidFeed` for what must not be believed.
        """
        if self.needs_lease:
            yield from self._renew_lease(bearer)
        try:
            return (
                yield from self._ask(
                    self._find_lease(), hold=hold, timeout=timeout, notices=notices
                )
            )
        except (LeaseEnded, UnknownSigner):
            self.leave()
            raise
        except WentBack:
            # What the issuer says now is not what it said: nothing of it proves anything.
            self.proof.at = NEVER
            self.went_back = self._doubtful = True
            raise

    def hear(self, signed: str) -> None:
        """Show the issuer what another follower has seen signed, with the next question. Raises
        `InvalidFeed` where the issuer has not signed it."""
        self.feed.check_witness(signed)
        self._shown = signed

    def rebase(self, *, timeout: float) -> Flow[None]:
        """Let a snapshot of what is known already take the place of the last one, where it is of
        the same record of facts. Raises `Unavailable` and `InvalidFeed`."""
        self._base_after = self._clock.monotonic() + BASE_PAUSE
        lease = self._find_lease()
        index = yield from self._door.load_index(lease)
        manifest = self.feed.check_base(index.manifest, index.chunks)
        if manifest is None:
            return
        chunks = yield from self._door.load_chunks(index, lease)
        begin = Place(manifest.rev, manifest.digest)
        if (yield from self.read_on(begin, timeout=timeout)):
            yield from self.feed.take_base(manifest, index.manifest, chunks)

    def read_on(self, begin: Place, *, timeout: float) -> Flow[bool]:
        """Whether the issuer's record leads from `begin` to where this follower is. Raises
        `Unavailable` and `InvalidFeed`."""
        lease = self._find_lease()
        place = begin
        while True:
            question = self._build_question(place, 0.0, timeout, None)
            response = yield from self._door.ask(question, lease)
            places = self.feed.read_way(
                response.body,
                proof=response.headers.get(PROOF_HEADER, ""),
                proof_key=lease.proof_key,
                nonce=question.nonce,
                begin=place,
            )
            if self.feed.place in places:
                return True
            if len(places) < 2 or places[-1].rev >= self.feed.position:
                return False
            place = places[-1]

    def _find_lease(self) -> Lease:
        if self._lease is None:
            raise Unavailable(f"a lease of {self.feed.issuer}")
        return self._lease

    def _build_question(
        self, place: Place, hold: float, timeout: float, witness: str | None
    ) -> Question:
        return Question(
            token_urlsafe(24), place.rev, place.digest, hold, timeout, self._list_kids(), witness
        )

    def _ask(self, lease: Lease, *, hold: float, timeout: float, notices: bool) -> Flow[Progress]:
        feed = self.feed
        doubtful, shown = self._doubtful, self._shown
        witness = feed.witness if doubtful else shown
        asked_at = self._clock.monotonic()  # before the question leaves: its way there counts
        heard = feed.heard
        question = self._build_question(feed.place, hold, timeout, witness)
        if notices and self._can_hear(hold, asked_at):
            question = question._replace(
                heard=heard,
                hear=partial(self._hear, begin_proofs(lease.proof_key, question.nonce)),
            )
        self._first_heard = None
        response = yield from self._door.ask(question, lease)
        told = self._notice_delay(hold)
        answer, progress = feed.take_answer(
            response.body,
            proof=response.headers.get(PROOF_HEADER, ""),
            proof_key=lease.proof_key,
            nonce=question.nonce,
            heard=heard,
        )
        self.pause = 0.0 if told else answer.pause
        self._notice_keys(answer.keys_digest)
        if progress is Progress.LOST:
            same_epoch = feed.view is not None and answer.rev.epoch == feed.position.epoch
            if same_epoch and not doubtful:
                # Too far behind, or another history: let the issuer see first what it signed.
                self._doubtful = True
                return Progress.BEHIND
            yield from self._load_snapshot(lease)
            progress = Progress.BEHIND
        self._doubtful = self.went_back = False
        if witness is shown:
            self._shown = None
        self._notice_time()
        if progress is Progress.PROVEN:
            self.proof.at = self._door.find_moment(response, asked_at)
            self._offered_base = self._door.find_base(response)
        return progress

    def _can_hear(self, hold: float, now: float) -> bool:
        """Whether notices are worth asking for: not where they have been held back on the way, nor
        by a relay, whose processes are told by answers."""
        return hold > 0 and not self._doubtful and now >= self._deaf_until and not self._relaying

    def _hear(self, begun: blake2b, line: bytes) -> bool:
        try:
            self.feed.take_notice(line, begun)
        except InvalidFeed:
            return False
        if self._first_heard is None:
            self._first_heard = self._clock.monotonic()
        return True

    def _notice_delay(self, hold: float) -> bool:
        """Whether notices came. Where something on the way keeps them until the answer, news comes
        sooner without."""
        if self._first_heard is None:
            return False
        now = self._clock.monotonic()
        self._late = self._late + 1 if now - self._first_heard < hold * HARDLY else 0
        if self._late == MOST_LATE:
            self._late = 0
            self._deaf_until = now + DEAF_FOR
            _log.info(
                "notices of %s come no sooner than answers: something on the way holds them back, "
                "and answers are asked for instead",
                self.feed.issuer,
            )
        return True

    def _renew_lease(self, bearer: str | None) -> Flow[None]:
        try:
            lease = yield from self._door.join(self._name or _find_name(), bearer)
            self.feed.take_lease(lease)
            if not self.feed.introduced:
                yield from self._seek_introduction(lease)
        except (Unavailable, InvalidFeed) as flaw:
            if isinstance(flaw, NotWelcome) and self._source is not None and bearer is not None:
                self._source.discard(bearer)
            self._lease_due = self._clock.monotonic() + LEASE_RETRY
            if self._lease is None:
                self._door.forget()
                raise
        else:
            self._lease = lease
            self._lease_due = self._clock.monotonic() + lease.expires_in * LEASE_USED

    def _seek_introduction(self, lease: Lease) -> Flow[None]:
        """A manifest names the keys to come also where no fact, and so no page, has for long."""
        index = yield from self._door.load_index(lease)
        with suppress(InvalidFeed):
            self.feed.check_manifest(index.manifest, index.chunks)
            self.feed.take_lease(lease)

    def _load_snapshot(self, lease: Lease) -> Flow[None]:
        index = yield from self._door.load_index(lease)
        manifest = self.feed.check_manifest(index.manifest, index.chunks)
        chunks = yield from self._door.load_chunks(index, lease)
        yield from self.feed.take_snapshot(manifest, index.manifest, chunks)

    def _notice_time(self) -> None:
        self.time_offset = max(self.time_offset, self.feed.as_of - self._clock.monotonic())

    def _notice_keys(self, digest: str) -> None:
        if digest != self.keys_digest:
            self.keys_digest = digest
            for watcher in self.feed.list_watchers():
                watcher.keys.refresh()

    def _list_kids(self) -> list[str]:
        kids = self._find_kids()
        return sorted(kid for kid in kids if _is_plain(kid, LONGEST_KID))[:MOST_KIDS]

    def _find_shared_kids(self) -> Iterable[str]:
        """The keys for access tokens that every verifier holds."""
        sets = [watcher.keys.keys for watcher in self.feed.list_watchers()]
        held = [frozenset() if keys is None else keys.kids for keys in sets]
        return frozenset.intersection(*held) if held else frozenset()


def _find_name() -> str:
    host = "".join(letter for letter in socket.gethostname() if _is_plain(letter, 1))
    return f"{host[:40]}:{os.getpid()}"


def _is_plain(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and all("!" <= letter <= "~" for letter in text)
