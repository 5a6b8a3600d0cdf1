"""The keys of the server together: what they sign, seal and prove at a moment, and the first ones
of a line. What changes them later is planned by `key_plans`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from dojang.jose import base64url, json_object
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet, SigningKey
from dojang.jose.seal import SealKey, SealRing
from dojang.oauth.access_token import MEDIA_TYPE
from dojang.oauth.feed import ALGORITHM as FEED_ALGORITHM
from dojang.server.documents import CacheableDocument
from dojang.server.feed_keys import FeedKeys, build_feed_keys, derive_first_kids
from dojang.server.key_records import (
    PUBLISHED,
    LoadedKey,
    build_key_record,
    find_state,
    find_working,
    load_key,
    make_key,
    make_pair,
)
from dojang.server.model import KeyRecord, KeyUse
from dojang.server.ports import Change, PutKey


class SigningView(NamedTuple):
    """Everything the ring answers from one change of a state until the next: nothing is computed
    twice. `keys_digest` changes with `jwks`. Access tokens (`signers`, `verifier`) and what is said
    of people (`id_token_signers`, `id_token_verifier`) have keys of their own."""

    since: float
    until: float
    signers: Mapping[str, CompactSigner]
    seals: SealRing | None
    verifier: JwtVerifier | None
    id_token_signers: Mapping[str, SigningKey]
    id_token_verifier: JwtVerifier | None
    jwks: CacheableDocument
    keys_digest: str
    feed: FeedKeys | None


class KeyRing:
    """All keys of the server, each opened once."""

    def __init__(self, encryption_key: SealKey) -> None:
        self._encryption_key = encryption_key
        self._loaded: dict[str, LoadedKey] = {}
        self._view: SigningView | None = None

    @property
    def records(self) -> list[KeyRecord]:
        """Every key, oldest first."""
        return sorted(
            (key.record for key in self._loaded.values()), key=lambda key: key.published_at
        )

    def load(self, records: Iterable[KeyRecord]) -> None:
        """Replace the ring by `records`. Raises `WrongEncryptionKey`; the ring then stays."""
        loaded: dict[str, LoadedKey] = {}
        for record in records:
            known = self._loaded.get(record.kid)
            if known is None:
                known = load_key(record, self._encryption_key)
            loaded[record.kid] = LoadedKey(record, known.private)
        if loaded != self._loaded:
            self._loaded = loaded
            self._view = None

    def at(self, now: int) -> SigningView:
        """What the keys do at `now` (seconds since 1970)."""
        view = self._view
        if view is None or not view.since <= now < view.until:
            self._view = view = self._compute(now)
        return view

    def _compute(self, now: int) -> SigningView:
        held = [key for key in self._loaded.values() if find_state(key.record, now) in PUBLISHED]
        signing = _select_signing(held, KeyUse.ACCESS_TOKEN)
        naming = _select_signing(held, KeyUse.ID_TOKEN)
        seals = [key.private for key in held if isinstance(key.private, SealKey)]
        working = find_working((key.record for key in held), now)
        kids = {key.kid for key in working.values()}
        sealing = next((key for key in seals if key.kid in kids), None)
        feeding = working.get((KeyUse.FEED, FEED_ALGORITHM))
        feed = _select_signing(held, KeyUse.FEED)
        jwks = json_object.dump({"keys": [_published_jwk(key) for key in (*signing, *naming)]})
        times = self._turning_points()
        return SigningView(
            since=max((time for time in times if time <= now), default=float("-inf")),
            until=min((time for time in times if time > now), default=float("inf")),
            signers={
                key.algorithm: CompactSigner(key, typ=MEDIA_TYPE)
                for key in signing
                if key.kid in kids
            },
            seals=SealRing(sealing, [key for key in seals if key is not sealing])
            if sealing
            else None,
            verifier=JwtVerifier(
                KeySet([key.verifying_key() for key in signing]),
                algorithms={key.algorithm for key in signing},
                types={MEDIA_TYPE},
            )
            if signing
            else None,
            id_token_signers={key.algorithm: key for key in naming if key.kid in kids},
            id_token_verifier=JwtVerifier(
                KeySet([key.verifying_key() for key in naming]),
                algorithms={key.algorithm for key in naming},
                types={None},
            )
            if naming
            else None,
            jwks=CacheableDocument(jwks),
            keys_digest=base64url.encode(sha256(jwks).digest()),
            feed=build_feed_keys(feed, feeding.kid if feeding else None),
        )

    def _turning_points(self) -> list[int]:
        return [
            time
            for key in self._loaded.values()
            for time in (key.record.active_from, key.record.active_until, key.record.gone_at)
            if time is not None
        ]

    def has(self, use: KeyUse, algorithm: str) -> bool:
        """Whether there is any key for this use and algorithm."""
        return any(
            key.record.use is use and key.record.algorithm == algorithm
            for key in self._loaded.values()
        )

    def plan_pair(self, use: KeyUse, algorithm: str, *, now: int) -> list[Change]:
        """The changes that make the first keys for a use; none where it has keys."""
        if self.has(use, algorithm):
            return []
        return [PutKey(key) for key in make_pair(use, algorithm, self._encryption_key, now=now)]

    def plan_feed_keys(self, *, now: int, made: Sequence[SigningKey] = ()) -> list[Change]:
        """The changes that give the feed its first keys; none where it has keys. `made` are two
        RS256 keys that were made before."""
        if self.has(KeyUse.FEED, FEED_ALGORITHM):
            return []
        keys = made or [
            SigningKey.generate(FEED_ALGORITHM, kid=kid)
            for kid in derive_first_kids(self._encryption_key)
        ]
        return [
            PutKey(
                build_key_record(
                    KeyUse.FEED,
                    FEED_ALGORITHM,
                    key,
                    self._encryption_key,
                    now=now,
                    active_from=active_from,
                )
            )
            for key, active_from in zip(keys, (now, None), strict=True)
        ]

    def make(self, use: KeyUse, algorithm: str, *, now: int, active_from: int | None) -> KeyRecord:
        """A new key, which is in the ring when it is committed. An RSA key takes a while."""
        return make_key(use, algorithm, self._encryption_key, now=now, active_from=active_from)


def _select_signing(keys: Iterable[LoadedKey], use: KeyUse) -> list[SigningKey]:
    return [
        key.private for key in keys if key.record.use is use and isinstance(key.private, SigningKey)
    ]


def _published_jwk(key: SigningKey) -> dict[str, Any]:
    return {**key.public_jwk(), "kid": key.kid, "use": "sig", "alg": key.algorithm}
