"""Apply each mutant to a copy of the source and expect a test that cites its check to fail."""

import argparse
import gc
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn
from xml.etree import ElementTree as ET

from tests.mutants import ROOT, Mutant, load_mutants
from tests.requirements.citations import collect_citations

TIMEOUT = 180  # seconds for one mutant's tests
WORKERS = 2
SHARED = (
    "pytest", "_pytest.junitxml", "_pytest.unittest", "anyio.pytest_plugin", "argon2", "asyncpg",
    "cryptography.hazmat.backends.openssl.backend", "cryptography.x509", "fastapi", "httptools",
    "httpx", "hypothesis.strategies", "jinja2", "joserfc.jws", "jwcrypto.jwk", "jwt", "msgspec",
    "requests", "rich.console", "sqlalchemy", "starlette.testclient", "typer", "unittest.mock",
    "uvloop",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    mutant: Mutant
    seconds: float
    red: str  # the test that failed; empty when none did
    problem: str  # why this mutant proves nothing; empty when a test failed


def find_files(mutant: Mutant, citations: Mapping[str, Sequence[str]]) -> list[str]:
    cited = {node.partition("::")[0] for node in citations.get(mutant.check, ())}
    return list(mutant.tests) or sorted(cited)


def build_arguments(checks: Iterable[str], files: Iterable[str]) -> list[str]:
    # What is imported already cannot be rewritten for its assertions; of ours nothing is.
    plugins = ["-p", "no:cacheprovider", "-p", "no:randomly"]
    quiet = ["-q", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return [*quiet, *plugins, f"--proves={','.join(sorted(checks))}", *files]


def find_red(report: Path) -> str:
    if not report.exists():
        return ""
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is not None:
            return f"{case.get('classname')}::{case.get('name')}"
    return ""


def preload() -> None:
    """Import once what the tests of every mutant import, but nothing of ours."""
    for name in SHARED:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()


class Trial:
    """One mutant at its tests, in a process forked from this one: what the tests import of others
    is there already."""

    def __init__(self, mutant: Mutant, files: Sequence[str]) -> None:
        self.mutant = mutant
        self._began = time.monotonic()
        self._scratch = TemporaryDirectory(prefix="dojang-mutant-")
        home = Path(self._scratch.name)
        source = home / "src"
        self._report, self._output = home / "report.xml", home / "output.txt"
        shutil.copytree(ROOT / "src", source)
        target = home / mutant.file
        target.write_text(mutant.apply(target.read_text()))
        Path(cache_from_source(str(target))).unlink(missing_ok=True)
        arguments = [*build_arguments([mutant.check], files), f"--junitxml={self._report}"]
        self._pid = os.fork()
        if self._pid == 0:
            run_tests(source, arguments, self._output)

    def poll(self) -> Outcome | None:
        """What came of it; None while it goes on."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0 and time.monotonic() < self._began + TIMEOUT:
            return None
        problem = red = ""
        if pid == 0:
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            problem = f"HUNG for {TIMEOUT} s"
        elif (code := os.waitstatus_to_exitcode(status)) == 0:
            problem = "SURVIVED: every test that cites it passed"
        elif not (red := find_red(self._report)):
            output = self._output.read_text(errors="replace")
            problem = f"NO VERDICT (pytest exit {code})\n{output[-2000:]}"
        self._scratch.cleanup()
        return Outcome(self.mutant, time.monotonic() - self._began, red, problem)


def run_tests(source: Path, arguments: Sequence[str], output: Path) -> NoReturn:
    """Be the process of a trial. Nothing of this one is left to it but its modules."""
    try:
        os.setsid()
        said = os.open(output, os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(said, stream)
        os.chdir(ROOT)
        os.environ["PYTHONPATH"] = str(source)
        sys.path[0:0] = [str(source), str(ROOT)]
        for name in [name for name in sys.modules if name.partition(".")[0] in ("dojang", "tests")]:
            del sys.modules[name]
        code = int(import_module("pytest").main(list(arguments)))
        sys.stdout.flush()
        os._exit(code)
    except BaseException:  # noqa: BLE001  this process must not go on as its parent
        traceback.print_exc()
        os._exit(3)


def run_trials(
    mutants: Sequence[Mutant], files: Mapping[Mutant, Sequence[str]]
) -> Iterator[Outcome]:
    """The outcomes, as they come."""
    waiting, running = deque(mutants), list[Trial]()
    while waiting or running:
        while waiting and len(running) < WORKERS:
            mutant = waiting.popleft()
            running.append(Trial(mutant, files[mutant]))
        time.sleep(0.01)
        for trial in tuple(running):
            if outcome := trial.poll():
                running.remove(trial)
                yield outcome


def pass_unchanged(mutants: Sequence[Mutant], files: Mapping[Mutant, Sequence[str]]) -> bool:
    print(f"First the tests of {len(mutants)} mutants on the source as it is.", flush=True)
    every = sorted({path for paths in files.values() for path in paths})
    arguments = build_arguments({each.check for each in mutants}, every)
    command = [sys.executable, "-m", "pytest", *arguments, "-n", str(WORKERS), "--dist=loadfile"]
    run = subprocess.run(command, cwd=ROOT, check=False)
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
    preload()
    for done, outcome in enumerate(run_trials(mutants, files), 1):
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
