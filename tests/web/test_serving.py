"""Opening, serving and going down."""

import asyncio
import resource
import signal
import socket
import stat
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from dojang.oauth.http import JSON, Request, Response
from dojang.server.config import TcpAddress, UnixAddress
from dojang.web.limits import Limits
from dojang.web.routing import Route, RouteTable
from dojang.web.service import MOST_TURNED_AWAY, Service
from dojang.web.serving import (
    SPARE_FILES,
    AddressInUse,
    Listener,
    Server,
    find_most_connections,
)
from tests.web.peers import Peer, peer_of, serving
from tests.web.routes import ROUTES

ANYWHERE = TcpAddress("127.0.0.1", 0)
PROGRAM = """
import asyncio, sys
from dojang.oauth.http import Request, Response
from dojang.server.config import TcpAddress
from dojang.web.routing import Route, RouteTable
from dojang.web.service import Service
from dojang.web.serving import Listener, run, serve

released = None

async def wait(request: Request) -> Response:
    global released
    released = asyncio.Event()
    print("waiting", flush=True)
    await released.wait()
    return Response(200, (), b"answered")

def release(request: Request) -> Response:
    released.set()
    return Response(200, (), b"released")

routes = RouteTable([Route("/wait", {"GET": wait}), Route("/release", {"GET": release})])
anywhere = TcpAddress("127.0.0.1", 0)
listeners = [Listener(anywhere, routes), Listener(anywhere, routes)]
run(serve(listeners, Service(), started=lambda found: print(*found, flush=True), grace_seconds=20))
print("ended", flush=True)
assert not [name for name in sys.modules if name.startswith(("uvicorn", "structlog", "prometheus"))]
"""


class Process:
    def __init__(self) -> None:
        self.run = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM], stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run.kill()
        self.run.wait()
        if self.run.stdout:
            self.run.stdout.close()

    async def line(self) -> str:
        assert self.run.stdout
        return (await asyncio.to_thread(self.run.stdout.readline)).strip()

    async def end(self) -> int:
        return await asyncio.to_thread(self.run.wait, 30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_requests_in_hand_be_answered(number: signal.Signals) -> None:
    with Process() as process:
        first, second = (await process.line()).split()
        async with peer_of(first) as busy, peer_of(second) as idle, peer_of(second) as late:
            await idle.send(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await idle.receive()).status == 404
            await late.send(b"GET /release HTTP/1.1\r\nHost: a\r\n")
            await busy.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await process.line() == "waiting"
            process.run.send_signal(number)
            assert await idle.receive_all() == b""
            with pytest.raises(OSError):
                await Peer.connect(first)
            await late.send(b"\r\n")
            assert (await late.receive()).headers["connection"] == "close"
            answer = await busy.receive()
            assert (answer.body, answer.headers["connection"]) == (b"answered", "close")
        assert await process.line() == "ended"
        assert await process.end() == 0


async def test_a_second_signal_ends_at_once() -> None:
    with Process() as process:
        first, _ = (await process.line()).split()
        async with peer_of(first) as busy:
            await busy.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await process.line() == "waiting"
            process.run.send_signal(signal.SIGTERM)
            while True:
                try:
                    await (await Peer.connect(first)).close()
                except OSError:
                    break
            process.run.send_signal(signal.SIGTERM)
            assert await busy.receive_all() == b""
        assert await process.end() == 0


async def test_a_unix_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "dojang.sock"
    listener = Listener(UnixAddress(str(path)), RouteTable(ROUTES))
    server = await Server.start([listener], Service())
    assert server.addresses == [f"unix:{path}"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    async with peer_of(server.addresses[0]) as peer:
        assert (await peer.ask("/echo")).status == 200
    with pytest.raises(AddressInUse):
        await Server.start([listener], Service())
    await server.stop()
    assert not path.exists()


async def test_a_socket_left_by_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "dojang.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await Server.start([Listener(UnixAddress(str(path)), RouteTable(ROUTES))], Service())
    async with peer_of(f"unix:{path}") as peer:
        assert (await peer.ask("/echo")).status == 200
    await server.stop()


async def test_all_listeners_open_or_none(tmp_path: Path) -> None:
    path = tmp_path / "dojang.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listeners = [
            Listener(UnixAddress(str(path)), RouteTable(ROUTES)),
            Listener(TcpAddress(*taken.getsockname()), RouteTable(ROUTES)),
        ]
        with pytest.raises(OSError):
            await Server.start(listeners, Service())
    assert not path.exists()


async def test_what_takes_longer_than_the_grace_is_cut_off() -> None:
    async def wait_for_ever(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with (
        serving([Route("/wait", {"GET": wait_for_ever})]) as site,
        peer_of(site.address) as peer,
    ):
        await peer.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        while not site.service.connections:
            await asyncio.sleep(0)
        await site.server.stop(grace_seconds=0.01)
        assert await peer.receive_all() == b""
        assert not site.service.connections


async def test_idle_connections_make_room() -> None:
    limits = Limits(connections=8, crowded_idle_seconds=0.05, sweep_seconds=0.02)
    fixed = Response(200, (JSON,), b"1")
    async with serving([Route("/", {"GET": lambda request: fixed})], limits=limits) as site:
        peers = [await Peer.connect(site.address) for _ in range(5)]
        for peer in peers:
            assert (await peer.ask("/")).status == 200
        for peer in peers:
            assert await peer.receive_all() == b""
            await peer.close()


def test_connections_leave_files_for_the_rest() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert find_most_connections(400) == 400
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400 + SPARE_FILES
        assert find_most_connections(2**31) <= before[1] - SPARE_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.proves("C112", "C115")
async def test_a_crowd_at_one_listener_leaves_the_connections_of_another() -> None:
    service = Service(Limits(connections=3))
    routes = RouteTable(ROUTES)
    listeners = [Listener(ANYWHERE, routes), Listener(ANYWHERE, routes, reserve=2)]
    server = await Server.start(listeners, service)
    public, management = server.addresses
    try:
        async with AsyncExitStack() as crowd:
            for _ in range(MOST_TURNED_AWAY + 20):
                await crowd.enter_async_context(peer_of(public))
            async with peer_of(public) as late:
                assert b" 503 " in await late.receive_all()
            assert len(service.connections) <= 3 + MOST_TURNED_AWAY + 1
            for _ in range(2):
                peer = await crowd.enter_async_context(peer_of(management))
                await peer.send(b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await peer.receive()).status == 200
            async with peer_of(management) as late:
                assert b" 503 " in await late.receive_all()
    finally:
        await server.stop(grace_seconds=0)
