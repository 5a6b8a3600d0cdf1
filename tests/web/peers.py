"""The other end of a connection, one byte at a time where a test wants it so."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

from dojang.server.config import TcpAddress
from dojang.web.limits import Limits
from dojang.web.routing import Route, RouteTable, TemplateRoute
from dojang.web.service import Service
from dojang.web.serving import Listener, Server

PATIENCE = 15  # seconds until a test gives up on a server that does nothing


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    head: bytes


class Peer:
    """A TCP or unix connection to `address`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: str) -> Self:
        if address.startswith("unix:"):
            return cls(*await asyncio.open_unix_connection(address.removeprefix("unix:")))
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            status = int(first.split(" ")[1])
            length = int(headers.get("content-length", 0)) if method != "HEAD" else 0
            body = await self.reader.readexactly(length)
        return Answer(status, headers, body, head)

    async def receive_all(self) -> bytes:
        """Everything until the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: dojang.example"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)
        return await self.receive(method)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def peer_of(address: str) -> AsyncIterator[Peer]:
    peer = await Peer.connect(address)
    try:
        yield peer
    finally:
        await peer.close()


async def exchange(address: str, data: bytes) -> bytes:
    """Send bytes on a new connection; what comes back until the server ends it."""
    async with peer_of(address) as peer:
        await peer.send(data)
        return await peer.receive_all()


@dataclass(frozen=True)
class Site:
    """A server that runs."""

    addresses: list[str]
    service: Service
    server: Server

    @property
    def address(self) -> str:
        return self.addresses[0]


@asynccontextmanager
async def serving(
    *tables: RouteTable | Iterable[Route | TemplateRoute],
    service: Service | None = None,
    limits: Limits | None = None,
    trusted_proxies: Iterable[str] = (),
) -> AsyncIterator[Site]:
    """The real listeners on free ports of loopback, one for each table of routes."""
    service = service or Service(limits, trusted_proxies=trusted_proxies)
    listeners = [
        Listener(
            TcpAddress("127.0.0.1", 0),
            table if isinstance(table, RouteTable) else RouteTable(table),
        )
        for table in tables
    ]
    server = await Server.start(listeners, service)
    try:
        yield Site(server.addresses, service, server)
    finally:
        await server.stop(grace_seconds=1)
