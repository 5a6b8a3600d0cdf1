"""One follower's conversation with its issuer: the lease, questions, answers, snapshots.

What is learned is kept in the `VerifiedFeed`, and what it is worth in the `Proof`.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from secrets import token_urlsafe
from typing import Final

from dojang.clock import Clock
from dojang.fetch import Flow
from dojang.jose.keys import KeySet
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import PROOF_HEADER, InvalidFeed, Lease
from dojang.trust.feed_door import BearerSource, FeedDoor, LeaseEnded, NotWelcome, Question
from dojang.trust.feed_keys import UnknownSigner
from dojang.trust.verified_feed import Progress, VerifiedFeed, WentBack

NEVER: Final = float("-inf")
LONGEST_NAME: Final = 64
MOST_KIDS: Final = 64
LONGEST_KID: Final = 128
LEASE_USED: Final = 0.8  # of a lease's life, until the next is asked for
LEASE_RETRY: Final = 30.0  # seconds


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
    ) -> None:
        if name is not None and not _is_plain(name, LONGEST_NAME):
            raise ValueError("a name is 1 to 64 printable ASCII characters without spaces")
        self.feed: Final = feed
        self.proof: Final = Proof()
        self.time_offset = NEVER
        self.pause = 0.0
        self.went_back = False
        self._door = door
        self._source = source
        self._name = name
        self._clock = clock
        self._doubtful = False
        self._keys_digest = ""
        self._key_sets: list[KeySet | None] = []
        self._kids: list[str] = []
        self.leave()

    def leave(self) -> None:
        """Forget the lease: what asks next is another follower."""
        self._lease: Lease | None = None
        self._lease_due = NEVER

    @property
    def needs_lease(self) -> bool:
        """Whether the next exchange begins with joining."""
        return self._lease is None or self._clock.monotonic() >= self._lease_due

    def run(self, bearer: str | None, *, hold: float, timeout: float) -> Flow[Progress]:
        """Join where that is due, then ask once; a snapshot is loaded where only that leads on.

        Raises `NotOffered`, `Unavailable`, and `InvalidFeed` for what must not be believed.
        """
        if self.needs_lease:
            yield from self._renew_lease(bearer)
        lease = self._lease
        if lease is None:
            raise Unavailable(f"a lease of {self.feed.issuer}")
        try:
            return (yield from self._ask(lease, hold=hold, timeout=timeout))
        except (LeaseEnded, UnknownSigner):
            self.leave()
            raise
        except WentBack:
            # What the issuer says now is not what it said: nothing of it proves anything.
            self.proof.at = NEVER
            self.went_back = self._doubtful = True
            raise

    def _ask(self, lease: Lease, *, hold: float, timeout: float) -> Flow[Progress]:
        feed = self.feed
        witness = feed.witness if self._doubtful else None
        asked_at = self._clock.monotonic()  # before the question leaves: its way there counts
        question = Question(
            token_urlsafe(24), feed.position, feed.digest, hold, timeout, self._list_kids(), witness
        )
        response = yield from self._door.ask(question, lease)
        answer, progress = feed.take_answer(
            response.body,
            proof=response.headers.get(PROOF_HEADER, ""),
            proof_key=lease.proof_key,
            nonce=question.nonce,
        )
        self.pause = answer.pause
        self._notice_keys(answer.keys_digest)
        if progress is Progress.LOST:
            same_epoch = feed.view is not None and answer.rev.epoch == feed.position.epoch
            if same_epoch and witness is None:
                # Too far behind, or another history: let the issuer see first what it signed.
                self._doubtful = True
                return Progress.BEHIND
            yield from self._load_snapshot(lease)
            progress = Progress.BEHIND
        self._doubtful = self.went_back = False
        self._notice_time()
        if progress is Progress.PROVEN:
            self.proof.at = asked_at
        return progress

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
        chunks = yield from self._door.load_chunks(index.chunks, lease)
        self.feed.take_snapshot(manifest, index.manifest, chunks)

    def _notice_time(self) -> None:
        self.time_offset = max(self.time_offset, self.feed.as_of - self._clock.monotonic())

    def _notice_keys(self, digest: str) -> None:
        if digest != self._keys_digest:
            self._keys_digest = digest
            for watcher in self.feed.list_watchers():
                watcher.keys.refresh()

    def _list_kids(self) -> list[str]:
        """The keys for access tokens that every verifier holds."""
        sets = [watcher.keys.keys for watcher in self.feed.list_watchers()]
        if sets != self._key_sets:
            held = [frozenset() if keys is None else keys.kids for keys in sets]
            shared = frozenset.intersection(*held) if held else frozenset()
            plain = sorted(kid for kid in shared if _is_plain(kid, LONGEST_KID))
            self._key_sets, self._kids = sets, plain[:MOST_KIDS]
        return self._kids


def _find_name() -> str:
    host = "".join(letter for letter in socket.gethostname() if _is_plain(letter, 1))
    return f"{host[:40]}:{os.getpid()}"


def _is_plain(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and all("!" <= letter <= "~" for letter in text)
