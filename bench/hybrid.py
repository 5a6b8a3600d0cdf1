"""The hybrid figures: what it costs to ask a view of revocations, beside a local check alone.

A server of its own feeds the view, on the other core. What following costs, the thread, the pages
and their signatures, is processor time of the process that is measured, and counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.feeder import FOLLOWER
from bench.figures import HYBRID, Measured
from bench.machine import ROOT, SOURCE, BenchBroken, load_core, pinned, server_core
from bench.rounds import alternate, interval, ratio
from bench.tokens import write_pools
from bench.worker import Worker

SLICE = 400  # tokens that are new in a round
CLIENTS = 100  # whose tokens they are: a service sees the same ones again, with other tokens
UNMEASURED = 3  # rounds: imports, caches, the snapshot
WARM_TOKENS = 100
WARM_REPEAT = 600  # some 40 ms: long enough for many pages to arrive
HELD = 1_000_000
RATE = 1_000

# Facts held at the beginning, and facts a second.
FEEDS = {"idle": (0, 0), "busy": (HELD, RATE)}


def measure_hybrid(wanted: frozenset[str], *, rounds: int, folder: Path) -> Iterable[Measured]:
    """Measures the wanted hybrid figures in `rounds` paired rounds."""
    figures = [figure for figure in HYBRID if figure.name in wanted]
    if not figures:
        return
    count = SLICE * (rounds + UNMEASURED)
    tokens = write_pools(folder, count, algorithms=["ES256"], clients=CLIENTS)
    rates: dict[str, dict[int, float]] = defaultdict(dict)
    with ExitStack() as stack:
        workers = {"local": stack.enter_context(_start(tokens, {}))}
        for name in sorted({figure.name.rpartition("-")[2] for figure in figures}):
            feeder = stack.enter_context(_feed(*FEEDS[name]))
            workers[name] = stack.enter_context(_start(tokens, {"FEEDER": json.dumps(feeder)}))
        contenders = [(place, kind) for place in workers for kind in ("warm", "cold")]
        for place, kind in contenders:
            for number in range(UNMEASURED):
                _rate(workers[place], place, kind, rounds + number)
        for number, (place, kind) in alternate(contenders, rounds):
            rates[f"{place}-{kind}"][number] = _rate(workers[place], place, kind, number)
    for figure in figures:
        _, kind, feed = figure.name.split("-")
        ours, theirs = rates[f"{feed}-{kind}"], rates[f"local-{kind}"]
        yield Measured(
            figure,
            ratio(ours, theirs),
            rounds,
            ours=_nanoseconds(ours),
            theirs=_nanoseconds(theirs),
        )


def _rate(worker: Worker, place: str, kind: str, number: int) -> float:
    name = {"local": {"warm": "warm", "cold": "lasting"}}.get(
        place, {"warm": "hybrid-warm", "cold": "hybrid"}
    )[kind]
    if kind == "warm":
        return worker.rate(name, "ES256", first=0, count=WARM_TOKENS, repeat=WARM_REPEAT)
    return worker.rate(name, "ES256", first=number * SLICE, count=SLICE)


def _start(tokens: Path, environment: dict[str, str]) -> Worker:
    return Worker(
        [sys.executable, "-m", "bench.contenders", tokens],
        core=server_core(),
        folder=ROOT,
        environment={"PYTHONPATH": str(SOURCE), **environment},
    )


@contextmanager
def _feed(facts: int, rate: int) -> Iterator[dict[str, str]]:
    """A server that feeds; how it is reached."""
    process = subprocess.Popen(
        pinned(load_core(), [sys.executable, "-m", "bench.feeder", str(facts), str(rate)]),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(ROOT)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise BenchBroken("the server that feeds did not start")
        yield {"client_id": FOLLOWER, **json.loads(line)}
    finally:
        process.terminate()
        process.wait(10)


def _nanoseconds(rates: dict[int, float]) -> str:
    return f"{1e9 / interval(list(rates.values())).median:,.0f} ns"
