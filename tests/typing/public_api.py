"""What a user's type checker sees; mypy --strict reads this file, and a test runs mypy."""

from collections.abc import Mapping
from typing import Annotated, Any, assert_type

from fastapi import FastAPI

import dojang
from dojang import (
    ClientSecretBasic,
    Exchange,
    Expect,
    FeedState,
    FeedStatus,
    Follower,
    Hybrid,
    HybridVerifier,
    Identity,
    Introspection,
    IntrospectionVerifier,
    LocalVerifier,
    Policy,
    Refusal,
    RefusalReason,
    RemoteKeys,
    TokenSource,
    VerifiedToken,
    Verifier,
    WhenStale,
)
from dojang.client import BoundSource, HttpxAuth, RequestsAuth
from dojang.integrations.asgi import Protect
from dojang.integrations.fastapi import Guard

expect = Expect(
    issuer="https://issuer.example", audience="https://orders.example", algorithms=["ES256"]
)
credentials = ClientSecretBasic("orders", "secret")
source = TokenSource(issuer="https://issuer.example", credentials=credentials)
exchange = Exchange(issuer="https://issuer.example", credentials=credentials)
bound = source.bind(resource="https://orders.example", scope="orders:read")
local = LocalVerifier(expect, keys=RemoteKeys("https://issuer.example"))
asking = IntrospectionVerifier(expect, source=bound)
follower = Follower("https://issuer.example", source=bound)
both = HybridVerifier(
    local=local,
    introspection=asking,
    follower=follower,
    staleness=2.0,
    when_stale=WhenStale.REFUSE,
)
verifiers: list[Verifier] = [local, asking, both]


def verify(verifier: Verifier, raw: str) -> None:
    token = verifier.verify(raw, staleness=2, when_stale=WhenStale.ASK)
    assert_type(token, VerifiedToken)
    assert_type(token.identity, Identity)
    assert_type(token.scopes, frozenset[str])
    assert_type(token.roles, frozenset[str])
    assert_type(token.audience, tuple[str, ...])
    assert_type(token.expires_at, float)
    assert_type(token.actors, tuple[str, ...])
    assert_type(exchange.exchange(raw, audience="https://payments.example"), str)
    assert_type(token.token_id, str | None)
    assert_type(token.claims, Mapping[str, Any])


def watch(verifier: Verifier) -> None:
    status = assert_type(verifier.feed_status(), FeedStatus | None)
    if status is not None:
        assert_type(status.age, float | None)
        assert_type(status.state, FeedState)
        assert_type(status.facts, int)
    assert_type(follower.poll(), FeedStatus)


async def verify_async(verifier: Verifier, raw: str) -> VerifiedToken:
    return assert_type(await verifier.verify_async(raw), VerifiedToken)


def tell(refusal: Refusal) -> None:
    assert_type(refusal.reason, RefusalReason)
    assert_type(refusal.status, int)
    assert_type(refusal.error, str | None)


def call() -> None:
    assert_type(source.token(), str)
    assert_type(bound, BoundSource)
    assert_type(dojang.TokenSource, type[TokenSource])
    HttpxAuth(bound)
    RequestsAuth(bound)


async def call_async() -> None:
    assert_type(await bound.token_async(), str)


guard = Guard(
    issuer="https://issuer.example",
    audience="https://orders.example",
    algorithms=["ES256"],
    strategy=Hybrid(
        introspection=Introspection(credentials=credentials),
        staleness=5,
        when_stale=WhenStale.ACCEPT_UNTIL_EXPIRY,
        follow=follower,
    ),
)
app = FastAPI()


@app.get("/orders")
def orders(token: Annotated[VerifiedToken, guard("orders:read")]) -> str:
    return assert_type(token.subject, str)


@app.post("/orders")
def order(
    token: VerifiedToken = guard("orders:write", staleness=0, when_stale=WhenStale.REFUSE),
) -> str:
    return token.client_id


protected = Protect(app, local, Policy.parse({}))

LocalVerifier()  # type: ignore[call-arg]
Expect(issuer="https://issuer.example", audience="a")  # type: ignore[call-arg]
Expect("https://issuer.example", "a", ["ES256"])  # type: ignore[call-arg]
Follower("https://issuer.example", credentials="secret")  # type: ignore[arg-type]
guard("orders:read", when_stale="never")  # type: ignore[arg-type]
IntrospectionVerifier(expect, credentials="secret")  # type: ignore[arg-type]
VerifiedToken("raw")  # type: ignore[arg-type]
