"""Machine tokens: asked for once, kept, renewed ahead, kept through an outage."""

import asyncio
import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest

from dojang.client import (
    BoundSource,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    TokenRefused,
    TokenSource,
    Unavailable,
)
from dojang.jose.keys import SigningKey
from dojang.testing import Issuer, SettableClock
from tests.origin import Answer, Received, WireIssuer, answer_json

CREDENTIALS = ClientSecretBasic("shop", "canary-secret")
RESOURCE = "https://orders.example"

Ask = Callable[[TokenSource], str]


def ask_blocking(source: TokenSource) -> str:
    return source.token(resource=RESOURCE, scope="orders:read")


def ask_async(source: TokenSource) -> str:
    return asyncio.run(source.token_async(resource=RESOURCE, scope="orders:read"))


@pytest.fixture(params=[ask_blocking, ask_async])
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def source(issuer: WireIssuer, clock: SettableClock) -> TokenSource:
    return TokenSource(issuer=issuer.url, credentials=CREDENTIALS, clock=clock)


def land(source: TokenSource) -> None:
    """Wait for a renewal under way."""
    flight = source.bind(resource=RESOURCE, scope="orders:read")._flight
    if flight is not None:
        flight.wait(10)


@pytest.mark.proves("A3", "C51")
def test_asks_for_the_resource_and_the_scope(
    issuer: WireIssuer, source: TokenSource, ask: Ask
) -> None:
    token = ask(source)
    assert token.startswith("ey")
    (asked,) = (each for each in issuer.requests if each.path == "/token")
    assert asked.form == {
        "grant_type": "client_credentials",
        "resource": RESOURCE,
        "scope": "orders:read",
    }
    assert asked.basic == "shop:canary-secret"


def test_the_real_server_takes_every_method_of_authentication() -> None:
    clock = SettableClock()
    issuer = Issuer(clock=clock)
    issuer.add_resource(RESOURCE, ["orders:read"])
    key = SigningKey.generate("ES256")
    grants = {RESOURCE: ["orders:read"]}
    issuer.add_client("basic", grants)
    issuer.add_client("post", grants, authentication="client_secret_post")
    jwks = {"keys": [key.public_jwk()]}
    issuer.add_client("signed", grants, authentication="private_key_jwt", jwks=jwks)
    for credentials in (
        issuer.credentials("basic"),
        ClientSecretPost("post", issuer.credentials("post").secret),
        PrivateKeyJwt("signed", key),
    ):
        source = TokenSource(
            issuer=issuer.url, credentials=credentials, transport=issuer.transport, clock=clock
        )
        assert source.token(resource=RESOURCE, scope="orders:read")


@pytest.mark.proves("C124")
def test_a_token_is_kept_by_resource_and_scope(
    issuer: WireIssuer, source: TokenSource, ask: Ask
) -> None:
    first = ask(source)
    assert ask(source) == first
    assert issuer.count("/token") == 1
    assert source.token(resource=RESOURCE, scope="orders:write") != first
    assert source.token(resource="https://payments.example") != first
    assert issuer.count("/token") == 3
    assert issuer.count(issuer.METADATA) == 1


@pytest.mark.proves("C124")
def test_threads_and_tasks_make_one_request(issuer: WireIssuer, source: TokenSource) -> None:
    gate = Event()

    def answer_late(received: Received) -> Answer:
        gate.wait(10)
        return issuer._issue(received)

    issuer.answers["/token"] = answer_late
    found: list[str] = []
    threads = [Thread(target=lambda: found.append(ask_blocking(source))) for _ in range(20)]
    for thread in threads:
        thread.start()

    async def ask_in_tasks() -> list[str]:
        bound = source.bind(resource=RESOURCE, scope="orders:read")
        asking = asyncio.gather(*(bound.token_async() for _ in range(20)))
        await asyncio.sleep(0)
        gate.set()
        return await asking

    found += asyncio.run(ask_in_tasks())
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert len(set(found)) == 1
    assert issuer.count("/token") == 1


