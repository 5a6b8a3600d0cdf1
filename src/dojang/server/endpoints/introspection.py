"""The introspection endpoint (RFC 7662): for the resource servers a token is meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from dojang.oauth.http import JSON, NO_STORE, Request, Response, parse_form
from dojang.oauth.token_reference import parse_token_reference
from dojang.server.access_tokens import AccessTokenClaims
from dojang.server.callers import authenticate_caller
from dojang.server.live_tokens import find_live_token
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_encode: Final = msgspec.json.Encoder().encode
_INACTIVE: Final = Response(200, (JSON, *NO_STORE), b'{"active":false}')
_ACTIVE_PREFIX: Final = b'{"active":true,"token_type":"Bearer",'


@refusing("introspection")
async def introspect(provider: Provider, request: Request) -> Response:
    """Caller → token → is it good → is it meant for the caller → its claims."""
    now = int(provider.clock.now())
    form = parse_form(request)
    token = parse_token_reference(form)
    await provider.state.reach_barrier()
    caller = await authenticate_caller(provider, request, form, now=now)
    live = await find_live_token(provider, token, now=now)
    if live is None or caller.client_id not in live.resource.introspectors:
        return _INACTIVE  # RFC 7662 §2.2: nothing else, whatever the reason
    return _build_active(live.claims)


def _build_active(claims: AccessTokenClaims) -> Response:
    return Response(200, (JSON, *NO_STORE), _ACTIVE_PREFIX + _encode(claims)[1:])
