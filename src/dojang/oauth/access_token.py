"""Claims of an access token: RFC 9068 §2.2.

Owns what the claims must be and what is compared with what the caller expects. Proving the
signature or the seal comes before, revocation after; neither is done here.
"""

from __future__ import annotations

from typing import Any, Final

from dojang.jose.errors import InvalidToken, Reason

MEDIA_TYPE: Final = "at+jwt"  # RFC 9068 §2.1
MAX_LEEWAY: Final = 60  # seconds
_NUMBERS: Final = frozenset((int, float))  # bool is neither


class AccessToken:
    """Claims whose presence and types are checked; what they say is not.

    Times are seconds since 1970. `token_id` and `issued_at` may be None where an issuer's answer
    to introspection leaves them out (RFC 7662 §2.2).
    """

    __slots__ = (
        "audience",
        "claims",
        "client_id",
        "expires_at",
        "issued_at",
        "issuer",
        "not_before",
        "subject",
        "token_id",
    )

    issuer: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    expires_at: float
    issued_at: float | None
    not_before: float | None
    token_id: str | None
    claims: dict[str, Any]

    def __repr__(self) -> str:
        return f"AccessToken(token_id={self.token_id!r})"


def parse_access_token(claims: dict[str, Any], *, introspected: bool = False) -> AccessToken:
    """Claims, proven to be there and of the right types.

    Required are iss, sub, aud, client_id, exp, iat and jti (RFC 9068 §2.2); iat and jti are not
    where the claims are an answer to introspection (RFC 7662 §2.2). Optional, but of the right
    type: nbf, scope. All others are opaque here.
    Raises `InvalidToken(BAD_CLAIM)`.
    """
    find = claims.get
    token = AccessToken()
    token.claims = claims
    token.issuer = issuer = find("iss")  # type: ignore[assignment]
    token.subject = subject = find("sub")  # type: ignore[assignment]
    token.client_id = client_id = find("client_id")  # type: ignore[assignment]
    if type(issuer) is not str or not issuer:
        raise _bad("iss is not a text")
    if type(subject) is not str or not subject:
        raise _bad("sub is not a text")
    if type(client_id) is not str or not client_id:
        raise _bad("client_id is not a text")
    token.audience = _parse_audience(find("aud"))

    token.expires_at = expires_at = find("exp")  # type: ignore[assignment]
    token.issued_at = issued_at = find("iat")
    token.not_before = not_before = find("nbf")
    if type(expires_at) not in _NUMBERS:
        raise _bad("exp is not a number")
    if type(issued_at) not in _NUMBERS and (not introspected or issued_at is not None):
        raise _bad("iat is not a number")
    if not_before is not None and type(not_before) not in _NUMBERS:
        raise _bad("nbf is not a number")

    token.token_id = token_id = find("jti")
    if (type(token_id) is not str or not token_id) and (not introspected or token_id is not None):
        raise _bad("jti is not a text")
    if type(find("scope", "")) is not str:
        raise _bad("scope is not a text")
    return token


def _parse_audience(value: Any) -> tuple[str, ...]:
    if type(value) is str:
        return (value,)
    if type(value) is list and value and all(type(name) is str for name in value):
        return tuple(value)
    raise _bad("aud is not a text or a list of texts")


def _bad(detail: str) -> InvalidToken:
    return InvalidToken(Reason.BAD_CLAIM, detail)


def check_access_token(
    token: AccessToken, *, issuer: str, audience: str, now: float, leeway: float
) -> None:
    """Compare with what is expected: issuer and audience exactly, times within `leeway` seconds.

    Raises `InvalidToken`: WRONG_ISSUER, WRONG_AUDIENCE, EXPIRED or NOT_YET_VALID.
    """
    if token.issuer != issuer:  # RFC 9068 §4: exactly
        raise InvalidToken(Reason.WRONG_ISSUER, "iss is another issuer")
    if audience not in token.audience:
        raise InvalidToken(Reason.WRONG_AUDIENCE, "aud does not name this service")
    if now >= token.expires_at + leeway:  # RFC 7519 §4.1.4
        raise InvalidToken(Reason.EXPIRED, "exp is past")
    if token.not_before is not None and now < token.not_before - leeway:  # RFC 7519 §4.1.5
        raise InvalidToken(Reason.NOT_YET_VALID, "nbf is to come")
    if token.issued_at is not None and now < token.issued_at - leeway:
        raise InvalidToken(Reason.NOT_YET_VALID, "iat is to come")
