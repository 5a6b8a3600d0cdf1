"""Tokens in exchange: one request for all who hold the same token, kept, and never too long."""

import asyncio
import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest

from dojang.client import ClientSecretBasic, Exchange, TokenRefused, Unavailable
from dojang.testing import Issuer, SettableClock
from tests.origin import Answer, Received, WireIssuer, answer_json

CREDENTIALS = ClientSecretBasic("orders", "canary-secret")
PAYMENTS = "https://payments.example"

Ask = Callable[..., str]


def ask_blocking(exchange: Exchange, token: str = "subject-a", **asked: Any) -> str:
    return exchange.exchange(token, **{"audience": PAYMENTS, **asked})


def ask_async(exchange: Exchange, token: str = "subject-a", **asked: Any) -> str:
    return asyncio.run(exchange.exchange_async(token, **{"audience": PAYMENTS, **asked}))


@pytest.fixture(params=[ask_blocking, ask_async])
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def exchange(issuer: WireIssuer, clock: SettableClock) -> Exchange:
    return Exchange(issuer=issuer.url, credentials=CREDENTIALS, clock=clock)


def lasting(seconds: float, issuer: WireIssuer) -> Callable[[Received], Answer]:
    return lambda _: answer_json(
        {"access_token": issuer.token(), "token_type": "Bearer", "expires_in": seconds}
    )


@pytest.mark.proves("C54", "A3")
def test_says_what_it_was_called_with_and_what_for(
    issuer: WireIssuer, exchange: Exchange, ask: Ask
) -> None:
    assert ask(exchange, scope="payments:charge").startswith("ey")
    (asked,) = (each for each in issuer.requests if each.path == "/token")
    assert asked.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "subject-a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": PAYMENTS,
        "scope": "payments:charge",
    }
    assert asked.basic == "orders:canary-secret"


@pytest.mark.proves("C54", "C124")
def test_what_one_person_is_given_no_other_is(
    issuer: WireIssuer, exchange: Exchange, ask: Ask
) -> None:
    """Kept by the subject token, the target and the scope; nothing that differs is the same."""
    different: tuple[dict[str, Any], ...] = (
        {},
        {"token": "subject-b"},
        {"audience": "https://ledger.example"},
        {"scope": "payments:charge"},
        {"scope": ""},
        {"token": "subject-a3", "audience": "x"},
        {"token": "subject-a", "audience": "3x"},
    )
    found = [ask(exchange, **each) for each in different]
    assert len(set(found)) == len(different)
    assert [ask(exchange, **each) for each in different] == found
    assert issuer.count("/token") == len(different)
    assert issuer.count(issuer.METADATA) == 1


@pytest.mark.proves("C124")
def test_threads_and_tasks_make_one_request(issuer: WireIssuer, exchange: Exchange) -> None:
    gate = Event()

    def answer_late(received: Received) -> Answer:
        gate.wait(10)
        return issuer._issue(received)

    issuer.answers["/token"] = answer_late
    found: list[str] = []
    threads = [Thread(target=lambda: found.append(ask_blocking(exchange))) for _ in range(20)]
    for thread in threads:
        thread.start()

    async def ask_in_tasks() -> list[str]:
        asking = [
            asyncio.create_task(exchange.exchange_async("subject-a", audience=PAYMENTS))
            for _ in range(20)
        ]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*asking)

    found += asyncio.run(ask_in_tasks())
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert len(set(found)) == 1
    assert issuer.count("/token") == 1


@pytest.mark.proves("C54", "C124")
def test_it_is_given_out_until_shortly_before_its_end(
    issuer: WireIssuer, exchange: Exchange, clock: SettableClock, ask: Ask
) -> None:
    for lifetime, kept in ((600, 594.9), (10, 4.9), (1, 0.4)):
        issuer.answers["/token"] = lasting(lifetime, issuer)
        token = f"lasts {lifetime}"
        first = ask(exchange, token)
        clock.move(kept)
        assert ask(exchange, token) == first
        clock.move(0.2)
        assert ask(exchange, token) != first
    assert issuer.count("/token") == 6


@pytest.mark.proves("C124")
def test_it_keeps_so_many_and_no_more(issuer: WireIssuer, clock: SettableClock, ask: Ask) -> None:
    exchange = Exchange(issuer=issuer.url, credentials=CREDENTIALS, clock=clock, most_kept=2)
    first, _, third = (ask(exchange, token) for token in ("a", "b", "c"))
    assert len(exchange._kept) == 2
    assert ask(exchange, "c") == third
    assert ask(exchange, "a") != first
    keeping_none = Exchange(issuer=issuer.url, credentials=CREDENTIALS, clock=clock, most_kept=0)
    assert ask(keeping_none) != ask(keeping_none)
    assert keeping_none._kept == keeping_none._under_way == {}


