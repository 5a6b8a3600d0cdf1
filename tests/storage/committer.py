"""A process that commits until it is killed: `python -m tests.storage.committer URL PREFIX`.

Every unit is a client, two facts and an event that carry its name; the name is printed once the
unit is acknowledged.
"""

import asyncio
import os
import sys
from contextlib import suppress
from itertools import count

from msgspec.structs import replace

from dojang.oauth.errors import Unavailable
from dojang.server.ports import Change, PutClient
from dojang.storage.opening import open_store
from tests.storage.samples import EVENT, make_client, make_fact


async def commit_forever(url: str, prefix: str) -> None:
    store = await open_store(url)
    names = (f"{prefix}-{number}" for number in count())

    async def work() -> None:
        for name in names:
            unit: list[Change] = [
                make_fact(f"{name}-first"),
                PutClient(make_client(name)),
                replace(EVENT, target=name),
                make_fact(f"{name}-second"),
            ]
            with suppress(Unavailable):
                await store.commit(unit)
                os.write(1, f"{name}\n".encode())

    await asyncio.gather(*(work() for _ in range(16)))


if __name__ == "__main__":
    asyncio.run(commit_forever(*sys.argv[1:]))
