"""From what a client says of itself to the client that is asked for: what this server supports, and
what the operator lets such clients have. Whatever is neither is refused, never left out silently
(RFC 7591 §3.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from dojang.fetch import FetchFailed, FetchRequest
from dojang.oauth.authorization import CODE
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import check_registered_redirect_uri
from dojang.oauth.registration import ClientMetadata, refuse_metadata
from dojang.oauth.scopes import parse_scope
from dojang.oauth.urls import is_loopback, parse_url
from dojang.server.admin.client_plans import AddClient
from dojang.server.admin.sign_in import SignInWanted
from dojang.server.model import (
    ApplicationType,
    AuthenticationMethod,
    Profile,
    RefreshRule,
    SubjectType,
)
from dojang.server.registration_policy import RegistrationPolicy

if TYPE_CHECKING:
    from dojang.server.provider import Provider

GRANT_TYPES: Final = ("authorization_code", "refresh_token")
DEFAULT_ENCRYPTION: Final = "A128CBC-HS256"  # OpenID Connect Registration §2
TIMEOUT: Final = 4.0
_parse_texts: Final = msgspec.json.Decoder(list[str]).decode


def check_redirect_uris(metadata: ClientMetadata) -> None:
    """By the rule of every client; said apart, because it has an error of its own.

    Raises `OAuthError(INVALID_REDIRECT_URI)`.
    """
    native = metadata.application_type == "native"
    if not metadata.redirect_uris:
        raise _bad_redirect("redirect_uris is missing.")
    for uri in metadata.redirect_uris:
        try:
            check_registered_redirect_uri(uri, native=native)
        except ValueError as error:
            raise _bad_redirect(f"{error}.") from None


def _bad_redirect(description: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REDIRECT_URI, description, reason="redirect_uri")


async def find_sector(provider: Provider, metadata: ClientMetadata) -> str | None:
    """The host by which a client with pairwise subjects knows people (OpenID Connect Core §8.1);
    what lies at `sector_identifier_uri` names every redirect URI (Registration §5).

    Raises `OAuthError(INVALID_CLIENT_METADATA)`.
    """
    uri = metadata.sector_identifier_uri
    if uri is not None:
        named = await _fetch_sector(provider, uri)
        if not set(metadata.redirect_uris) <= set(named):
            raise refuse_metadata(
                "What lies at sector_identifier_uri does not name every redirect URI.",
                "sector_lacks_redirect_uri",
            )
        return urlsplit(uri).hostname
    if metadata.subject_type != "pairwise":
        return None
    hosts = {_find_host(each) for each in metadata.redirect_uris}
    if len(hosts) > 1:
        raise refuse_metadata(
            "Redirect URIs of several hosts need a sector_identifier_uri.", "no_sector"
        )
    return hosts.pop()


def _find_host(redirect_uri: str) -> str | None:
    """None for what every machine has: clients there have nothing in common. What a private scheme
    calls its host is nobody's: whoever has the scheme writes it."""
    parts = urlsplit(redirect_uri)
    if parts.scheme != "https" or parts.hostname is None or is_loopback(parts.hostname):
        return None
    return parts.hostname


async def _fetch_sector(provider: Provider, uri: str) -> list[str]:
    unreadable = refuse_metadata("sector_identifier_uri cannot be read.", "sector_unreadable")
    try:
        provider.outward.check(uri)
        response = await provider.outward.send(
            FetchRequest("GET", uri, (("Accept", "application/json"),), timeout=TIMEOUT)
        )
        named = _parse_texts(response.body)
    except (FetchFailed, ValueError, RecursionError) as error:
        raise unreadable from error
    if response.status != 200:
        raise unreadable
    return named


