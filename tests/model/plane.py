"""The real parts, put together so that anything may befall them: a server on a store in memory, a
service with a follower and a hybrid verifier, and between the two a channel that misbehaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

from dojang.fetch import FetchRequest
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed_notices import begin_proofs, build_line, build_notice
from dojang.oauth.feed_questions import parse_question
from dojang.oauth.revocation_fact import Rev
from dojang.resource import (
    Expect,
    FeedStatus,
    Follower,
    Hybrid,
    HybridVerifier,
    Introspection,
    Local,
    Refusal,
    WhenStale,
)
from dojang.server.epochs import plan_failover, plan_restore
from dojang.server.feed_notices import find_facts
from dojang.server.model import KeyRecord, KeyUse
from dojang.server.ports import Change
from dojang.server.provider import Provider
from dojang.storage.memory import MemoryStore
from dojang.testing import Issuer, SettableClock
from dojang.testing.inline import run
from dojang.testing.store import SeverableStore
from dojang.testing.transport import build_inline_routes
from dojang.web.public import build_public_routes
from tests.model.channel import FaultyTransport, WithoutKeySet
from tests.scripted_issuer import Wire

API: Final = "https://api.test"
CLIENTS: Final = ("web", "jobs")
LIFETIME: Final = 600  # seconds that a token is good for
KEY_SETTLED: Final = 10.0  # seconds of patience with the thread that fetches keys


class Plane:
    """A server at `issuer` and a service, whose wall clock may be off by `skew` seconds."""

    def __init__(self) -> None:
        self.issuer: Final = Issuer()
        self.clock: Final = SettableClock(self.issuer.clock.now())  # of the service
        self.loop: Final = asyncio.new_event_loop()
        self.skew = 0.0
        self.noted_epoch = 1  # beside the key-encryption key
        self.issuer.add_client("service")
        self.issuer.add_resource(
            API, ["read"], introspectors=["service"], access_token_lifetime=LIFETIME
        )
        for client in CLIENTS:
            self.issuer.add_client(client, {API: ["read"]})
        self.start_service()

    @property
    def view_key(self) -> bytes:
        """What tags are made with."""
        return self.provider.feed._view_key

    @property
    def proof_key(self) -> bytes | None:
        """What answers to the follower are proven with; None where it has no lease."""
        lease = self.follower.exchange._lease
        return lease and lease.proof_key

    @property
    def provider(self) -> Provider:
        return self.issuer.provider

    # --- the service ----------------------------------------------------------------------------

    def start_service(self) -> None:
        """A new process of the service: it knows nothing."""
        self.feed: FaultyTransport = FaultyTransport(self.issuer.transport)
        credentials = self.issuer.credentials("service")
        self.follower = Follower(
            self.issuer.url,
            credentials=credentials,
            transport=self.feed,
            clock=self.clock,
            by_hand=True,
        )
        asking = Introspection(
            credentials=credentials,
            transport=self.issuer.transport,
            async_transport=self.issuer.async_transport,
            clock=self.clock,
        )
        self.key_set = WithoutKeySet(self.issuer.transport)
        local = Local(transport=self.key_set, clock=self.clock)
        expect = Expect(issuer=self.issuer.url, audience=API, algorithms=["ES256"])
        self.verifier: HybridVerifier = Hybrid(
            introspection=asking, local=local, follow=self.follower
        ).build(expect)

    def poll(self) -> FeedStatus:
        status = self.follower.poll()
        self.wait_for_keys()
        return status

    def ask(self) -> FeedStatus:
        """One question of a follower that takes notices, and may be held."""
        self.follower.ask(Wire(self.feed))
        self.wait_for_keys()
        return self.follower.status()

    def build_lines(self, request: FetchRequest) -> list[bytes]:
        """What the server would tell who asks this, while the question is held."""
        asked = parse_question(dict(parse_qsl(request.body.decode())))
        try:
            run(self.provider.state.reach_barrier())
        except Unavailable:
            return []
        log, proof_key = self.provider.state.facts, self.proof_key
        if asked.heard is None or proof_key is None or log.digest_at(asked.rev) != asked.digest:
            return []
        facts = find_facts(log, Rev(asked.rev.epoch, asked.heard)) or ()
        begun = begin_proofs(proof_key, asked.nonce)
        return [build_line(build_notice(fact.rev, [fact.record]), begun) for fact in facts]

    def wait_for_keys(self) -> None:
        """Until the key set is not being fetched any more: that is done on another thread."""
        keys: Any = self.verifier._keys
        patient_until = time.monotonic() + KEY_SETTLED
        while keys._fetching:
            assert time.monotonic() < patient_until
            time.sleep(0.0005)

    def verify(
        self, token: str, *, bound: float | None = None, when_stale: WhenStale | None = None
    ) -> Refusal | Unavailable | None:
        """What is wrong with a token, as the service sees it; None where it is accepted."""
        try:
            if bound is None:
                self.loop.run_until_complete(self.verifier.verify_async(token))
            else:
                self.verifier.verify(token, staleness=bound, when_stale=when_stale)
        except (Refusal, Unavailable) as refused:
            return refused
        finally:
            self.wait_for_keys()
        return None

    def introspect(self, token: str) -> bool | None:
        """Whether the server says that it is active; None where it says nothing."""
        try:
            answer: bool = self.issuer.introspect(token, audience=API)["active"]
        except Unavailable:
            return None
        return answer

    def close(self) -> None:
        self.loop.close()

    # --- time -----------------------------------------------------------------------------------

    def move(self, seconds: float) -> None:
        self.issuer.clock.move(seconds)
        self.clock.move(seconds)

    def set_clock(self, skew: float) -> None:
        """Put the service's wall clock this far from the server's."""
        before, self.skew = self.skew, skew
        self.clock._now += skew - before

    # --- the server -----------------------------------------------------------------------------

    @property
    def database(self) -> MemoryStore:
        """To be looked at."""
        store = self.provider.store
        assert isinstance(store, SeverableStore)
        assert isinstance(store._store, MemoryStore)
        return store._store

    def sign(self, claims: dict[str, Any]) -> str:
        """With the key that signs access tokens now."""
        keys = self.provider.state.keys.at(int(self.issuer.clock.now()))
        return keys.signers["ES256"].sign(json.dumps(claims).encode())

    def copy_database(self) -> MemoryStore:
        copied = deepcopy(self.database)
        copied._watchers.clear()
        return copied

    def changes_feed_keys(self, database: MemoryStore) -> bool:
        """Whether `database` has other keys of the feed than the present one."""
        before, after = (
            {key.kid for key in run(each.load_keys()) if _signs_pages(key)}
            for each in (self.database, database)
        )
        return before != after

    def find_heirs(self, database: MemoryStore) -> set[str]:
        """The keys that sign next where a standby with this `database` takes over."""
        return {key.kid for key in run(database.load_keys()) if key.active_from is None}

    def may_take_over(self, database: MemoryStore) -> bool:
        """Whether `database` may be a standby's, which lacks the last commits: what it would sign
        with has not been revoked since."""
        same_epoch = database._head.position.epoch == self.database._head.position.epoch
        revoked = {key.kid for key in run(self.database.load_keys()) if key.revoked_at is not None}
        return same_epoch and not self.find_heirs(database) & revoked

    def start_server(self, database: MemoryStore) -> None:
        """A new process of the server, on `database`."""
        key = self.provider.state.keys._encryption_key.secret
        provider = run(
            Provider.start(
                issuer=self.issuer.url,
                store=SeverableStore(database),
                clock=self.issuer.clock,
                key_encryption_key=key,
            )
        )
        provider.feed.close()
        self.issuer.provider = provider  # type: ignore[misc]
        self.issuer._register._provider = provider
        self.issuer.transport._routes = build_inline_routes(build_public_routes(provider))

    def restore(self, database: MemoryStore) -> None:
        """What restoring does to a backup."""
        self._begin_epoch(database, partial(plan_restore, actor="local:root", source="backup.db"))

    def fail_over(self, database: MemoryStore, *, lossless: bool) -> None:
        """What the first node on a standby that takes over does to it."""
        self._begin_epoch(database, partial(plan_failover, lossless=lossless))

    def _begin_epoch(self, database: MemoryStore, plan: Callable[..., list[Change]]) -> None:
        planned = partial(
            plan,
            issuer=self.issuer.url,
            encryption_key=self.provider.state.keys._encryption_key,
            clock=self.issuer.clock,
        )
        self.noted_epoch = run(database.begin_epoch(planned, beyond=self.noted_epoch)).epoch
        self.start_server(database)


def _signs_pages(key: KeyRecord) -> bool:
    return key.use is KeyUse.FEED and key.revoked_at is None
