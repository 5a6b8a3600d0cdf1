"""The head witness: a small file, kept away from the database, that says how far it was.

It lies beside the key-encryption key, which is backed up apart from the database. Whoever puts an
old database back does not put the witness back with it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from dojang.server.model import Position
from dojang.storage.errors import BadWitness, OlderThanWitness
from dojang.storage.going_back import is_earlier

OWNER_ONLY: Final = 0o600
LARGEST: Final = 4096  # bytes


class _Document(msgspec.Struct, frozen=True):
    epoch: int
    head: int
    generation: int
    digest: bytes


class HeadWitness:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._saved: Position | None = None

    def load(self) -> Position | None:
        """What it says; None where there is none. Raises `BadWitness`."""
        try:
            with self.path.open("rb") as stream:
                found = msgspec.json.decode(stream.read(LARGEST), type=_Document)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise BadWitness(self.path) from error
        return Position(found.epoch, found.head, found.generation, found.digest)

    def check(self, position: Position) -> None:
        """Raises `OlderThanWitness` for a database at `position` that was later, and
        `BadWitness`."""
        seen = self.load()
        if seen is not None and is_earlier(position, seen):
            raise OlderThanWitness(self.path, found=position.rev, seen=seen.rev)

    def save(self, position: Position) -> None:
        """Say that the database is at `position`; all of it or nothing. Raises OSError."""
        if position == self._saved:
            return
        document = msgspec.json.encode(_Document(*position))
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            with os.fdopen(
                os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb"
            ) as stream:
                stream.write(document + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self.path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise
        self._saved = position
