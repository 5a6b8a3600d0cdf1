"""From what a client says of itself to the client that is asked for: what this server supports, and
what the operator lets such clients have. Whatever is neither is refused, never left out silently
(RFC 7591 §3.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from dojang.oauth.authorization import CODE
from dojang.oauth.errors import OAuthError
from dojang.oauth.registration import ClientMetadata, refuse_metadata
from dojang.oauth.scopes import parse_scope
from dojang.server.admin.client_plans import AddClient
from dojang.server.admin.sign_in import SignInWanted
from dojang.server.model import AuthenticationMethod, Profile
from dojang.server.registration_policy import RegistrationPolicy
from dojang.server.understood_metadata import DEFAULT_ENCRYPTION, build_sign_in, check_supported

if TYPE_CHECKING:
    from dojang.server.provider import Provider

GRANT_TYPES: Final = ("authorization_code", "refresh_token")


def build_wanted(
    provider: Provider, policy: RegistrationPolicy, metadata: ClientMetadata, sector: str | None
) -> tuple[AddClient, ClientMetadata]:
    """The client that is asked for, and its metadata as they are registered.

    Raises `OAuthError(INVALID_CLIENT_METADATA)`.
    """
    check_supported(metadata, GRANT_TYPES)
    if CODE not in metadata.response_types or GRANT_TYPES[0] not in metadata.grant_types:
        raise refuse_metadata(
            "response_types and grant_types are code and authorization_code at least.",
            "no_code",
        )
    scopes, resources = _find_scopes(provider, policy, metadata)
    public = metadata.token_endpoint_auth_method == AuthenticationMethod.NONE
    sign_in = build_sign_in(metadata) | {
        "profile": Profile.OAUTH21 if public else policy.profile,
        "scopes": scopes,
        "resources": resources,
        "sector": sector,
    }
    asked = AddClient(
        name=metadata.client_name or "",
        authentication=AuthenticationMethod(metadata.token_endpoint_auth_method),
        jwks=metadata.jwks,
        jwks_uri=metadata.jwks_uri,
        sign_in=msgspec.convert(sign_in, SignInWanted),
    )
    for which in ("id_token", "userinfo"):  # Registration §2: where an alg is named alone
        metadata = _add_default_encryption(metadata, which)
    named = (*scopes, *(scope for each in resources.values() for scope in each))
    return asked, replace(metadata, scope=" ".join(dict.fromkeys(named)))


def _add_default_encryption(metadata: ClientMetadata, which: str) -> ClientMetadata:
    algorithm = getattr(metadata, f"{which}_encrypted_response_alg")
    name = f"{which}_encrypted_response_enc"
    if algorithm is None or getattr(metadata, name) is not None:
        return metadata
    return replace(metadata, **{name: DEFAULT_ENCRYPTION})


def _find_scopes(
    provider: Provider, policy: RegistrationPolicy, metadata: ClientMetadata
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """What it may ask people for: all that the policy lets it, or the part that it names."""
    resources = policy.find_resources(provider.state.resources)
    if metadata.scope is None:
        return policy.scopes, resources
    try:
        named = set(parse_scope(metadata.scope))
    except OAuthError as error:
        raise refuse_metadata("scope is malformed.", error.reason) from error
    allowed = {*policy.scopes, *(scope for each in resources.values() for scope in each)}
    if not named <= allowed:
        raise refuse_metadata(
            f"scope: a client that registers itself may have {' '.join(sorted(allowed))}.",
            "scope_not_allowed",
        )
    narrowed = {
        name: kept
        for name, scopes in resources.items()
        if (kept := tuple(scope for scope in scopes if scope in named))
    }
    return tuple(scope for scope in policy.scopes if scope in named), narrowed
