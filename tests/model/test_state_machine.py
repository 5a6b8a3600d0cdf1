"""The real server, follower and verifier against a few lines that say what ought to be true.

Hypothesis makes up histories: tokens given and taken back in every way, time, faults of the
channel, processes that end, databases restored and databases put back by hand. The properties are
those of the model for spin (docs/explanation/model.md). The histories are always the same ones,
and one that fails is shown as it is; with DOJANG_HISTORIES set to a number they are that many
others, and one that fails is made short.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import RevocationPlane

HISTORIES = os.environ.get("DOJANG_HISTORIES")


@pytest.mark.proves("F6", "F15", "C91", "C92", "C116", "V3", "K6")
def test_every_history_ends_as_it_ought_to() -> None:
    wanted = settings(
        max_examples=int(HISTORIES or 120),
        stateful_step_count=30,
        deadline=None,
        derandomize=HISTORIES is None,
        phases=tuple(Phase) if HISTORIES else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(RevocationPlane, settings=wanted)
