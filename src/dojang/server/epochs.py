"""What a new epoch begins with: an end to what the database may have forgotten to revoke.

A standby that took over may lack the last commits, and a backup lacks everything since it was
made: facts, and the revocation of keys. So every token of the epochs before dies, sessions and
refresh tokens are forgotten, and the keys go that may have made tokens: a fact that is gone may
have said that one of them had leaked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from msgspec.structs import replace

from dojang.clock import Clock
from dojang.jose.seal import SealKey
from dojang.oauth.revocation_fact import FactKind
from dojang.server.key_records import (
    PUBLISHED,
    KeyState,
    find_state,
    load_key,
    make_key,
    make_pair,
)
from dojang.server.lifetimes import DRAIN
from dojang.server.model import AppendFact, AuditEvent, KeyRecord, KeyUse
from dojang.server.people import (
    Code,
    Grant,
    PushedRequest,
    RefreshToken,
    RegistrationToken,
    Session,
)
from dojang.server.ports import Change, DropAll, PutKey

# What outlives a fact must go with what the fact ends: one of them may have been taken back since.
REVOCABLE: Final = (Session, Grant, Code, RefreshToken, PushedRequest, RegistrationToken)


def plan_failover(
    keys: Sequence[KeyRecord],
    *,
    lost: bool,
    issuer: str,
    encryption_key: SealKey,
    clock: Clock,
    lossless: bool,
) -> list[Change]:
    """What a new epoch begins with after a failover (`EpochPlan`): where it was `lossless` and
    nothing shows otherwise, tokens and keys live on.

    The standbys of keys take over, which verifiers hold already. Raises `WrongEncryptionKey`.
    """
    safe = lossless and not lost
    event = AuditEvent(
        at=int(clock.now()),
        actor="dojang",
        action="server.failover",
        target=issuer,
        detail={"tokens": "live on" if safe else "revoked"},
    )
    if safe:
        return [event]
    return _end_everything(keys, issuer, encryption_key, event, fresh_keys=False)


def plan_restore(
    keys: Sequence[KeyRecord],
    *,
    lost: bool,
    issuer: str,
    encryption_key: SealKey,
    clock: Clock,
    actor: str,
    source: str,
) -> list[Change]:
    """What a new epoch begins with after a restore (`EpochPlan`) from `source`, as it is named in
    the audit trail.

    All keys that make tokens are new: in an old backup a standby may be one that was used, and
    leaked, since. Those of the feed stay: followers believe no others that nobody introduced, and
    what they signed must go on bearing witness. Raises `WrongEncryptionKey`.
    """
    event = AuditEvent(
        at=int(clock.now()),
        actor=actor,
        action="server.restore",
        target=issuer,
        detail={"source": source},
    )
    return _end_everything(keys, issuer, encryption_key, event, fresh_keys=True)


def _end_everything(
    keys: Sequence[KeyRecord],
    issuer: str,
    encryption_key: SealKey,
    event: AuditEvent,
    *,
    fresh_keys: bool,
) -> list[Change]:
    for key in keys:
        load_key(key, encryption_key)  # no new keys under a wrong one
    now = event.at
    changes: list[Change] = [
        *(DropAll(kind) for kind in REVOCABLE),
        AppendFact(kind=FactKind.EVERYTHING, identifier=issuer, at=now, forget_after=now + DRAIN),
        event,
    ]
    lines = sorted(keys, key=lambda key: (key.use, key.algorithm, key.published_at))
    for (use, _), line in groupby(lines, key=lambda key: (key.use, key.algorithm)):
        if fresh_keys and use is KeyUse.FEED:
            continue
        changes += _renew(list(line), encryption_key, now=now, fresh_keys=fresh_keys)
    return changes


def _renew(
    line: list[KeyRecord], encryption_key: SealKey, *, now: int, fresh_keys: bool
) -> list[Change]:
    use, algorithm = line[0].use, line[0].algorithm
    standby = None if fresh_keys else _find_standby(line, now)
    changes: list[Change] = []
    for key in line:
        if key is not standby and find_state(key, now) in PUBLISHED:
            changes += [
                PutKey(replace(key, revoked_at=now, version=key.version + 1)),
                AppendFact(kind=FactKind.KEY, identifier=key.kid, at=now, forget_after=now + DRAIN),
            ]
    if standby is None:
        pair = make_pair(use, algorithm, encryption_key, now=now)
        return [*changes, *(PutKey(key) for key in pair)]
    taking_over = replace(
        standby,
        active_from=now,
        active_until=None,
        gone_at=None,
        active_by=None,
        version=standby.version + 1,
    )
    new = make_key(use, algorithm, encryption_key, now=now, active_from=None)
    return [*changes, PutKey(taking_over), PutKey(new)]


def _find_standby(line: list[KeyRecord], now: int) -> KeyRecord | None:
    upcoming = [key for key in line if find_state(key, now) is KeyState.UPCOMING]
    # One with a date is on its way already.
    return min(upcoming, key=lambda key: key.active_from is None, default=None)
