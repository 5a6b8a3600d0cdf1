"""Resource servers and clients whose issuer fails, through a proxy that misbehaves."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dojang.client import ClientSecretBasic, TokenSource
from dojang.jose.keys import SigningKey
from dojang.oauth.errors import Unavailable
from dojang.resource import (
    Expect,
    IntrospectionVerifier,
    LocalVerifier,
    Refusal,
    RefusalReason,
    RemoteKeys,
)
from dojang.testing import SettableClock
from dojang.testing.fault_proxy import (
    Answer,
    Delay,
    Fault,
    FaultProxy,
    Pass,
    Reset,
    Stall,
    Trickle,
    Truncate,
)
from tests.origin import WireIssuer

AUDIENCE = "https://orders.example"
CREDENTIALS = ClientSecretBasic("orders", "secret")

FAULTS: dict[str, Fault] = {
    "reset": Reset(),
    "stall": Stall(),
    "trickle": Trickle(0.05),
    "truncate": Truncate(150),
    "500": Answer(b"oops", status=500, media_type="text/plain"),
    "html": Answer(b"<html></html>", media_type="text/html"),
    "empty object": Answer(b"{}"),
    "empty set": Answer(b'{"keys":[]}'),
    "10 MB": Answer(b'{"keys":[' + b" " * 10_000_000 + b"]}"),
}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> Fault:
    return FAULTS[request.param]


@pytest.fixture
def proxy(issuer: WireIssuer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", issuer.port) as between:
        yield between


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def expect(served: WireIssuer) -> Expect:
    return Expect(issuer=served.url, audience=AUDIENCE, algorithms=["ES256"])


def verify_locally(served: WireIssuer, proxy: FaultProxy, clock: SettableClock) -> LocalVerifier:
    keys = RemoteKeys(served.url, fetch_from=proxy.url, clock=clock, timeout=0.3)
    return LocalVerifier(expect(served), keys=keys, clock=clock)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.proves("F1", "O3")
def test_good_tokens_pass_while_the_key_set_is_out_of_reach(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock, fault: Fault
) -> None:
    verifier = verify_locally(issuer, proxy, clock)
    verifier.verify(issuer.token())
    proxy.fault = fault
    for _ in range(20):
        clock.move(300)
        good = issuer.token(iat=int(clock.now()), exp=int(clock.now()) + 600)
        assert verifier.verify(good).subject == "machine"
    # Back again: the next refresh is good, and was not needed for any of it.
    proxy.fault = Pass()
    source: Any = verifier._source
    clock.move(60)

    def fresh() -> bool:
        source.tick()
        return not source.failed

    wait_until(fresh)


@pytest.mark.proves("F1")
def test_a_start_without_keys_is_not_ready_and_recovers(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock, fault: Fault
) -> None:
    proxy.fault = fault
    verifier = verify_locally(issuer, proxy, clock)
    token = issuer.token()
    with pytest.raises(Unavailable):
        verifier.verify(token)
    assert not verifier.ready()
    proxy.fault = Pass()

    def recovered() -> bool:
        clock.move(5)
        return verifier.ready()

    wait_until(recovered)
    verifier.verify(token)


@pytest.mark.proves("F2", "C99")
def test_a_storm_of_unknown_kids_is_one_request_a_cooldown(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock
) -> None:
    verifier = verify_locally(issuer, proxy, clock)
    verifier.verify(issuer.token())
    stranger = SigningKey.generate("ES256")
    storm = [issuer.token(key=stranger, jti=str(number)) for number in range(200)]
    good = [issuer.token(exp=int(clock.now()) + 900) for _ in range(50)]

    def present(token: str) -> RefusalReason | None:
        try:
            verifier.verify(token)
        except Refusal as refusal:
            return refusal.reason
        return None

    with ThreadPoolExecutor(8) as pool:
        for cooldown in range(1, 4):
            clock.move(31)
            outcomes = list(pool.map(present, storm + good))
            assert set(outcomes[:200]) == {RefusalReason.UNKNOWN_KEY}
            assert set(outcomes[200:]) == {None}
            assert issuer.count("/jwks") == 1 + cooldown


@pytest.mark.proves("F2")
def test_in_an_outage_unknown_kids_are_unknown_at_once(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock
) -> None:
    verifier = verify_locally(issuer, proxy, clock)
    good = issuer.token(exp=int(clock.now()) + 900)
    verifier.verify(good)
    proxy.fault = Stall()
    clock.move(31)
    stranger = issuer.token(key=SigningKey.generate("ES256"))
    before = proxy.connections
    for _ in range(50):
        with pytest.raises(Unavailable):
            verifier.verify(stranger)
        verifier.verify(good)
    assert proxy.connections <= before + 1


def introspect(served: WireIssuer, proxy: FaultProxy, **settings: Any) -> IntrospectionVerifier:
    return IntrospectionVerifier(
        expect(served),
        credentials=CREDENTIALS,
        endpoint=proxy.url + "/introspect",
        timeout=0.3,
        **settings,
    )


@pytest.mark.proves("F5", "O3")
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_introspection_fails_closed_and_never_says_inactive(
    issuer: WireIssuer, proxy: FaultProxy, fault: Fault, kind: str
) -> None:
    verifier = introspect(issuer, proxy)
    token = issuer.opaque()
    proxy.fault = fault
    for _ in range(8):
        with pytest.raises(Unavailable):
            if kind == "async":
                asyncio.run(verifier.verify_async(token))
            else:
                verifier.verify(token)


def count_threads() -> int:
    return sum(thread.name == "dojang-fetch" for thread in threading.enumerate())


@pytest.mark.proves("F5")
def test_a_stalled_issuer_holds_up_few_and_for_a_moment(
    issuer: WireIssuer, proxy: FaultProxy
) -> None:
    verifier = introspect(issuer, proxy, width=4)
    proxy.fault = Stall()

    async def ask_all() -> list[BaseException | object]:
        return await asyncio.gather(
            *(verifier.verify_async(f"t{number}") for number in range(200)), return_exceptions=True
        )

    before = count_threads()
    outcomes = asyncio.run(ask_all())
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert proxy.connections <= 4
    assert count_threads() <= before + 4


@pytest.mark.proves("F5")
def test_a_broken_circuit_asks_no_more_until_one_tries(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock
) -> None:
    verifier = introspect(issuer, proxy, clock=clock)
    token = issuer.opaque()
    proxy.fault = Reset()
    for _ in range(5):
        with pytest.raises(Unavailable):
            verifier.verify(token)
    asked = proxy.connections
    for _ in range(100):
        with pytest.raises(Unavailable):
            verifier.verify(token)
    assert proxy.connections == asked
    clock.move(1)
    for _ in range(3):
        with pytest.raises(Unavailable):
            verifier.verify(token)
    assert proxy.connections == asked + 1  # one tried
    proxy.fault = Pass()
    clock.move(12)
    assert verifier.verify(token).subject == "machine"
    assert verifier.verify(token).subject == "machine"


@pytest.mark.proves("F5", "C88")
def test_a_kept_answer_bridges_an_outage_for_its_time(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock
) -> None:
    verifier = introspect(issuer, proxy, clock=clock, keep=30)
    token = issuer.opaque()
    verifier.verify(token)
    proxy.fault = Stall()
    clock.move(29)
    verifier.verify(token)
    clock.move(2)
    with pytest.raises(Unavailable):
        verifier.verify(token)


@pytest.mark.proves("F5")
def test_a_slow_answer_counts_from_when_it_was_asked_for(
    issuer: WireIssuer, proxy: FaultProxy
) -> None:
    verifier = introspect(issuer, proxy, keep=1)
    token = issuer.opaque()
    proxy.fault = Delay(0.1)
    before = verifier._clock.monotonic()
    verifier.verify(token)
    (answer,) = verifier._answers._taken._young.values()
    assert answer.asked_at - before < 0.1


@pytest.mark.proves("F4", "O3")
def test_local_verification_and_the_clients_token_outlive_the_issuer(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock
) -> None:
    verifier = verify_locally(issuer, proxy, clock)
    source = TokenSource(
        issuer=issuer.url, fetch_from=proxy.url, credentials=CREDENTIALS, clock=clock, timeout=0.3
    )
    token = source.token(resource=AUDIENCE)
    verifier.verify(token)
    proxy.fault = Reset()
    for _ in range(19):
        clock.move(30)
        assert source.token(resource=AUDIENCE) == token
        renewal = source.bind(resource=AUDIENCE)._flight
        if renewal is not None:
            renewal.wait(10)
        assert verifier.verify(token).subject == "machine"
    clock.move(40)
    with pytest.raises(Unavailable):
        source.token(resource=AUDIENCE)
    assert issuer.count("/token") == 1


@pytest.mark.proves("F4")
def test_the_return_of_the_issuer_is_no_storm(
    issuer: WireIssuer, proxy: FaultProxy, clock: SettableClock
) -> None:
    clients = [
        TokenSource(
            issuer=issuer.url, fetch_from=proxy.url, credentials=CREDENTIALS, clock=clock, timeout=1
        ).bind(resource=AUDIENCE)
        for _ in range(20)
    ]
    proxy.fault = Reset()

    def ask(client: Any) -> str | None:
        try:
            token: str = client.token()
        except Unavailable:
            return None
        return token

    for _ in range(8):
        assert not any(map(ask, clients))
        clock.move(30)
    proxy.fault = Pass()
    at_once = sum(ask(client) is not None for client in clients)
    for _ in range(80):
        clock.move(1)
        for client in clients:
            ask(client)
    assert all(map(ask, clients))
    assert issuer.count("/token") == len(clients)
    assert at_once < len(clients)
