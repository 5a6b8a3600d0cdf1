"""The feed of the real server: what the command line revokes, and how the server ends."""

import asyncio

import pytest

from tests.cli.conftest import fill
from tests.cli.installation import Installation
from tests.server.asker import Asker
from tests.web.peers import PATIENCE, peer_of


async def join(installation: Installation) -> Asker:
    secret = (installation.directory / "orders.secret").read_text().strip()
    return await Asker.join(f"127.0.0.1:{installation.public}", "/feed", secret=secret)


async def wait_for_hold(installation: Installation) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        peer_of(f"127.0.0.1:{installation.management}") as peer,
    ):
        while b"\ndojang_feed_holds 1.0\n" not in (await peer.ask("/metrics")).body:
            await asyncio.sleep(0.01)


@pytest.mark.proves("V3", "O3")
async def test_a_revocation_is_told_at_once_and_the_end_of_the_server_too(
    fresh: Installation,
) -> None:
    fill(fresh)
    fresh.start()
    follower = await join(fresh)
    await follower.send(hold=20)
    fresh.must("revoke", "client", "shop")
    answer = await follower.receive()
    assert len(answer.pages) == 1

    await follower.send(hold=20)
    await wait_for_hold(fresh)
    stopping = asyncio.create_task(asyncio.to_thread(fresh.stop))
    answer = await follower.receive()
    assert (answer.pages, answer.hold) == ((), 0.0)
    await follower.peer.close()
    assert await stopping == 0
