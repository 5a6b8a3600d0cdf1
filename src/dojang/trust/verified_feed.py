"""What a follower knows of an issuer's revocations: a cache that takes in what came and shows only
what is proven, and as of which position. Who asks, and when, is `follower`.

It never goes back inside an epoch. Where the issuer does, what is known stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import Final, Protocol
from weakref import ref

from dojang.fetch import TURN, Flow
from dojang.fetch.forking import renew_in_children
from dojang.oauth.feed import (
    Answer,
    InvalidFeed,
    Lease,
    Manifest,
    Record,
    Tagger,
    check_proof,
    digest_chunks,
    parse_answer,
    parse_manifest,
    parse_page,
)
from dojang.oauth.feed_notices import parse_notice
from dojang.oauth.revocation_fact import FIRST_DIGEST, NUMBER_BITS, Rev, pack_rev
from dojang.trust.feed_archive import Base, FeedArchive, Place
from dojang.trust.feed_keys import FeedKeys
from dojang.trust.proven_pages import PROVEN_PAGES
from dojang.trust.remote_keys import KeySource
from dojang.trust.revocation_shards import Image
from dojang.trust.revocations import RevocationView
from dojang.trust.settled_facts import Settled, open_in_steps

NOWHERE: Final = Rev(0, 0)

_parse_known_answer: Final = lru_cache(maxsize=4)(parse_answer)  # followers are told the same


class WentBack(InvalidFeed):
    """The issuer shows an older record of facts, or another, than it has signed before."""


class Progress(Enum):
    """Where an answer has led. PROVEN: as far as the issuer was when it was asked. BEHIND: it has
    more to tell. LOST: only a snapshot leads on."""

    PROVEN = "proven"
    BEHIND = "behind"
    LOST = "lost"


class Watcher(Protocol):
    """Who keeps what facts end, under `keys`. Told when the view knows and before it is proven."""

    @property
    def keys(self) -> KeySource: ...

    def evict(self, records: Sequence[Record]) -> None:
        """These facts are new."""

    def evict_all(self) -> None:
        """Facts are new, and it is not said which."""


class VerifiedFeed:
    """The view of `issuer`, at `position` in its record of facts, whose digest is `digest`.

    `as_of` is the latest time that the issuer named (seconds since 1970), `witness` the latest
    statement it signed, `base` the position of the last snapshot. What is signed is kept by
    `archive` too. One asks, a snapshot may be loaded beside it, and reading never waits.
    """

    def __init__(self, issuer: str, *, archive: FeedArchive | None = None) -> None:
        self.view: RevocationView | None = None
        self.position = NOWHERE
        self.digest = FIRST_DIGEST
        self.as_of = 0
        self.witness: str | None = None
        self.base = NOWHERE
        self._heard = 0  # up to which position facts are known, as one number; who asks writes it
        self.issuer: Final = issuer
        self.archive: Final = archive
        self.keys: Final = FeedKeys()
        self.view_key: bytes | None = None
        self._watchers: tuple[ref[Watcher], ...] = ()
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = Lock()
        self._basing = Lock()  # a snapshot takes its place; any number of readers meanwhile

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of every fact from now on, for as long as somebody else holds it."""
        with self._lock:
            held = [each for each in self._watchers if each() not in (None, watcher)]
            self._watchers = (*held, ref(watcher))

    @property
    def place(self) -> Place:
        """Position and digest."""
        return Place(self.position, self.digest)

    @property
    def introduced(self) -> bool:
        """Whether every key of the feed that the issuer gives out is good. Where not, a snapshot's
        manifest introduces the others."""
        return self.keys.complete

    def take_lease(self, lease: Lease) -> None:
        """The keys of a lease that was asked for directly. Raises `InvalidFeed`."""
        if self.view_key not in (None, lease.view_key):
            raise InvalidFeed("the tags of the feed are made with another key now")
        before = self.keys.thumbprints
        self.keys.take(lease.feed_keys)
        self.view_key = lease.view_key
        if self.archive is not None and self.keys.thumbprints != before:
            self.archive.outdated = True

    def take_answer(
        self, body: bytes, *, proof: str, proof_key: bytes, nonce: str, heard: int
    ) -> tuple[Answer, Progress]:
        """Take in what was answered to the question with `nonce`, which was asked when the facts up
        to number `heard` were known.

        1. it answers this question; 2. the issuer has not gone back; 3. every page is signed, and
        4. the next one of this history; 5. they lead where the issuer says that it is.
        What is signed and next stays, whatever follows it. Raises `InvalidFeed`, `WentBack`.
        """
        check_proof(proof, proof_key, nonce, body)
        answer = _parse_known_answer(body)
        self._check_forward(answer.rev, answer.digest)
        if answer.rev.epoch == self.position.epoch and answer.rev.number < heard:
            raise WentBack("the issuer has fewer facts than it told before")
        if answer.snapshot:
            return answer, Progress.LOST
        if self.view is None:
            raise InvalidFeed("a history begins with a snapshot")
        for signed in answer.pages:
            self._take_page(self.view, signed)
        self._check_forward(answer.rev, answer.digest)
        if self.position == answer.rev:
            return answer, Progress.PROVEN
        if not answer.pages:
            raise InvalidFeed("the issuer names facts that it does not tell")
        return answer, Progress.BEHIND

    def take_notice(self, line: bytes, begun: blake2b) -> None:
        """Take in facts that the issuer tells before it signs them, to the question that has
        `begun` their proofs: they end tokens from now on. Where the view stands, and how fresh it
        is, they do not say. Raises `InvalidFeed`."""
        begin, records = parse_notice(line, begun)
        view, heard = self.view, self._heard
        if view is None or (begin ^ heard) >> NUMBER_BITS:
            raise InvalidFeed("a notice is of another epoch")
        last = view.announce(begin, records)
        self._tell_watchers(records)
        if begin <= heard + 1:  # else one was lost, and is to be told again
            self._heard = max(self._heard, last)

    @property
    def heard(self) -> int:
        """Up to which number the facts of this epoch are known, if by notices alone."""
        return self._heard & (1 << NUMBER_BITS) - 1

    def check_manifest(self, signed: str, chunks: Sequence[bytes]) -> Manifest:
        """The manifest of a snapshot, from its signed form and the SHA-256 of each of its chunks.
        Raises `InvalidFeed`, `WentBack`."""
        manifest = self._prove_manifest(signed, chunks)
        if manifest.rev < self.position:
            raise InvalidFeed("the snapshot is older than what is known")
        self._check_forward(manifest.rev, manifest.digest)
        return manifest

    def check_base(self, signed: str, chunks: Sequence[bytes]) -> Manifest | None:
        """As `check_manifest`, of a snapshot of what is known already; None for one that is older
        than the last, or tells news. It is of this record of facts if it leads to `place`."""
        manifest = self._prove_manifest(signed, chunks)
        return manifest if self.base <= manifest.rev <= self.position else None

    def _prove_manifest(self, signed: str, chunks: Sequence[bytes]) -> Manifest:
        claims, _ = self.keys.verify(signed)
        manifest = parse_manifest(claims, issuer=self.issuer)
        if digest_chunks(chunks) != manifest.chunks:
            raise InvalidFeed("the snapshot's chunks are not those that were signed")
        self.keys.introduce(manifest.introduces)
        return manifest

    def take_snapshot(
        self, manifest: Manifest, signed: str, chunks: Mapping[bytes, Image]
    ) -> Flow[None]:
        """Take in a snapshot whose manifest was checked; `chunks` by their SHA-256. What is known
        beyond it stays. Raises `InvalidFeed`."""
        if self.view_key is None:
            raise InvalidFeed("there is no lease yet")
        opened = yield from _open(chunks)
        view = self.view or RevocationView(Tagger(self.view_key))
        with self._basing:
            view.take(opened, rev=manifest.rev)
            self.view = view
            for watcher in self.list_watchers():
                watcher.evict_all()
            self._stand(manifest.rev, manifest.digest, manifest.as_of, signed)
            self._begin_from(manifest, signed, chunks)

    def take_base(
        self, manifest: Manifest, signed: str, chunks: Mapping[bytes, Image]
    ) -> Flow[None]:
        """Let a snapshot of what is known already, which `check_base` let pass and which leads to
        `place`, take the place of the last one. Raises `InvalidFeed`."""
        opened = yield from _open(chunks)
        with self._basing:
            if self.base > manifest.rev:  # while it was opened, a later one came
                return
            if self.view is not None and self.base < manifest.rev:
                self.view.rebase(opened)
            self._begin_from(manifest, signed, chunks)

    def _begin_from(self, manifest: Manifest, signed: str, chunks: Iterable[bytes]) -> None:
        self.base = manifest.rev
        if self.archive is not None:
            place = Place(manifest.rev, manifest.digest)
            self.archive.keep_base(Base(place, signed, tuple(chunks)))

    def check_witness(self, signed: str) -> None:
        """Raises `InvalidFeed` unless the issuer has signed this page or manifest."""
        claims, _ = self.keys.verify(signed)
        parse = parse_manifest if "snapshot" in claims else parse_page
        parse(claims, issuer=self.issuer)

    def read_way(
        self, body: bytes, *, proof: str, proof_key: bytes, nonce: str, begin: Place
    ) -> list[Place]:
        """`begin`, which may be any place, and those that pages lead to from there; none where the
        record of facts has no such place. The pages are kept by the archive, and change nothing
        here. Raises `InvalidFeed`."""
        check_proof(proof, proof_key, nonce, body)
        answer = parse_answer(body)
        if answer.snapshot:
            return []
        proven = [PROVEN_PAGES.find(each, self.keys, issuer=self.issuer) for each in answer.pages]
        places = [begin]
        for page in proven:
            if places[-1] != Place(Rev(page.epoch, page.first - 1), page.before):
                raise InvalidFeed("a page is not the next one")
            places.append(Place(Rev(page.epoch, page.last), page.after))
        if not proven and Place(answer.rev, answer.digest) != begin:
            raise InvalidFeed("the issuer names facts that it does not tell")
        if self.archive is not None:
            self.archive.know(begin)
            for page, signed in zip(proven, answer.pages, strict=True):
                self.archive.keep_page(page, signed)
        return places

    def _take_page(self, view: RevocationView, signed: str) -> None:
        page = PROVEN_PAGES.find(signed, self.keys, issuer=self.issuer)
        if (page.epoch, page.first) != (self.position.epoch, self.position.number + 1):
            raise InvalidFeed("a page is not the next one")
        if page.before != self.digest:
            raise WentBack("a page continues another history")
        view.apply(page.epoch, page.first, page.records)
        self._tell_watchers(page.records)
        self.keys.introduce(page.introduces)
        self._stand(Rev(page.epoch, page.last), page.after, page.as_of, signed)
        if self.archive is not None:
            self.archive.keep_page(page, signed)

    def _tell_watchers(self, records: Sequence[Record]) -> None:
        for each in self._watchers:
            watcher = each()
            if watcher is not None:
                watcher.evict(records)

    def _stand(self, position: Rev, digest: bytes, as_of: int, signed: str) -> None:
        self._heard = max(self._heard, pack_rev(position))
        self.position, self.digest, self.witness = position, digest, signed
        self.as_of = max(self.as_of, as_of)

    def _check_forward(self, rev: Rev, digest: bytes) -> None:
        if rev < self.position:
            raise WentBack("the issuer has fewer facts than it signed before")
        if rev == self.position and digest != self.digest:
            raise WentBack("the issuer has other facts than it signed before")

    def list_watchers(self) -> list[Watcher]:
        """Those that somebody still holds."""
        return [watcher for each in self._watchers if (watcher := each()) is not None]


def _open(chunks: Mapping[bytes, Image]) -> Flow[Settled]:
    steps = open_in_steps(tuple(chunks.values()))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            opened: Settled = done.value
            return opened
        except ValueError:
            raise InvalidFeed("a chunk is none") from None
        yield TURN
