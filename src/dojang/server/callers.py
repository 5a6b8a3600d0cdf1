"""Who calls on behalf of a resource server: by client authentication, or by a token of scope
`introspect` (RFC 7662 §2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request
from dojang.server.access_tokens import PresentedAccessToken
from dojang.server.authentication import authenticate_client, check_single_method
from dojang.server.live_tokens import find_live_token
from dojang.server.model import AuthenticationMethod
from dojang.server.provider import INTROSPECT

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class Caller(NamedTuple):
    """A client that exists and is enabled, as of the barrier. `token` is what proved it, None
    where the client authenticated itself."""

    client_id: str
    token: PresentedAccessToken | None


async def authenticate_caller(
    provider: Provider, request: Request, form: Mapping[str, str], *, now: int
) -> Caller:
    """The caller, proven. The barrier was reached before. Raises `OAuthError` and `Unavailable`."""
    header = request.header(b"authorization")
    if header is None or header[:7].lower() != b"bearer ":
        client = (await authenticate_client(provider, request, form, now=now)).client
        if client.authentication is AuthenticationMethod.NONE:  # it proved nothing
            raise OAuthError(
                ErrorCode.INVALID_CLIENT,
                "A public client cannot ask for a resource server.",
                reason="public_caller",
            )
        return Caller(client.client_id, None)
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
    return Caller(live.claims.client_id, PresentedAccessToken(live.claims, live.kid))
