"""Which scripts of other origins may call an endpoint (Fetch standard, CORS protocol).

The endpoints that allow it read no cookie; so any named origin may, never with credentials, and
an opaque origin (`null`), which names nobody, may not (C114).
"""

from __future__ import annotations

from typing import Final

from dojang.oauth.http import Headers

# Swagger UI sends the last one with its token requests, and nobody reads it.
_SENT: Final = b"authorization, content-type, if-none-match, x-requested-with"
VARY_ORIGIN: Final[Headers] = ((b"vary", b"origin"),)


def build_cross_origin(origin: bytes) -> Headers:
    """The headers of an answer to a request from a script of `origin`."""
    if origin == b"null" or not origin.isascii() or b" " in origin:
        return VARY_ORIGIN
    return (
        *VARY_ORIGIN,
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"www-authenticate, retry-after, etag"),
    )


def build_preflight(allowed: bytes, cross_origin: bool) -> Headers:  # noqa: FBT001
    """What a preflight of an endpoint is told besides."""
    if not cross_origin:
        return ()
    return (
        (b"access-control-allow-methods", allowed),
        (b"access-control-allow-headers", _SENT),
        (b"access-control-max-age", b"600"),
    )
