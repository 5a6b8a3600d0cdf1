"""A token request that passed every check, and the answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dojang.oauth.http import Response
from dojang.oauth.token import build_token_response
from dojang.server.access_tokens import issue_access_token
from dojang.server.checks.target import Target
from dojang.server.model import Client, Position

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class CheckedRequest(NamedTuple):
    """What is to be issued: to whom, for where, for what."""

    client: Client
    target: Target
    scope: str


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
