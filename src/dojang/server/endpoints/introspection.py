"""The introspection endpoint (RFC 7662): for the resource servers a token is meant for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import JSON, NO_STORE, Request, Response, parse_form
from dojang.oauth.token_reference import parse_token_reference
from dojang.server.access_tokens import AccessTokenClaims
from dojang.server.authentication import authenticate_client, check_single_method
from dojang.server.live_tokens import find_live_token
from dojang.server.provider import INTROSPECT
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
    caller = await _authenticate_caller(provider, request, form, now=now)
    live = await find_live_token(provider, token, now=now)
    if live is None or caller not in live.resource.introspectors:
        return _INACTIVE  # RFC 7662 §2.2: nothing else, whatever the reason
    return _build_active(live.claims)


async def _authenticate_caller(
    provider: Provider, request: Request, form: Mapping[str, str], *, now: int
) -> str:
    """The client_id of the caller, by client authentication or by a token of scope `introspect`
    (RFC 7662 §2.1). Raises `OAuthError`."""
    header = request.header(b"authorization")
    if header is None or header[:7].lower() != b"bearer ":
        return (await authenticate_client(provider, request, form, now=now)).client.client_id
    check_single_method(header, form.get("client_secret"), form.get("client_assertion"))
    live = await find_live_token(provider, header[7:].strip().decode("latin-1"), now=now)
    if (
        live is None
        or live.claims.aud != provider.introspection_audience
        or INTROSPECT not in live.claims.scope.split(" ")
    ):
        raise OAuthError(
            ErrorCode.INVALID_TOKEN,
            "The caller's token is not good for introspection.",
            reason="caller_token_refused",
        )
    return live.claims.client_id


def _build_active(claims: AccessTokenClaims) -> Response:
    return Response(200, (JSON, *NO_STORE), _ACTIVE_PREFIX + _encode(claims)[1:])
