"""Search all that can happen to the revocation plane: the whole design must hold, and what lacks
one of its rules must not. The table goes to stdout, row by row. Ends with 0 where everything is as
it must be, 1 where a run is not, 2 for a call that makes no sense, 3 where a search cannot be made.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from model.runs import BROKEN, WHOLE, Run
from model.searching import (
    PACKAGES,
    Outcome,
    SearchFailed,
    find_missing_tools,
    find_version,
    search,
)

SEARCHES_AT_ONCE: Final = 2
WIDTHS: Final = (41, 15, 12, 9, 22)


def choose(words: Sequence[str], *, quick: bool) -> list[Run]:
    """Runs whose name or switches contain one of `words`, in upper or lower case; all without."""
    runs = [run for run in (*WHOLE, *BROKEN) if run.quick or not quick]
    wanted = [word.lower() for word in words]
    return [
        run
        for run in runs
        if not wanted or any(word in f"{run.name} {run.switches}".lower() for word in wanted)
    ]


def print_row(*cells: str) -> None:
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    print(*padded, *cells[len(WIDTHS) :], flush=True)


def describe(outcome: Outcome) -> str:
    """The result in words."""
    if not outcome.as_wanted:
        return f"NOT AS WANTED: {outcome.broken or 'holds'}"
    return f"{outcome.broken} broken, as it must" if outcome.run.breaks else "holds"


def print_outcome(outcome: Outcome) -> None:
    run, seconds = outcome.run, f"{outcome.seconds:.1f}"
    states, depth = f"{outcome.states:,}", f"{outcome.depth:,}"
    print_row(run.name, run.properties, states, depth, describe(outcome), seconds)
    if outcome.trail:
        print(outcome.trail)


def build_row(outcome: Outcome) -> dict[str, Any]:
    """A run and what came of it, for programs."""
    run = outcome.run
    return {
        "name": run.name,
        "switches": run.switches,
        "claim": run.claim,
        "breaks": run.breaks.split(),
        "broken": outcome.broken,
        "as_wanted": outcome.as_wanted,
        "states": outcome.states,
        "depth": outcome.depth,
        "seconds": round(outcome.seconds, 1),
    }


def make_searches(runs: Sequence[Run], *, tell: bool) -> Iterator[Outcome | None]:
    """The outcomes in the order of `runs`; None for a search that could not be made, after saying
    why."""
    with ThreadPoolExecutor(SEARCHES_AT_ONCE) as pool:
        searches: list[tuple[Run, Future[Outcome]]] = [
            (run, pool.submit(search, run, tell=tell)) for run in runs
        ]
        try:
            for done, (run, found) in enumerate(searches, 1):
                try:
                    yield found.result()
                except SearchFailed as failure:
                    print(f"{run.name}: {failure}", file=sys.stderr)
                    yield None
                if sys.stderr.isatty():
                    print(f"\r{done}/{len(runs)}\r", end="", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


def parse_call() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run model", description=__doc__)
    parser.add_argument("words", metavar="WORD", nargs="*", help="only runs that are named so")
    parser.add_argument("--quick", action="store_true", help="those of the continuous integration")
    parser.add_argument("--trail", action="store_true", help="tell the history that breaks one")
    parser.add_argument("--json", action="store_true", help="print one document at the end")
    return parser.parse_args()


def main() -> int:
    asked = parse_call()
    runs = choose(asked.words, quick=asked.quick)
    if not runs:
        print("no run is named so; without a word, all are searched", file=sys.stderr)
        return 2
    if missing := find_missing_tools():
        packages = " ".join(PACKAGES[each] for each in missing)
        print(
            f"missing: {' '.join(missing)}. On Debian, type:  apt-get install -y {packages}",
            file=sys.stderr,
        )
        return 3
    if not asked.json:
        print_row("configuration", "properties", "states", "depth", "result", "seconds")
    outcomes = []
    for outcome in make_searches(runs, tell=asked.trail):
        outcomes.append(outcome)
        if outcome is not None and not asked.json:
            print_outcome(outcome)
    made = [outcome for outcome in outcomes if outcome is not None]
    wrong = [outcome for outcome in made if not outcome.as_wanted]
    if asked.json:
        where = {"spin": find_version(), "machine": platform.machine()}
        print(json.dumps({**where, "runs": [build_row(each) for each in made]}, indent=2))
    else:
        print(f"{len(made) - len(wrong)} of {len(runs)} runs are as they must be")
    return 1 if wrong else 3 if len(made) < len(runs) else 0


if __name__ == "__main__":
    sys.exit(main())
