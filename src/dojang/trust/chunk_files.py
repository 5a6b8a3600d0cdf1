"""The chunks of snapshots as files: written by one process of a host, mapped by all of them.

A file is complete when it has its name, and is removed and never written to after that: whoever
has mapped it keeps what it mapped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from hashlib import sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

from dojang.fetch import TURN, Flow
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import InvalidFeed

SUFFIX: Final = ".chunk"
MODE: Final = 0o640


class ChunkFiles:
    """The files of `directory`, named by the SHA-256 of what is in them. What was checked by this
    process is not checked again while the snapshot has it."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self._checked: dict[bytes, mmap] = {}

    def load(self, digests: Collection[bytes]) -> Flow[list[mmap]]:
        """The chunks of one snapshot, mapped, one after the other. Raises `Unavailable` and
        `InvalidFeed`."""
        loaded: dict[bytes, mmap] = {}
        for digest in digests:
            loaded[digest] = self._checked.get(digest) or self._open(digest)
            yield TURN
        self._checked = loaded
        return [loaded[digest] for digest in digests]

    def holds(self, digest: bytes) -> bool:
        """Whether there is such a file, and it is what its name says."""
        if digest not in self._checked:
            try:
                self._checked[digest] = self._open(digest)
            except (Unavailable, InvalidFeed):
                return False
        return True

    def store(self, digest: bytes, chunk: bytes) -> None:
        """Write a chunk whose digest was checked. Raises `Unavailable`."""
        path = self._find(digest)
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
            with os.fdopen(file, "wb") as stream:
                os.fchmod(file, MODE)
                stream.write(chunk)
            draft.replace(path)
        except OSError as flaw:
            with suppress(OSError):
                draft.unlink()
            raise Unavailable(f"{self.directory} ({flaw.strerror})") from None

    def keep_only(self, digests: Iterable[bytes]) -> None:
        """Remove every chunk but these, and what a process left that ended while it wrote."""
        kept = {self._find(digest) for digest in digests}
        with suppress(OSError):
            for path in self.directory.iterdir():
                stem, _, kind = path.name.partition(".")
                ours = len(stem) == 64 and (kind == SUFFIX[1:] or kind.isdigit())
                if ours and path not in kept:
                    path.unlink(missing_ok=True)

    def _find(self, digest: bytes) -> Path:
        return self.directory / f"{digest.hex()}{SUFFIX}"

    def _open(self, digest: bytes) -> mmap:
        path = self._find(digest)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as flaw:
            raise Unavailable(f"{path} ({flaw.strerror})") from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise InvalidFeed("a chunk is no file")
            mapped = mmap(file, 0, access=ACCESS_READ)
        except (OSError, ValueError):
            raise InvalidFeed("a chunk cannot be mapped") from None
        finally:
            os.close(file)
        if sha256(mapped).digest() != digest:
            raise InvalidFeed("a chunk has not the digest it is named by")
        return mapped
