"""A request that two readers could take differently is refused and ends the connection."""

import pytest

from tests.web.peers import exchange, serving
from tests.web.routes import ROUTES

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
NEXT = b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n"

AMBIGUOUS = {
    "content-length twice": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "content-length list": POST + b"Content-Length: 1, 1\r\n\r\na",
    "content-length sign": POST + b"Content-Length: +1\r\n\r\na",
    "content-length of many zeros": POST + b"Content-Length: " + b"0" * 5000 + b"1\r\n\r\na",
    "content-length overflow": POST + b"Content-Length: 18446744073709551617\r\n\r\na",
    "length and coding": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "coding twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding unknown": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coding identity and chunked": POST
    + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding with a tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded header": POST + b"X: a\r\n b\r\n\r\n",
    "space before colon": POST + b"Content-Length : 1\r\n\r\na",
    "space before header": b"POST /echo HTTP/1.1\r\n Host: a\r\n\r\n",
    "no colon": POST + b"Content-Length\r\n\r\n",
    "no name": POST + b": a\r\n\r\n",
    "bare LF": b"POST /echo HTTP/1.1\nHost: a\n\n",
    "bare LF in headers": POST + b"X: a\nContent-Length: 1\r\n\r\na",
    "bare LF at the end": POST + b"\n",
    "bare CR in headers": POST + b"X: a\rY: b\r\n\r\n",
    "NUL in a value": POST + b"X: a\0b\r\n\r\n",
    "chunk size with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk size in hex style": POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk size overflow": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\na\r\n",
    "chunk extension with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\naX0\r\n\r\n",
    "host twice": POST + b"Host: b\r\n\r\n",
    "no host": b"GET /echo HTTP/1.1\r\n\r\n",
    "no host but keep-alive": b"GET /echo HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
    "version 0.9": b"GET /echo\r\n\r\n",
    "version 1.2": b"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n",
    "version 2.0": b"GET /echo HTTP/2.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "upgrade with content": POST
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    "a tunnel with content": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "a method in lower case": b"post /echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "eight bits in the target": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "after a good one"])
@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_it_is_refused_and_nothing_after_it_is_answered(name: str, first: bool) -> None:
    sent = AMBIGUOUS[name] + NEXT
    async with serving(ROUTES) as site:
        if first:
            received = await exchange(site.address, sent)
        else:
            received = await exchange(site.address, NEXT + sent)
            before, received = received.split(b'"at once"', 1)
            assert before.startswith(b"HTTP/1.1 200 ")
    assert received.split(b" ")[1] in {b"400", b"501", b"505"}
    assert b"connection: close\r\n" in received
    assert received.count(b"content-length: ") == 1
    assert b"at once" not in received


@pytest.mark.parametrize(
    "target",
    [
        *("http://a/echo", "/ech%6f", "/echo/", "//echo", "/./echo", "/ECHO", "/echo;a", "*"),
        *("/echo#a", "/%2e%2e/echo", "/echo%00", "a:80", "/echo%3fa"),
    ],
)
async def test_only_the_exact_path_leads_to_an_endpoint(target: str) -> None:
    async with serving(ROUTES) as site:
        received = await exchange(
            site.address,
            b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target.encode(),
        )
    assert received.split(b" ")[1] in {b"404", b"400"}


async def test_a_tunnel_is_refused_and_nothing_after_it_is_answered() -> None:
    async with serving(ROUTES) as site:
        received = await exchange(site.address, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + NEXT)
    assert received.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close\r\n" in received
    assert b"at once" not in received
