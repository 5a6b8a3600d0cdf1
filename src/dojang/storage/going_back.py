"""How far a database was seen to be, so that one that went back in time is noticed.

A backup put in its place, a standby without the last commits, a snapshot of its disk: all of them
have forgotten something, and what they answer might revive what was revoked.
"""

from __future__ import annotations

from dojang.server.model import Position
from dojang.storage.errors import WentBack
from dojang.storage.unit import NEW_HEAD, Head


def is_earlier(found: Position, before: Position) -> bool:
    """Whether a database at `found` cannot have been at `before`, or is of another history."""
    if found.epoch != before.epoch:
        return found.epoch < before.epoch
    return (
        found.head < before.head
        or found.generation < before.generation
        or (found.head == before.head and found.digest != before.digest)
    )


def is_behind(found: Head, before: Head) -> bool:
    """As `is_earlier`, with an eye on the audit trail too."""
    if found.epoch == before.epoch and (
        found.audit_number < before.audit_number
        or (found.audit_number == before.audit_number and found.audit_digest != before.audit_digest)
    ):
        return True
    return is_earlier(found.position, before.position)


class Watermark:
    """The furthest that the database was seen to be, in `head`.

    One that went back is not trusted again because it has grown past that: `lost` is where it was,
    until it proves that it was there, or a new epoch begins.
    """

    def __init__(self) -> None:
        self.head = NEW_HEAD._replace(epoch=0)
        self.lost: Head | None = None

    def check(self, found: Head, before: Head) -> None:
        """Raises `WentBack` for a database at `found` that had been at `before`."""
        if is_behind(found, before):
            self.lost = max(self.lost or before, before, key=_find_place)
            raise WentBack
        if self.lost is not None:
            if found.epoch == self.lost.epoch:
                raise WentBack
            self.lost = None
        self.note(found)

    def note(self, head: Head) -> None:
        """The database was at `head`."""
        self.head = max(self.head, head, key=_find_place)

    def prove(self, found: Head, fact_digest: bytes | None, audit_digest: bytes | None) -> None:
        """A database at `found` has these digests where `lost` was the end of its records."""
        lost = self.lost
        if lost is None or is_behind(found, lost):
            return
        same_facts = found.number == lost.number or fact_digest == lost.position.digest
        same_trail = found.audit_number == lost.audit_number or audit_digest == lost.audit_digest
        if same_facts and same_trail:
            self.lost = None


def _find_place(head: Head) -> tuple[int, ...]:
    return (head.epoch, head.number, head.generation, head.directory, head.audit_number)
