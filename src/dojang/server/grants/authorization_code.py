"""The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.6, OpenID Connect Core §3.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.pkce import is_verifier_of
from dojang.oauth.redirects import BadRedirectUri, ResponseMode, check_redirect_uri
from dojang.oauth.token import TokenRequest
from dojang.server.authentication import AuthenticatedClient
from dojang.server.ending import end_grant
from dojang.server.handles import CODE, parse_handle
from dojang.server.issuing import (
    find_id_token_encryptor,
    find_sign_in,
    find_target,
    issue_for_grant,
)
from dojang.server.live_grants import find_live_grant
from dojang.server.model import AuditEvent, Position, RefreshRule, SignIn
from dojang.server.people import Code
from dojang.server.ports import Change, Conflict, Put
from dojang.server.refresh_tokens import make_refresh_token

if TYPE_CHECKING:
    from dojang.server.provider import Provider


async def grant_authorization_code(
    provider: Provider,
    client: AuthenticatedClient,
    request: TokenRequest,
    *,
    position: Position,
    now: float,
) -> dict[str, Any]:
    """Code → is it the client's → is it spent → PKCE → grant → tokens, in one commit.

    Raises `OAuthError` and `Unavailable`.
    """
    sign_in = find_sign_in(client.client)
    code = await _find_code(provider, client, request)
    if code.used_at is not None:
        await _end_family(provider, code, now=int(now))
        raise _refuse("code_replayed")
    _check_code(code, request, now=int(now))
    _check_redirect(code, sign_in)
    grant, profile = await find_live_grant(provider, code.grant_id, now=int(now))
    target = find_target(provider, grant, sign_in, request.resource)
    response = issue_for_grant(
        provider,
        client.client,
        grant,
        target,
        profile,
        nonce=code.nonce,
        encryptor=await find_id_token_encryptor(provider, client.client, grant),
        position=position,
        now=now,
    )
    spent = replace(code, used_at=int(now), version=code.version + 1)
    changes: list[Change] = [Put(spent)]
    if sign_in.refresh is RefreshRule.NONE:
        lasting = replace(grant, version=grant.version + 1)
    else:
        end = int(now) + sign_in.refresh_lifetime
        lasting = replace(grant, expires_at=end, version=grant.version + 1)
        refresh = make_refresh_token(lasting, sign_in, now=now)
        response["refresh_token"] = refresh.text
        changes.append(Put(refresh.record))
    try:
        await provider.store.commit([*changes, Put(lasting)])
    except Conflict:
        held = await provider.store.find(Code, code.code_id)
        if held is not None and held.used_at is not None:  # a second use, at the same time
            await _end_family(provider, code, now=int(now))
        raise _refuse("code_raced") from None
    return response


async def _find_code(
    provider: Provider, client: AuthenticatedClient, request: TokenRequest
) -> Code:
    shown = request.parameters.get("code")
    if shown is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "code is missing.", reason="no_code")
    handle = parse_handle(CODE, shown)
    code = await provider.store.find(Code, handle.identifier) if handle else None
    if handle is None or code is None or not handle.opens(code.digest):
        raise _refuse("unknown_code")
    if code.client_id != client.client.client_id:
        raise _refuse("code_of_another_client")
    return code


def _check_code(code: Code, request: TokenRequest, *, now: int) -> None:
    if now >= code.valid_until:
        raise _refuse("code_expired")
    named = request.parameters.get("redirect_uri")
    if named != code.redirect_uri and (named is not None or code.code_challenge is None):
        raise _refuse("redirect_uri_differs")
    verifier = request.parameters.get("code_verifier")
    if code.code_challenge is None:
        if verifier is not None:  # RFC 9700 §4.8: somebody took the challenge away
            raise _refuse("no_challenge")
    elif verifier is None or not is_verifier_of(verifier, code.code_challenge):
        raise _refuse("wrong_verifier")


def _check_redirect(code: Code, sign_in: SignIn) -> None:
    """A code that was sent where the client is no more is anybody's."""
    if code.redirect_uri is None:
        return
    try:
        check_redirect_uri(
            code.redirect_uri, sign_in.redirect_uris, mode=ResponseMode.QUERY, state=None
        )
    except BadRedirectUri:
        raise _refuse("redirect_uri_gone") from None


async def _end_family(provider: Provider, code: Code, *, now: int) -> None:
    """A second use: whoever had the tokens of the first may be a thief (RFC 6749 §4.1.2)."""
    event = AuditEvent(
        at=now,
        actor=code.client_id,
        action="code.replay",
        target=code.grant_id,
        outcome="refused",
    )
    await end_grant(provider, code.grant_id, besides=[event])


def _refuse(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_GRANT, "The code is not good.", reason=reason)
