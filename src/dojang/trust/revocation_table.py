"""Many facts in few bytes: sorted rows in shards, looked up where they lie.

A row is a tag and what is kept with it. Rows whose tags begin with the same byte are a shard: its
rows in order behind a directory, which says where the rows of each bucket begin. The image of a
shard is the same in memory, in a file and in a chunk of a snapshot; it is used as it is, by
`find` inside of one bucket, so a look-up costs the same for a thousand rows and ten million.

    image = head (8 bytes) ‖ directory (4 bytes a bucket, and one more) ‖ rows
    head  = row size (1) ‖ bucket bits (1) ‖ first byte of the tags (1) ‖ 0 (1) ‖ rows (4)
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from dojang.oauth.feed import TAG_BYTES

Image: TypeAlias = bytes | mmap

SHARDS: Final = 256
MOST_BUCKET_BITS: Final = 12
ROWS_OF_A_BUCKET: Final = 8
_HEAD: Final = Struct("<BBBxI")
_NUMBER: Final = 4


class Shard(NamedTuple):
    """Where the rows of one shard are in `image`. `directory` counts rows, `shift` makes a bucket
    of the second and third byte of a tag."""

    image: Image
    begins: int
    rows_at: int
    ends: int
    shift: int
    directory: Sequence[int]


class Table:
    """Rows of `width` bytes that never change. Reading it takes no lock. Those of a `shared` one
    are in memory that other processes have too: it is worth leaving them there."""

    __slots__ = ("_shards", "count", "shared", "width")

    def __init__(
        self, width: int, shards: Iterable[tuple[int, Shard]] = (), *, shared: bool = False
    ) -> None:
        """`shards` by the first byte of their tags. Raises `ValueError` for one that stands
        twice."""
        found: list[Shard | None] = [None] * SHARDS
        count = 0
        for place, shard in shards:
            if found[place] is not None:
                raise ValueError("a shard stands twice")
            found[place] = shard
            count += (shard.ends - shard.rows_at) // width
        self._shards = found
        self.width = width
        self.count = count
        self.shared = shared

    def find(self, tag: bytes) -> bytes | None:
        """What is kept with `tag`, or None."""
        shard = self._shards[tag[0]]
        if shard is None:
            return None
        image, _, rows_at, _, shift, directory = shard
        bucket = (tag[1] << 8 | tag[2]) >> shift
        width = self.width
        at = rows_at + width * directory[bucket]
        end = rows_at + width * directory[bucket + 1]
        while (at := image.find(tag, at, end)) >= 0:
            if not (at - rows_at) % width:
                return image[at + TAG_BYTES : at + width]
            at += 1
        return None

    def list_rows(self, place: int) -> list[bytes]:
        """The rows of one shard, in order."""
        shard = self._shards[place]
        if shard is None:
            return []
        image, width = shard.image, self.width
        return [image[at : at + width] for at in range(shard.rows_at, shard.ends, width)]

    def list_images(self) -> Iterator[bytes]:
        """The images of the shards that have rows."""
        for shard in self._shards:
            if shard is not None:
                yield shard.image[shard.begins : shard.ends]


def build_shard(width: int, place: int, rows: Sequence[bytes]) -> Shard:
    """The shard of sorted `rows`, whose tags all begin with the byte `place`."""
    bits = min(MOST_BUCKET_BITS, (len(rows) // ROWS_OF_A_BUCKET).bit_length())
    shift = 16 - bits
    sizes = [0] * (1 << bits)
    for row in rows:
        sizes[(row[1] << 8 | row[2]) >> shift] += 1
    directory = array("I", accumulate(sizes, initial=0))
    if sys.byteorder == "big":
        directory.byteswap()
    head = _HEAD.pack(width, bits, place, len(rows))
    image = b"".join((head, directory.tobytes(), *rows))
    return _open_shard(image, 0, width)[1]


def open_shards(image: Image, width: int) -> Iterator[tuple[int, Shard]]:
    """The shards that stand one after the other in `image`. Raises `ValueError` where they do
    not: what is found is then found inside of it, whatever its bytes are."""
    at = 0
    while at < len(image):
        place, shard = _open_shard(image, at, width)
        yield place, shard
        at = shard.ends


def _open_shard(image: Image, begins: int, width: int) -> tuple[int, Shard]:
    directory_at = begins + _HEAD.size
    if directory_at > len(image):
        raise ValueError("a shard ends within its head")
    said, bits, place, count = _HEAD.unpack_from(image, begins)
    if said != width or bits > MOST_BUCKET_BITS:
        raise ValueError("a shard is of another kind")
    rows_at = directory_at + _NUMBER * ((1 << bits) + 1)
    ends = rows_at + width * count
    if ends > len(image):
        raise ValueError("a shard ends before its rows do")
    directory = _read_directory(image, directory_at, rows_at)
    if directory[0] != 0 or directory[-1] != count or sorted(directory) != list(directory):
        raise ValueError("a directory leads elsewhere")
    return place, Shard(image, begins, rows_at, ends, 16 - bits, directory)


def _read_directory(image: Image, at: int, end: int) -> Sequence[int]:
    if sys.byteorder == "little":
        return memoryview(image)[at:end].cast("I")
    swapped = array("I", image[at:end])
    swapped.byteswap()
    return swapped
