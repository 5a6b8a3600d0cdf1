"""What the authorization server needs from a store, with the duties it relies on.

A unit of work is a value: the sequence of changes given to `Ledger.commit`.
One contract suite runs against every store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from dojang.oauth.revocation_fact import Fact, Rev
from dojang.server.followers import Follower
from dojang.server.model import (
    AppendFact,
    AuditEvent,
    AuditRecord,
    Client,
    KeyRecord,
    Position,
    Resource,
)
from dojang.server.people import R, Record


class PutClient(Struct, frozen=True):
    """Version 1 must be new; version n replaces version n - 1. Otherwise `Conflict`."""

    client: Client


class DropClient(Struct, frozen=True):
    """Forget a client. `Conflict` where its version is not the one that is held."""

    client: Client


class PutResource(Struct, frozen=True):
    """As `PutClient`."""

    resource: Resource


class PutKey(Struct, frozen=True):
    """As `PutClient`."""

    key: KeyRecord


class DropKey(Struct, frozen=True):
    """Forget a key that is gone, its private half included. `Conflict` where `version` moved."""

    kid: str
    version: int


class Put(Struct, frozen=True):
    """As `PutClient`, for a record of people."""

    record: Record


class Hold(Struct, frozen=True):
    """Change nothing: `Conflict` where the version of a record is not the one that is held, so that
    what rests on it is not written beside its end."""

    record: Record


class Drop(Struct, frozen=True):
    """Forget a record. `Conflict` where its version is not the one that is held."""

    record: Record


class DropAll(Struct, frozen=True):
    """Forget every record of a kind."""

    kind: type[Record]


Change = (
    PutClient
    | DropClient
    | PutResource
    | PutKey
    | DropKey
    | Put
    | Hold
    | Drop
    | DropAll
    | AppendFact
    | AuditEvent
)


class Conflict(Exception):
    """A precondition of a change did not hold; nothing of its unit of work was written.

    `what` is the kind of thing ("client", "refresh token"), `identifier` which one.
    """

    def __init__(self, what: str, identifier: str) -> None:
        super().__init__(f"{what} {identifier} was changed or added meanwhile")
        self.what = what
        self.identifier = identifier


class EpochPlan(Protocol):
    """What a new epoch begins with."""

    def __call__(self, keys: Sequence[KeyRecord], *, lost: bool) -> Sequence[Change]:
        """`keys` are those of the database that the epoch is of. `lost`: commits that had been
        acknowledged are known to be missing in it."""


class Ledger(Protocol):
    """The order of things."""

    async def position(self) -> Position:
        """Duty: never older than any commit that was acknowledged, on any node, before the call.
        Raises `Unavailable` rather than answer from memory it cannot vouch for."""

    async def commit(self, changes: Sequence[Change]) -> Position:
        """Duty: all or nothing; durable before it returns; facts numbered in commit order without
        gaps; `generation` grows with every change of a client, a resource or a key, and a change of
        records alone does not move the position; the one returned includes these changes.
        Raises `Conflict` or `Unavailable`; after `Unavailable` the outcome is not known."""

    async def begin_epoch(self, plan: EpochPlan, *, beyond: int = 0) -> Position:
        """Begin an epoch that is later than the database's own and than `beyond`, with what `plan`
        says. Duty: as `commit`; numbers go on, and every server reads again what it holds."""

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        """Facts later than `after`, in order. Duty: no committed fact is skipped."""


class Directory(Protocol):
    """Clients and resources. Duty: at least as new as the last `position` answered."""

    async def find_client(self, client_id: str) -> Client | None: ...

    async def list_clients(self, *, after: str = "", limit: int = 1000) -> Sequence[Client]:
        """By client_id, those greater than `after`."""

    async def list_resources(self) -> Sequence[Resource]: ...


class People(Protocol):
    """Records of people. Duty: what is answered includes every commit that was acknowledged before
    the call, on any node."""

    async def find(self, kind: type[R], identifier: str) -> R | None:
        """The record whose key is `identifier`, even where it has expired."""

    async def list_by(
        self, kind: type[R], owner: str, identifier: str, *, after: str = "", limit: int = 1000
    ) -> Sequence[R]:
        """By key, those with a key greater than `after` whose member `owner` ("account_id") is
        `identifier`; each kind says by which it can be asked for (`storage.record_kinds`)."""

    async def list_all(self, kind: type[R], *, after: str = "", limit: int = 1000) -> Sequence[R]:
        """By key, those with a key greater than `after`."""


class KeyStore(Protocol):
    """Keys, as sealed as they were given."""

    async def load_keys(self) -> Sequence[KeyRecord]: ...


class ReplayStore(Protocol):
    """Single use, across all nodes."""

    async def consume_once(self, key: bytes, *, until: int, now: int) -> bool:
        """True for the first caller with `key` (at most 64 bytes) and False for every later one
        until the time `until`. Duty: durable before True, one winner under concurrency, bounded:
        entries with `until` < `now` are deleted. Raises `Unavailable`, never guesses."""


class Signals(Protocol):
    """Hints between nodes, and who does what only one should. Nothing accepted rests on them."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called, in the event loop, soon after any node has committed. It may be
        called for nothing, and a call may be lost: a reader asks for the position all the same."""

    async def lead(self) -> bool:
        """Whether this node is to do the scheduled work now; at most one is, almost always.
        Raises `Unavailable`."""

    async def save_followers(self, followers: Sequence[Follower]) -> None:
        """Tell the other nodes. What is saved may be lost with the database's process."""

    async def load_followers(self, *, since: float) -> Sequence[Follower]:
        """Those of all nodes that were seen after `since` (seconds since 1970)."""


class AuditTrail(Protocol):
    """The hash-chained record; appended to by `Ledger.commit` alone."""

    async def load_audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditRecord]: ...


class Store(Ledger, Directory, People, KeyStore, ReplayStore, AuditTrail, Signals, Protocol):
    """All of it, and its end of life."""

    async def forget(self, *, now: int) -> None:
        """Delete facts whose `forget_after` < `now`, records whose `expires_at` < `now`, and spent
        replay entries. Numbers are never given again."""

    async def close(self) -> None:
        """Finish what was accepted, then release files and connections."""
