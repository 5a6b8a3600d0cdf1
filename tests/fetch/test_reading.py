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


def test_headers_have_names_in_lower_case_and_of_a_repeated_one_the_last_counts() -> None:
    fields = b"A:1\r\nB-b:\t 2 \t\r\nC:\r\nD: a: b \r\nd: last\r\nE: \xe9\r\nContent-Length: 0"
    response = answer(b"HTTP/1.1 200\r\n" + fields + b"\r\n\r\n")
    assert response.headers == {
        "a": "1",
        "b-b": "2",
        "c": "",
        "d": "last",
        "e": "\xe9",
        "content-length": "0",
    }


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_have_no_content(status: bytes) -> None:
    response = answer(b"HTTP/1.1 " + status + b"\r\nContent-Length: 7\r\n\r\n")
    assert response.body == b""


@pytest.mark.parametrize("frame", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_nor_has_the_answer_to_head(frame: bytes) -> None:
    request = GET._replace(method="HEAD")
    response = answer(b"HTTP/1.1 200\r\n" + frame + b"\r\n\r\n", request=request)
    assert (response.status, response.body) == (200, b"")


@pytest.mark.proves("C99")
@pytest.mark.parametrize(
    "wire, reusable",
    [
        (PLAIN, True),
        (CHUNKED, True),
        (PLAIN + b"H", False),
        (PLAIN + PLAIN, False),
        (CHUNKED + PLAIN, False),
        (b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
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
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\ncontent-length: 5\r\n\r\nhello",
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
        HEAD_OF_CHUNKS + b"0\r\nX: " + b"x" * 66_000,
        HEAD_OF_CHUNKS + b"0\r\nX: " + b"x" * 70_000,
    ],
)
@pytest.mark.parametrize("piece", [997, 1_000_000])
def test_no_way_of_framing_makes_an_answer_longer(wire: bytes, piece: int) -> None:
    assert refused(wire, piece=piece) is FetchProblem.TOO_LARGE


# --- lines ---------------------------------------------------------------------------------


class Heard(list[bytes]):
    """The lines of an answer; `most` of them are wanted."""

    def __init__(self, most: int = 1_000_000) -> None:
        super().__init__()
        self._most = most

    def hear(self, line: bytes) -> bool:
        self.append(line)
        return len(self) < self._most


def chunk(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


END = b"0\r\n\r\n"


@pytest.mark.proves("V3")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
@pytest.mark.parametrize("piece", [1, 2, 7, 64, 10_000])
def test_lines_are_given_out_wherever_they_are_cut(size: int, piece: int) -> None:
    content = b"one\n\nthree \r\nf\0ur\n" + b"the body"
    cut = chunk(*(content[at : at + size] for at in range(0, len(content), size)))
    heard = Heard()
    response = answer(
        HEAD_OF_CHUNKS + cut + END, piece=piece, request=GET._replace(hear=heard.hear)
    )
    assert heard == [b"one", b"", b"three \r", b"f\0ur"]
    assert response.body == b"the body"


@pytest.mark.proves("V3")
def test_a_line_is_given_out_when_it_has_come() -> None:
    heard = Heard()
    reader = AnswerReader(GET._replace(hear=heard.hear))
    for wire, lines in [
        (HEAD_OF_CHUNKS + chunk(b"on"), []),
        (chunk(b"e\ntw"), [b"one"]),
        (chunk(b"o"), [b"one"]),
        (chunk(b"\n"), [b"one", b"two"]),
        (chunk(b"three\nfour\n"), [b"one", b"two", b"three", b"four"]),
    ]:
        assert reader.feed(wire) is None
        assert heard == lines
    response = reader.feed(END)
    assert response is not None
    assert response.body == b""
    assert reader.reusable


@pytest.mark.proves("V3")
@pytest.mark.parametrize(
    "reads, lines",
    [
        ([b"4\r\none\n\r\n"], [b"one"]),
        (
            [b"04\r\none\n\r\n", b"1\r\n\n\r\n", b"B\r\n" + b"x" * 10 + b"\n\r\n"],
            [b"one", b"", b"x" * 10],
        ),
        ([b"4;a=b\r\none\n\r\n"], [b"one"]),
        ([b"4 \r\none\n\r\n"], [b"one"]),
        ([b"5\r\none\r\n\r\n"], [b"one\r"]),
        ([b"9\r\n", b"4\r\none\n\r\n", b"\r\n"], [b"4\r", b"one", b"\r"]),
        ([b"2\r\non\r\n", b"2\r\ne\n\r\n"], [b"one"]),
        ([b"4\r\none\n\r\n4\r\ntwo\n\r\n"], [b"one", b"two"]),
    ],
)
def test_what_comes_in_one_read_is_told_as_it_is_framed(
    reads: list[bytes], lines: list[bytes]
) -> None:
    heard = Heard()
    reader = AnswerReader(GET._replace(hear=heard.hear))
    for data in (HEAD_OF_CHUNKS, *reads):
        assert reader.feed(data) is None
    assert heard == lines
    response = reader.feed(chunk(b"body") + END)
    assert response is not None
    assert response.body == b"body"


@pytest.mark.proves("C99", "V3")
@pytest.mark.parametrize("size", [b"3", b"5", b"0", b"-4", b"", b"0x4", b"+4", b"4_0", b"4\n"])
def test_a_line_in_one_read_of_another_size_than_it_says_is_not_told(size: bytes) -> None:
    heard = Heard()
    reader = AnswerReader(GET._replace(hear=heard.hear))
    reader.feed(HEAD_OF_CHUNKS)
    with pytest.raises(FetchFailed) as failure:
        reader.feed(size + b"\r\none\n\r\n")
        reader.feed(chunk(b"two\n"))
        reader.end()
    assert failure.value.problem is FetchProblem.MALFORMED
    assert heard == []


def test_without_a_line_all_is_body() -> None:
    heard = Heard()
    wire = HEAD_OF_CHUNKS + chunk(b"a ", b"body") + END
    assert answer(wire, request=GET._replace(hear=heard.hear)).body == b"a body"
    assert heard == []


@pytest.mark.proves("V3")
@pytest.mark.parametrize(
    "head, content",
    [
        (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"a\nb") + END),
        (b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"a\nb") + END),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"a\nb"),
    ],
)
def test_no_other_answer_has_lines(head: bytes, content: bytes) -> None:
    heard = Heard()
    response = answer(head + content, request=GET._replace(hear=heard.hear))
    assert (response.body, heard) == (b"a\nb", [])


