"""What the store holds, kept in memory as of a position.

Every request begins at the barrier: `Ledger.position`, which is never older than any commit
acknowledged before. Where the generation has moved since, what is held is dropped or read again,
after the position was taken; so what is used is never older than the position, and a token that
carries the position's `rev` is killed by every later fact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_bytes
from typing import Final

from dojang.jose.seal import SealKey
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import FIRST_DIGEST, Fact
from dojang.server.access_tokens import TokenReader
from dojang.server.fact_log import FactLog
from dojang.server.feed_witness import Witness
from dojang.server.keyring import KeyRing
from dojang.server.model import Client, Position, Resource
from dojang.server.ports import Store
from dojang.server.repeated_requests import RepeatedRequests
from dojang.trust.revocations import RevocationView

MOST_CLIENTS_HELD: Final = 50_000
FACTS_AT_ONCE: Final = 2000
PAUSE: Final = 0.05  # seconds
NOWHERE: Final = Position(0, 0, -1, FIRST_DIGEST)
BEHIND: Final = "the database (it is older than what its followers have seen; run dojang restore)"


class State:
    """Clients, resources, keys and facts, as of `position`."""

    def __init__(self, store: Store, encryption_key: SealKey, tagger: Tagger) -> None:
        self._store = store
        self._refreshing = asyncio.Lock()
        self._clients: dict[str, Client] = {}
        self.position = NOWHERE
        self.resources: Mapping[str, Resource] = {}
        self.keys = KeyRing(encryption_key)
        self.tokens = TokenReader(self.keys)
        self.revocations = RevocationView(tagger)
        self.facts = FactLog()
        self._tagger = tagger
        self._behind: Witness | None = None
        self._looked_at = NOWHERE
        self._digest_key = token_bytes(32)
        self.repeated = RepeatedRequests(self._digest_key)

    async def reach_barrier(self) -> Position:
        """The position this request is answered at. Raises `Unavailable`."""
        position = await self._store.position()
        if position != self.position:
            async with self._refreshing:
                if self.position.epoch <= position.epoch:
                    await self._refresh(position)
        if self._behind is not None:
            await self._look_again(position)
            self.check_whole()
        return position

    def knows(self, witness: Witness) -> bool:
        """Whether the record of facts is what a witness has seen of it, as far as it is held."""
        end, _ = self.facts.last
        known = self.facts.digest_at(witness.rev)
        return witness.rev <= end and known in (None, witness.digest)

    def stop(self, witness: Witness) -> None:
        """The store has lost what `witness` proves: from now on there is no barrier to reach, until
        it is found there or another epoch has begun."""
        self._behind = witness

    @property
    def is_whole(self) -> bool:
        """False while the store is known to have lost facts."""
        return self._behind is None

    def check_whole(self) -> None:
        """Raises `Unavailable` while the store is known to have lost facts."""
        if self._behind is not None:
            raise Unavailable(BEHIND, retry_after=5)

    async def _look_again(self, position: Position) -> None:
        async with self._refreshing:
            behind = self._behind
            if behind is None or position.rev < behind.rev or position == self._looked_at:
                return
            # What of all that is held was lost, nobody knows: everything is read anew, aside.
            view, log = RevocationView(self._tagger), FactLog()
            await self._load_facts(view, log, position)
            self.revocations, self.facts, self.position = view, log, NOWHERE
            await self._refresh(position)
            self._looked_at = position
            if position.epoch > behind.rev.epoch or log.digest_at(behind.rev) == behind.digest:
                self._behind = None

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
            await self._load_facts(self.revocations, self.facts, position)
        self.position = max(self.position, position)

    async def _load_facts(self, view: RevocationView, log: FactLog, position: Position) -> None:
        """Take later facts into both, some at a time: other requests go on meanwhile."""
        facts = await self._store.load_facts(log.last[0])
        for begins in range(0, len(facts), FACTS_AT_ONCE):
            if begins:
                await asyncio.sleep(PAUSE if view.crowded else 0)
            for run in _split_at_gaps(facts[begins : begins + FACTS_AT_ONCE]):
                records = list(map(self._describe, run))
                epoch, first = run[0].rev
                view.apply(epoch, first, records)
                for fact, record in zip(run, records, strict=True):
                    log.append(fact.rev, record, fact.digest)
        end, digest = log.last
        if end < position.rev:  # the last facts are forgotten already
            log.begin(position.rev, position.digest)
            view.reach(position.rev)
        elif not digest:  # since the last one that had a digest, which is forgotten
            log.begin(end, position.digest)

    def _describe(self, fact: Fact) -> Record:
        """A fact as followers see it."""
        return Record(fact.kind, self._tagger.tag(fact.kind, fact.identifier), fact.forget_after)

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


def _split_at_gaps(facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
    """Facts in order, in runs whose numbers are consecutive: what lies between was forgotten."""
    first = 0
    for place in range(1, len(facts) + 1):
        if place < len(facts):
            epoch, number = facts[place - 1].rev
            if facts[place].rev == (epoch, number + 1):
                continue
        yield facts[first:place]
        first = place
