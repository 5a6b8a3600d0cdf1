"""Records of keys: what each may do at a moment, and how its private half is sealed and opened.

    upcoming (published) -> active (signs) -> retained (published) -> gone
                                any of them -> revoked

The state of a key follows from its record and `now`; nothing has to run for it to change.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from dojang.jose import json_object
from dojang.jose.errors import InvalidKey, InvalidToken
from dojang.jose.keys import SigningKey
from dojang.jose.seal import SealKey
from dojang.oauth.errors import Unavailable
from dojang.server.ids import new_kid
from dojang.server.model import KeyRecord, KeyUse

SEAL_ALGORITHM: Final = "A256GCM"


class KeyState(StrEnum):
    """Where a key is in its life."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    RETAINED = "retained"
    GONE = "gone"
    REVOKED = "revoked"


PUBLISHED: Final = frozenset({KeyState.UPCOMING, KeyState.ACTIVE, KeyState.RETAINED})


def find_state(key: KeyRecord, now: int) -> KeyState:
    """The state of `key` at `now` (seconds since 1970)."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if key.active_from is None or now < key.active_from:
        return KeyState.UPCOMING
    if key.active_until is None or now < key.active_until:
        return KeyState.ACTIVE
    if key.gone_at is None or now < key.gone_at:
        return KeyState.RETAINED
    return KeyState.GONE


def find_working(keys: Iterable[KeyRecord], now: int) -> dict[tuple[KeyUse, str], KeyRecord]:
    """The key that signs or seals at `now`, by use and algorithm: the active one.

    Where none is active yet, the next with a date: the node that activated it at once has a clock
    ahead of ours, and a token must not wait for that.
    """
    working: dict[tuple[KeyUse, str], KeyRecord] = {}
    for key in sorted(keys, key=lambda key: key.active_from or 0):
        dated = key.active_from is not None
        if dated and find_state(key, now) in (KeyState.ACTIVE, KeyState.UPCOMING):
            working.setdefault((key.use, key.algorithm), key)
    return working


class WrongEncryptionKey(Unavailable):
    """A stored key does not open under the key-encryption key that was given."""

    def __init__(self, kid: str) -> None:
        super().__init__("the key-encryption key", retry_after=60)
        self.kid = kid

    def __str__(self) -> str:
        return (
            f"the stored key {self.kid} does not open under the key-encryption key given; "
            "start with the one this database was made with"
        )


def _associated_data(use: KeyUse, algorithm: str, kid: str) -> bytes:
    return f"dojang key {use} {algorithm} {kid}".encode()


def make_key(
    use: KeyUse, algorithm: str, encryption_key: SealKey, *, now: int, active_from: int | None
) -> KeyRecord:
    """A new key, its private half sealed under `encryption_key`."""
    kid = new_kid()
    private: SigningKey | SealKey
    if use is KeyUse.SEAL:
        private = SealKey.generate(kid)
    else:
        private = SigningKey.generate(algorithm, kid=kid)
    return build_key_record(
        use, algorithm, private, encryption_key, now=now, active_from=active_from
    )


def build_key_record(
    use: KeyUse,
    algorithm: str,
    private: SigningKey | SealKey,
    encryption_key: SealKey,
    *,
    now: int,
    active_from: int | None,
) -> KeyRecord:
    """The record of a key that is new, its private half sealed under `encryption_key`."""
    kid = private.kid
    if isinstance(private, SealKey):
        secret, public = private.secret, None
    else:
        secret, public = json_object.dump(private.private_jwk()), private.public_jwk()
    return KeyRecord(
        kid=kid,
        use=use,
        algorithm=algorithm,
        sealed=encryption_key.seal(secret, _associated_data(use, algorithm, kid)),
        public_jwk=public,
        published_at=now,
        active_from=active_from,
    )


def make_pair(
    use: KeyUse, algorithm: str, encryption_key: SealKey, *, now: int
) -> tuple[KeyRecord, KeyRecord]:
    """The first keys for a use: one that is active at once and its standby."""
    return (
        make_key(use, algorithm, encryption_key, now=now, active_from=now),
        make_key(use, algorithm, encryption_key, now=now, active_from=None),
    )


class LoadedKey(NamedTuple):
    """A record with its private half open."""

    record: KeyRecord
    private: SigningKey | SealKey


def load_key(record: KeyRecord, encryption_key: SealKey) -> LoadedKey:
    """Open the private half. Raises `WrongEncryptionKey`."""
    associated_data = _associated_data(record.use, record.algorithm, record.kid)
    try:
        secret = encryption_key.open(record.sealed, associated_data)
        if record.use is KeyUse.SEAL:
            return LoadedKey(record, SealKey.from_bytes(record.kid, secret))
        return LoadedKey(record, SigningKey.from_jwk(json_object.parse(secret), unchecked_rsa=True))
    except (InvalidToken, InvalidKey) as error:
        raise WrongEncryptionKey(record.kid) from error
