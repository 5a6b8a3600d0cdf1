"""One search by spin: the model is made a program, which visits every state there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from model.runs import LIVENESS, Run

MODEL: Final = Path(__file__).parent / "revocation.pml"
TOOLS: Final = ("spin", "cc")
MEGABYTES: Final = 2000
DEEPEST: Final = 1_000_000  # steps of one history
PROCESSES: Final = 10  # for the fairness of their scheduling

_STORED: Final = re.compile(r"^\s*([\d.e+]+) states, stored", re.MULTILINE)
_ERRORS: Final = re.compile(r"errors: (\d+)")
_VIOLATED: Final = re.compile(r"assertion violated (\w+)")


class SearchFailed(Exception):
    """The tools did not do their part; the message is what they said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search came to. `broken` is the property that a history breaks; empty where none is.
    `trail` is that history, as spin tells it."""

    run: Run
    states: int
    seconds: float
    broken: str
    trail: str = ""

    @property
    def as_wanted(self) -> bool:
        """A whole design breaks nothing, a weakened one what it is said to break."""
        return self.broken in self.run.breaks.split() if self.run.breaks else not self.broken


def find_missing_tools() -> list[str]:
    """Those of `TOOLS` that are not installed."""
    return [each for each in TOOLS if shutil.which(each) is None]


def search(run: Run, *, tell: bool = False) -> Outcome:
    """Search all that can happen in `run`; `tell` asks for the trail. Raises `SearchFailed`."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="dojang-model-") as scratch:
        here = Path(scratch)
        shutil.copy(MODEL, here)
        _call(here, "spin", "-a", *run.definitions, MODEL.name)
        _call(here, *_build_compiler_call(run))
        claim = ["-a", "-f", "-N", run.claim] if run.claim else []
        report = _call(here, "./pan", "-E", "-n", f"-m{DEEPEST}", *claim)
        broken = _read_broken(report, run)
        told = tell and broken
        trail = _call(here, "spin", "-t", "-p", "-g", *run.definitions, MODEL.name) if told else ""
    return Outcome(run, _read_states(report), time.monotonic() - began, broken, trail)


def _build_compiler_call(run: Run) -> list[str]:
    what = [f"-DNFAIR={-(-(PROCESSES + 2) // 4)}"] if run.claim else ["-DSAFETY"]
    options = ["-O1", "-w", "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}"]
    return ["cc", *options, *what, "-o", "pan", "pan.c"]


def _call(here: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SearchFailed(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _read_states(report: str) -> int:
    found = _STORED.search(report)
    return int(float(found[1])) if found else 0


def _read_broken(report: str, run: Run) -> str:
    errors = _ERRORS.search(report)
    if errors is None or (errors[1] == "0" and "Search not completed" in report):
        raise SearchFailed(f"the search was cut short: {report[:2000]}")
    violated = _VIOLATED.search(report)
    if violated:
        return violated[1]
    return LIVENESS[run.claim] if errors[1] != "0" else ""
