"""The authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2, OpenID Connect Core
§3.1.2.1) and what can be refused of it by a redirect.

Everything here is said by the client and can be read without knowing who it is. Unknown parameters
are ignored (RFC 6749 §3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.pkce import METHOD, is_challenge
from dojang.oauth.redirects import ResponseMode
from dojang.oauth.scopes import parse_scope

CODE: Final = "code"
OPENID: Final = "openid"
OFFLINE_ACCESS: Final = "offline_access"


# Whatever else comes is passed over (RFC 6749 §3.1), and not kept.
PARAMETERS: Final = frozenset(
    {
        "acr_values",
        "claims",
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "id_token_hint",
        "login_hint",
        "max_age",
        "nonce",
        "prompt",
        "redirect_uri",
        "request_uri",
        "resource",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "ui_locales",
    }
)


class Prompt(StrEnum):
    """What the person is to be shown (OpenID Connect Core §3.1.2.1)."""

    NONE = "none"
    LOGIN = "login"
    CONSENT = "consent"
    SELECT_ACCOUNT = "select_account"


class AuthorizationRequest(Struct, frozen=True, kw_only=True):
    """An authorization request that is well-formed. `max_age` is in seconds; `claims` is the
    claims parameter (OpenID Connect Core §5.5)."""

    scopes: tuple[str, ...]
    resource: str | None
    code_challenge: str | None
    nonce: str | None
    prompts: frozenset[Prompt]
    max_age: int | None
    acr_values: tuple[str, ...]
    login_hint: str | None
    ui_locales: tuple[str, ...]
    id_token_hint: str | None
    claims: dict[str, Any]

    @property
    def is_openid(self) -> bool:
        """Whether an id_token is asked for."""
        return OPENID in self.scopes


def parse_response_mode(
    parameters: Mapping[str, str], allowed: Sequence[ResponseMode]
) -> ResponseMode:
    """How the answer travels, of what the client may use. One that is unknown or not allowed cannot
    be used for the refusal either: `check_response_mode` refuses it, by the first that is."""
    named = parameters.get("response_mode", ResponseMode.QUERY)
    return next((mode for mode in allowed if mode == named), allowed[0])


def check_response_mode(parameters: Mapping[str, str], allowed: Sequence[ResponseMode]) -> None:
    """Raises `OAuthError(INVALID_REQUEST)` unless the client may be answered so."""
    if parameters.get("response_mode", ResponseMode.QUERY) not in allowed:
        named = " or ".join(allowed)
        raise _bad(f"response_mode of this client is {named}.", "response_mode")


def parse_authorization_request(parameters: Mapping[str, str]) -> AuthorizationRequest:
    """The request that `parameters` make; each stands once. Raises `OAuthError`."""
    if parameters.get("response_type") is None:
        raise _bad("response_type is missing.", "no_response_type")
    if parameters["response_type"] != CODE:
        raise OAuthError(
            ErrorCode.UNSUPPORTED_RESPONSE_TYPE,
            "This server answers with a code: response_type=code.",
            reason="response_type",
        )
    return AuthorizationRequest(
        scopes=parse_scope(parameters.get("scope", "")),
        resource=parameters.get("resource"),
        code_challenge=_parse_challenge(parameters),
        nonce=parameters.get("nonce"),
        prompts=_parse_prompts(parameters.get("prompt", "")),
        max_age=_parse_max_age(parameters.get("max_age")),
        acr_values=tuple(parameters.get("acr_values", "").split()),
        login_hint=parameters.get("login_hint"),
        ui_locales=tuple(parameters.get("ui_locales", "").split()),
        id_token_hint=parameters.get("id_token_hint"),
        claims=_parse_claims(parameters.get("claims")),
    )


def _parse_challenge(parameters: Mapping[str, str]) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise _bad("code_challenge is missing.", "no_code_challenge")
        return None
    if method != METHOD:  # RFC 7636 §4.3 takes plain where none is named
        raise _bad("code_challenge_method must be S256.", "code_challenge_method")
    if not is_challenge(challenge):
        raise _bad("code_challenge is not one of S256: 43 characters.", "code_challenge")
    return challenge


def _parse_prompts(value: str) -> frozenset[Prompt]:
    try:
        prompts = frozenset(map(Prompt, value.split()))
    except ValueError:
        raise _bad("prompt has a value that is not known.", "prompt") from None
    if Prompt.NONE in prompts and len(prompts) > 1:
        raise _bad("prompt=none stands alone.", "prompt")
    return prompts


def _parse_max_age(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 11):
        raise _bad("max_age is a number of seconds.", "max_age")
    return int(value)


def _parse_claims(value: str | None) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        claims = json_object.parse(value.encode())
    except (InvalidToken, UnicodeEncodeError):
        raise _bad("claims is not a JSON object.", "claims") from None
    kept = {}
    for place in ("userinfo", "id_token"):
        asked = claims.get(place, {})
        if not isinstance(asked, dict) or not all(
            each is None or isinstance(each, dict) for each in asked.values()
        ):
            raise _bad("claims asks for no claims.", "claims")
        kept[place] = asked
    return kept


def _bad(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, description, reason=reason)
