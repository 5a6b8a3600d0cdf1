"""Facts of revocation and the order that decides whom they hit.

Revoking anything appends one fact. Every token carries `rev`, the position of the record it was
allowed at; a fact with a later position kills the tokens that carry its identifier.
No clock takes part.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class FactKind(StrEnum):
    """What a fact revokes, and so which identifier of a token it is matched with."""

    TOKEN = "token"  # jti
    GRANT = "grant"  # grant
    SESSION = "session"  # sid
    CLIENT = "client"  # client_id
    ACCOUNT = "account"  # sub
    KEY = "key"  # kid of the signature or seal


class Rev(NamedTuple):
    """A position in the record of facts; compared by epoch, then by number."""

    epoch: int
    number: int


class Fact(NamedTuple):
    """One revocation. `at` says when (seconds since 1970), for people; it decides nothing.
    It may be forgotten after `forget_after` (seconds since 1970), when no token it could match
    is alive."""

    rev: Rev
    kind: FactKind
    identifier: str
    at: int
    forget_after: int


def kills(fact: Fact, rev: Rev) -> bool:
    """Whether `fact` came after the token that carries `rev` was allowed."""
    return fact.rev > rev
