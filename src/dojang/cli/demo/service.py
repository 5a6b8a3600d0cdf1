"""The two services of the demo, orders and payments: `python -m dojang.cli.demo.service NAME`,
with its settings in the environment (a JSON object in DEMO_SERVICE)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from msgspec import Struct

from dojang.cli.demo.report import STRATEGIES, Strategy
from dojang.client import ClientSecretBasic, Exchange, TokenRefused, TokenSource
from dojang.fetch import FetchRequest, FetchResponse, HttpTransport, ThreadedTransport
from dojang.integrations.fastapi import Guard
from dojang.resource import (
    Expect,
    Follower,
    HybridVerifier,
    IntrospectionVerifier,
    LocalVerifier,
    RemoteKeys,
    VerifiedToken,
    Verifier,
)

ORDERS: Final = "https://orders.example"
PAYMENTS: Final = "https://payments.example"
ALGORITHMS: Final = ("ES256",)
LEEWAY: Final = 5
CACHE: Final = 2.0  # seconds
COOLDOWN: Final = 2.0  # seconds between two looks at the keys that unknown ones cause
BOUND: Final = 2.0  # seconds that the pushed view of revocations may be old


class ServiceSettings(Struct, frozen=True, kw_only=True):
    """What a service of the demo is told. The secret is in a file."""

    issuer: str
    port: int
    secret_file: str
    payments_url: str = ""


class _Way:
    """A strategy for `Guard`: which verifier is built for what is expected. Local verification has
    keys of its own, which nobody tells of a change: a key that it does not know makes it look."""

    def __init__(self, name: str, credentials: ClientSecretBasic, keys: RemoteKeys) -> None:
        self._name = name
        self._credentials = credentials
        self._keys = keys

    def build(self, expect: Expect) -> Verifier:
        if self._name == "local":
            return LocalVerifier(expect, keys=RemoteKeys(expect.issuer, cooldown=COOLDOWN))
        local = LocalVerifier(expect, keys=self._keys)
        keep = CACHE if self._name == "introspection_cached" else 0.0
        # A refusal is not kept either, so that each one seen is the server's own word.
        asking = IntrospectionVerifier(
            expect, credentials=self._credentials, keep=keep, keep_refused=0
        )
        if not self._name.startswith("hybrid"):
            return asking
        if self._name == "hybrid":
            return HybridVerifier(local=local, introspection=asking)
        return HybridVerifier(
            local=local,
            introspection=asking,
            follower=Follower(expect.issuer, credentials=self._credentials),
            staleness=BOUND,
        )


class _Payments:
    """Payments, as orders calls it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._transport = ThreadedTransport(HttpTransport())

    async def charge(self, token: str, strategy: str) -> FetchResponse:
        headers = (("Authorization", f"Bearer {token}"),)
        return await self._transport.send(
            FetchRequest("POST", f"{self._url}/{strategy}/charges", headers)
        )


def build_orders(settings: ServiceSettings) -> FastAPI:
    """Orders: one route a strategy, one that calls payments with a token of its own, and those
    that call payments for whoever called orders."""
    credentials = _load_credentials("orders", settings)
    app = FastAPI()
    guards = _build_guards(settings, ORDERS, credentials)
    payments = _Payments(settings.payments_url)

    def add(name: str, guard: Guard) -> None:
        @app.get(f"/{name}/orders")
        async def list_orders(
            token: VerifiedToken = guard("orders:read"),
        ) -> dict[str, Any]:
            return {"orders": 3, "saw": _describe(token)}

    for name, guard in guards.items():
        add(name, guard)

    source = TokenSource(issuer=settings.issuer, credentials=credentials)
    own = source.bind(resource=PAYMENTS, scope="payments:charge")

    @app.post("/orders")
    async def order(
        token: VerifiedToken = guards["hybrid"]("orders:write"),
    ) -> Any:
        answer = await payments.charge(await own.token_async(), "hybrid_pushed")
        return {"status": answer.status, "answer": msgspec.json.decode(answer.body)}

    exchange = Exchange(issuer=settings.issuer, credentials=credentials)
    _add_checkouts(app, guards["hybrid_pushed"], exchange, payments)
    return app


def _add_checkouts(app: FastAPI, guard: Guard, exchange: Exchange, payments: _Payments) -> None:
    """A checkout charges more than once: orders holds the exchanged token as long as that takes."""
    held: dict[str, str] = {}

    @app.post("/checkouts")
    async def begin(
        request: Request,
        token: VerifiedToken = guard("orders:write"),
    ) -> Any:
        called_with = request.headers["authorization"].partition(" ")[2]
        try:
            exchanged = await exchange.exchange_async(
                called_with, audience=PAYMENTS, scope="payments:charge"
            )
        except TokenRefused as refused:
            return JSONResponse({"error": refused.error}, 502)
        number = token_urlsafe(16)
        held[number] = exchanged
        answer = await payments.charge(exchanged, "hybrid_pushed")
        return {"checkout": number, "answer": msgspec.json.decode(answer.body)}

    @app.post("/checkouts/{number}/{strategy}")
    async def go_on(number: str, strategy: Strategy) -> Response:
        if number not in held:
            return Response(status_code=404)
        answer = await payments.charge(held[number], strategy)
        return Response(answer.body, answer.status, media_type="application/json")


def build_payments(settings: ServiceSettings) -> FastAPI:
    """Payments: charges are for who may charge; one route a strategy."""
    app = FastAPI()

    def add(name: str, guard: Guard) -> None:
        @app.post(f"/{name}/charges")
        async def charge(
            token: VerifiedToken = guard("payments:charge"),
        ) -> dict[str, Any]:
            return _describe(token)

    credentials = _load_credentials("payments", settings)
    for name, guard in _build_guards(settings, PAYMENTS, credentials).items():
        add(name, guard)
    return app


def _build_guards(
    settings: ServiceSettings, audience: str, credentials: ClientSecretBasic
) -> dict[Strategy, Guard]:
    keys = RemoteKeys(settings.issuer)
    return {
        name: Guard(
            issuer=settings.issuer,
            audience=audience,
            algorithms=ALGORITHMS,
            leeway=LEEWAY,
            strategy=_Way(name, credentials, keys),
        )
        for name in STRATEGIES
    }


def _describe(token: VerifiedToken) -> dict[str, Any]:
    """What a service knows of who calls: `Sight` of the report."""
    return {
        "subject": token.subject,
        "audience": " ".join(token.audience),
        "client": token.client_id,
        "actors": list(token.actors),
        "scope": " ".join(sorted(token.scopes)),
    }


def _load_credentials(name: str, settings: ServiceSettings) -> ClientSecretBasic:
    return ClientSecretBasic(name, Path(settings.secret_file).read_text().strip())


def main() -> None:
    """Run the service that the first argument names."""
    settings = msgspec.json.decode(os.environ["DEMO_SERVICE"], type=ServiceSettings)
    build = {"orders": build_orders, "payments": build_payments}[sys.argv[1]]
    uvicorn.run(
        build(settings),
        host="127.0.0.1",
        port=settings.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
