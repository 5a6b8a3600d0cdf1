"""Tokens on outgoing requests, by httpx, httpx2 and requests alike."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest
import requests

from dojang.client import (
    BoundSource,
    ClientSecretBasic,
    Httpx2Auth,
    HttpxAuth,
    RequestsAuth,
    TokenSource,
)
from dojang.testing import SettableClock
from tests.origin import Answer, Origin, Received, WireIssuer

Send = Callable[[BoundSource, str], int]

BODY = b"an order"


def send_requests(source: BoundSource, url: str) -> int:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=BODY, auth=RequestsAuth(source), timeout=10).status_code


def send_httpx(source: BoundSource, url: str) -> int:
    with httpx.Client(auth=HttpxAuth(source), trust_env=False) as client:
        return client.post(url, content=BODY).status_code


def send_httpx2(source: BoundSource, url: str) -> int:
    with httpx2.Client(auth=Httpx2Auth(source), trust_env=False) as client:
        return client.post(url, content=BODY).status_code


def send_httpx_async(source: BoundSource, url: str) -> int:
    async def send() -> int:
        async with httpx.AsyncClient(auth=HttpxAuth(source), trust_env=False) as client:
            return (await client.post(url, content=BODY)).status_code

    return asyncio.run(send())


def send_httpx2_async(source: BoundSource, url: str) -> int:
    async def send() -> int:
        async with httpx2.AsyncClient(auth=Httpx2Auth(source), trust_env=False) as client:
            return (await client.post(url, content=BODY)).status_code

    return asyncio.run(send())


@pytest.fixture(
    params=[send_requests, send_httpx, send_httpx2, send_httpx_async, send_httpx2_async]
)
def send(request: pytest.FixtureRequest) -> Send:
    chosen: Send = request.param
    return chosen


@pytest.fixture
def service() -> Iterator[Origin]:
    with Origin() as served:
        yield served


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def source(issuer: WireIssuer, clock: SettableClock) -> BoundSource:
    credentials = ClientSecretBasic("shop", "secret")
    tokens = TokenSource(issuer=issuer.url, credentials=credentials, clock=clock)
    return tokens.bind(resource="https://orders.example")


def refuse(error: str | None) -> Answer:
    challenge = 'Bearer realm="orders"' + (f', error="{error}"' if error else "")
    return Answer(401, b"", (("www-authenticate", challenge),))


@pytest.mark.proves("A3")
def test_the_token_is_on_the_request(
    issuer: WireIssuer, service: Origin, source: BoundSource, send: Send
) -> None:
    service.answers["/orders"] = lambda _: Answer()
    assert send(source, service.url + "/orders") == 200
    assert send(source, service.url + "/orders") == 200
    assert {each.headers["authorization"] for each in service.requests} == {
        f"Bearer {source.token()}"
    }
    assert issuer.count("/token") == 1


@pytest.mark.proves("C124")
def test_a_refused_token_is_replaced_once(
    issuer: WireIssuer, service: Origin, source: BoundSource, clock: SettableClock, send: Send
) -> None:
    revoked = source.token()
    clock.move(60)

    def answer(received: Received) -> Answer:
        if received.headers["authorization"] == f"Bearer {revoked}":
            return refuse("invalid_token")
        return Answer(200 if received.body == BODY else 500)

    service.answers["/orders"] = answer
    assert send(source, service.url + "/orders") == 200
    assert len(service.requests) == 2
    assert issuer.count("/token") == 2


@pytest.mark.proves("C124")
def test_a_service_that_refuses_all_tokens_costs_one_new_try(
    issuer: WireIssuer, service: Origin, source: BoundSource, clock: SettableClock, send: Send
) -> None:
    source.token()
    clock.move(60)
    service.answers["/orders"] = lambda _: refuse("invalid_token")
    for _ in range(3):
        assert send(source, service.url + "/orders") == 401
    assert len(service.requests) == 4
    assert issuer.count("/token") == 2


@pytest.mark.parametrize("error", [None, "insufficient_user_authentication"])
def test_other_refusals_are_the_callers_to_read(
    service: Origin, source: BoundSource, clock: SettableClock, send: Send, error: str | None
) -> None:
    first = source.token()
    clock.move(60)
    service.answers["/orders"] = lambda _: refuse(error)
    assert send(source, service.url + "/orders") == 401
    assert len(service.requests) == 1
    assert source.token() == first


@pytest.mark.proves("C113", "C125")
def test_a_token_never_travels_in_the_open(source: BoundSource, send: Send) -> None:
    with pytest.raises(ValueError, match="https"):
        send(source, "http://orders.example/")


def test_a_body_that_is_spent_is_not_sent_again(
    service: Origin, source: BoundSource, clock: SettableClock
) -> None:
    source.token()
    clock.move(60)
    service.answers["/orders"] = lambda _: refuse("invalid_token")

    def stream() -> Iterator[bytes]:
        yield BODY

    for client, auth in (
        (httpx.Client(auth=HttpxAuth(source), trust_env=False), None),
        (httpx2.Client(auth=Httpx2Auth(source), trust_env=False), None),
    ):
        with client as opened:
            headers = {"content-length": str(len(BODY))}
            sending: Any = opened
            response = sending.post(service.url + "/orders", content=stream(), headers=headers)
        assert (response.status_code, auth) == (401, None)
    assert len(service.requests) == 2
