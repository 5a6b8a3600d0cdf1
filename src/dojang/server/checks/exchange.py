"""What a client may exchange a token for: where the new one may be used, and what for (RFC 8693).

A scope is given only where the subject token carries what the rule for it needs. So nothing is ever
widened but by a rule that an operator wrote down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.scopes import parse_scope
from dojang.server.model import AuthenticationMethod, Client, ExchangeGrant, Resource


class ExchangeTarget(NamedTuple):
    """A resource, and what the client may have for it."""

    resource: Resource
    grant: ExchangeGrant


def check_may_exchange(client: Client) -> None:
    """Raises `OAuthError(UNAUTHORIZED_CLIENT)` for one that nobody let, or that proves nothing."""
    if not client.exchanges or client.authentication is AuthenticationMethod.NONE:
        raise OAuthError(
            ErrorCode.UNAUTHORIZED_CLIENT,
            "The client may not exchange tokens.",
            reason="may_not_exchange",
        )


def check_exchange_target(
    client: Client, resources: Mapping[str, Resource], named: str | None
) -> ExchangeTarget:
    """The one target; a client that may exchange for a single one need not name it.

    Raises `OAuthError(INVALID_TARGET)`, the same for a resource that does not exist and one that
    the client may not exchange for.
    """
    grants = client.exchanges
    if named is not None:
        grants = tuple(grant for grant in grants if grant.resource == named)
    elif len(grants) > 1:
        raise OAuthError(
            ErrorCode.INVALID_TARGET,
            "The client may exchange for several resources: name one.",
            reason="no_target_named",
        )
    resource = resources.get(grants[0].resource) if grants else None
    if resource is None:
        raise OAuthError(
            ErrorCode.INVALID_TARGET,
            "The client may not exchange for this resource.",
            reason="target_not_allowed",
        )
    return ExchangeTarget(resource, grants[0])


def check_exchange_scope(target: ExchangeTarget, held: str, requested: str | None) -> str:
    """The scope of the new token: what was asked for, or all that the rules give to a subject token
    of the scope `held`. Raises `OAuthError(INVALID_SCOPE)`."""
    carried = set(parse_scope(held))
    allowed = [
        scope
        for rule in target.grant.rules
        if rule.needs and carried.issuperset(rule.needs)
        for scope in rule.gives
        if scope in target.resource.scopes
    ]
    granted = allowed if requested is None else parse_scope(requested)
    if not granted or not set(granted) <= set(allowed):
        raise OAuthError(
            ErrorCode.INVALID_SCOPE,
            "The client may not exchange this token for this scope.",
            reason="scope_not_exchanged",
        )
    return " ".join(dict.fromkeys(granted))
