"""One sign-in under way, of one browser: what was asked, and the secrets that show an answer to be
the answer to it (C121). It is a value: whoever asks keeps it, for that browser alone."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from dojang.jose import base64url, json_object
from dojang.jose.errors import InvalidToken
from dojang.jose.seal import SealRing

LIFETIME: Final = 600  # seconds that a person has
_CONTEXT: Final = b"dojang sign-in transaction"


class NoTransaction(Exception):
    """The text is no sealed transaction of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """`state`, `nonce` and `verifier` are its secrets; `began_at` is in seconds since 1970.
    `note` is the caller's own, such as where the person wanted to go."""

    issuer: str
    client_id: str
    redirect_uri: str
    began_at: int
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    resource: str | None = None
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    note: str = field(default="", repr=False)

    def seal(self, ring: SealRing) -> str:
        """Fit for a cookie: nobody reads or changes it without the key."""
        return base64url.encode(ring.seal(json_object.dump(asdict(self)), _CONTEXT))

    @classmethod
    def open(cls, text: str, ring: SealRing) -> Transaction:
        """What `seal` sealed. Raises `NoTransaction`."""
        try:
            opened, _ = ring.open(base64url.decode(text), _CONTEXT)
            members: dict[str, Any] = json_object.parse(opened)
            return cls(**{**members, "acr_values": tuple(members["acr_values"])})
        except (InvalidToken, KeyError, TypeError):
            raise NoTransaction from None


def make_secret() -> str:
    """256 random bits: a state, a nonce, or a verifier (RFC 7636 §4.1)."""
    return secrets.token_urlsafe(32)
