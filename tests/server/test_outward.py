"""A server as it is configured speaks to the public internet, and to what is permitted besides."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dojang.app import open_provider
from dojang.clock import SYSTEM_CLOCK
from dojang.jose import base64url
from dojang.server.administration import OperationRefused
from dojang.server.config import Config, Fetch, Keys, Storage
from dojang.server.provider import initialise
from dojang.storage.migrate import upgrade
from dojang.storage.opening import open_store
from dojang.testing.feed_keys import share_feed_keys
from tests.server.people.world import World

KEY = bytes(32)


def check(path: Path, url: str, *permitted: str) -> None:
    config = Config(
        issuer="https://auth.example",
        storage=Storage(url=f"sqlite:{path}"),
        keys=Keys(encryption_key=base64url.encode(KEY)),
        fetch=Fetch(permitted_networks=permitted),
    )

    async def install_and_check() -> None:
        if not path.exists():
            await upgrade(config.storage.url)
            store = await open_store(config.storage.url)
            await initialise(
                issuer=config.issuer,
                store=store,
                clock=SYSTEM_CLOCK,
                key_encryption_key=KEY,
                feed_keys=share_feed_keys(),
            )
            await store.close()
        async with open_provider(config) as provider:
            provider.outward.check(url)

    asyncio.run(install_and_check())


@pytest.mark.proves("C100")
def test_what_is_not_public_is_permitted_by_name_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "dojang.db"
    check(path, "https://app.example/logout")
    with pytest.raises(ValueError, match="not public"):
        check(path, "https://10.0.0.7/logout")
    check(path, "https://10.0.0.7/logout", "10.0.0.0/24")
    with pytest.raises(ValueError, match="not public"):
        check(path, "https://10.0.1.7/logout", "10.0.0.0/24")


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "uri",
    ["https://169.254.169.254/", "https://10.0.0.1/", "http://app.test/", "https://0x7f.1/"],
)
def test_no_client_has_a_logout_address_that_nothing_is_sent_to(uri: str) -> None:
    with pytest.raises(OperationRefused, match="backchannel_logout_uri"):
        World(backchannel_logout_uri=uri)
