"""The SQLite database as a file: who holds it, and connections to it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from dojang.storage.errors import StoreInUse

OWNER_ONLY: Final = 0o600
OPENING_PATIENCE: Final = 5.0  # seconds for what another program may be doing with the file


class FileLock:
    """Makes a process the only one at the database, until it ends or lets go.

    The kernel holds the lock, on a file beside the database; a crash releases it.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    @classmethod
    def take(cls, database: Path) -> Self:
        """Raises `StoreInUse` where another process, or this one, holds the database."""
        path = database.with_name(f"{database.name}.lock")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(file, 32, 0).strip()
            os.close(file)
            raise StoreInUse(database, int(holder) if holder.isdigit() else None) from None
        except BaseException:
            os.close(file)
            raise
        return cls(file)

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._file)


def create_file(database: Path) -> None:
    """An empty file that only its owner can read, unless there is one."""
    with suppress(FileExistsError):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))


def connect(database: Path) -> sqlite3.Connection:
    """A connection without implicit transactions; what it commits is on disk.

    Raises `sqlite3.Error`, also where there is no such file.
    """
    connection = sqlite3.connect(
        f"{database.as_uri()}?mode=rw",
        uri=True,
        timeout=OPENING_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA busy_timeout = 0")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
