"""A provider with people, an application behind a `Bff`, its API, and browsers without windows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from dojang.client import RelyingParty
from dojang.fetch import AsyncTransport, FetchFailed, FetchRequest, FetchResponse
from dojang.integrations.asgi import ASGIApp
from dojang.integrations.bff import (
    Bff,
    BrowserSessions,
    SealKey,
    SealRing,
    SessionsInOneProcess,
    Upstream,
)
from dojang.testing import Issuer
from tests.server.people.world import CALLBACK, ORDERS
from tests.web.pages.house import AFTER, House
from tests.web.pages.visitor import Visitor

ORIGIN: Final = "https://app.test"
SESSION: Final = "__Host-dojang-bff"
SIGN_IN: Final = "__Host-dojang-bff-sign-in-"
OWN: Final = {"dojang-bff": "1", "sec-fetch-site": "same-origin", "origin": ORIGIN}
UPSTREAM: Final = "https://orders.internal/v1"
LIFE: Final = 600  # seconds that an access token lasts

Answer = Callable[[FetchRequest], FetchResponse]


class Answered(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def find(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        return found[0] if found else None

    @property
    def location(self) -> str:
        return self.find("location") or ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookies(self) -> list[str]:
        return [value for key, value in self.headers if key == "set-cookie"]


class Browser:
    """Keeps cookies; everything it was ever shown is in `seen`."""

    def __init__(self, app: ASGIApp, *, root_path: str = "") -> None:
        self.cookies: dict[str, str] = {}
        self.seen: list[Answered] = []
        self._app = app
        self._root_path = root_path

    async def ask(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        chunks: Sequence[bytes] = (),
    ) -> Answered:
        """One request; nothing is followed."""
        path, _, query = target.partition("?")
        fields = [
            (name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()
        ]
        if self.cookies:
            shown = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            fields.append((b"cookie", shown.encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "root_path": self._root_path,
            "query_string": query.encode("latin-1"),
            "headers": fields,
        }
        pieces = list(chunks) or [body]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, end = sent
        headers_sent = [
            (name.decode(), value.decode("latin-1")) for name, value in start["headers"]
        ]
        answered = Answered(start["status"], headers_sent, end["body"])
        self.seen.append(answered)
        for line in answered.cookies:
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answered

    async def call(self, method: str, target: str, **headers: str) -> Answered:
        """As a script of the application does."""
        return await self.ask(method, target, {**OWN, **headers})

    async def tell(self) -> Any:
        return (await self.call("GET", "/session")).json


class Api:
    """The resource server behind the application, as an `AsyncTransport`. It asks the issuer about
    every token, unless a test says otherwise."""

    def __init__(self, issuer: Issuer) -> None:
        self.requests: list[FetchRequest] = []
        self.failure: FetchFailed | None = None
        self.answer: Answer = lambda _: FetchResponse(
            200, {"content-type": "application/json"}, b'{"orders":[]}'
        )
        self.refuses = False
        self.asks = True
        self._issuer = issuer

    async def send(self, request: FetchRequest) -> FetchResponse:
        self.requests.append(request)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        token = dict(request.headers)["Authorization"].removeprefix("Bearer ")
        if self.refuses or (self.asks and not self._is_active(token)):
            return FetchResponse(401, {"www-authenticate": 'Bearer error="invalid_token"'}, b"")
        return self.answer(request)

    def _is_active(self, token: str) -> bool:
        return self._issuer.introspect(token, audience=ORDERS)["active"] is True

    @property
    def tokens(self) -> list[str]:
        return [dict(each.headers)["Authorization"] for each in self.requests]


class Line:
    """The way to the provider, which lets others go on while it is asked. `lose` swallows the
    answers of the next requests to the token endpoint."""

    def __init__(self, inner: AsyncTransport) -> None:
        self.lose: list[FetchFailed] = []
        self.tokens = 0
        self.answers: list[FetchResponse] = []
        self._inner = inner

    async def send(self, request: FetchRequest) -> FetchResponse:
        for _ in range(5):
            await asyncio.sleep(0)
        response = await self._inner.send(request)
        if urlsplit(request.url).path == "/token":
            self.tokens += 1
            await asyncio.sleep(0)  # the answer is on its way
            self.answers.append(response)
            if self.lose:
                raise self.lose.pop()
        return response


class Stage:
    """`house` is the provider; `bff` the application, and `hong` a person's browser there."""

    def __init__(self, *, sessions: BrowserSessions | None = None, **settings: Any) -> None:
        client: dict[str, Any] = {
            "backchannel_logout_uri": ORIGIN + "/backchannel-logout",
            **settings.pop("client", {}),
        }
        self.house: Final = House(**client)
        self.clock: Final = self.house.issuer.clock
        self.api: Final = Api(self.house.issuer)
        self.line: Final = Line(self.house.issuer.async_transport)
        self.ring: Final = SealRing(SealKey.generate("test"))
        self.sessions: Final = sessions or SessionsInOneProcess(clock=self.clock)
        wanted: dict[str, Any] = {
            "upstreams": [Upstream(prefix="/api", url=UPSTREAM)],
            "signed_out_url": AFTER,
            **settings.pop("bff", {}),
        }
        self._party = settings
        self._wanted = wanted
        self.bff: Final = self.make_bff()

    def make_bff(self, sessions: BrowserSessions | None = None) -> Bff:
        """Another process of the same application."""
        return Bff(
            self.make_party(),
            ring=self.ring,
            sessions=sessions or self.sessions,
            transport=self.api,
            **self._wanted,
        )

    def make_party(self) -> RelyingParty:
        given: dict[str, Any] = {
            "issuer": self.house.issuer.url,
            "credentials": self.house.issuer.credentials("app"),
            "redirect_uri": CALLBACK,
            "scopes": ("openid", "profile", "email", "orders:read"),
            "claims": ("name",),
            "resource": ORDERS,
            "transport": self.house.issuer.transport,
            "async_transport": self.line,
            "clock": self.clock,
            **self._party,
        }
        return RelyingParty(**given)

    def browse(self, bff: Bff | None = None) -> Browser:
        return Browser(bff or self.bff)

    async def sign_in(
        self, browser: Browser, visitor: Visitor | None = None, *, login: str = "/login"
    ) -> Answered:
        """All the way to the answer to the callback."""
        return await browser.ask("GET", await self.go(browser, visitor, login=login))

    async def go(
        self, browser: Browser, visitor: Visitor | None = None, *, login: str = "/login"
    ) -> str:
        """To the provider and back, up to the callback."""
        left = await browser.ask("GET", login)
        assert left.status == 303, left
        return self.visit(left.location, visitor)

    def visit(self, url: str, visitor: Visitor | None = None) -> str:
        """What the provider makes of an authorization URL: where it sends the browser."""
        visitor = visitor or self.house.hong
        page = visitor.open(url.removeprefix(self.house.issuer.url))
        if page.has_button("sign_in"):
            page = self.house.enter(page, visitor=visitor)
        if page.has_button("allow"):
            page = visitor.press(page, "allow")
        assert page.location is not None, page.html
        assert page.location.startswith(ORIGIN)
        return page.location.removeprefix(ORIGIN)

    async def meet(self) -> Browser:
        """A browser in which hong is signed in."""
        browser = self.browse()
        arrived = await self.sign_in(browser)
        assert arrived.status == 303, arrived
        assert SESSION in browser.cookies, arrived
        return browser

    def list_secrets(self) -> list[str]:
        """Every token that the provider gave the application."""
        documents = [json.loads(each.body) for each in self.line.answers]
        names = ("access_token", "refresh_token", "id_token")
        return [each[name] for each in documents for name in names if name in each]


def read_query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def write_form(**fields: str) -> bytes:
    return urlencode(fields).encode()
