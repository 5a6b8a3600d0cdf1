"""Secrets that name a record: session cookies, codes, refresh tokens, request URIs.

`prefix` + 32 characters of a record's key + 43 of a secret of 256 bits (base64url). The record
holds the secret's SHA-256: whoever reads the database can use none of them.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from secrets import token_bytes
from typing import Final, NamedTuple

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.server.ids import new_id

ID_LENGTH: Final = 32
SECRET_BYTES: Final = 32

REFRESH_TOKEN: Final = "dojang_rt_"
CODE: Final = "dojang_ac_"
SESSION: Final = "dojang_se_"
INTERACTION: Final = "dojang_in_"
REGISTRATION_TOKEN: Final = "dojang_it_"  # lets somebody register clients
REGISTRATION: Final = "dojang_ra_"  # of a client that did, for itself


class NewHandle(NamedTuple):
    """A handle just made: its text is given away and kept nowhere."""

    text: str
    identifier: str
    digest: bytes


class Handle(NamedTuple):
    """A handle that was shown. Nothing about it is proven yet."""

    identifier: str
    secret: bytes

    def opens(self, digest: bytes) -> bool:
        """Whether it is the one that a record with `digest` was made for; in constant time."""
        return compare_digest(sha256(self.secret).digest(), digest)


def new_handle(prefix: str, *, now: float) -> NewHandle:
    """One for a record made at `now` (seconds since 1970)."""
    return new_secret(prefix, new_id(int(now * 1000)))


def new_secret(prefix: str, identifier: str) -> NewHandle:
    """Another one for the record `identifier`: those of before open it no more."""
    secret = token_bytes(SECRET_BYTES)
    text = f"{prefix}{identifier}{base64url.encode(secret)}"
    return NewHandle(text, identifier, sha256(secret).digest())


def parse_handle(prefix: str, text: str) -> Handle | None:
    """None for what this server has never made."""
    rest = text.removeprefix(prefix)
    if rest == text or not (rest.isascii() and rest[:ID_LENGTH].isalnum()):
        return None
    try:
        secret = base64url.decode(rest[ID_LENGTH:])
    except InvalidToken:
        return None
    return Handle(rest[:ID_LENGTH], secret) if len(secret) == SECRET_BYTES else None
