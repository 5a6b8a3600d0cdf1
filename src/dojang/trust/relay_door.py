"""The relay of a host: one process follows an issuer, and the others on the host follow it, behind
a unix socket whose permissions are the door (`dojang follow`).

It passes on what the issuer signed, so it can tell no facts of its own. What it is believed is when
that was last proven: a moment on the boot clock, of which a host has one. Chunks of snapshots are
files; all processes map the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Final, NamedTuple

from dojang.clock import Clock
from dojang.fetch import TURN, FetchResponse, Flow
from dojang.oauth.feed import InvalidFeed, Lease, parse_lease
from dojang.oauth.revocation_fact import Rev
from dojang.trust.chunk_files import ChunkFiles
from dojang.trust.credentials import Credentials
from dojang.trust.discovery import Issuer
from dojang.trust.feed_archive import FeedArchive
from dojang.trust.feed_door import FeedDoor, NotOffered, SnapshotIndex
from dojang.trust.revocation_shards import Image

PROVEN_AT_HEADER: Final = "dojang-feed-proven-at"
CLOCK_HEADER: Final = "dojang-feed-clock"
BASE_HEADER: Final = "dojang-feed-base"
NEVER_PROVEN: Final = "never"
ADDRESS: Final = "http://localhost/feed"

_SCHEME: Final = "unix:"


def parse_relay(address: str) -> str:
    """The path of a relay's socket, from `unix:/path`. Raises `ValueError`."""
    path = address.removeprefix(_SCHEME)
    if path == address or not path.startswith("/"):
        raise ValueError("a relay is named by its socket: unix:/path")
    return path


class Relaying(NamedTuple):
    """What makes a follower a relay: chunks go to `files`, what is signed to `archive`, and what
    it says to hold are the keys that `list_kids` names."""

    files: ChunkFiles
    archive: FeedArchive
    list_kids: Callable[[], Iterable[str]]


class RelayDoor(FeedDoor):
    """The feed of `issuer` at the relay whose socket is at `path`."""

    def __init__(self, issuer: Issuer, path: str, *, clock: Clock) -> None:
        super().__init__(issuer, credentials=None, endpoint=ADDRESS, clock=clock)
        self._what = f"the relay at {path}"
        self._beside = Path(path).parent
        self._files: ChunkFiles | None = None

    def join(self, name: str, bearer: str | None) -> Flow[Lease]:
        """As for every feed. Raises `InvalidFeed` where the relay has another boot clock: it is on
        another machine, or in a namespace of its own."""
        before = self._clock.monotonic()
        response = yield from self._send_name(name, bearer)
        if response.status == 404:
            raise NotOffered
        lease = parse_lease(self._check(response).body)
        there = _parse_moment(response.headers.get(CLOCK_HEADER, ""))
        if not before <= there <= self._clock.monotonic():
            raise InvalidFeed("the relay has another clock: it is not on this host")
        return lease

    def load_chunks(self, index: SnapshotIndex, lease: Lease) -> Flow[dict[bytes, Image]]:
        """The chunks, mapped; each is checked once by this process."""
        if index.directory is None:
            raise InvalidFeed("the relay does not say where chunks are")
        directory = self._beside / index.directory
        if self._files is None or self._files.directory != directory:
            self._files = ChunkFiles(directory)
        chunks = yield from self._files.load(index.chunks)
        return dict(zip(index.chunks, chunks, strict=True))

    def find_moment(self, response: FetchResponse, asked_at: float) -> float:
        """What the relay was proven itself, and never more than is true of every answer."""
        told = response.headers.get(PROVEN_AT_HEADER, "")
        return float("-inf") if told == NEVER_PROVEN else min(asked_at, _parse_moment(told))

    def find_base(self, response: FetchResponse) -> Rev | None:
        epoch, _, number = response.headers.get(BASE_HEADER, "").partition(".")
        try:
            return Rev(int(epoch), int(number))
        except ValueError:
            return None


class KeepingDoor(FeedDoor):
    """A relay's own way to the issuer: chunks go to `files`, and what is there is not asked for."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        credentials: Credentials | None,
        endpoint: str | None,
        clock: Clock,
        files: ChunkFiles,
    ) -> None:
        super().__init__(issuer, credentials=credentials, endpoint=endpoint, clock=clock)
        self._files = files

    def load_chunks(self, index: SnapshotIndex, lease: Lease) -> Flow[dict[bytes, Image]]:
        for digest in index.chunks:
            if not self._files.holds(digest):
                self._files.store(digest, (yield from self._load_chunk(digest, lease)))
            yield TURN
        chunks = yield from self._files.load(index.chunks)
        return dict(zip(index.chunks, chunks, strict=True))


def build_door(
    issuer: Issuer,
    *,
    credentials: Credentials | None,
    endpoint: str | None,
    relay: str | None,
    files: ChunkFiles | None,
    clock: Clock,
) -> FeedDoor:
    """The way to the feed of `issuer`: through the relay whose socket is at `relay`, or straight.
    Raises `ValueError`."""
    if relay is not None:
        return RelayDoor(issuer, relay, clock=clock)
    if files is not None:
        return KeepingDoor(
            issuer, credentials=credentials, endpoint=endpoint, clock=clock, files=files
        )
    return FeedDoor(issuer, credentials=credentials, endpoint=endpoint, clock=clock)


def _parse_moment(text: str) -> float:
    try:
        moment = float(text)
    except ValueError:
        moment = float("nan")
    if not isfinite(moment):
        raise InvalidFeed("the relay names no moment")
    return moment
