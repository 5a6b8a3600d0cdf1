"""The provider of `dojang dev`: everything in memory, gone with the process."""

from __future__ import annotations

import asyncio
from secrets import token_bytes
from typing import Any, Final, NamedTuple

import msgspec

from dojang.clock import SYSTEM_CLOCK
from dojang.jose.keys import SigningKey
from dojang.oauth.feed import ALGORITHM as FEED_ALGORITHM
from dojang.server.administration import OPERATIONS, perform
from dojang.server.ids import new_kid
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore

USERNAME: Final = "hong"
PASSWORD: Final = "correct horse"
CLIENT_ID: Final = "dev-app"
API: Final = "https://notes.example"
SCOPE: Final = "notes:read"


class House(NamedTuple):
    """A provider that knows one person, one API and the application at `app`."""

    provider: Provider
    app: str


async def open_house(issuer: str, app: str) -> House:
    """Make it. `app` is the address of the application, without a slash at its end."""
    store, key = MemoryStore(), token_bytes(32)
    feed_keys = await asyncio.gather(*(asyncio.to_thread(_make_feed_key) for _ in range(2)))
    await initialise(
        issuer=issuer,
        store=store,
        clock=SYSTEM_CLOCK,
        key_encryption_key=key,
        feed_keys=feed_keys,
    )
    provider = await Provider.start(
        issuer=issuer,
        store=store,
        clock=SYSTEM_CLOCK,
        key_encryption_key=key,
        offload=asyncio.to_thread,
    )
    await _do(provider, "resource.add", identifier=API, scopes=[SCOPE])
    await _do(
        provider,
        "client.add",
        client_id=CLIENT_ID,
        name="Dojang dev",
        authentication="none",
        sign_in={
            "redirect_uris": [f"{app}/callback"],
            "post_logout_redirect_uris": [f"{app}/"],
            "scopes": ["openid", "profile", "email", "offline_access"],
            "resources": {API: [SCOPE]},
            "id_token_algorithm": "ES256",
        },
    )
    claims = {"name": "홍길동", "email": "hong@example.com", "email_verified": True}
    await _do(provider, "user.add", username=USERNAME, password=PASSWORD, claims=claims)
    return House(provider, app)


def _make_feed_key() -> SigningKey:
    return SigningKey.generate(FEED_ALGORITHM, kid=new_kid())


async def _do(provider: Provider, called: str, /, **parameters: Any) -> None:
    operation = OPERATIONS[called]
    asked = msgspec.convert(parameters, operation.parameters)
    await perform(provider, operation, asked, actor="dojang dev")
