"""Keys of clients over real connections: one request for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dojang.clock import SYSTEM_CLOCK
from dojang.fetch import OutwardTransport
from dojang.jose.keys import SigningKey
from dojang.server.client_keys import ClientKeys, NoClientKeys
from dojang.server.model import AuthenticationMethod, Client
from tests.origin import Origin, answer_json

JWKS = {"keys": [SigningKey.generate("ES256", kid="k1").public_jwk()]}


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        served.answers["/keys"] = lambda _: answer_json(JWKS)
        yield served


def make_client(origin: Origin) -> Client:
    return Client(
        client_id="c",
        name="c",
        authentication=AuthenticationMethod.PRIVATE_KEY_JWT,
        jwks_uri=f"{origin.url}/keys",
    )


@pytest.mark.proves("C100")
def test_many_wait_for_one_request(origin: Origin) -> None:
    async def load() -> None:
        outward = OutwardTransport(permitted=["127.0.0.0/8"])
        keys = ClientKeys(outward, SYSTEM_CLOCK)
        found = await asyncio.gather(*(keys.load(make_client(origin)) for _ in range(20)))
        assert found == [JWKS] * 20
        await outward.aclose()

    asyncio.run(load())
    assert origin.count("/keys") == 1


@pytest.mark.proves("C100")
def test_what_is_not_permitted_is_not_asked(origin: Origin) -> None:
    async def load() -> None:
        outward = OutwardTransport()
        with pytest.raises(NoClientKeys, match="client_keys_unreachable"):
            await ClientKeys(outward, SYSTEM_CLOCK).load(make_client(origin))
        await outward.aclose()

    asyncio.run(load())
    assert origin.requests == []
