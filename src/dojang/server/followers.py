"""Who follows the feed of this server now: authenticated, leased, counted.

A follower that has been silent for three of its own heartbeats is gone: nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from dojang.oauth.revocation_fact import Rev

MOST_PER_CLIENT: Final = 2048
HEARTBEATS: Final = 3
SHORTEST_LEASE: Final = 5.0  # seconds: a scheduling hiccup is no absence
LATENESS: Final = 15.0  # seconds


class Follower(Struct, frozen=True, kw_only=True):
    """As it last said of itself: how far it has come, and which keys for access tokens it holds.
    `hold` is how long it lets its questions be held (seconds); `seen_at` in seconds since 1970."""

    follower_id: str
    client_id: str
    name: str
    rev: Rev
    kids: tuple[str, ...]
    hold: float
    seen_at: float

    def is_alive(self, now: float) -> bool:
        """Whether its lease lasts at `now`."""
        return now - self.seen_at <= max(SHORTEST_LEASE, HEARTBEATS * self.hold)


class TooManyFollowers(Exception):
    """The client has as many followers as one may have."""


class Followers:
    """The followers of this node and, as last read, of the other nodes (`others`)."""

    def __init__(self) -> None:
        self._here: dict[str, Follower] = {}
        self._per_client: dict[str, int] = {}
        self.others: tuple[Follower, ...] = ()

    def report(self, follower: Follower) -> None:
        """Note what a follower of this node says. Raises `TooManyFollowers` for a new one."""
        if follower.follower_id not in self._here:
            count = self._per_client.get(follower.client_id, 0)
            if count >= MOST_PER_CLIENT:
                raise TooManyFollowers
            self._per_client[follower.client_id] = count + 1
        self._here[follower.follower_id] = follower

    def drop_absent(self, now: float) -> None:
        """Forget those of this node whose lease has ended."""
        for follower in [each for each in self._here.values() if not each.is_alive(now)]:
            del self._here[follower.follower_id]
            self._per_client[follower.client_id] -= 1

    @property
    def here(self) -> Iterable[Follower]:
        """Those of this node, absent ones included until they are dropped."""
        return self._here.values()

    def find_alive(self, now: float) -> list[Follower]:
        """All that are there at `now`, on every node; of one that moved, its latest word.

        What another node says may be late, and by another clock: rather there than not."""
        latest = {each.follower_id: each for each in self.others if each.is_alive(now - LATENESS)}
        for each in self._here.values():
            known = latest.get(each.follower_id)
            if each.is_alive(now) and (known is None or known.seen_at <= each.seen_at):
                latest[each.follower_id] = each
        return list(latest.values())
