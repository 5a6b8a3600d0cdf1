"""The one place where the endpoints' errors become responses, and every answer is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, build_error

if TYPE_CHECKING:
    from dojang.server.provider import Provider

Endpoint = Callable[["Provider", Request], Awaitable[Response]]


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
                if error.code is ErrorCode.INVALID_CLIENT:
                    # RFC 6749 §5.2: a challenge in the scheme the client used.
                    return build_error(error, (b"www-authenticate", b'Basic realm="dojang"'))
                return build_error(error)
            provider.counters[answered] += 1
            return response

        return answer

    return wrap
