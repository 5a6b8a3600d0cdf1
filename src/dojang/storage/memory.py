"""The store contract in memory: for tests and trials. Nothing survives the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Fact, Rev
from dojang.server.followers import Follower
from dojang.server.model import AuditRecord, Client, KeyRecord, Position, Resource
from dojang.server.people import R
from dojang.server.ports import Change, Conflict, EpochPlan
from dojang.storage.record_kinds import KINDS
from dojang.storage.records import check_entry
from dojang.storage.unit import NEW_HEAD, Write, number_unit, split_changes


class MemoryStore:
    """A `Store` that forgets everything at the end of the process."""

    def __init__(self) -> None:
        self._head = NEW_HEAD
        self._rows: dict[tuple[str, str], Any] = {}
        self._facts: list[Fact] = []
        self._audit: list[AuditRecord] = []
        self._entries: dict[bytes, int] = {}
        self._expiries: list[tuple[int, bytes]] = []
        self._closed = False
        self._watchers: list[Callable[[], None]] = []

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("database")

    async def position(self) -> Position:
        self._check_open()
        return self._head.position

    async def commit(self, changes: Sequence[Change]) -> Position:
        self._check_open()
        unit = split_changes(changes)
        staged: dict[tuple[str, str], Any] = {}
        for write in unit.writes:
            self._stage(write, staged)
        numbered = number_unit(unit, self._head)
        for kind in unit.clearings:
            self._rows = {place: row for place, row in self._rows.items() if place[0] != kind.what}
        self._rows.update(staged)
        self._facts.extend(numbered.facts)
        self._audit.extend(numbered.records)
        before, self._head = self._head, numbered.head
        if self._head != before:
            for changed in self._watchers:
                changed()
        return self._head.position

    async def begin_epoch(self, plan: EpochPlan, *, beyond: int = 0) -> Position:
        changes = plan(await self.load_keys(), lost=False)
        before, self._head = self._head, self._head.begin_epoch(beyond=beyond)
        try:
            return await self.commit(changes)
        except BaseException:
            self._head = before
            raise

    def _stage(self, write: Write, staged: dict[tuple[str, str], Any]) -> None:
        place = (write.what, write.identifier)
        held = staged[place] if place in staged else self._rows.get(place)
        if (held.version if held else 0) != write.replaces:
            raise Conflict(write.what, write.identifier)
        staged[place] = write.value

    def _list(self, what: str) -> list[Any]:
        self._check_open()
        found = [(place, row) for place, row in self._rows.items() if place[0] == what and row]
        return [row for _, row in sorted(found, key=lambda entry: entry[0])]

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        self._check_open()
        return [fact for fact in self._facts if fact.rev > after]

    async def find_client(self, client_id: str) -> Client | None:
        self._check_open()
        client: Client | None = self._rows.get(("client", client_id))
        return client

    async def list_clients(self, *, after: str = "", limit: int = 1000) -> Sequence[Client]:
        clients: list[Client] = self._list("client")
        return [client for client in clients if client.client_id > after][:limit]

    async def list_resources(self) -> Sequence[Resource]:
        return self._list("resource")

    async def load_keys(self) -> Sequence[KeyRecord]:
        return self._list("key")

    async def find(self, kind: type[R], identifier: str) -> R | None:
        self._check_open()
        record: R | None = self._rows.get((KINDS[kind].what, identifier))
        return record

    async def list_by(
        self, kind: type[R], owner: str, identifier: str, *, after: str = "", limit: int = 1000
    ) -> Sequence[R]:
        described = KINDS[kind]
        described.list_by[owner]  # as other stores, it knows a kind's owners alone
        records: list[R] = self._list(described.what)
        return [
            record
            for record in records
            if getattr(record, owner) == identifier and described.identify(record) > after
        ][:limit]

    async def list_all(self, kind: type[R], *, after: str = "", limit: int = 1000) -> Sequence[R]:
        described = KINDS[kind]
        records: list[R] = self._list(described.what)
        return [record for record in records if described.identify(record) > after][:limit]

    async def consume_once(self, key: bytes, *, until: int, now: int) -> bool:
        self._check_open()
        check_entry(key)
        self._drop_entries(now)
        if self._entries.get(key, now - 1) >= now:
            return False
        self._entries[key] = until
        heappush(self._expiries, (until, key))
        return True

    def _drop_entries(self, now: int) -> None:
        while self._expiries and self._expiries[0][0] < now:
            until, key = heappop(self._expiries)
            if self._entries.get(key) == until:
                del self._entries[key]

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    async def lead(self) -> bool:
        self._check_open()
        return True

    async def save_followers(self, followers: Sequence[Follower]) -> None:
        """Nobody else is here to be told."""

    async def load_followers(self, *, since: float) -> Sequence[Follower]:
        return ()

    async def load_audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        self._check_open()
        return self._audit[after : after + limit]

    async def forget(self, *, now: int) -> None:
        self._check_open()
        self._facts = [fact for fact in self._facts if fact.forget_after >= now]
        self._rows = {place: row for place, row in self._rows.items() if not _is_over(row, now)}
        self._drop_entries(now)

    async def close(self) -> None:
        self._closed = True


def _is_over(row: object, now: int) -> bool:
    expires_at: int | None = getattr(row, "expires_at", None)
    return expires_at is not None and expires_at < now
