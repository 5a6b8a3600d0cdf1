"""One answer, read from the bytes as they come: RFC 9112 §4, §6 and §7.1. No I/O, no clock.

Stricter than the RFC where leniency serves smugglers only: lines end in CR LF, a header has no
continuation, and an answer is framed in one way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.message import FetchRequest, FetchResponse, check_response

HEAD_BYTES: Final = 65_536
FRAMING: Final = 4  # bytes on the wire for a byte of content, at most

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_FIELDS: Final = re.compile(rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*")
_FIELD: Final = re.compile(r"\r\n([^:]+):[ \t]*([^\r]*)")  # of such
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n([^\n]*)\n\r\n")  # a chunk that is one
_SIZE_BYTES: Final = 1024  # of the line before a chunk
_FRAMES: Final = frozenset({"content-length", "transfer-encoding"})


class AnswerReader:
    """Takes in the bytes of an answer to `request`. `begun` says that some came; `reusable`, once
    it is whole, that its connection may carry another."""

    __slots__ = (
        "_allowance",
        "_body",
        "_data",
        "_headers",
        "_hear",
        "_lasts",
        "_length",
        "_request",
        "_status",
        "_take",
        "begun",
        "reusable",
    )

    def __init__(self, request: FetchRequest) -> None:
        self.begun = self.reusable = False
        self._request = request
        self._allowance = HEAD_BYTES + FRAMING * request.max_bytes
        self._data = bytearray()  # what came and is not taken in yet
        self._take = self._take_head
        self._status = 0
        self._headers: dict[str, str] = {}
        self._lasts = False  # whether the connection is to outlast the answer
        self._length = 0  # of the content, where the head says it
        self._body = bytearray()  # what chunks brought
        self._hear: Callable[[bytes], bool] | None = None  # where they bring lines

    def feed(self, data: bytes) -> FetchResponse | None:
        """The answer, once it is whole. Raises `FetchFailed`."""
        hear = self._hear
        # Nothing is spent of what bounds the framing: each of these brings a line.
        if hear is not None and not self._data and not self._body:
            line = _LINE.fullmatch(data)
            if line is not None and int(line[1], 16) == len(line[2]) + 1 <= self._request.max_bytes:
                if not hear(line[2]):
                    raise self._fail(FetchProblem.MALFORMED)
                return None
        self.begun = True
        self._allowance -= len(data)
        if self._allowance < 0:
            raise self._fail(FetchProblem.TOO_LARGE)
        self._data += data
        return self._take()

    def end(self) -> FetchResponse:
        """The answer, where the end of the connection is its end. Raises `FetchFailed`."""
        if self._take != self._take_rest:
            raise self._fail(FetchProblem.MALFORMED)
        return FetchResponse(self._status, self._headers, bytes(self._data))

    def _take_head(self) -> FetchResponse | None:
        data = self._data
        while self._status < 200:  # RFC 9110 §15.2: others may come first
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > HEAD_BYTES:
                    raise self._fail(FetchProblem.TOO_LARGE)
                return None
            self._parse_head(data[:end])
            del data[: end + 4]
        check_response(self._request, self._status, self._headers)
        self._take = self._find_frame()
        return self._take()

    def _parse_head(self, head: bytearray) -> None:
        status = _STATUS.match(head)
        if status is None or status[2] == b"101" or not _FIELDS.fullmatch(head, status.end()):
            raise self._fail(FetchProblem.MALFORMED)
        fields = _FIELD.findall(head.decode("latin-1"), status.end())
        headers = {name.lower(): value.rstrip(" \t") for name, value in fields}
        if len(headers) < len(fields) and _is_framed_twice(fields):
            raise self._fail(FetchProblem.MALFORMED)
        self._status, self._headers = int(status[2]), headers
        self._lasts = status[1] == b"1" and "close" not in headers.get("connection", "").lower()

    def _find_frame(self) -> Callable[[], FetchResponse | None]:
        """How the content ends (RFC 9112 §6.3)."""
        length = self._headers.get("content-length")
        coding = self._headers.get("transfer-encoding")
        if coding is not None and (coding.lower() != "chunked" or length is not None):
            raise self._fail(FetchProblem.MALFORMED)
        if self._request.method == "HEAD" or self._status in (204, 304):
            length = "0"
        elif coding is not None:
            if self._status == 200:
                self._hear = self._request.hear
            return self._take_chunks
        if length is None:
            return self._take_rest
        self._length = int(length)
        return self._take_length

    def _take_length(self) -> FetchResponse | None:
        data, length = self._data, self._length
        if len(data) < length:
            return None
        return self._finish(data[:length], at_end=len(data) == length)

    def _take_rest(self) -> FetchResponse | None:
        self._check_size(len(self._data))
        return None

    def _take_chunks(self) -> FetchResponse | None:
        data = self._data
        while (size := _SIZE.match(data)) is not None:
            count = int(size[1], 16)
            first, last = size.end(), size.end() + count
            if not count:
                return self._take_trailers(first - 2)
            self._check_size(len(self._body) + count)
            if len(data) < last + 2:
                return None
            if data[last : last + 2] != b"\r\n":
                raise self._fail(FetchProblem.MALFORMED)
            piece = data[first:last]
            del data[: last + 2]
            self._body += piece
            if self._hear is not None and b"\n" in piece:
                self._tell_all(self._hear)
        if b"\r\n" in data or len(data) > _SIZE_BYTES:
            raise self._fail(FetchProblem.MALFORMED)
        return None

    def _take_trailers(self, begin: int) -> FetchResponse | None:
        """What nobody reads, and the end."""
        end = self._data.find(b"\r\n\r\n", begin)
        if end >= 0:
            return self._finish(self._body, at_end=len(self._data) == end + 4)
        if len(self._data) > HEAD_BYTES:
            raise self._fail(FetchProblem.TOO_LARGE)
        return None

    def _tell_all(self, hear: Callable[[bytes], bool]) -> None:
        """Give out the lines that have ended, and keep what follows them."""
        *lines, self._body = self._body.split(b"\n")
        self._allowance = HEAD_BYTES + FRAMING * self._request.max_bytes
        for line in lines:
            if not hear(bytes(line)):
                raise self._fail(FetchProblem.MALFORMED)

    def _check_size(self, size: int) -> None:
        if size > self._request.max_bytes:
            raise self._fail(FetchProblem.TOO_LARGE)

    def _finish(self, body: bytearray, *, at_end: bool) -> FetchResponse:
        self.reusable = self._lasts and at_end
        return FetchResponse(self._status, self._headers, bytes(body))

    def _fail(self, problem: FetchProblem) -> FetchFailed:
        return FetchFailed(self._request.host, problem)


def _is_framed_twice(fields: Iterable[tuple[str, str]]) -> bool:
    names = [name.lower() for name, _ in fields]
    return any(names.count(frame) > 1 for frame in _FRAMES)
