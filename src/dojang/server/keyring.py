"""The keys of the server together: what they sign, seal and prove at a moment, and the changes
that rotate and revoke them.

One standby (an upcoming key without a date) is always published, so that an emergency can
activate a key that verifiers already hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec.structs import replace

from dojang.jose import base64url, json_object
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet, SigningKey
from dojang.jose.seal import SealKey, SealRing
from dojang.oauth.access_token import MEDIA_TYPE
from dojang.oauth.feed import ALGORITHM as FEED_ALGORITHM
from dojang.oauth.revocation_fact import FactKind
from dojang.server.documents import CacheableDocument
from dojang.server.feed_keys import FeedKeys, build_feed_keys, derive_first_kids
from dojang.server.key_records import (
    PUBLISHED,
    KeyState,
    LoadedKey,
    build_key_record,
    find_state,
    find_working,
    load_key,
    make_key,
    make_pair,
)
from dojang.server.lifetimes import DRAIN, JWKS_MAX_AGE, LEEWAY
from dojang.server.model import AppendFact, KeyRecord, KeyUse
from dojang.server.ports import Change, DropKey, PutKey


class NoSuchKey(Exception):
    """The ring has no such key, or none in a state that allows what was asked."""


class SigningView(NamedTuple):
    """Everything the ring answers from one change of a state until the next: nothing is computed
    twice. `keys_digest` changes with `jwks`."""

    since: float
    until: float
    signers: Mapping[str, CompactSigner]
    seals: SealRing | None
    verifier: JwtVerifier | None
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
        seals = [key.private for key in held if isinstance(key.private, SealKey)]
        working = find_working((key.record for key in held), now)
        kids = {key.kid for key in working.values()}
        sealing = next((key for key in seals if key.kid in kids), None)
        feeding = working.get((KeyUse.FEED, FEED_ALGORITHM))
        feed = _select_signing(held, KeyUse.FEED)
        jwks = json_object.dump({"keys": [_published_jwk(key) for key in signing]})
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

    def _select(self, use: KeyUse, algorithm: str, state: KeyState, now: int) -> KeyRecord:
        for record in self.records:
            fits = record.use is use and record.algorithm == algorithm
            if fits and find_state(record, now) is state:
                return record
        raise NoSuchKey(f"there is no {state} key for {use} {algorithm}")

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

    def plan_rotation(self, use: KeyUse, algorithm: str, *, now: int) -> tuple[int, list[Change]]:
        """When the standby will take over (seconds since 1970), and the changes that say so.

        It takes over when every verifier that polls the key set must have seen it. Raises
        `NoSuchKey` where there is no active key or no standby, or one is already on its way.
        """
        active = self._select(use, algorithm, KeyState.ACTIVE, now)
        if active.active_until is not None:
            raise NoSuchKey(f"a rotation of {use} {algorithm} is under way already")
        standby = self._select(use, algorithm, KeyState.UPCOMING, now)
        at = max(now, standby.published_at + JWKS_MAX_AGE + LEEWAY)
        new = make_key(use, algorithm, self._encryption_key, now=now, active_from=None)
        return at, [
            _revised(active, active_until=at, gone_at=at + DRAIN),
            _revised(standby, active_from=at),
            PutKey(new),
        ]

    def plan_revocation(self, kid: str, *, now: int) -> list[Change]:
        """The changes that end a key now: a fact that kills what it signed, and the standby in
        its place at once. Raises `NoSuchKey`."""
        loaded = self._loaded.get(kid)
        if loaded is None or find_state(loaded.record, now) not in PUBLISHED:
            raise NoSuchKey(f"there is no live key {kid}")
        record = loaded.record
        changes: list[Change] = [
            _revised(record, revoked_at=now),
            AppendFact(kind=FactKind.KEY, identifier=kid, at=now, forget_after=now + DRAIN),
        ]
        siblings = [
            key
            for key in self.records
            if key.use is record.use and key.algorithm == record.algorithm and key.kid != kid
        ]
        active = [key for key in siblings if find_state(key, now) is KeyState.ACTIVE]
        upcoming = [key for key in siblings if find_state(key, now) is KeyState.UPCOMING]
        upcoming.sort(key=lambda key: key.active_from is None)  # one with a date goes first
        missing: list[int | None] = []
        if not active and upcoming:
            changes.append(_revised(upcoming.pop(0), active_from=now))
        elif not active:
            missing.append(now)
        elif record.active_from is not None and active[0].active_until == record.active_from:
            changes.append(_revised(active[0], active_until=None, gone_at=None))
        if all(key.active_from is not None for key in upcoming):
            missing.append(None)
        for active_from in missing:
            new = make_key(
                record.use, record.algorithm, self._encryption_key, now=now, active_from=active_from
            )
            changes.append(PutKey(new))
        return changes

    def plan_clearing(self, *, now: int) -> list[Change]:
        """The changes that forget keys, private halves included, once no token of theirs lives."""
        return [
            DropKey(record.kid, record.version)
            for record in self.records
            if find_state(record, now) is KeyState.GONE
            or (record.revoked_at is not None and record.revoked_at + DRAIN < now)
        ]


def _revised(record: KeyRecord, **changes: int | None) -> PutKey:
    return PutKey(replace(record, **changes, version=record.version + 1))


def _select_signing(keys: Iterable[LoadedKey], use: KeyUse) -> list[SigningKey]:
    return [
        key.private for key in keys if key.record.use is use and isinstance(key.private, SigningKey)
    ]


def _published_jwk(key: SigningKey) -> dict[str, Any]:
    return {**key.public_jwk(), "kid": key.kid, "use": "sig", "alg": key.algorithm}
