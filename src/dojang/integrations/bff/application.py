"""The application: it reads a request, finds its endpoint, and answers whatever happens."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from dojang.client import RelyingParty, Unavailable
from dojang.fetch import AsyncHttpTransport, AsyncTransport
from dojang.integrations.asgi import Receive, Scope, Send, find_path
from dojang.integrations.bff.cookies import Cookies, SameSite
from dojang.integrations.bff.entering import begin_sign_in, check_path, finish_sign_in
from dojang.integrations.bff.forwarding import Forwarding
from dojang.integrations.bff.freshening import Freshening
from dojang.integrations.bff.guard import Foreign, check_own_page
from dojang.integrations.bff.leaving import sign_out, take_logout_token, tell_session
from dojang.integrations.bff.parts import Parts, find_origin, refuse
from dojang.integrations.bff.sessions import BrowserSessions
from dojang.integrations.bff.upstreams import Upstream
from dojang.integrations.bff.vault import Lifetimes, Vault
from dojang.jose.seal import SealRing
from dojang.oauth.errors import OAuthError
from dojang.oauth.http import Request, Response
from dojang.oauth.urls import parse_url

MOST_BODY: Final = 1_048_576  # bytes
MOST_FORM: Final = 16_384
LOGIN: Final = "/login"
CALLBACK: Final = "/callback"
LOGOUT: Final = "/logout"
BACKCHANNEL: Final = "/backchannel-logout"
SESSION: Final = "/session"

Endpoint = Callable[[Parts, Request], Awaitable[Response]]

_OPEN: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", LOGIN): begin_sign_in,
    ("GET", CALLBACK): finish_sign_in,
    ("POST", BACKCHANNEL): take_logout_token,
}
_GUARDED: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", SESSION): tell_session,
    ("POST", LOGOUT): sign_out,
}
_PATHS: Final = frozenset(path for _, path in (*_OPEN, *_GUARDED))

_COOKIE: Final = re.compile(r"[A-Za-z0-9-]{1,40}")

_log: Final = logging.getLogger("dojang.bff")


class Bff:
    """A backend for the pages of one application, as an ASGI application: mount it where the
    redirect URI of `party` ends in its `/callback`. People sign in, and requests under the prefix
    of an upstream go on there with an access token; the browser has a cookie and nothing else.

    `ring` seals what is kept, in `sessions` and in the browser. `claims` are those of a person
    that pages may see; without them, those that `party` asks for. `cookie` names the cookies, where
    several applications share an origin. `failed_path` is where the browser lands after a sign-in
    that failed, and `signed_out_url`, registered with the provider, after a logout there.
    `id_token_in_logout_address` spares most people a question of the provider, and puts the
    id_token into an address in the browser. `most_body` is the largest content, in bytes.

    For one event loop. Raises `ValueError`.
    """

    def __init__(
        self,
        party: RelyingParty,
        *,
        ring: SealRing,
        sessions: BrowserSessions,
        upstreams: Collection[Upstream] = (),
        claims: Collection[str] | None = None,
        lifetimes: Lifetimes | None = None,
        cookie: str = "dojang-bff",
        same_site: SameSite = "Lax",
        failed_path: str = "/",
        signed_out_url: str | None = None,
        id_token_in_logout_address: bool = False,
        most_body: int = MOST_BODY,
        transport: AsyncTransport | None = None,
    ) -> None:
        _check_addresses(party.redirect_uri, failed_path, signed_out_url)
        _check_prefixes(upstreams)
        if _COOKIE.fullmatch(cookie) is None or same_site not in ("Lax", "Strict"):
            raise ValueError(
                "a cookie has a name of letters, digits and dashes, and is Lax or Strict"
            )
        lifetimes = lifetimes or Lifetimes()
        vault = Vault(sessions, ring, lifetimes=lifetimes, clock=party.clock)
        self._parts = Parts(
            party=party,
            vault=vault,
            freshening=Freshening(party, vault),
            cookies=Cookies(
                cookie,
                secure=urlsplit(party.redirect_uri).scheme == "https",
                same_site=same_site,
                lifetime=lifetimes.absolute,
            ),
            claims=party.claims if claims is None else tuple(claims),
            failed_path=failed_path,
            signed_out_url=signed_out_url,
            id_token_in_address=id_token_in_logout_address,
        )
        self._origin = find_origin(party.redirect_uri).encode()
        self._most_body = most_body
        own = AsyncHttpTransport(kept_per_host=64)
        self._own = own if transport is None else None
        self._forwarding = Forwarding(self._parts, tuple(upstreams), transport or own)

    def __repr__(self) -> str:
        return f"Bff({self._parts.party!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif kind == "http":
            response = await self._answer(scope, receive)
            if response is not None:
                await _send(response, scope, send)

    async def aclose(self) -> None:
        """Close the connections to upstreams that are its own: where it is mounted nobody tells it
        of the end."""
        if self._own is not None:
            await self._own.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        kind = ""
        while kind != "lifespan.shutdown":
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                await self.aclose()
            await send({"type": f"{kind}.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        try:
            request = _read_head(scope)
            handle, most = self._find(request)
            body = await _read_body(receive, most)
            return None if body is None else await handle(request._replace(body=body))
        except _Answered as answered:
            return answered.response
        except OAuthError as error:
            _log.info("refused: %s", error.reason)
            return refuse(400, "invalid_request")
        except Foreign as foreign:
            _log.warning("refused: %s", foreign.reason)
            return refuse(403, "foreign")
        except Unavailable as failure:
            _log.warning("no answer: %s", failure)
            retry_after = (b"retry-after", str(failure.retry_after).encode())
            return refuse(503, "unavailable", retry_after)

    def _find(self, request: Request) -> tuple[Callable[[Request], Awaitable[Response]], int]:
        """What answers, and how many bytes of content it takes. The guard stands before the
        content is read."""
        parts, wanted = self._parts, (request.method, request.path)
        if wanted in _OPEN:
            endpoint = _OPEN[wanted]
            return (lambda whole: endpoint(parts, whole)), MOST_FORM
        if wanted in _GUARDED:
            check_own_page(request, self._origin)
            guarded = _GUARDED[wanted]
            return (lambda whole: guarded(parts, whole)), MOST_FORM
        if request.path in _PATHS:
            raise _Answered(refuse(405, "method_not_allowed"))
        upstream = self._forwarding.find(request.path)
        if upstream is None:
            raise _Answered(refuse(404, "not_found"))
        check_own_page(request, self._origin)
        return (lambda whole: self._forwarding.forward(upstream, whole)), self._most_body


class _Answered(Exception):
    """There is an answer already."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def _check_addresses(redirect_uri: str, failed_path: str, signed_out_url: str | None) -> None:
    parts = parse_url(redirect_uri)
    if parts.query or not parts.path.endswith(CALLBACK):
        raise ValueError(f"the redirect URI ends in {CALLBACK}, below where this is mounted")
    if signed_out_url is not None:
        parse_url(signed_out_url)
    try:
        check_path(failed_path)
    except OAuthError:
        raise ValueError("failed_path is a path of the application") from None
    if "#" in failed_path:
        raise ValueError("failed_path gets a query, so it has no fragment")


