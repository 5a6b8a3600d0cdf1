"""One process of a host follows an issuer, and answers the others as the issuer would.

What it tells is what the issuer signed; what it adds is when that was last proven to itself. All
of it runs on one event loop: between two lines of an answer nothing is learned.
"""

from __future__ import annotations

import os
from asyncio import Lock
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import wraps
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from dojang.fetch import AsyncTransport, drive_async
from dojang.jose import json_object
from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.feed import (
    KEY_BYTES,
    LONGEST_HOLD,
    PROOF_HEADER,
    Answer,
    InvalidFeed,
    Lease,
    Record,
    build_answer,
    build_lease,
    prove_answer,
)
from dojang.oauth.feed_questions import Question, parse_name, parse_question
from dojang.oauth.http import JSON, NO_STORE, Request, Response, build_error, build_json, parse_form
from dojang.resource.relay_leases import LEASE_LIFE, RelayLeases
from dojang.trust.feed_archive import Place
from dojang.trust.feed_exchange import NEVER
from dojang.trust.feed_holds import Holds
from dojang.trust.following import follow_on
from dojang.trust.relay_door import (
    BASE_HEADER,
    CLOCK_HEADER,
    NEVER_PROVEN,
    PROVEN_AT_HEADER,
    Relaying,
)

if TYPE_CHECKING:
    from dojang.clock import Clock
    from dojang.trust.chunk_files import ChunkFiles
    from dojang.trust.feed_archive import FeedArchive
    from dojang.trust.follower import Follower
    from dojang.trust.remote_keys import KeySource

READ_ON_TIMEOUT: Final = 2.0  # seconds

_HEADERS: Final = (JSON, *NO_STORE)
_WELCOME: Final = (b"www-authenticate", b'Bearer realm="dojang", error="invalid_token"')

Endpoint = Callable[["Relay", Request], Coroutine[Any, Any, Response]]


