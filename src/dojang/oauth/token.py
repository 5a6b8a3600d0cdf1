"""The token request and response (RFC 6749 §4.4, §5.1; RFC 8707 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Response, build_json


class TokenRequest(NamedTuple):
    """What a client asks of the token endpoint, nothing of it checked. None: not said."""

    grant_type: str
    resource: str | None
    scope: str | None
    parameters: Mapping[str, str]


def parse_token_request(form: Mapping[str, str]) -> TokenRequest:
    """Raises `OAuthError(INVALID_REQUEST)` where `grant_type` is missing."""
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "grant_type is missing.", reason="no_grant_type"
        )
    return TokenRequest(grant_type, form.get("resource"), form.get("scope"), form)


def build_token_response(access_token: str, *, expires_in: int, scope: str) -> Response:
    """`expires_in` is in seconds; `scope` is what was granted, always said."""
    return build_json(
        200,
        {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": scope,
        },
    )
