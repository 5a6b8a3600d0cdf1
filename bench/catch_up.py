"""The figures of coming back: a follower that missed a million facts, and a thousand followers
whose server was started again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

from bench.crowd import Crowd, Place, gather, now
from bench.figures import CATCH_UP, Figure, Measured
from bench.machine import processor_seconds
from bench.ours import Ours, build_ours
from bench.push import find_delays, issue, read_claims, revoke_all
from bench.rounds import interval, percentile
from dojang.oauth.revocation_fact import FactKind
from dojang.server.ids import new_id
from dojang.server.model import AppendFact
from dojang.storage.opening import open_store

LIVES = 3600  # seconds that facts are remembered
AT_ONCE = 5_000  # facts written in one commit
HEALTHY = 10  # followers beside the one that comes back
MEANWHILE = 40  # revocations that they hear of


def measure_catch_up(
    wanted: frozenset[str], *, facts: int, restarts: int, folder: Path
) -> Iterable[Measured]:
    """Measures the wanted figures, with `facts` missed and so many restarts."""
    figures = {figure.name: figure for figure in CATCH_UP if figure.name in wanted}
    if "catch-up" in figures:
        yield _measure_return(figures["catch-up"], facts=facts, folder=folder)
    if "restart" in figures:
        yield _measure_restarts(figures["restart"], restarts=restarts, folder=folder)


def _measure_return(figure: Figure, *, facts: int, folder: Path) -> Measured:
    """A follower that was fresh is stopped (SIGSTOP) while the facts are written, and let go on
    (SIGCONT) under the eyes of others that are fresh."""
    server = build_ours(folder, name="catch-up")
    place = Place(server.origin, *server.introspector)
    server.process.start()
    try:
        server.process.wait_until_listening()
        with gather(place, processes=1) as late:
            late.signal(signal.SIGSTOP)
            server.process.stop()
            asyncio.run(_append(f"sqlite:///{server.process.folder / 'dojang.db'}", facts))
            began = now()
            server.process.start()
            server.process.wait_until_listening()
            started = now() - began
            with gather(place, processes=HEALTHY) as healthy:
                before = _revoke_for(server, healthy)
                spent = processor_seconds(server.process.pid)
                returned = now()
                meanwhile: list[list[list[float]]] = []
                revoking = Thread(target=lambda: meanwhile.append(_revoke_for(server, healthy)))
                revoking.start()
                late.signal(signal.SIGCONT)
                fresh = late.wait_until_fresh(returned)
                revoking.join()
                spent = processor_seconds(server.process.pid) - spent
                [seen] = late.report()
    finally:
        server.process.stop()
    return Measured(
        figure,
        interval([fresh - returned]),
        1,
        ours=f"others' p99 {percentile(before, 0.99).median:.3g} ms, "
        f"meanwhile {percentile(meanwhile[0], 0.99).median:.3g} ms",
        detail={
            "facts": seen.facts,
            "server_started_s": started,
            "server_processor_s": spent,
            "others_p99_ms": percentile(before, 0.99).median,
            "others_p99_meanwhile_ms": percentile(meanwhile[0], 0.99).median,
            "others_max_meanwhile_ms": max(map(max, meanwhile[0])),
        },
    )


def _revoke_for(server: Ours, crowd: Crowd) -> list[list[float]]:
    """Delays, in milliseconds, from revocations to the followers' refusals."""
    tokens = issue(server, MEANWHILE)
    crowd.watch_for([read_claims(token) for token in tokens])
    moments = revoke_all(server, tokens, crowd)
    return find_delays(crowd.report(), [(each.accepted) for each in moments])


async def _append(url: str, count: int) -> None:
    store = await open_store(url)
    try:
        at = int(time.time())
        for begins in range(0, count, AT_ONCE):
            await store.commit(
                [
                    AppendFact(
                        kind=FactKind.TOKEN,
                        identifier=new_id(at * 1000),
                        at=at,
                        forget_after=at + LIVES,
                    )
                    for _ in range(begins, min(begins + AT_ONCE, count))
                ]
            )
    finally:
        await store.close()


def _measure_restarts(figure: Figure, *, restarts: int, folder: Path) -> Measured:
    """The server is told to stop (SIGTERM) and started again at once. The followers are fresh when
    the last of them has proven its view by a question that left after the new server listened."""
    server = build_ours(folder, name="restart")
    place = Place(server.origin, *server.introspector)
    took, stopped, oldest = [], [], []
    server.process.start()
    try:
        server.process.wait_until_listening()
        with gather(place, processes=16, each=63, apart=True) as crowd:
            for _ in range(restarts):
                began = now()
                server.process.stop()
                server.process.start()
                server.process.wait_until_listening()
                listening = now()
                stopped.append(listening - began)
                took.append(crowd.wait_until_fresh(listening) - began)
                time.sleep(3.0)
                oldest.append(max(crowd.ages()))
    finally:
        server.process.stop()
    return Measured(
        figure,
        interval(took),
        restarts,
        ours=f"of them {interval(stopped).median:.2g} s without a server",
        detail={"followers": len(crowd), "without_server_s": stopped, "oldest_after_s": oldest},
    )
