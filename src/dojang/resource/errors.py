"""Why a request is refused: a reason for operators, and from one table what the peer is told.

The peer broke a rule: `Refusal`. The answer is not known: `Unavailable` (503, never 401).
Our caller misused us: `ValueError`. Nothing here ever holds a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from dojang.jose.errors import Reason
from dojang.oauth.challenge import build_challenge
from dojang.oauth.errors import Unavailable
from dojang.oauth.scopes import build_scope

__all__ = ["Demand", "Refusal", "RefusalReason", "Unavailable", "build_bearer_challenge"]


class RefusalReason(StrEnum):
    """The first group is about the request, the second about the token, the third about what the
    route demands."""

    NO_CREDENTIALS = "no_credentials"
    MALFORMED_CREDENTIALS = "malformed_credentials"
    TOKEN_IN_QUERY = "token_in_query"
    TWO_TOKENS = "two_tokens"
    FOREIGN_ORIGIN = "foreign_origin"

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    UNSUPPORTED_CRITICAL_HEADER = "unsupported_critical_header"
    UNKNOWN_KEY = "unknown_key"
    AMBIGUOUS_KEY = "ambiguous_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_CLAIM = "bad_claim"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    BOUND_TOKEN = "bound_token"
    INACTIVE = "inactive"
    REVOKED = "revoked"

    NO_RULE = "no_rule"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    INSUFFICIENT_ROLE = "insufficient_role"
    INSUFFICIENT_AUTHENTICATION = "insufficient_authentication"


class _Wire(NamedTuple):
    status: int
    error: str | None
    description: str | None


_INVALID_TOKEN: Final = _Wire(401, "invalid_token", "The access token is not valid.")
_BAD_REQUEST: Final = _Wire(400, "invalid_request", "The request's credentials are malformed.")

_WIRE: Final[Mapping[RefusalReason, _Wire]] = {
    # RFC 6750 §3: without credentials, no error code.
    RefusalReason.NO_CREDENTIALS: _Wire(401, None, None),
    RefusalReason.MALFORMED_CREDENTIALS: _BAD_REQUEST,
    RefusalReason.TOKEN_IN_QUERY: _Wire(
        400, "invalid_request", "A token in the query is never accepted."
    ),
    RefusalReason.TWO_TOKENS: _Wire(400, "invalid_request", "More than one token is presented."),
    RefusalReason.FOREIGN_ORIGIN: _Wire(403, None, None),
    RefusalReason.EXPIRED: _Wire(401, "invalid_token", "The access token expired."),
    RefusalReason.NO_RULE: _Wire(403, None, None),
    RefusalReason.INSUFFICIENT_SCOPE: _Wire(
        403, "insufficient_scope", "The access token lacks a scope."
    ),
    RefusalReason.INSUFFICIENT_ROLE: _Wire(403, None, None),
    RefusalReason.INSUFFICIENT_AUTHENTICATION: _Wire(  # RFC 9470 §3
        401, "insufficient_user_authentication", "Another or a more recent sign-in is needed."
    ),
}


class Demand(NamedTuple):
    """What would have been enough; it stands in the challenge."""

    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


NO_DEMAND: Final = Demand()


class Refusal(Exception):
    """The request is refused. `reason` is for operators; `status`, `error` and `description` are
    for the peer (RFC 6750 §3.1); `demand` is what would have been enough."""

    def __init__(self, reason: RefusalReason, *, demand: Demand = NO_DEMAND) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.demand = demand

    @property
    def status(self) -> int:
        return _WIRE.get(self.reason, _INVALID_TOKEN).status

    @property
    def error(self) -> str | None:
        return _WIRE.get(self.reason, _INVALID_TOKEN).error

    @property
    def description(self) -> str | None:
        return _WIRE.get(self.reason, _INVALID_TOKEN).description


REASONS: Final[Mapping[Reason, RefusalReason]] = {
    reason: RefusalReason(reason.value)
    for reason in Reason
    if reason.value in {refusal.value for refusal in RefusalReason}
}


def build_bearer_challenge(
    refusal: Refusal, *, realm: str | None = None, resource_metadata: str | None = None
) -> str:
    """The value of `WWW-Authenticate` for a refusal (RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1)."""
    demand = refusal.demand
    return build_challenge(
        "Bearer",
        {
            "realm": realm,
            "error": refusal.error,
            "error_description": refusal.description,
            "scope": build_scope(demand.scopes) or None,
            "acr_values": " ".join(demand.acr_values) or None,
            "max_age": None if demand.max_age is None else str(demand.max_age),
            "resource_metadata": resource_metadata,
        },
    )
