"""Protection for the chosen paths of any ASGI application, HTTP and WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.oauth.http import Response
from dojang.resource import (
    Policy,
    Refusal,
    RequestHead,
    TokenPlace,
    Unavailable,
    Verifier,
)
from dojang.resource.credential import DEFAULT_PLACES
from dojang.resource.gate import Gate

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[Scope, Refusal], ASGIApp]

STATE: Final = "verified_token"

_log = logging.getLogger("dojang.resource")


class Protect:
    """An ASGI application around another: what `policy` protects needs a token, the rest is left
    alone. Paths are those of the application's own routes, wherever it is mounted. It finds the
    `VerifiedToken` at `scope["state"]["verified_token"]` (Starlette:
    `request.state.verified_token`).

    `entry_point` and `denied` replace the answer to who is not (400, 401) and to who may not (403):
    given the scope and the refusal, they give an ASGI application, such as any response of
    Starlette. `resource`, this service's URL, makes it serve its metadata (RFC 9728).
    Raises `ValueError` where the verifier cannot keep a route's `staleness`.
    """

    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        policy: Policy,
        *,
        places: Collection[TokenPlace] = DEFAULT_PLACES,
        realm: str | None = None,
        resource: str | None = None,
        entry_point: Refuse | None = None,
        denied: Refuse | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._gate = Gate(verifier, places=places, realm=realm, resource=resource, clock=clock)
        self._entry_point = entry_point
        self._denied = denied
        self.policy = policy

    @property
    def policy(self) -> Policy:
        """The policy in force. Replacing it takes effect with the next request."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        rules = [route.rule for route in policy.routes if route.rule is not None]
        for rule in rules:
            self._gate.prepare(rule)
        scopes = {scope for rule in rules for scope in (*rule.scopes, *rule.any_scope)}
        self._metadata = self._gate.build_metadata(scopes)
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            self._gate.verifier.ready()  # keys are fetched while the application starts
        if kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = find_path(scope)
        if kind == "http" and path == self._gate.metadata_path:
            await _send_http(send, self._metadata)
        elif not self._covers(scope, path):
            await self._app(scope, receive, send)
        elif _is_preflight(scope):
            await self._app(scope, receive, _without_content(send))
        else:
            await self._guard(scope, path, receive, send)

    def _covers(self, scope: Scope, path: str) -> bool:
        """Whether the policy protects the request, also where the application compares its routes
        with the whole path in spite of `root_path`."""
        covers = self._policy.covers
        return covers(path) or (path != scope["path"] and covers(scope["path"]))

    async def _guard(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        try:
            route = self._policy.find(scope.get("method", "GET"), path)
            if route.rule is not None:
                token = await self._gate.admit(build_head(scope), route.rule)
                state = {**(scope.get("state") or {}), STATE: token}
                scope = {**scope, "state": state}
        except (Refusal, Unavailable) as why:
            await self._refuse(scope, receive, send, why)
        else:
            await self._app(scope, receive, send)

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, why: Refusal | Unavailable
    ) -> None:
        _log.info("refused: %s", why.reason if isinstance(why, Refusal) else why)
        if isinstance(why, Refusal) and scope["type"] == "http":
            replaced = self._denied if why.status == 403 else self._entry_point
            if replaced is not None:
                await replaced(scope, why)(scope, receive, send)
                return
        response = self._gate.build_response(why)
        if scope["type"] == "http":
            await _send_http(send, response)
        else:
            await _deny_websocket(scope, receive, send, response)


def build_head(scope: Scope) -> RequestHead:
    """What decides about a request, from its ASGI scope."""
    return RequestHead(
        scope.get("method", "GET"),
        scope.get("query_string", b""),
        scope["headers"],
        websocket=scope["type"] == "websocket",
    )


def find_path(scope: Scope) -> str:
    """The path that the application compares its routes with: without `root_path`, under which a
    server or another application has mounted it. Servers differ in whether `path` begins with it.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    rest = path.removeprefix(root)
    return rest if rest[:1] == "/" else path if rest else "/"


def _is_preflight(scope: Scope) -> bool:
    """A CORS preflight carries no credentials and asks for nothing but permission to ask."""
    if scope.get("method") != "OPTIONS":
        return False
    names = {name for name, _ in scope["headers"]}
    return b"origin" in names and b"access-control-request-method" in names


def _without_content(send: Send) -> Send:
    """`send` for the answer to a preflight, which is all in its head: an application that takes
    OPTIONS for any other method gives nothing away."""

    async def send_head(message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers = [
                (name, value)
                for name, value in message.get("headers", ())
                if name.lower() not in (b"content-length", b"transfer-encoding")
            ]
            if message["status"] != 204:
                headers.append((b"content-length", b"0"))
            await send({"type": kind, "status": message["status"], "headers": headers})
        elif not message.get("more_body", False):
            await send({"type": "http.response.body", "body": b""})

    return send_head


async def _send_http(send: Send, response: Response, kind: str = "http") -> None:
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
    start = {"type": f"{kind}.response.start", "status": response.status, "headers": headers}
    await send(start)
    await send({"type": f"{kind}.response.body", "body": response.body})


async def _deny_websocket(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _send_http(send, response, "websocket.http")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