@pytest.mark.proves("C124")
def test_it_is_renewed_ahead_of_time_while_the_old_one_serves(
    issuer: WireIssuer, source: TokenSource, clock: SettableClock, ask: Ask
) -> None:
    first = ask(source)
    clock.move(0.69 * 600)
    assert ask(source) == first
    assert issuer.count("/token") == 1
    clock.move(0.17 * 600)
    assert ask(source) == first  # nobody waits for the next one
    land(source)
    assert ask(source) != first
    assert issuer.count("/token") == 2


@pytest.mark.proves("C124")
def test_clients_do_not_renew_all_at_once(issuer: WireIssuer) -> None:
    clock = SettableClock()
    times = set()
    for _ in range(5):
        source = TokenSource(issuer=issuer.url, credentials=CREDENTIALS, clock=clock)
        ask_blocking(source)
        times.add(source.bind(resource=RESOURCE, scope="orders:read")._renew_at)
    assert len(times) == 5


@pytest.mark.proves("F4", "C124")
@pytest.mark.parametrize(
    "outage",
    [Answer(500), Answer(503), answer_json({"error": "invalid_scope"}, 400)],
    ids=lambda outage: outage.status,
)
def test_in_an_outage_the_token_serves_until_it_expires(
    issuer: WireIssuer, source: TokenSource, clock: SettableClock, ask: Ask, outage: Answer
) -> None:
    first = ask(source)
    issuer.answers["/token"] = lambda _: outage
    for _ in range(20):
        clock.move(29.9)
        assert ask(source) == first
        land(source)
    clock.move(2.1)
    with pytest.raises((Unavailable, TokenRefused)):
        ask(source)


@pytest.mark.proves("F4", "C124")
def test_a_failing_server_is_left_alone_longer_and_longer(
    issuer: WireIssuer, source: TokenSource, clock: SettableClock, ask: Ask
) -> None:
    issuer.answers["/token"] = lambda _: Answer(500)
    for _ in range(600):
        with pytest.raises(Unavailable):
            source.token(resource=RESOURCE, scope="orders:read")
        clock.move(1)
    assert 10 <= issuer.count("/token") <= 40
    issuer.answers["/token"] = issuer._issue
    clock.move(60)
    assert ask(source)


@pytest.mark.proves("C124", "F4")
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(
    issuer: WireIssuer, source: TokenSource, clock: SettableClock, ask: Ask, status: int
) -> None:
    issuer.answers["/token"] = lambda _: Answer(status, b"", (("retry-after", "40"),))
    with pytest.raises(Unavailable) as failure:
        ask(source)
    assert failure.value.retry_after == 40
    clock.move(39.9)
    with pytest.raises(Unavailable):
        ask(source)
    assert issuer.count("/token") == 1
    issuer.answers["/token"] = issuer._issue
    clock.move(9)
    assert ask(source)


