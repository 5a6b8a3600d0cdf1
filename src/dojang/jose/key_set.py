"""Sets of keys that verify: RFC 7517 §5. One set is all symmetric or all asymmetric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dojang.jose import json_object
from dojang.jose.errors import InvalidKey, InvalidToken, JoseMisuse, Reason, UnknownKey
from dojang.jose.verifying_key import VerifyingKey, parse_public_jwk, parse_symmetric_jwk

MAX_DOCUMENT_BYTES = 262_144
MAX_KEYS = 256


class SkippedKey(NamedTuple):
    """An entry of a key set document that is not used, and why."""

    position: int
    reason: Reason
    detail: str


class KeySet:
    """Keys of one issuer; `select` finds the one that must have signed."""

    __slots__ = ("_by_kid", "keys", "skipped", "symmetric")

    def __init__(self, keys: Iterable[VerifyingKey], *, skipped: Iterable[SkippedKey] = ()) -> None:
        """Raises `JoseMisuse` when symmetric and asymmetric keys are mixed (RFC 8725 §3.1)."""
        self.keys = tuple(keys)
        self.skipped = tuple(skipped)
        if len({key.symmetric for key in self.keys}) > 1:
            raise JoseMisuse("symmetric and asymmetric keys are never in one set")
        self.symmetric = any(key.symmetric for key in self.keys)
        self._by_kid: dict[str | None, tuple[VerifyingKey, ...]] = {None: self.keys}
        for key in self.keys:
            if key.kid is not None:
                self._by_kid[key.kid] = (*self._by_kid.get(key.kid, ()), key)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"KeySet({list(self.keys)!r})"

    @classmethod
    def parse(cls, document: bytes | Mapping[str, Any]) -> KeySet:
        """Read a JWK set; entries that are not usable public keys are listed in `skipped`.

        Raises `InvalidKey` when the document itself is not a JWK set.
        """
        keys: list[VerifyingKey] = []
        skipped: list[SkippedKey] = []
        for position, entry in enumerate(_parse_entries(document)):
            try:
                if not isinstance(entry, Mapping):
                    raise InvalidKey(Reason.BAD_KEY, "entry is not an object")
                keys.append(parse_public_jwk(entry))
            except InvalidKey as refusal:
                skipped.append(SkippedKey(position, refusal.reason, refusal.detail))
        return cls(keys, skipped=skipped)

    @classmethod
    def parse_symmetric(cls, document: bytes | Mapping[str, Any]) -> KeySet:
        """Read a JWK set of HMAC secrets. Any other entry refuses it all: raises `InvalidKey`."""
        entries = _parse_entries(document)
        if not all(isinstance(entry, Mapping) for entry in entries):
            raise InvalidKey(Reason.BAD_KEY, "entry is not an object")
        return cls(parse_symmetric_jwk(entry) for entry in entries)

    @property
    def kids(self) -> frozenset[str]:
        return frozenset(kid for kid in self._by_kid if kid is not None)

    def select(self, algorithm: str, kid: str | None) -> VerifyingKey:
        """The one key that fits; without a kid only when a single key fits.

        Raises `UnknownKey`, or `InvalidToken` (AMBIGUOUS_KEY, ALGORITHM_NOT_ALLOWED).
        """
        named = self._by_kid.get(kid, ())
        fitting = [key for key in named if algorithm in key.algorithms]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise InvalidToken(Reason.AMBIGUOUS_KEY, "more than one key fits")
        if named and kid is not None:
            raise InvalidToken(Reason.ALGORITHM_NOT_ALLOWED, "the key is for another algorithm")
        raise UnknownKey("no key of the set fits")


def _parse_entries(document: bytes | Mapping[str, Any]) -> list[Any]:
    if isinstance(document, bytes):
        try:
            document = json_object.parse(document, max_bytes=MAX_DOCUMENT_BYTES)
        except InvalidToken as refusal:
            reason, detail = refusal.reason, refusal.detail
            raise InvalidKey(reason, detail) from None
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise InvalidKey(Reason.MALFORMED, "keys is not a list")
    if len(entries) > MAX_KEYS:
        raise InvalidKey(Reason.TOO_LARGE, "more than 256 keys")
    return entries
