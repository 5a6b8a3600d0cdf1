"""What this server understands of client metadata (RFC 7591 §2, OpenID Connect Registration §2),
whoever says them: the client of itself, or an operator of a client."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from dojang.fetch import FetchFailed, FetchRequest
from dojang.oauth.authorization import CODE
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import check_registered_redirect_uri
from dojang.oauth.registration import ClientMetadata, refuse_metadata
from dojang.oauth.urls import is_loopback, parse_url
from dojang.server.model import AuthenticationMethod, RefreshRule

if TYPE_CHECKING:
    from dojang.server.provider import Provider

# Members of `SignInWanted` that say what members of the metadata say, letter for letter.
SAID_ALIKE: Final[Mapping[str, str]] = {
    "redirect_uris": "redirect_uris",
    "response_modes": "response_modes",
    "application_type": "application_type",
    "subject_type": "subject_type",
    "id_token_algorithm": "id_token_signed_response_alg",
    "userinfo_algorithm": "userinfo_signed_response_alg",
    "assertion_algorithm": "token_endpoint_auth_signing_alg",
    "request_object_algorithm": "request_object_signing_alg",
    "require_signed_request_object": "require_signed_request_object",
    "require_pushed": "require_pushed_authorization_requests",
    "default_max_age": "default_max_age",
    "post_logout_redirect_uris": "post_logout_redirect_uris",
    "backchannel_logout_uri": "backchannel_logout_uri",
    "frontchannel_logout_uri": "frontchannel_logout_uri",
    "client_uri": "client_uri",
    "logo_uri": "logo_uri",
    "policy_uri": "policy_uri",
    "tos_uri": "tos_uri",
}
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


def check_supported(metadata: ClientMetadata, grant_types: Collection[str]) -> None:
    """Raises `OAuthError(INVALID_CLIENT_METADATA)` for what this server does not do, or such a
    client may not."""
    supported: dict[str, Collection[str]] = {
        "response_types": (CODE,),
        "grant_types": grant_types,
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


def build_sign_in(metadata: ClientMetadata) -> dict[str, Any]:
    """What metadata say of how people sign in, as members of `SignInWanted`: all but the scopes and
    the sector, which others have a say in. Raises `OAuthError(INVALID_CLIENT_METADATA)`."""
    said = {ours: getattr(metadata, theirs) for ours, theirs in SAID_ALIKE.items()}
    refreshes = "refresh_token" in metadata.grant_types
    return said | {
        "refresh": RefreshRule.ROTATING if refreshes else RefreshRule.NONE,
        "id_token_encryption": _find_encryption(
            metadata.id_token_encrypted_response_alg, metadata.id_token_encrypted_response_enc
        ),
        "userinfo_encryption": _find_encryption(
            metadata.userinfo_encrypted_response_alg, metadata.userinfo_encrypted_response_enc
        ),
    }


def _find_encryption(algorithm: str | None, encryption: str | None) -> tuple[str, str] | None:
    if algorithm is None:
        if encryption is not None:
            raise refuse_metadata("An enc stands without its alg.", "enc_without_alg")
        return None
    return algorithm, encryption or DEFAULT_ENCRYPTION
