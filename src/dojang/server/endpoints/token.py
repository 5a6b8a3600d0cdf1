"""The token endpoint (RFC 6749 §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, parse_form
from dojang.oauth.token import parse_token_request
from dojang.server.authentication import authenticate_client
from dojang.server.grant_types import GRANTS
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider


@refusing("token")
async def token(provider: Provider, request: Request) -> Response:
    """Form → typed request → client → grant type → its checks → token."""
    now = provider.clock.now()
    form = parse_form(request)
    asked = parse_token_request(form)
    position = await provider.state.reach_barrier()
    client = await authenticate_client(provider, request, form, now=int(now))
    grant = GRANTS.get(asked.grant_type)
    if grant is None:
        raise OAuthError(
            ErrorCode.UNSUPPORTED_GRANT_TYPE,
            "This server does not know the grant type.",
            reason="unknown_grant_type",
        )
    return await grant(provider, client, asked, position=position, now=now)
