"""What an authorization request may ask for, once its redirect target is proven: PKCE by the
client's profile (RFC 9700 §2.1.1), scopes, and the one resource (RFC 8707 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from dojang.oauth.authorization import AuthorizationRequest
from dojang.oauth.claims import SCOPES, find_claims_scopes, limit_claims
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.server.model import Profile, Resource, SignIn


class Wanted(Struct, frozen=True, kw_only=True):
    """What a client wants of a person: scopes about themselves, those at one resource, and of the
    claims parameter what it may have."""

    scopes: tuple[str, ...]
    resource: str | None = None
    resource_scopes: tuple[str, ...] = ()
    claims: dict[str, Any] = {}

    @property
    def personal_scopes(self) -> tuple[str, ...]:
        """What the person must have allowed of themselves: a single claim is a part of a scope."""
        return tuple(dict.fromkeys((*self.scopes, *find_claims_scopes(self.claims))))


def check_pkce(request: AuthorizationRequest, sign_in: SignIn) -> None:
    """Raises `OAuthError(INVALID_REQUEST)` where the client must prove that the code is its own
    and brings no challenge."""
    if request.code_challenge is None and (sign_in.public or sign_in.profile is Profile.OAUTH21):
        raise OAuthError(
            ErrorCode.INVALID_REQUEST,
            "code_challenge is missing: this client uses PKCE with S256.",
            reason="no_code_challenge",
        )


def check_wanted(
    request: AuthorizationRequest, sign_in: SignIn, resources: Mapping[str, Resource]
) -> Wanted:
    """What may be granted, of what is asked for. A scope that nobody knows is passed over (OpenID
    Connect Core §3.1.2.1); one that the client may not have is refused. A claim that it may not
    have is passed over (§5.5.1).

    Raises `OAuthError`: `invalid_scope`, `invalid_target`.
    """
    personal = tuple(scope for scope in request.scopes if scope in SCOPES)
    if not set(personal) <= set(sign_in.scopes):
        raise _refuse_scope("The client may not have this scope.", "scope_not_registered")
    rest = [scope for scope in request.scopes if scope not in SCOPES]
    resource = _find_resource(request.resource, rest, sign_in, resources)
    at_resource: tuple[str, ...] = ()
    if resource is not None:
        allowed = set(sign_in.resources[resource.identifier]) & set(resource.scopes)
        known = set(resource.scopes)
        if any(scope in known and scope not in allowed for scope in rest):
            raise _refuse_scope(
                "The client may not have this scope at this resource.", "scope_not_registered"
            )
        at_resource = tuple(scope for scope in rest if scope in allowed)
    if not personal and not at_resource:
        raise _refuse_scope("No scope is asked for that the client may have.", "no_scope")
    return Wanted(
        scopes=personal,
        resource=resource.identifier if resource and at_resource else None,
        resource_scopes=at_resource,
        claims=limit_claims(request.claims, sign_in.scopes),
    )


def _find_resource(
    named: str | None, scopes: list[str], sign_in: SignIn, resources: Mapping[str, Resource]
) -> Resource | None:
    """The resource that is named, or the only one of the client's that knows the scopes."""
    if named is not None:
        if named not in sign_in.resources or named not in resources:
            raise OAuthError(
                ErrorCode.INVALID_TARGET,
                "The client may not use this resource.",
                reason="resource_not_registered",
            )
        return resources[named]
    fitting = [
        resources[name]
        for name in sign_in.resources
        if name in resources and set(scopes) & set(resources[name].scopes)
    ]
    if len(fitting) > 1:
        raise OAuthError(
            ErrorCode.INVALID_TARGET,
            "Several resources have these scopes: name one with the resource parameter.",
            reason="no_resource_named",
        )
    return fitting[0] if fitting else None


def _refuse_scope(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_SCOPE, description, reason=reason)
