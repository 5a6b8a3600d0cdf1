"""The server figures: the same load on ours and on the peer, in turn, both on one core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import SERVER, Figure, Measured
from bench.load import Call, Load, put_load, send
from bench.machine import BenchBroken, processor_seconds
from bench.rounds import Interval, alternate, interval, ratio
from bench.servers import SCOPE, AuthorizationServer, token_call

INTROSPECTED = 500  # tokens: fewer than the 1,000 entries that the peer's memory holds

Build = Callable[[AuthorizationServer], Sequence[Call]]
Check = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is sent for a figure, and what every sampled answer must hold."""

    build: Build
    check: Check


@dataclass(slots=True)
class Side:
    """One server's rounds for one figure."""

    rates: dict[int, float] = field(default_factory=dict)
    processor: list[float] = field(default_factory=list)  # microseconds a request
    p50: list[float] = field(default_factory=list)  # milliseconds
    p99: list[float] = field(default_factory=list)

    def add(self, number: int, load: Load, spent: float) -> None:
        self.rates[number] = load.rate
        self.processor.append(spent / load.requests * 1e6)
        self.p50.append(load.p50)
        self.p99.append(load.p99)

    def describe(self, *, per_core: bool) -> str:
        if per_core:
            return f"{interval(self.processor).median:.0f} µs a request"
        return f"{self.summary()['rate']:,.0f} /s"

    def summary(self) -> dict[str, float]:
        return {
            "rate": round(interval(list(self.rates.values())).median, 1),
            "processor_us": round(interval(self.processor).median, 2),
            "p50_ms": round(interval(self.p50).median, 3),
            "p99_ms": round(interval(self.p99).median, 3),
        }


def measure_endpoints(
    wanted: frozenset[str],
    servers: Sequence[AuthorizationServer],
    *,
    rounds: int,
    seconds: int,
    warm_up_seconds: int,
    folder: Path,
) -> Iterable[Measured]:
    """Measures the wanted figures; `servers` are ours and the peer, both running."""
    for figure in SERVER:
        if figure.name not in wanted:
            continue
        yield compare(
            figure,
            ENDPOINTS[figure.name],
            servers,
            rounds=rounds,
            seconds=seconds,
            warm_up_seconds=warm_up_seconds,
            folder=folder,
        )


def compare(
    figure: Figure,
    endpoint: Endpoint,
    servers: Sequence[AuthorizationServer],
    *,
    rounds: int,
    seconds: int,
    warm_up_seconds: int,
    folder: Path,
    per_core: bool = False,
) -> Measured:
    """One figure of two running servers: the ratio of their rates or, `per_core`, of what each
    answers in a second of its own processor time."""
    sides: dict[str, Side] = defaultdict(Side)
    calls = {server.name: endpoint.build(server) for server in servers}
    for server in servers:  # unmeasured: Node compiles for seconds
        put_load(server.origin, calls[server.name], seconds=warm_up_seconds, folder=folder)
    for number, server in alternate(servers, rounds):
        check_answer(server, endpoint, calls[server.name], number)
        before = processor_seconds(server.process.pid)
        load = put_load(server.origin, calls[server.name], seconds=seconds, folder=folder)
        spent = processor_seconds(server.process.pid) - before
        sides[server.name].add(number, load, spent)
    ours, theirs = (sides[server.name] for server in servers)
    by_processor = processor_ratio(ours, theirs)
    by_rate = ratio(ours.rates, theirs.rates)
    return Measured(
        figure,
        by_processor if per_core else by_rate,
        rounds,
        ours=ours.describe(per_core=per_core),
        theirs=theirs.describe(per_core=per_core),
        detail={
            **{server.name: sides[server.name].summary() for server in servers},
            "processor_ratio": asdict(by_processor),
            "rate_ratio": asdict(by_rate),
        },
    )


def processor_ratio(ours: Side, theirs: Side) -> Interval:
    """The ratio that rates would have if nothing else used the cores."""
    return interval(
        [their / our for our, their in zip(ours.processor, theirs.processor, strict=True)]
    )


def check_answer(
    server: AuthorizationServer, endpoint: Endpoint, calls: Sequence[Call], number: int
) -> None:
    """Raises `BenchBroken` when a call is answered with something else than it should be."""
    call = calls[number % len(calls)]
    if not endpoint.check(send(server.origin, call)):
        raise BenchBroken(f"{server.name}: {call.method} {call.path} does not answer as it should")


def _tokens(token_format: str) -> Build:
    return lambda server: [token_call(server, token_format, client) for client in server.clients]


def _introspections(server: AuthorizationServer) -> Sequence[Call]:
    asked = [token_call(server, "opaque", client) for client in server.clients]
    calls = []
    for number in range(INTROSPECTED):
        token = send(server.origin, asked[number % len(asked)])["access_token"]
        calls.append(Call(server.paths.introspection, (("token", token),), server.introspector))
    return calls


def _is_jwt(algorithm: str) -> Check:
    import base64
    import json

    def check(answer: dict[str, Any]) -> bool:
        segment, dot, _ = answer["access_token"].partition(".")
        header = json.loads(base64.urlsafe_b64decode(segment + "=="))
        return bool(dot) and header["alg"] == algorithm and answer["scope"] == SCOPE

    return check


def _is_opaque(answer: dict[str, Any]) -> bool:
    return "." not in answer["access_token"] and answer["scope"] == SCOPE


def _is_active(answer: dict[str, Any]) -> bool:
    return answer.get("active") is True and answer["scope"] == SCOPE and answer["exp"] > 0


ENDPOINTS = {
    "token-es256": Endpoint(_tokens("es256"), _is_jwt("ES256")),
    "token-opaque": Endpoint(_tokens("opaque"), _is_opaque),
    "token-rs256": Endpoint(_tokens("rs256"), _is_jwt("RS256")),
    "introspect": Endpoint(_introspections, _is_active),
    "jwks": Endpoint(
        lambda server: [Call(server.paths.jwks)], lambda answer: len(answer["keys"]) >= 2
    ),
    "discovery": Endpoint(
        lambda server: [Call(server.paths.discovery)],
        lambda answer: answer["token_endpoint"].endswith("/token"),
    ),
}
