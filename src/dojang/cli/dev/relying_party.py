"""The application of `dojang dev`: an OpenID Connect client that shows what it was given.

It speaks to the provider as any other would, over HTTP: the code flow with PKCE, state, nonce and
`iss`, a refresh, userinfo, and a logout that the provider is asked for.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from secrets import compare_digest, token_urlsafe
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from dojang.cli.dev.house import API, CLIENT_ID, PASSWORD, SCOPE, USERNAME
from dojang.clock import SYSTEM_CLOCK
from dojang.fetch import AsyncTransport, FetchFailed, FetchRequest
from dojang.jose import base64url, json_object
from dojang.jose.errors import InvalidToken
from dojang.jose.jwt import JwtVerifier, check_claims
from dojang.jose.keys import KeySet
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, parse_parameters
from dojang.oauth.pkce import METHOD, build_challenge
from dojang.web.pages.assets import find_asset, load_assets
from dojang.web.pages.headers import HTML, build_content_policy, build_safe_headers
from dojang.web.pages.languages import choose_language
from dojang.web.routing import Route, RouteTable, TemplateRoute

if TYPE_CHECKING:
    from jinja2 import Template

COOKIE: Final = "dojang-dev"
MOST_VISITS: Final = 1000
SCOPES: Final = f"openid profile email offline_access {SCOPE}"
STATIC: Final = "/static/{name}"
_HERE: Final = Path(__file__).parent
_SAFE: Final = build_safe_headers(secure=False)


class Refused(Exception):
    """The provider, or what it answered, is not as it should be; the message is for the page."""


class Visit:
    """One browser: what it is in the middle of, and what it was given."""

    def __init__(self) -> None:
        self.state = self.nonce = self.verifier = ""
        self.tokens: dict[str, Any] = {}
        self.identity: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}


class RelyingParty:
    """The application at `address`, a client of `issuer`."""

    def __init__(self, issuer: str, address: str, transport: AsyncTransport) -> None:
        self._issuer = issuer
        self._address = address
        self._transport = transport
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
        visit, key = Visit(), token_urlsafe(32)
        visit.state, visit.nonce, visit.verifier = (token_urlsafe(32) for _ in range(3))
        while len(self._visits) >= MOST_VISITS:
            del self._visits[next(iter(self._visits))]
        self._visits[key] = visit
        query = {
            "client_id": CLIENT_ID,
            "redirect_uri": f"{self._address}/callback",
            "response_type": "code",
            "scope": SCOPES,
            "resource": API,
            "state": visit.state,
            "nonce": visit.nonce,
            "code_challenge": build_challenge(visit.verifier),
            "code_challenge_method": METHOD,
        }
        cookie = f"{COOKIE}={key}; Path=/; HttpOnly; SameSite=Lax"
        return _lead(f"{self._issuer}/authorize?{urlencode(query)}", cookie)

    async def take_code(self, request: Request) -> Response:
        """The answer of the provider, if it is one to this browser's question and its own."""
        visit = self._find_visit(request)
        try:
            answer = parse_parameters(request.query)
            if visit is None or not compare_digest(visit.state, answer.get("state", "")):
                raise Refused("state")
            if answer.get("iss") != self._issuer:  # RFC 9207 §2.4
                raise Refused("iss")
            if "error" in answer:
                raise Refused(answer["error"])
            form = {
                "grant_type": "authorization_code",
                "code": answer.get("code", ""),
                "redirect_uri": f"{self._address}/callback",
                "code_verifier": visit.verifier,
            }
            await self._take_tokens(visit, form)
        except Refused as refused:
            return self._draw(request, None, problem=str(refused))
        return _lead("/")

    async def refresh(self, request: Request) -> Response:
        """Others, for the refresh token."""
        self._check_own(request)
        visit = self._find_visit(request)
        if visit is None or not visit.tokens:
            return _lead("/")
        form = {"grant_type": "refresh_token", "refresh_token": visit.tokens["refresh_token"]}
        try:
            await self._take_tokens(visit, form)
        except Refused as refused:
            visit.tokens = {}
            return self._draw(request, None, problem=str(refused))
        return _lead("/")

    async def sign_out(self, request: Request) -> Response:
        """Here, and at the provider (RP-Initiated Logout §2)."""
        self._check_own(request)
        visit = self._find_visit(request)
        if visit is None or not visit.tokens:
            return _lead("/")
        hint, visit.tokens = visit.tokens["id_token"], {}
        query = {"id_token_hint": hint, "post_logout_redirect_uri": f"{self._address}/"}
        return _lead(f"{self._issuer}/logout?{urlencode(query)}")

    async def _take_tokens(self, visit: Visit, form: Mapping[str, str]) -> None:
        tokens = await self._ask("POST", "/token", {**form, "client_id": CLIENT_ID})
        jwks = await self._ask("GET", "/.well-known/jwks.json")
        try:
            verifier = JwtVerifier(KeySet.parse(jwks), algorithms={"ES256"}, types={None})
            signed = verifier.verify(tokens["id_token"])
            now = int(SYSTEM_CLOCK.now())
            check_claims(signed, issuer=self._issuer, audience=CLIENT_ID, now=now)
        except InvalidToken as error:
            raise Refused("id_token") from error
        first = form["grant_type"] == "authorization_code"
        if first and signed.claims.get("nonce") != visit.nonce:
            raise Refused("nonce")
        if not first and signed.claims["sub"] != visit.identity["sub"]:
            raise Refused("sub")
        visit.tokens, visit.identity = {**visit.tokens, **tokens}, signed.claims

    async def _ask(
        self, method: str, path: str, form: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        headers = (("Content-Type", "application/x-www-form-urlencoded"),) if form else ()
        body = urlencode(form or {}).encode()
        try:
            request = FetchRequest(method, self._issuer + path, headers, body)
            # A handler begins outside of any task, and time limits need one.
            answer = await asyncio.create_task(self._transport.send(request))
            document = json_object.parse(answer.body)
        except (FetchFailed, InvalidToken) as error:
            raise Refused("unreachable") from error
        if answer.status != 200:
            raise Refused(str(document.get("error")))
        return document

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
        tokens = visit.tokens if visit else {}
        text = _load_template().render(
            lang=language,
            words=_load_words()[language],
            style=load_assets().paths["pages.css"],
            seal=load_assets().paths["seal.svg"],
            issuer=self._issuer,
            username=USERNAME,
            password=PASSWORD,
            problem=problem,
            tokens=tokens,
            identity=visit.identity if visit and tokens else {},
            access=_read(tokens["access_token"]) if tokens else {},
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


def _read(token: str) -> dict[str, Any]:
    """What an access token says. An application has no business with that; a developer has."""
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
