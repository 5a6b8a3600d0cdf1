"""Why a store cannot be opened. Each is for the operator; what fails later is `Unavailable`."""

from __future__ import annotations

from pathlib import Path

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev


class BadStoreUrl(ValueError):
    """The address of the store is not one of the forms Dojang knows."""


class StoreInUse(Exception):
    """Another process holds the SQLite database at `path`; `pid` where it is known."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{path} is in use by {holder}; SQLite serves one process at a time")
        self.path = path
        self.pid = pid


class SchemaOutdated(Exception):
    """The database is empty or older than this version; `found` is its revision, if it has one."""

    def __init__(self, *, found: str | None, needed: str) -> None:
        state = f"at revision {found}" if found else "empty"
        super().__init__(f"the database is {state}, {needed} is needed: run dojang migrate")
        self.found = found
        self.needed = needed


class SchemaTooNew(Exception):
    """The database was migrated by a later version of Dojang than this one."""

    def __init__(self, *, found: str, known: str) -> None:
        super().__init__(
            f"the database is at revision {found}, this version knows {known} at most: "
            "run a newer dojang"
        )
        self.found = found
        self.known = known


class WentBack(Unavailable):
    """The database answers less than it answered before, or another history."""

    def __init__(self) -> None:
        super().__init__("the latest state of the database", retry_after=10)

    def __str__(self) -> str:
        return (
            "the database went back in time: it is older than it was before, or has another "
            "history. Nothing is answered from it, as it may have forgotten what was revoked. "
            "Bring back the later one, or make this one safe: dojang restore --in-place"
        )


class AnotherDatabase(Unavailable):
    """The database is another copy than the one that wrote it, and nobody said what then."""

    def __init__(self) -> None:
        super().__init__("the database as it was", retry_after=10)

    def __str__(self) -> str:
        return (
            "the database is another copy than it was: a standby that took over, or a dump loaded "
            "elsewhere. Start a server on it, or run dojang restore --in-place"
        )


class OlderThanWitness(Exception):
    """The database is older than the file at `path` says that it was."""

    def __init__(self, path: Path, *, found: Rev, seen: Rev) -> None:
        super().__init__(
            f"the database is older than it was, or has another history: it ends with fact "
            f"{found.number} of epoch {found.epoch}, and {path} has seen fact {seen.number} of "
            f"epoch {seen.epoch}. What was revoked since may be good again in it. Bring back the "
            "later database, or make this one safe, which revokes every token and every key: "
            "dojang restore --in-place"
        )
        self.path = path
        self.found = found
        self.seen = seen


class BadWitness(Exception):
    """The file at `path`, which says how far the database was, cannot be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}, which says how far the database was, cannot be read. Make it readable; if it "
            "is damaged and the database is the latest, delete it"
        )
        self.path = path


class NotABackup(Exception):
    """The file cannot be put in the database's place."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} cannot be restored: {problem}")
        self.path = path


class MovedAway(Exception):
    """What was in the SQLite database at `path` is in another one now."""

    def __init__(self, path: Path, where: str) -> None:
        super().__init__(
            f"what was in {path} moved to {where}: name that in storage.url. This file is what was "
            "left behind, and nothing is answered from it"
        )
        self.path = path
        self.where = where


class NotMovable(Exception):
    """A database cannot be moved to where it should be; nothing was changed."""
