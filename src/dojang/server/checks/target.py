"""Where a token may be used (RFC 8707 §2) and what for (RFC 6749 §3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.scopes import parse_scope
from dojang.server.model import Client, Resource, StandingGrant


class Target(NamedTuple):
    """A resource and the client's standing grant there."""

    resource: Resource
    grant: StandingGrant


def check_target(
    client: Client, resources: Mapping[str, Resource], requested: str | None
) -> Target:
    """The one resource that a token is asked for; a client with a single grant need not name it.

    Raises `OAuthError(INVALID_TARGET)`, the same for a resource that does not exist and one that
    the client may not use.
    """
    grants = client.grants
    if requested is not None:
        grants = tuple(grant for grant in grants if grant.resource == requested)
    elif len(grants) > 1:
        raise OAuthError(
            ErrorCode.INVALID_TARGET,
            "The client may use several resources: name one with the resource parameter.",
            reason="no_resource_named",
        )
    resource = resources.get(grants[0].resource) if grants else None
    if resource is None:
        raise OAuthError(
            ErrorCode.INVALID_TARGET,
            "The client may not use this resource.",
            reason="resource_not_granted",
        )
    return Target(resource, grants[0])


def check_scope(target: Target, requested: str | None) -> str:
    """The scope of the token: what was asked for, or all of the grant where nothing was.

    A scope that the resource has dropped since is in no token. Raises `OAuthError(INVALID_SCOPE)`.
    """
    registered = target.resource.scopes
    allowed = [scope for scope in target.grant.scopes if scope in registered]
    if requested is None:
        granted = allowed
    else:
        granted = list(parse_scope(requested))
        if not set(granted) <= set(allowed):
            raise OAuthError(
                ErrorCode.INVALID_SCOPE,
                "The client may not have this scope at this resource.",
                reason="scope_not_granted",
            )
    if not granted:
        raise OAuthError(
            ErrorCode.INVALID_SCOPE,
            "The client has no scope at this resource.",
            reason="no_scope_left",
        )
    return " ".join(granted)
