"""What the protocol says when it refuses, and to whom.

Three roots, by whose fault it is:

- `OAuthError`: the peer broke the protocol. It carries what the peer sees (a code and a fixed
  description) and, apart from it, what operators see (a reason).
- `ValueError` and `TypeError`: our caller misused us.
- `Unavailable`: the world failed; the answer is not known, so nobody is told "no".
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Error codes of RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 8707 §2, RFC 8693 §2.2.2,
    RFC 9101 §7, RFC 7591 §3.2.2 and OpenID Connect Core §3.1.2.6, and Dojang's own for one
    client's many followers."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    INVALID_TOKEN = "invalid_token"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    ACCESS_DENIED = "access_denied"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    INTERACTION_REQUIRED = "interaction_required"
    UNMET_AUTHENTICATION_REQUIREMENTS = "unmet_authentication_requirements"
    INVALID_REQUEST_OBJECT = "invalid_request_object"
    INVALID_REQUEST_URI = "invalid_request_uri"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    INVALID_REDIRECT_URI = "invalid_redirect_uri"
    INVALID_CLIENT_METADATA = "invalid_client_metadata"
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    TOO_MANY_FOLLOWERS = "too_many_followers"


class OAuthError(Exception):
    """The peer broke the protocol.

    `code` and `description` go to the peer; `reason` goes to operators and is one fixed word,
    never data of the request.
    """

    def __init__(self, code: ErrorCode, description: str, *, reason: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.reason = reason


class Unavailable(Exception):
    """The world failed, so the answer is unknown.

    `what` names the part that failed; `retry_after` is in seconds.
    """

    def __init__(self, what: str, *, retry_after: int = 1) -> None:
        super().__init__(f"{what} is unavailable")
        self.what = what
        self.retry_after = retry_after
