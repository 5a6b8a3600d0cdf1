"""The model for spin: the whole design holds, and each rule that is taken away breaks something.

These are the short searches; `./run model` makes all of them.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from model.runs import BROKEN, LIVENESS, SAFETY, WHOLE, Run
from model.searching import MODEL, SearchFailed, find_missing_tools, search
from tests.mutants import ROOT

SWITCH = re.compile(r"\bBROKEN_\w+")

needs_spin = pytest.mark.skipif(
    find_missing_tools() != [], reason="needs spin and a C compiler (./run test installs them)"
)


def name(run: Run) -> str:
    return f"{run.name}: {run.properties}"


@needs_spin
@pytest.mark.parametrize("run", [run for run in WHOLE if run.quick], ids=name)
def test_no_history_breaks_the_design(run: Run) -> None:
    outcome = search(run)
    assert outcome.broken == ""
    assert outcome.states > 10_000


@needs_spin
@pytest.mark.parametrize("run", [run for run in BROKEN if run.quick], ids=name)
def test_without_one_of_its_rules_a_history_breaks_it(run: Run) -> None:
    assert search(run).broken in run.breaks.split()


@needs_spin
def test_the_history_that_breaks_it_is_told() -> None:
    (run,) = (run for run in BROKEN if run.name == "GOING_BACK")
    assert "assert(S4)" in search(run, tell=True).trail


@needs_spin
def test_a_search_that_is_cut_short_holds_nothing() -> None:
    with pytest.raises(SearchFailed):
        search(replace(WHOLE[0], switches="NODES=0"))


def call(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_spin
def test_programs_get_one_document() -> None:
    done = call("BROKEN_GOING_BACK", "--json")
    (row,) = json.loads(done.stdout)["runs"]
    assert (done.returncode, row["broken"], row["as_wanted"]) == (0, "S4", True)


def test_a_call_that_makes_no_sense_is_told_apart() -> None:
    assert call("no run is named so").returncode == 2
    assert call("--unknown").returncode == 2


def test_what_is_missing_is_named_with_its_package() -> None:
    done = call(path="/nowhere")
    assert done.returncode == 3
    assert "apt-get install -y spin gcc libc6-dev" in done.stderr


def test_every_weakening_is_searched_and_told_of() -> None:
    switches = {each.removeprefix("BROKEN_") for each in SWITCH.findall(MODEL.read_text())}
    assert {run.name for run in BROKEN} == switches
    told = (ROOT / "docs" / "explanation" / "model.md").read_text()
    assert [run.name for run in BROKEN if f"`{run.name}`" not in told] == []
    assert [run.name for run in WHOLE if run.name not in told] == []


def test_a_weakened_run_names_what_it_breaks() -> None:
    known = {*SAFETY.split(), *LIVENESS.values()}
    assert [run.name for run in BROKEN if not set(run.breaks.split()) <= known] == []
    assert all(f"BROKEN_{run.name}" in run.switches.split() for run in BROKEN)
    assert not any("BROKEN" in run.switches for run in WHOLE)
