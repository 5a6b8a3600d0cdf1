"""The figures of the revocation plane, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.catch_up import measure_catch_up
from bench.figures import Measured
from bench.mapping import measure_mapping
from bench.push import measure_push
from bench.sizes import Times, measure_nodes, measure_sizes
from bench.view import measure_view


@dataclass(frozen=True, slots=True)
class PlanePlan:
    """How much to measure. `times` are those of what is measured by load."""

    revocations: int
    facts: int
    facts_missed: int
    restarts: int
    clients: int
    tokens: int
    rounds: int
    times: Times


FULL_PLANE = PlanePlan(
    revocations=300,
    facts=10_000_000,
    facts_missed=1_000_000,
    restarts=3,
    clients=1_000_000,
    tokens=10_000_000,
    rounds=15,
    times=Times(rounds=9, seconds=2, warm_up_seconds=3),
)
QUICK_PLANE = PlanePlan(
    revocations=40,
    facts=1_000_000,
    facts_missed=100_000,
    restarts=1,
    clients=50_000,
    tokens=100_000,
    rounds=5,
    times=Times(rounds=3, seconds=1, warm_up_seconds=1),
)


def measure_plane(wanted: frozenset[str], plan: PlanePlan, *, folder: Path) -> Iterator[Measured]:
    """The wanted figures of the plane."""
    yield from measure_view(wanted, facts=plan.facts, rounds=plan.rounds)
    yield from measure_mapping(
        wanted, facts=plan.facts_missed, rounds=plan.rounds, folder=folder / "mapping"
    )
    yield from measure_push(wanted, revocations=plan.revocations, folder=folder)
    yield from measure_catch_up(
        wanted, facts=plan.facts_missed, restarts=plan.restarts, folder=folder
    )
    yield from measure_nodes(wanted, times=plan.times, folder=folder)
    yield from measure_sizes(
        wanted, clients=plan.clients, tokens=plan.tokens, times=plan.times, folder=folder
    )
