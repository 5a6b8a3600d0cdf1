"""The push figures: from a revocation that was accepted to followers that refuse the token."""

from __future__ import annotations

import base64
import http.client
import json
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crowd import Crowd, Place, Seen, gather
from bench.figures import PUSH, Measured
from bench.floor import measure_floor
from bench.load import FORM, Call, send
from bench.machine import BenchBroken, load_average, processor_seconds
from bench.ours import Ours, build_ours
from bench.rounds import Interval, percentile
from bench.servers import token_call

WARM_UP = 20  # revocations that nobody times
GAP = 0.03  # seconds between revocations, half of it by chance, and a share for each conversation
GAP_A_FOLLOWER = 0.0003
IDLE = 5.0  # seconds for which nothing is revoked, to count what followers cost then


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is to be reached: in each of the `processes` so many, who share one conversation with
    the issuer or have `apart` one each."""

    figure: str
    processes: int
    each: int = 1
    apart: bool = False


AUDIENCES = (
    Audience("push-10", processes=10),
    Audience("push-100", processes=100),
    Audience("push-1000", processes=16, each=63),
    Audience("push-1000-apart", processes=16, each=63, apart=True),
)


@dataclass(slots=True)
class Moments:
    """Of one revocation, in nanoseconds on the monotonic clock: the request began to leave, and
    its answer was read."""

    sent: int
    accepted: int


def measure_push(wanted: frozenset[str], *, revocations: int, folder: Path) -> Iterable[Measured]:
    """Measures the wanted push figures, each with `revocations` revocations."""
    for audience in AUDIENCES:
        name = audience.figure
        if wanted.isdisjoint({name, f"{name}-floor", f"{name}-page", f"{name}-processor"}):
            continue
        server = build_ours(folder, name=name)
        with server.process:
            place = Place(server.origin, *server.introspector)
            with gather(
                place, processes=audience.processes, each=audience.each, apart=audience.apart
            ) as crowd:
                found = _measure(name, server, crowd, revocations=revocations)
        found.append(_compare_floor(found[0], crowd, revocations=revocations))
        yield from (one for one in found if one.figure.name in wanted)


def _measure(name: str, server: Ours, crowd: Crowd, *, revocations: int) -> list[Measured]:
    figures = {figure.name: figure for figure in PUSH}
    revoke_all(server, issue(server, WARM_UP), crowd)
    tokens = issue(server, revocations)
    claims = [read_claims(token) for token in tokens]
    crowd.watch_for(claims)
    idle = _count_idle(crowd)
    crowd.watch_for(claims)
    began = time.monotonic()
    load, server_began = load_average(), processor_seconds(server.process.pid)
    moments = revoke_all(server, tokens, crowd)
    spent = processor_seconds(server.process.pid) - server_began
    seen = crowd.report()
    questions = idle * (time.monotonic() - began) / len(tokens)
    late = find_delays(seen, [moment.accepted for moment in moments])
    whole = find_delays(seen, [moment.sent for moment in moments])
    pages = len(tokens) * crowd.followers
    processor = [each.processor / len(tokens) / crowd.followers_each * 1e6 for each in seen]
    return [
        Measured(
            figures[name],
            percentile(late, 0.99),
            len(tokens),
            ours=f"p50 {percentile(late, 0.5).median:.2g}, max {max(map(max, late)):.3g} ms",
            detail={
                "watchers": len(crowd),
                "followers": crowd.followers,
                "processes": crowd.processes,
                "p50_ms": percentile(late, 0.5).median,
                "max_ms": max(map(max, late)),
                "last_follower_p99_ms": percentile([[max(each)] for each in late], 0.99).median,
                "from_request_p99_ms": percentile(whole, 0.99).median,
                "from_request_p50_ms": percentile(whole, 0.5).median,
                "load": load,
            },
        ),
        Measured(
            figures[f"{name}-page"],
            _find_spread([each - questions for each in processor]),
            len(tokens),
            ours=f"idle {idle:.3g} µs a second",
            detail={"idle_follower_us_a_second": idle, "load": load},
        ),
        Measured(
            figures[f"{name}-processor"],
            _find_spread(processor),
            len(tokens),
            ours=f"server {spent / pages * 1e6:.3g} µs",
            detail={
                "server_us": spent / pages * 1e6,
                "questions": sum(each.questions for each in seen),
                "failures": sum(each.failures for each in seen),
                "load": load,
            },
        ),
    ]


def _compare_floor(push: Measured, crowd: Crowd, *, revocations: int) -> Measured:
    """How many times the floor it is, which is measured at once afterwards, with as many
    connections as there were conversations."""
    floor = measure_floor(
        processes=crowd.processes,
        each=crowd.followers_each,
        messages=revocations,
        gap=_find_gap(crowd),
    )
    value = push.value
    return Measured(
        next(figure for figure in PUSH if figure.name == f"{push.figure.name}-floor"),
        Interval(value.median / floor.median, value.low / floor.high, value.high / floor.low),
        revocations,
        ours=f"{value.median:.3g} ms",
        theirs=f"{floor.median:.3g} ms",
    )


def _count_idle(crowd: Crowd) -> float:
    """What a follower costs when nothing happens: microseconds a second."""
    time.sleep(IDLE)
    return sum(each.processor for each in crowd.report()) / crowd.followers / IDLE * 1e6


def _find_spread(values: Sequence[float]) -> Interval:
    """The mean, the least and the most."""
    return Interval(sum(values) / len(values), min(values), max(values))


def _find_gap(crowd: Crowd) -> float:
    return GAP + GAP_A_FOLLOWER * crowd.followers


def issue(server: Ours, count: int) -> list[str]:
    """Tokens that live, as JWTs."""
    call = token_call(server, "es256", server.clients[0])
    return [str(send(server.origin, call)["access_token"]) for _ in range(count)]


def read_claims(token: str) -> dict[str, Any]:
    """What a token says; nothing of it is proven."""
    segment = token.split(".")[1]
    padding = "=" * (-len(segment) % 4)
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + padding))
    return claims


def revoke_all(server: Ours, tokens: Sequence[str], crowd: Crowd) -> list[Moments]:
    """Revokes the tokens one by one at the public endpoint, with pauses, over one connection."""
    host, _, port = server.origin.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    draw = random.Random(len(tokens))
    gap = _find_gap(crowd)
    moments = []
    for token in tokens:
        time.sleep(gap * draw.uniform(0.5, 1.5))
        call = Call("/revoke", (("token", token),), server.clients[0])
        headers = {"Authorization": call.authorization, "Content-Type": FORM}
        sent = time.monotonic_ns()
        connection.request("POST", call.path, call.body, headers)
        answer = connection.getresponse()
        answer.read()
        moments.append(Moments(sent, time.monotonic_ns()))
        if answer.status != 200:
            raise BenchBroken(f"a revocation was answered with {answer.status}")
    connection.close()
    time.sleep(2.0)
    return moments


def find_delays(seen: Sequence[Seen], since: Sequence[int]) -> list[list[float]]:
    """For each revocation, the milliseconds from its moment in `since` (nanoseconds, monotonic)
    until each watcher refused; 0 where it did earlier."""
    delays: list[list[float]] = []
    for place, moment in enumerate(since):
        delays.append([])
        for process in seen:
            for refused in process.refused:
                if place not in refused:
                    raise BenchBroken("a follower never refused a revoked token")
                delays[-1].append(max(0, refused[place] - moment) / 1e6)
    return delays
