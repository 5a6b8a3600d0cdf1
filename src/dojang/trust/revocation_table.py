"""All rows about one kind of thing, in shards.

Only a shard's slot is ever written, in one step: reading takes no lock and never meets half of
anything. There is one writer at a time; it pauses after each shard, so that no other thread stands
still for longer than one takes.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Final, Self, TypeVar

from dojang.oauth.feed import TAG_BYTES
from dojang.trust.revocation_shards import (
    HEAD_BYTES,
    KEPT,
    LAST_BUCKET,
    LAST_SIEVE_BYTE,
    PLACES_OF_A_BUCKET,
    PREFIX_BITS,
    Head,
    Image,
    Layout,
    Shard,
    build_shard,
    join_rows,
    list_bounds,
    merge,
    open_shard,
    read_prefix,
    splice,
    split,
)

T = TypeVar("T")

ROWS_OF_A_SHARD: Final = 49_152  # on average at most, and when built half as many at least
FEW: Final = 8  # rows are spliced into a shard that has as many times more
PAUSE: Final = 0.0002  # seconds: who waits for the interpreter gets it


class Table:
    """Rows in the shards of one `layout`; `count` is their number."""

    __slots__ = ("_place_shift", "_shard_shift", "_shards", "count", "layout", "width")

    def __init__(self, layout: Layout, shards: Sequence[Shard]) -> None:
        """`shards` are 2 ** `layout.bits`."""
        self.layout = layout
        self.width = layout.width
        self._shard_shift = PREFIX_BITS - layout.bits
        self._place_shift = layout.place_shift
        self._shards = list(shards)
        self.count = sum(map(self._count_rows, shards))

    @classmethod
    def build(cls, code: int, width: int, rows: Sequence[bytes]) -> Self:
        """The table of `rows`, which are in order, each tag once."""
        layout = Layout(code, width, _find_bits(len(rows)))
        parts = enumerate(_cut(rows, 0, layout.bits, layout.bits))
        return cls(layout, [build_shard(layout, index, part) for index, part in parts])

    @classmethod
    def open_in_steps(cls, chunks: Sequence[tuple[Head, Image]]) -> Generator[None, None, Self]:
        """The table whose shards are `chunks`: all of them, in any order; a shard a step.

        Raises `ValueError` where they are not, whatever else their bytes may be.
        """
        check_whole([head for head, _ in chunks])
        shards = []
        for head, image in sorted(chunks, key=lambda chunk: chunk[0].shard):
            shards.append(open_shard(head, image))
            yield
        return cls(chunks[0][0].layout, shards)

    def find(self, tag: bytes) -> bytes | None:
        """The row of `tag`, or None."""
        (prefix,) = read_prefix(tag)
        image, find, starts, sieve = self._shards[prefix >> self._shard_shift]
        place = prefix >> self._place_shift
        if not sieve[place >> 3 & LAST_SIEVE_BYTE] >> (place & 7) & 1:
            return None
        bucket = place >> PLACES_OF_A_BUCKET & LAST_BUCKET
        end = starts[bucket + 1]
        at = find(tag, starts[bucket], end)
        while at >= 0:
            if not (at - HEAD_BYTES) % self.width:
                return bytes(image[at : at + self.width])
            at = find(tag, at + 1, end)  # the end of one row and the beginning of the next
        return None

    def add(self, rows: Sequence[bytes]) -> None:
        """Take in `rows`, which are in order, each tag once. Of two rows about one tag, what is
        kept longer and what is later stays."""
        for index, part in enumerate(_cut(rows, 0, self.layout.bits, self.layout.bits)):
            if part:
                shard = self._shards[index]
                few = len(part) * FEW < self._count_rows(shard)
                self._put(index, (splice if few else merge)(self.layout, index, shard, part))

    def drop(self, spent: bytes) -> None:
        """Leave out the rows that are kept until a time before `spent`."""
        for index, shard in enumerate(self._shards):
            rows = split(shard.image, self.width)
            kept = [row for row in rows if row[KEPT] >= spent]
            if len(kept) < len(rows):
                self._put(index, build_shard(self.layout, index, kept))

    def share_of_spent(self, spent: bytes, *, sample: int) -> float:
        """The part of the rows that `drop` would leave out, as in one shard: tags are hashes, so
        one shard is like another. `sample` is any number."""
        rows = split(self._shards[sample % len(self._shards)].image, self.width)
        return sum(row[KEPT] < spent for row in rows) / max(1, len(rows))

    def leave_out(self, base: Table) -> Table:
        """A table of the rows here that say more than `base` does."""
        shards = []
        for index, run in enumerate(self.list_runs()):
            rows = [row for row in run if not base.says(row)]
            shards.append(build_shard(self.layout, index, rows))
        return Table(self.layout, shards)

    def says(self, row: bytes) -> bool:
        """Whether a row here says as much as `row`."""
        own = self.find(row[:TAG_BYTES])
        return own is not None and join_rows(own, row) == own

    def resize(self) -> Table:
        """Itself, or where its shards have become too large or too small, a table of others."""
        code, width, bits = self.layout
        wanted = _find_bits(self.count)
        if wanted in (bits, bits - 1):
            return self
        layout = Layout(code, width, wanted)
        parts = enumerate(self._recut(wanted))
        return Table(layout, [build_shard(layout, index, part) for index, part in parts])

    def list_runs(self) -> Iterator[list[bytes]]:
        """All rows in order, a shard at a time."""
        for shard in self._shards:
            yield split(shard.image, self.width)
            time.sleep(PAUSE)

    def list_images(self) -> Iterator[bytes]:
        """The shards' images, in order; those in memory are not copied."""
        for shard in self._shards:
            yield bytes(shard.image)

    def _recut(self, bits: int) -> Iterator[list[bytes]]:
        finer = bits - self.layout.bits
        runs = self.list_runs()
        if finer < 0:
            for _ in range(1 << bits):
                yield [row for run in islice(runs, 1 << -finer) for row in run]
            return
        for index, run in enumerate(runs):
            yield from _cut(run, index << finer, finer, bits)

    def _put(self, index: int, shard: Shard) -> None:
        self.count += self._count_rows(shard) - self._count_rows(self._shards[index])
        self._shards[index] = shard
        time.sleep(PAUSE)

    def _count_rows(self, shard: Shard) -> int:
        return (len(shard.image) - HEAD_BYTES) // self.width


def run_steps(steps: Generator[None, None, T]) -> T:
    """What `steps` lead to, with a pause after each."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        time.sleep(PAUSE)


def check_whole(heads: Sequence[Head]) -> None:
    """Raises `ValueError` unless `heads` are those of all shards of one table."""
    layouts = {head.layout for head in heads}
    shards = {head.shard for head in heads}
    if len(layouts) != 1 or len(shards) != len(heads) or len(heads) != 1 << layouts.pop().bits:
        raise ValueError("the chunks are not those of one table")


def _find_bits(count: int) -> int:
    return max(0, (count - 1) // ROWS_OF_A_SHARD).bit_length()


def _cut(rows: Sequence[bytes], first: int, finer: int, bits: int) -> Iterator[list[bytes]]:
    """`rows` by shard: those of shard `first` and the following, 2 ** `finer` of 2 ** `bits`."""
    begin = 0
    for bound in list_bounds(first, PREFIX_BITS - bits, finer):
        end = bisect_left(rows, bound, begin)
        yield list(rows[begin:end])
        begin = end
    yield list(rows[begin:])
