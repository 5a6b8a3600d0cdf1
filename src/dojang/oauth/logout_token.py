"""The logout token: an issuer tells a client that a session has ended (OpenID Connect Back-Channel
Logout §2.4). Its type is its own, and it never has a nonce: nobody takes it for an id_token."""

from __future__ import annotations

from typing import Any, Final

MEDIA_TYPE: Final = "logout+jwt"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME: Final = 120  # seconds


def build_logout_token_claims(
    *, issuer: str, client_id: str, subject: str, session_id: str, jti: str, now: int
) -> dict[str, Any]:
    """The claims. `jti` is of this delivery alone."""
    return {
        "iss": issuer,
        "sub": subject,
        "aud": client_id,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": jti,
        "sid": session_id,
        "events": {EVENT: {}},
    }
