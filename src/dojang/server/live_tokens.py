"""Whether an access token is good now: expiry, facts, and the state of everything it names.

All of it must hold (C87). Nothing here looks at who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dojang.server.access_tokens import AccessTokenClaims
from dojang.server.model import Resource

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class LiveToken(NamedTuple):
    """An access token of this server that is good as of the barrier."""

    claims: AccessTokenClaims
    resource: Resource
    kid: str


async def find_live_token(provider: Provider, token: str, *, now: int) -> LiveToken | None:
    """The token, or None whatever is wrong with it. The barrier was reached before.

    1. this server made it; 2. it has not expired; 3. no later fact names it, its grant, its
    session, its client, its subject, its key or everything; 4. its resource exists; 5. its client
    exists and is enabled, and 6. still holds the grant where it acts for itself: the end of a
    person's grant is a fact. Raises `Unavailable`.
    """
    state = provider.state
    presented = state.tokens.parse(token, now=now)
    if presented is None:
        return None
    claims = presented.claims
    if claims.iss != provider.issuer or claims.exp <= now:
        return None
    identifiers: dict[str, object] = {
        "jti": claims.jti,
        "grant": claims.grant,
        "client_id": claims.client_id,
        "sub": claims.sub,
        "kid": presented.kid,
        "iss": claims.iss,
    }
    if claims.sid is not None:
        identifiers["sid"] = claims.sid
    revocations = state.revocations
    if revocations.as_of > claims.rev and revocations.find_killer(
        revocations.mark(claims.rev, identifiers)
    ):
        return None
    resource = provider.find_resource(claims.aud)
    if resource is None:
        return None
    client = await state.find_client(claims.client_id)
    if client is None or not client.enabled:
        return None
    for_itself = claims.sub == claims.client_id
    if for_itself and claims.grant not in [grant.grant_id for grant in client.grants]:
        return None
    return LiveToken(claims, resource, presented.kid)
