"""Where the server stands: its position, who follows, and what a rotation waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dojang.server.admin.keys import describe_lacking
from dojang.server.fleet import assess_verifiers, meet_followers
from dojang.server.followers import Follower
from dojang.server.key_plans import Takeover, find_takeovers
from dojang.server.model import Position
from dojang.server.verifiers import Verifiers

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class ShowStatus(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


async def show_status(provider: Provider, actor: str, asked: ShowStatus) -> dict[str, Any]:
    """Where the server stands, as of the barrier. Times are seconds since 1970."""
    await meet_followers(provider)
    now = int(provider.clock.now())
    position = provider.state.position
    verifiers = assess_verifiers(provider)
    takeovers = [each for each in find_takeovers(provider.state.keys.records) if each.at > now]
    return {
        "issuer": provider.issuer,
        "epoch": position.epoch,
        "head": position.head,
        "facts_held": len(provider.state.revocations),
        "resources": len(provider.state.resources),
        "followers": [_describe_follower(each, position) for each in verifiers.followers],
        "rotations": [_describe_takeover(each, verifiers, now) for each in takeovers],
        "missing": await provider.ready(),
    }


def _describe_follower(follower: Follower, position: Position) -> dict[str, Any]:
    """`lag`: facts that it has not confirmed; None where it is in another epoch."""
    same = follower.rev.epoch == position.epoch
    return {
        "client_id": follower.client_id,
        "name": follower.name,
        "epoch": follower.rev.epoch,
        "head": follower.rev.number,
        "lag": max(position.head - follower.rev.number, 0) if same else None,
        "keys": list(follower.kids),
        "hold": follower.hold,
        "seen_at": follower.seen_at,
    }


def _describe_takeover(takeover: Takeover, verifiers: Verifiers, now: int) -> dict[str, Any]:
    """`soonest`: when the key could take over if no follower lacked it."""
    key, at, by = takeover
    return {
        "kid": key.kid,
        "use": key.use,
        "algorithm": key.algorithm,
        "takes_over_at": at,
        "latest": by,
        "soonest": verifiers.find_soonest(key, now),
        "lacking": describe_lacking(verifiers.find_lacking(key)),
    }
