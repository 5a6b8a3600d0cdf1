"""Whether an access token is good now: expiry, facts, and the state of everything it names.

All of it must hold (C87). Nothing here looks at who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import asdict

from dojang.oauth.token_exchange import ANCESTORS
from dojang.server.access_tokens import AccessTokenClaims, Ancestor
from dojang.server.model import Client, Resource

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
    session, its client, its subject, its key or everything, nor a token that it was exchanged for;
    4. its resource exists; 5. its client exists and is enabled, and 6. still holds the grant, where
    it acts for itself or exchanged a token: the end of a person's grant is a fact. Of every token
    that it was exchanged for the last two hold as well. Raises `Unavailable`.
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
    if claims.ancestors:
        identifiers[ANCESTORS] = [asdict(ancestor) for ancestor in claims.ancestors]
    revocations = state.revocations
    if revocations.as_of > claims.rev and revocations.find_killer(
        revocations.mark(claims.rev, identifiers)
    ):
        return None
    resource = provider.find_resource(claims.aud)
    if resource is None:
        return None
    links: tuple[AccessTokenClaims | Ancestor, ...] = (claims, *claims.ancestors)
    for link in links:
        client = await state.find_client(link.client_id)
        if client is None or not client.enabled:
            return None
        exchanged = link is not links[-1]
        if not _holds(client, link.grant, exchanged=exchanged, sub=claims.sub):
            return None
    return LiveToken(claims, resource, presented.kid)


def _holds(client: Client, grant: str, *, exchanged: bool, sub: str) -> bool:
    """Whether the client's own row still has the grant of a token about `sub`."""
    if exchanged:
        return any(held.grant_id == grant for held in client.exchanges)
    if client.client_id == sub:
        return any(held.grant_id == grant for held in client.grants)
    return True
