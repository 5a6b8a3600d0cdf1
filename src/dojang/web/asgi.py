"""The same routes as an ASGI application, for any ASGI server, for mounting, and for tests.

The limits on the head and on times are the ASGI server's to keep; those on target and content are
kept here too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import quote

from dojang.oauth.http import Request, Response
from dojang.web.cors import VARY_ORIGIN, build_cross_origin
from dojang.web.failures import Failures
from dojang.web.limits import Limits
from dojang.web.peer import TrustedProxies, describe_peer
from dojang.web.reading import LARGE_HEAD, LONG_TARGET, TOO_LARGE
from dojang.web.routing import RouteTable
from dojang.web.wire import WITHOUT_CONTENT

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Disconnected(Exception):
    """The peer left before its request was whole."""


class AsgiApp:
    """`routes` as an ASGI 3 application."""

    def __init__(
        self,
        routes: RouteTable,
        *,
        limits: Limits | None = None,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        self._routes: Final = routes
        self._limits: Final = limits or Limits()
        self._failures: Final = Failures(TrustedProxies(trusted_proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection as ASGI sees it."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            try:
                answer = await self._answer(scope, receive)
            except _Disconnected:
                return
            await _send(answer, scope, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        limits = self._limits
        headers = tuple((bytes(name).lower(), bytes(value)) for name, value in scope["headers"])
        target = _find_target(scope)
        if len(target) > limits.target_bytes:
            return LONG_TARGET
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if size + len(target) > limits.head_bytes:
            return LARGE_HEAD
        body = await _read_content(receive, limits.body_bytes)
        if body is None:
            return TOO_LARGE
        place, path, query = self._routes.find(target)
        peer = describe_peer(scope.get("client"))
        request = Request(scope["method"], path, query, headers, body, peer)
        handler = place.methods.get(request.method.encode(), place.otherwise)
        try:
            answer = handler(request)
            if not isinstance(answer, Response):
                answer = await answer
        except Exception as error:  # noqa: BLE001  whatever happened, the peer gets an answer
            answer = self._failures.build_response(error, request)
        if not place.cross_origin:
            return answer
        origins = [value for name, value in headers if name == b"origin"]
        extra = build_cross_origin(origins[0]) if origins else VARY_ORIGIN
        return answer._replace(headers=(*answer.headers, *extra))


def _find_target(scope: Scope) -> bytes:
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    path = bytes(raw).partition(b"?")[0].removeprefix(scope.get("root_path", "").encode())
    query = bytes(scope.get("query_string", b""))
    return path + b"?" + query if query else path


async def _read_content(receive: Receive, most: int) -> bytes | None:
    """The content, or None where it is larger than `most` bytes."""
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        content += message.get("body", b"")
        if len(content) > most:
            return None
        if not message.get("more_body", False):
            return bytes(content)


async def _send(answer: Response, scope: Scope, send: Send) -> None:
    headers = [*answer.headers, *answer.own]
    if answer.status not in WITHOUT_CONTENT:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
