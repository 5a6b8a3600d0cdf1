"""Following the audit trail and the record of facts, row by row, to their ends."""

from __future__ import annotations

from typing import Any

from dojang.oauth.revocation_fact import FIRST_DIGEST, digest_fact
from dojang.server.audit import GENESIS, build_record
from dojang.storage.errors import NotMovable
from dojang.storage.records import parse_audit, parse_fact
from dojang.storage.unit import Head


class Chains:
    """Where the rows that were shown so far end. Facts may have been forgotten: between two whose
    numbers do not follow, the digest is taken as it stands."""

    def __init__(self) -> None:
        self._record = 0
        self._record_digest = GENESIS
        self._fact = 0
        self._fact_digest: bytes | None = FIRST_DIGEST

    def follow(self, table: str, row: tuple[Any, ...]) -> None:
        """The next row of `table`, in order. Raises `NotMovable` where it breaks a chain."""
        if table == "audit":
            self._follow_record(row)
        elif table == "facts":
            self._follow_fact(row)

    def _follow_record(self, row: tuple[Any, ...]) -> None:
        record = parse_audit(row)
        self._record += 1
        if build_record(self._record, record.event, self._record_digest) != record:
            raise NotMovable(
                f"the audit trail is broken at record {self._record}: see dojang audit verify"
            )
        self._record_digest = record.digest

    def _follow_fact(self, row: tuple[Any, ...]) -> None:
        fact = parse_fact(row)
        if fact.rev.number != self._fact + 1:
            self._fact_digest = None
        self._fact = fact.rev.number
        if not fact.digest:  # the release before this one wrote it
            return
        if self._fact_digest is not None and digest_fact(fact, self._fact_digest) != fact.digest:
            raise NotMovable(f"fact {self._fact} does not follow from the one before")
        self._fact_digest = fact.digest

    def check_ends(self, head: Head) -> None:
        """Raises `NotMovable` where the rows do not end where `head` does."""
        whole = (self._record, self._record_digest) == (
            head.audit_number,
            head.audit_digest or GENESIS,
        )
        if not whole:
            raise NotMovable("the audit trail does not end where the database says")
        known = self._fact_digest is not None and self._fact == head.number
        if known and self._fact_digest != head.position.digest:
            raise NotMovable("the record of facts does not end where the database says")
