"""The token exchange grant (RFC 8693): a service that was called calls another, for the subject of
the token that it was called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.revocation_fact import Rev
from dojang.oauth.token import TokenRequest
from dojang.oauth.token_exchange import JWT, ExchangeRequest, parse_exchange_request
from dojang.server.access_tokens import (
    AccessTokenClaims,
    Actor,
    Ancestor,
    find_root,
    write_access_token,
)
from dojang.server.authentication import AuthenticatedClient
from dojang.server.checks.exchange import (
    ExchangeTarget,
    check_exchange_scope,
    check_exchange_target,
    check_may_exchange,
)
from dojang.server.ids import new_id
from dojang.server.live_grants import find_live_grant
from dojang.server.live_tokens import LiveToken, find_live_token
from dojang.server.model import Client, Position, TokenFormat

if TYPE_CHECKING:
    from dojang.server.provider import Provider

MOST_ANCESTORS: Final = 5


async def grant_token_exchange(
    provider: Provider,
    client: AuthenticatedClient,
    request: TokenRequest,
    *,
    position: Position,
    now: float,
) -> dict[str, Any]:
    """May the client exchange → for this target → is the subject token good, and the client's to
    exchange → for this scope → a token that rests on it. No row is written.

    The position was read before all of it: what ends the subject token from then on ends what
    comes of it. Raises `OAuthError` and `Unavailable`.
    """
    check_may_exchange(client.client)
    asked = parse_exchange_request(request.parameters)
    target = check_exchange_target(client.client, provider.state.resources, asked.target)
    if asked.wanted_type == JWT and target.resource.token_format is not TokenFormat.JWT:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST,
            "Tokens for this resource are not JWTs.",
            reason="requested_token_type",
        )
    subject = await _find_subject(provider, client.client, asked, now=int(now))
    scope = check_exchange_scope(target, subject.claims.scope, request.scope)
    claims = _derive(subject, client.client, target, scope, position=position, now=now)
    return {
        "access_token": write_access_token(provider.state.keys, claims, target.resource),
        "issued_token_type": asked.wanted_type,
        "token_type": "Bearer",
        "expires_in": claims.exp - claims.iat,
        "scope": scope,
    }


async def _find_subject(
    provider: Provider, client: Client, asked: ExchangeRequest, *, now: int
) -> LiveToken:
    """The subject token: good, for a resource whose service the client is, and of a person who
    still has the grant. Raises `OAuthError(INVALID_REQUEST)` (RFC 8693 §2.2.2), the same whatever
    is wrong with it."""
    live = await find_live_token(provider, asked.subject_token, now=now)
    if live is None:
        raise _refuse("subject_token_refused")
    if client.client_id not in live.resource.introspectors:
        raise _refuse("subject_token_of_another_service")
    if asked.subject_type == JWT and live.resource.token_format is not TokenFormat.JWT:
        raise _refuse("subject_token_type")
    root = find_root(live.claims)
    if root.client_id != live.claims.sub:
        try:
            await find_live_grant(provider, root.grant, now=now)
        except OAuthError as error:
            raise _refuse(error.reason) from None
    if len(live.claims.ancestors) >= MOST_ANCESTORS:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST,
            "The subject token comes of too many exchanges.",
            reason="chain_too_long",
        )
    return live


def _derive(
    subject: LiveToken,
    client: Client,
    target: ExchangeTarget,
    scope: str,
    *,
    position: Position,
    now: float,
) -> AccessTokenClaims:
    """The claims of the new token. It is about the same subject, by the same name; it ends no later
    than the subject token, and by whatever ends that one or any before it."""
    before, at = subject.claims, int(now)
    parent = Ancestor(before.jti, before.grant, before.client_id, subject.kid)
    former = before.act
    if former is None and before.client_id != before.sub:  # a person's app acts for the person
        former = Actor(before.client_id)
    return AccessTokenClaims(
        before.iss,
        before.sub,
        target.resource.identifier,
        client.client_id,
        min(at + target.resource.access_token_lifetime, before.exp),
        at,
        new_id(int(now * 1000)),
        scope,
        target.grant.grant_id,
        Rev(position.epoch, position.head),
        before.sid,
        before.auth_time,
        before.acr,
        before.amr,
        Actor(client.client_id, former),
        (parent, *before.ancestors),
    )


def _refuse(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, "The subject token is not good.", reason=reason)
