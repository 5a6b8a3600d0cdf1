"""Every parser of this layer under mutated and arbitrary bytes."""

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dojang.jose.errors import Reason
from tests.fuzz.mutation import mutations
from tests.fuzz.targets import SEEDS, TARGETS, read

MEMORY = 4_000_000
HUGE = 300_000


@pytest.mark.proves("C11", "C22")
@pytest.mark.parametrize("name", TARGETS)
def test_only_our_own_error_comes_out(name: str) -> None:
    @settings(max_examples=250, suppress_health_check=list(HealthCheck))
    @given(mutations(SEEDS[name]) | st.binary(max_size=200))
    def run(data: bytes) -> None:
        read(TARGETS[name], data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_good(name: str) -> None:
    for seed in SEEDS[name]:
        result = read(TARGETS[name], seed)
        # Every second parity of a token's length picks the other key.
        assert not isinstance(result, Reason) or name in {"jwe", "header"}


@pytest.mark.proves("C11")
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "piece", [b"[", b'{"a":', b"{", b'"', b"\\", b"A", b".", b"9", b"\xff", b'{"keys":[', b'"a":1,']
)
@pytest.mark.parametrize("prefix", [b"", b'{"a":', b'{"keys":['])
def test_a_flood_is_answered_in_little_memory(name: str, piece: bytes, prefix: bytes) -> None:
    flood = prefix + piece * (HUGE // len(piece))
    read(TARGETS[name], flood[:100])
    tracemalloc.start()
    try:
        read(TARGETS[name], flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
