"""A connection, from the other end of a real socket."""

import asyncio
import re

import pytest

from dojang.oauth.http import JSON, Request, Response
from dojang.web.limits import Limits
from dojang.web.routing import Route
from tests.web.peers import exchange, peer_of, serving
from tests.web.routes import ROUTES

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_request_is_answered_with_a_date_and_a_length() -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        answer = await peer.ask("/echo?a=b&c", method="POST", body=b"content")
    assert (answer.status, answer.body) == (200, b"POST|/echo|a=b&c|content")
    assert answer.headers["content-type"] == "text/plain"
    date = answer.headers["date"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert "server" not in answer.headers


async def test_a_connection_serves_many_requests() -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        for path in ("/echo", "/late", "/at-once", "/none", "/late", "/echo"):
            assert (await peer.ask(path)).status == (404 if path == "/none" else 200)


async def test_answers_leave_in_the_order_of_the_requests() -> None:
    paths = [b"/late", b"/echo?1", b"/at-once", b"/late", b"/late", b"/echo?2"] * 40
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        await peer.send(b"".join(GET % path for path in paths))
        bodies = [(await peer.receive()).body for _ in paths]
    names = {b"/late": b'"after a turn"', b"/at-once": b'"at once"'}
    assert bodies == [names.get(path, b"GET|" + path.replace(b"?", b"|") + b"|") for path in paths]


async def test_a_request_may_come_one_byte_at_a_time() -> None:
    request = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        for at in range(len(request)):
            await peer.send(request[at : at + 1])
            await asyncio.sleep(0)
        assert (await peer.receive()).body == b"POST|/echo||abc"


async def test_chunks_are_put_together_and_trailers_dropped() -> None:
    content = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nAuthorization: Basic x\r\n\r\n"
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        await peer.send(head % b"/echo" + content + head % b"/headers" + content)
        assert (await peer.receive()).body == b"POST|/echo||abcde"
        assert (await peer.receive()).body == b"host=a\ntransfer-encoding=chunked"


async def test_head_is_get_without_content() -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        answer = await peer.ask("/at-once", method="HEAD")
        assert answer.headers["content-length"] == "9"
        assert (await peer.ask("/at-once")).body == b'"at once"'


@pytest.mark.parametrize(
    "request_line", [b"GET /echo HTTP/1.0", b"GET /echo HTTP/1.0\r\nConnection: keep-alive"]
)
async def test_http_1_0_gets_one_answer(request_line: bytes) -> None:
    async with serving(ROUTES) as site:
        received = await exchange(site.address, request_line + b"\r\n\r\n" + GET % b"/echo")
    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close\r\n" in received


async def test_close_is_honoured() -> None:
    async with serving(ROUTES) as site:
        received = await exchange(
            site.address, b"GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
    assert b"connection: close\r\n" in received
    assert received.endswith(b'"after a turn"')


async def test_an_upgrade_is_not_taken_up() -> None:
    lines = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nanything"
    async with serving(ROUTES) as site:
        received = await exchange(site.address, lines)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b"GET|/echo||")


async def test_a_peer_that_asks_first_is_told_to_continue() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        await peer.send(head)
        assert (await peer.receive()).status == 100
        await peer.send(b"ok")
        assert (await peer.receive()).body == b"POST|/echo||ok"


async def test_other_expectations_fail() -> None:
    async with serving(ROUTES) as site:
        received = await exchange(
            site.address, b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n"
        )
    assert received.startswith(b"HTTP/1.1 417 ")


async def test_a_peer_that_leaves_cancels_its_request() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait_for_ever(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with serving([Route("/wait", {"GET": wait_for_ever})]) as site:
        async with peer_of(site.address) as peer:
            await peer.send(GET % b"/wait")
            await begun.wait()
        async with asyncio.timeout(30):
            await cancelled.wait()


async def test_a_peer_that_does_not_read_is_not_written_to_without_end() -> None:
    big = Response(200, (JSON,), b"x" * 60_000)
    answered = 0

    def answer(request: Request) -> Response:
        nonlocal answered
        answered += 1
        return big

    # A big limit on the kernel's side: what it does not take stays in our buffer.
    requests = 4000
    async with serving([Route("/big", {"GET": answer})]) as site, peer_of(site.address) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.writer.write(GET % b"/big" * requests)
        for _ in range(200):
            await asyncio.sleep(0)
        before = answered
        assert before < requests
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(requests):
            assert len((await peer.receive()).body) == 60_000
    assert answered == requests


async def test_a_peer_that_never_reads_is_cut_off() -> None:
    big = Response(200, (JSON,), b"x" * 60_000)
    limits = Limits(request_seconds=0.2, sweep_seconds=0.02)
    async with (
        serving([Route("/big", {"GET": lambda request: big})], limits=limits) as site,
        peer_of(site.address) as peer,
    ):
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.writer.write(GET % b"/big" * 4000)
        async with asyncio.timeout(30):
            while not site.service.refusals["slow_reader"]:
                await asyncio.sleep(0.01)


async def test_an_answer_that_never_comes_is_given_up() -> None:
    async def wait_for_ever(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    limits = Limits(request_seconds=0.1, sweep_seconds=0.02)
    async with (
        serving([Route("/wait", {"GET": wait_for_ever}), *ROUTES], limits=limits) as site,
        peer_of(site.address) as peer,
    ):
        answer = await peer.ask("/wait")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await peer.ask("/echo")).status == 200


async def test_connections_are_bounded() -> None:
    async with (
        serving(ROUTES, limits=Limits(connections=2)) as site,
        peer_of(site.address) as first,
        peer_of(site.address) as second,
    ):
        assert (await first.ask("/echo")).status == 200
        assert (await second.ask("/echo")).status == 200
        assert (await exchange(site.address, b"")).startswith(b"HTTP/1.1 503 ")
        assert (await first.ask("/echo")).status == 200


def test_a_header_cannot_end_its_line() -> None:
    from dojang.web.wire import build_lines

    with pytest.raises(ValueError, match="control character"):
        build_lines(((b"location", b"/\r\nset-cookie: a=b"),))
