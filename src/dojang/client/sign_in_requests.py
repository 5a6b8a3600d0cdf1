"""What a client asks and is answered while people sign in: the authorization request (RFC 6749
§4.1.1, RFC 9126, OpenID Connect Core §3.1.2.1), its answer (RFC 9207), and the token responses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import urlencode

from dojang.client.sign_in_errors import Flaw, SignInDenied, SignInRefused
from dojang.client.token_request import (
    ERROR,
    MAX_ANSWER,
    Granted,
    TokenRefused,
    parse_granted,
    parse_token_document,
)
from dojang.client.transaction import LIFETIME, Transaction
from dojang.fetch import FetchRequest, FetchResponse
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import OAuthError, Unavailable
from dojang.oauth.http import parse_parameters
from dojang.oauth.metadata import ServerMetadata
from dojang.oauth.pkce import METHOD, build_challenge
from dojang.trust.credentials import Credentials, build_form

LONGEST_TOKEN: Final = 8192
_CODE: Final = re.compile(r"[ -~]{1,4096}")  # RFC 6749 §A.11
FORM: Final = (("Content-Type", "application/x-www-form-urlencoded"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one sign-in is to be like. `max_age` is in seconds. What `max_age` and `acr_values` ask
    for is demanded of the answer; the rest is the provider's to follow."""

    prompt: str | None = None
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    login_hint: str | None = None
    ui_locales: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the provider issued. `expires_at` is of the access token, in seconds since 1970, and
    `scope` what was granted, where that was said."""

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: str | None = None


def build_request(
    transaction: Transaction, ask: Ask, *, scopes: tuple[str, ...], claims: tuple[str, ...]
) -> dict[str, str]:
    """The parameters. `claims` are to stand in the id_token (OpenID Connect Core §5.5)."""
    wanted = {
        "client_id": transaction.client_id,
        "response_type": "code",
        "redirect_uri": transaction.redirect_uri,
        "scope": " ".join(scopes),
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": build_challenge(transaction.verifier),
        "code_challenge_method": METHOD,
        "resource": transaction.resource,
        "prompt": ask.prompt,
        "max_age": None if ask.max_age is None else str(ask.max_age),
        "acr_values": " ".join(ask.acr_values),
        "login_hint": ask.login_hint,
        "ui_locales": " ".join(ask.ui_locales),
        "claims": json.dumps({"id_token": dict.fromkeys(claims)}) if claims else None,
    }
    return {name: value for name, value in wanted.items() if value}


def build_url(endpoint: str, parameters: Mapping[str, str]) -> str:
    """An endpoint, which may have a query of its own (RFC 6749 §3.1), with parameters."""
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"


def parse_pushed(response: FetchResponse) -> str:
    """The `request_uri` (RFC 9126 §2.2). Raises `SignInDenied` and `Unavailable`."""
    try:
        document = json_object.parse(response.body, max_bytes=MAX_ANSWER)
    except InvalidToken:
        raise Unavailable("the pushed authorization request endpoint (no JSON)") from None
    if response.status == 201 and isinstance(document.get("request_uri"), str):
        return str(document["request_uri"])
    if 400 <= response.status < 500 and response.status != 429:
        raise SignInDenied(_read_error(document.get("error")))
    raise Unavailable(f"the pushed authorization request endpoint ({response.status})")


def check_answer(
    query: bytes, transaction: Transaction, metadata: ServerMetadata, *, now: int
) -> str:
    """The code of the answer to `transaction`: state, then issuer, then what it says.

    Raises `SignInRefused` and `SignInDenied`.
    """
    try:
        answer = parse_parameters(query)
    except OAuthError:
        raise SignInRefused(Flaw.MALFORMED_RESPONSE) from None
    if not compare_digest(answer.get("state", "").encode(), transaction.state.encode()):
        raise SignInRefused(Flaw.OTHER_TRANSACTION)
    if now >= transaction.began_at + LIFETIME:
        raise SignInRefused(Flaw.TRANSACTION_EXPIRED)
    issuer = answer.get("iss")
    if issuer is None and metadata.authorization_response_iss_parameter_supported:
        raise SignInRefused(Flaw.NO_ISSUER)
    if issuer not in (None, transaction.issuer):
        raise SignInRefused(Flaw.OTHER_ISSUER)
    if "error" in answer:
        raise SignInDenied(_read_error(answer["error"]))
    code = answer.get("code", "")
    if _CODE.fullmatch(code) is None:
        raise SignInRefused(Flaw.NO_CODE)
    return code


def build_form_request(
    endpoint: str,
    form: Mapping[str, str],
    credentials: Credentials,
    *,
    issuer: str,
    now: float,
    timeout: float,
) -> FetchRequest:
    """A request of the client, which proves who it is. `now` is in seconds since 1970."""
    fields, headers = dict(form), {"Accept": "application/json", **dict(FORM)}
    credentials.authenticate(fields, headers, issuer=issuer, now=now)
    return FetchRequest(
        "POST",
        endpoint,
        tuple(headers.items()),
        build_form(fields),
        timeout=timeout,
        max_bytes=MAX_ANSWER,
    )


def parse_tokens(response: FetchResponse, *, asked_at: float) -> Tokens:
    """Raises `TokenRefused`, `Busy` and `Unavailable`."""
    document = parse_token_document(response)
    granted: Granted = parse_granted(document)
    return Tokens(
        access_token=granted.value,
        expires_at=asked_at + granted.lifetime,
        refresh_token=_read_text(document, "refresh_token"),
        id_token=_read_text(document, "id_token"),
        scope=_read_text(document, "scope"),
    )


def parse_userinfo(response: FetchResponse, *, subject: str) -> dict[str, Any]:
    """What is said of `subject`, and of nobody else (OpenID Connect Core §5.3.2).

    Raises `SignInRefused`, `TokenRefused` and `Unavailable`."""
    if response.status == 401:
        raise TokenRefused("invalid_token")
    if response.status != 200:
        raise Unavailable(f"the userinfo endpoint ({response.status})")
    try:
        claims = json_object.parse(response.body, max_bytes=MAX_ANSWER)
    except InvalidToken:
        raise Unavailable("the userinfo endpoint (no JSON)") from None
    if claims.get("sub") != subject:
        raise SignInRefused(Flaw.OTHER_PERSON)
    return claims


def _read_text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not (isinstance(value, str) and 0 < len(value) <= LONGEST_TOKEN and value.isascii()):
        raise Unavailable(f"the token endpoint (a bad {name})")
    return value


def _read_error(value: object) -> str:
    """An error code, where it is one: it goes into logs and pages."""
    return value if isinstance(value, str) and ERROR.fullmatch(value) else "server_error"
