"""An answer read from bytes, whatever pieces they come in."""

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, FetchResponse
from dojang.fetch.reading import AnswerReader

GET = FetchRequest("GET", "https://issuer.example/", max_bytes=1000)


def read(wire: bytes, *, piece: int = 1_000_000, request: FetchRequest = GET) -> AnswerReader:
    """A reader that took in all of `wire`, in pieces."""
    reader = AnswerReader(request)
    for at in range(0, len(wire), piece):
        reader.feed(wire[at : at + piece])
    return reader


def answer(wire: bytes, *, piece: int = 1_000_000, request: FetchRequest = GET) -> FetchResponse:
    """The answer that is whole with the last byte of `wire` and not before."""
    reader = AnswerReader(request)
    for at in range(0, len(wire), piece):
        response = reader.feed(wire[at : at + piece])
        if at + piece < len(wire):
            assert response is None
        else:
            assert response is not None
            return response
    raise AssertionError


def refused(wire: bytes, *, piece: int = 1_000_000) -> FetchProblem:
    with pytest.raises(FetchFailed) as failure:
        read(wire, piece=piece)
    return failure.value.problem


HEAD_OF_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind:  tea \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: tea\r\n\r\n"
    b"3;ext=1\r\nhel\r\n02 \r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)


@pytest.mark.parametrize("wire", [PLAIN, CHUNKED])
@pytest.mark.parametrize("piece", [1, 2, 7, 1_000])
def test_the_pieces_do_not_matter(wire: bytes, piece: int) -> None:
    response = answer(wire, piece=piece)
    assert (response.status, response.body, response.headers["x-kind"]) == (200, b"hello", "tea")


def test_the_end_of_the_connection_can_be_that_of_the_answer() -> None:
    reader = read(b"HTTP/1.0 200 OK\r\n\r\nhel")
    reader.feed(b"lo")
    assert reader.end().body == b"hello"
    assert not reader.reusable


@pytest.mark.parametrize("cut", [20, len(PLAIN) - 1])
def test_an_answer_cut_short_is_none(cut: int) -> None:
    with pytest.raises(FetchFailed) as failure:
        read(PLAIN[:cut]).end()
    assert failure.value.problem is FetchProblem.MALFORMED


def test_interim_answers_come_before_the_answer() -> None:
    wire = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + PLAIN
    response = answer(wire, piece=3)
    assert "link" not in response.headers
    assert response.status == 200


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_have_no_content(status: bytes) -> None:
    response = answer(b"HTTP/1.1 " + status + b"\r\nContent-Length: 7\r\n\r\n")
    assert response.body == b""


def test_nor_has_the_answer_to_head() -> None:
    request = GET._replace(method="HEAD")
    assert answer(b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", request=request).status == 200


@pytest.mark.parametrize(
    "wire, reusable",
    [
        (PLAIN, True),
        (CHUNKED, True),
        (PLAIN + b"H", False),
        (CHUNKED + b"H", False),
        (PLAIN.replace(b"/1.1", b"/1.0"), False),
        (PLAIN.replace(b"X-Kind", b"Connection: Close\r\nX-Kind"), False),
    ],
)
def test_a_connection_is_used_again_where_nothing_is_odd(wire: bytes, reusable: bool) -> None:
    assert read(wire).reusable is reusable


@pytest.mark.proves("C99")
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n folded: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        HEAD_OF_CHUNKS + b"3\r\nabcXY0\r\n\r\n",
        HEAD_OF_CHUNKS + b"1" * 2000,
        HEAD_OF_CHUNKS + b"-1\r\nx",
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(wire: bytes) -> None:
    assert refused(wire) is FetchProblem.MALFORMED


@pytest.mark.proves("C99")
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        HEAD_OF_CHUNKS + b"3e9\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"
        + b"x" * 1000
        + b"\r\n1\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,
        HEAD_OF_CHUNKS + b"0\r\nX: " + b"x" * 70_000,
    ],
)
@pytest.mark.parametrize("piece", [997, 1_000_000])
def test_no_way_of_framing_makes_an_answer_longer(wire: bytes, piece: int) -> None:
    assert refused(wire, piece=piece) is FetchProblem.TOO_LARGE
