"""What the store holds, kept in memory as of a position.

Every request begins at the barrier: `Ledger.position`, which is never older than any commit
acknowledged before. Where the generation has moved since, what is held is dropped or read again,
after the position was taken; so what is used is never older than the position, and a token that
carries the position's `rev` is killed by every later fact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from secrets import token_bytes
from typing import Final

from dojang.jose.seal import SealKey
from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import FIRST_DIGEST, Fact, Rev
from dojang.server.access_tokens import TokenReader
from dojang.server.fact_log import FactLog
from dojang.server.keyring import KeyRing
from dojang.server.model import Client, Position, Resource
from dojang.server.ports import Store
from dojang.server.repeated_requests import RepeatedRequests
from dojang.trust.revocations import RevocationView

MOST_CLIENTS_HELD: Final = 50_000
FACTS_AT_ONCE: Final = 2000
BEGINNING: Final = Rev(0, 0)


class State:
    """Clients, resources, keys and facts, as of `position`."""

    def __init__(self, store: Store, encryption_key: SealKey, tagger: Tagger) -> None:
        self._store = store
        self._refreshing = asyncio.Lock()
        self._clients: dict[str, Client] = {}
        self.position = Position(0, 0, -1, FIRST_DIGEST)
        self.resources: Mapping[str, Resource] = {}
        self.keys = KeyRing(encryption_key)
        self.tokens = TokenReader(self.keys)
        self.revocations = RevocationView(tagger)
        self.facts = FactLog()
        self._tagger = tagger
        self._loaded = BEGINNING
        self._digest_key = token_bytes(32)
        self.repeated = RepeatedRequests(self._digest_key)

    async def reach_barrier(self) -> Position:
        """The position this request is answered at. Raises `Unavailable`."""
        position = await self._store.position()
        if position != self.position:
            async with self._refreshing:
                if self.position.epoch <= position.epoch:
                    await self._refresh(position)
        return position

    async def _refresh(self, position: Position) -> None:
        # A new epoch may count from less: a database that went back has other directories.
        if (self.position.epoch, self.position.generation) < (
            position.epoch,
            position.generation,
        ):
            self._clients = {}
            resources = await self._store.list_resources()
            keys = await self._store.load_keys()
            self.keys.load(keys)
            self.resources = {resource.identifier: resource for resource in resources}
            # In one step with what its verdicts rest on: a request that is being checked against
            # what was here before keeps its verdict in the one that is dropped.
            self.repeated = RepeatedRequests(self._digest_key)
        if self.position.rev < position.rev:
            await self._take_facts(await self._store.load_facts(self._loaded), position)
        self.position = max(self.position, position)

    async def _take_facts(self, facts: Sequence[Fact], position: Position) -> None:
        """Into the view and the log, some at a time: other requests go on meanwhile."""
        for begins in range(0, len(facts), FACTS_AT_ONCE):
            if begins:
                await asyncio.sleep(0)
            for fact in facts[begins : begins + FACTS_AT_ONCE]:
                tag = self._tagger.tag(fact.kind, fact.identifier)
                record = Record(fact.kind, tag, fact.forget_after)
                self.revocations.apply(*fact.rev, [record])
                self.facts.append(fact.rev, record, fact.digest)
                self._loaded = fact.rev
        if self._loaded < position.rev:  # the last facts are forgotten already
            self._loaded = position.rev
            self.facts.begin(position.rev, position.digest)
            self.revocations.reach(position.rev)

    async def find_client(self, client_id: str) -> Client | None:
        """The client as of the barrier, or None."""
        held = self._clients
        client = held.get(client_id)
        if client is None:
            client = await self._store.find_client(client_id)
            if client is not None:
                if len(held) >= MOST_CLIENTS_HELD:
                    del held[next(iter(held))]
                held[client_id] = client
        return client
