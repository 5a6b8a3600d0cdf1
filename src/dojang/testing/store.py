"""A store whose connection can be cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Fact, Rev
from dojang.server.followers import Follower
from dojang.server.model import AuditRecord, Client, KeyRecord, Position, Resource
from dojang.server.people import R
from dojang.server.ports import Change, EpochPlan, Store


class SeverableStore:
    """`store`, until `severed` is set: then every call raises `Unavailable`, as it does where a
    database is gone. What is in the store stays."""

    def __init__(self, store: Store) -> None:
        self.severed = False
        self._store = store

    @property
    def _live(self) -> Store:
        if self.severed:
            raise Unavailable("database")
        return self._store

    async def position(self) -> Position:
        return await self._live.position()

    async def commit(self, changes: Sequence[Change]) -> Position:
        return await self._live.commit(changes)

    async def begin_epoch(self, plan: EpochPlan, *, beyond: int = 0) -> Position:
        return await self._live.begin_epoch(plan, beyond=beyond)

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        return await self._live.load_facts(after)

    async def find_client(self, client_id: str) -> Client | None:
        return await self._live.find_client(client_id)

    async def list_clients(self, *, after: str = "", limit: int = 1000) -> Sequence[Client]:
        return await self._live.list_clients(after=after, limit=limit)

    async def list_resources(self) -> Sequence[Resource]:
        return await self._live.list_resources()

    async def find(self, kind: type[R], identifier: str) -> R | None:
        return await self._live.find(kind, identifier)

    async def list_by(
        self, kind: type[R], owner: str, identifier: str, *, after: str = "", limit: int = 1000
    ) -> Sequence[R]:
        return await self._live.list_by(kind, owner, identifier, after=after, limit=limit)

    async def list_all(self, kind: type[R], *, after: str = "", limit: int = 1000) -> Sequence[R]:
        return await self._live.list_all(kind, after=after, limit=limit)

    async def load_keys(self) -> Sequence[KeyRecord]:
        return await self._live.load_keys()

    async def consume_once(self, key: bytes, *, until: int, now: int) -> bool:
        return await self._live.consume_once(key, until=until, now=now)

    def watch(self, changed: Callable[[], None]) -> None:
        self._store.watch(changed)

    async def lead(self) -> bool:
        return await self._live.lead()

    async def save_followers(self, followers: Sequence[Follower]) -> None:
        await self._live.save_followers(followers)

    async def load_followers(self, *, since: float) -> Sequence[Follower]:
        return await self._live.load_followers(since=since)

    async def load_audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        return await self._live.load_audit(after=after, limit=limit)

    async def forget(self, *, now: int) -> None:
        await self._live.forget(now=now)

    async def close(self) -> None:
        await self._live.close()