def _refusing(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(relay: Relay, request: Request) -> Response:
        try:
            return await endpoint(relay, request)
        except OAuthError as error:
            challenge = (_WELCOME,) if error.code is ErrorCode.INVALID_TOKEN else ()
            return build_error(error, *challenge)

    return answer


class Relay:
    """`keys` are those for access tokens that this process holds itself; `directory` is how the
    others find the chunks, from beside the socket."""

    def __init__(
        self,
        keys: KeySource,
        *,
        files: ChunkFiles,
        archive: FeedArchive,
        directory: str,
        clock: Clock,
    ) -> None:
        self.keys: Final = keys
        self.relaying: Final = Relaying(files, archive, self._list_kids)
        self._files = files
        self._archive = archive
        self._directory = directory
        self._clock = clock
        self._leases = RelayLeases(clock)
        self._holds = Holds()
        self._reading_on = Lock()
        self._told: object = None
        self._mapped: tuple[bytes, ...] = ()
        self._follower: Follower
        self._transport: AsyncTransport

    def begin(self, follower: Follower, transport: AsyncTransport) -> None:
        """To be called first. `follower` was made with `relaying`."""
        self._follower, self._transport = follower, transport
        follower.watch(self)
        self.keys.look()

    async def follow(self) -> None:
        """Follow the issuer until cancelled."""
        await follow_on(lambda: self._follower, self._transport, self.tell)

    def evict(self, records: Sequence[Record]) -> None:
        """Nothing is kept here that facts end."""

    def evict_all(self) -> None:
        """As `evict`."""

    @_refusing
    async def join(self, request: Request) -> Response:
        """Whoever may open the socket is welcome."""
        name = parse_name(parse_form(request))
        follower = self._follower
        if not follower.offered:
            return build_json(404, {"error": "not_offered"})
        feed = follower.exchange.feed
        if feed.view_key is None or feed.view is None:
            raise Unavailable(f"the feed of {follower.issuer}")
        proof_key = os.urandom(KEY_BYTES)
        lease = self._leases.issue(name, proof_key)
        given = Lease(lease, proof_key, feed.view_key, feed.keys.jwks, LEASE_LIFE)
        clock = (CLOCK_HEADER.encode(), _show_moment(self._clock.monotonic()))
        return build_json(200, build_lease(given))._replace(own=(clock,))

    @_refusing
    async def question(self, request: Request) -> Response:
        """As the issuer answers it; what is known here is said at once."""
        asked = parse_question(parse_form(request))
        lease = self._leases.find(request)
        self._leases.note(lease, asked.kids)
        asked_at = Place(asked.rev, asked.digest)
        if asked.witness is not None:
            self._hear(asked.witness)
        if asked.hold and (asked_at == self._place or asked_at.rev > self._place.rev):
            await self._holds.wait(lease.lease, asked.hold)
        found = await self._find_pages(asked_at)
        proven_at = self._follower.proof.at  # what is told below is no older
        return self._answer(asked, found, proven_at, lease.proof_key)

    @_refusing
    async def snapshot(self, request: Request) -> Response:
        """The snapshot whose chunks are files."""
        self._leases.find(request)
        base = self._archive.base
        if base is None:
            raise Unavailable("a snapshot")
        return build_json(
            200,
            {
                "manifest": base.manifest,
                "chunks": [digest.hex() for digest in base.chunks],
                "directory": self._directory,
            },
        )

    async def status(self, request: Request) -> Response:
        """How far what is told here can be relied on."""
        status = self._follower.status()
        return build_json(
            200,
            {
                "issuer": self._follower.issuer,
                "state": str(status.state),
                "age": status.age,
                "position": None if status.position is None else list(status.position),
                "facts": status.facts,
                "failure": status.failure,
                "processes": self._leases.list_names(),
            },
        )

    @property
    def _place(self) -> Place:
        return self._follower.exchange.feed.place

    def _list_kids(self) -> Iterable[str]:
        shared = self._leases.find_shared_kids()
        if shared is not None:
            return shared
        return () if self.keys.keys is None else self.keys.keys.kids

    def _hear(self, witness: str) -> None:
        try:
            self._follower.exchange.hear(witness)
        except InvalidFeed:
            return  # it proves nothing

    async def _find_pages(self, asked_at: Place) -> tuple[tuple[str, ...], Place] | None:
        """Pages, and where they end; None where only a snapshot leads on. What is not kept is asked
        for. Raises `Unavailable`."""
        if asked_at.rev.epoch != self._place.rev.epoch:
            return None
        found = self._archive.find(asked_at, least=self._place)
        if found is not None:
            return found
        async with self._reading_on:
            found = self._archive.find(asked_at, least=self._place)
            if found is None:
                await self._read_on(asked_at)
                found = self._archive.find(asked_at, least=self._place)
        if found is None and self._archive.knows(asked_at):
            raise Unavailable("pages that lead on: ask again")
        return found

    async def _read_on(self, begin: Place) -> None:
        flow = self._follower.exchange.read_on(begin, timeout=READ_ON_TIMEOUT)
        try:
            await drive_async(flow, self._transport)
        except InvalidFeed as flaw:
            raise Unavailable(str(flaw)) from None

    def _answer(
        self,
        asked: Question,
        found: tuple[tuple[str, ...], Place] | None,
        proven_at: float,
        proof_key: bytes,
    ) -> Response:
        pages, end = found or ((), self._place)
        keys_digest = self._follower.exchange.keys_digest
        answer = Answer(end.rev, end.digest, pages, found is None, keys_digest, LONGEST_HOLD)
        body = json_object.dump(build_answer(answer))
        proof = prove_answer(proof_key, asked.nonce, sha256(body).digest())
        own = [
            (PROOF_HEADER.encode(), proof.encode()),
            (PROVEN_AT_HEADER.encode(), _show_moment(proven_at)),
        ]
        if self._archive.base is not None:
            base = self._archive.base.place.rev
            own.append((BASE_HEADER.encode(), f"{base.epoch}.{base.number}".encode()))
        return Response(200, _HEADERS, body, tuple(own))

    def tell(self) -> None:
        """After every exchange: wake those who wait where there is news, and clear up."""
        exchange = self._follower.exchange
        news = self._place, exchange.keys_digest, exchange.proof.at == NEVER
        if news != self._told:
            self._told = news
            self._holds.release()
        base = self._archive.base
        if base is not None and base.chunks != self._mapped:
            # Of the one before, somebody may be mapping the files.
            self._files.keep_only((*self._mapped, *base.chunks))
            self._mapped = base.chunks


def _show_moment(moment: float) -> bytes:
    return NEVER_PROVEN.encode() if moment == NEVER else repr(moment).encode()
