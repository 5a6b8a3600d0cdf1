"""Request objects: an authorization request that its client signed (RFC 9101 §4, §6, OpenID Connect
Core §6.1). The rules for the claims, and what they ask for; the signature is proven before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dojang.jose import json_object
from dojang.oauth.authorization import PARAMETERS
from dojang.oauth.client_assertion import ALGORITHMS as ASSERTION_ALGORITHMS
from dojang.oauth.errors import ErrorCode, OAuthError

MEDIA_TYPE: Final = "oauth-authz-req+jwt"
# RFC 9101 §10.8: OpenID Connect knew no type for them. Any other is of another kind of JWT.
TYPES: Final = frozenset({MEDIA_TYPE, "JWT", None})
ALGORITHMS: Final = ASSERTION_ALGORITHMS
LONGEST_LIFE: Final = 3600  # seconds from nbf, or from now, to exp
CLOCK_AHEAD: Final = 10  # seconds that the client's clock may be ahead
_INSIDE: Final = PARAMETERS - {"request_uri"}


def check_request_object(
    claims: Mapping[str, Any], *, client_id: str, issuer: str, now: int
) -> None:
    """Check the claims of a request object whose signature is good.

    1. `iss`, and `client_id` where it is there, are the client; 2. `sub` is not: that would be a
    client assertion (RFC 9101 §10.8); 3. `aud` names this issuer; 4. `exp` is ahead, by
    `LONGEST_LIFE` at most; 5. `nbf` and `iat`, where present, have come, and `exp` is no later than
    `LONGEST_LIFE` after either; 6. no other request is named in it (§4). Raises `OAuthError`.
    """
    if claims.get("iss") != client_id or claims.get("client_id", client_id) != client_id:
        raise refuse_request_object("request_object_of_another")
    if claims.get("sub") == client_id:
        raise refuse_request_object("request_object_is_an_assertion")
    named = claims.get("aud")
    if named != issuer and not (isinstance(named, list) and issuer in named):
        raise refuse_request_object("request_object_audience")
    _check_times(claims, now)
    if "request" in claims or "request_uri" in claims:
        raise refuse_request_object("request_object_nested")


def _check_times(claims: Mapping[str, Any], now: int) -> None:
    expires_at = _parse_time(claims, "exp")
    if expires_at is None or expires_at <= now:
        raise refuse_request_object("request_object_expired")
    begins = [now + CLOCK_AHEAD]
    for name in ("nbf", "iat"):
        time = _parse_time(claims, name)
        if time is not None and time > now + CLOCK_AHEAD:
            raise refuse_request_object("request_object_from_the_future")
        if time is not None:
            begins.append(time)
    if expires_at > min(begins) + LONGEST_LIFE:
        raise refuse_request_object("request_object_lives_too_long")


def _parse_time(claims: Mapping[str, Any], name: str) -> Any:
    value = claims.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise refuse_request_object("request_object_time_malformed")
    return value


def read_parameters(claims: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that the claims are, as a query would have them: numbers and objects may stand
    as such (RFC 9101 §4). Raises `OAuthError`."""
    return {name: _write(name, claims[name]) for name in _INSIDE if name in claims}


def _write(name: str, value: Any) -> str:
    match name, value:
        case _, str():
            return value
        case "max_age", bool():
            pass
        case "max_age", int():
            return str(value)
        case "claims", dict():
            return json_object.dump(value).decode()
        case "resource", [str() as only]:
            return only
        case _:
            pass
    raise refuse_request_object("request_object_malformed")


def refuse_request_object(reason: str) -> OAuthError:
    """RFC 9101 §7."""
    return OAuthError(ErrorCode.INVALID_REQUEST_OBJECT, "invalid request_object", reason=reason)
