"""The two services of the demo, orders and payments: `python -m dojang.cli.demo.service NAME`,
with its settings in the environment (a JSON object in DEMO_SERVICE)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from fastapi import FastAPI
from msgspec import Struct

from dojang.cli.demo.report import STRATEGIES
from dojang.client import ClientSecretBasic, TokenSource
from dojang.fetch import FetchRequest, HttpTransport, ThreadedTransport
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


def build_orders(settings: ServiceSettings) -> FastAPI:
    """Orders: one route a strategy, and one that calls payments with a token of its own."""
    credentials = _load_credentials("orders", settings)
    keys = RemoteKeys(settings.issuer)
    app = FastAPI()
    guards = {
        name: Guard(
            issuer=settings.issuer,
            audience=ORDERS,
            algorithms=ALGORITHMS,
            leeway=LEEWAY,
            strategy=_Way(name, credentials, keys),
        )
        for name in STRATEGIES
    }

    def add(name: str, guard: Guard) -> None:
        @app.get(f"/{name}/orders")
        async def list_orders(
            token: VerifiedToken = guard("orders:read"),
        ) -> dict[str, Any]:
            return {"orders": 3, "for": token.client_id}

    for name, guard in guards.items():
        add(name, guard)

    source = TokenSource(issuer=settings.issuer, credentials=credentials)
    own = source.bind(resource=PAYMENTS, scope="payments:charge")
    transport = ThreadedTransport(HttpTransport())

    @app.post("/orders")
    async def order(
        token: VerifiedToken = guards["hybrid"]("orders:write"),
    ) -> Any:
        headers = (("Authorization", f"Bearer {await own.token_async()}"),)
        answer = await transport.send(
            FetchRequest("POST", f"{settings.payments_url}/charges", headers)
        )
        return {"status": answer.status, "answer": msgspec.json.decode(answer.body)}

    return app


def build_payments(settings: ServiceSettings) -> FastAPI:
    """Payments: charges are for who may charge."""
    app = FastAPI()
    guard = Guard(
        issuer=settings.issuer,
        audience=PAYMENTS,
        algorithms=ALGORITHMS,
        leeway=LEEWAY,
        strategy=_Way(
            "hybrid_pushed", _load_credentials("payments", settings), RemoteKeys(settings.issuer)
        ),
    )

    @app.post("/charges")
    async def charge(token: VerifiedToken = guard("payments:charge")) -> dict[str, str]:
        return {"client": token.client_id, "scope": " ".join(sorted(token.scopes))}

    return app


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
