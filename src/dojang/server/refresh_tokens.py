"""Refresh tokens: one secret of a grant at a time, spent once (RFC 9700 §4.14.2, C57–C64).

A client that lost the answer asks again with the token it has. Within a window it is given the very
same answer: kept sealed under a key that only that token yields.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.jose.seal import SealKey
from dojang.server.handles import REFRESH_TOKEN, Handle, new_handle
from dojang.server.model import SignIn
from dojang.server.people import Grant, RefreshToken

RETRY_WINDOW: Final = 10  # seconds (FAPI 2.0 §5.3.2.1)
_RETRY_KEY: Final = b"dojang refresh retry"
_RETRY_CONTEXT: Final = b"dojang refresh answer"


class NewRefreshToken(NamedTuple):
    """A refresh token just made, and its record."""

    text: str
    record: RefreshToken


def make_refresh_token(grant: Grant, sign_in: SignIn, *, now: float) -> NewRefreshToken:
    """One that lives without use for the client's `refresh_idle` seconds, and no longer than its
    grant (C61)."""
    handle = new_handle(REFRESH_TOKEN, now=now)
    at = int(now)
    record = RefreshToken(
        token_id=handle.identifier,
        digest=handle.digest,
        grant_id=grant.grant_id,
        client_id=grant.client_id,
        issued_at=at,
        expires_at=min(at + sign_in.refresh_idle, grant.expires_at),
    )
    return NewRefreshToken(handle.text, record)


def spend(
    token: RefreshToken, handle: Handle, successor: str, answer: dict[str, Any], *, now: int
) -> RefreshToken:
    """The record of a token that was used, with the answer for a retry."""
    sealed = _make_key(handle).seal(json_object.dump(answer), _RETRY_CONTEXT)
    return replace(
        token, used_at=now, successor=successor, answer=sealed, version=token.version + 1
    )


def open_answer(token: RefreshToken, handle: Handle) -> dict[str, Any] | None:
    """The answer that was given for a spent token; None where it is no longer kept."""
    if token.answer is None:
        return None
    try:
        return json_object.parse(_make_key(handle).open(token.answer, _RETRY_CONTEXT))
    except InvalidToken:
        return None


def _make_key(handle: Handle) -> SealKey:
    secret = hmac.digest(handle.secret, _RETRY_KEY, "sha256")
    return SealKey.from_bytes(handle.identifier, secret)
