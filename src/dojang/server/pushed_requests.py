"""Authorization requests that clients push (RFC 9126): kept under a name that nobody guesses, for
one use, soon."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final

from dojang.jose import base64url
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.server.people import PushedRequest
from dojang.server.ports import Change, Drop

if TYPE_CHECKING:
    from dojang.server.provider import Provider

PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
LIFETIME: Final = 60  # seconds until the browser brings it
KEPT: Final = 1800  # seconds for the person to go through the pages


def make_request_uri() -> str:
    """A new one, of 256 random bits (RFC 9126 §7.1)."""
    return PREFIX + token_urlsafe(32)


def identify(request_uri: str) -> str:
    """The key of the request that was pushed under `request_uri`."""
    return base64url.encode(sha256(request_uri.encode("utf-8", "replace")).digest())


async def find_pushed(
    provider: Provider, parameters: Mapping[str, str], *, now: int
) -> PushedRequest | None:
    """What a browser brings by its name; None where it brings no such name.

    Raises `OAuthError(INVALID_REQUEST_URI)` for one that is unknown, another client's, or too old
    (RFC 9126 §4): shown and never sent, for what it says of a target is unknown.
    """
    request_uri = parameters.get("request_uri", "")
    if not request_uri.startswith(PREFIX):
        return None
    pushed = await provider.store.find(PushedRequest, identify(request_uri))
    if (
        pushed is None
        or pushed.client_id != parameters.get("client_id")
        or now >= pushed.expires_at - (KEPT - LIFETIME)
    ):
        raise OAuthError(
            ErrorCode.INVALID_REQUEST_URI, "invalid request_uri", reason="pushed_request"
        )
    return pushed


async def plan_use(provider: Provider, request_id: str) -> Change:
    """The change that uses it up, in the commit that answers it (RFC 9126 §7.3)."""
    pushed = await provider.store.find(PushedRequest, request_id)
    if pushed is None:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST_URI, "The request was answered.", reason="pushed_request_used"
        )
    return Drop(pushed)
