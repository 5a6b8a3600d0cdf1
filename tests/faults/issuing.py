"""Clients of a server in this process, through its endpoints, that note what they are told."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

from msgspec import convert

from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request, Response
from dojang.server.administration import OPERATIONS, perform
from dojang.server.endpoints.introspection import introspect
from dojang.server.endpoints.revocation import revoke
from dojang.server.endpoints.token import token
from dojang.server.provider import Provider
from tests.faults.history import History

ORDERS = "https://orders.example"


class Clients:
    """A client `shop`, and the client `orders` that its API is."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    async def register(self, provider: Provider) -> None:
        await self._do(
            provider, "resource.add", identifier=ORDERS, scopes=["read"], introspectors=["orders"]
        )
        grants = {"shop": [{"resource": ORDERS, "scopes": ["read"]}], "orders": []}
        for name, granted in grants.items():
            answer = await self._do(provider, "client.add", client_id=name, grants=granted)
            self._secrets[name] = answer["client_secret"]

    async def _do(self, provider: Provider, name: str, **parameters: object) -> dict[str, str]:
        operation = OPERATIONS[name]
        asked = convert(parameters, operation.parameters)
        return await perform(provider, operation, asked, actor="test")

    def _request(self, client: str, path: str, form: dict[str, str]) -> Request:
        pair = b64encode(f"{client}:{self._secrets[client]}".encode())
        headers = (
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"authorization", b"Basic " + pair),
        )
        return Request("POST", path, b"", headers, urlencode(form).encode(), "127.0.0.1")

    async def issue(self, provider: Provider) -> str:
        form = {"grant_type": "client_credentials", "resource": ORDERS}
        answer = read(await token(provider, self._request("shop", "/token", form)))
        return str(answer["access_token"])

    async def revoke(self, provider: Provider, given: str) -> None:
        response = await revoke(provider, self._request("shop", "/revoke", {"token": given}))
        assert response.status == 200

    async def is_active(self, provider: Provider, given: str) -> bool:
        request = self._request("orders", "/introspect", {"token": given})
        return bool(read(await introspect(provider, request))["active"])


def read(response: Response) -> dict[str, object]:
    assert response.status == 200, response
    document: dict[str, object] = json.loads(response.body)
    return document


async def work(
    clients: Clients, nodes: list[Provider], history: History, going: Callable[[], bool]
) -> None:
    """Get tokens, give some back, and ask about any of them, on any node, until the end."""
    while going():
        node = random.choice(nodes)
        try:
            given = await clients.issue(node)
            history.issued(given)
            doomed = await clients.issue(node)
            history.issued(doomed)
            history.revoking(doomed)
            await clients.revoke(random.choice(nodes), doomed)
            history.revoked(doomed)
            for each in (doomed, given, random.choice(history.all)):
                await ask(clients, random.choice(nodes), history, each)
        except Unavailable as error:
            history.failed(error)
            await asyncio.sleep(0.01)
        except Exception as error:  # noqa: BLE001  what is no answer is a finding
            history.crashed(error)
        await asyncio.sleep(0)


async def ask(clients: Clients, node: Provider, history: History, given: str) -> None:
    """What a node says of a token. Raises `Unavailable`."""
    asked_at = history.tick()
    history.answered(given, active=await clients.is_active(node, given), asked_at=asked_at)


async def ask_until_answered(clients: Clients, node: Provider) -> None:
    """Until the node issues tokens again."""
    while True:
        with suppress(Unavailable):
            await clients.issue(node)
            return
        await asyncio.sleep(0.02)
