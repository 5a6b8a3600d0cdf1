"""What becomes of an exception that leaves a handler. Nothing of it reaches the peer."""

from __future__ import annotations

import logging
import time
from typing import Final

from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.http import Request, Response, build_error
from dojang.web.peer import TrustedProxies

_log: Final = logging.getLogger("dojang.web")

SECONDS_BETWEEN_WARNINGS: Final = 5.0

_UNAVAILABLE: Final = OAuthError(
    ErrorCode.TEMPORARILY_UNAVAILABLE, "Try again in a moment.", reason="unavailable"
)
_FAILED: Final = OAuthError(
    ErrorCode.SERVER_ERROR, "The server could not answer this request.", reason="failed"
)


class Failures:
    """Turns exceptions into responses, and names the client in the log as `trusted` allows."""

    def __init__(self, trusted: TrustedProxies) -> None:
        self._trusted = trusted
        self._warned: dict[str, float] = {}

    def build_response(self, error: Exception, request: Request) -> Response:
        """The response to `error`, by whose fault it was."""
        if isinstance(error, OAuthError):
            return build_error(error)
        where = {
            "method": request.method,
            "path": request.path,
            "client": self._trusted.find_client(request),
        }
        if isinstance(error, Unavailable):
            if self._is_news(error.what):
                _log.warning("%s", error, extra=where)
            return build_unavailable(error.retry_after)
        _log.error("a request failed", exc_info=error, extra=where)
        return build_error(_FAILED)

    def _is_news(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._warned.get(what, -SECONDS_BETWEEN_WARNINGS) < SECONDS_BETWEEN_WARNINGS:
            return False
        self._warned[what] = now
        return True


def build_unavailable(retry_after: int = 1) -> Response:
    """503: the answer is not known; ask again in `retry_after` seconds."""
    return build_error(_UNAVAILABLE, (b"retry-after", b"%d" % retry_after))
