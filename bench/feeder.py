"""An authorization server whose feed is full of facts and to which more come all the time.

`python -m bench.feeder FACTS RATE` is Dojang over a store in memory, filled with FACTS facts before
it listens; then RATE facts are committed each second, ten at a time. It says where it listens, and
the secret of the client that may follow, as one line of JSON. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from secrets import token_bytes

from bench.tokens import AUDIENCE, ISSUER
from dojang.clock import SYSTEM_CLOCK
from dojang.oauth.revocation_fact import Fact, FactKind, Rev
from dojang.server.config import TcpAddress
from dojang.server.model import AppendFact, Client, Resource, SecretHash
from dojang.server.ports import PutClient, PutResource
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.trust.client_auth import generate_secret, hash_secret
from dojang.web.public import build_public_routes
from dojang.web.service import Service
from dojang.web.serving import Listener, Server

FOLLOWER = "orders"
TOGETHER = 10
LIFE = 6 * 3600  # seconds until a fact is forgotten


class LongMemory(MemoryStore):
    """Finds its latest facts without looking at all of them."""

    async def load_facts(self, after: Rev) -> Sequence[Fact]:
        return self._facts[bisect_right(self._facts, after, key=lambda fact: fact.rev) :]


def build_facts(count: int) -> list[AppendFact]:
    """Of a hundred, one is about a client, nine about a session, the others about one token."""
    now = int(time.time())
    kinds = [FactKind.CLIENT, *[FactKind.SESSION] * 9, *[FactKind.TOKEN] * 90]
    return [
        AppendFact(
            kind=kinds[number % 100],
            identifier=uuid.uuid4().hex,
            at=now,
            forget_after=now + LIFE,
        )
        for number in range(count)
    ]


async def open_provider(facts: int) -> tuple[Provider, str]:
    """The server, with its facts, and the secret of the client that may follow it."""
    store, key, secret = LongMemory(), token_bytes(32), generate_secret()
    await initialise(issuer=ISSUER, store=store, clock=SYSTEM_CLOCK, key_encryption_key=key)
    hashed = SecretHash(digest=hash_secret(secret))
    follower = Client(client_id=FOLLOWER, name=FOLLOWER, secrets=(hashed,))
    resource = Resource(identifier=AUDIENCE, scopes=("orders:read",), introspectors=(FOLLOWER,))
    await store.commit([PutClient(follower), PutResource(resource)])
    if facts:
        await store.commit(build_facts(facts))
    provider = await Provider.start(
        issuer=ISSUER, store=store, clock=SYSTEM_CLOCK, key_encryption_key=key
    )
    return provider, secret


async def append(provider: Provider, rate: int) -> None:
    """Commit `rate` facts a second, evenly."""
    due = time.monotonic()
    while True:
        await provider.store.commit(build_facts(TOGETHER))
        due += TOGETHER / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def serve(facts: int, rate: int) -> None:
    provider, secret = await open_provider(facts)
    listener = Listener(TcpAddress("127.0.0.1", 0), build_public_routes(provider))
    server = await Server.start([listener], Service())
    print(json.dumps({"address": server.addresses[0], "secret": secret}), flush=True)
    appending = asyncio.create_task(append(provider, rate)) if rate else None
    await asyncio.to_thread(sys.stdin.read)
    if appending is not None:
        appending.cancel()
    provider.feed.close()
    await server.stop(grace_seconds=1)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
