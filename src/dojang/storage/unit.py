"""A unit of work taken apart, and its facts and events put in their places.

Pure: every store does the same, each with its own way to write rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from dojang.oauth.revocation_fact import FIRST_DIGEST, Fact, Rev, digest_fact
from dojang.server.audit import GENESIS, build_record
from dojang.server.model import (
    AppendFact,
    AuditEvent,
    AuditRecord,
    Client,
    KeyRecord,
    KeyUse,
    Position,
    Resource,
)
from dojang.server.people import Record
from dojang.server.ports import (
    Change,
    Drop,
    DropAll,
    DropClient,
    DropKey,
    Hold,
    Put,
    PutClient,
    PutKey,
    PutResource,
)
from dojang.storage import statements
from dojang.storage.record_kinds import KINDS, RecordKind
from dojang.storage.records import (
    Row,
    build_client_row,
    build_key_row,
    build_resource_row,
    check_row,
)
from dojang.storage.statements import Statements

# Apart, because releases before them take every row of `keys` for a key of a use they know.
_KEY_TABLES: Final = {KeyUse.FEED: "feed_keys", KeyUse.ID_TOKEN: "id_token_keys"}
EPOCH_STRIDE: Final = 1_000_000  # changes; more than any failover has lost


class Head(NamedTuple):
    """The one row that orders everything: the position, and the end of the audit trail."""

    epoch: int
    number: int
    generation: int
    audit_number: int
    audit_digest: bytes | None
    fact_digest: bytes | None
    directory: int
    lineage: str | None  # which line of history the database is of, where it says so

    @property
    def position(self) -> Position:
        """The part that the server sees."""
        return Position(self.epoch, self.number, self.directory, self.fact_digest or FIRST_DIGEST)

    def begin_epoch(self, *, beyond: int = 0, lineage: str | None = None) -> Head:
        """The head of a later epoch. Directories count on from where no lost commit has been, so
        that no server takes what it holds for what is there."""
        return self._replace(
            epoch=max(self.epoch, beyond) + 1,
            generation=self.generation + EPOCH_STRIDE,
            directory=self.directory + EPOCH_STRIDE,
            lineage=lineage or self.lineage,
        )


NEW_HEAD = Head(
    epoch=1,
    number=0,
    generation=0,
    audit_number=0,
    audit_digest=None,
    fact_digest=None,
    directory=0,
    lineage=None,
)


class Verb(Enum):
    """What a write does to the row that it names."""

    PUT = auto()
    HOLD = auto()  # nothing: it must be there, and stay until the commit
    DROP = auto()


class Write(NamedTuple):
    """A value that takes the place of its version `replaces` (0: of nothing), or is held or dropped
    in that version. `counted`: servers hold values of its kind, and are told to read them again."""

    what: str
    identifier: str
    replaces: int
    value: Client | Resource | KeyRecord | Record | None  # None where it is gone afterwards
    row: Row
    statements: Statements
    verb: Verb = Verb.PUT
    counted: bool = True


class Unit(NamedTuple):
    """Changes by kind: values with a precondition, kinds of records of which none is kept, and
    what is appended."""

    writes: Sequence[Write]
    clearings: Sequence[RecordKind]
    facts: Sequence[AppendFact]
    events: Sequence[AuditEvent]

    @property
    def only_appends(self) -> bool:
        """Whether it has no precondition, so that nothing but the world can refuse it."""
        return not (self.writes or self.clearings)

    @property
    def moves(self) -> bool:
        """Whether the head is another afterwards: not where it is about records alone."""
        return bool(self.facts or self.events) or self.changes_directory

    @property
    def changes_directory(self) -> bool:
        """Whether servers are to read again what they hold."""
        return any(write.counted for write in self.writes)


class Numbered(NamedTuple):
    """What is appended, in its places, and the head after it."""

    facts: Sequence[Fact]
    records: Sequence[AuditRecord]
    head: Head


def split_changes(changes: Sequence[Change]) -> Unit:
    """`changes` by kind, in the order they were given.

    Raises ValueError where a value holds what no database can.
    """
    writes: list[Write] = []
    clearings: list[RecordKind] = []
    facts: list[AppendFact] = []
    events: list[AuditEvent] = []
    for change in changes:
        match change:
            case AppendFact():
                check_row((change.identifier, change.at, change.forget_after))
                facts.append(change)
            case AuditEvent(at=at, actor=actor, action=action, target=target, outcome=outcome):
                check_row((at, actor, action, target, outcome))
                events.append(change)
            case DropAll(kind):
                clearings.append(KINDS[kind])
            case Put(record):
                writes.append(_build_record_write(Verb.PUT, record))
            case Hold(record):
                writes.append(_build_record_write(Verb.HOLD, record))
            case Drop(record):
                writes.append(_build_record_write(Verb.DROP, record))
            case _:
                writes.append(_build_write(change))
    return Unit(writes, clearings, facts, events)


def _build_write(change: PutClient | DropClient | PutResource | PutKey | DropKey) -> Write:
    match change:
        case PutClient(client):
            row = check_row(build_client_row(client))
            return Write(
                "client",
                client.client_id,
                client.version - 1,
                client,
                row,
                statements.CLIENTS,
            )
        case DropClient(client):
            key, version = client.client_id, client.version
            row = check_row((key,))
            return Write("client", key, version, None, row, statements.CLIENTS, Verb.DROP)
        case PutResource(resource):
            row = check_row(build_resource_row(resource))
            identifier, before = resource.identifier, resource.version - 1
            return Write("resource", identifier, before, resource, row, statements.RESOURCES)
        case PutKey(key):
            row = check_row(build_key_row(key))
            table = statements.KEYS[_KEY_TABLES.get(key.use, "keys")]
            return Write("key", key.kid, key.version - 1, key, row, table)
        case DropKey(kid, version):
            table = statements.KEYS["keys"]
            return Write("key", kid, version, None, check_row((kid,)), table, Verb.DROP)


def _build_record_write(verb: Verb, record: Record) -> Write:
    kind = KINDS[type(record)]
    return Write(
        verb=verb,
        what=kind.what,
        identifier=kind.identify(record),
        replaces=record.version - 1 if verb is Verb.PUT else record.version,
        value=None if verb is Verb.DROP else record,
        row=check_row(kind.build_row(record)),
        statements=kind.statements,
        counted=False,
    )


def number_unit(unit: Unit, head: Head) -> Numbered:
    """What `unit` appends after `head`: facts without gaps, events on the chain."""
    facts: list[Fact] = []
    fact_digest = head.fact_digest or FIRST_DIGEST
    for number, asked in enumerate(unit.facts, head.number + 1):
        rev = Rev(head.epoch, number)
        fact = Fact(rev, asked.kind, asked.identifier, asked.at, asked.forget_after, b"")
        fact_digest = digest_fact(fact, fact_digest)
        facts.append(fact._replace(digest=fact_digest))
    digest = head.audit_digest
    records = []
    for number, event in enumerate(unit.events, head.audit_number + 1):
        record = build_record(number, event, digest or GENESIS)
        digest = record.digest
        records.append(record)
    after = Head(
        epoch=head.epoch,
        number=head.number + len(facts),
        # What only adds to the audit trail makes no server read again what it holds. Servers of
        # the release before this one go by `generation` alone.
        generation=head.generation + bool(unit.changes_directory or unit.facts),
        audit_number=head.audit_number + len(records),
        audit_digest=digest,
        fact_digest=fact_digest if facts else head.fact_digest,
        directory=head.directory + unit.changes_directory,
        lineage=head.lineage,
    )
    return Numbered(facts, records, after)