@pytest.mark.proves("V3")
@pytest.mark.parametrize(
    "reads", [[b"one\ntwo\nthree\n", b"four\n"], [b"one\n", b"two\n", b"three\n"]]
)
def test_who_hears_enough_reads_no_further(reads: list[bytes]) -> None:
    heard = Heard(most=2)
    reader = AnswerReader(GET._replace(hear=heard.hear))
    reader.feed(HEAD_OF_CHUNKS)
    with pytest.raises(FetchFailed) as failure:
        for part in reads:
            reader.feed(chunk(part))
    assert failure.value.problem is FetchProblem.MALFORMED
    assert heard == [b"one", b"two"]


@pytest.mark.proves("C99", "V3")
@pytest.mark.parametrize("piece", [97, 65_536])
def test_lines_may_be_longer_than_the_limit_only_together(piece: int) -> None:
    heard = Heard()
    request = GET._replace(hear=heard.hear)
    lines = [bytes([97 + each % 26]) * 999 for each in range(200)]
    wire = HEAD_OF_CHUNKS + b"".join(chunk(line[:500], line[500:] + b"\n") for line in lines)
    assert answer(wire + chunk(b"x" * 1000) + END, piece=piece, request=request).body == b"x" * 1000
    assert heard == lines


@pytest.mark.proves("C99")
@pytest.mark.parametrize(
    "parts",
    [
        [b"x" * 1001],
        [b"x" * 600, b"x" * 401],
        [b"x" * 1000 + b"\n"],
        [b"one\n", b"x" * 600, b"x" * 400 + b"\n"],
        [b"one\n" + b"x" * 600, b"x" * 401],
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_one_line_may_not(parts: list[bytes], *, apart: bool) -> None:
    heard = Heard()
    reader = AnswerReader(GET._replace(hear=heard.hear))
    reads = [HEAD_OF_CHUNKS, *map(chunk, parts), END]
    with pytest.raises(FetchFailed) as failure:
        for data in reads if apart else [b"".join(reads)]:
            reader.feed(data)
    assert failure.value.problem is FetchProblem.TOO_LARGE
    assert heard in ([], [b"one"])


@pytest.mark.proves("C99")
def test_between_lines_no_framing_makes_an_answer_longer() -> None:
    heard = Heard()
    wire = HEAD_OF_CHUNKS + chunk(b"one\n") + (b"1;" + b"x" * 900 + b"\r\na\r\n") * 999
    with pytest.raises(FetchFailed) as failure:
        read(wire, request=GET._replace(hear=heard.hear), piece=1000)
    assert failure.value.problem is FetchProblem.TOO_LARGE
