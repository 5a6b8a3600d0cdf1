"""Client assertions: `private_key_jwt` (RFC 7523 §3, draft-ietf-oauth-rfc7523bis, OpenID Connect
Core §9). The rules for the claims; the signature is proven before and the single use after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Most libraries name no type. What else a client signs is told apart by what it must hold: a
# request object has no `sub` (RFC 9101 §10.8), a proof of possession has a type of its own.
TYPES: Final = frozenset({"client-authentication+jwt", "JWT", None})
ALGORITHMS: Final = frozenset(
    {
        *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
        *("PS256", "PS384", "PS512", "RS256", "RS384", "RS512"),
    }
)
LONGEST_LIFE: Final = 300  # seconds from now to exp
CLOCK_AHEAD: Final = 10  # seconds that the client's clock may be ahead


class AssertionRefused(Exception):
    """The assertion breaks a rule; `reason` is one fixed word for operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CheckedAssertion(NamedTuple):
    """An assertion whose claims are right. `jti` is yet to be consumed, until `expires_at`."""

    client_id: str
    jti: str
    expires_at: int


def check_client_assertion(
    claims: Mapping[str, object], *, client_id: str, issuer: str, now: int
) -> CheckedAssertion:
    """Check the claims of an assertion whose signature is good.

    1. `iss` and `sub` are the client; 2. `aud` is this issuer, a single string (the successor of
    RFC 7523 allows nothing else, against mix-up); 3. `exp` is ahead, by `LONGEST_LIFE` at most;
    4. `iat` and `nbf`, where present, are not ahead by more than `CLOCK_AHEAD`; 5. there is a
    `jti`. Raises `AssertionRefused`.
    """
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise AssertionRefused("assertion_subject")
    if claims.get("aud") != issuer:
        raise AssertionRefused("assertion_audience")
    expires_at = _parse_time(claims, "exp")
    if expires_at is None or expires_at <= now:
        raise AssertionRefused("assertion_expired")
    if expires_at > now + LONGEST_LIFE + CLOCK_AHEAD:
        raise AssertionRefused("assertion_lives_too_long")
    for name in ("iat", "nbf"):
        time = _parse_time(claims, name)
        if time is not None and time > now + CLOCK_AHEAD:
            raise AssertionRefused("assertion_from_the_future")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 255:
        raise AssertionRefused("assertion_without_jti")
    return CheckedAssertion(client_id, jti, int(expires_at) + 1)


def _parse_time(claims: Mapping[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AssertionRefused("assertion_time_malformed")
    return value
