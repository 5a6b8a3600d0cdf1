"""Requests that name a token: introspection (RFC 7662 §2.1) and revocation (RFC 7009 §2.1)."""

from __future__ import annotations

from collections.abc import Mapping

from dojang.oauth.errors import ErrorCode, OAuthError


def parse_token_reference(form: Mapping[str, str]) -> str:
    """The token a request is about. `token_type_hint` may help nobody here: it is ignored, as
    both RFCs allow. Raises `OAuthError(INVALID_REQUEST)` where there is no token."""
    token = form.get("token")
    if token is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "token is missing.", reason="no_token")
    return token
