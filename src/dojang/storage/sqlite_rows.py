"""What is written to SQLite inside a transaction, and the head in memory that goes with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from dojang.server.model import Position
from dojang.server.ports import Conflict, EpochPlan
from dojang.storage import statements
from dojang.storage.errors import WentBack
from dojang.storage.going_back import Watermark
from dojang.storage.record_kinds import RecordKind
from dojang.storage.records import Row, build_audit_row, build_fact_row, parse_key
from dojang.storage.statements import for_sqlite
from dojang.storage.unit import Head, Unit, Verb, Write, number_unit, split_changes

INSERT_FACT: Final = for_sqlite(statements.INSERT_FACT)
INSERT_AUDIT: Final = for_sqlite(statements.INSERT_AUDIT)
# It fits only the head that was read: nobody else may have written.
WRITE_HEAD: Final = (
    for_sqlite(statements.WRITE_HEAD)
    + " WHERE epoch = ? AND number = ? AND generation = ? AND audit_number = ?"
)
CONSUME: Final = for_sqlite(statements.CONSUME)
DROP_ENTRIES: Final = for_sqlite(statements.DROP_ENTRIES)
DROP_FACTS: Final = for_sqlite(statements.DROP_FACTS)

DROPPED_BESIDE: Final = 4  # expired replay entries that leave for each one that comes


class RowWriter:
    """The sole writer of the database."""

    def __init__(self, connection: sqlite3.Connection, tell: Callable[[], None]) -> None:
        """`tell` is called when a change of the head is on disk."""
        self._connection = connection
        self._tell = tell
        self._execute = connection.execute
        self._head = self._written = self._read_head()
        self._known = True
        self._seen = Watermark()
        self._seen.note(self._head)
        self._consumed = 0
        self._latest = 0
        self._position = self._head.position

    @property
    def position(self) -> Position:
        """Of the last transaction on disk. Raises `WentBack`."""
        if self._seen.lost is not None:
            raise WentBack
        return self._position

    def _read_head(self) -> Head:
        return Head(*self._execute(statements.READ_HEAD).fetchone())

    def begin(self) -> None:
        """Read the head where a failure left it unknown. Raises `WentBack`."""
        if not self._known:
            head = self._read_head()
            self._seen.check(head, self._seen.head)
            self._head = self._written = head
            self._known = True

    def end(self) -> None:
        """Write the head if it moved, and let expired replay entries go.

        Raises `WentBack` where the head on disk is not the one that was read; what it is shows
        when it is read again."""
        if self._head != self._written:
            fitting = self._execute(WRITE_HEAD, (*self._head, *self._written[:4])).rowcount
            if fitting != 1:
                raise WentBack
        if self._consumed:
            self.drop_entries(self._latest, DROPPED_BESIDE * self._consumed)
            self._consumed = 0

    def settle(self, *, written: bool) -> None:
        """Publish the position on disk."""
        if not written:
            self._known = False
            self._consumed = 0
            with suppress(sqlite3.Error, WentBack):
                self.begin()
        if self._known:
            self._seen.note(self._head)
            self._written = self._head
            before, self._position = self._position, self._head.position
            if self._position != before:
                self._tell()

    def commit(self, unit: Unit) -> Position:
        """Raises `Conflict`; then the savepoint around it is undone, and the head is untouched."""
        return self._commit_after(self._head, unit)

    def begin_epoch(self, plan: EpochPlan, beyond: int) -> Position:
        """As `commit`, with what `plan` says, in a new epoch."""
        keys = [parse_key(row) for row in self._execute(statements.LOAD_KEYS)]
        unit = split_changes(plan(keys, lost=False))
        return self._commit_after(self._head.begin_epoch(beyond=beyond), unit)

    def _commit_after(self, head: Head, unit: Unit) -> Position:
        for kind in unit.clearings:
            self._execute(kind.drop_all)
        for write in unit.writes:
            self._put(write)
        numbered = number_unit(unit, head)
        for fact in numbered.facts:
            self._execute(INSERT_FACT, build_fact_row(fact))
        for record in numbered.records:
            self._execute(INSERT_AUDIT, build_audit_row(record))
        self._head = numbered.head
        return self._head.position

    def _put(self, write: Write) -> None:
        sql, place = write.statements, (write.identifier, write.replaces)
        if write.verb is Verb.HOLD:
            done = len(self._execute(for_sqlite(sql.hold), place).fetchall())
        elif write.verb is Verb.DROP:
            done = sum(self._run(text, place) for text in sql.drop)
        elif write.replaces == 0:
            done = self._run(sql.insert, write.row)
        else:
            done = self._run(sql.update, (*write.row, write.replaces))
        if done != 1:
            raise Conflict(write.what, write.identifier)

    def _run(self, statement: str, parameters: Row) -> int:
        return self._execute(for_sqlite(statement), parameters).rowcount

    def consume(self, key: bytes, until: int, now: int) -> bool:
        """Whether `key` was not spent before."""
        self._consumed += 1
        self._latest = max(self._latest, now)
        return self._execute(CONSUME, (key, until, now)).rowcount == 1

    def drop_entries(self, now: int, most: int) -> int:
        """How many expired replay entries were deleted, `most` at most."""
        return self._execute(DROP_ENTRIES, (now, most)).rowcount

    def drop_facts(self, now: int, most: int) -> int:
        """How many facts past their `forget_after` were deleted, `most` at most."""
        return self._execute(DROP_FACTS, (now, most)).rowcount

    def drop_records(self, kind: RecordKind, now: int, most: int) -> int:
        """How many records past their `expires_at` were deleted, `most` at most."""
        return self._run(kind.drop_expired, (now, most))


def read_revision(connection: sqlite3.Connection) -> str | None:
    """The schema revision of the database, or None where it has no schema."""
    try:
        row = connection.execute(statements.READ_REVISION).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return None  # no such table
    return None if row is None else str(row[0])


def find_new_place(connection: sqlite3.Connection) -> str | None:
    """Where the data of the database moved to; None where it is here."""
    (where,) = connection.execute("SELECT moved_to FROM head").fetchone()
    return None if where is None else str(where)
