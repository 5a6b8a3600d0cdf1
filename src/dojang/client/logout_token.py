"""The logout token, as a client must read it (OpenID Connect Back-Channel Logout §2.6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dojang.client.id_token import Recipient, check_party
from dojang.client.sign_in_errors import Flaw, IdTokenRefused, LogoutRefused
from dojang.jose.jwt import JwtVerifier, check_claims
from dojang.jose.keys import KeySet
from dojang.oauth.logout_token import EVENT, MEDIA_TYPE

TYPES: Final = (MEDIA_TYPE,)
LONGEST_LIFE: Final = 3600  # seconds; so long its jti must be remembered at most
LONGEST_NAME: Final = 255  # characters of a jti, sid or sub
_REQUIRED: Final = ("iss", "aud", "iat", "exp", "jti", "events")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutToken:
    """The session that has ended, or without `session_id` all sessions of `subject`. The token
    counts once: keep `jti` until `expires_at` (times are in seconds since 1970)."""

    session_id: str | None
    subject: str | None
    jti: str
    issued_at: int
    expires_at: int


def verify_logout_token(
    token: str,
    keys: KeySet,
    *,
    recipient: Recipient,
    types: Collection[str | None] = TYPES,
    now: int,
) -> LogoutToken:
    """Raises `LogoutRefused`, and `InvalidToken` of the signature and times."""
    signed = JwtVerifier(keys, algorithms=recipient.algorithms, types=types).verify(token)
    claims = signed.claims
    if any(claims.get(name) is None for name in _REQUIRED):
        raise LogoutRefused(Flaw.MISSING_CLAIM)
    issuer, audience, leeway = recipient.issuer, recipient.client_id, recipient.leeway
    check_claims(signed, issuer=issuer, audience=audience, now=now, leeway=leeway)
    try:
        check_party(claims, recipient)
    except IdTokenRefused as refused:
        raise LogoutRefused(refused.flaw) from None
    if "nonce" in claims or not _is_logout(claims["events"]):
        raise LogoutRefused(Flaw.NOT_A_LOGOUT)
    return _read(claims, now=now, leeway=leeway)


def _is_logout(events: object) -> bool:
    return isinstance(events, Mapping) and isinstance(events.get(EVENT), Mapping)


def _read(claims: Mapping[str, Any], *, now: int, leeway: int) -> LogoutToken:
    session_id, subject = _read_name(claims, "sid"), _read_name(claims, "sub")
    jti = _read_name(claims, "jti")
    if jti is None or (session_id is None and subject is None):
        raise LogoutRefused(Flaw.MISSING_CLAIM)
    if claims["exp"] > now + LONGEST_LIFE + leeway:
        raise LogoutRefused(Flaw.BAD_CLAIM)
    return LogoutToken(
        session_id=session_id,
        subject=subject,
        jti=jti,
        issued_at=int(claims["iat"]),
        expires_at=int(claims["exp"]),
    )


def _read_name(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not (isinstance(value, str) and 0 < len(value) <= LONGEST_NAME):
        raise LogoutRefused(Flaw.BAD_CLAIM)
    return value
