"""Tables of rows, against a dictionary."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.trust import revocation_table
from dojang.trust.revocation_shards import Image, read_head
from dojang.trust.revocation_table import Table, run_steps

WIDTHS = (19, 27)
CODE = 2

# Rows that overlap with themselves, share buckets and places, or lie at a boundary.
TAGS = st.one_of(
    st.sampled_from([bytes(16), b"\xff" * 16, b"\x80" + bytes(15), b"\x7f" + b"\xff" * 15]),
    st.builds(lambda first: bytes([first]) * 16, st.integers(0, 255)),
    st.builds(
        lambda first, last: bytes([first]) + bytes(14) + last,
        st.integers(0, 255),
        st.binary(min_size=1, max_size=1),
    ),
    st.binary(min_size=16, max_size=16),
)
ENDS = st.one_of(st.sampled_from([b"\0\0\0", b"\xff\xff\xff"]), st.binary(min_size=11, max_size=11))


@pytest.fixture(autouse=True, scope="module")
def _small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(revocation_table, "PAUSE", 0)
        patch.setattr(revocation_table, "ROWS_OF_A_SHARD", 6)
        patch.setattr(revocation_table, "FEW", 2)
        yield


def rows_of(width: int) -> st.SearchStrategy[dict[bytes, bytes]]:
    return st.dictionaries(
        TAGS, ENDS.map(lambda end: end.ljust(11, b"\1")[: width - 16]), max_size=40
    )


def open_table(chunks: Sequence[Image]) -> Table:
    return run_steps(Table.open_in_steps([(read_head(chunk), chunk) for chunk in chunks]))


def join(model: dict[bytes, bytes], added: dict[bytes, bytes]) -> None:
    for tag, end in added.items():
        known = model.get(tag, end)
        model[tag] = max(known[:3], end[:3]) + max(known[3:], end[3:])


def list_rows(model: dict[bytes, bytes]) -> list[bytes]:
    return [tag + end for tag, end in sorted(model.items())]


def check(table: Table, model: dict[bytes, bytes], absent: set[bytes]) -> None:
    assert table.count == len(model)
    for tag, end in model.items():
        assert table.find(tag) == tag + end
    assert not any(table.find(tag) for tag in absent - model.keys())
    assert [row for run in table.list_runs() for row in run] == list_rows(model)


@given(data=st.data(), width=st.sampled_from(WIDTHS), spent=st.binary(min_size=3, max_size=3))
@pytest.mark.proves("K6", "V3")
def test_a_table_says_what_a_dictionary_says(data: st.DataObject, width: int, spent: bytes) -> None:
    model = data.draw(rows_of(width))
    absent = set(data.draw(st.lists(TAGS)))
    table = Table.build(CODE, width, list_rows(model))
    check(table, model, absent)
    for added in data.draw(st.lists(rows_of(width), max_size=3)):
        table.add(list_rows(added))
        join(model, added)
        check(table, model, absent)
        table = table.resize()
        check(table, model, absent)
    chunks = list(table.list_images())
    opened = open_table(chunks[::-1])
    check(opened, model, absent)
    kept = {tag: end for tag, end in model.items() if end[:3] >= spent}
    opened.drop(spent)
    check(opened, kept, absent | model.keys())
    check(opened.resize(), kept, absent | model.keys())
    check(table, model, absent)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.proves("K6", "V3")
def test_the_first_and_the_last_row_there_can_be(width: int) -> None:
    model = {octet * 16: octet * (width - 16) for octet in (b"\0", b"\x7f", b"\x80", b"\xff")}
    near = {b"\0" * 15 + b"\1", b"\xff" * 15 + b"\xfe", b"\x7f" * 15 + b"\x80"}
    table = Table.build(CODE, width, list_rows(model))
    check(table, model, near)
    for at in range(3):  # in more and more shards
        added = {bytes([17 * place + at]) * 16: bytes(width - 16) for place in range(15)}
        table.add(list_rows(added | model))
        join(model, added)
        table = table.resize()
        check(table, model, near)
    assert len(list(table.list_images())) == 8


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.proves("K6", "V3")
def test_what_begins_in_one_row_and_ends_in_the_next_is_no_row(width: int) -> None:
    end = b"\x11" * (width - 16)
    there = b"\x11" * 16
    before = b"\x11" * 12 + b"\x10" + b"\x11" * 3  # with its end: as `there` begins
    after = b"\x11" * 10 + b"\x12" * 6
    absent = {b"\x11" * 15 + b"\x12", b"\x11" * 13 + b"\x10" + b"\x11" * 2}
    model = {before: end, there: end, after: end}
    check(Table.build(CODE, width, list_rows(model)), model, absent)
    del model[there]
    check(Table.build(CODE, width, list_rows(model)), model, absent | {there})


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.proves("K6")
def test_a_row_is_kept_until_its_time_and_in_it(width: int) -> None:
    ends = [bytes([0, 0, time]).ljust(width - 16, b"\1") for time in (1, 2, 3)]
    model = {bytes([place]) * 16: end for place, end in enumerate(ends)}
    table = Table.build(CODE, width, list_rows(model))
    table.drop(b"\0\0\2")
    check(table, {tag: end for tag, end in model.items() if end[2] >= 2}, set(model))


@pytest.mark.proves("V3")
def test_shards_stay_within_their_size() -> None:
    random = Random(1)
    table = Table.build(CODE, 19, [])
    for _ in range(20):
        table.add(sorted(random.randbytes(19) for _ in range(30)))
        table = table.resize()
    sizes = [len(run) for run in table.list_runs()]
    assert sum(sizes) == table.count == 600
    assert len(sizes) == 128  # 600 / 6, and the next power of two
    table.drop(b"\xf0\0\0")
    table = table.resize()
    assert len(list(table.list_runs())) == 8
    assert table.count < 48


@pytest.mark.parametrize("lacking", [0, 3, 7])
@pytest.mark.proves("F6")
def test_a_table_is_opened_whole(lacking: int) -> None:
    random = Random(2)
    rows = sorted(random.randbytes(19) for _ in range(40))
    chunks = list(Table.build(CODE, 19, rows).list_images())
    assert len(chunks) == 8
    assert open_table(chunks).count == 40
    others = [chunk for place, chunk in enumerate(chunks) if place != lacking]
    for wrong in (others, [*chunks, chunks[lacking]], [*others, others[0]], []):
        with pytest.raises(ValueError, match="one table"):
            open_table(wrong)


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.proves("V3", "F6")
def test_a_shard_holds_no_row_of_another(place: int) -> None:
    random = Random(4)
    rows = sorted(random.randbytes(19) for _ in range(40))
    chunks = list(Table.build(CODE, 19, rows).list_images())
    lost = rows[place]
    whole = next(chunk for chunk in chunks if lost in chunk)
    other = chunks[-1 - place]
    runs = [other[at : at + 19] for at in range(16, len(other), 19)]
    head = other[:12] + (len(runs) + 1).to_bytes(4, "big")
    chunks[chunks.index(other)] = b"".join((head, *sorted([*runs, lost])))
    assert whole in chunks
    with pytest.raises(ValueError, match="another"):
        open_table(chunks)


@pytest.mark.proves("K6")
def test_one_shard_tells_how_much_of_a_table_is_spent() -> None:
    random = Random(3)
    rows = sorted(random.randbytes(16) + bytes([0, 0, place % 4]) for place in range(40))
    table = Table.build(CODE, 19, rows)
    shares = [table.share_of_spent(b"\0\0\2", sample=sample) for sample in range(16)]
    assert 0.4 < sum(shares) / len(shares) < 0.6
    assert shares[:8] == shares[8:]
    assert Table.build(CODE, 19, []).share_of_spent(b"\xff\xff\xff", sample=1) == 0
