"""A shard: sorted rows about what was revoked, looked up where they lie.

A row is a tag, the time until which it is kept and, for what is not a token, the position of the
latest fact. The rows whose tags begin with the same bits are a shard. Its image is the same in
memory, in a file and in a snapshot, where it is one chunk; it is used as it is, by `find` inside of
one bucket, so that a look-up costs the same for a thousand rows and for ten million. The sieve says
of most tags that they are not there, without a look at the rows.

    image = head (16 bytes) ‖ rows
    head  = "djv1" ‖ code (1) ‖ row size (1) ‖ bits (1) ‖ 0 (1) ‖ first bits (4) ‖ rows (4)
    row   = tag (16) ‖ kept until (3) ‖ position (8, or none)
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate, groupby, islice
from mmap import mmap
from operator import add, lt
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from dojang.oauth.feed import TAG_BYTES

Image: TypeAlias = bytes | memoryview | mmap

KEPT_BYTES: Final = 3
REV_BYTES: Final = 8
KEPT: Final = slice(TAG_BYTES, TAG_BYTES + KEPT_BYTES)
REV: Final = slice(TAG_BYTES + KEPT_BYTES, None)

PREFIX_BITS: Final = 32
MOST_BITS: Final = 15
SIEVE_BITS: Final = 17  # that follow the shard's: 2.7 to 5.3 places a row
BUCKET_BITS: Final = 11  # the first of these: 12 to 24 rows
PLACES_OF_A_BUCKET: Final = SIEVE_BITS - BUCKET_BITS
LAST_BUCKET: Final = (1 << BUCKET_BITS) - 1
LAST_PLACE: Final = (1 << SIEVE_BITS) - 1
LAST_SIEVE_BYTE: Final = LAST_PLACE >> 3
HEAD_BYTES: Final = 16

_MAGIC: Final = b"djv1"
_HEAD: Final = Struct(">4sBBBxII")
_PREFIX: Final = Struct(">I12x")

read_prefix: Final = _PREFIX.unpack  # the first bits of a tag, in a tuple


class Layout(NamedTuple):
    """What the rows of a table are of, their size in bytes, and how many bits tell its shards
    apart."""

    code: int
    width: int
    bits: int

    @property
    def place_shift(self) -> int:
        """Leaves the bits that name a shard and a place in its sieve."""
        return PREFIX_BITS - self.bits - SIEVE_BITS


class Head(NamedTuple):
    """What an image says of itself: it is this shard and has so many rows."""

    layout: Layout
    shard: int
    rows: int


class Shard(NamedTuple):
    """Rows that lie in `image`. `find` is its own; bucket n begins at the byte `starts[n]`. Where
    bit n of `sieve` is not set, no tag has that place."""

    image: Image
    find: Callable[[bytes, int, int], int]
    starts: array[int]
    sieve: bytes


def split(image: Image, width: int) -> list[bytes]:
    """The rows of an image."""
    raw = bytes(image)
    return [raw[at : at + width] for at in range(HEAD_BYTES, len(raw), width)]


def build_image(layout: Layout, index: int, rows: Sequence[bytes]) -> bytes:
    """The image of shard `index`: `rows` that belong there and are in order, each tag once."""
    return b"".join((_build_head(layout, index, len(rows)), *rows))


def build_shard(layout: Layout, index: int, rows: Sequence[bytes]) -> Shard:
    """As `build_image`, ready for look-ups."""
    image = build_image(layout, index, rows)
    return _index(layout, index, image, _read_beginnings(image, layout.width))


def read_head(image: Image) -> Head:
    """What an image says that it holds. Raises `ValueError` for what is none."""
    if isinstance(image, memoryview) and (image.itemsize != 1 or not image.c_contiguous):
        raise ValueError("a chunk is not a row of bytes")
    if len(image) < HEAD_BYTES:
        raise ValueError("a chunk ends within its head")
    magic, code, width, bits, index, count = _HEAD.unpack_from(image)
    if magic != _MAGIC or bits > MOST_BITS or index >> bits:
        raise ValueError("the head of a chunk makes no sense")
    if len(image) != HEAD_BYTES + count * width:
        raise ValueError("a chunk does not end where its rows do")
    return Head(Layout(code, width, bits), index, count)


def read_rows(head: Head, image: Image) -> list[bytes]:
    """The rows of an image, each of them in its place. Raises `ValueError` where one is not."""
    _check_places(head, image, _read_beginnings(image, head.layout.width))
    return split(image, head.layout.width)


def open_shard(head: Head, image: Image) -> Shard:
    """The shard of an image, used where it lies. Raises `ValueError` as `read_rows`."""
    beginnings = _read_beginnings(image, head.layout.width)
    _check_places(head, image, beginnings)
    return _index(head.layout, head.shard, image, beginnings)


def splice(layout: Layout, index: int, shard: Shard, rows: Sequence[bytes]) -> Shard:
    """`shard` with a few `rows` more, which are in order; its own are only moved."""
    image, width, shift = bytes(shard.image), layout.width, layout.place_shift
    sieve = bytearray(shard.sieve)
    grown = [0] * len(shard.starts)
    pieces = []
    taken = HEAD_BYTES
    for row in rows:
        tag = row[:TAG_BYTES]
        place = read_prefix(tag)[0] >> shift & LAST_PLACE
        sieve[place >> 3] |= 1 << (place & 7)
        bucket = place >> PLACES_OF_A_BUCKET
        begin, end = shard.starts[bucket], shard.starts[bucket + 1]
        at = begin + width * bisect_left(
            range(begin, end, width), tag, key=lambda at: image[at : at + TAG_BYTES]
        )
        pieces.append(image[taken:at])
        taken = at
        if at < end and image[at : at + TAG_BYTES] == tag:
            pieces.append(join_rows(row, image[at : at + width]))
            taken += width
        else:
            pieces.append(row)
            grown[bucket + 1] += width
    starts = array("I", map(add, shard.starts, accumulate(grown)))
    head = _build_head(layout, index, (starts[-1] - HEAD_BYTES) // width)
    spliced = b"".join((head, *pieces, image[taken:]))
    return Shard(spliced, spliced.find, starts, bytes(sieve))


def merge(layout: Layout, index: int, shard: Shard, rows: Sequence[bytes]) -> Shard:
    """`shard` with many `rows` more, which are in order; itself where they are its own."""
    old = split(shard.image, layout.width)
    new = set(rows).difference(old)
    if not new:
        return shard
    merged = sorted([*old, *sorted(new)])
    if len({row[:TAG_BYTES] for row in merged}) < len(merged):
        merged = [
            reduce(join_rows, same) for _, same in groupby(merged, lambda row: row[:TAG_BYTES])
        ]
    return build_shard(layout, index, merged)


def join_rows(one: bytes, other: bytes) -> bytes:
    """Of two rows about one tag, the one that says both: kept longer, later."""
    return one[:TAG_BYTES] + max(one[KEPT], other[KEPT]) + max(one[REV], other[REV])


def list_bounds(first: int, shift: int, bits: int) -> list[bytes]:
    """Where the parts begin that follow part `first`: 2 ** `bits` with it, 2 ** `shift` long."""
    return [(first + part << shift).to_bytes(4, "big") for part in range(1, 1 << bits)]


def _build_head(layout: Layout, index: int, count: int) -> bytes:
    return _HEAD.pack(_MAGIC, *layout, index, count)


def _read_beginnings(image: Image, width: int) -> list[int]:
    """The first eight bytes of every tag, as numbers: a few steps for all of them."""
    raw = bytes(image)
    octets = bytearray((len(raw) - HEAD_BYTES) // width * 8)
    for place in range(8):
        octets[place::8] = raw[HEAD_BYTES + place :: width]
    numbers = array("Q", bytes(octets))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tolist()


def _check_places(head: Head, image: Image, beginnings: Sequence[int]) -> None:
    (_, width, bits), index, _ = head
    if not all(map(lt, beginnings, islice(beginnings, 1, None))):  # or two begin alike
        tags = [row[:TAG_BYTES] for row in split(image, width)]
        if not all(map(lt, tags, islice(tags, 1, None))):
            raise ValueError("the rows of a chunk are not in order")
    if any(number >> 64 - bits != index for number in (*beginnings[:1], *beginnings[-1:])):
        raise ValueError("a chunk holds rows of another")


def _index(layout: Layout, index: int, image: Image, beginnings: Sequence[int]) -> Shard:
    _, width, bits = layout
    place_shift = 64 - bits - SIEVE_BITS
    bucket_shift = place_shift + PLACES_OF_A_BUCKET
    rows, row = [], 0
    for bucket in range(index << BUCKET_BITS, (index + 1) << BUCKET_BITS):
        row = bisect_left(beginnings, bucket << bucket_shift, row)
        rows.append(row)
    starts = array("I", [HEAD_BYTES + row * width for row in (*rows, len(beginnings))])
    digits = bytearray(b"0") * (1 << SIEVE_BITS)
    for number in beginnings:
        digits[~(number >> place_shift & LAST_PLACE)] = 49  # "1"
    sieve = int(digits, 2).to_bytes(len(digits) >> 3, "little")
    find = _find_in_view(image) if isinstance(image, memoryview) else image.find
    return Shard(image, find, starts, sieve)


def _find_in_view(image: memoryview) -> Callable[[bytes, int, int], int]:
    def find(tag: bytes, begin: int, end: int) -> int:
        place = bytes(image[begin:end]).find(tag)
        return place if place < 0 else begin + place

    return find
