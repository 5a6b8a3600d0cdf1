"""Transports that lead into an issuer instead of the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from dojang.fetch import (
    FetchFailed,
    FetchProblem,
    FetchRequest,
    FetchResponse,
    check_request,
    check_response,
)
from dojang.oauth.http import Headers, Request, Response
from dojang.testing.inline import run
from dojang.web.failures import Failures
from dojang.web.peer import TrustedProxies
from dojang.web.routing import Handler, RouteTable

CLIENT_ADDRESS = "127.0.0.1"


class IssuerTransport:
    """A `dojang.fetch.Transport`. It knows one host: that of `issuer`; `requests` lists what came
    through it, as (method, path). Safe to use from many threads, which take turns."""

    def __init__(self, issuer: str, routes: RouteTable) -> None:
        self.requests: list[tuple[str, str]] = []
        self._refusing = False
        self._origin = urlsplit(issuer)[:2]
        self._routes = routes
        self._failures = Failures(TrustedProxies())

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections meanwhile, as a server that is not running does."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    def send(self, request: FetchRequest) -> FetchResponse:
        parts = check_request(request)
        if parts[:2] != self._origin or self._refusing:
            raise FetchFailed(request.host, FetchProblem.CONNECTION)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [(name.lower().encode(), text.strip().encode()) for name, text in request.headers]
        headers.insert(0, (b"host", parts.netloc.encode()))
        response = self.answer(request.method, target, tuple(headers), request.body)
        sent = (*response.headers, *response.own)
        found = {name.decode(): text.decode("latin-1") for name, text in sent}
        check_response(request, response.status, found)
        if len(response.body) > request.max_bytes:
            raise FetchFailed(request.host, FetchProblem.TOO_LARGE)
        return FetchResponse(response.status, found, response.body)

    def answer(self, method: str, target: str, headers: Headers, body: bytes) -> Response:
        """What the issuer's listener answers to a request, whole; names of headers are in lower
        case."""
        place, path, query = self._routes.find(target.encode())
        request = Request(method, path, query, headers, body, CLIENT_ADDRESS)
        self.requests.append((method, path))
        handler = place.methods.get(method.encode(), place.otherwise)
        try:
            answer = handler(request)
            return answer if isinstance(answer, Response) else run(answer)
        except Exception as error:  # noqa: BLE001  as the listener does
            return self._failures.build_response(error, request)


class AsyncIssuerTransport:
    """The same as a `dojang.fetch.AsyncTransport`."""

    def __init__(self, transport: IssuerTransport) -> None:
        self._transport = transport

    async def send(self, request: FetchRequest) -> FetchResponse:
        return self._transport.send(request)


def build_inline_routes(routes: RouteTable) -> RouteTable:
    """`routes` with every handler answering at once: one loop's locks are then never waited for
    on another thread."""
    return routes.wrap(_answer_at_once)


def _answer_at_once(handler: Handler) -> Handler:
    def answer(request: Request) -> Response:
        result = handler(request)
        return result if isinstance(result, Response) else run(result)

    return answer
