"""An authorization server over a store that can be taken away, with two resources and clients."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import msgspec

from dojang.clock import SYSTEM_CLOCK
from dojang.oauth.errors import Unavailable
from dojang.server.administration import OPERATIONS, perform
from dojang.server.model import Position
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.testing.feed_keys import share_feed_keys
from dojang.web.admin import build_admin_routes
from dojang.web.management import build_management_routes
from dojang.web.public import build_public_routes
from dojang.web.routing import RouteTable
from dojang.web.service import Service
from tests.web.peers import Answer, Peer

ISSUER = "https://login.example/tenant"
BASE = "/tenant"
ORDERS = "https://orders.example"
FORM = ("Content-Type", "application/x-www-form-urlencoded")


class FragileStore(MemoryStore):
    """A database that is there or is not."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def position(self) -> Position:
        if self.down:
            raise Unavailable("database", retry_after=2)
        return await super().position()


class World:
    """Everything a test needs to know; `secret` is the client's."""

    def __init__(self, provider: Provider, store: FragileStore) -> None:
        self.provider = provider
        self.store = store
        self.service = Service()
        self.secret = ""
        self.introspector_secret = ""

    @property
    def tables(self) -> tuple[RouteTable, RouteTable]:
        return (
            build_public_routes(self.provider),
            build_management_routes(self.provider, self.service, build_admin_routes(self.provider)),
        )

    async def operate(self, name: str, **parameters: Any) -> dict[str, Any]:
        operation = OPERATIONS[name]
        converted = msgspec.convert(parameters, operation.parameters)
        return await perform(self.provider, operation, converted, actor="test")


async def make_world() -> World:
    store = FragileStore()
    given = {
        "issuer": ISSUER,
        "store": store,
        "clock": SYSTEM_CLOCK,
        "key_encryption_key": bytes(32),
    }
    await initialise(**given, feed_keys=share_feed_keys())  # type: ignore[arg-type]
    world = World(await Provider.start(**given), store)  # type: ignore[arg-type]
    added = await world.operate("client.add", client_id="orders")
    world.introspector_secret = added["client_secret"]
    await world.operate(
        "resource.add", identifier=ORDERS, scopes=["read"], introspectors=["orders"]
    )
    await world.provider.state.reach_barrier()
    grants = [{"resource": ORDERS, "scopes": ["read"]}]
    added = await world.operate("client.add", client_id="shop", grants=grants)
    world.secret = added["client_secret"]
    return world


def basic(client_id: str, secret: str) -> tuple[str, str]:
    pair = f"{client_id}:{secret}".encode()
    return "Authorization", "Basic " + base64.b64encode(pair).decode()


async def ask_token(peer: Peer, world: World, **more: str) -> Answer:
    form = {"grant_type": "client_credentials", "resource": ORDERS, **more}
    return await peer.ask(
        BASE + "/token",
        method="POST",
        headers=[FORM, basic("shop", world.secret)],
        body=urlencode(form).encode(),
    )


async def ask_introspection(peer: Peer, world: World, token: str) -> Answer:
    return await peer.ask(
        BASE + "/introspect",
        method="POST",
        headers=[FORM, basic("orders", world.introspector_secret)],
        body=urlencode({"token": token}).encode(),
    )


def read_json(answer: Answer) -> Any:
    return json.loads(answer.body)
