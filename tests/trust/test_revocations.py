"""The view of what was revoked, against the rule it stands for."""

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import Fact, FactKind, Rev, kills
from dojang.trust import revocations
from dojang.trust.revocation_merging import merge_tables
from dojang.trust.revocations import CLAIM_OF, RevocationView

BEGINNING = Rev(0, 0)
TAGGER = Tagger(bytes(range(32)))
NOW = 1_800_000_000
IDENTIFIERS = st.sampled_from(["a", "b"])


@st.composite
def records(draw: st.DrawFn) -> list[Fact]:
    """Facts in order, over an epoch or three. A token is revoked once."""
    facts, epoch, tokens = [], 1, ["a", "b"]
    for number in range(1, draw(st.integers(1, 13))):
        if draw(st.integers(0, 5)) == 0:
            epoch += 1
        at = NOW + 60 * draw(st.integers(0, 100))
        kinds = [kind for kind in FactKind if tokens or kind is not FactKind.TOKEN]
        kind = draw(st.sampled_from(kinds))
        identifier = tokens.pop() if kind is FactKind.TOKEN else draw(IDENTIFIERS)
        facts.append(Fact(Rev(epoch, number), kind, identifier, at, at + 3000, b""))
    return facts


TOKENS = st.dictionaries(st.sampled_from(sorted(CLAIM_OF.values())), IDENTIFIERS)
REVS = st.builds(Rev, st.integers(0, 3), st.integers(0, 13))


def make_record(fact: Fact) -> Record:
    return Record(fact.kind, TAGGER.tag(fact.kind, fact.identifier), fact.forget_after)


def apply(view: RevocationView, facts: Sequence[Fact]) -> None:
    for epoch, run in groupby(facts, key=lambda fact: fact.rev.epoch):
        together = list(run)
        view.apply(epoch, together[0].rev.number, [make_record(fact) for fact in together])


def find_killer(view: RevocationView, rev: Rev, token: dict[str, str]) -> FactKind | None:
    return view.find_killer(view.mark(rev, token))


def find_killers(facts: Sequence[Fact], rev: Rev, token: dict[str, str]) -> set[FactKind]:
    return {
        fact.kind
        for fact in facts
        if token.get(CLAIM_OF[fact.kind]) == fact.identifier
        # The id of a token is known to its revoker only after the token is made; and who holds a
        # key that leaked writes any position into one.
        and (kills(fact, rev) or fact.kind in (FactKind.TOKEN, FactKind.KEY))
    }


def map_chunks(chunks: Sequence[bytes]) -> Iterator[mmap.mmap]:
    for chunk in chunks:
        with tempfile.TemporaryFile() as file:
            file.write(chunk)
            file.flush()
            yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@given(records(), REVS, TOKENS, st.integers(0, 12), st.booleans())
@pytest.mark.proves("K6", "C87")
def test_a_token_is_dead_if_any_later_fact_names_it(
    facts: list[Fact], rev: Rev, token: dict[str, str], pages: int, settled: bool
) -> None:
    view = RevocationView(TAGGER)
    apply(view, facts[:pages])
    if settled:
        view.forget(0)
    apply(view, facts[pages:])
    found = find_killer(view, rev, token)
    killers = find_killers(facts, rev, token)
    assert found in killers if killers else found is None
    assert view.as_of == (facts[-1].rev if facts else BEGINNING)


@given(records(), st.integers(0, 100))
@pytest.mark.proves("K6")
def test_only_spent_facts_are_forgotten(facts: list[Fact], minutes: int) -> None:
    view = RevocationView(TAGGER)
    apply(view, facts)
    before = view.as_of
    now = NOW + 3000 + 60 * minutes
    view.forget(now)
    assert view.as_of == before
    latest = {(fact.kind, fact.identifier): fact for fact in facts}
    longest = {
        key: max(f.forget_after for f in facts if (f.kind, f.identifier) == key) for key in latest
    }
    kept = [key for key, until in longest.items() if until >= now]
    assert len(view) == len(kept)
    for kind, identifier in kept:
        assert find_killer(view, BEGINNING, {CLAIM_OF[kind]: identifier}) is kind


@given(records(), records(), REVS, TOKENS, st.booleans())
@pytest.mark.proves("F15", "F6")
def test_a_snapshot_says_what_its_view_says_and_makes_nothing_forgotten(
    facts: list[Fact], known: list[Fact], rev: Rev, token: dict[str, str], mapped: bool
) -> None:
    sender, receiver = RevocationView(TAGGER), RevocationView(TAGGER)
    apply(sender, facts)
    apply(receiver, known)
    if mapped:
        receiver.forget(0)
    position, chunks = sender.export()
    assert position == sender.as_of
    receiver.take(list(map_chunks(chunks)) if mapped else chunks, rev=position)
    assert receiver.as_of == max(position, known[-1].rev if known else BEGINNING)
    for _ in range(2):
        killers = find_killers([*facts, *known], rev, token)
        found = find_killer(receiver, rev, token)
        if found is None:
            assert not killers
        else:
            assert found in killers
        receiver.forget(0)  # the same from the merged tables


