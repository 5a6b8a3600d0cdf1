"""Units of work on PostgreSQL: one transaction that takes its place at its very end.

Rows change first, each under its version. Then the head row is locked, which puts transactions of
all nodes in the order in which they commit, and facts, events and the head are written at once.
Only that last part is serial: two round trips and a flush to disk, whatever the number of units.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from dojang.server.ports import Conflict, EpochPlan
from dojang.storage import statements
from dojang.storage.postgres_connections import Connection
from dojang.storage.postgres_signals import CHANNEL
from dojang.storage.records import Row, build_audit_row, build_fact_row, parse_key
from dojang.storage.unit import Head, Numbered, Unit, Verb, Write, number_unit, split_changes

APPEND: Final = f"""
WITH new_facts AS (
    INSERT INTO facts ({statements.FACT_COLUMNS})
    SELECT * FROM unnest(
        $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],
        $15::bytea[]
    )
), new_audit AS (
    INSERT INTO audit ({statements.AUDIT_COLUMNS})
    SELECT * FROM unnest(
        $16::bigint[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[],
        $22::text[], $23::bytea[]
    )
)
{statements.WRITE_HEAD}
RETURNING pg_notify('{CHANNEL}', $24)
"""
FOR_SHARE: Final = " FOR SHARE"  # nobody changes it before the commit; others may hold it too
FACT_WIDTH: Final = 7
AUDIT_WIDTH: Final = 8


async def commit_units(
    connection: Connection,
    units: Sequence[Unit],
    *,
    enter: Callable[[Head], Head],
    sender: str,
) -> list[Head]:
    """The head after each of `units`, which are on disk: all of them, or none. `enter` is given
    the head that was found, now locked, and answers the one to go on from. `sender` stands in the
    notice to all nodes.

    Raises `Conflict` after undoing everything; the connection is good afterwards. Any other
    exception leaves the transaction open: the connection must be dropped.
    """
    await connection.execute("BEGIN")
    try:
        await _put_all(connection, units)
        head = enter(Head(*await connection.fetchrow(statements.LOCK_HEAD)))
    except Conflict:
        await connection.execute("ROLLBACK")
        raise
    numbered = _number_units(units, head)
    await connection.execute(APPEND, *_build_parameters(numbered), sender)
    await connection.execute("COMMIT")
    return [each.head for each in numbered]


async def put_records(connection: Connection, unit: Unit) -> None:
    """Put on disk a unit that does not move the head: it waits for no other. Raises as
    `commit_units`."""
    await connection.execute("BEGIN")
    try:
        await _put_all(connection, [unit])
    except Conflict:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def begin_epoch(
    connection: Connection,
    plan: EpochPlan,
    *,
    lost: bool,
    enter: Callable[[Head], Head],
    sender: str,
) -> list[Head]:
    """As `commit_units`, with what `plan` says; `enter` answers the head of the new epoch."""
    keys = [parse_key(row) for row in await connection.fetch(statements.LOAD_KEYS)]
    # It may make keys, which takes a while.
    changes = await asyncio.to_thread(plan, keys, lost=lost)
    return await commit_units(connection, [split_changes(changes)], enter=enter, sender=sender)


def _number_units(units: Sequence[Unit], head: Head) -> list[Numbered]:
    numbered: list[Numbered] = []
    for unit in units:
        numbered.append(number_unit(unit, head))
        head = numbered[-1].head
    return numbered


def _in_lock_order(units: Sequence[Unit]) -> Sequence[Write]:
    """In one order for everybody, so that two transactions never wait for each other."""
    writes = [write for unit in units for write in unit.writes]
    return sorted(writes, key=lambda write: (write.what, write.identifier))


async def _put_all(connection: Connection, units: Sequence[Unit]) -> None:
    for unit in units:
        for kind in unit.clearings:
            await connection.execute(kind.drop_all)
    for write in _in_lock_order(units):
        await _put(connection, write)


async def _put(connection: Connection, write: Write) -> None:
    sql, place = write.statements, (write.identifier, write.replaces)
    if write.verb is Verb.HOLD:
        tags = [await connection.execute(sql.hold + FOR_SHARE, *place)]
    elif write.verb is Verb.DROP:
        tags = [await connection.execute(text, *place) for text in sql.drop]
    elif write.replaces == 0:
        tags = [await connection.execute(sql.insert, *write.row)]
    else:
        tags = [await connection.execute(sql.update, *write.row, write.replaces)]
    if sum(map(count_rows, tags)) != 1:
        raise Conflict(write.what, write.identifier)


def _build_parameters(numbered: Sequence[Numbered]) -> list[Any]:
    facts = [build_fact_row(fact) for each in numbered for fact in each.facts]
    records = [build_audit_row(record) for each in numbered for record in each.records]
    return [*numbered[-1].head, *_turn(facts, FACT_WIDTH), *_turn(records, AUDIT_WIDTH)]


def _turn(rows: Sequence[Row], width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]


def count_rows(done: str) -> int:
    """How many rows a command tag such as "INSERT 0 1" speaks of."""
    return int(done.rpartition(" ")[2])
