"""Two nodes over one store that answers late: what was acknowledged is never forgotten.

The store delays every call before and after it acts, so that requests overlap in every way; a
seed makes a run repeatable. Times are counted in events, not in seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, cast

import msgspec
import pytest

from dojang.oauth.http import Request, Response
from dojang.server.administration import OPERATIONS, perform
from dojang.server.endpoints.introspection import introspect
from dojang.server.endpoints.token import token
from dojang.server.ports import Store
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.testing import SettableClock
from tests.server.front_door import FORM, NOW, ORDERS, basic, read

STEPS = 40
WORKERS = 6


class LateStore:
    """A store whose answers are on their way for a while."""

    def __init__(self, store: MemoryStore, random: Random) -> None:
        self._store = store
        self._random = random

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._store, name)

        async def late(*args: Any, **kwargs: Any) -> Any:
            await self._pause()
            result = await call(*args, **kwargs)
            await self._pause()
            return result

        return late

    async def _pause(self) -> None:
        for _ in range(self._random.choice((0, 0, 1, 3, 40))):
            await asyncio.sleep(0)


class Nodes:
    """Two providers, a count of events, and what a history of them must look like."""

    def __init__(self, random: Random, nodes: list[Provider], secrets: dict[str, str]) -> None:
        self.random = random
        self.nodes = nodes
        self.secrets = secrets
        self.event = 0
        self.issued: list[tuple[str, int]] = []  # token, event at which it was answered
        self.ended: dict[str, tuple[int, int]] = {}  # token: when its revocation began and ended
        self.client_ended: list[tuple[int, int]] = []
        self.disabled: list[int] = []  # when it was acknowledged
        self.enabled: list[int] = []  # when the request for it began

    def tick(self) -> int:
        self.event += 1
        return self.event

    async def post(self, endpoint: Any, client_id: str, form: str) -> Response:
        header = basic(client_id, self.secrets[client_id])
        request = Request("POST", "/", b"", (FORM, header), form.encode(), "127.0.0.1")
        response: Response = await endpoint(self.random.choice(self.nodes), request)
        return response

    async def operate(self, name: str, **parameters: Any) -> tuple[int, int]:
        began = self.tick()
        asked = msgspec.convert(parameters, OPERATIONS[name].parameters)
        node = self.random.choice(self.nodes)
        await perform(node, OPERATIONS[name], asked, actor="test")
        return began, self.tick()

    async def issue(self) -> None:
        began = self.tick()
        answer = await self.post(token, "shop", "grant_type=client_credentials")
        done = self.tick()
        last_off = max((end for end in self.disabled if end < began), default=-1)
        if last_off >= 0 and not any(last_off < start < done for start in self.enabled):
            assert answer.status == 401, "a disabled client got a token"
        if answer.status == 200:
            self.issued.append((read(answer)["access_token"], done))

    async def revoke_token(self) -> None:
        if self.issued:
            held, _ = self.random.choice(self.issued)
            when = await self.operate("revoke.token", token=held)
            self.ended.setdefault(held, when)

    async def revoke_client(self) -> None:
        self.client_ended.append(await self.operate("revoke.client", client_id="shop"))

    async def switch(self) -> None:
        when = await self.operate("client.disable", client_id="shop")
        self.disabled.append(when[1])
        self.client_ended.append(when)
        self.enabled.append(self.tick())
        await self.operate("client.enable", client_id="shop")

    async def ask(self) -> None:
        if not self.issued:
            return
        held, issued_at = self.random.choice(self.issued)
        began = self.tick()
        answer = await self.post(introspect, "orders", f"token={held}")
        active = read(answer)["active"]
        if held in self.ended and self.ended[held][1] < began:
            assert not active, "a revoked token is active"
        if any(issued_at < start and end < began for start, end in self.client_ended):
            assert not active, "a token outlived its client"
        # Answered before the client was enabled again, so allowed before it was disabled.
        switches = zip(self.disabled, self.enabled, strict=False)
        if any(issued_at < enabled and disabled < began for disabled, enabled in switches):
            assert not active, "enabling a client revived its token"

    async def work(self) -> None:
        actions = [self.issue] * 6 + [self.ask] * 8 + [self.revoke_token, self.revoke_client]
        for _ in range(STEPS):
            await self.random.choice(actions)()

    async def administer(self) -> None:
        for _ in range(10):
            await self.switch()


async def open_nodes(seed: int) -> Nodes:
    random, clock = Random(seed), SettableClock(NOW)
    memory = MemoryStore()
    settings: dict[str, Any] = {
        "issuer": "https://issuer.test",
        "clock": clock,
        "key_encryption_key": bytes(32),
    }
    await initialise(store=memory, **settings)
    stores = [cast("Store", LateStore(memory, random)) for _ in range(2)]
    nodes = [await Provider.start(store=store, **settings) for store in stores]
    added: dict[str, str] = {}
    for name, parameters in (
        ("resource.add", {"identifier": ORDERS, "scopes": ["a"], "introspectors": ["orders"]}),
        ("client.add", {"client_id": "orders"}),
        ("client.add", {"client_id": "shop", "grants": [{"resource": ORDERS, "scopes": ["a"]}]}),
    ):
        asked = msgspec.convert(parameters, OPERATIONS[name].parameters)
        answer = await perform(nodes[0], OPERATIONS[name], asked, actor="test")
        if "client_secret" in answer:
            added[answer["client"]["client_id"]] = answer["client_secret"]
    return Nodes(random, nodes, added)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.proves("C87", "K6", "C45")
async def test_what_was_acknowledged_holds_on_every_node(seed: int) -> None:
    nodes = await open_nodes(seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(nodes.administer())
        for _ in range(WORKERS):
            group.create_task(nodes.work())
    assert len(nodes.issued) > 20
    assert nodes.ended
    heads = {(await node.state.reach_barrier()).head for node in nodes.nodes}
    assert heads == {(await nodes.nodes[0].store.position()).head}


@pytest.mark.proves("C87")
async def test_a_fresh_token_is_active_on_the_other_node() -> None:
    nodes = await open_nodes(99)
    for _ in range(20):
        await nodes.operate("revoke.client", client_id="shop")
        await nodes.issue()
        held, _ = nodes.issued[-1]
        answers = await asyncio.gather(
            *(nodes.post(introspect, "orders", f"token={held}") for _ in range(4))
        )
        assert [read(answer)["active"] for answer in answers] == [True] * 4


@pytest.mark.proves("C87", "C45")
async def test_a_client_that_was_read_before_a_commit_is_not_held_after_it() -> None:
    nodes = await open_nodes(0)
    node = nodes.nodes[0]
    nodes.nodes = [node]
    store = node.store
    read_it, late, find_client = asyncio.Event(), asyncio.Event(), store.find_client

    async def find_late(client_id: str) -> Any:
        client = await find_client(client_id)
        read_it.set()
        await late.wait()
        return client

    await node.store.commit([])  # nothing is held
    store.find_client = find_late  # type: ignore[method-assign]
    early = asyncio.create_task(nodes.post(token, "shop", "grant_type=client_credentials"))
    await read_it.wait()
    store.find_client = find_client  # type: ignore[method-assign]
    await nodes.operate("client.disable", client_id="shop")
    await node.state.reach_barrier()
    late.set()
    await early
    answer = await nodes.post(token, "shop", "grant_type=client_credentials")
    assert answer.status == 401
