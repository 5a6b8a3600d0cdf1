"""The application of `dojang dev`: an OpenID Connect client that shows what it was given.

It speaks to the provider as any other would, over HTTP: the code flow with PKCE, state, nonce and
`iss`, a refresh, and a logout that the provider is asked for.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Coroutine
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dojang.cli.dev.house import API, CLIENT_ID, PASSWORD, SCOPE, USERNAME
from dojang.client import (
    PublicClient,
    RelyingParty,
    SignedIn,
    SignInDenied,
    SignInRefused,
    TokenRefused,
    Transaction,
    Unavailable,
)
from dojang.fetch import AsyncTransport
from dojang.jose import base64url, json_object
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response
from dojang.web.pages.assets import find_asset, load_assets
from dojang.web.pages.headers import HTML, build_content_policy, build_safe_headers
from dojang.web.pages.languages import choose_language
from dojang.web.routing import Route, RouteTable, TemplateRoute

if TYPE_CHECKING:
    from jinja2 import Template

T = TypeVar("T")

COOKIE: Final = "dojang-dev"
MOST_VISITS: Final = 1000
SCOPES: Final = ("openid", "profile", "email", "offline_access", SCOPE)
FAILURES: Final = (SignInRefused, SignInDenied, TokenRefused, Unavailable)
STATIC: Final = "/static/{name}"
_HERE: Final = Path(__file__).parent
_SAFE: Final = build_safe_headers(secure=False)


class Visit:
    """One browser: what it is in the middle of, and what it was given."""

    def __init__(self) -> None:
        self.transaction: Transaction | None = None
        self.signed_in: SignedIn | None = None


class ClientApp:
    """The application at `address`, a client of `issuer`."""

    def __init__(self, issuer: str, address: str, transport: AsyncTransport) -> None:
        self._issuer = issuer
        self._address = address
        self._party = RelyingParty(
            issuer=issuer,
            credentials=PublicClient(CLIENT_ID),
            redirect_uri=f"{address}/callback",
            scopes=SCOPES,
            claims=("name", "email"),
            resource=API,
            algorithms=("ES256",),
            async_transport=transport,
        )
        self._visits: dict[str, Visit] = {}

    def build_routes(self) -> RouteTable:
        """Its pages."""
        return RouteTable(
            [
                Route("/", {"GET": self.show}),
                Route("/sign-in", {"POST": self.sign_in}),
                Route("/callback", {"GET": self.take_code}),
                Route("/refresh", {"POST": self.refresh}),
                Route("/sign-out", {"POST": self.sign_out}),
                TemplateRoute(STATIC, {"GET": find_asset}),
            ]
        )

    async def show(self, request: Request) -> Response:
        """What was given, claim by claim; or the way to sign in."""
        return self._draw(request, self._find_visit(request))

    async def sign_in(self, request: Request) -> Response:
        """To the provider, with what only this browser can answer for (C121)."""
        self._check_own(request)
        try:
            begun = await _run(self._party.begin_async())
        except FAILURES as failure:
            return self._draw(request, None, problem=_name(failure))
        visit, key = Visit(), token_urlsafe(32)
        visit.transaction = begun.transaction
        while len(self._visits) >= MOST_VISITS:
            del self._visits[next(iter(self._visits))]
        self._visits[key] = visit
        return _lead(begun.url, f"{COOKIE}={key}; Path=/; HttpOnly; SameSite=Lax")

    async def take_code(self, request: Request) -> Response:
        """The answer of the provider, if it is one to this browser's question and its own."""
        visit = self._find_visit(request)
        if visit is None or visit.transaction is None:
            return self._draw(request, None, problem="no_transaction")
        try:
            visit.signed_in = await _run(self._party.finish_async(visit.transaction, request.query))
        except FAILURES as failure:
            return self._draw(request, None, problem=_name(failure))
        visit.transaction = None
        return _lead("/")

    async def refresh(self, request: Request) -> Response:
        """Others, for the refresh token."""
        self._check_own(request)
        visit = self._find_visit(request)
        before = visit.signed_in if visit else None
        if visit is None or before is None or before.tokens.refresh_token is None:
            return _lead("/")
        try:
            tokens = await _run(
                self._party.refresh_async(before.tokens.refresh_token, before=before.claims)
            )
        except FAILURES as failure:
            visit.signed_in = None
            return self._draw(request, None, problem=_name(failure))
        claims = before.claims if tokens.id_token is None else _read(tokens.id_token)
        visit.signed_in = SignedIn(claims, tokens)
        return _lead("/")

    async def sign_out(self, request: Request) -> Response:
        """Here, and at the provider (RP-Initiated Logout §2)."""
        self._check_own(request)
        visit = self._find_visit(request)
        if visit is None or visit.signed_in is None:
            return _lead("/")
        hint, visit.signed_in = visit.signed_in.tokens.id_token, None
        try:
            location = await _run(
                self._party.find_logout_url_async(return_to=f"{self._address}/", id_token=hint)
            )
        except Unavailable as failure:
            return self._draw(request, None, problem=_name(failure))
        return _lead(location or "/")

    def _find_visit(self, request: Request) -> Visit | None:
        try:
            shown = SimpleCookie((request.header(b"cookie") or b"").decode("latin-1"))
        except CookieError:
            return None
        morsel = shown.get(COOKIE)
        return self._visits.get(morsel.value) if morsel else None

    def _check_own(self, request: Request) -> None:
        origin = request.header(b"origin")
        if origin not in (None, b"null", self._address.encode()):
            raise OAuthError(
                ErrorCode.INVALID_REQUEST, "The form is another site's.", reason="bad_form"
            )

    def _draw(self, request: Request, visit: Visit | None, *, problem: str = "") -> Response:
        accepted = request.header(b"accept-language") or b""
        language = choose_language((), accepted)
        signed_in = visit.signed_in if visit else None
        text = _load_template().render(
            lang=language,
            words=_load_words()[language],
            style=load_assets().paths["pages.css"],
            seal=load_assets().paths["seal.svg"],
            issuer=self._issuer,
            username=USERNAME,
            password=PASSWORD,
            problem=problem,
            tokens=signed_in is not None,
            identity=signed_in.claims if signed_in else {},
            access=_read(signed_in.tokens.access_token) if signed_in else {},
        )
        policy = (b"content-security-policy", _build_policy(self._issuer))
        return Response(200, (HTML, *_SAFE), text.encode(), (policy,))


def _build_policy(issuer: str) -> bytes:
    # The forms lead on to the provider, and Chromium looks at where a form leads on to.
    return build_content_policy(issuer + "/")


def _lead(location: str, cookie: str | None = None) -> Response:
    own = [(b"location", location.encode("ascii"))]
    if cookie is not None:
        own.append((b"set-cookie", cookie.encode("ascii")))
    return Response(303, _SAFE, b"", tuple(own))


async def _run(asked: Coroutine[Any, Any, T]) -> T:
    # A handler begins outside of any task, and time limits need one.
    return await asyncio.create_task(asked)


def _name(failure: Exception) -> str:
    """What the page says went wrong: a word of the library or of the provider."""
    if isinstance(failure, SignInRefused):
        return failure.flaw
    if isinstance(failure, SignInDenied | TokenRefused):
        return failure.error
    return "unreachable"


def _read(token: str) -> dict[str, Any]:
    """What a token says. An application has no business with an access token's; a developer has."""
    return json_object.parse(base64url.decode(token.split(".")[1]))


@cache
def _load_template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html")


@cache
def _load_words() -> dict[str, Any]:
    return tomllib.loads((_HERE / "words.toml").read_text("utf-8"))
