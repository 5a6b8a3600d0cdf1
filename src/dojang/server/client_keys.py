"""The public keys of clients: given by value, or kept where the client says (RFC 7591 §2).

A set that is fetched counts as fresh for as long as its server says, within bounds, is asked for
again where a signature names a key that is not in it, and serves a while longer when nothing
better is to be had. Whatever anybody sends, one address is asked at most once in `COOLDOWN`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from dojang.clock import Clock
from dojang.fetch import FetchFailed, FetchRequest, Outward
from dojang.jose import json_object
from dojang.jose.errors import InvalidKey, InvalidToken, Reason, UnknownKey
from dojang.jose.jwe_keys import find_encryption_algorithms
from dojang.jose.keys import KeySet
from dojang.oauth.client_assertion import AssertionRefused
from dojang.server.model import Client
from dojang.trust.key_sets import find_age

COOLDOWN: Final = 10.0  # seconds between two attempts at one address
STALE_LIMIT: Final = 3600.0  # seconds that a set serves while its server gives no better one
MOST_HELD: Final = 512
MOST_BYTES_HELD: Final = 4_194_304  # as they came: in memory it may be twenty times as much
MOST_KEYS: Final = 64
MAX_BYTES: Final = 65_536
TIMEOUT: Final = 4.0

JwkSet = Mapping[str, Any]
T = TypeVar("T")


class NoClientKeys(Exception):
    """The keys of the client cannot be had; `reason` is one fixed word for operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Held:
    """What is known of one address. Times are monotonic."""

    __slots__ = ("as_of", "document", "fresh_until", "lock", "size", "tried_at")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.document: JwkSet | None = None
        self.size = 0
        self.as_of = self.fresh_until = self.tried_at = float("-inf")


class ClientKeys:
    """Key sets of clients, by their address."""

    def __init__(self, outward: Outward, clock: Clock) -> None:
        self._outward = outward
        self._clock = clock
        self._held: dict[str, _Held] = {}

    async def load(self, client: Client) -> JwkSet:
        """The JWK Set of `client`. Raises `NoClientKeys`."""
        if client.jwks is not None:
            return client.jwks
        if client.jwks_uri is None:
            raise NoClientKeys("no_client_keys")
        held = self._find(client.jwks_uri)
        if held.document is None or self._clock.monotonic() >= held.fresh_until:
            await self._refresh(client.jwks_uri, held)
        if held.document is None or self._clock.monotonic() >= held.as_of + STALE_LIMIT:
            raise NoClientKeys("client_keys_unreachable")
        return held.document

    async def _find_newer(self, client: Client, known: JwkSet) -> JwkSet | None:
        """Another set of `client` than `known`, which lacks a key; None where there is none, or it
        is too soon to ask."""
        if client.jwks is not None or client.jwks_uri is None:
            return None
        held = self._find(client.jwks_uri)
        if held.document is known:
            await self._refresh(client.jwks_uri, held)
        return None if held.document is known else held.document

    async def try_keys(self, client: Client, verify: Callable[[JwkSet], T]) -> T:
        """What `verify` makes of the keys of `client`: where it lacks one, of those that it has by
        now. Raises `NoClientKeys`, and what `verify` raises."""
        keys = await self.load(client)
        try:
            return verify(keys)
        except (AssertionRefused, UnknownKey) as error:
            if not isinstance(error.__cause__ or error, UnknownKey):
                raise
            newer = await self._find_newer(client, keys)
            if newer is None:
                raise
        return verify(newer)

    def _find(self, uri: str) -> _Held:
        """The entry, which is the last now to be given up for others."""
        held = self._held.pop(uri, None) or _Held()
        if len(self._held) >= MOST_HELD:
            del self._held[next(iter(self._held))]
        self._held[uri] = held
        return held

    async def _refresh(self, uri: str, held: _Held) -> None:
        """Ask for the set, unless that was done a moment ago."""
        async with held.lock:
            now = self._clock.monotonic()
            if now < held.tried_at + COOLDOWN:
                return
            held.tried_at = now
            request = FetchRequest(
                "GET",
                uri,
                (("Accept", "application/jwk-set+json, application/json"),),
                timeout=TIMEOUT,
                max_bytes=MAX_BYTES,
            )
            try:
                response = await self._outward.send(request)
                if response.status != 200:
                    return
                document = json_object.parse(response.body, max_bytes=MAX_BYTES)
                _list_entries(document)
            except (FetchFailed, InvalidKey, InvalidToken):
                return  # what was there may do
            if document != held.document:
                held.document, held.size = document, len(response.body)
                self._make_room()
            held.as_of = now
            held.fresh_until = now + find_age(response.headers)

    def _make_room(self) -> None:
        """Give up the sets that were not asked for longest, where all are too large together."""
        total = sum(held.size for held in self._held.values())
        for uri in list(self._held):
            if total <= MOST_BYTES_HELD:
                return
            total -= self._held.pop(uri).size


def _list_entries(document: JwkSet) -> list[Any]:
    entries = document.get("keys")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_KEYS:
        raise InvalidKey(Reason.MALFORMED, f"keys is not a list of 1 to {MOST_KEYS}")
    return entries


def check_key_set(document: JwkSet, *, signs: bool) -> None:
    """Every entry is a public key that verifies or encrypts; `signs`: at least one verifies.

    Raises `InvalidKey`.
    """
    verifying = 0
    for entry in _list_entries(document):
        if not isinstance(entry, Mapping):
            raise InvalidKey(Reason.BAD_KEY, "entry is not an object")
        alone = KeySet.parse({"keys": [entry]})
        if len(alone):
            verifying += 1
        elif not find_encryption_algorithms(entry):
            raise InvalidKey(alone.skipped[0].reason, alone.skipped[0].detail)
    if signs and not verifying:
        raise InvalidKey(Reason.BAD_KEY, "no key verifies")
