"""Who checks what the keys sign, and so how long a new key has to wait for them.

Followers of the feed say which keys they hold. Everybody else polls the key set, and has seen a
key once the age that the set was served with, and what clocks may differ by, have passed. The
feed's own keys come to followers with their leases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from dojang.server.followers import Follower
from dojang.server.lifetimes import FEED_LEASE, JWKS_MAX_AGE, LEEWAY
from dojang.server.model import KeyRecord, KeyUse, Resource, TokenFormat

POLLING: Final = JWKS_MAX_AGE + LEEWAY  # seconds
RENEWAL: Final = FEED_LEASE + LEEWAY


class Verifiers(NamedTuple):
    """The followers that are there now, and the algorithms whose tokens nobody else checks."""

    followers: Sequence[Follower]
    followed: frozenset[str]

    def find_soonest(self, key: KeyRecord, now: int) -> int:
        """When `key` may take over at the soonest, whatever followers say (seconds since 1970)."""
        if key.use is KeyUse.ACCESS_TOKEN and key.algorithm in self.followed:
            return now
        wait = RENEWAL if key.use is KeyUse.FEED else POLLING
        return max(now, key.published_at + wait)

    def find_lacking(self, key: KeyRecord) -> list[Follower]:
        """The followers that do not hold `key`, by client and name. Keys that no follower checks
        tokens with are lacked by nobody."""
        if key.use is not KeyUse.ACCESS_TOKEN:
            return []
        lacking = [each for each in self.followers if key.kid not in each.kids]
        return sorted(lacking, key=lambda each: (each.client_id, each.name))


def find_followed(resources: Iterable[Resource]) -> frozenset[str]:
    """The algorithms of JWTs of which every resource is marked followers-only, one at least."""
    signed = [each for each in resources if each.token_format is TokenFormat.JWT]
    polled = {each.algorithm for each in signed if not each.followers_only}
    return frozenset({each.algorithm for each in signed} - polled)
