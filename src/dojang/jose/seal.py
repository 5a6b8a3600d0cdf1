"""Sealed boxes: authenticated encryption for opaque tokens and for secrets at rest.

box = key tag (4 bytes) ‖ salt (24) ‖ AES-256-GCM ciphertext and tag (16 more than the plaintext).
The key tag is the first 4 bytes of SHA-256 of the kid; it finds the key and proves nothing.

Each box has a key of its own, HMAC-SHA256(secret, label ‖ salt), used once, with a nonce of zeros.
So GCM's limit of messages per key is never near. What is left: two boxes share a salt, and with it
a key, with probability under n²/2^193 after n boxes: 2^-119 at 10^11. A forgery succeeds with
probability about 2^-123 a try for boxes of up to 512 bytes (GCM, SP 800-38D).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dojang.jose.errors import InvalidToken, JoseMisuse, Reason

SECRET_BYTES = 32
TAG_BYTES = 4
SALT_BYTES = 24
OVERHEAD_BYTES = TAG_BYTES + SALT_BYTES + 16

_LABEL = b"dojang seal v1\0"
_NONCE = bytes(12)
_BODY_AT = TAG_BYTES + SALT_BYTES


class SealKey:
    """One sealing secret and its name."""

    __slots__ = ("kid", "secret", "tag")

    def __init__(self, kid: str, secret: bytes) -> None:
        if not kid or len(secret) != SECRET_BYTES:
            raise JoseMisuse("a seal key has a kid and a secret of 32 bytes")
        self.kid = kid
        self.secret = secret
        self.tag = hashlib.sha256(kid.encode()).digest()[:TAG_BYTES]

    def __repr__(self) -> str:
        return f"SealKey(kid={self.kid!r})"

    @classmethod
    def generate(cls, kid: str | None = None) -> SealKey:
        """A new random key; without `kid` a random one names it."""
        return cls(kid or secrets.token_urlsafe(12), urandom(SECRET_BYTES))

    @classmethod
    def from_bytes(cls, kid: str, secret: bytes) -> SealKey:
        """The key with this 32-byte secret. Raises `JoseMisuse`."""
        return cls(kid, secret)

    def seal(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """A new box. `associated_data` is proven with it and not in it."""
        salt = urandom(SALT_BYTES)
        key = hmac.digest(self.secret, _LABEL + salt, "sha256")
        return self.tag + salt + AESGCM(key).encrypt(_NONCE, plaintext, associated_data)

    def open(self, box: bytes, associated_data: bytes) -> bytes:
        """The plaintext of a box of this key. Raises `InvalidToken(BAD_SEAL)`."""
        if len(box) < OVERHEAD_BYTES or box[:TAG_BYTES] != self.tag:
            raise InvalidToken(Reason.BAD_SEAL, "not a box of this key")
        key = hmac.digest(self.secret, _LABEL + box[TAG_BYTES:_BODY_AT], "sha256")
        try:
            return AESGCM(key).decrypt(_NONCE, box[_BODY_AT:], associated_data)
        except InvalidTag:
            pass
        raise InvalidToken(Reason.BAD_SEAL, "box does not open")


class SealRing:
    """Seals with the active key, opens with any."""

    __slots__ = ("_by_tag", "active")

    def __init__(self, active: SealKey, others: Iterable[SealKey] = ()) -> None:
        """Raises `JoseMisuse` when two kids share a tag: rename one."""
        self.active = active
        self._by_tag: dict[bytes, SealKey] = {}
        for key in (active, *others):
            if self._by_tag.setdefault(key.tag, key) is not key:
                raise JoseMisuse("two seal keys share a key tag")

    def seal(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """A new box under the active key."""
        return self.active.seal(plaintext, associated_data)

    def open(self, box: bytes, associated_data: bytes) -> tuple[bytes, str]:
        """The plaintext and the kid that sealed it. Raises `InvalidToken(BAD_SEAL)`."""
        key = self._by_tag.get(box[:TAG_BYTES])
        if key is None:
            raise InvalidToken(Reason.BAD_SEAL, "no key of the ring has this tag")
        return key.open(box, associated_data), key.kid
