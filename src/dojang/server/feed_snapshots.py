"""Signed snapshots of the view: everything that is remembered, for followers whom no pages lead
from where they are.

One is made at a time, off the event loop, and shared while pages lead on from it. Its chunks are
found by their hashes.
"""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import (
    MOST_PAGES,
    MOST_RECORDS,
    Manifest,
    build_manifest,
    digest_chunks,
)
from dojang.oauth.revocation_fact import Rev

if TYPE_CHECKING:
    from dojang.server.feed_keys import FeedKeys
    from dojang.server.offloading import Offload
    from dojang.server.state import State

FARTHEST_BEHIND: Final = MOST_PAGES * MOST_RECORDS // 2  # facts
LONGEST_UNASKED: Final = 120  # seconds that chunks are held for


class Snapshot(NamedTuple):
    """A snapshot as it is given out. `names` are the SHA-256 of its chunks, hexadecimal."""

    manifest: str
    names: tuple[str, ...]


class _Taken(NamedTuple):
    """The view at a moment. `digest` is that of the record of facts at `rev`."""

    rev: Rev
    digest: bytes
    as_of: int
    chunks: Mapping[str, bytes]


class Snapshots:
    """The last two snapshots: of one a follower may be fetching the chunks."""

    def __init__(self, state: State, offload: Offload, *, issuer: str) -> None:
        self._state = state
        self._offload = offload
        self._issuer = issuer
        self._taking = Lock()
        self._taken: list[_Taken] = []
        self._asked_at = 0.0
        self._signed: tuple[_Taken, FeedKeys, Snapshot] | None = None

    async def load(self, keys: FeedKeys, *, now: float) -> Snapshot:
        """The snapshot to begin from now."""
        self._asked_at = now
        async with self._taking:
            if not self._taken or not self._leads_on(self._taken[-1]):
                self._taken = [*self._taken[-1:], await self._take(int(now))]
        taken = self._taken[-1]
        signed = self._signed
        if signed is None or signed[0] is not taken or signed[1] is not keys:
            self._signed = signed = (taken, keys, self._sign(taken, keys))
        return signed[2]

    def find_chunk(self, name: str, *, now: float) -> bytes | None:
        """The chunk with this SHA-256 (hexadecimal), where it is still held."""
        self._asked_at = now
        for taken in self._taken:
            if name in taken.chunks:
                return taken.chunks[name]
        return None

    def drop_unasked(self, now: float) -> None:
        """Forget what nobody has asked for lately."""
        if now - self._asked_at > LONGEST_UNASKED:
            self._taken = []
            self._signed = None

    def _leads_on(self, taken: _Taken) -> bool:
        facts = self._state.facts
        end, _ = facts.last
        return (
            end.number - taken.rev.number <= FARTHEST_BEHIND
            and facts.digest_at(taken.rev) == taken.digest
        )

    async def _take(self, now: int) -> _Taken:
        """Raises `Unavailable` where so much has happened meanwhile that it leads nowhere."""
        exported = await self._offload(self._state.revocations.export)
        digest = self._state.facts.digest_at(exported.rev)
        if digest is None:
            raise Unavailable("a snapshot")
        chunks = await self._offload(partial(_name_chunks, exported.chunks))
        return _Taken(exported.rev, digest, now, chunks)

    def _sign(self, taken: _Taken, keys: FeedKeys) -> Snapshot:
        names = tuple(taken.chunks)
        manifest = Manifest(
            taken.rev,
            taken.digest,
            digest_chunks(map(bytes.fromhex, names)),
            taken.as_of,
            keys.introduces,
        )
        return Snapshot(keys.signer.sign(build_manifest(manifest, issuer=self._issuer)), names)


def _name_chunks(chunks: Sequence[bytes]) -> dict[str, bytes]:
    return {sha256(chunk).hexdigest(): chunk for chunk in chunks}
