"""Documents that anyone may keep for a while: discovery and the key set."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from dojang.oauth.http import JSON, Request, Response
from dojang.server.lifetimes import JWKS_MAX_AGE

_CACHE: Final = (b"cache-control", b"public, max-age=%d" % JWKS_MAX_AGE)


class CacheableDocument:
    """A document with its two answers made once: whole, and "you have it" (RFC 9110 §13.1.2)."""

    __slots__ = ("_etag", "_unchanged", "_whole")

    def __init__(self, body: bytes) -> None:
        self._etag = b'"%s"' % sha256(body).hexdigest()[:32].encode()
        headers = (_CACHE, (b"etag", self._etag))
        self._whole = Response(200, (JSON, *headers), body)
        self._unchanged = Response(304, headers, b"")

    def answer(self, request: Request) -> Response:
        """304 where `If-None-Match` names this document."""
        for name, value in request.headers:
            if name == b"if-none-match":
                candidates = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
                if self._etag in candidates or b"*" in candidates:
                    return self._unchanged
        return self._whole
