"""Opening the listeners, serving until a signal, and going down without dropping a request."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from dojang.server.config import Address, TcpAddress, UnixAddress
from dojang.web.protocol import Connection
from dojang.web.routing import RouteTable
from dojang.web.service import Service

BACKLOG: Final = 2048
GRACE_SECONDS: Final = 5.0
SPARE_FILES: Final = 128

_log: Final = logging.getLogger("dojang.web")

Result = TypeVar("Result")


class Listener(NamedTuple):
    """Routes at an address; port 0 means any that is free. `reserve` connections are kept for it
    when all others are taken."""

    address: Address
    routes: RouteTable
    reserve: int = 0


class AddressInUse(Exception):
    """Another process serves there."""

    def __init__(self, address: Address) -> None:
        super().__init__(f"{address} is in use by another process")
        self.address = address


class Server:
    """Listeners that are open. `addresses` are the real ones, in the order of the listeners."""

    def __init__(self, service: Service, servers: list[asyncio.Server], paths: list[str]) -> None:
        self._service = service
        self._servers = servers
        self._paths = paths
        self.addresses: Final = [_describe(server.sockets[0]) for server in servers]

    @classmethod
    async def start(cls, listeners: Sequence[Listener], service: Service) -> Server:
        """Open every listener, or none. Raises `AddressInUse` and OSError."""
        service.start()
        service.most_connections = find_most_connections(service.limits.connections)
        servers: list[asyncio.Server] = []
        paths: list[str] = []
        try:
            for listener in listeners:
                servers.append(await _open(listener, service))
                if isinstance(listener.address, UnixAddress):
                    paths.append(listener.address.path)
        except BaseException:
            await cls(service, servers, paths).stop(grace_seconds=0)
            raise
        return cls(service, servers, paths)

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Accept no more, let requests in hand be answered, and cut off what takes longer."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            Path(path).unlink(missing_ok=True)  # noqa: ASYNC240  a name in a directory
        await self._service.drain(grace_seconds=grace_seconds)
        self._service.stop()


async def serve(
    listeners: Sequence[Listener],
    service: Service,
    *,
    started: Callable[[list[str]], None] | None = None,
    stopping: Callable[[], None] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once.

    `started` is called with the real addresses once all are open, `stopping` the moment the signal
    comes: for requests that would wait on. Raises as `Server.start`.
    """
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    at_once = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        (at_once if signalled.is_set() else signalled).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    server = await Server.start(listeners, service)
    try:
        _settle_memory()
        _log.info("serving on %s", ", ".join(server.addresses))
        if started is not None:
            started(server.addresses)
        await signalled.wait()
        _log.info("stopping")
        if stopping is not None:
            stopping()
        going = asyncio.create_task(server.stop(grace_seconds=grace_seconds))
        hurry = asyncio.create_task(at_once.wait())
        await asyncio.wait({going, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        going.cancel()
    finally:
        await server.stop(grace_seconds=0)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` on uvloop where it is installed, else on asyncio's own loop."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def find_most_connections(wanted: int) -> int:
    """How many connections fit into the files this process may open, raised as far as allowed."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES))


async def _open(listener: Listener, service: Service) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    accept = partial(Connection, listener.routes, service, reserve=listener.reserve)
    address = listener.address
    if isinstance(address, UnixAddress):
        _clear_stale_socket(address)
        before = os.umask(0o117)  # whoever may open it may talk to us: owner and group
        try:
            return await loop.create_unix_server(accept, address.path, backlog=BACKLOG)
        finally:
            os.umask(before)
    return await loop.create_server(accept, *address, backlog=BACKLOG, reuse_address=True)


def _clear_stale_socket(address: UnixAddress) -> None:
    path = Path(address.path)
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            raise AddressInUse(address)


def _describe(opened: socket.socket) -> str:
    name = opened.getsockname()
    return str(UnixAddress(name) if isinstance(name, str) else TcpAddress(*name[:2]))


def _settle_memory() -> None:
    """What is loaded by now stays; looking through it again and again would show in the slowest
    requests."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
