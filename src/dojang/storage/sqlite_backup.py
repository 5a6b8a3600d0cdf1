"""An SQLite database as a file that is copied: out of a running server, and back in its place."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from dojang.server.model import Position
from dojang.storage import statements
from dojang.storage.errors import NotABackup
from dojang.storage.sqlite_file import create_file
from dojang.storage.sqlite_rows import read_revision
from dojang.storage.unit import Head

BESIDE: Final = ("-wal", "-shm")  # files that belong to a database that is or was open
PATIENCE: Final = 5.0  # seconds for a server that is at the end of its log


def back_up(database: Path, target: Path) -> None:
    """Copy `database`, as of one moment, into the new file `target`; a server may be at work.

    Raises FileExistsError and OSError, and `sqlite3.Error`.
    """
    if not database.exists():
        raise FileNotFoundError(2, os.strerror(2), str(database))
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _copy(database, target)
    except BaseException:
        target.unlink()
        raise


def stage(backup: Path, database: Path) -> Path:
    """A copy of `backup` beside `database`, to be made safe there. Raises `NotABackup`."""
    staged = database.with_name(f"{database.name}.restoring")
    remove(staged)
    try:
        if not backup.is_file():
            raise FileNotFoundError(2, os.strerror(2), str(backup))
        create_file(staged)
        _copy(backup, staged)
        with closing(sqlite3.connect(staged)) as connection:
            if read_revision(connection) is None:
                raise NotABackup(backup, "it is no database of Dojang")
    except (sqlite3.Error, OSError) as error:
        remove(staged)
        raise NotABackup(backup, str(error)) from error
    except NotABackup:
        remove(staged)
        raise
    return staged


def put_in_place(staged: Path, database: Path) -> Path | None:
    """Make `staged` the database. The one that was there keeps a name beside it, which is the
    answer; None where there was none. Nobody may have it open. Raises OSError."""
    kept = None
    if database.exists():
        kept = _find_free_name(database)
        # Its log goes first: a log that meets another database would be played into it.
        for end in BESIDE:
            with suppress(FileNotFoundError):
                _beside(database, end).rename(_beside(kept, end))
        database.rename(kept)
    staged.replace(database)
    directory = os.open(database.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return kept


def remove(staged: Path) -> None:
    """Delete a staged copy and what lies beside it, where there is any."""
    for end in ("", *BESIDE, ".lock"):
        _beside(staged, end).unlink(missing_ok=True)


def find_position(database: Path) -> Position | None:
    """How far a file is that may be anything; None where that cannot be told."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as connection:
            return Head(*connection.execute(statements.READ_HEAD).fetchone()).position
    except (sqlite3.Error, TypeError):
        return None


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        reading.backup(writing)  # in one step: one moment, and nobody waits for it
        writing.execute("PRAGMA journal_mode = DELETE")  # a single file
        (verdict,) = writing.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def _beside(database: Path, end: str) -> Path:
    return database.with_name(database.name + end)


def _find_free_name(database: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = database.with_name(f"{database.name}.replaced-{stamp}")
    while name.exists():
        name = name.with_name(f"{name.name}+")
    return name
