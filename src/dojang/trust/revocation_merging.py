"""Tables of revocations made from others, shard by shard: no other thread stands still for long.

What is kept with a tag ends with the minute after which the row may be forgotten; what comes before
that grows with later facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from dojang.oauth.feed import TAG_BYTES
from dojang.trust.revocation_table import SHARDS, Shard, Table, build_shard

MINUTE_BYTES: Final = 3
CHUNK_BYTES: Final = 1_048_576


def merge_tables(
    width: int, tables: Sequence[Table], added: Mapping[int, list[bytes]], spent: bytes
) -> Table:
    """One table of all, with one row a tag: the one of the latest fact. Rows that may be forgotten
    before the minute `spent` are left out."""

    def merge_shard(place: int) -> Iterator[bytes]:
        runs = (*(table.list_rows(place) for table in tables), added.get(place, []))
        last = b""
        for row in sorted(chain.from_iterable(runs)):
            if last and row[:TAG_BYTES] != last[:TAG_BYTES]:
                yield last
            last = row
        if last:
            yield last

    def build() -> Iterator[tuple[int, Shard]]:
        for place in range(SHARDS):
            rows = [row for row in merge_shard(place) if row[-MINUTE_BYTES:] >= spent]
            if rows:
                yield place, build_shard(width, place, rows)

    return Table(width, build())


def leave_out(base: Table, table: Table) -> Table:
    """What is in `table` and not, as late or later, in `base`."""

    def is_known(row: bytes) -> bool:
        kept = base.find(row[:TAG_BYTES])
        return kept is not None and row[TAG_BYTES:-MINUTE_BYTES] <= kept[:-MINUTE_BYTES]

    def build() -> Iterator[tuple[int, Shard]]:
        for place in range(SHARDS):
            rows = [row for row in table.list_rows(place) if not is_known(row)]
            if rows:
                yield place, build_shard(table.width, place, rows)

    return Table(table.width, build())


def join_images(tables: Iterable[Table]) -> Iterator[bytes]:
    """The images of all shards, in chunks of about a megabyte."""
    waiting: list[bytes] = []
    size = 0
    for table in tables:
        for image in table.list_images():
            waiting.append(image)
            size += len(image)
            if size >= CHUNK_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
