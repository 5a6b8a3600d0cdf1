"""A token request (RFC 6749 §4.4, RFC 8707 §2, RFC 8693 §2.1) and its answer (§5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from dojang.fetch import FetchRequest, FetchResponse
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import Unavailable
from dojang.trust.credentials import Credentials, build_form

MAX_ANSWER: Final = 65_536
LONGEST_PAUSE: Final = 300.0  # seconds that a server may make us wait
_ERROR: Final = re.compile(r"[a-z_]{1,64}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class TokenRefused(Exception):
    """The authorization server will not give this client this token. `error` is its code
    (RFC 6749 §5.2): asking again changes nothing until somebody changes something."""

    def __init__(self, error: str) -> None:
        super().__init__(f"the token request was refused: {error}")
        self.error = error


class Busy(Unavailable):
    """The server asks to be left alone for `retry_after` seconds."""


class Granted(NamedTuple):
    """A token as it was issued; `lifetime` is in seconds."""

    value: str
    lifetime: float

    def __repr__(self) -> str:
        return f"Granted(lifetime={self.lifetime})"


def build_token_request(
    endpoint: str,
    credentials: Credentials,
    wanted: Mapping[str, str],
    *,
    issuer: str,
    now: float,
    timeout: float,
) -> FetchRequest:
    """`wanted` is the form, `now` in seconds since 1970, `timeout` in seconds."""
    form = dict(wanted)
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    credentials.authenticate(form, headers, issuer=issuer, now=now)
    return FetchRequest(
        "POST",
        endpoint,
        tuple(headers.items()),
        build_form(form),
        timeout=timeout,
        max_bytes=MAX_ANSWER,
    )


def parse_token_response(response: FetchResponse) -> Granted:
    """Raises `TokenRefused`, `Busy` and `Unavailable`; none holds anything of a token."""
    if response.status in (429, 503):  # RFC 6585 §4
        raise Busy("the token endpoint", retry_after=_parse_pause(response))
    if response.status >= 500:
        raise Unavailable(f"the token endpoint ({response.status})")
    try:
        document: dict[str, Any] = json_object.parse(response.body, max_bytes=MAX_ANSWER)
    except InvalidToken:
        raise Unavailable("the token endpoint (no JSON)") from None
    if response.status != 200:
        error = document.get("error")
        if isinstance(error, str) and _ERROR.fullmatch(error):
            raise TokenRefused(error)
        raise Unavailable(f"the token endpoint ({response.status})")
    token, kind, lifetime = map(document.get, ("access_token", "token_type", "expires_in"))
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise Unavailable("the token endpoint (no token)")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Unavailable("the token endpoint (another type of token)")
    return Granted(token, _parse_lifetime(lifetime))


def _parse_lifetime(value: Any) -> float:
    if type(value) in (int, float) and 0 < value < 10**8:
        return float(value)
    return 60.0  # RFC 6749 §5.1 only recommends to say it: assume little


def _parse_pause(response: FetchResponse) -> int:
    said = response.headers.get("retry-after", "")
    if said.isascii() and said.isdigit() and len(said) < 7:
        return int(min(max(int(said), 1), LONGEST_PAUSE))
    return 1
