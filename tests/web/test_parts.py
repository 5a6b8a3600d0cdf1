"""Answers that leave in parts, before their end is known."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dojang.oauth.http import Channel, Request, Response
from dojang.web.limits import Limits
from dojang.web.routing import Route
from tests.web.peers import PATIENCE, Peer, exchange, peer_of, serving
from tests.web.routes import ROUTES

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
HEADERS = ((b"content-type", b"text/plain"),)
END = Response(200, HEADERS, b"end")


@dataclass
class Held:
    """Handlers whose answers a test leads; `channels` has those of their requests."""

    channels: list[Channel | None] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    answer: Response = END

    async def __call__(self, request: Request) -> Response:
        """One part at once, one after a while, and the answer."""
        self.channels.append(request.channel)
        if request.channel is not None:
            request.channel.send(HEADERS, b"at once\n")
        self.begun.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if request.channel is not None:
            request.channel.send(HEADERS, b"later\n")
        return self.answer

    @property
    def channel(self) -> Channel:
        channel = self.channels[-1]
        assert channel is not None
        return channel

    @property
    def routes(self) -> list[Route]:
        return [Route("/held", {"GET": self, "POST": self}), *ROUTES]


async def receive_head(peer: Peer) -> dict[str, str]:
    """The head of an answer in parts."""
    async with asyncio.timeout(PATIENCE):
        head = await peer.reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().rstrip().split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["transfer-encoding"] == "chunked"
    assert "content-length" not in headers
    return headers


async def receive_part(peer: Peer) -> bytes:
    """One part; an empty one is the end."""
    async with asyncio.timeout(PATIENCE):
        size = int(await peer.reader.readuntil(b"\r\n"), 16)
        part = await peer.reader.readexactly(size + 2)
    assert part.endswith(b"\r\n")
    return part[:-2]


async def receive_parts(peer: Peer) -> list[bytes]:
    """All of an answer in parts."""
    await receive_head(peer)
    parts = [await receive_part(peer)]
    while parts[-1]:
        parts.append(await receive_part(peer))
    return parts[:-1]


@pytest.mark.proves("V3")
async def test_a_part_leaves_before_the_answer_ends() -> None:
    held = Held()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held")
        headers = await receive_head(peer)
        assert headers["content-type"] == "text/plain"
        assert headers["date"].endswith(" GMT")
        assert await receive_part(peer) == b"at once\n"
        held.channel.send(HEADERS, b"x" * 300)
        assert await receive_part(peer) == b"x" * 300
        held.released.set()
        assert [await receive_part(peer) for _ in range(3)] == [b"later\n", b"end", b""]
        assert (await peer.ask("/echo")).body == b"GET|/echo||"
        assert site.service.statuses == {200: 2}


async def test_an_answer_of_parts_may_end_with_none() -> None:
    held = Held(answer=Response(200, (), b""))
    held.released.set()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held" * 2)
        for _ in range(2):
            assert await receive_parts(peer) == [b"at once\n", b"later\n"]


async def test_who_waits_for_nothing_may_send_parts_too() -> None:
    def answer(request: Request) -> Response:
        assert request.channel is not None
        request.channel.send(HEADERS, b"part")
        return Response(200, HEADERS, b"end")

    async with (
        serving([Route("/", {"GET": answer}), *ROUTES]) as site,
        peer_of(site.address) as peer,
    ):
        await peer.send(GET % b"/" * 2 + GET % b"/echo")
        for _ in range(2):
            assert await receive_parts(peer) == [b"part", b"end"]
        assert (await peer.receive()).body == b"GET|/echo||"


@pytest.mark.proves("C112")
async def test_an_empty_part_is_no_end() -> None:
    held = Held()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held")
        await held.begun.wait()
        held.channel.send(HEADERS, b"")
        held.released.set()
        assert await receive_parts(peer) == [b"at once\n", b"later\n", b"end"]
        assert (await peer.ask("/echo")).status == 200


async def test_requests_behind_a_held_one_are_answered_after_it() -> None:
    held = Held()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held" + GET % b"/echo" + GET % b"/late" + GET % b"/held")
        await receive_head(peer)
        assert await receive_part(peer) == b"at once\n"
        await peer.send(GET % b"/at-once")
        held.channel.send(HEADERS, b"more")
        assert await receive_part(peer) == b"more"
        held.released.set()
        assert [await receive_part(peer) for _ in range(3)] == [b"later\n", b"end", b""]
        assert (await peer.receive()).body == b"GET|/echo||"
        assert (await peer.receive()).body == b'"after a turn"'
        assert await receive_parts(peer) == [b"at once\n", b"later\n", b"end"]
        assert (await peer.receive()).body == b'"at once"'


@pytest.mark.proves("C112")
async def test_what_cannot_be_read_is_refused_after_the_answer_in_hand() -> None:
    held = Held()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held" + b"GET /echo HTTP/1.1\r\nX: a\nb\r\n\r\n" + GET % b"/echo")
        await held.begun.wait()
        held.released.set()
        assert await receive_parts(peer) == [b"at once\n", b"later\n", b"end"]
        assert (await peer.receive()).status == 400
        assert await peer.receive_all() == b""


@pytest.mark.proves("C112")
@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /held HTTP/1.0\r\nHost: a",
        b"GET /held HTTP/1.0\r\nHost: a\r\nConnection: keep-alive",
        b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: close",
        b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: x, Close",
        b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c",
        b"HEAD /held HTTP/1.1\r\nHost: a\r\nConnection: close",
    ],
)
async def test_who_may_not_know_parts_gets_the_answer_whole(request_line: bytes) -> None:
    held = Held()
    held.released.set()
    async with serving(held.routes) as site:
        received = await exchange(site.address, request_line + b"\r\n\r\n")
    assert held.channels == [None]
    assert b"\r\ncontent-length: 3\r\n" in received
    assert b"chunked" not in received
    assert received.endswith(b"\r\n\r\n" + b"end" * request_line.startswith(b"GET"))


@pytest.mark.proves("C112")
async def test_the_answer_to_head_has_no_part() -> None:
    held = Held()
    held.released.set()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET.replace(b"GET", b"HEAD") % b"/held" + GET % b"/echo")
        assert (await peer.receive("HEAD")).headers["content-length"] == "3"
        assert (await peer.receive()).body == b"GET|/echo||"


@pytest.mark.proves("C112")
@pytest.mark.parametrize("path", [b"/held", b"/at-once", b"/late"])
async def test_a_part_after_the_end_is_lost(path: bytes) -> None:
    held = Held()
    held.released.set()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held")
        assert await receive_parts(peer) == [b"at once\n", b"later\n", b"end"]
        held.channel.send(HEADERS, b"too late")
        if path != b"/held":
            await peer.send(GET % path)
            assert (await peer.receive()).status == 200
            held.channel.send(HEADERS, b"too late")
        assert (await peer.ask("/echo")).body == b"GET|/echo||"


async def break_down(request: Request) -> Response:
    assert request.channel is not None
    request.channel.send(HEADERS, b"part")
    raise RuntimeError("canary")


async def break_down_late(request: Request) -> Response:
    assert request.channel is not None
    request.channel.send(HEADERS, b"part")
    await asyncio.sleep(0)
    raise RuntimeError("canary")


async def think_again(request: Request) -> Response:
    assert request.channel is not None
    request.channel.send(HEADERS, b"part")
    await asyncio.sleep(0)
    return Response(401, (), b"canary")


def break_down_at_once(request: Request) -> Response:
    assert request.channel is not None
    request.channel.send(HEADERS, b"part")
    raise RuntimeError("canary")


@pytest.mark.proves("C112")
@pytest.mark.parametrize(
    "handler, status",
    [(break_down, 500), (break_down_late, 500), (break_down_at_once, 500), (think_again, 401)],
)
async def test_an_answer_that_failed_has_no_end_and_nothing_comes_after_it(
    handler: Callable[[Request], Response], status: int
) -> None:
    asked = 0

    def count(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return Response(200, (), b"after")

    routes = [Route("/fails", {"GET": handler}), Route("/count", {"GET": count})]
    async with serving(routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/fails" + GET % b"/count")
        received = await peer.receive_all()
        assert b"0\r\n\r\n" not in received
        assert b"canary" not in received
        assert b"after" not in received
        assert site.service.statuses == {status: 1}
    assert asked == 0


async def test_a_header_that_ends_its_line_begins_nothing() -> None:
    async def answer(request: Request) -> Response:
        assert request.channel is not None
        request.channel.send(((b"x", b"a\r\nset-cookie: b"),), b"part")
        raise AssertionError

    async with (
        serving([Route("/", {"GET": answer}), *ROUTES]) as site,
        peer_of(site.address) as peer,
    ):
        answered = await peer.ask("/")
        assert (answered.status, b"set-cookie" in answered.head) == (500, False)
        assert (await peer.ask("/echo")).status == 200


async def test_a_server_that_stops_ends_what_it_began() -> None:
    held = Held()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held" + GET % b"/echo")
        await receive_head(peer)
        assert await receive_part(peer) == b"at once\n"
        stopping = asyncio.create_task(site.server.stop(grace_seconds=PATIENCE))
        while not site.service.draining:
            await asyncio.sleep(0)
        held.channel.send(HEADERS, b"more")
        held.released.set()
        assert (await peer.receive_all()).endswith(
            b"\r\nmore\r\n6\r\nlater\n\r\n3\r\nend\r\n0\r\n\r\n"
        )
        await peer.close()
        await stopping
        assert not site.service.connections


async def test_what_begins_while_the_server_stops_says_that_it_is_the_last() -> None:
    held = Held()
    async with serving(held.routes) as site, peer_of(site.address) as peer:
        await peer.send((GET % b"/echo" + GET % b"/held")[:-2])
        assert (await peer.receive()).status == 200
        stopping = asyncio.create_task(site.server.stop(grace_seconds=PATIENCE))
        while not site.service.draining:
            await asyncio.sleep(0)
        await peer.send(b"\r\n")
        assert (await receive_head(peer))["connection"] == "close"
        held.released.set()
        assert (await peer.receive_all()).endswith(b"end\r\n0\r\n\r\n")
        await peer.close()
        await stopping


@pytest.mark.proves("C112", "F16")
async def test_an_answer_that_never_ends_is_cut_off() -> None:
    held = Held()
    limits = Limits(request_seconds=0.2, sweep_seconds=0.02)
    async with serving(held.routes, limits=limits) as site, peer_of(site.address) as peer:
        await peer.send(GET % b"/held" + GET % b"/echo")
        received = await peer.receive_all()
        assert received.endswith(b"8\r\nat once\n\r\n")
        assert held.cancelled
        assert site.service.refusals == {"slow_answer": 1}


@pytest.mark.proves("C112", "F16")
async def test_who_does_not_take_the_parts_is_cut_off() -> None:
    held = Held()
    limits = Limits(request_seconds=0.2, sweep_seconds=0.02)
    async with serving(held.routes, limits=limits) as site, peer_of(site.address) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET % b"/held")
        await held.begun.wait()
        held.channel.send(HEADERS, b"x" * 30_000_000)
        held.released.set()
        async with asyncio.timeout(PATIENCE):
            while site.service.connections:
                await asyncio.sleep(0.01)
        held.channel.send(HEADERS, b"too late")


async def test_a_peer_that_leaves_is_told_nothing_more() -> None:
    held = Held()
    async with serving(held.routes) as site:
        async with peer_of(site.address) as peer:
            await peer.send(GET % b"/held")
            await receive_head(peer)
        async with asyncio.timeout(PATIENCE):
            while site.service.connections:
                await asyncio.sleep(0.01)
        assert held.cancelled
        held.channel.send(HEADERS, b"too late")
        assert site.service.statuses == {}
