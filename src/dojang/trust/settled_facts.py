"""Facts that are not new any more: in a dictionary where a kind has few, in a table where it has
many. A snapshot is the shards of all of them.

A fact is one number here: the position, then when it may be forgotten (seconds since 1970), then
the code of its kind. Tables keep that time in steps of 256 s, rounded up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import chain
from mmap import mmap
from typing import Final, NamedTuple, TypeAlias

from dojang.oauth.feed import TAG_BYTES
from dojang.oauth.revocation_fact import FactKind
from dojang.trust.revocation_shards import (
    KEPT,
    KEPT_BYTES,
    REV,
    REV_BYTES,
    Head,
    Image,
    Layout,
    build_image,
    read_head,
    read_rows,
)
from dojang.trust.revocation_table import Table, check_whole, run_steps

Facts: TypeAlias = dict[bytes, int]  # by tag

MOST_FEW: Final = 16_384  # facts of a kind that need no table
MOST_SPENT: Final = 0.125  # of a table's rows
REV_SHIFT: Final = 40

_FORGET_SHIFT: Final = 8
_LAST_TIME: Final = 2**32 - 1
_CODE: Final = 0xFF
_KINDS: Final = dict(enumerate(FactKind, 1))  # codes stand in snapshots: new kinds go last
_CODES: Final = {kind: code for code, kind in _KINDS.items()}
_TOKEN: Final = _CODES[FactKind.TOKEN]
_STEP_BITS: Final = 8
_LAST_STEP: Final = 256**KEPT_BYTES - 1  # of what is kept until then, nothing is forgotten


class Settled(NamedTuple):
    """What is looked up by readers. Of several tables of a kind, all count. The `shared` ones lie
    in memory that other processes have, too; they are left there."""

    few: Facts
    tables: Mapping[FactKind, tuple[Table, ...]]
    shared: Mapping[FactKind, Table]

    @property
    def size(self) -> int:
        """The facts there are; one in several tables counts as often."""
        return len(self.few) + sum(
            table.count for kind in FactKind for table in self.list_tables(kind)
        )

    def list_tables(self, kind: FactKind) -> tuple[Table, ...]:
        """All of a kind."""
        shared = self.shared.get(kind)
        return self.tables.get(kind, ()) + ((shared,) if shared is not None else ())

    def has(self, kind: FactKind) -> bool:
        """Whether there is a fact of this kind."""
        code = _CODES[kind]
        return bool(self.list_tables(kind)) or any(
            fact & _CODE == code for fact in self.few.values()
        )

    def let_go(self) -> Settled:
        """The same, and nothing of it shared: it is settled with the rest from now on."""
        kinds = [*self.tables, *self.shared]
        return Settled(self.few, {kind: self.list_tables(kind) for kind in kinds}, {})

    def merged(self) -> bool:
        """Whether settling would find nothing to merge."""
        return all(len(tables) == 1 for tables in self.tables.values())


def pack_fact(kind: FactKind, rev: int, forget_after: int) -> int:
    """A fact as one number."""
    if not 0 <= forget_after <= _LAST_TIME:
        forget_after = min(max(forget_after, 0), _LAST_TIME)
    return rev << REV_SHIFT | forget_after << _FORGET_SHIFT | _CODES[kind]


def join(one: int, other: int) -> int:
    """Of two facts about one tag, the one that says both: later, remembered longer."""
    times = one & _LAST_TIME << _FORGET_SHIFT, other & _LAST_TIME << _FORGET_SHIFT
    return max(one, other) >> REV_SHIFT << REV_SHIFT | max(times) | one & _CODE


def find_living(facts: Facts, now: int) -> Facts:
    """Those of `facts` that may match a token that is alive at `now`."""
    return {tag: fact for tag, fact in facts.items() if fact >> _FORGET_SHIFT & _LAST_TIME >= now}


def settle(settled: Settled, moving: Facts, *, now: int) -> Settled:
    """`settled` with the facts of `moving` and without many that are spent at `now`.

    Tables are written to as they stand; what is in both meanwhile does no harm. Takes a while, in
    steps of a few milliseconds.
    """
    few: Facts = {}
    many: dict[FactKind, Facts] = {kind: {} for kind in settled.tables}
    for facts in (find_living(settled.few, now), find_living(moving, now)):
        for tag, fact in facts.items():
            into = many.get(_KINDS[fact & _CODE], few)
            known = into.get(tag)
            into[tag] = fact if known is None else join(known, fact)
    for code, count in Counter(fact & _CODE for fact in few.values()).items():
        if count > MOST_FEW:
            many[_KINDS[code]] = {tag: fact for tag, fact in few.items() if fact & _CODE == code}
    tables = {}
    for kind, facts in many.items():
        for tag in facts.keys() & few.keys():
            del few[tag]
        table = _settle_kind(kind, settled.tables.get(kind, ()), facts, now)
        if table.count:
            tables[kind] = (table,)
    return settled._replace(few=few, tables=tables)


def is_burdened(settled: Settled, now: int) -> bool:
    """Whether settling would rid a table of much that is spent at `now`."""
    return any(_is_burdened(table, now) for tables in settled.tables.values() for table in tables)


def open_chunks(chunks: Sequence[Image]) -> Settled:
    """The facts of a snapshot, used where they lie. Raises `ValueError` for what is none."""
    return run_steps(open_in_steps(chunks))


def open_in_steps(chunks: Sequence[Image]) -> Generator[None, None, Settled]:
    """As `open_chunks`, in steps of a few milliseconds."""
    by_code: dict[int, list[tuple[Head, Image]]] = {}
    for chunk in chunks:
        head = read_head(chunk)
        by_code.setdefault(head.layout.code, []).append((head, chunk))
    few: Facts = {}
    tables: dict[FactKind, Table] = {}
    for code, of_kind in by_code.items():
        if code not in _KINDS or {head.layout.width for head, _ in of_kind} != {_find_width(code)}:
            raise ValueError("a chunk holds no known kind of facts")
        if sum(head.rows for head, _ in of_kind) > MOST_FEW:
            tables[_KINDS[code]] = yield from Table.open_in_steps(of_kind)
            continue
        check_whole([head for head, _ in of_kind])
        for head, image in of_kind:
            few.update(_unpack_row(code, row) for row in read_rows(head, image))
    opened = Settled(few, {}, tables)
    return opened if all(isinstance(chunk, mmap) for chunk in chunks) else opened.let_go()


def unite(one: Settled, other: Settled) -> Settled:
    """Both, at once; settling merges the tables later."""
    few = {**one.few, **other.few}
    for tag in one.few.keys() & other.few.keys():
        few[tag] = join(one.few[tag], other.few[tag])
    others = other.let_go().tables
    kinds = [*one.tables, *others]
    tables = {kind: one.tables.get(kind, ()) + others.get(kind, ()) for kind in kinds}
    return Settled(few, tables, one.shared)


def leave_out(settled: Settled, base: Settled) -> Settled:
    """What is settled here alone, without what `base` says."""
    few = {tag: fact for tag, fact in settled.few.items() if not _says(base, tag, fact)}
    tables = {}
    for kind, own in settled.tables.items():
        left = own
        for table in base.list_tables(kind):
            left = tuple(each.leave_out(table) for each in left)
        if any(table.count for table in left):
            tables[kind] = tuple(table for table in left if table.count)
    return Settled(few, tables, {})


def list_chunks(settled: Settled) -> Iterator[bytes]:
    """A snapshot of what is settled and merged."""
    by_code: dict[int, Facts] = {}
    for tag, fact in settled.few.items():
        by_code.setdefault(fact & _CODE, {})[tag] = fact
    for code, facts in sorted(by_code.items()):
        yield build_image(Layout(code, _find_width(code), 0), 0, _build_rows(code, facts))
    for tables in settled.tables.values():
        for table in tables:
            yield from table.list_images()


def _says(settled: Settled, tag: bytes, fact: int) -> bool:
    known = settled.few.get(tag)
    if known is not None:
        return join(known, fact) == known
    code = fact & _CODE
    row = _build_row(code, tag, fact)
    return any(table.says(row) for table in settled.list_tables(_KINDS[code]))


def _settle_kind(kind: FactKind, tables: Sequence[Table], facts: Facts, now: int) -> Table:
    code = _CODES[kind]
    rows = _build_rows(code, facts)
    if not tables:
        return Table.build(code, _find_width(code), rows)
    largest = max(tables, key=lambda table: table.layout.bits)
    for table in tables:
        if table is not largest:
            for run in table.list_runs():
                largest.add(run)
    largest.add(rows)
    if _is_burdened(largest, now):
        largest.drop(_pack_spent(now))
    return largest.resize()


def _is_burdened(table: Table, now: int) -> bool:
    return table.share_of_spent(_pack_spent(now), sample=now) > MOST_SPENT


def _find_width(code: int) -> int:
    return TAG_BYTES + KEPT_BYTES + (REV_BYTES if code != _TOKEN else 0)


def _build_rows(code: int, facts: Facts) -> list[bytes]:
    """In order. Sorted by the first byte, then in small parts: sorting is one long step."""
    parts: list[list[bytes]] = [[] for _ in range(256)]
    for tag, fact in facts.items():
        parts[tag[0]].append(_build_row(code, tag, fact))
    for part in parts:
        part.sort()
    return list(chain.from_iterable(parts))


def _build_row(code: int, tag: bytes, fact: int) -> bytes:
    steps = -(-(fact >> _FORGET_SHIFT & _LAST_TIME) >> _STEP_BITS)
    row = tag + min(steps, _LAST_STEP).to_bytes(KEPT_BYTES, "big")
    return row if code == _TOKEN else row + (fact >> REV_SHIFT).to_bytes(REV_BYTES, "big")


def _unpack_row(code: int, row: bytes) -> tuple[bytes, int]:
    steps = int.from_bytes(row[KEPT], "big")
    forget_after = steps << _STEP_BITS if steps < _LAST_STEP else _LAST_TIME
    rev = int.from_bytes(row[REV], "big")
    return row[:TAG_BYTES], rev << REV_SHIFT | forget_after << _FORGET_SHIFT | code


def _pack_spent(now: int) -> bytes:
    """What is kept until an earlier time is spent at `now`."""
    steps = -(-now >> _STEP_BITS)
    return min(max(steps, 0), _LAST_STEP).to_bytes(KEPT_BYTES, "big")
