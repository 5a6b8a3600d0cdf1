"""The verify figures: tokens checked a second, on one core, every contender in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.figures import VERIFY, Measured
from bench.install import NODE, PYTHON
from bench.machine import ROOT, SOURCE, server_core
from bench.rounds import alternate, interval, ratio
from bench.tokens import ALGORITHMS, write_pools
from bench.worker import Worker

POOL = 4000
SLICE = 400  # tokens a contender checks in a round, 20 to 80 ms
WARM_TOKENS = 100
WARM_REPEAT = 20


@dataclass(frozen=True, slots=True)
class Contender:
    """`label` in the results; `name` inside the process `worker`."""

    label: str
    worker: str
    name: str
    algorithm: str
    repeat: int = 1


# Which two contenders make a figure: its name after `verify-ALGORITHM-` → (over, under).
COLD_PAIRS = {
    "raw": ("dojang", "raw"),
    "bare-raw": ("bare", "raw"),
    "local-raw": ("local", "raw"),
    "pyjwt": ("dojang", "pyjwt"),
    "joserfc": ("dojang", "joserfc"),
    "fast-jwt": ("dojang", "fast-jwt"),
    "jose": ("dojang", "jose"),
}
COLD_PLACES = {
    "dojang": ("fast", "dojang"),
    "bare": ("bare", "dojang"),
    "local": ("fast", "local"),
    "raw": ("fast", "raw"),
    "pyjwt": ("fast", "pyjwt"),
    "joserfc": ("fast", "joserfc"),
    "fast-jwt": ("node", "fast-jwt"),
    "jose": ("node", "jose"),
}
WARM_PAIRS = {"warm-pyjwt": ("warm", "pyjwt"), "warm-fast-jwt": ("warm", "fast-jwt-cached")}


def measure_verify(wanted: frozenset[str], *, rounds: int, folder: Path) -> Iterable[Measured]:
    """Measures the wanted verify figures in `rounds` paired rounds."""
    tokens = write_pools(folder, POOL)
    for algorithm in ALGORITHMS:
        start = f"verify-{algorithm.lower()}-"
        pairs = {start + end: pair for end, pair in COLD_PAIRS.items() if start + end in wanted}
        labels = {label for pair in pairs.values() for label in pair}
        contenders = [
            Contender(label, *COLD_PLACES[label], algorithm)
            for label in COLD_PLACES
            if label in labels
        ]
        yield from _compare(pairs, contenders, rounds=rounds, tokens=tokens)
    pairs = {name: pair for name, pair in WARM_PAIRS.items() if name in wanted}
    if pairs:
        contenders = [
            Contender("warm", "fast", "warm", "ES256", WARM_REPEAT),
            Contender("pyjwt", "fast", "pyjwt", "ES256"),
            Contender("fast-jwt-cached", "node", "fast-jwt-cached", "ES256", WARM_REPEAT),
        ]
        yield from _compare(pairs, contenders, rounds=rounds, tokens=tokens)


def _compare(
    pairs: dict[str, tuple[str, str]],
    contenders: list[Contender],
    *,
    rounds: int,
    tokens: Path,
) -> Iterable[Measured]:
    if not pairs:
        return
    rates: dict[str, dict[int, float]] = defaultdict(dict)
    with ExitStack() as stack:
        workers = {
            place: stack.enter_context(_start(place, tokens))
            for place in sorted({contender.worker for contender in contenders})
        }
        for contender in contenders:  # unmeasured: imports, compilers, caches
            for _ in range(3):
                _rate(workers, contender, 0)
        for number, contender in alternate(contenders, rounds):
            rates[contender.label][number] = _rate(workers, contender, number)
    titles = {figure.name: figure for figure in VERIFY}
    for name, (over, under) in pairs.items():
        yield Measured(
            titles[name],
            ratio(rates[over], rates[under]),
            rounds,
            ours=_thousands(rates[over]),
            theirs=_thousands(rates[under]),
        )


def _rate(workers: dict[str, Worker], contender: Contender, number: int) -> float:
    count = SLICE if contender.repeat == 1 else WARM_TOKENS
    first = number * SLICE % (POOL - SLICE + 1) if contender.repeat == 1 else 0
    return workers[contender.worker].rate(
        contender.name, contender.algorithm, first=first, count=count, repeat=contender.repeat
    )


def _start(place: str, tokens: Path) -> Worker:
    if place == "node":
        return Worker(
            ["node", "verify.mjs", tokens],
            core=server_core(),
            folder=NODE,
            environment={"NODE_ENV": "production"},
        )
    return Worker(
        [PYTHON, "-m", "bench.contenders", tokens],
        core=server_core(),
        folder=ROOT,
        environment={"PYTHONPATH": str(SOURCE), "DOJANG_PURE": "1" if place == "bare" else "0"},
    )


def _thousands(rates: dict[int, float]) -> str:
    return f"{interval(list(rates.values())).median / 1000:.1f} k/s"
