"""JWTs: RFC 7519 §4, §7.2 and RFC 8725 §3. Two stages, two types.

`JwtVerifier.verify` gives `SignedClaims`: the signature is proven and nothing else.
`check_claims` checks issuer, audience and times; what the claims mean is the caller's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken, JoseMisuse, Reason
from dojang.jose.jws import CompactSigner, CompactVerifier, Header
from dojang.jose.keys import KeySet

MAX_LEEWAY = 60
DEFAULT_LEEWAY = 5


class SignedClaims:
    """Claims whose signature is good under key `kid` of the set; nothing else is checked."""

    __slots__ = ("claims", "header", "kid")

    def __init__(self, claims: dict[str, Any], header: Header, kid: str | None) -> None:
        self.claims = claims
        self.header = header
        self.kid = kid


class JwtVerifier:
    """Verifies JWTs of expected types under one key set, with pinned algorithms."""

    __slots__ = ("_open",)

    def __init__(
        self, keys: KeySet, *, algorithms: Collection[str], types: Collection[str | None]
    ) -> None:
        """As `CompactVerifier`. Raises `JoseMisuse`."""
        self._open = CompactVerifier(keys, algorithms=algorithms, types=types).open

    def verify(self, token: str) -> SignedClaims:
        """The steps of `CompactVerifier.verify`, then the payload as a strict JSON object.

        Raises `InvalidToken`.
        """
        header, payload, kid = self._open(token)
        return SignedClaims(json_object.parse(payload), header, kid)


def sign_jwt(claims: Mapping[str, Any], signer: CompactSigner) -> str:
    """The claims as a signed compact JWT."""
    return signer.sign(json_object.dump(dict(claims)))


def check_claims(
    signed: SignedClaims, *, issuer: str, audience: str, now: int, leeway: int = DEFAULT_LEEWAY
) -> None:
    """Check `iss`, `aud`, `exp`, `nbf` and `iat` (RFC 7519 §4.1), in this order.

    `now` and `leeway` are seconds; `leeway` is at most 60. `exp` is required.
    Raises `InvalidToken` (WRONG_ISSUER, WRONG_AUDIENCE, BAD_CLAIM, EXPIRED, NOT_YET_VALID),
    `JoseMisuse` for an empty expectation.
    """
    if not issuer or not audience or not 0 <= leeway <= MAX_LEEWAY:
        raise JoseMisuse("issuer and audience are not empty, leeway is 0 to 60 seconds")
    get = signed.claims.get
    if get("iss") != issuer:
        raise InvalidToken(Reason.WRONG_ISSUER, "iss is not the expected issuer")
    found = get("aud")
    if found != audience:
        _check_audiences(found, audience)
    expires = get("exp")
    if type(expires) is not int:
        expires = _check_time(expires)
    if now >= expires + leeway:
        raise InvalidToken(Reason.EXPIRED, "exp has passed")
    latest = now + leeway
    starts = get("nbf", latest)
    if type(starts) is not int:
        starts = _check_time(starts)
    if starts > latest:
        raise InvalidToken(Reason.NOT_YET_VALID, "nbf has not come")
    issued = get("iat", latest)
    if type(issued) is not int:
        issued = _check_time(issued)
    if issued > latest:
        raise InvalidToken(Reason.NOT_YET_VALID, "iat is in the future")


def _check_audiences(found: object, audience: str) -> None:
    if not isinstance(found, list) or audience not in found:
        raise InvalidToken(Reason.WRONG_AUDIENCE, "aud does not name this audience")
    if not all(isinstance(name, str) for name in found):
        raise InvalidToken(Reason.BAD_CLAIM, "aud is not an array of strings")


def _check_time(value: object) -> float:
    # RFC 7519 §2 NumericDate; a bool is an int in Python, and a missing exp is None.
    if type(value) is int or (type(value) is float and isfinite(value)):
        return value
    raise InvalidToken(Reason.BAD_CLAIM, "a time claim is not a finite number")
