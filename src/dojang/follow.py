"""The composition root of a relay: an issuer to follow in, a unix socket for this host out."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from dojang.clock import SYSTEM_CLOCK
from dojang.fetch import AsyncHttpTransport
from dojang.resource.relay import Relay
from dojang.server.config import UnixAddress
from dojang.trust.chunk_files import ChunkFiles
from dojang.trust.credentials import Credentials
from dojang.trust.feed_archive import FeedArchive
from dojang.trust.follower import Follower
from dojang.trust.remote_keys import RemoteKeys
from dojang.web import serving
from dojang.web.routing import Route, RouteTable
from dojang.web.service import Service

LOCK: Final = "lock"


class DirectoryInUse(Exception):
    """Another relay keeps its chunks there."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is in use by another relay")


class RelaySettings(NamedTuple):
    """`socket` is where this host asks, `directory` where chunks are kept, `staleness` the
    smallest bound of those who ask (seconds)."""

    issuer: str
    credentials: Credentials
    socket: Path
    directory: Path
    name: str | None
    staleness: float


def build_relay_routes(relay: Relay) -> RouteTable:
    """What the processes of this host ask."""
    return RouteTable(
        [
            Route("/feed/join", {"POST": relay.join}),
            Route("/feed", {"POST": relay.question}),
            Route("/feed/snapshot", {"GET": relay.snapshot}),
            Route("/status", {"GET": relay.status}),
        ]
    )


async def follow(settings: RelaySettings, *, started: Callable[[], None]) -> None:
    """Follow and serve until a signal. `started` is called when the socket is open.

    Raises `ValueError` for an issuer or a name that is none, `DirectoryInUse`, and what
    `dojang.web.serving.serve` raises.
    """
    with _hold_directory(settings.directory):
        relay = Relay(
            RemoteKeys(settings.issuer),
            files=ChunkFiles(settings.directory),
            archive=FeedArchive(),
            directory=_name_directory(settings),
            clock=SYSTEM_CLOCK,
        )
        follower = Follower(
            settings.issuer,
            credentials=settings.credentials,
            name=settings.name,
            by_hand=True,
            relaying=relay.relaying,
        )
        follower.need(settings.staleness)
        transport = AsyncHttpTransport()
        relay.begin(follower, transport)
        address = UnixAddress(str(settings.socket))
        following = asyncio.create_task(relay.follow())
        try:
            await serving.serve(
                [serving.Listener(address, build_relay_routes(relay))],
                Service(),
                started=lambda _: started(),
            )
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await transport.aclose()


def _name_directory(settings: RelaySettings) -> str:
    """From beside the socket where it is there: a container may see both elsewhere."""
    directory = settings.directory.absolute()
    beside = settings.socket.absolute().parent
    return directory.name if directory.parent == beside else str(directory)


@contextmanager
def _hold_directory(directory: Path) -> Iterator[None]:
    """Make it where it is not there, and keep other relays out."""
    directory.mkdir(mode=0o750, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(directory) from None
        yield
    finally:
        os.close(lock)
