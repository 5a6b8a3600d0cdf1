"""Keys: what there is, rotation, and the end of a key that leaked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dojang.server.admin.errors import conflict, not_found
from dojang.server.key_records import find_state
from dojang.server.keyring import NoSuchKey
from dojang.server.model import AuditEvent, KeyRecord, KeyUse

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
    """The standby takes over, as soon as everyone who polls the key set must have seen it."""
    now = int(provider.clock.now())
    try:
        at, changes = await provider.offload(
            partial(provider.state.keys.plan_rotation, asked.use, asked.algorithm, now=now)
        )
    except NoSuchKey as error:
        raise conflict(str(error)) from error
    event = AuditEvent(
        at=now, actor=actor, action="key.rotate", target=f"{asked.use} {asked.algorithm}"
    )
    await provider.store.commit([*changes, event])
    await provider.state.reach_barrier()
    return {"takes_over_at": at, **await list_keys(provider, actor, ListKeys())}


async def revoke_key(provider: Provider, actor: str, asked: NamedKey) -> dict[str, Any]:
    """End a key and every token it made, at once; the standby signs from now on."""
    now = int(provider.clock.now())
    try:
        changes = await provider.offload(
            partial(provider.state.keys.plan_revocation, asked.kid, now=now)
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
    }
