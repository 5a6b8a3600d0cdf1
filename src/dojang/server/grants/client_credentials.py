"""The client credentials grant (RFC 6749 §4.4): a client acts for itself.

No refresh token (RFC 6749 §4.4.3) and no id_token ever come of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.http import Response
from dojang.oauth.token import TokenRequest, build_token_response
from dojang.server.access_tokens import issue_access_token
from dojang.server.authentication import AuthenticatedClient
from dojang.server.checks.target import check_scope, check_target
from dojang.server.model import Position

if TYPE_CHECKING:
    from dojang.server.provider import Provider


async def grant_client_credentials(
    provider: Provider,
    client: AuthenticatedClient,
    request: TokenRequest,
    *,
    position: Position,
    now: float,
) -> Response:
    """A token for the one resource and the scope that were checked."""
    state = provider.state
    target = check_target(client.client, state.resources, request.resource)
    scope = check_scope(target, request.scope)
    token = issue_access_token(
        state.keys,
        issuer=provider.issuer,
        client=client.client,
        grant=target.grant,
        resource=target.resource,
        scope=scope,
        position=position,
        now=now,
    )
    return build_token_response(
        token, expires_in=target.resource.access_token_lifetime, scope=scope
    )
