"""A `Response` as bytes of HTTP/1.1 (RFC 9112 §4, §5)."""

from __future__ import annotations

import time
from typing import Final

from dojang.oauth.http import Headers, Response

CLOSE: Final = b"connection: close\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"  # RFC 9110 §10.1.1
WITHOUT_CONTENT: Final = frozenset({204, 304})

# Those of `http.HTTPStatus` that are sent here; the module takes longer to import than it saves.
PHRASES: Final = {
    200: b"OK",
    204: b"No Content",
    303: b"See Other",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}

MOST_HEADS_HELD: Final = 512

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_heads: Final[dict[tuple[int, Headers], bytes]] = {}


def build_head(status: int, headers: Headers) -> bytes:
    """Status line and headers. Few differ, so those met before are held.

    Raises ValueError where a header holds the end of a line.
    """
    key = (status, headers)
    head = _heads.get(key)
    if head is None:
        head = b"HTTP/1.1 %d %s\r\n%s" % (status, PHRASES.get(status, b""), build_lines(headers))
        if len(_heads) >= MOST_HEADS_HELD:
            _heads.clear()
        _heads[key] = head
    return head


def build_lines(headers: Headers) -> bytes:
    """Header lines. Raises ValueError where one holds the end of a line or NUL."""
    for name, value in headers:
        if not {*b"\r\n\0"}.isdisjoint(name + value):
            raise ValueError("a header holds a control character")
    return b"".join(b"%s: %s\r\n" % pair for pair in headers)


def build_date(seconds: float) -> bytes:
    """The header lines that every answer with content shares: `date` (RFC 9110 §5.6.7), and the
    beginning of `content-length`."""
    at = time.gmtime(seconds)
    return (
        f"date: {_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT\r\ncontent-length: "
    ).encode()


def build_answer(response: Response, extra: bytes, date: bytes, *, with_content: bool) -> bytes:
    """A whole answer: `extra` is header lines of the connection, `date` from `build_date`."""
    status, headers, body, own = response
    if own:
        extra += build_lines(own)
    if status in WITHOUT_CONTENT:
        # RFC 9110 §8.6: 204 has no content-length, and in 304 it may be left out.
        date = date.partition(b"\n")[0]
        return b"".join((build_head(status, headers), extra, date, b"\n\r\n"))
    length = b"%d\r\n\r\n" % len(body)
    if with_content:
        return b"".join((build_head(status, headers), extra, date, length, body))
    return b"".join((build_head(status, headers), extra, date, length))


def build_beginning(headers: Headers, extra: bytes, date: bytes) -> bytes:
    """The head of an answer that comes in parts, a 200."""
    date = date.partition(b"\n")[0]
    coding = b"\ntransfer-encoding: chunked\r\n\r\n"
    return b"".join((build_head(200, headers), extra, date, coding))


def build_part(part: bytes) -> bytes:
    """A chunk (RFC 9112 §7.1); none for nothing, which would be the end."""
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


def build_end(part: bytes) -> bytes:
    """The last part, and the end."""
    return build_part(part) + b"0\r\n\r\n"
