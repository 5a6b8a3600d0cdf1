"""Token exchange: the request (RFC 8693 §2.1) and the actors of what comes of it (§4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from dojang.oauth.errors import ErrorCode, OAuthError

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ANCESTORS: Final = "ancestors"
_NAMES: Final = ("jti", "grant", "client_id", "kid")  # of each ancestor
MOST_ACTORS: Final = 16  # that are read of a token


class ExchangeRequest(NamedTuple):
    """What is asked; nothing of it is proven. `target` is the one resource, where one is named;
    both types are ACCESS_TOKEN or JWT."""

    subject_token: str
    subject_type: str
    wanted_type: str
    target: str | None


def parse_exchange_request(form: Mapping[str, str]) -> ExchangeRequest:
    """The request in a form. Who authenticates is the actor: an actor_token is refused, for it
    would say the same or something else.

    Raises `OAuthError`: `invalid_request`, and `invalid_target` for two targets (§2.2.2).
    """
    subject_token = form.get("subject_token")
    if subject_token is None:
        raise _bad_request("subject_token is missing.", "no_subject_token")
    subject_type = form.get("subject_token_type")
    if subject_type not in (ACCESS_TOKEN, JWT):
        raise _bad_request(
            "subject_token_type is missing, or not that of an access token.", "subject_token_type"
        )
    wanted_type = form.get("requested_token_type", ACCESS_TOKEN)
    if wanted_type not in (ACCESS_TOKEN, JWT):
        raise _bad_request("Only access tokens are issued.", "requested_token_type")
    if "actor_token" in form or "actor_token_type" in form:
        raise _bad_request("The client itself is the actor: send no actor_token.", "actor_token")
    resource, audience = form.get("resource"), form.get("audience")
    if None not in (resource, audience) and resource != audience:
        raise OAuthError(ErrorCode.INVALID_TARGET, "A token has one target.", reason="two_targets")
    target = audience if resource is None else resource
    return ExchangeRequest(subject_token, subject_type, wanted_type, target)


def _bad_request(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, description, reason=reason)


def is_traceable(claims: Mapping[str, Any]) -> bool:
    """Whether a token says of every one that it was exchanged for what facts know that by; also
    where it was exchanged for none."""
    if ANCESTORS not in claims:
        return True
    ancestors = claims[ANCESTORS]
    return isinstance(ancestors, list) and all(
        isinstance(each, dict) and all(isinstance(each.get(name), str) for name in _NAMES)
        for each in ancestors
    )


def parse_actors(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Who acts for the subject, and who did so before, latest first (§4.1); none where the claim
    is not there, and those before a flaw where it has one."""
    found: list[str] = []
    actor = claims.get("act")
    while isinstance(actor, dict) and len(found) < MOST_ACTORS:
        name = actor.get("sub")
        if not isinstance(name, str):
            break
        found.append(name)
        actor = actor.get("act")
    return tuple(found)
