"""Exchanges beside revocations, on two nodes: over a store that answers late, and on PostgreSQL.
What was acknowledged holds, and nothing else is refused. Times are counted in events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlencode

import msgspec
import pytest

from dojang.oauth.http import Request
from dojang.oauth.token_exchange import ACCESS_TOKEN, GRANT_TYPE
from dojang.server.administration import OPERATIONS, perform
from dojang.server.endpoints.introspection import introspect
from dojang.server.endpoints.token import token
from dojang.server.ports import Store
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.storage.opening import open_store
from dojang.testing import SettableClock
from dojang.testing.feed_keys import share_feed_keys
from tests.server.front_door import FORM, NOW, ORDERS, PAYMENTS, basic, decode_jwt, read
from tests.server.test_concurrency import LateStore
from tests.services.postgres import clean_databases, patient_stores, postgres, postgres_url

__all__ = ["clean_databases", "patient_stores", "postgres", "postgres_url"]

LEDGER: Final = "https://ledger.test"
NEXT: Final = {ORDERS: ("orders", PAYMENTS), PAYMENTS: ("payments", LEDGER)}
SETTINGS: Final[dict[str, Any]] = {
    "issuer": "https://issuer.test",
    "clock": SettableClock(NOW),
    "key_encryption_key": bytes(32),
}
RULE: Final = {"scopes": ["a"]}
REGISTERED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("resource.add", {"identifier": ORDERS, "scopes": ["a"], "introspectors": ["orders"]}),
    ("resource.add", {"identifier": PAYMENTS, "scopes": ["a"], "introspectors": ["payments"]}),
    ("resource.add", {"identifier": LEDGER, "scopes": ["a"], "introspectors": ["ledger"]}),
    ("client.add", {"client_id": "ledger"}),
    ("client.add", {"client_id": "payments", "exchanges": [{"resource": LEDGER, **RULE}]}),
    ("client.add", {"client_id": "orders", "exchanges": [{"resource": PAYMENTS, **RULE}]}),
    ("client.add", {"client_id": "shop", "grants": [{"resource": ORDERS, **RULE}]}),
)


class Link(NamedTuple):
    """A token of a chain: whose, and when it was asked for and there."""

    jti: str
    client_id: str
    began: int
    done: int


class Held(NamedTuple):
    text: str
    audience: str
    links: tuple[Link, ...]


class History:
    """What happened on the nodes, and what must follow."""

    def __init__(self, nodes: list[Provider], random: Random, secrets: dict[str, str]) -> None:
        self.nodes, self.random, self.secrets = nodes, random, secrets
        self.event = 0
        self.held: list[Held] = []
        self.exchanged = self.refused = 0
        self.ended: list[tuple[str, int, int]] = []  # jti or client: began, acknowledged
        self.ending: list[tuple[str, int]] = []

    def tick(self) -> int:
        self.event += 1
        return self.event

    async def post(self, endpoint: Any, client_id: str, **form: str) -> dict[str, Any]:
        header = basic(client_id, self.secrets[client_id])
        body = urlencode(form).encode()
        request = Request("POST", "/", b"", (FORM, header), body, "127.0.0.1")
        return read(await endpoint(self.random.choice(self.nodes), request))

    def note(self, answer: dict[str, Any], audience: str, began: int, *before: Link) -> None:
        text = answer["access_token"]
        claims = decode_jwt(text)[1]
        link = Link(claims["jti"], claims["client_id"], began, self.tick())
        self.held.append(Held(text, audience, (link, *before)))

    async def issue(self) -> None:
        began = self.tick()
        answer = await self.post(token, "shop", grant_type="client_credentials")
        self.note(answer, ORDERS, began)

    async def exchange(self) -> None:
        wanted = self.random.choice(list(NEXT))
        found = [held for held in self.held if held.audience == wanted]
        if not found:
            return
        held = self.random.choice(found[-8:])
        client_id, audience = NEXT[held.audience]
        began = self.tick()
        answer = await self.post(
            token,
            client_id,
            grant_type=GRANT_TYPE,
            subject_token=held.text,
            subject_token_type=ACCESS_TOKEN,
            audience=audience,
        )
        if "access_token" in answer:
            assert not self.is_surely_dead(held, began), "a dead token was exchanged"
            self.exchanged += 1
            self.note(answer, audience, began, *held.links)
        else:
            assert answer["error"] == "invalid_request"
            assert not self.is_surely_alive(held), "a token that lives was refused"
            self.refused += 1

    async def ask(self) -> None:
        if not self.held:
            return
        held = self.random.choice(self.held[-40:])
        service = {ORDERS: "orders", PAYMENTS: "payments", LEDGER: "ledger"}[held.audience]
        began = self.tick()
        active = (await self.post(introspect, service, token=held.text))["active"]
        if active:
            assert not self.is_surely_dead(held, began), "a token outlived what ended it"
        else:
            assert not self.is_surely_alive(held), "a token that lives is called inactive"

    def is_surely_dead(self, held: Held, now: int) -> bool:
        """Something that was acknowledged before `now` ended one of its links."""
        return any(
            done < now and (name == link.jti or (name == link.client_id and link.done < began))
            for name, began, done in self.ended
            for link in held.links
        )

    def is_surely_alive(self, held: Held) -> bool:
        """Nothing that might end a link was under way since that was asked for."""
        over = {(name, began): done for name, began, done in self.ended}
        return not any(
            name == link.jti
            or (name == link.client_id and over.get((name, began), self.event) > link.began)
            for name, began in self.ending
            for link in held.links
        )

    async def operate(self, name: str, **parameters: Any) -> None:
        began, ended = self.tick(), next(iter(parameters.values()))
        self.ending.append((ended, began))
        asked = msgspec.convert(parameters, OPERATIONS[name].parameters)
        await perform(self.random.choice(self.nodes), OPERATIONS[name], asked, actor="test")
        self.ended.append((ended, began, self.tick()))

    async def revoke_token(self) -> None:
        if self.held:
            link = self.random.choice(self.random.choice(self.held[-40:]).links)
            await self.operate("revoke.token", jti=link.jti)

    async def revoke_client(self) -> None:
        client_id = self.random.choice(["shop", "orders", "payments"])
        await self.operate("revoke.client", client_id=client_id)

    async def work(self, steps: int) -> None:
        actions = [self.issue] * 8 + [self.exchange] * 16 + [self.ask] * 12
        actions += [self.revoke_token, self.revoke_client]
        for _ in range(steps):
            await self.random.choice(actions)()


async def play(stores: list[Store], random: Random, *, steps: int) -> History:
    nodes = [await Provider.start(store=store, **SETTINGS) for store in stores]
    secrets = {}
    for name, parameters in REGISTERED:
        asked = msgspec.convert(parameters, OPERATIONS[name].parameters)
        answer = await perform(nodes[0], OPERATIONS[name], asked, actor="test")
        if "client_secret" in answer:
            secrets[answer["client"]["client_id"]] = answer["client_secret"]
    history = History(nodes, random, secrets)
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(history.work(steps))
    return history


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.proves("C54", "C87", "K6")
async def test_what_was_acknowledged_holds_for_what_was_exchanged(seed: int) -> None:
    memory, random = MemoryStore(), Random(seed)
    await initialise(store=memory, feed_keys=share_feed_keys(), **SETTINGS)
    late = [cast("Store", LateStore(memory, random)) for _ in range(2)]
    history = await play(late, random, steps=60)
    assert history.exchanged > 10
    assert history.refused
    assert any(len(held.links) == 3 for held in history.held)


@pytest.fixture
async def two_stores(postgres_url: str) -> AsyncIterator[list[Store]]:
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(2):
            stores.append(await open_store(postgres_url))
            stack.push_async_callback(stores[-1].close)
        yield stores


@pytest.mark.proves("C54", "C87", "A6")
async def test_it_holds_on_two_nodes_on_postgresql(two_stores: list[Store]) -> None:
    await initialise(store=two_stores[0], feed_keys=share_feed_keys(), **SETTINGS)
    history = await play(two_stores, Random(1), steps=60)
    assert history.exchanged > 10
    assert history.refused
