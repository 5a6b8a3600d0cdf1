"""Authorization server metadata: RFC 8414, served and read; and RFC 9728 of a resource, served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from urllib.parse import urlsplit

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.urls import check_issuer, parse_url

AUTHORIZATION_SERVER: Final = "/.well-known/oauth-authorization-server"
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"
PROTECTED_RESOURCE: Final = "/.well-known/oauth-protected-resource"
MAX_BYTES: Final = 65_536


class InvalidMetadata(Exception):
    """The issuer's document breaks RFC 8414; the message is fixed text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerMetadata:
    """What an authorization server says of itself (RFC 8414 §2, OpenID Connect Discovery §3), and
    where Dojang's revocation feed is. None is left out when served."""

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    registration_endpoint: str | None = None
    introspection_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes_supported: Sequence[str] | None = None
    response_types_supported: Sequence[str] | None = None
    response_modes_supported: Sequence[str] | None = None
    prompt_values_supported: Sequence[str] | None = None
    subject_types_supported: Sequence[str] | None = None
    id_token_signing_alg_values_supported: Sequence[str] | None = None
    userinfo_signing_alg_values_supported: Sequence[str] | None = None
    id_token_encryption_alg_values_supported: Sequence[str] | None = None
    id_token_encryption_enc_values_supported: Sequence[str] | None = None
    userinfo_encryption_alg_values_supported: Sequence[str] | None = None
    userinfo_encryption_enc_values_supported: Sequence[str] | None = None
    request_object_signing_alg_values_supported: Sequence[str] | None = None
    acr_values_supported: Sequence[str] | None = None
    claims_supported: Sequence[str] | None = None
    ui_locales_supported: Sequence[str] | None = None
    grant_types_supported: Sequence[str] | None = None
    token_endpoint_auth_methods_supported: Sequence[str] | None = None
    token_endpoint_auth_signing_alg_values_supported: Sequence[str] | None = None
    introspection_endpoint_auth_methods_supported: Sequence[str] | None = None
    introspection_endpoint_auth_signing_alg_values_supported: Sequence[str] | None = None
    revocation_endpoint_auth_methods_supported: Sequence[str] | None = None
    revocation_endpoint_auth_signing_alg_values_supported: Sequence[str] | None = None
    code_challenge_methods_supported: Sequence[str] | None = None
    claims_parameter_supported: bool | None = None
    request_parameter_supported: bool | None = None
    request_uri_parameter_supported: bool | None = None
    authorization_response_iss_parameter_supported: bool | None = None
    backchannel_logout_supported: bool | None = None
    backchannel_logout_session_supported: bool | None = None
    frontchannel_logout_supported: bool | None = None
    frontchannel_logout_session_supported: bool | None = None
    service_documentation: str | None = None
    dojang_feed_endpoint: str | None = None


_ENDPOINTS: Final = tuple(
    field.name for field in fields(ServerMetadata) if field.name.endswith(("_endpoint", "_uri"))
)
_FLAGS: Final = (
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "authorization_response_iss_parameter_supported",
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
    "frontchannel_logout_supported",
    "frontchannel_logout_session_supported",
)
_LISTS: Final = tuple(
    field.name
    for field in fields(ServerMetadata)
    if field.name.endswith("_supported") and field.name not in _FLAGS
)


def build_metadata(metadata: ServerMetadata) -> dict[str, Any]:
    """The document of RFC 8414 §3.2.

    Raises `ValueError` where the issuer or an endpoint is not https (off loopback).
    """
    check_issuer(metadata.issuer)
    for name in _ENDPOINTS:
        endpoint = getattr(metadata, name)
        if endpoint is not None:
            parse_url(endpoint)
    values = ((field.name, getattr(metadata, field.name)) for field in fields(metadata))
    return {
        name: value if isinstance(value, str | bool) else list(value)
        for name, value in values
        if value is not None
    }


def parse_metadata(document: bytes, *, issuer: str) -> ServerMetadata:
    """The metadata of `issuer`, and of no other (RFC 8414 §3.3).

    Members this library does not use are ignored. Raises `InvalidMetadata`.
    """
    try:
        members = json_object.parse(document, max_bytes=MAX_BYTES)
    except InvalidToken:
        raise InvalidMetadata("the metadata is not a JSON object") from None
    if members.get("issuer") != issuer:
        named = f"{members.get('issuer')!r:.200}"
        raise InvalidMetadata(f"the metadata names another issuer: {named}")
    found: dict[str, Any] = {"issuer": issuer}
    for name in _ENDPOINTS:
        if name in members:
            found[name] = _parse_endpoint(members[name])
    for name in _LISTS:
        if name in members:
            found[name] = _parse_texts(members[name])
    for name in _FLAGS:
        if name in members:
            found[name] = members[name] is True
    return ServerMetadata(**found)


def _parse_endpoint(value: Any) -> str:
    if isinstance(value, str):
        try:
            parse_url(value)
        except ValueError:
            pass
        else:
            return value
    raise InvalidMetadata("an endpoint of the metadata is not an https URL")


def _parse_texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return tuple(value)
    raise InvalidMetadata("a member of the metadata is not a list of texts")


def find_metadata_paths(issuer: str, *, openid: bool = False) -> tuple[str, ...]:
    """Where the metadata of `issuer` is served, best first: with the well-known part put before
    the issuer's path (RFC 8414 §3.1), and appended to it (RFC 8414 §5). For `openid` the place
    that every OpenID provider has (OpenID Connect Discovery §4) is the first."""
    path = urlsplit(issuer).path.rstrip("/")
    paths = (
        f"{AUTHORIZATION_SERVER}{path}",
        f"{OPENID_CONFIGURATION}{path}",
        f"{path}{OPENID_CONFIGURATION}",
        f"{path}{AUTHORIZATION_SERVER}",
    )
    return tuple(dict.fromkeys((paths[2], *paths) if openid else paths))


def find_resource_metadata_url(resource: str) -> str:
    """Where the metadata of a protected resource is served (RFC 9728 §3.1)."""
    parts = parse_url(resource)
    path = "" if parts.path == "/" else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{PROTECTED_RESOURCE}{path}{query}"


def build_resource_metadata(
    *, resource: str, authorization_servers: Sequence[str], scopes: Sequence[str] = ()
) -> dict[str, Any]:
    """The document of RFC 9728 §2 for a resource that takes tokens from the header only."""
    document: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": list(authorization_servers),
        "bearer_methods_supported": ["header"],
    }
    if scopes:
        document["scopes_supported"] = list(scopes)
    return document
