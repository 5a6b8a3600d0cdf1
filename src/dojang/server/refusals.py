"""The one place where the endpoints' errors become responses, and every answer is counted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, build_error

if TYPE_CHECKING:
    from dojang.server.provider import Provider

# RFC 6749 §5.2, RFC 6750 §3: a 401 says in which scheme to try again.
_HEADERS: Final = {
    ErrorCode.INVALID_CLIENT: ((b"www-authenticate", b'Basic realm="dojang"'),),
    ErrorCode.INVALID_TOKEN: (
        (b"www-authenticate", b'Bearer realm="dojang", error="invalid_token"'),
    ),
    ErrorCode.TOO_MANY_FOLLOWERS: ((b"retry-after", b"5"),),  # RFC 6585 §4
}

Endpoint = Callable[["Provider", Request], Coroutine[Any, Any, Response]]


def refusing(name: str) -> Callable[[Endpoint], Endpoint]:
    """Make an endpoint answer its `OAuthError`s in the protocol's form.

    `Unavailable` passes through: it is the listener's to answer with 503.
    """
    requests = "dojang_requests_total"
    answered = (requests, "endpoint", name, "outcome", "ok")

    def wrap(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def answer(provider: Provider, request: Request) -> Response:
            try:
                response = await endpoint(provider, request)
            except OAuthError as error:
                provider.counters[requests, "endpoint", name, "outcome", error.reason] += 1
                return build_error(error, *_HEADERS.get(error.code, ()))
            provider.counters[answered] += 1
            return response

        return answer

    return wrap
