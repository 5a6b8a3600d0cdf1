"""Keys: what there is, rotation, and the end of a key that leaked or is not needed any more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dojang.server.admin.errors import conflict, not_found
from dojang.server.fleet import assess_verifiers
from dojang.server.followers import Follower
from dojang.server.key_plans import KeyNeeded, Line, NoSuchKey, plan_removal, plan_revocation
from dojang.server.key_records import KeyState, find_state
from dojang.server.lifetimes import RETENTION
from dojang.server.model import AuditEvent, KeyRecord, KeyUse
from dojang.server.rotation import rotate

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class ListKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class RotateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key: by what it is for and its algorithm."""

    use: KeyUse = KeyUse.ACCESS_TOKEN
    algorithm: str = "ES256"


class NamedKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key."""

    kid: str


async def list_keys(provider: Provider, actor: str, asked: ListKeys) -> dict[str, Any]:
    """Every key that is remembered, with its state now. Times are seconds since 1970."""
    now = int(provider.clock.now())
    return {"keys": [_describe(record, now) for record in provider.state.keys.records]}


async def rotate_key(provider: Provider, actor: str, asked: RotateKey) -> dict[str, Any]:
    """The standby takes over as soon as every verifier must have it: those that follow the feed
    say so, the others poll the key set. `latest` is when followers are no longer waited for."""
    try:
        key = await rotate(provider, Line(asked.use, asked.algorithm), actor=actor)
    except NoSuchKey as error:
        raise conflict(str(error)) from error
    return {
        "takes_over_at": key.active_from,
        "latest": key.active_by,
        "lacking": describe_lacking(assess_verifiers(provider).find_lacking(key)),
        **await list_keys(provider, actor, ListKeys()),
    }


async def revoke_key(provider: Provider, actor: str, asked: NamedKey) -> dict[str, Any]:
    """End a key and every token it made, at once; the standby signs from now on."""
    now = int(provider.clock.now())
    try:
        changes = await provider.offload(
            partial(plan_revocation, provider.state.keys, asked.kid, now=now)
        )
    except NoSuchKey as error:
        raise not_found("live key", asked.kid) from error
    event = AuditEvent(at=now, actor=actor, action="key.revoke", target=asked.kid)
    position = await provider.store.commit([*changes, event])
    await provider.state.reach_barrier()
    return {
        "kid": asked.kid,
        "rev": list(position.rev),
        **await list_keys(provider, actor, ListKeys()),
    }


async def remove_key(provider: Provider, actor: str, asked: NamedKey) -> dict[str, Any]:
    """Forget a key, its private half included, ahead of the hour at which that happens by itself.
    Refused while a token of it may be alive."""
    now = int(provider.clock.now())
    try:
        changes = plan_removal(provider.state.keys.records, asked.kid, now=now)
    except NoSuchKey as error:
        raise not_found("key", asked.kid) from error
    except KeyNeeded as error:
        raise conflict(_explain(asked.kid, error)) from error
    event = AuditEvent(at=now, actor=actor, action="key.remove", target=asked.kid)
    await provider.store.commit([*changes, event])
    await provider.state.reach_barrier()
    return {"kid": asked.kid, **await list_keys(provider, actor, ListKeys())}


def describe_lacking(followers: Iterable[Follower]) -> list[dict[str, str]]:
    """Followers that hold something up, as operators see them."""
    return [{"client_id": each.client_id, "name": each.name} for each in followers]


def _explain(kid: str, error: KeyNeeded) -> str:
    leaked = "if it leaked, `dojang keys revoke` ends it and its tokens at once"
    if error.state is KeyState.UPCOMING:
        return f"the key {kid} is to sign: it is published so that it can take over; {leaked}"
    if error.until is None:
        return (
            f"the key {kid} signs: tokens of it may live until {RETENTION} seconds after another "
            f"has taken over (`dojang keys rotate`); {leaked}"
        )
    until = datetime.fromtimestamp(error.until, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return (
        f"tokens of the key {kid} may live until {until}; after that it is removed by itself; "
        f"{leaked}"
    )


def _describe(record: KeyRecord, now: int) -> dict[str, Any]:
    return {
        "kid": record.kid,
        "use": record.use,
        "algorithm": record.algorithm,
        "state": find_state(record, now),
        "published_at": record.published_at,
        "active_from": record.active_from,
        "active_until": record.active_until,
        "gone_at": record.gone_at,
        "revoked_at": record.revoked_at,
        "active_by": record.active_by,
    }
