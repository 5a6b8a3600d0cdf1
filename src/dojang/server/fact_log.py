"""The latest facts in order, as followers read them: what pages are cut from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from dojang.oauth.feed import Record
from dojang.oauth.revocation_fact import FIRST_DIGEST, Rev

MOST_LOGGED: Final = 100_000
DROPPED_TOGETHER: Final = 1000


_UNKNOWN: Final = b""


class LoggedFact(NamedTuple):
    """A fact in its place; `digest` is that of the record of facts up to it."""

    rev: Rev
    record: Record
    digest: bytes


class FactLog:
    """Facts of one epoch without a gap, up to the last. What is older is in the view alone."""

    def __init__(self) -> None:
        self._facts: list[LoggedFact] = []
        self._before = Rev(0, 0), FIRST_DIGEST

    @property
    def last(self) -> tuple[Rev, bytes]:
        """Where the record of facts ends, and its digest there; empty while that is not known."""
        if self._facts:
            return self._facts[-1].rev, self._facts[-1].digest
        return self._before

    def begin(self, rev: Rev, digest: bytes) -> None:
        """Start over after `rev`, where the record has this digest."""
        self._facts.clear()
        self._before = rev, digest

    def append(self, rev: Rev, record: Record, digest: bytes) -> None:
        """The next fact. After a gap, or in a new epoch, the log begins with it. One that the
        release before this one wrote has an empty digest, and leaves that of the record as it was.
        """
        before, known = self.last
        if rev != (before.epoch, before.number + 1):
            self.begin(rev, digest or _UNKNOWN)
        elif known == _UNKNOWN:
            self.begin(rev, digest)
        else:
            self._facts.append(LoggedFact(rev, record, digest or known))
        if len(self._facts) > MOST_LOGGED + DROPPED_TOGETHER:
            oldest = self._facts[DROPPED_TOGETHER - 1]
            self._before = oldest.rev, oldest.digest
            del self._facts[:DROPPED_TOGETHER]

    def digest_at(self, rev: Rev) -> bytes | None:
        """The digest of the record up to `rev`; None where it is not known here."""
        before, digest = self._before
        if rev == before:
            return digest or None
        place = rev.number - before.number - 1
        if rev.epoch != before.epoch or not 0 <= place < len(self._facts):
            return None
        return self._facts[place].digest

    def find_after(
        self, rev: Rev, digest: bytes, *, most: int = MOST_LOGGED
    ) -> Sequence[LoggedFact] | None:
        """The facts after `rev`, `most` at most; None where this log does not lead on from a record
        that had this digest there: then only a snapshot does."""
        if self.digest_at(rev) != digest:
            return None
        skipped = rev.number - self._before[0].number
        return self._facts[skipped : skipped + most]
