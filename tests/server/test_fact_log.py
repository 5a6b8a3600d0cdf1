"""The log that pages are cut from, against what it says of itself."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.jose.seal import SealKey
from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import FIRST_DIGEST, Fact, FactKind, Rev
from dojang.server import fact_log, state
from dojang.server.fact_log import FactLog
from dojang.server.model import Position
from dojang.server.state import State
from dojang.storage.memory import MemoryStore
from dojang.testing.inline import run

Step = tuple[int, bool]  # how many facts were forgotten before it; whether it has a digest


def make_record(number: int) -> Record:
    return Record(FactKind.TOKEN, number.to_bytes(16, "big"), 0)


def digest_of(number: int) -> bytes:
    return sha256(b"%d" % number).digest()


@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 2]), st.booleans()), max_size=30),
    st.integers(1, 20),
)
@pytest.mark.proves("C91", "C118")
def test_it_leads_on_from_every_place_it_knows(steps: list[Step], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fact_log, "MOST_LOGGED", most)
        patch.setattr(fact_log, "DROPPED_TOGETHER", min(3, most))
        log = FactLog()
        log.begin(Rev(1, 0), FIRST_DIGEST)
        number, digests = 0, {0: FIRST_DIGEST}  # since the last gap; empty: not known
        for forgotten, has_digest in steps:
            number += 1 + forgotten
            if forgotten:
                digests = {}
            own = digest_of(number) if has_digest else b""
            digests[number] = own or digests.get(number - 1, b"")
            log.append(Rev(1, number), make_record(number), own)
    assert log.last == (Rev(1, number), digests[number])
    known = [place for place in digests if digests[place]]
    assert log.digest_at(Rev(1, number)) == (digests[number] or None)
    for place in range(-1, number + 2):
        for digest in (digests.get(place, b""), digest_of(-1), b""):
            found = log.find_after(Rev(1, place), digest)
            if found is None:
                logged = place in known[-most:]
                assert not logged or digest != digests[place]
                continue
            assert digest
            assert digest == digests[place]
            assert [fact.rev.number for fact in found] == list(range(place + 1, number + 1))
            assert [fact.digest for fact in found] == [
                digests[n] for n in range(place + 1, number + 1)
            ]
            assert [fact.record for fact in found] == [
                make_record(fact.rev.number) for fact in found
            ]
            assert log.find_after(Rev(1, place), digest, most=2) == found[:2]
            assert log.find_after(Rev(2, place), digest) is None
            assert log.digest_at(Rev(0, place)) is None


@pytest.mark.proves("C91")
def test_a_new_epoch_begins_a_new_log() -> None:
    log = FactLog()
    for number in (1, 2):
        log.append(Rev(1, number), make_record(number), digest_of(number))
    log.append(Rev(2, 3), make_record(3), digest_of(3))
    assert log.find_after(Rev(1, 2), digest_of(2)) is None
    assert log.find_after(Rev(2, 3), digest_of(3)) == []
    log.append(Rev(2, 4), make_record(4), digest_of(4))
    assert [fact.rev for fact in log.find_after(Rev(2, 3), digest_of(3)) or ()] == [Rev(2, 4)]
    log.begin(Rev(2, 9), digest_of(9))
    assert log.last == (Rev(2, 9), digest_of(9))
    assert log.digest_at(Rev(2, 4)) is None


class Remembering(MemoryStore):
    """A store that has forgotten some of its facts."""

    def __init__(self, facts: Sequence[Fact], position: Position) -> None:
        super().__init__()
        self.facts = facts
        self.at = position

    async def position(self) -> Position:
        return self.at

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        return [fact for fact in self.facts if fact.rev > after]


def make_state(store: MemoryStore) -> State:
    return State(store, SealKey.from_bytes("kek", bytes(32)), Tagger(bytes(32)))


def make_fact(number: int, digest: bytes) -> Fact:
    return Fact(Rev(1, number), FactKind.TOKEN, str(number), 0, 2**31, digest)


@pytest.mark.parametrize("kept", [[], [5], [4, 5], [7], [6, 7]])
@pytest.mark.proves("C118", "F19")
def test_a_restarted_server_knows_its_digest_where_facts_have_none(kept: list[int]) -> None:
    """The last fact with a digest was forgotten; what is left is of the release before."""
    facts = [make_fact(number, b"") for number in kept]
    position = Position(1, 5, 0, digest_of(3))  # 6 and 7 came after it was read
    held = make_state(Remembering(facts, position))
    run(held.reach_barrier())
    end = max([5, *kept])
    assert held.facts.last == (Rev(1, end), digest_of(3))
    assert held.revocations.as_of == Rev(1, end)
    assert held.facts.find_after(Rev(1, end), digest_of(3)) == []
    assert held.facts.digest_at(Rev(1, 2)) is None


@pytest.mark.proves("C87")
def test_other_requests_go_on_while_many_facts_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FACTS_AT_ONCE", 10)
    facts = [make_fact(number, digest_of(number)) for number in range(1, 101)]
    held = make_state(Remembering(facts, Position(1, 100, 0, digest_of(100))))
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        turning = asyncio.get_running_loop().create_task(turn())
        await held.reach_barrier()
        turning.cancel()

    asyncio.run(main())
    assert turns >= 9
    assert len(held.revocations) == 100
    assert held.facts.last == (Rev(1, 100), digest_of(100))