@given(records(), st.tuples(*[st.integers(0, 12)] * 3), REVS, TOKENS, st.booleans())
@pytest.mark.proves("F6", "K6")
def test_a_later_snapshot_takes_the_place_of_a_shared_one(
    facts: list[Fact], cuts: tuple[int, ...], rev: Rev, token: dict[str, str], settled: bool
) -> None:
    first, second, third = sorted(cuts)
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    apply(sender, facts[:first])
    position, chunks = sender.export()
    view.take(list(map_chunks(chunks)), rev=position)
    apply(view, facts[first:second])
    if settled:
        view.forget(0)
    apply(view, facts[second:third])
    apply(sender, facts[first:second])
    chunks = sender.export().chunks
    view.rebase(list(map_chunks(chunks)))
    apply(view, facts[third:])
    assert len(view) <= len(sender) + len(facts[second:])
    for _ in range(2):
        killers = find_killers(facts, rev, token)
        found = find_killer(view, rev, token)
        assert found in killers if killers else found is None
        view.forget(0)


@pytest.mark.proves("F6")
def test_what_a_later_snapshot_knows_an_older_fact_about_is_kept() -> None:
    facts = [
        Fact(Rev(1, number), FactKind.SESSION, name, NOW, NOW + 3000, b"")
        for number, name in enumerate("aba", 1)
    ]
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    apply(view, facts)
    apply(sender, facts[:2])
    view.rebase(list(map_chunks(sender.export().chunks)))
    assert len(view) == 3  # of "b" the snapshot's alone, of "a" both
    assert find_killer(view, Rev(1, 2), {"sid": "a"}) is FactKind.SESSION
    assert find_killer(view, Rev(1, 2), {"sid": "b"}) is None


@pytest.mark.proves("K6")
def test_facts_come_in_order_and_once() -> None:
    view = RevocationView(TAGGER)
    record = Record(FactKind.TOKEN, bytes(16), NOW)
    view.apply(1, 1, [record, record])
    for late in ((1, 2), (1, 1), (0, 9)):
        with pytest.raises(ValueError, match="order"):
            view.apply(*late, [record])
    assert view.as_of == Rev(1, 2)
    view.apply(2, 1, [record])


@pytest.mark.proves("K6")
def test_what_is_no_text_marks_nothing() -> None:
    view = RevocationView(TAGGER)
    view.apply(1, 1, [Record(FactKind.GRANT, TAGGER.tag(FactKind.GRANT, "g"), NOW)])
    odd = {"jti": 5, "grant": "g", "sid": ["s"], "sub": {"a": 1}, "client_id": None}
    assert view.find_killer(view.mark(BEGINNING, odd)) is FactKind.GRANT
    assert view.find_killer(view.mark(BEGINNING, {**odd, "grant": ["g"]})) is None


@pytest.mark.proves("F6")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda chunk: chunk[:-1],
        lambda chunk: chunk[:5],
        lambda chunk: chunk + b"\x13",
        lambda chunk: b"\x07" + chunk[1:],
        lambda chunk: chunk[:1] + b"\x3f" + chunk[2:],
        lambda chunk: chunk[:4] + b"\xff\xff\xff\xff" + chunk[8:],
        lambda chunk: chunk[:8] + b"\xff\xff\xff\xff" + chunk[12:],
        lambda chunk: chunk + chunk,
        lambda chunk: b"",
    ],
)
def test_a_chunk_that_is_none_changes_nothing(spoil: object) -> None:
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    sender.apply(1, 1, [Record(FactKind.TOKEN, bytes([at]) * 16, NOW) for at in range(40)])
    view.apply(1, 1, [Record(FactKind.KEY, b"k" * 16, NOW)])
    (chunk,) = sender.export().chunks
    with pytest.raises(ValueError, match=r"shard|chunk|directory"):
        view.take([spoil(chunk)], rev=Rev(1, 40))  # type: ignore[operator]
    assert (len(view), view.as_of) == (1, Rev(1, 1))


@pytest.mark.proves("K6")
def test_what_is_being_settled_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    view = RevocationView(TAGGER)
    view.apply(1, 1, [Record(FactKind.TOKEN, TAGGER.tag(FactKind.TOKEN, "t"), NOW)])
    found = []

    def look_and_merge(*parts: Any) -> Any:
        found.append(find_killer(view, BEGINNING, {"jti": "t"}))
        return merge_tables(*parts)

    monkeypatch.setattr(revocations, "merge_tables", look_and_merge)
    view.forget(0)
    assert found == [FactKind.TOKEN, FactKind.TOKEN]
    assert find_killer(view, BEGINNING, {"jti": "t"}) is FactKind.TOKEN


@pytest.mark.proves("K6", "F18")
def test_readers_miss_nothing_while_facts_are_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MOST_RECENT", 50)
    view = RevocationView(TAGGER)
    tags = [TAGGER.tag(FactKind.TOKEN, str(number)) for number in range(3000)]
    missed: list[int] = []
    applied = 0
    done = False

    def read() -> None:
        while not done:
            last = applied - 1
            if last >= 0 and find_killer(view, BEGINNING, {"jti": str(last)}) is None:
                missed.append(last)
            if last >= 0 and find_killer(view, BEGINNING, {"jti": str(last // 2)}) is None:
                missed.append(last // 2)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number, tag in enumerate(tags, 1):
        view.apply(1, number, [Record(FactKind.TOKEN, tag, NOW + number)])
        applied = number
        if number % 500 == 0:
            view.forget(NOW)
    done = True
    for reader in readers:
        reader.join()
    assert not missed
    view.forget(0)
    assert len(view) == len(tags)
