"""The token endpoint (RFC 6749 §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, build_json, parse_form
from dojang.oauth.token import TokenRequest, build_token_response, parse_token_request
from dojang.server.access_tokens import issue_access_token
from dojang.server.authentication import AuthenticatedClient, authenticate_client
from dojang.server.checked_request import CheckedRequest
from dojang.server.grant_types import ANEW, STANDING, GrantType
from dojang.server.model import Position
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider


@refusing("token")
async def token(provider: Provider, request: Request) -> Response:
    """Barrier → every check, or the verdict on an identical request → tokens."""
    now = provider.clock.now()
    position = await provider.state.reach_barrier()
    repeated = provider.state.repeated
    digest = repeated.digest(request)
    checked = repeated.find(digest, now=now)
    if checked is None:
        client, asked = await _parse(provider, request, now=int(now))
        standing = STANDING.get(asked.grant_type)
        if standing is None:
            anew = _find_grant_type(asked)
            return build_json(200, await anew(provider, client, asked, position=position, now=now))
        checked = await standing(provider, client, asked)
        repeated.keep(digest, checked, now=now)
    return issue_checked(provider, checked, position=position, now=now)


async def _parse(
    provider: Provider, request: Request, *, now: int
) -> tuple[AuthenticatedClient, TokenRequest]:
    """Form → typed request → client."""
    form = parse_form(request)
    asked = parse_token_request(form)
    return await authenticate_client(provider, request, form, now=now), asked


def _find_grant_type(asked: TokenRequest) -> GrantType:
    found = ANEW.get(asked.grant_type)
    if found is None:
        raise OAuthError(
            ErrorCode.UNSUPPORTED_GRANT_TYPE,
            "This server does not know the grant type.",
            reason="unknown_grant_type",
        )
    return found


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
