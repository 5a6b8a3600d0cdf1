"""The one decision of a sign-in: what is asked of the person next, if anything is left to ask.

Every page comes back here (OpenID Connect Core §3.1.2.3 and §3.1.2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from msgspec import Struct

from dojang.oauth.authorization import AuthorizationRequest, Prompt
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.server.checks.authorization import Wanted

PASSWORD_ACR = "urn:dojang:acr:password"


class Step(Enum):
    """What comes next."""

    SIGN_IN = auto()
    CONSENT = auto()
    READY = auto()


class Person(Struct, frozen=True, kw_only=True):
    """Who is there, as far as the browser's session says: `subject` is what the client calls them,
    `auth_time` when they proved who they are (seconds since 1970)."""

    subject: str
    auth_time: int
    acr: str | None


class Situation(Struct, frozen=True, kw_only=True):
    """What the decision rests on besides the request.

    `person` is who is there, if anybody; `hinted` the subject of a proven id_token_hint;
    `remembered` what the person has allowed this client before, by resource (`userinfo` for what
    is about themselves); `imitable` says that other software could have sent the request in this
    client's name (RFC 8252 §8.6), so that no consent is remembered; `max_age` the request's or the
    client's, in seconds; `signed_in_at` when they signed in for this very request, and `consented`
    whether they have just said yes."""

    now: int
    person: Person | None
    hinted: str | None = None
    remembered: Mapping[str, tuple[str, ...]] = {}
    userinfo: str
    first_party: bool = False
    imitable: bool = False
    max_age: int | None = None
    signed_in_at: int | None = None
    consented: bool = False


def find_next_step(request: AuthorizationRequest, wanted: Wanted, at: Situation) -> Step:
    """Raises `OAuthError` where the person would have to be asked and prompt=none forbids it
    (OpenID Connect Core §3.1.2.6), or where signing in again could not help."""
    silent = Prompt.NONE in request.prompts
    if at.person is None or _must_sign_in(request, at.person, at):
        if silent:
            raise _refuse(ErrorCode.LOGIN_REQUIRED, "The person must sign in.", "login_required")
        return Step.SIGN_IN
    _check_acr(request, at.person)
    if not at.consented and _must_consent(request, wanted, at):
        if silent:
            raise _refuse(
                ErrorCode.CONSENT_REQUIRED, "The person must be asked.", "consent_required"
            )
        return Step.CONSENT
    return Step.READY


def _must_sign_in(request: AuthorizationRequest, person: Person, at: Situation) -> bool:
    wanted = _find_wanted_subject(request, at.hinted)
    if wanted is not None and wanted != person.subject:
        if at.signed_in_at is not None:
            raise _refuse(ErrorCode.LOGIN_REQUIRED, "Another person signed in.", "other_subject")
        return True
    if at.signed_in_at is not None:
        return False
    if request.prompts & {Prompt.LOGIN, Prompt.SELECT_ACCOUNT}:
        return True
    if at.max_age == 0:  # as prompt=login (OpenID Connect Core §3.1.2.1)
        return True
    return at.max_age is not None and at.now - person.auth_time > at.max_age


def _find_wanted_subject(request: AuthorizationRequest, hinted: str | None) -> str | None:
    if hinted is not None:
        return hinted
    asked = _ask_of_id_token(request, "sub").get("value")
    return asked if isinstance(asked, str) else None


def _check_acr(request: AuthorizationRequest, person: Person) -> None:
    asked = _ask_of_id_token(request, "acr")
    if asked.get("essential") is not True:
        return
    value, values = asked.get("value"), asked.get("values")
    accepted = values if isinstance(values, list) else [value] if value is not None else None
    if accepted is not None and person.acr not in accepted:
        raise _refuse(
            ErrorCode.UNMET_AUTHENTICATION_REQUIREMENTS,
            "This server cannot sign people in that way.",
            "acr_unmet",
        )


def _ask_of_id_token(request: AuthorizationRequest, claim: str) -> Mapping[str, Any]:
    return request.claims.get("id_token", {}).get(claim) or {}


def _must_consent(request: AuthorizationRequest, wanted: Wanted, at: Situation) -> bool:
    if Prompt.CONSENT in request.prompts:
        return True
    if at.first_party:
        return False
    if at.imitable:
        return True
    if not set(wanted.personal_scopes) <= set(at.remembered.get(at.userinfo, ())):
        return True
    if wanted.resource is None:
        return False
    return not set(wanted.resource_scopes) <= set(at.remembered.get(wanted.resource, ()))


def _refuse(code: ErrorCode, description: str, reason: str) -> OAuthError:
    return OAuthError(code, description, reason=reason)
