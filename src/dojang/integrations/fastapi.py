"""A guard for FastAPI routes that both documents and verifies."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, NamedTuple

from fastapi import APIRouter, HTTPException, Security, WebSocketException
from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowAuthorizationCode, OAuthFlows
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.responses import Response

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.integrations.asgi import build_head
from dojang.resource import (
    Expect,
    Refusal,
    Rule,
    Strategy,
    TokenPlace,
    Unavailable,
    VerifiedToken,
    Verifier,
    WhenStale,
)
from dojang.resource.credential import DEFAULT_PLACES
from dojang.resource.gate import REFUSED, UNAVAILABLE, Gate
from dojang.resource.verifier import LOCAL

_log = logging.getLogger("dojang.resource")


class Refused(HTTPException):
    """The answer to a refused request; `refusal` says why, for operators."""

    def __init__(self, refusal: Refusal, headers: dict[str, str]) -> None:
        detail = refusal.description or REFUSED[refusal.status]
        super().__init__(refusal.status, detail, headers)
        self.refusal = refusal


class Unauthenticated(Refused):
    """Who asks is not known (400, 401). `@app.exception_handler(Unauthenticated)` replaces the
    answer."""


class Denied(Refused):
    """Who asks may not (403). `@app.exception_handler(Denied)` replaces the answer."""


class Unknown(HTTPException):
    """Whether the request may pass cannot be known now (503)."""

    def __init__(self, why: Unavailable, headers: dict[str, str]) -> None:
        super().__init__(503, UNAVAILABLE, headers)
        self.why = why


class DocsSignIn(NamedTuple):
    """Where `/docs` sends who wants to try the routes: the issuer's endpoints, as its discovery
    document names them."""

    authorization_url: str
    token_url: str


class Guard:
    """Makes dependencies that give a route its verified token.

        guard = Guard(issuer="https://as.example", audience="https://orders.example",
                      algorithms=["ES256"])

        @app.get("/orders")
        def orders(token: Annotated[VerifiedToken, guard("orders:read")]): ...

    `strategy` chooses how tokens are verified; the first four are those of
    `Expect`. `resource`, this service's URL, stands in challenges and makes `router` serve its
    metadata (RFC 9728). With `docs_sign_in` the OpenAPI document has people sign in (OAuth 2.0 code
    flow) where it else has them bring a token. Raises `ValueError`.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithms: Collection[str],
        leeway: float = 5,
        strategy: Strategy = LOCAL,
        places: Collection[TokenPlace] = DEFAULT_PLACES,
        realm: str | None = None,
        resource: str | None = None,
        scheme_name: str = "Dojang",
        docs_sign_in: DocsSignIn | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        expect = Expect(issuer=issuer, audience=audience, algorithms=algorithms, leeway=leeway)
        self.verifier: Verifier = strategy.build(expect)
        self._gate = Gate(self.verifier, places=places, realm=realm, resource=resource, clock=clock)
        self._scheme_name = scheme_name
        self._flow = None
        if docs_sign_in is not None:
            self._flow = OAuthFlowAuthorizationCode(
                authorizationUrl=docs_sign_in.authorization_url, tokenUrl=docs_sign_in.token_url
            )
        self._scopes: set[str] = set()

    def __call__(
        self,
        *scopes: str,
        any_scope: Collection[str] = (),
        roles: Collection[str] = (),
        acr: Collection[str] = (),
        max_age: int | None = None,
        staleness: float | None = None,
        when_stale: WhenStale | None = None,
        authenticated: bool = False,
    ) -> Any:
        """A dependency that demands what `Rule` says, for `Annotated` or as a default value.

        Raises `ValueError` where nothing is demanded (say `authenticated=True` where any verified
        token will do), or where the strategy cannot keep `staleness`.
        """
        rule = Rule(
            scopes=scopes,
            any_scope=tuple(any_scope),
            roles=tuple(roles),
            acr=tuple(acr),
            max_age=max_age,
            staleness=staleness,
            when_stale=when_stale,
            authenticated=authenticated,
        )
        self._gate.prepare(rule)
        self._scopes.update(rule.scopes, rule.any_scope)
        dependency = _Guarded(self._gate, rule, self._scheme_name, self._build_scheme())
        return Security(dependency, scopes=[*rule.scopes, *rule.any_scope])

    def _build_scheme(self) -> HTTPBearer | OAuth2:
        description = f"An access token of {self.verifier.expect.issuer}"
        if self._flow is None:
            return HTTPBearer(bearerFormat="JWT", description=description)
        self._flow.scopes.update(dict.fromkeys(sorted(self._scopes), ""))
        return OAuth2(flows=OAuthFlows(authorizationCode=self._flow), description=description)

    @property
    def router(self) -> APIRouter:
        """Serves the metadata of this resource: `app.include_router(guard.router)`."""
        path = self._gate.metadata_path
        if path is None:
            raise ValueError("metadata needs resource, this service's URL")
        router = APIRouter()

        async def serve_metadata() -> Response:
            response = self._gate.build_metadata(self._scopes)
            headers = {name.decode(): value.decode() for name, value in response.headers}
            return Response(response.body, headers=headers)

        router.add_api_route(path, serve_metadata, methods=["GET"], include_in_schema=False)
        return router


class _Guarded(SecurityBase):
    """What FastAPI calls for one route, and reads for the OpenAPI document."""

    def __init__(
        self, gate: Gate, rule: Rule, scheme_name: str, model: HTTPBearer | OAuth2
    ) -> None:
        self.model = model
        self.scheme_name = scheme_name
        self._gate = gate
        self._rule = rule

    async def __call__(self, connection: HTTPConnection) -> VerifiedToken:
        try:
            return await self._gate.admit(build_head(connection.scope), self._rule)
        except (Refusal, Unavailable) as raised:
            why = raised
        _log.info("refused: %s", why.reason if isinstance(why, Refusal) else why)
        if connection.scope["type"] == "websocket":
            raise WebSocketException(code=1008)
        response = self._gate.build_response(why)
        headers = {
            name.decode(): value.decode()
            for name, value in response.headers
            if name != b"content-type"
        }
        if isinstance(why, Unavailable):
            raise Unknown(why, headers)
        raise (Denied if why.status == 403 else Unauthenticated)(why, headers)
