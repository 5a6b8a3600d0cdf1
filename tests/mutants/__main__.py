"""Apply each mutant to a copy of the source and expect a test that cites its check to fail."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from tests.mutants import ROOT, Mutant, load_mutants
from tests.requirements.citations import collect_citations

TIMEOUT = 180  # seconds for one mutant's tests
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    mutant: Mutant
    seconds: float
    red: str  # the test that failed; empty when none did
    problem: str  # why this mutant proves nothing; empty when a test failed


def find_files(mutant: Mutant, citations: Mapping[str, Sequence[str]]) -> list[str]:
    cited = {node.partition("::")[0] for node in citations.get(mutant.check, ())}
    return list(mutant.tests) or sorted(cited)


def build_command(checks: Iterable[str], files: Iterable[str]) -> list[str]:
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    return [*pytest, "-p", "no:randomly", f"--proves={','.join(sorted(checks))}", *files]


def find_red(report: Path) -> str:
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is not None:
            return f"{case.get('classname')}::{case.get('name')}"
    return ""


def run_mutant(mutant: Mutant, files: list[str]) -> Outcome:
    began = time.monotonic()
    red = problem = ""
    with TemporaryDirectory(prefix="dojang-mutant-") as scratch:
        source = Path(scratch) / "src"
        shutil.copytree(ROOT / "src", source)
        target = Path(scratch) / mutant.file
        target.write_text(mutant.apply(target.read_text()))
        Path(cache_from_source(str(target))).unlink(missing_ok=True)
        report = Path(scratch) / "report.xml"
        process = subprocess.Popen(
            [*build_command([mutant.check], files), f"--junitxml={report}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            problem = f"HUNG for {TIMEOUT} s"
        else:
            if process.returncode == 0:
                problem = "SURVIVED: every test that cites it passed"
            elif process.returncode != 1 or not (red := find_red(report)):
                problem = f"NO VERDICT (pytest exit {process.returncode})\n{output[-2000:]}"
    return Outcome(mutant, time.monotonic() - began, red, problem)


def pass_unchanged(mutants: Sequence[Mutant], files: Mapping[Mutant, Sequence[str]]) -> bool:
    print(f"First the tests of {len(mutants)} mutants on the source as it is.", flush=True)
    every = sorted({path for paths in files.values() for path in paths})
    command = [*build_command({each.check for each in mutants}, every), "-n", str(WORKERS)]
    run = subprocess.run([*command, "--dist=loadfile"], cwd=ROOT, check=False)
    return run.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run mutants", description=__doc__)
    parser.add_argument(
        "checks", nargs="*", metavar="ID", help="only these checks (all by default)"
    )
    parser.add_argument(
        "--trusting", action="store_true", help="do not run the tests on the unchanged source first"
    )
    arguments = parser.parse_args()
    wanted = set(arguments.checks)
    mutants = [each for each in load_mutants() if not wanted or each.check in wanted]
    if not mutants and not wanted:
        parser.error("there are no mutants")
    if lacking := wanted - {each.check for each in mutants}:
        parser.error(f"no mutant for {', '.join(sorted(lacking))}")

    citations = collect_citations()
    files = {each: find_files(each, citations) for each in mutants}
    if untested := sorted({each.check for each in mutants if not files[each]}):
        print(f"No test cites {', '.join(untested)}.")
        return 1

    if not arguments.trusting and not pass_unchanged(mutants, files):
        print("They must pass before a mutant can show anything.")
        return 1

    survivors = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = pool.map(lambda each: run_mutant(each, files[each]), mutants)
        for done, outcome in enumerate(outcomes, 1):
            survivors += bool(outcome.problem)
            print(
                f"{done:3}/{len(mutants)}  {outcome.mutant.check:5} {outcome.seconds:5.1f} s  "
                f"{outcome.mutant.file.removeprefix('src/dojang/'):34} "
                f"{outcome.problem or outcome.red}",
                flush=True,
            )
    print(f"{len(mutants)} mutants: {len(mutants) - survivors} seen by a test, {survivors} not.")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