@pytest.mark.parametrize("said", ["", "-1", "soon", "9" * 30, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_strange_retry_after_does_no_harm(
    issuer: WireIssuer, source: TokenSource, said: str
) -> None:
    issuer.answers["/token"] = lambda _: Answer(429, b"", (("retry-after", said),))
    with pytest.raises(Unavailable) as failure:
        ask_blocking(source)
    assert 1 <= failure.value.retry_after <= 300


@pytest.mark.parametrize(
    "answer",
    [
        answer_json({}),
        answer_json({"access_token": "a b", "token_type": "Bearer"}),
        answer_json({"access_token": "abc", "token_type": "mac"}),
        answer_json({"access_token": "abc"}),
        answer_json({"access_token": 7, "token_type": "Bearer"}),
        answer_json({"error": 1}, 400),
        answer_json({"error": "Canary-Secret!"}, 400),
        Answer(200, b"<html>"),
        Answer(200, b"{" + b" " * 10_000_000 + b"}"),
        Answer(302, b"", (("location", "/elsewhere"),)),
    ],
    ids=range(10),
)
def test_answers_that_hold_no_token_are_failures(
    issuer: WireIssuer, source: TokenSource, ask: Ask, answer: Answer
) -> None:
    issuer.answers["/token"] = lambda _: answer
    with pytest.raises(Unavailable):
        ask(source)


@pytest.mark.parametrize("lifetime", [None, "600", True, -1, 0, 10**12])
def test_a_strange_lifetime_is_taken_for_a_short_one(
    issuer: WireIssuer, source: TokenSource, clock: SettableClock, lifetime: Any
) -> None:
    document = {"access_token": "abc", "token_type": "bearer", "expires_in": lifetime}
    issuer.answers["/token"] = lambda _: answer_json(document)
    assert ask_blocking(source) == "abc"
    clock.move(61)
    issuer.answers["/token"] = lambda _: Answer(500)
    with pytest.raises(Unavailable):
        ask_blocking(source)


def test_a_refusal_says_why(issuer: WireIssuer, source: TokenSource, ask: Ask) -> None:
    issuer.answers["/token"] = lambda _: answer_json({"error": "invalid_client"}, 401)
    with pytest.raises(TokenRefused) as refusal:
        ask(source)
    assert refusal.value.error == "invalid_client"


@pytest.mark.proves("C125", "C94")
@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "https://elsewhere.example/token"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"token_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
    ids=str,
)
def test_credentials_go_to_the_issuer_and_nobody_else(
    issuer: WireIssuer, source: TokenSource, ask: Ask, changes: dict[str, Any]
) -> None:
    document = {**issuer.metadata(), **changes}
    issuer.answers[issuer.METADATA] = lambda _: answer_json(document)
    with pytest.raises(Unavailable):
        ask(source)
    assert issuer.count("/token") == 0


@pytest.mark.proves("C125")
def test_credentials_follow_no_redirect_and_no_other_port(issuer: WireIssuer, ask: Ask) -> None:
    with WireIssuer() as elsewhere:
        document = {**issuer.metadata(), "token_endpoint": elsewhere.url + "/token"}
        issuer.answers[issuer.METADATA] = lambda _: answer_json(document)
        redirect = Answer(307, b"", (("location", elsewhere.url + "/token"),))
        issuer.answers["/token"] = lambda _: redirect
        for endpoint in (None, issuer.url + "/token"):
            source = TokenSource(
                issuer=issuer.url, credentials=CREDENTIALS, token_endpoint=endpoint
            )
            with pytest.raises(Unavailable):
                ask(source)
        assert not elsewhere.requests


@pytest.mark.proves("C125")
@pytest.mark.parametrize("endpoint", ["http://issuer.example/token", "https://u:p@issuer.example/"])
def test_an_endpoint_that_is_not_safe_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        TokenSource(
            issuer="https://issuer.example", credentials=CREDENTIALS, token_endpoint=endpoint
        )
    with pytest.raises(ValueError, match="URL"):
        TokenSource(issuer=endpoint, credentials=CREDENTIALS)


@pytest.mark.proves("C124", "C117", "O2")
def test_secrets_and_tokens_are_never_logged_or_shown(
    issuer: WireIssuer, source: TokenSource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = ask_blocking(source)
    bound = source.bind(resource=RESOURCE, scope="orders:read")
    shown = f"{source!r} {bound!r} {CREDENTIALS!r}"
    broken = TokenSource(issuer=issuer.url, credentials=CREDENTIALS)
    issuer.answers["/token"] = lambda _: Answer(500, b"canary-secret")
    with pytest.raises(Unavailable) as failure:
        broken.token(resource=RESOURCE)
    shown += f"{failure.value!r} {failure.value.__cause__!r} {failure.value.__context__!r}"
    shown += caplog.text
    assert "no new token" in shown
    assert "canary" not in shown
    assert token not in shown


def test_a_refused_token_is_replaced_and_not_at_every_request(
    issuer: WireIssuer, source: TokenSource, clock: SettableClock
) -> None:
    bound: BoundSource = source.bind(resource=RESOURCE, scope="orders:read")
    first = bound.token()
    bound.discard(first)
    assert bound.token() == first
    clock.move(10)
    bound.discard("another")
    assert bound.token() == first
    bound.discard(first)
    assert bound.token() != first
    assert issuer.count("/token") == 2
