"""Hundreds of clients that are slow, silent or endless, and good ones beside them (F16)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from dojang.web.limits import Limits
from dojang.web.service import Service
from tests.web.peers import peer_of, serving
from tests.web.world import World, ask_introspection, ask_token, make_world, read_json

ATTACKERS = 300
LIMITS = Limits(
    head_seconds=0.8, request_seconds=1.2, linger_seconds=0.4, idle_seconds=30, sweep_seconds=0.1
)
HEAD = b"POST /tenant/token HTTP/1.1\r\nHost: a\r\n"


def slow_headers() -> Iterator[bytes]:
    yield HEAD
    for number in itertools.count():
        yield b"X-%d: a\r\n" % number


def slow_content() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 60000\r\n\r\n"
    yield from itertools.repeat(b"a")


def slow_chunks() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from itertools.repeat(b"1\r\na\r\n")


def empty_lines() -> Iterator[bytes]:
    yield from itertools.repeat(b"\r\n")


def silence() -> Iterator[bytes]:
    yield b""
    yield from itertools.repeat(b"")


def huge_content() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from itertools.repeat(b"1000\r\n%s\r\n" % (b"a" * 4096))


def many_headers() -> Iterator[bytes]:
    yield HEAD
    yield from itertools.repeat(b"X-Header: a\r\n" * 300)


ATTACKS = [
    *(slow_headers, slow_content, slow_chunks, empty_lines, silence, huge_content, many_headers)
]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = await make_world()
    made.service = Service(LIMITS)
    yield made
    await made.provider.store.close()


async def attack(address: str, pieces: Iterator[bytes]) -> None:
    """Send piece after piece until the server ends the connection."""
    async with peer_of(address) as peer:
        ended = asyncio.create_task(peer.receive_all())
        try:
            for piece in pieces:
                await peer.send(piece)
                done, _ = await asyncio.wait({ended}, timeout=0.03)
                if done:
                    return
        except ConnectionError:
            return
        finally:
            await ended


@pytest.mark.proves("F16")
@pytest.mark.parametrize("pieces", ATTACKS)
async def test_bad_clients_are_cut_off_and_good_ones_served(
    world: World, pieces: Callable[[], Iterator[bytes]]
) -> None:
    async with serving(*world.tables, service=world.service) as site:
        async with peer_of(site.address) as good, asyncio.TaskGroup() as attackers:
            attacks = [
                attackers.create_task(attack(site.address, pieces())) for _ in range(ATTACKERS)
            ]
            served = 0
            while not all(each.done() for each in attacks):
                # On a connection that stands, and on new ones.
                token = read_json(await ask_token(good, world))["access_token"]
                async with peer_of(site.address) as another:
                    answer = read_json(await ask_introspection(another, world, token))
                assert answer["active"] is True
                served += 1
        # Nothing is left of them: every connection is gone.
        async with asyncio.timeout(30):
            while site.service.connections:
                await asyncio.sleep(0.01)
        assert served > 0
        assert 500 not in site.service.statuses


@pytest.mark.proves("F16")
async def test_clients_that_never_read_are_cut_off(world: World) -> None:
    request = b"GET /tenant/.well-known/openid-configuration HTTP/1.1\r\nHost: a\r\n\r\n"
    async with AsyncExitStack() as opened:
        site = await opened.enter_async_context(serving(*world.tables, service=world.service))
        for _ in range(50):
            peer = await opened.enter_async_context(peer_of(site.address))
            opened.callback(peer.writer.transport.abort)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.writer.write(request * 5000)
        good = await opened.enter_async_context(peer_of(site.address))
        async with asyncio.timeout(60):
            while len(site.service.connections) > 1:
                assert (await ask_token(good, world)).status == 200
        assert site.service.refusals["slow_reader"] > 0
