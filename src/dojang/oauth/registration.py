"""What a client says of itself when it registers (RFC 7591 §2, OpenID Connect Registration §2), and
how it is answered (RFC 7591 §3.2.1, RFC 7592 §3).

Members are checked for their types, and for what can be seen of them alone; what the server
supports and allows is its own to say. Unknown members are ignored (RFC 7591 §2).
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.authorization import CODE
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import ResponseMode

MAX_BYTES: Final = 32_768
MOST_ENTRIES: Final = 100
LONGEST_TEXT: Final = 2048
_PATH: Final = re.compile(r"`\$\.([a-z_]{1,64})")
# What the server says and a client repeats at its peril (RFC 7592 §2.2).
OF_THE_SERVER: Final = (
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
)


class ClientMetadata(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that is understood, with the defaults of its specifications."""

    redirect_uris: tuple[str, ...] = ()
    response_types: tuple[str, ...] = (CODE,)
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_modes: tuple[ResponseMode, ...] = tuple(ResponseMode)
    application_type: Literal["web", "native"] = "web"
    token_endpoint_auth_method: str = "client_secret_basic"
    token_endpoint_auth_signing_alg: str | None = None
    scope: str | None = None
    client_name: str | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    contacts: tuple[str, ...] = ()
    software_id: str | None = None
    software_version: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    subject_type: Literal["public", "pairwise"] = "public"
    sector_identifier_uri: str | None = None
    id_token_signed_response_alg: str = "RS256"
    userinfo_signed_response_alg: str | None = None
    id_token_encrypted_response_alg: str | None = None
    id_token_encrypted_response_enc: str | None = None
    userinfo_encrypted_response_alg: str | None = None
    userinfo_encrypted_response_enc: str | None = None
    request_object_signing_alg: str | None = None
    require_signed_request_object: bool = False
    require_pushed_authorization_requests: bool = False
    default_max_age: int | None = None
    require_auth_time: bool = False
    default_acr_values: tuple[str, ...] = ()
    initiate_login_uri: str | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: str | None = None
    frontchannel_logout_session_required: bool = False


def parse_members(body: bytes) -> dict[str, Any]:
    """The members of a registration request; a null counts as absent (RFC 7592 §2.2).

    Raises `OAuthError`.
    """
    try:
        members = json_object.parse(body, max_bytes=MAX_BYTES)
    except InvalidToken as error:
        raise refuse_metadata("The metadata is not a JSON object.", "not_json") from error
    return {name: value for name, value in members.items() if value is not None}


def parse_client_metadata(members: dict[str, Any]) -> ClientMetadata:
    """Raises `OAuthError`: INVALID_CLIENT_METADATA, INVALID_REDIRECT_URI."""
    try:
        metadata = msgspec.convert(members, ClientMetadata)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        name = found.group(1) if found else "a member"
        raise _refuse(name, f"{name} has a wrong type or value.", "wrong_type") from None
    for name in ClientMetadata.__struct_fields__:
        _check_texts(name, getattr(metadata, name))
    return metadata


def _check_texts(name: str, value: object) -> None:
    """Raises `OAuthError` for texts that no store holds and no page shows, or too many of them."""
    texts = value if isinstance(value, tuple) else (value,)
    if len(texts) > MOST_ENTRIES:
        raise _refuse(name, f"{name} has more than {MOST_ENTRIES} entries.", "too_many")
    for text in texts:
        if isinstance(text, str) and not (0 < len(text) <= LONGEST_TEXT and text.isprintable()):
            raise _refuse(name, f"{name} is empty, too long, or not printable.", "bad_text")


def build_metadata(metadata: ClientMetadata) -> dict[str, Any]:
    """What is registered, defaults included; what was not said is left out."""
    said: dict[str, Any] = msgspec.to_builtins(metadata)
    return {name: value for name, value in said.items() if value not in (None, (), [])}


def refuse_metadata(description: str, reason: str) -> OAuthError:
    """RFC 7591 §3.2.2."""
    return OAuthError(ErrorCode.INVALID_CLIENT_METADATA, description, reason=reason)


def _refuse(name: str, description: str, reason: str) -> OAuthError:
    if name == "redirect_uris":
        return OAuthError(ErrorCode.INVALID_REDIRECT_URI, description, reason=reason)
    return refuse_metadata(description, reason)
