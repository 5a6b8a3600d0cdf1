"""The audit trail: every event's digest covers the one before it, so that a row taken out or
changed shows. Pure; stores call it inside the commit."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from dojang.server.model import AuditEvent, AuditRecord

GENESIS = bytes(32)
_encode = msgspec.json.Encoder(order="deterministic").encode


def build_record(number: int, event: AuditEvent, previous: bytes) -> AuditRecord:
    """`event` as the `number`-th of the trail, after the record whose digest is `previous`."""
    digest = sha256(previous + number.to_bytes(8) + _encode(event)).digest()
    return AuditRecord(number=number, event=event, digest=digest)


def find_break(records: Iterable[AuditRecord], previous: bytes = GENESIS) -> int | None:
    """The number of the first record that does not follow from the one before; None if all do."""
    expected = None
    for record in records:
        if expected is not None and record.number != expected:
            return record.number
        if build_record(record.number, record.event, previous) != record:
            return record.number
        previous = record.digest
        expected = record.number + 1
    return None