@pytest.mark.proves("F5", "C124")
def test_so_many_wait_for_an_issuer_that_is_slow_and_no_more(
    issuer: WireIssuer, clock: SettableClock
) -> None:
    gate, asked = Event(), Event()

    def answer_late(received: Received) -> Answer:
        asked.set()
        gate.wait(10)
        return issuer._issue(received)

    issuer.answers["/token"] = answer_late
    exchange = Exchange(issuer=issuer.url, credentials=CREDENTIALS, clock=clock, width=1)
    found: list[str] = []
    waiting = Thread(target=lambda: found.append(ask_blocking(exchange)))
    waiting.start()
    assert asked.wait(10)
    for ask in (ask_blocking, ask_async):
        with pytest.raises(Unavailable, match="too many"):
            ask(exchange, "subject-b")
    gate.set()
    waiting.join()
    assert found
    assert ask_blocking(exchange, "subject-b")


@pytest.mark.proves("F4", "C124")
def test_what_is_kept_serves_in_an_outage(
    issuer: WireIssuer, exchange: Exchange, clock: SettableClock, ask: Ask
) -> None:
    first = ask(exchange)
    issuer.answers["/token"] = lambda _: Answer(500)
    clock.move(590)
    assert ask(exchange) == first
    for _ in range(20):
        with pytest.raises(Unavailable):
            ask(exchange, "subject-b")
    assert issuer.count("/token") == 2  # it is left alone for a moment
    issuer.answers["/token"] = issuer._issue
    clock.move(1)
    assert ask(exchange, "subject-b")


@pytest.mark.proves("F4", "C124")
def test_a_server_that_asks_to_wait_is_waited_for(
    issuer: WireIssuer, exchange: Exchange, clock: SettableClock, ask: Ask
) -> None:
    issuer.answers["/token"] = lambda _: answer_json({}, 503, retry_after="30")
    for token in ("a", "b", "c"):
        with pytest.raises(Unavailable):
            ask(exchange, token)
    clock.move(29)
    with pytest.raises(Unavailable) as refused:
        ask(exchange)
    assert 1 <= refused.value.retry_after <= 8
    assert issuer.count("/token") == 1
    clock.move(8)
    issuer.answers["/token"] = issuer._issue
    assert ask(exchange)


@pytest.mark.proves("C124")
def test_a_refusal_is_told_to_whoever_asked_and_stands_for_a_moment(
    issuer: WireIssuer, exchange: Exchange, clock: SettableClock, ask: Ask
) -> None:
    issuer.answers["/token"] = lambda _: answer_json({"error": "invalid_request"}, 400)
    for _ in range(5):
        with pytest.raises(TokenRefused) as refused:
            ask(exchange)
        assert refused.value.error == "invalid_request"
    assert issuer.count("/token") == 1
    issuer.answers["/token"] = issuer._issue
    assert ask(exchange, "subject-b")  # nobody else is refused for it
    clock.move(1)
    assert ask(exchange)


@pytest.mark.proves("C124")
def test_one_that_a_service_refused_is_given_to_nobody(
    issuer: WireIssuer, exchange: Exchange, clock: SettableClock, ask: Ask
) -> None:
    first = ask(exchange)
    exchange.discard(first)
    assert ask(exchange) == first  # it is seconds old
    clock.move(5)
    exchange.discard("another")
    assert ask(exchange) == first
    exchange.discard(first)
    assert ask(exchange) != first


def test_a_transport_that_breaks_is_no_token(issuer: WireIssuer, ask: Ask) -> None:
    class Broken:
        def send(self, request: object) -> Any:
            raise ZeroDivisionError

    exchange = Exchange(issuer=issuer.url, credentials=CREDENTIALS, transport=Broken())
    with pytest.raises(Unavailable, match="ZeroDivisionError"):
        ask(exchange)


@pytest.mark.proves("C54")
def test_no_token_and_no_secret_is_shown(
    issuer: WireIssuer, exchange: Exchange, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = ask(exchange, "subject-canary")
    issuer.answers["/token"] = lambda _: answer_json({"error": "invalid_request"}, 400)
    with pytest.raises(TokenRefused) as refused:
        ask(exchange, "subject-canary-2")
    shown = f"{exchange!r} {exchange._kept} {refused.value!r} {caplog.text}"
    assert "canary" not in shown
    assert token not in shown
    assert repr(exchange) == f"Exchange({issuer.url!r}, 'orders')"


@pytest.mark.proves("C54", "A3")
def test_the_real_server_exchanges(ask: Ask) -> None:
    clock = SettableClock()
    issuer = Issuer(clock=clock)
    orders = "https://orders.example"
    issuer.add_resource(orders, ["orders:read"], introspectors=["orders"])
    issuer.add_resource(PAYMENTS, ["orders:read"])
    issuer.add_client("orders", exchanges=[{"resource": PAYMENTS, "scopes": ["orders:read"]}])
    issuer.add_client("shop", {orders: ["orders:read"]})
    called_with = issuer.token(scopes=["orders:read"], audience=orders, client_id="shop")
    exchange = Exchange(
        issuer=issuer.url,
        credentials=issuer.credentials("orders"),
        transport=issuer.transport,
        clock=clock,
    )
    told = issuer.introspect(ask(exchange, called_with), audience=PAYMENTS)
    assert (told["sub"], told["act"]) == ("shop", {"sub": "orders"})
    with pytest.raises(TokenRefused):
        ask(exchange, called_with, audience=orders)