def build_wanted(
    provider: Provider, policy: RegistrationPolicy, metadata: ClientMetadata, sector: str | None
) -> tuple[AddClient, ClientMetadata]:
    """The client that is asked for, and its metadata as they are registered.

    Raises `OAuthError(INVALID_CLIENT_METADATA)`.
    """
    _check_supported(metadata)
    scopes, resources = _find_scopes(provider, policy, metadata)
    public = metadata.token_endpoint_auth_method == AuthenticationMethod.NONE
    refreshes = "refresh_token" in metadata.grant_types
    wanted = SignInWanted(
        redirect_uris=metadata.redirect_uris,
        profile=Profile.OAUTH21 if public else policy.profile,
        response_modes=metadata.response_modes,
        application_type=ApplicationType(metadata.application_type),
        scopes=scopes,
        resources=resources,
        refresh=RefreshRule.ROTATING if refreshes else RefreshRule.NONE,
        subject_type=SubjectType(metadata.subject_type),
        sector=sector,
        id_token_algorithm=metadata.id_token_signed_response_alg,
        id_token_encryption=_find_encryption(
            metadata.id_token_encrypted_response_alg, metadata.id_token_encrypted_response_enc
        ),
        userinfo_encryption=_find_encryption(
            metadata.userinfo_encrypted_response_alg, metadata.userinfo_encrypted_response_enc
        ),
        userinfo_algorithm=metadata.userinfo_signed_response_alg,
        assertion_algorithm=metadata.token_endpoint_auth_signing_alg,
        request_object_algorithm=metadata.request_object_signing_alg,
        require_signed_request_object=metadata.require_signed_request_object,
        require_pushed=metadata.require_pushed_authorization_requests,
        default_max_age=metadata.default_max_age,
        post_logout_redirect_uris=metadata.post_logout_redirect_uris,
        backchannel_logout_uri=metadata.backchannel_logout_uri,
        frontchannel_logout_uri=metadata.frontchannel_logout_uri,
        client_uri=metadata.client_uri,
        logo_uri=metadata.logo_uri,
        policy_uri=metadata.policy_uri,
        tos_uri=metadata.tos_uri,
    )
    asked = AddClient(
        name=metadata.client_name or "",
        authentication=AuthenticationMethod(metadata.token_endpoint_auth_method),
        jwks=metadata.jwks,
        jwks_uri=metadata.jwks_uri,
        sign_in=wanted,
    )
    for which in ("id_token", "userinfo"):  # Registration §2: where an alg is named alone
        metadata = _add_default_encryption(metadata, which)
    named = (*scopes, *(scope for each in resources.values() for scope in each))
    return asked, replace(metadata, scope=" ".join(dict.fromkeys(named)))


def _find_encryption(algorithm: str | None, encryption: str | None) -> tuple[str, str] | None:
    if algorithm is None:
        if encryption is not None:
            raise refuse_metadata("An enc stands without its alg.", "enc_without_alg")
        return None
    return algorithm, encryption or DEFAULT_ENCRYPTION


def _add_default_encryption(metadata: ClientMetadata, which: str) -> ClientMetadata:
    algorithm = getattr(metadata, f"{which}_encrypted_response_alg")
    name = f"{which}_encrypted_response_enc"
    if algorithm is None or getattr(metadata, name) is not None:
        return metadata
    return replace(metadata, **{name: DEFAULT_ENCRYPTION})


def _check_supported(metadata: ClientMetadata) -> None:
    supported: dict[str, tuple[Any, ...]] = {
        "response_types": (CODE,),
        "grant_types": GRANT_TYPES,
        "token_endpoint_auth_method": tuple(AuthenticationMethod),
    }
    for name, known in supported.items():
        value = getattr(metadata, name)
        if not set(value if isinstance(value, tuple) else (value,)) <= set(known):
            raise refuse_metadata(f"{name}: supported are {', '.join(known)}.", "unsupported")
    if metadata.initiate_login_uri is not None:
        try:
            parse_url(metadata.initiate_login_uri)
        except ValueError as error:
            raise refuse_metadata(f"initiate_login_uri: {error}.", "initiate_login_uri") from None
    if CODE not in metadata.response_types or GRANT_TYPES[0] not in metadata.grant_types:
        raise refuse_metadata(
            "response_types and grant_types are code and authorization_code at least.",
            "no_code",
        )


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
