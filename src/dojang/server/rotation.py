"""Keys that change by themselves: takeovers that wait for the fleet, and the schedule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from dojang.server.fleet import assess_verifiers, meet_followers
from dojang.server.followers import Follower
from dojang.server.key_plans import (
    Line,
    Step,
    Turn,
    find_due,
    find_lines_without_standby,
    find_takeovers,
    plan_rotation,
    plan_standby,
    plan_waiting,
)
from dojang.server.model import AuditEvent, KeyRecord
from dojang.server.ports import Conflict

if TYPE_CHECKING:
    from dojang.server.provider import Provider

SCHEDULER: Final = "dojang"  # who is named in the audit trail
MOST_NAMED: Final = 20  # followers, in a line of the log

_log: Final = logging.getLogger("dojang.keys")


async def tend_keys(provider: Provider) -> None:
    """What is to be done about keys now: to be called about once a second, on the node that leads.

    Raises `Unavailable`; the next call then does it.
    """
    async with provider.changing:
        await provider.state.reach_barrier()
        with suppress(Conflict):  # somebody else was first: the next call looks again
            await _move_takeovers(provider)
            await _keep_schedule(provider)


async def rotate(provider: Provider, line: Line, *, actor: str) -> KeyRecord:
    """Give the standby of `line` its date; the key as it is then.

    Raises `NoSuchKey`, `Conflict` and `Unavailable`.
    """
    now = int(provider.clock.now())
    await meet_followers(provider)
    plan = partial(
        plan_rotation,
        provider.state.keys,
        assess_verifiers(provider),
        line,
        hold_limit=provider.schedule.hold_limit,
        now=now,
    )
    key, changes = await provider.offload(plan)
    event = AuditEvent(at=now, actor=actor, action="key.rotate", target=str(line))
    await provider.store.commit([*changes, event])
    await provider.state.reach_barrier()
    return key


async def _move_takeovers(provider: Provider) -> None:
    if not find_takeovers(provider.state.keys.records):
        return
    now = int(provider.clock.now())
    verifiers = assess_verifiers(provider)
    # One by one: the end of one changes the key that the next one takes over from.
    while steps := plan_waiting(provider.state.keys.records, verifiers, now=now):
        step = steps[0]
        event = AuditEvent(
            at=now, actor=SCHEDULER, action=step.turn, target=step.key.kid, detail=_describe(step)
        )
        await provider.store.commit([*step.changes, event])
        await provider.state.reach_barrier()
        _tell(step)


async def _keep_schedule(provider: Provider) -> None:
    now = int(provider.clock.now())
    ring = provider.state.keys
    for line in find_lines_without_standby(ring.records, now):
        changes = await provider.offload(partial(plan_standby, ring, line, now=now))
        event = AuditEvent(at=now, actor=SCHEDULER, action="key.make", target=str(line))
        await provider.store.commit([*changes, event])
        await provider.state.reach_barrier()
    rotate_after = provider.schedule.rotate_after
    if rotate_after is None:
        return
    for line in find_due(ring.records, rotate_after, now):
        key = await rotate(provider, line, actor=SCHEDULER)
        _log.info("the key %s takes over for %s, which is due", key.kid, line)


def _describe(step: Step) -> dict[str, str]:
    detail = {"active_from": str(step.key.active_from)}
    return {**detail, "lacking": name_followers(step.lacking)} if step.lacking else detail


def _tell(step: Step) -> None:
    kid, lacking = step.key.kid, name_followers(step.lacking)
    if step.turn is Turn.WAITS:
        _log.info("the key %s waits to take over: %s", kid, lacking)
    elif step.turn is Turn.ENDS and step.lacking:
        _log.warning(
            "the key %s took over at its limit although %d followers lack it, which may refuse "
            "good tokens until they fetch the key set: %s",
            kid,
            len(step.lacking),
            lacking,
        )


def name_followers(followers: Sequence[Follower]) -> str:
    """Followers by client and name, of many the first."""
    named = ", ".join(f"{each.client_id} {each.name}" for each in followers[:MOST_NAMED])
    more = len(followers) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
