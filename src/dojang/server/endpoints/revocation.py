"""The revocation endpoint (RFC 7009): a client takes back its own token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import NO_STORE, Request, Response, parse_form
from dojang.oauth.revocation_fact import FactKind
from dojang.oauth.token_reference import parse_token_reference
from dojang.server.authentication import authenticate_client
from dojang.server.ending import end_grant
from dojang.server.handles import REFRESH_TOKEN, Handle, parse_handle
from dojang.server.lifetimes import LEEWAY
from dojang.server.live_tokens import find_live_token
from dojang.server.model import AppendFact, AuditEvent, Client
from dojang.server.people import RefreshToken
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_DONE: Final = Response(200, NO_STORE, b"")


@refusing("revocation")
async def revoke(provider: Provider, request: Request) -> Response:
    """Client → token → is it the client's → one fact, durable before the answer.

    A token that is unknown, expired or revoked already needs nothing and gets the same answer
    (RFC 7009 §2.2).
    """
    now = int(provider.clock.now())
    form = parse_form(request)
    token = parse_token_reference(form)
    await provider.state.reach_barrier()
    client = (await authenticate_client(provider, request, form, now=now)).client
    handle = parse_handle(REFRESH_TOKEN, token)
    if handle is not None:
        await _revoke_refresh_token(provider, client, handle, now=now)
        return _DONE
    live = await find_live_token(provider, token, now=now)
    if live is None:
        return _DONE
    claims = live.claims
    _check_own(claims.client_id, client)
    await provider.store.commit(
        [
            AppendFact(
                kind=FactKind.TOKEN,
                identifier=claims.jti,
                at=now,
                forget_after=claims.exp + LEEWAY,
            ),
            AuditEvent(at=now, actor=client.client_id, action="token.revoke", target=claims.jti),
        ]
    )
    return _DONE


async def _revoke_refresh_token(
    provider: Provider, client: Client, handle: Handle, *, now: int
) -> None:
    """A refresh token goes with its whole grant (RFC 7009 §2.1)."""
    token = await provider.store.find(RefreshToken, handle.identifier)
    if token is None or not handle.opens(token.digest):
        return
    _check_own(token.client_id, client)
    event = AuditEvent(
        at=now, actor=client.client_id, action="refresh_token.revoke", target=token.grant_id
    )
    await end_grant(provider, token.grant_id, besides=[event])


def _check_own(owner: str, client: Client) -> None:
    if owner != client.client_id:  # RFC 7009 §2.1
        raise OAuthError(
            ErrorCode.INVALID_GRANT,
            "The token was issued to another client.",
            reason="token_of_another_client",
        )
