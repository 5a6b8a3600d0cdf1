"""Nothing that is sent is kept without bound (C112)."""

import pytest

from dojang.web.limits import Limits
from tests.web.peers import exchange, peer_of, serving
from tests.web.routes import ROUTES

pytestmark = pytest.mark.proves("C112")

LINE = len(b"X-Long: \r\n")


def head_of(size: int) -> bytes:
    """A request whose headers are `size` bytes by the way they are counted."""
    rest = size - len(b"/echo") - len(b"Host: a\r\n")
    return b"GET /echo HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\n\r\n" % (b"x" * (rest - LINE))


def status_of(received: bytes) -> int:
    return int(received.split(b" ")[1])


def test_the_limits_are_those_that_are_documented() -> None:
    limits = Limits()
    assert (limits.head_bytes, limits.body_bytes) == (16 * 1024, 64 * 1024)
    assert (limits.head_seconds, limits.request_seconds) == (10, 30)


async def test_headers_up_to_the_limit_pass() -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        await peer.send(head_of(16_300))
        assert (await peer.receive()).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(head_of(16 * 1024 + 64), id="one long header"),
        pytest.param(head_of(200_000), id="one huge header"),
        pytest.param(
            b"GET /echo HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 3000 + b"\r\n", id="many headers"
        ),
        pytest.param(b"GET /echo HTTP/1.1\r\nHost: a\r\n" + b"x" * 20_000, id="a name without end"),
        pytest.param(
            b"GET /echo HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, id="a value without end"
        ),
    ],
)
async def test_larger_headers_are_refused(sent: bytes) -> None:
    async with serving(ROUTES) as site:
        received = await exchange(site.address, sent)
        assert status_of(received) == 431


async def test_larger_headers_are_refused_after_a_good_request() -> None:
    good = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(ROUTES) as site:
        received = await exchange(site.address, good + head_of(16 * 1024 + 6000))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 431 " in received


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"0\r\nX: " + b"x" * 100_000, id="a trailer"),
        pytest.param(b"0\r\n" + b"X: x\r\n" * 20_000, id="trailers"),
        pytest.param(b"1;" + b"x" * 100_000, id="a chunk extension"),
        pytest.param(b"1\r\nx\r\n" * 20_000, id="chunks of one byte"),
    ],
)
async def test_the_framing_of_chunks_does_not_grow_without_end(framing: bytes) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(ROUTES) as site:
        assert status_of(await exchange(site.address, head + framing)) == 431


@pytest.mark.parametrize("end", [b" HTTP/1.1\r\nHost: a\r\n\r\n", b""])
async def test_a_long_target_is_refused(end: bytes) -> None:
    async with serving(ROUTES) as site:
        received = await exchange(site.address, b"GET /echo?" + b"x" * 9000 + end)
        assert status_of(received) == 414


async def test_content_up_to_the_limit_passes() -> None:
    content = b"x" * 65_536
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        answer = await peer.ask("/echo", method="POST", body=content)
        assert answer.body == b"POST|/echo||" + content


async def test_larger_content_is_refused_before_it_is_sent() -> None:
    async with serving(ROUTES) as site:
        received = await exchange(
            site.address, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"
        )
        assert status_of(received) == 413


async def test_larger_content_is_refused_while_it_comes() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        await peer.send(head + b"1000\r\n%s\r\n" % (b"x" * 4096) * 17)
        answer = await peer.receive()
        assert answer.status == 413
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "sent, reason",
    [
        (b"GET /echo HTTP/1.1\r\nHost:", "slow_head"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", "slow_content"),
    ],
)
async def test_a_request_that_does_not_end_is_given_up(sent: bytes, reason: str) -> None:
    limits = Limits(head_seconds=0.5, request_seconds=0.5, sweep_seconds=0.05)
    async with serving(ROUTES, limits=limits) as site:
        assert status_of(await exchange(site.address, sent)) == 408
        assert site.service.refusals == {reason: 1}


async def test_a_connection_that_says_nothing_is_closed() -> None:
    limits = Limits(head_seconds=0.5, idle_seconds=0.5, sweep_seconds=0.05)
    async with serving(ROUTES, limits=limits) as site:
        assert await exchange(site.address, b"") == b""
        assert await exchange(site.address, b"\r\n" * 1000) == b""
        async with peer_of(site.address) as peer:
            assert (await peer.ask("/echo")).status == 200
            assert await peer.receive_all() == b""
