"""An id_token that comes back to the server that made it: as id_token_hint (OpenID Connect Core
§3.1.2.1 and §3.1.2.2, RP-Initiated Logout §2). It may have expired; everything else must be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.server.model import Client

if TYPE_CHECKING:
    from dojang.server.provider import Provider


def parse_id_token_hint(provider: Provider, hint: str, *, now: int) -> dict[str, Any] | None:
    """The claims of an id_token that this server made; None for anything else."""
    verifier = provider.state.keys.at(now).id_token_verifier
    if verifier is None:
        return None
    try:
        claims = verifier.verify(hint).claims
    except InvalidToken:
        return None
    right = claims.get("iss") == provider.issuer and isinstance(claims.get("sub"), str)
    return claims if right and isinstance(claims.get("aud"), str) else None


def find_hinted_subject(
    provider: Provider, hint: str | None, client: Client, *, now: int
) -> str | None:
    """The subject of an id_token_hint that `client` was given; None where none was sent.

    Raises `OAuthError(INVALID_REQUEST)` for one that is not right.
    """
    if hint is None:
        return None
    claims = parse_id_token_hint(provider, hint, now=now)
    if claims is None or claims["aud"] != client.client_id:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST,
            "id_token_hint is not an id_token of this client.",
            reason="id_token_hint",
        )
    subject: str = claims["sub"]
    return subject
