"""The token endpoint (RFC 6749 §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, parse_form
from dojang.oauth.token import build_token_response, parse_token_request
from dojang.server.access_tokens import issue_access_token
from dojang.server.authentication import authenticate_client
from dojang.server.checked_request import CheckedRequest
from dojang.server.grant_types import GRANTS
from dojang.server.model import Position
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider


@refusing("token")
async def token(provider: Provider, request: Request) -> Response:
    """Barrier → every check, or the verdict on an identical request → token."""
    now = provider.clock.now()
    position = await provider.state.reach_barrier()
    repeated = provider.state.repeated
    digest = repeated.digest(request)
    checked = repeated.find(digest, now=now)
    if checked is None:
        checked = await check_token_request(provider, request, now=int(now))
        repeated.keep(digest, checked, now=now)
    return issue_checked(provider, checked, position=position, now=now)


async def check_token_request(provider: Provider, request: Request, *, now: int) -> CheckedRequest:
    """Form → typed request → client → grant type → its checks."""
    form = parse_form(request)
    asked = parse_token_request(form)
    client = await authenticate_client(provider, request, form, now=now)
    grant = GRANTS.get(asked.grant_type)
    if grant is None:
        raise OAuthError(
            ErrorCode.UNSUPPORTED_GRANT_TYPE,
            "This server does not know the grant type.",
            reason="unknown_grant_type",
        )
    return await grant(provider, client, asked)


def issue_checked(
    provider: Provider, checked: CheckedRequest, *, position: Position, now: float
) -> Response:
    """The token response (RFC 6749 §5.1). Raises `Unavailable`."""
    resource, grant = checked.target
    token = issue_access_token(
        provider.state.keys,
        issuer=provider.issuer,
        client=checked.client,
        grant=grant,
        resource=resource,
        scope=checked.scope,
        position=position,
        now=now,
    )
    return build_token_response(
        token, expires_in=resource.access_token_lifetime, scope=checked.scope
    )
