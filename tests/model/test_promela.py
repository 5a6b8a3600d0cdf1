"""The model for spin: the whole design holds, and each rule that is taken away breaks something.

These are the short searches; `./run model` makes all of them.
"""

import re
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
@pytest.mark.proves("F6", "F15", "C91", "C92", "V3")
@pytest.mark.parametrize("run", [run for run in WHOLE if run.quick], ids=name)
def test_no_history_breaks_the_design(run: Run) -> None:
    outcome = search(run)
    assert outcome.broken == ""
    assert outcome.states > 10_000


@needs_spin
@pytest.mark.proves("C119")
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
