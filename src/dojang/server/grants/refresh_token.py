"""The refresh token grant (RFC 6749 §6, RFC 9700 §4.14.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.scopes import parse_scope
from dojang.oauth.token import TokenRequest
from dojang.server.authentication import AuthenticatedClient
from dojang.server.ending import end_grant
from dojang.server.handles import REFRESH_TOKEN, Handle, parse_handle
from dojang.server.issuing import (
    find_id_token_encryptor,
    find_sign_in,
    find_target,
    issue_for_grant,
)
from dojang.server.live_grants import find_live_grant
from dojang.server.model import AuditEvent, Position, RefreshRule, SignIn
from dojang.server.people import Grant, RefreshToken
from dojang.server.ports import Conflict, Hold, Put
from dojang.server.refresh_tokens import RETRY_WINDOW, make_refresh_token, open_answer, spend

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class ShownToken(NamedTuple):
    """A refresh token that its own client shows, and its record. Whether it is good is not said."""

    handle: Handle
    token: RefreshToken


async def grant_refresh_token(
    provider: Provider,
    client: AuthenticatedClient,
    request: TokenRequest,
    *,
    position: Position,
    now: float,
) -> dict[str, Any]:
    """Token → is it the client's → is it spent → grant → tokens and its successor, in one commit.

    Raises `OAuthError` and `Unavailable`.
    """
    sign_in = find_sign_in(client.client)
    if sign_in.refresh is RefreshRule.NONE:
        raise _refuse("refreshes_no_more")
    shown = await _find_token(provider, client, request)
    token = shown.token
    if token.used_at is not None:
        return await _answer_again(provider, shown, now=now)
    live = await find_live_grant(provider, token.grant_id, now=int(now))
    if now >= token.expires_at:
        raise _refuse("refresh_token_expired")
    asked = _narrow(live.grant, request)
    response = issue_for_grant(
        provider,
        client.client,
        asked,
        find_target(provider, asked, sign_in, request.resource),
        live.profile,
        nonce=None,
        encryptor=await find_id_token_encryptor(provider, client.client, asked),
        position=position,
        now=now,
    )
    if sign_in.refresh is RefreshRule.FIXED and not sign_in.public:
        await _prolong(provider, token, live.grant, sign_in, now=int(now))
        return response
    try:
        successor = make_refresh_token(live.grant, sign_in, now=now)
        answer = response | {"refresh_token": successor.text}
        spent = spend(token, shown.handle, successor.record.token_id, answer, now=int(now))
        await provider.store.commit([Put(spent), Put(successor.record), Hold(live.grant)])
    except Conflict:
        # Another request with the same token was first, on this node or any: its answer is kept.
        held = await provider.store.find(RefreshToken, token.token_id)
        if held is None or held.used_at is None:
            raise _refuse("grant_ended") from None
        return await _answer_again(provider, shown._replace(token=held), now=now)
    return answer


async def _prolong(
    provider: Provider, token: RefreshToken, grant: Grant, sign_in: SignIn, *, now: int
) -> None:
    """A fixed token that is used lives on, once a day as the store sees it."""
    until = min(now + sign_in.refresh_idle, grant.expires_at)
    if until - token.expires_at < min(86_400, sign_in.refresh_idle // 2):
        return
    try:
        await provider.store.commit(
            [Put(replace(token, expires_at=until, version=token.version + 1)), Hold(grant)]
        )
    except Conflict:
        return  # somebody else prolonged it; were the grant at its end, the next use says so


async def _answer_again(provider: Provider, shown: ShownToken, *, now: float) -> dict[str, Any]:
    """What a spent token gets: within the window, and while nobody used its successor, the answer
    that its client may have lost; else it was stolen, and the family ends (C59, C60)."""
    token = shown.token
    live = await find_live_grant(provider, token.grant_id, now=int(now))
    successor = await provider.store.find(RefreshToken, token.successor or "")
    in_time = now < (token.used_at or 0) + RETRY_WINDOW
    if in_time and successor is not None and successor.used_at is None:
        answer = open_answer(token, shown.handle)
        if answer is not None:
            return answer
    event = AuditEvent(
        at=int(now),
        actor=token.client_id,
        action="refresh_token.replay",
        target=live.grant.grant_id,
        outcome="refused",
    )
    await end_grant(provider, live.grant.grant_id, besides=[event])
    raise _refuse("refresh_token_replayed")


async def _find_token(
    provider: Provider, client: AuthenticatedClient, request: TokenRequest
) -> ShownToken:
    shown = request.parameters.get("refresh_token")
    if shown is None:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "refresh_token is missing.", reason="no_refresh_token"
        )
    handle = parse_handle(REFRESH_TOKEN, shown)
    token = await provider.store.find(RefreshToken, handle.identifier) if handle else None
    if handle is None or token is None or not handle.opens(token.digest):
        raise _refuse("unknown_refresh_token")
    if token.client_id != client.client.client_id:
        raise _refuse("refresh_token_of_another_client")
    return ShownToken(handle, token)


def _narrow(grant: Grant, request: TokenRequest) -> Grant:
    """What is asked for of what was granted (RFC 6749 §6); the grant itself stays as it is.

    Raises `OAuthError(INVALID_SCOPE)`."""
    if request.scope is None:
        return grant
    asked = set(parse_scope(request.scope))
    if not asked <= {*grant.scopes, *grant.resource_scopes}:
        raise OAuthError(
            ErrorCode.INVALID_SCOPE, "The person did not grant this scope.", reason="scope_widened"
        )
    resource_scopes = tuple(scope for scope in grant.resource_scopes if scope in asked)
    return replace(
        grant,
        scopes=tuple(scope for scope in grant.scopes if scope in asked),
        resource=grant.resource if resource_scopes else None,
        resource_scopes=resource_scopes,
    )


def _refuse(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_GRANT, "The refresh token is not good.", reason=reason)
