"""The changes in the life of keys: who takes over when, and what ends. Planned from the ring and
who verifies, for a store to commit; nothing here is written.

One standby (an upcoming key without a date) is always published, so that an emergency can
activate a key that verifiers already hold. A key with a date takes over then by itself, on every
node; while followers lack it, the date is the latest there is (`active_by`), so that nothing has
to run for the wait to last, nor for it to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec.structs import replace

from dojang.oauth.revocation_fact import FactKind
from dojang.server.followers import Follower
from dojang.server.key_records import PUBLISHED, KeyState, find_state
from dojang.server.keyring import KeyRing
from dojang.server.lifetimes import DRAIN, LEEWAY, RETENTION
from dojang.server.model import AppendFact, KeyRecord, KeyUse
from dojang.server.ports import Change, DropKey, PutKey
from dojang.server.verifiers import Verifiers

CLOSE: Final = LEEWAY  # a node whose clock is ahead may act so much before a date


class NoSuchKey(Exception):
    """The ring has no such key, or none in a state that allows what was asked."""


class KeyNeeded(Exception):
    """The key cannot be removed: it signs, is to sign, or tokens of it may be alive until the time
    `until` (seconds since 1970; None: not known yet)."""

    def __init__(self, state: KeyState, until: int | None) -> None:
        super().__init__(f"the key is {state}")
        self.state = state
        self.until = until


class Schedule(NamedTuple):
    """`rotate_after`: how long a key signs before the next takes over, None where only a command
    rotates; `hold_limit`: the longest that a takeover waits for followers. In seconds."""

    rotate_after: int | None = 90 * 86_400
    hold_limit: int = 3600


class Line(NamedTuple):
    """Keys that follow each other."""

    use: KeyUse
    algorithm: str

    def __str__(self) -> str:
        return f"{self.use} {self.algorithm}"


class Takeover(NamedTuple):
    """A key that has a date, `at`, and is not known yet to have taken over; `by` is the latest."""

    key: KeyRecord
    at: int
    by: int


class Turn(StrEnum):
    """What happens to a takeover that has a date."""

    WAITS = "key.wait"  # for followers that lack the key
    MOVES = "key.move"  # as nobody lacks it, or others poll the key set
    ENDS = "key.take_over"  # the key signs


class Step(NamedTuple):
    """A turn of a takeover: the key as it becomes, who lacks it, and the changes."""

    turn: Turn
    key: KeyRecord
    lacking: Sequence[Follower]
    changes: Sequence[Change]


def find_takeovers(records: Iterable[KeyRecord]) -> list[Takeover]:
    """Those that are under way."""
    return [
        Takeover(key, key.active_from, key.active_by)
        for key in records
        if key.active_from is not None and key.active_by is not None and key.revoked_at is None
    ]


def find_due(records: Iterable[KeyRecord], rotate_after: int, now: int) -> list[Line]:
    """The lines whose key has signed for `rotate_after` seconds, and is to sign on."""
    return [
        Line(key.use, key.algorithm)
        for key in records
        if find_state(key, now) is KeyState.ACTIVE
        and key.active_until is None
        and (key.active_from or 0) + rotate_after <= now
    ]


def find_lines_without_standby(records: Iterable[KeyRecord], now: int) -> list[Line]:
    """The lines that have a key that signs and none that could replace it at once."""
    states = [(Line(key.use, key.algorithm), key, find_state(key, now)) for key in records]
    ready = {
        line
        for line, key, state in states
        if state is KeyState.UPCOMING and key.active_from is None
    }
    signing = {line for line, _, state in states if state is KeyState.ACTIVE}
    return sorted(signing - ready)


def plan_rotation(
    ring: KeyRing, verifiers: Verifiers, line: Line, *, hold_limit: int, now: int
) -> tuple[KeyRecord, list[Change]]:
    """The standby as it gets its date, and the changes that say so.

    The date is when everyone who polls the key set must have seen it; where a follower lacks it so
    close to that, the date is `hold_limit` seconds later. Raises `NoSuchKey` where there is no
    active key or no standby, or one is already on its way.
    """
    active = _select(ring.records, line, KeyState.ACTIVE, now)
    if active.active_until is not None:
        raise NoSuchKey(f"a rotation of {line} is under way already")
    standby = _select(ring.records, line, KeyState.UPCOMING, now)
    by = verifiers.find_soonest(standby, now) + hold_limit
    at = _find_date(standby, by, verifiers, verifiers.find_lacking(standby), now)
    dated = _revise(standby, active_from=at, active_by=by)
    new = ring.make(*line, now=now, active_from=None)
    return dated, [_end(active, at), PutKey(dated), PutKey(new)]


def plan_waiting(records: Sequence[KeyRecord], verifiers: Verifiers, *, now: int) -> list[Step]:
    """What the takeovers that have a date do now.

    One that is close, with followers that lack the key, waits until its limit; one that nobody
    lacks any more is as early as those allow who poll the key set.
    """
    steps = []
    for key, at, by in find_takeovers(records):
        lacking = verifiers.find_lacking(key)
        if at <= now:
            ended = _revise(key, active_by=None)
            forced = lacking if at >= by else []
            steps.append(Step(Turn.ENDS, ended, forced, [PutKey(ended)]))
            continue
        date = _find_date(key, by, verifiers, lacking, now)
        if date != at:
            dated = _revise(key, active_from=date)
            turn = Turn.WAITS if lacking and date >= by else Turn.MOVES
            outgoing = [each for each in records if _goes_before(each, key)]
            changes = [PutKey(dated), *(_end(each, date) for each in outgoing)]
            steps.append(Step(turn, dated, lacking, changes))
    return steps


def plan_standby(ring: KeyRing, line: Line, *, now: int) -> list[Change]:
    """The change that gives `line` a standby."""
    return [PutKey(ring.make(*line, now=now, active_from=None))]


def plan_revocation(ring: KeyRing, kid: str, *, now: int) -> list[Change]:
    """The changes that end a key now: a fact that kills what it signed, and the standby in its
    place at once. Raises `NoSuchKey`."""
    records = ring.records
    record = _find(records, kid)
    if find_state(record, now) not in PUBLISHED:
        raise NoSuchKey(f"there is no live key {kid}")
    changes: list[Change] = [
        PutKey(_revise(record, revoked_at=now)),
        AppendFact(kind=FactKind.KEY, identifier=kid, at=now, forget_after=now + DRAIN),
    ]
    siblings = [key for key in records if _is_sibling(key, record)]
    active = [key for key in siblings if find_state(key, now) is KeyState.ACTIVE]
    upcoming = [key for key in siblings if find_state(key, now) is KeyState.UPCOMING]
    upcoming.sort(key=lambda key: key.active_from is None)  # one with a date goes first
    missing: list[int | None] = []
    if not active and upcoming:
        changes.append(PutKey(_revise(upcoming.pop(0), active_from=now, active_by=None)))
    elif not active:
        missing.append(now)
    elif _goes_before(active[0], record):
        changes.append(PutKey(_revise(active[0], active_until=None, gone_at=None)))
    if all(key.active_from is not None for key in upcoming):
        missing.append(None)
    for active_from in missing:
        new = ring.make(record.use, record.algorithm, now=now, active_from=active_from)
        changes.append(PutKey(new))
    return changes


def plan_removal(records: Sequence[KeyRecord], kid: str, *, now: int) -> list[Change]:
    """The changes that forget a key, its private half included.

    Raises `NoSuchKey`, and `KeyNeeded` unless it was revoked or no token of it can be alive.
    """
    record = _find(records, kid)
    state = find_state(record, now)
    if state in PUBLISHED:
        raise KeyNeeded(state, record.gone_at)
    return [DropKey(record.kid, record.version)]


def plan_clearing(records: Iterable[KeyRecord], *, now: int) -> list[Change]:
    """The changes that forget keys, private halves included, once no token of theirs lives."""
    return [
        DropKey(record.kid, record.version)
        for record in records
        if find_state(record, now) is KeyState.GONE
        or (record.revoked_at is not None and record.revoked_at + DRAIN < now)
    ]


def _find_date(
    key: KeyRecord, by: int, verifiers: Verifiers, lacking: Sequence[Follower], now: int
) -> int:
    soonest = verifiers.find_soonest(key, now)
    return max(by, soonest) if lacking and soonest - now <= CLOSE else soonest


def _select(records: Iterable[KeyRecord], line: Line, state: KeyState, now: int) -> KeyRecord:
    for record in records:
        if Line(record.use, record.algorithm) == line and find_state(record, now) is state:
            return record
    raise NoSuchKey(f"there is no {state} key for {line}")


def _find(records: Iterable[KeyRecord], kid: str) -> KeyRecord:
    for record in records:
        if record.kid == kid:
            return record
    raise NoSuchKey(f"there is no key {kid}")


def _is_sibling(key: KeyRecord, of: KeyRecord) -> bool:
    return key.use is of.use and key.algorithm == of.algorithm and key.kid != of.kid


def _goes_before(key: KeyRecord, after: KeyRecord) -> bool:
    """Whether `key` signs until `after` takes over from it."""
    dated = after.active_from is not None and key.active_until == after.active_from
    return dated and _is_sibling(key, after)


def _end(record: KeyRecord, at: int) -> PutKey:
    return PutKey(_revise(record, active_until=at, gone_at=at + RETENTION))


def _revise(record: KeyRecord, **changes: int | None) -> KeyRecord:
    return replace(record, **changes, version=record.version + 1)
