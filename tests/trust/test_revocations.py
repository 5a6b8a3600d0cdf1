"""The view of what was revoked, against the rule it stands for."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from mmap import mmap
from threading import Event, Thread

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dojang.oauth.feed import Record, Tagger, pack_records
from dojang.oauth.revocation_fact import Fact, FactKind, Rev, kills, pack_rev
from dojang.trust import marks, revocation_table, revocations, settled_facts
from dojang.trust.marks import CLAIM_OF, Marks
from dojang.trust.revocation_shards import Image
from dojang.trust.revocations import RevocationView
from dojang.trust.settled_facts import Facts, Settled, settle

BEGINNING = Rev(0, 0)
TAGGER = Tagger(bytes(range(32)))
NOW = 1_800_000_000
STEP = 256  # seconds: how exactly tables keep a time
IDENTIFIERS = st.sampled_from(["a", "b", "한국"])

TOKENS = st.dictionaries(st.sampled_from(sorted(CLAIM_OF.values())), IDENTIFIERS)
REVS = st.builds(Rev, st.integers(0, 3), st.integers(0, 13))
FEWS = st.sampled_from([0, 2, 16_384])  # facts of a kind without a table


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(revocation_table, "PAUSE", 0)
        yield


@contextmanager
def tables_beyond(few: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settled_facts, "MOST_FEW", few)
        yield


@st.composite
def records(draw: st.DrawFn) -> list[Fact]:
    """Facts in order, over an epoch or three. A token is revoked once."""
    facts, epoch, tokens = [], 1, ["a", "b", "한국"]
    for number in range(1, draw(st.integers(1, 13))):
        if draw(st.integers(0, 5)) == 0:
            epoch += 1
        at = NOW + draw(st.integers(0, 6000))
        kinds = [kind for kind in FactKind if tokens or kind is not FactKind.TOKEN]
        kind = draw(st.sampled_from(kinds))
        identifier = tokens.pop() if kind is FactKind.TOKEN else draw(IDENTIFIERS)
        facts.append(Fact(Rev(epoch, number), kind, identifier, at, at + 3000, b""))
    return facts


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
        # Who holds a key that leaked writes any position into a token.
        and (kills(fact, rev) or fact.kind is FactKind.KEY)
    }


def find_possible(facts: Sequence[Fact], rev: Rev, token: dict[str, str]) -> Rev:
    """`rev`, or earlier: whoever revokes a token knows its id only after it was made."""
    own = [
        fact.rev for fact in facts if (fact.kind, fact.identifier) == ("token", token.get("jti"))
    ]
    return min([rev, *(Rev(each.epoch, each.number - 1) for each in own)])


def check(view: RevocationView, facts: Sequence[Fact], rev: Rev, token: dict[str, str]) -> None:
    killers = find_killers(facts, rev, token)
    found = find_killer(view, rev, token)
    assert found in killers if killers else found is None
    if "jti" in token:
        alone = find_killer(view, rev, {"jti": token["jti"]})
        assert view.has_ended(token["jti"], pack_rev(rev)) == (alone is not None)


def make_view(count: int, *, kind: FactKind = FactKind.TOKEN, until: int = NOW) -> RevocationView:
    view = RevocationView(TAGGER)
    tags = [TAGGER.tag(kind, str(number)) for number in range(count)]
    view.apply(1, 1, [Record(kind, tag, until) for tag in tags])
    return view


def count_living(view: RevocationView, kind: FactKind, count: int) -> int:
    names = [{CLAIM_OF[kind]: str(number)} for number in range(count)]
    return sum(find_killer(view, BEGINNING, name) is None for name in names)


@given(
    facts=records(),
    rev=REVS,
    token=TOKENS,
    pages=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    few=FEWS,
)
@pytest.mark.proves("K6", "C87")
def test_a_token_is_dead_if_any_later_fact_names_it(
    *, facts: list[Fact], rev: Rev, token: dict[str, str], pages: tuple[int, int], few: int
) -> None:
    rev = find_possible(facts, rev, token)
    first, second = sorted(pages)
    view = RevocationView(TAGGER)
    with tables_beyond(few):
        apply(view, facts[:first])
        view.settle()
        check(view, facts[:first], rev, token)
        apply(view, facts[first:second])
        view.settle()
        apply(view, facts[second:])
        check(view, facts, rev, token)
    assert view.as_of == (facts[-1].rev if facts else BEGINNING)


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("kind", sorted(set(FactKind) - {FactKind.TOKEN, FactKind.KEY}))
@pytest.mark.proves("K6", "C87")
def test_a_fact_kills_what_came_before_it_and_nothing_else(kind: FactKind, few: int) -> None:
    view = RevocationView(TAGGER)
    view.reach(Rev(1, 4))
    view.apply(1, 5, [Record(kind, TAGGER.tag(kind, "a"), NOW)])
    name = {CLAIM_OF[kind]: "a"}
    expected = [kind, kind, None, None, None, None]
    revs = [Rev(0, 99), Rev(1, 4), Rev(1, 5), Rev(1, 6), Rev(2, 0), Rev(2, 9)]
    assert [find_killer(view, rev, name) for rev in revs] == expected
    view.reach(Rev(2, 8))
    assert [find_killer(view, rev, name) for rev in revs] == expected
    with tables_beyond(few):
        view.settle()
    assert [find_killer(view, rev, name) for rev in revs] == expected
    assert find_killer(view, Rev(1, 4), {CLAIM_OF[kind]: "b"}) is None
    assert find_killer(view, Rev(1, 4), {}) is None


@pytest.mark.proves("K6", "C87")
def test_a_fact_about_a_token_ends_it_from_the_last_position_before_it() -> None:
    view = RevocationView(TAGGER)
    view.reach(Rev(1, 4))
    view.apply(1, 5, [Record(FactKind.TOKEN, TAGGER.tag(FactKind.TOKEN, "a"), NOW)])
    before = [pack_rev(Rev(0, 99)), pack_rev(Rev(1, 4))]
    assert [view.has_ended("a", rev) for rev in before] == [True, True]
    assert not view.has_ended("a", pack_rev(Rev(1, 5)))  # none is made after its own end
    assert not view.has_ended("b", before[0])


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("form", ["bytes", "mmap"])
@pytest.mark.proves("K6", "F15")
def test_a_fact_about_a_key_kills_all_it_signed(few: int, form: str) -> None:
    view, follower = RevocationView(TAGGER), RevocationView(TAGGER)
    forged = [BEGINNING, Rev(1, 1), Rev(1, 2), Rev(1, 2**48), Rev(2**15, 0), Rev(2**40, 2**50)]
    token = {"jti": "t", "kid": "leaked"}
    assert {find_killer(view, rev, token) for rev in forged} == {None}
    view.apply(1, 1, [Record(FactKind.KEY, TAGGER.tag(FactKind.KEY, "leaked"), NOW)])
    assert {find_killer(view, rev, token) for rev in forged} == {FactKind.KEY}
    with tables_beyond(few):
        view.settle()
        assert {find_killer(view, rev, token) for rev in forged} == {FactKind.KEY}
        chunks = [AS_IMAGES[form](chunk) for chunk in view.export().chunks]
        follower.take(chunks, rev=Rev(1, 1))
        assert {find_killer(follower, rev, token) for rev in forged} == {FactKind.KEY}
        late = RevocationView(TAGGER)
        late.reach(Rev(1, 1))
        late.rebase(chunks)
        assert {find_killer(late, rev, token) for rev in forged} == {FactKind.KEY}
    assert find_killer(view, BEGINNING, {**token, "kid": "other"}) is None


@given(records(), st.integers(0, 9100), st.booleans(), FEWS)
@pytest.mark.proves("K6")
def test_only_spent_facts_are_forgotten(
    facts: list[Fact], seconds: int, settled: bool, few: int
) -> None:
    view = RevocationView(TAGGER)
    apply(view, facts)
    now = NOW + seconds
    with tables_beyond(few):
        if settled:
            view.settle()
        view.forget(now)
        view.settle()
    ends: dict[tuple[FactKind, str], int] = {}
    for fact in facts:
        key = fact.kind, fact.identifier
        ends[key] = max(ends.get(key, 0), fact.forget_after)
    for (kind, identifier), end in ends.items():
        if end >= now:
            assert find_killer(view, BEGINNING, {CLAIM_OF[kind]: identifier}) is kind
    # Few are worth no rewriting of a table, and its times are rounded up.
    least = sum(end >= now for end in ends.values())
    most = sum(end + STEP >= now for end in ends.values())
    assert least <= len(view) <= (len(ends) if few < 16_384 and most else most)
    assert view.as_of == (facts[-1].rev if facts else BEGINNING)


@pytest.mark.parametrize("few", [0, 100_000])
@pytest.mark.proves("K6")
def test_what_is_spent_makes_room(few: int) -> None:
    view = RevocationView(TAGGER)
    tags = [TAGGER.tag(FactKind.TOKEN, str(number)) for number in range(400)]
    lasting = [NOW + 10_000 * (number % 4) for number in range(400)]
    view.apply(1, 1, [Record(FactKind.TOKEN, *each) for each in zip(tags, lasting, strict=True)])
    with tables_beyond(few):
        for now, left in ((0, 400), (NOW, 400), (NOW + STEP, 300), (NOW + 20_000 + STEP, 100)):
            view.forget(now)
            view.settle()
            assert len(view) == left
            assert count_living(view, FactKind.TOKEN, 400) == 400 - left
        view.forget(NOW)  # time does not go back
        view.forget(NOW + 40_000)
        view.settle()
    assert len(view) == 0


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("until", [NOW, NOW + 1, NOW + STEP - 1])
@pytest.mark.proves("K6")
def test_a_fact_lasts_as_long_as_it_must(until: int, few: int) -> None:
    assert NOW % STEP == 0
    view = make_view(8, until=until)
    with tables_beyond(few):
        for now in (NOW, until):
            view.settle()
            view.forget(now)
            view.settle()
            assert len(view) == 8
        view.forget(until + STEP)
        view.settle()
    assert len(view) == 0


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.proves("K6")
def test_a_fact_does_not_shorten_the_memory_of_an_earlier_one(few: int) -> None:
    view = RevocationView(TAGGER)
    tag = TAGGER.tag(FactKind.CLIENT, "shop")
    with tables_beyond(few):
        for number, until in enumerate((NOW + 5000, NOW + 1000, NOW + 2000), 1):
            view.apply(1, number, [Record(FactKind.CLIENT, tag, until)])
            view.settle()
        view.forget(NOW + 4000)
        view.settle()
    assert find_killer(view, Rev(1, 0), {"client_id": "shop"}) is FactKind.CLIENT
    assert find_killer(view, Rev(1, 2), {"client_id": "shop"}) is FactKind.CLIENT
    assert find_killer(view, Rev(1, 3), {"client_id": "shop"}) is None


AS_IMAGES: dict[str, Callable[[bytes], Image]] = {
    "bytes": bytes,
    "memoryview": lambda chunk: memoryview(b"before" + chunk)[6:],
}


def map_chunk(chunk: bytes) -> mmap:
    mapped = mmap(-1, len(chunk))
    mapped.write(chunk)
    return mapped


AS_IMAGES["mmap"] = map_chunk


@given(
    facts=records(),
    known=records(),
    rev=REVS,
    token=TOKENS,
    form=st.sampled_from(sorted(AS_IMAGES)),
    few=FEWS,
    settled=st.booleans(),
)
@pytest.mark.proves("F15", "F6", "V3")
def test_a_snapshot_says_what_its_view_says_and_makes_nothing_forgotten(
    *,
    facts: list[Fact],
    known: list[Fact],
    rev: Rev,
    token: dict[str, str],
    form: str,
    few: int,
    settled: bool,
) -> None:
    rev = find_possible([*facts, *known], rev, token)
    sender, receiver = RevocationView(TAGGER), RevocationView(TAGGER)
    apply(sender, facts)
    apply(receiver, known)
    with tables_beyond(few):
        if settled:
            receiver.settle()
        position, chunks = sender.export()
        assert position == sender.as_of
        receiver.take([AS_IMAGES[form](chunk) for chunk in chunks], rev=position)
        assert receiver.as_of == max(position, known[-1].rev if known else BEGINNING)
        check(receiver, [*facts, *known], rev, token)
        receiver.settle()
        check(receiver, [*facts, *known], rev, token)
        again = RevocationView(TAGGER)
        again.take(receiver.export().chunks, rev=receiver.as_of)
        check(again, [*facts, *known], rev, token)
        assert len(again) == len({(fact.kind, fact.identifier) for fact in [*facts, *known]})


@pytest.mark.proves("F15")
def test_a_new_epoch_kills_what_the_old_one_left_behind_and_revives_nothing() -> None:
    view = make_view(3)
    restored = RevocationView(TAGGER)
    everything = Record(FactKind.EVERYTHING, TAGGER.tag(FactKind.EVERYTHING, "issuer"), NOW)
    restored.apply(2, 2, [everything])
    view.take(restored.export().chunks, rev=restored.as_of)
    assert view.as_of == Rev(2, 2)
    assert find_killer(view, Rev(1, 99), {"iss": "issuer"}) is FactKind.EVERYTHING
    assert find_killer(view, Rev(2, 1), {"iss": "issuer"}) is FactKind.EVERYTHING
    assert find_killer(view, Rev(2, 2), {"iss": "issuer"}) is None
    assert count_living(view, FactKind.TOKEN, 3) == 0
    with pytest.raises(ValueError, match="order"):
        view.apply(1, 4, [everything])


@given(
    facts=records(),
    cuts=st.tuples(*[st.integers(0, 12)] * 3),
    rev=REVS,
    token=TOKENS,
    few=FEWS,
    form=st.sampled_from(sorted(AS_IMAGES)),
)
@pytest.mark.proves("F6", "K6")
def test_a_later_snapshot_takes_the_place_of_a_shared_one(
    *,
    facts: list[Fact],
    cuts: tuple[int, ...],
    rev: Rev,
    token: dict[str, str],
    few: int,
    form: str,
) -> None:
    rev = find_possible(facts, rev, token)
    first, second, third = sorted(cuts)
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    with tables_beyond(few):
        apply(sender, facts[:first])
        position, chunks = sender.export()
        view.take([AS_IMAGES[form](chunk) for chunk in chunks], rev=position)
        apply(view, facts[first:second])
        view.settle()
        apply(view, facts[second:third])
        apply(sender, facts[first:second])
        view.rebase([AS_IMAGES[form](chunk) for chunk in sender.export().chunks])
        apply(view, facts[third:])
        # Until it settles it may hold twice what came since the first snapshot, and what of that
        # was few: few facts are never shared, and one may lie in a table of its own by now.
        assert len(view) <= len(sender) + len(facts[first:]) + min(few, first) or form != "mmap"
        check(view, facts, rev, token)
        view.settle()
        assert len(view) <= len(sender) + len(facts[second:])
        check(view, facts, rev, token)
        follower = RevocationView(TAGGER)
        follower.take(view.export().chunks, rev=view.as_of)
        check(follower, facts, rev, token)
        check(view, facts, rev, token)


@pytest.mark.proves("F6", "V3")
def test_shared_tables_stay_where_they_are() -> None:
    with tables_beyond(10):
        chunks = make_view(40).export().chunks
        view = RevocationView(TAGGER)
        mapped = [map_chunk(chunk) for chunk in chunks]
        view.take(mapped, rev=Rev(1, 40))
        view.apply(1, 41, [make_record(fact) for fact in make_facts(41, 80)])
        view.settle()
        assert count_living(view, FactKind.TOKEN, 80) == 0
        view.forget(NOW + 2 * STEP)  # the shared ones are forgotten by who shares them
        view.settle()
        assert count_living(view, FactKind.TOKEN, 80) == 40
        (table,) = view._settled.list_tables(FactKind.TOKEN)
        assert [shard.image for shard in table._shards] == mapped
        view.export()
        assert not view._settled.shared


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.proves("F6")
def test_what_a_later_snapshot_knows_an_older_fact_about_is_kept(few: int) -> None:
    facts = [
        Fact(Rev(1, number), FactKind.SESSION, name, NOW, NOW + 3000, b"")
        for number, name in enumerate("aba", 1)
    ]
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    apply(view, facts)
    apply(sender, facts[:2])
    with tables_beyond(few):
        view.rebase([map_chunk(chunk) for chunk in sender.export().chunks])
    assert len(view) == (2 if few else 3)  # of "b" the snapshot's alone, of "a" both
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
    view.reach(Rev(2, 5))
    view.reach(Rev(2, 4))
    assert view.as_of == Rev(2, 5)
    with pytest.raises(ValueError, match="order"):
        view.apply(2, 5, [record])


@pytest.mark.parametrize(
    "odd",
    [
        (1, 2**48, Record(FactKind.KEY, bytes(16), NOW)),
        (2**16, 1, Record(FactKind.KEY, bytes(16), NOW)),
        (-1, 1, Record(FactKind.KEY, bytes(16), NOW)),
        (1, 1, Record(FactKind.KEY, bytes(15), NOW)),
        (1, 1, Record(FactKind.KEY, bytes(17), NOW)),
    ],
)
@pytest.mark.proves("K6")
def test_what_is_no_fact_changes_nothing(odd: tuple[int, int, Record]) -> None:
    view = RevocationView(TAGGER)
    epoch, first, record = odd
    with pytest.raises(ValueError, match=r"position|length|order"):
        view.apply(epoch, first, [Record(FactKind.KEY, b"k" * 16, NOW), record])
    assert (len(view), view.as_of) == (0, BEGINNING)


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.proves("K6")
def test_facts_at_the_ends_of_time_and_order(few: int) -> None:
    view = RevocationView(TAGGER)
    names = ["past", "late", "last", "beyond"]
    ends = [-5, 2**32 - 1000, 2**32 - 1, 2**40]
    facts = [
        Record(FactKind.GRANT, TAGGER.tag(FactKind.GRANT, name), end)
        for name, end in zip(names, ends, strict=True)
    ]
    view.apply(2**16 - 1, 2**48 - 5, facts)
    with tables_beyond(few):
        view.settle()
        view.forget(2**32 - 1)
        view.settle()
    found = [find_killer(view, Rev(2**16 - 1, 2**48 - 6), {"grant": name}) for name in names]
    assert found[2:] == [FactKind.GRANT] * 2
    assert few == 0 or found[:2] == [None, None]


@pytest.mark.proves("K6")
def test_what_is_no_text_marks_nothing() -> None:
    view = RevocationView(TAGGER)
    view.apply(1, 1, [Record(FactKind.GRANT, TAGGER.tag(FactKind.GRANT, "g"), NOW)])
    odd = {"jti": 5, "grant": "g", "sid": ["s"], "sub": {"a": 1}, "client_id": None}
    assert view.find_killer(view.mark(BEGINNING, odd)) is FactKind.GRANT
    assert view.find_killer(view.mark(BEGINNING, {**odd, "grant": ["g"]})) is None
    whole = dict.fromkeys(CLAIM_OF.values(), 7)
    assert view.mark(BEGINNING, whole) == Marks(0, None, (), ())


PARENT = {"jti": "t", "grant": "g", "client_id": "c", "kid": "k"}


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("kind", [FactKind.TOKEN, FactKind.GRANT, FactKind.CLIENT, FactKind.KEY])
@pytest.mark.parametrize("generation", [0, 1])
@pytest.mark.proves("C54", "C87", "K6")
def test_what_ends_a_token_ends_all_that_it_was_exchanged_for(
    kind: FactKind, few: int, generation: int
) -> None:
    view = RevocationView(TAGGER)
    view.reach(Rev(1, 4))
    view.apply(1, 5, [Record(kind, TAGGER.tag(kind, PARENT[CLAIM_OF[kind]]), NOW)])
    others = [{name: f"another {name}" for name in PARENT}] * generation
    token: dict[str, object] = {
        "jti": "own", "grant": "own", "client_id": "own", "kid": "own", "sub": "s", "iss": "i",
    }  # fmt: skip
    token["ancestors"] = [*others, PARENT]
    view.reach(Rev(1, 9))
    innocent = {**token, "ancestors": [*others, {**PARENT, CLAIM_OF[kind]: "other"}]}
    for _ in range(2):
        assert view.find_killer(view.mark(Rev(1, 4), token)) is kind
        assert view.find_killer(view.mark(Rev(1, 4), innocent)) is None
        later = view.find_killer(view.mark(Rev(1, 5), token))
        # A token is revoked after it was made; and a key that leaked writes any position.
        assert later is (kind if kind in (FactKind.TOKEN, FactKind.KEY) else None)
        with tables_beyond(few):
            view.settle()


@pytest.mark.proves("C54", "K6")
@pytest.mark.parametrize("odd", [None, 5, "t", {"jti": "t"}, [], [None, "t", ["jti", "t"]], [{}]])
def test_ancestors_that_are_none_mark_nothing(odd: object) -> None:
    view = RevocationView(TAGGER)
    view.apply(1, 1, [Record(FactKind.TOKEN, TAGGER.tag(FactKind.TOKEN, "t"), NOW)])
    assert view.find_killer(view.mark(BEGINNING, {"jti": "own", "ancestors": odd})) is None


@given(st.dictionaries(st.sampled_from(sorted(CLAIM_OF.values())), st.text()))
@example({"jti": "\ud800", "sub": "\udfff"})
@pytest.mark.proves("K6")
def test_marks_are_the_tags_of_what_a_token_names(token: dict[str, str]) -> None:
    view = RevocationView(TAGGER)
    for _ in range(2):
        made = view.mark(Rev(3, 4), token)
        assert made.rev == 3 << 48 | 4
        found = dict(zip(made.kinds, made.tags, strict=True))
        if made.token is not None:
            found[FactKind.TOKEN] = made.token
        assert found == {
            kind: TAGGER.tag(kind, token[claim])
            for kind, claim in CLAIM_OF.items()
            if claim in token
        }


@pytest.mark.proves("K6")
def test_remembered_tags_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MOST_KNOWN", 10)
    marker = marks.Marker(TAGGER)
    for number in range(60):
        found = marker.mark(BEGINNING, {"sub": str(number)})
        assert found.tags == (TAGGER.tag(FactKind.ACCOUNT, str(number)),)
    assert 0 < len(marker._known) <= 10


Spoiler = Callable[[bytes], list[Image]]
SPOILERS: dict[str, Spoiler] = {
    "a row ends early": lambda chunk: [chunk[:-1]],
    "the head ends early": lambda chunk: [chunk[:15]],
    "nothing": lambda chunk: [b""],
    "a byte too many": lambda chunk: [chunk + b"\x13"],
    "a byte after the last": lambda chunk: [chunk + b"\xff"],
    "another format": lambda chunk: [b"djv2" + chunk[4:]],
    "no kind": lambda chunk: [chunk[:4] + b"\x08" + chunk[5:]],
    "another kind": lambda chunk: [chunk[:4] + b"\x02" + chunk[5:]],
    "another width": lambda chunk: [chunk[:5] + b"\x1b" + chunk[6:]],
    "one of two": lambda chunk: [chunk[:6] + b"\x01" + chunk[7:]],
    "too many bits": lambda chunk: [chunk[:6] + b"\x20" + chunk[7:]],
    "no such shard": lambda chunk: [chunk[:11] + b"\x01" + chunk[12:]],
    "more rows": lambda chunk: [chunk[:12] + b"\xff\xff\xff\xff" + chunk[16:]],
    "the same again": lambda chunk: [chunk, chunk],
    "two in one": lambda chunk: [chunk + chunk],
    "a row twice": lambda chunk: [chunk[:12] + b"\0\0\0\x29" + chunk[16:] + chunk[-19:]],
    "rows in disorder": lambda chunk: [chunk[:16] + chunk[-19:] + chunk[35:-19] + chunk[16:35]],
    "every other byte": lambda chunk: [memoryview(chunk + chunk)[::2]],
    "words": lambda chunk: [memoryview(chunk).cast("I")],
}


@pytest.mark.parametrize("spoil", SPOILERS)
@pytest.mark.proves("F6", "V3")
def test_a_chunk_that_is_none_changes_nothing(spoil: str) -> None:
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    sender.apply(1, 1, [Record(FactKind.TOKEN, bytes([at]) * 16, NOW) for at in range(40)])
    view.apply(1, 1, [Record(FactKind.KEY, b"k" * 16, NOW)])
    (chunk,) = sender.export().chunks
    with pytest.raises(ValueError, match=r"chunk|shard"):
        view.take(SPOILERS[spoil](chunk), rev=Rev(1, 40))
    assert (len(view), view.as_of) == (1, Rev(1, 1))
    view.take([chunk], rev=Rev(1, 40))
    assert len(view) == 41


@pytest.mark.proves("F6")
def test_few_facts_are_taken_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with tables_beyond(10):
        monkeypatch.setattr(revocation_table, "ROWS_OF_A_SHARD", 10)
        chunks = make_view(40).export().chunks
    assert len(chunks) > 1
    view = RevocationView(TAGGER)
    for wrong in (chunks[1:], chunks[:-1], [*chunks, chunks[0]], [*chunks[1:], chunks[1]]):
        with pytest.raises(ValueError, match="one table"):
            view.take(wrong, rev=Rev(1, 40))
    assert len(view) == 0
    view.take(chunks[::-1], rev=Rev(1, 40))
    assert len(view) == 40


@pytest.mark.parametrize("kind", FactKind)
@pytest.mark.proves("C91", "V3")
def test_a_chunk_is_as_it_is_documented(kind: FactKind) -> None:
    view = RevocationView(TAGGER)
    record = Record(kind, b"0123456789abcdef", STEP * 0x10203 - 1)
    view.apply(7, 5, [record])
    (chunk,) = view.export().chunks
    code = pack_records([record])[:1]
    width, rev = (19, b"") if kind is FactKind.TOKEN else (27, b"\0\x07\0\0\0\0\0\x05")
    head = b"djv1" + code + bytes([width, 0, 0]) + bytes(4) + b"\0\0\0\x01"
    assert chunk == head + record.tag + b"\x01\x02\x03" + rev


@given(st.integers(0, 15 + 19 * 40), st.integers(1, 255), FEWS)
@pytest.mark.proves("F6", "V3")
def test_a_chunk_with_a_wrong_byte_is_refused_or_says_what_stands_there(
    at: int, change: int, few: int
) -> None:
    tags = [bytes([number]) + bytes(14) + bytes([number]) for number in range(40)]
    sender, view = RevocationView(TAGGER), RevocationView(TAGGER)
    sender.apply(1, 1, [Record(FactKind.TOKEN, tag, NOW) for tag in tags])
    (chunk,) = sender.export().chunks
    spoilt = chunk[:at] + bytes([chunk[at] ^ change]) + chunk[at + 1 :]
    with tables_beyond(few):
        try:
            view.take([spoilt], rev=Rev(1, 40))
        except ValueError:
            assert len(view) == 0
            return
    standing = {spoilt[place : place + 16] for place in range(16, len(spoilt), 19)}
    nothing = view.mark(BEGINNING, {})
    for tag in {*tags, *standing}:
        killer = view.find_killer(nothing._replace(token=tag))
        assert killer is (FactKind.TOKEN if tag in standing else None)


@pytest.mark.proves("F18")
def test_settling_that_breaks_off_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    view = make_view(300)
    with tables_beyond(0):
        view.settle()
        view.apply(1, 301, [make_record(fact) for fact in make_facts(301, 400)])
        with monkeypatch.context() as patch:
            patch.setattr(revocation_table, "splice", fail)
            patch.setattr(revocation_table, "merge", fail)
            with pytest.raises(MemoryError):
                view.settle()
        view.apply(1, 401, [make_record(fact) for fact in make_facts(401, 500)])
        assert count_living(view, FactKind.TOKEN, 501) == 1
        view.settle()
    assert len(view) == 500
    assert count_living(view, FactKind.TOKEN, 501) == 1


def make_facts(first: int, last: int) -> list[Fact]:
    """One about token n - 1 at each number n."""
    return [
        Fact(Rev(1, number), FactKind.TOKEN, str(number - 1), NOW, NOW, b"")
        for number in range(first, last + 1)
    ]


def fail(*_: object) -> None:
    raise MemoryError


@pytest.mark.parametrize("kind", [FactKind.TOKEN, FactKind.CLIENT])
@pytest.mark.proves("K6")
def test_what_is_being_settled_is_known(monkeypatch: pytest.MonkeyPatch, kind: FactKind) -> None:
    view = make_view(1, kind=kind)
    found = []

    def look_and_settle(settled: Settled, moving: Facts, *, now: int) -> Settled:
        found.append(find_killer(view, BEGINNING, {CLAIM_OF[kind]: "0"}))
        assert len(view) == 1
        return settle(settled, moving, now=now)

    monkeypatch.setattr(revocations, "settle", look_and_settle)
    view.settle()
    assert found == [kind]
    assert find_killer(view, BEGINNING, {CLAIM_OF[kind]: "0"}) is kind


@pytest.mark.proves("K6", "F18")
def test_readers_miss_nothing_while_facts_are_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MOST_RECENT", 50)
    monkeypatch.setattr(settled_facts, "MOST_FEW", 200)
    monkeypatch.setattr(revocation_table, "ROWS_OF_A_SHARD", 400)
    view = RevocationView(TAGGER)
    tags = [TAGGER.tag(FactKind.TOKEN, str(number)) for number in range(3000)]
    missed: list[int] = []
    applied = 0
    done = Event()

    def read() -> None:
        while not done.is_set():
            last = applied - 1
            missed.extend(
                number
                for number in (last, last // 2, last // 5)
                if last >= 0 and find_killer(view, BEGINNING, {"jti": str(number)}) is None
            )

    readers = [Thread(target=read) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for reader in readers:
            reader.start()
        for number in range(1, len(tags), 3):
            some = tags[number - 1 : number + 2]
            view.apply(1, number, [Record(FactKind.TOKEN, tag, NOW) for tag in some])
            applied = number + 2
            if number % 500 == 1:
                view.forget(NOW)
                view.take(view.export().chunks, rev=view.as_of)
    finally:
        done.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)
    assert not missed
    view.settle()
    assert len(view) == len(tags)


@pytest.mark.proves("F6")
def test_a_snapshot_ends_at_its_position(monkeypatch: pytest.MonkeyPatch) -> None:
    view = RevocationView(TAGGER)
    monkeypatch.setattr(settled_facts, "MOST_FEW", 20)
    applied = Event()

    def write() -> None:
        for fact in make_facts(1, 2000):
            view.apply(1, fact.rev.number, [make_record(fact)])
            if fact.rev.number == 10:
                applied.set()

    writer = Thread(target=write)
    writer.start()
    applied.wait()
    try:
        for _ in range(20):
            position, chunks = view.export()
            follower = RevocationView(TAGGER)
            follower.take(chunks, rev=position)
            assert len(follower) == position.number
            assert find_killer(follower, BEGINNING, {"jti": str(position.number - 1)})
    finally:
        writer.join()


@pytest.mark.proves("F18")
def test_a_forked_child_goes_on_where_its_parent_was() -> None:
    view = make_view(10)
    with view._settling, view._writing:
        child = os.fork()
        if child == 0:
            try:
                view.apply(1, 11, [make_record(fact) for fact in make_facts(11, 12)])
                view.settle()
                os._exit(0 if count_living(view, FactKind.TOKEN, 12) == 0 else 1)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.proves("K6")
def test_every_kind_has_an_identifier_of_its_own() -> None:
    assert CLAIM_OF.keys() == set(FactKind)
    assert len(set(CLAIM_OF.values())) == len(CLAIM_OF)
