"""One answer, read from the bytes as they come: RFC 9112 §4, §6 and §7.1. No I/O, no clock.

Stricter than the RFC where leniency serves smugglers only: lines end in CR LF, a header has no
continuation, and an answer is framed in one way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.message import FetchRequest, FetchResponse, check_response

HEAD_BYTES: Final = 65_536
FRAMING: Final = 4  # bytes on the wire for a byte of content, at most

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_FIELDS: Final = re.compile(rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_SIZE_BYTES: Final = 1024  # of the line before a chunk
_FRAMES: Final = frozenset({"content-length", "transfer-encoding"})


class AnswerReader:
    """Takes in the bytes of an answer to `request`. `begun` says that some came; `reusable`, once
    it is whole, that its connection may carry another."""

    __slots__ = (
        "_allowance",
        "_chunks",
        "_data",
        "_headers",
        "_lasts",
        "_pieces",
        "_request",
        "_size",
        "_status",
        "_take",
        "begun",
        "reusable",
    )

    def __init__(self, request: FetchRequest) -> None:
        self.begun = self.reusable = False
        self._request = request
        self._allowance = HEAD_BYTES + FRAMING * request.max_bytes
        self._data = b""  # what came and is not taken in yet
        self._chunks = bytearray()  # the same, where the answer is chunked
        self._take = self._take_head
        self._status = 0
        self._headers: dict[str, str] = {}
        self._lasts = False  # whether the connection is to outlast the answer
        self._pieces: list[bytes] = []
        self._size = 0  # of the content, in all or as yet

    def feed(self, data: bytes) -> FetchResponse | None:
        """The answer, once it is whole. Raises `FetchFailed`."""
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
        return FetchResponse(self._status, self._headers, b"".join(self._pieces))

    def _take_head(self) -> FetchResponse | None:
        while self._status < 200:  # RFC 9110 §15.2: others may come first
            head, ended, rest = self._data.partition(b"\r\n\r\n")
            if not ended:
                if len(head) > HEAD_BYTES:
                    raise self._fail(FetchProblem.TOO_LARGE)
                return None
            self._data = rest
            self._parse_head(head)
        check_response(self._request, self._status, self._headers)
        self._take = self._find_frame()
        return self._take()

    def _parse_head(self, head: bytes) -> None:
        line = head.partition(b"\r\n")[0]
        status = _STATUS.fullmatch(line)
        if status is None or status[2] == b"101" or _FIELDS.fullmatch(head, len(line)) is None:
            raise self._fail(FetchProblem.MALFORMED)
        headers: dict[str, str] = {}
        for field in head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = field.partition(":")
            name = name.lower()
            if name in _FRAMES and name in headers:
                raise self._fail(FetchProblem.MALFORMED)
            headers[name] = value.strip(" \t")
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
            return self._take_chunks
        if length is None:
            return self._take_rest
        self._size = int(length)
        return self._take_length

    def _take_length(self) -> FetchResponse | None:
        data, self._data = self._data, b""
        if len(data) < self._size:
            self._pieces.append(data)
            self._size -= len(data)
            return None
        self._pieces.append(data[: self._size])
        return self._finish(at_end=len(data) == self._size)

    def _take_rest(self) -> FetchResponse | None:
        data, self._data = self._data, b""
        self._size += len(data)
        self._check_size(self._size)
        self._pieces.append(data)
        return None

    def _take_chunks(self) -> FetchResponse | None:
        data = self._chunks
        data += self._data
        self._data = b""
        while (line := data.find(b"\r\n")) >= 0:
            size = _SIZE.fullmatch(data, 0, line)
            if size is None:
                raise self._fail(FetchProblem.MALFORMED)
            count = int(size[1], 16)
            if not count:
                end = data.find(b"\r\n\r\n", line)  # behind the trailers, which nobody reads
                return None if end < 0 else self._finish(at_end=len(data) == end + 4)
            first, last = line + 2, line + 2 + count
            self._check_size(self._size + count)
            if len(data) < last + 2:
                return None
            if data[last : last + 2] != b"\r\n":
                raise self._fail(FetchProblem.MALFORMED)
            self._size += count
            piece = bytes(data[first:last])
            del data[: last + 2]
            hear = self._request.hear
            if hear is None or self._status != 200 or b"\n" not in piece:
                self._pieces.append(piece)
            else:
                self._hear(hear, piece)
        if len(data) > _SIZE_BYTES:
            raise self._fail(FetchProblem.MALFORMED)
        return None

    def _hear(self, hear: Callable[[bytes], bool], piece: bytes) -> None:
        """Give out the lines that `piece` ends, and keep what follows them."""
        *lines, rest = b"".join((*self._pieces, piece)).split(b"\n")
        self._pieces = [rest]
        self._size = len(rest)
        self._allowance = HEAD_BYTES + FRAMING * self._request.max_bytes
        for line in lines:
            if not hear(line):
                raise self._fail(FetchProblem.MALFORMED)

    def _check_size(self, size: int) -> None:
        if size > self._request.max_bytes:
            raise self._fail(FetchProblem.TOO_LARGE)

    def _finish(self, *, at_end: bool) -> FetchResponse:
        self.reusable = self._lasts and at_end
        return FetchResponse(self._status, self._headers, b"".join(self._pieces))

    def _fail(self, problem: FetchProblem) -> FetchFailed:
        return FetchFailed(self._request.host, problem)
