"""One search by spin: the model is made a program, which visits every state there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from model.runs import LIVENESS, Run

MODEL: Final = Path(__file__).parent / "revocation.pml"
PACKAGES: Final[Mapping[str, str]] = {"spin": "spin", "cc": "gcc libc6-dev"}  # of Debian
MEGABYTES: Final = 2000
DEEPEST: Final = 1_000_000  # statements of one history
SHALLOW: Final = 5_000  # of one that breaks what must happen at last
PROCESSES: Final = 10  # for the fairness of their scheduling
SEEN: Final = "-Dhidden="  # a search for the shortest history allows no hidden variables

_STORED: Final = re.compile(r"^\s*([\d.e+]+) states, stored", re.MULTILINE)
_DEPTH: Final = re.compile(r"depth reached (\d+), errors: (\d+)")
_VIOLATED: Final = re.compile(r"assertion violated (\w+)")
_CUT_SHORT: Final = ("Search not completed", "max search depth too small")


class SearchFailed(Exception):
    """The tools did not do their part; the message is what they said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search came to. `depth` is the length of the longest history that it went through,
    in statements. `broken` is the property that a history breaks; empty where none does. `trail` is
    that history, as spin tells it, if it was asked for: then `depth` is its own length."""

    run: Run
    states: int
    depth: int
    seconds: float
    broken: str
    trail: str = ""

    @property
    def as_wanted(self) -> bool:
        """A whole design breaks nothing, a weakened one what it is said to break."""
        return self.broken in self.run.breaks.split() if self.run.breaks else not self.broken


def find_missing_tools() -> list[str]:
    """Those of the tools that are not installed."""
    return [each for each in PACKAGES if shutil.which(each) is None]


def find_version() -> str:
    """What spin says that it is."""
    return _call(Path.cwd(), "spin", "-V").strip()


def search(run: Run, *, tell: bool = False) -> Outcome:
    """Search all that can happen in `run`; `tell` asks for a history that breaks it: the shortest,
    where an assertion breaks and there is the memory to find it. Raises `SearchFailed`."""
    if tell and run.breaks and not run.claim:
        with suppress(SearchFailed):
            return _search(run, tell=True, shortest=True)
    return _search(run, tell=tell, shortest=False)


def _search(run: Run, *, tell: bool, shortest: bool) -> Outcome:
    began = time.monotonic()
    definitions = [*run.definitions, *([SEEN] if shortest else [])]
    with TemporaryDirectory(prefix="dojang-model-") as scratch:
        here = Path(scratch)
        shutil.copy(MODEL, here)
        _call(here, "spin", "-a", *definitions, MODEL.name)
        _call(here, *_build_compiler_call(run, shortest=shortest))
        claim = ["-a", "-f", "-N", run.claim] if run.claim else []
        deepest = SHALLOW if run.claim and run.breaks else DEEPEST
        report = _call(here, "./pan", "-E", "-n", f"-m{deepest}", *claim)
        broken = _read_broken(report, run)
        told = tell and broken
        trail = _call(here, "spin", "-t", "-p", "-g", *definitions, MODEL.name) if told else ""
    seconds = time.monotonic() - began
    return Outcome(run, _read_states(report), _read_depth(report), seconds, broken, trail)


def _build_compiler_call(run: Run, *, shortest: bool) -> list[str]:
    what = [f"-DNFAIR={-(-(PROCESSES + 2) // 4)}"] if run.claim else ["-DSAFETY"]
    # Shortest first takes memory: states are told apart by hashes, which can only hide a history.
    order = ["-DBFS", "-DHC4"] if shortest else ["-DCOLLAPSE"]
    level = "-O0" if run.breaks and not shortest else "-O1"  # soon found: compiling takes longer
    options = [level, "-w", *order, f"-DMEMLIM={MEGABYTES}"]
    return ["cc", *options, *what, "-o", "pan", "pan.c"]


def _call(here: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SearchFailed(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _read_states(report: str) -> int:
    found = _STORED.search(report)
    return int(float(found[1])) if found else 0


def _read_depth(report: str) -> int:
    found = _DEPTH.search(report)
    return int(found[1]) if found else 0


def _read_broken(report: str, run: Run) -> str:
    ended = _DEPTH.search(report)
    if ended is None or (ended[2] == "0" and any(each in report for each in _CUT_SHORT)):
        raise SearchFailed(f"the search was cut short: {report[-1500:]}")
    violated = _VIOLATED.search(report)
    if violated:
        return violated[1]
    return LIVENESS[run.claim] if ended[2] != "0" else ""
