"""The admin API: every operation of `server.administration` at its path, below `/admin` of the
management listener.

The caller shows an access token of this server for the audience `{issuer}/admin`; nothing that a
browser would send by itself counts. Refusals are problem details (RFC 9457).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.challenge import build_challenge
from dojang.oauth.errors import OAuthError, Unavailable
from dojang.oauth.http import NO_STORE, Request, Response, build_json, parse_parameters
from dojang.oauth.scopes import parse_scope
from dojang.server.admin.errors import describe_invalid
from dojang.server.administration import OPERATIONS, Operation, OperationRefused, perform
from dojang.server.live_tokens import find_live_token
from dojang.server.paths import ADMIN
from dojang.web.routing import Route, TemplateHandler, TemplateRoute

if TYPE_CHECKING:
    from msgspec import Struct

    from dojang.server.provider import Provider

_MAX_BODY: Final = 65_536
_PROBLEM: Final = (b"content-type", b"application/problem+json")


class _CallerRefused(Exception):
    """The caller's token does not allow this (RFC 6750 §3.1)."""

    def __init__(self, status: int, error: str | None, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.error = error
        self.detail = detail


def build_admin_routes(provider: Provider) -> list[Route | TemplateRoute]:
    """A route for every operation."""
    by_path: dict[str, dict[str, TemplateHandler]] = defaultdict(dict)
    for name, operation in OPERATIONS.items():
        by_path[ADMIN + operation.path][operation.method] = _Endpoint(provider, name, operation)
    return [TemplateRoute(path, methods) for path, methods in by_path.items()]


class _Endpoint:
    """One operation as a handler: caller → scope → parameters → done."""

    def __init__(self, provider: Provider, name: str, operation: Operation) -> None:
        self._provider = provider
        self._operation = operation
        self._count = ("dojang_requests_total", "endpoint", f"admin.{name}", "outcome")

    async def __call__(self, request: Request, in_path: Mapping[str, str]) -> Response:
        outcome = "refused"
        try:
            actor = await _authorise(self._provider, request, self._operation.scope)
            parameters = _parse_parameters(request, in_path, self._operation)
            answer = await perform(self._provider, self._operation, parameters, actor=actor)
        except _CallerRefused as refusal:
            outcome = refusal.error or "no_credentials"
            return self._challenge(refusal)
        except OperationRefused as refusal:
            return _build_problem(refusal.status, refusal.title, refusal.detail)
        except OAuthError as error:
            return _build_problem(400, "Malformed request", error.description)
        except Unavailable as error:
            outcome = "unavailable"
            retry = (b"retry-after", b"%d" % error.retry_after)
            return _build_problem(503, "Unavailable", f"{error}; try again", retry)
        else:
            outcome = "ok"
            return build_json(200, answer)
        finally:
            self._provider.counters[*self._count, outcome] += 1

    def _challenge(self, refusal: _CallerRefused) -> Response:
        scope = self._operation.scope if refusal.error == "insufficient_scope" else None
        challenge = build_challenge(
            "Bearer", {"realm": "dojang admin", "error": refusal.error, "scope": scope}
        )
        title = "Unauthorized" if refusal.status == 401 else "Forbidden"
        header = (b"www-authenticate", challenge.encode("ascii"))
        return _build_problem(refusal.status, title, refusal.detail, header)


async def _authorise(provider: Provider, request: Request, scope: str) -> str:
    """The client_id of a caller whose token is live, for the admin API, and holds `scope`."""
    header = request.header(b"authorization") or b""
    scheme, _, credentials = header.partition(b" ")
    if scheme.lower() != b"bearer" or not credentials.strip():
        raise _CallerRefused(401, None, "send an access token for the admin API as a bearer token")
    await provider.state.reach_barrier()
    token = credentials.strip().decode("latin-1")
    live = await find_live_token(provider, token, now=int(provider.clock.now()))
    if live is None or live.claims.aud != provider.admin_audience:
        raise _CallerRefused(
            401,
            "invalid_token",
            f"the token is not a live one of this server for {provider.admin_audience}",
        )
    if scope not in parse_scope(live.claims.scope):
        raise _CallerRefused(403, "insufficient_scope", f"the token lacks the scope {scope}")
    return live.claims.client_id


def _parse_parameters(request: Request, in_path: Mapping[str, str], operation: Operation) -> Struct:
    """The operation's own type, from path and query (GET) or path and JSON body."""
    given: dict[str, Any]
    from_text = operation.method == "GET"
    given = dict(parse_parameters(request.query)) if from_text else _parse_body(request)
    if twice := sorted(given.keys() & in_path.keys()):
        raise OperationRefused(400, "Invalid parameter", f"{twice[0]}: stands in the path already")
    try:
        converted: Struct = msgspec.convert(
            {**given, **in_path}, operation.parameters, strict=not from_text
        )
    except msgspec.ValidationError as error:
        raise OperationRefused(400, "Invalid parameter", describe_invalid(str(error))) from None
    return converted


def _parse_body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    media_type = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":  # what a form of another site can never send
        raise OperationRefused(415, "Unsupported media type", "the body must be application/json")
    try:
        return json_object.parse(request.body, max_bytes=_MAX_BODY)
    except InvalidToken as error:
        raise OperationRefused(400, "Malformed request", error.detail) from None


def _build_problem(status: int, title: str, detail: str, *headers: tuple[bytes, bytes]) -> Response:
    body = json_object.dump({"title": title, "status": status, "detail": detail})
    return Response(status, (_PROBLEM, *NO_STORE, *headers), body)
