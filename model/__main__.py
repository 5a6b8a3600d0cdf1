"""`python -m model`: search every run, print the table; exit 1 where one is not as it must be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from model.runs import BROKEN, WHOLE, Run
from model.searching import Outcome, SearchFailed, find_missing_tools, search

SEARCHES_AT_ONCE: Final = 2
WIDTHS: Final = (36, 15, 12, 22)


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run model", description=__doc__)
    parser.add_argument("words", metavar="WORD", nargs="*", help="only runs that are named so")
    parser.add_argument("--quick", action="store_true", help="those of the continuous integration")
    parser.add_argument("--trail", action="store_true", help="tell the history that breaks one")
    asked = parser.parse_args()
    if missing := find_missing_tools():
        print(f"missing: {' '.join(missing)}", file=sys.stderr)
        return 3
    runs = choose(asked.words, quick=asked.quick)
    print_row("configuration", "properties", "states", "result", "seconds")
    wrong = 0
    with ThreadPoolExecutor(SEARCHES_AT_ONCE) as pool:
        searches = [(run, pool.submit(search, run, tell=asked.trail)) for run in runs]
        for run, found in searches:
            try:
                outcome = found.result()
            except SearchFailed as failure:
                print(f"{run.name}: {failure}", file=sys.stderr)
                wrong += 1
                continue
            wrong += not outcome.as_wanted
            states, seconds = f"{outcome.states:,}", f"{outcome.seconds:.1f}"
            print_row(run.name, run.properties, states, describe(outcome), seconds)
            if outcome.trail:
                print(outcome.trail)
    return 1 if wrong or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
