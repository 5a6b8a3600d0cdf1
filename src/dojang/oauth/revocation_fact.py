"""Facts of revocation and the order that decides whom they hit.

Revoking anything appends one fact. Every token carries `rev`, the position of the record it was
allowed at; a fact with a later position kills the tokens that carry its identifier.
No clock takes part.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple


class FactKind(StrEnum):
    """What a fact revokes, and so which identifier of a token it is matched with."""

    TOKEN = "token"  # jti
    GRANT = "grant"  # grant
    SESSION = "session"  # sid
    CLIENT = "client"  # client_id
    ACCOUNT = "account"  # sub
    KEY = "key"  # kid of the signature or seal
    EVERYTHING = "everything"  # matched by every token


class Rev(NamedTuple):
    """A position in the record of facts; compared by epoch, then by number."""

    epoch: int
    number: int


EPOCH_BITS: Final = 16
NUMBER_BITS: Final = 48


def pack_rev(rev: Rev) -> int:
    """A position as one number of 64 bits, ordered as positions are."""
    return rev.epoch << NUMBER_BITS | rev.number


class Fact(NamedTuple):
    """One revocation. `at` says when (seconds since 1970), for people; it decides nothing.
    It may be forgotten after `forget_after` (seconds since 1970), when no token it could match
    is alive. `digest` covers it and the digest of the fact before (32 bytes)."""

    rev: Rev
    kind: FactKind
    identifier: str
    at: int
    forget_after: int
    digest: bytes


FIRST_DIGEST: Final = bytes(32)


def digest_fact(fact: Fact, before: bytes) -> bytes:
    """The digest of the record of facts that ends with `fact`, after the digest `before`: two
    records that agree on it have the same facts in the same places."""
    rev, kind, identifier, _, forget_after, _ = fact
    parts = f"{rev.epoch} {rev.number} {kind} {forget_after} {identifier}"
    return sha256(before + parts.encode()).digest()


def kills(fact: Fact, rev: Rev) -> bool:
    """Whether `fact` came after the token that carries `rev` was allowed."""
    return fact.rev > rev