def _check_prefixes(upstreams: Collection[Upstream]) -> None:
    prefixes = [each.prefix for each in upstreams]
    if len(set(prefixes)) < len(prefixes) or not _PATHS.isdisjoint(prefixes):
        raise ValueError("every upstream has a prefix of its own")


def _read_head(scope: Scope) -> Request:
    headers = tuple((bytes(name).lower(), bytes(value)) for name, value in scope["headers"])
    query = bytes(scope.get("query_string", b""))
    return Request(scope["method"], _find_raw_path(scope), query, headers, b"", "")


def _find_raw_path(scope: Scope) -> str:
    """The path below the mount, as the browser wrote it: nothing in it is decoded."""
    given: bytes | None = scope.get("raw_path")
    path = quote(find_path(scope))
    if given is None:
        return path
    raw = given.partition(b"?")[0].decode("latin-1")
    root = quote(scope.get("root_path", ""))
    rest = raw.removeprefix(root)
    return rest if rest[:1] == "/" else raw


async def _read_body(receive: Receive, most: int) -> bytes | None:
    """The content; None where the browser left. Raises `_Answered` where it is too large."""
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        content += message.get("body", b"")
        if len(content) > most:
            raise _Answered(refuse(413, "too_large"))
        if not message.get("more_body", False):
            return bytes(content)


async def _send(response: Response, scope: Scope, send: Send) -> None:
    headers = [*response.headers, *response.own]
    if response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    start: dict[str, Any] = {"type": "http.response.start", "status": response.status}
    await send({**start, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})
