"""What can go wrong with tokens and keys, sorted by whose fault it is.

- The peer broke the protocol: `JoseError` (`InvalidToken`, `UnknownKey`, `InvalidKey`).
- Our caller misused us: `JoseMisuse`, a `ValueError`.
- The world failed: `JoseUnavailable` (an optional part is not installed).

Decide on `reason`, never on text. `detail` is fixed text:
no error carries a token, a claim or a key.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a token or a key is refused."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    UNSUPPORTED_CRITICAL_HEADER = "unsupported_critical_header"
    UNKNOWN_KEY = "unknown_key"
    AMBIGUOUS_KEY = "ambiguous_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_CLAIM = "bad_claim"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WEAK_KEY = "weak_key"
    BAD_KEY = "bad_key"
    BAD_SEAL = "bad_seal"
    BAD_ENCRYPTION = "bad_encryption"
    COMPRESSION_NOT_ALLOWED = "compression_not_allowed"


class JoseError(Exception):
    """The peer's token or key is refused: `reason` for code, `detail` for an operator."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class InvalidToken(JoseError):
    """A token, a sealed box or an encoded part of one is refused."""


class UnknownKey(InvalidToken):
    """No key of the set has the token's kid: fetching the set again may help."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.UNKNOWN_KEY, detail)

    def __reduce__(self) -> tuple[type[UnknownKey], tuple[str]]:
        return UnknownKey, (self.detail,)


class InvalidKey(JoseError):
    """A key, or a document of keys, breaks the key policy."""


class JoseMisuse(ValueError):
    """Our caller asked for something this layer never does."""


class JoseUnavailable(RuntimeError):
    """A part that is installed on its own is missing."""
