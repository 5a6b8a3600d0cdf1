"""The process figures: how soon a started server gives a token, and what it holds when idle."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.endpoints import ENDPOINTS
from bench.figures import PROCESS, Measured
from bench.load import send
from bench.machine import BenchBroken, processor_seconds, resident_megabytes
from bench.rounds import alternate, interval
from bench.servers import AuthorizationServer, token_call

IDLE_SECONDS = 3.0


def measure_processes(
    wanted: frozenset[str], servers: Sequence[AuthorizationServer], *, rounds: int
) -> Iterable[Measured]:
    """Starts and stops each of `servers` (ours and the peer) once a round.

    The time runs from the start of the process to the last byte of the first token's answer."""
    seconds: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    megabytes: dict[str, list[float]] = defaultdict(list)
    idle_rounds = min(3, rounds) if {"memory", "memory-peer"} & wanted else 0
    for number, server in alternate(servers, rounds):
        call = token_call(server, "es256", server.clients[0])
        began = time.perf_counter()
        with server.process:
            answer = send(server.origin, call)
            seconds[server.name].append(time.perf_counter() - began)
            processor[server.name].append(processor_seconds(server.process.pid))
            if not ENDPOINTS["token-es256"].check(answer):
                raise BenchBroken(f"{server.name}: the first token is not what was asked for")
            if number < idle_rounds:
                time.sleep(IDLE_SECONDS)
                megabytes[server.name].append(resident_megabytes(server.process.pid))
    ours, theirs = (server.name for server in servers)
    samples = {
        "start": seconds[ours],
        "start-peer": seconds[theirs],
        "memory": megabytes[ours],
        "memory-peer": megabytes[theirs],
    }
    for figure in PROCESS:
        if figure.name in wanted and samples[figure.name]:
            found = samples[figure.name]
            name = theirs if figure.name.endswith("-peer") else ours
            spent = {"processor_s": interval(processor[name]).median}
            detail = spent if figure.name.startswith("start") else {}
            yield Measured(figure, interval(found), len(found), detail=detail)
