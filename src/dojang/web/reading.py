"""Requests out of the bytes of a connection (RFC 9112), within the limits of C112.

llhttp reads the syntax strictly. A message that two readers could take differently is refused,
and nothing after a refusal is read (RFC 9112 §6.3, §11.2).
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from dojang.oauth.http import Channel, Request, Response, build_json
from dojang.web.cors import VARY_ORIGIN, build_cross_origin
from dojang.web.routing import Handler, RouteTable
from dojang.web.service import Service
from dojang.web.wire import build_lines

# How far the request that is being read has come.
NEW: Final = 0  # the first one has not begun
IDLE: Final = 1
HEAD: Final = 2
BODY: Final = 3

LONGEST_LENGTH: Final = 20  # digits of 64 bits

_VARY: Final = build_lines(VARY_ORIGIN)


class Refused(Exception):
    """What was read cannot be a request here; the connection ends after `answer`. `reason` is
    one fixed word."""

    def __init__(self, answer: Response, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason


def _build_refusal(status: int, description: str) -> Response:
    return build_json(status, {"error": "invalid_request", "error_description": description})


BAD_REQUEST: Final = _build_refusal(400, "This is not a well-formed HTTP/1.1 request.")
TIMEOUT: Final = _build_refusal(408, "The request took too long to arrive.")
TOO_LARGE: Final = _build_refusal(413, "The content is too large.")
LONG_TARGET: Final = _build_refusal(414, "The request target is too long.")
EXPECTATION_FAILED: Final = _build_refusal(417, "Only 100-continue can be expected.")
LARGE_HEAD: Final = _build_refusal(431, "The headers are too large.")
NOT_IMPLEMENTED: Final = _build_refusal(501, "The only transfer coding is chunked.")
BAD_VERSION: Final = _build_refusal(505, "The only versions are HTTP/1.1 and HTTP/1.0.")


class Exchange(NamedTuple):
    """A request and who answers it. `lines` are header lines to add to the answer; after the
    `last` one the connection ends."""

    handler: Handler
    request: Request
    lines: bytes
    last: bool


class Taker(Channel, Protocol):
    """Who is given the requests, and takes the parts of their answers."""

    def take(self, exchange: Exchange) -> None:
        """One request, whole."""

    def invite(self) -> None:
        """The peer waits to be told that it may send the content (RFC 9110 §10.1.1)."""


class Reader:
    """Reads one connection. `phase` is how far it is, `since` when that began or when the last
    answer was given, in the service's time."""

    __slots__ = (
        "_body",
        "_done",
        "_fields",
        "_head_bytes",
        "_headers",
        "_messages",
        "_parser",
        "_peer",
        "_refused",
        "_routes",
        "_service",
        "_taker",
        "_target",
        "phase",
        "since",
    )

    def __init__(self, taker: Taker, routes: RouteTable, service: Service, *, peer: str) -> None:
        self._taker = taker
        self._routes = routes
        self._service = service
        self._peer = peer
        self._parser = HttpRequestParser(self)
        self.phase = NEW
        self.since = service.now
        self._messages = 0
        self._done = False
        self._refused: Refused | None = None
        self.on_message_begin()
        self.phase = NEW

    def read(self, data: bytes | memoryview) -> None:
        """Give every request that `data` completes to the taker; the last one may be followed
        by anything. Raises `Refused`."""
        messages = self._messages
        in_body = len(self._body) if self.phase == BODY else -1
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            return  # the request before it was the last one
        except HttpParserError as error:
            if self._refused is not None:
                raise self._refused from None
            if self._done:
                return
            if isinstance(error, HttpParserCallbackError) and error.__context__ is not None:
                raise error.__context__ from None
            raise Refused(BAD_REQUEST, "bad_syntax") from None
        if self.phase == IDLE:
            return
        if self._messages == messages:
            if self.phase == HEAD:
                self._head_bytes += len(data)
            elif in_body >= 0:  # what is not content is chunk sizes, extensions and trailers
                self._head_bytes += len(data) - (len(self._body) - in_body)
        self._check_head_size(self._head_bytes)

    # What the parser calls. It takes no exception: what is raised here is kept and stops it.

    def on_message_begin(self) -> None:
        self.phase = HEAD
        self.since = self._service.now
        self._head_bytes = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase == HEAD:  # trailers are dropped (RFC 9112 §7.1.2)
            self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        self.phase = BODY
        headers = self._headers
        self._fields = fields = dict(headers)
        if self._head_bytes or len(self._target) > self._service.limits.target_bytes:
            size = sum(len(name) + len(value) + 4 for name, value in headers)
            self._check_head_size(size + len(self._target))
            self._head_bytes = 0
        if len(fields) != len(headers):
            self._check_repeated([name for name, _ in headers])
        length = fields.get(b"content-length")
        if length is not None:
            if len(length) > LONGEST_LENGTH:  # zeros in front: the parser takes any number of them
                self._refuse(BAD_REQUEST, "long_number")
            if int(length) > self._service.limits.body_bytes:
                self._refuse(TOO_LARGE, "large_content")
        elif b"transfer-encoding" in fields:
            self._check_transfer_coding(fields[b"transfer-encoding"])
        if b"expect" in fields:
            if fields[b"expect"].lower() != b"100-continue":
                self._refuse(EXPECTATION_FAILED, "expectation")
            self._taker.invite()

    def on_body(self, data: bytes) -> None:
        body = self._body
        if len(body) + len(data) > self._service.limits.body_bytes:
            self._refuse(TOO_LARGE, "large_content")
        if not body:
            self._body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            self._body = bytearray(body + data)

    def on_message_complete(self) -> None:
        fields = self._fields
        parser = self._parser
        keep = parser.should_keep_alive()
        method = parser.get_method()
        if not keep or b"connection" in fields or method == b"CONNECT":
            keep = self._check_version(keep=keep)
        elif b"host" not in fields:
            self._refuse(BAD_REQUEST, "no_host")  # RFC 9112 §3.2
        target = self._target
        routes = self._routes
        place, path, query = routes.exact.get(target) or routes.find(target)
        lines = b""
        if place.cross_origin:
            lines = _VARY
            if b"origin" in fields:
                lines = build_lines(build_cross_origin(fields[b"origin"]))
        self.phase = IDLE
        self._messages += 1
        self._done = not keep
        body = self._body
        self._taker.take(
            Exchange(
                place.methods.get(method, place.otherwise),
                Request(
                    method.decode(),
                    path,
                    query,
                    tuple(self._headers),
                    body if isinstance(body, bytes) else bytes(body),
                    self._peer,
                    self._taker if keep and method != b"HEAD" else None,
                ),
                lines,
                not keep,
            )
        )

    def _check_version(self, *, keep: bool) -> bool:
        """Whether the connection goes on after this request."""
        version = self._parser.get_http_version()
        if version == "1.0":
            keep = False
        elif version != "1.1":
            self._refuse(BAD_VERSION, "version")
        elif b"host" not in self._fields:
            self._refuse(BAD_REQUEST, "no_host")
        if self._parser.should_upgrade():
            # No upgrade and no tunnel is offered (RFC 9110 §7.8, §9.3.6); the parser has passed
            # the content by.
            if b"content-length" in self._fields or b"transfer-encoding" in self._fields:
                self._refuse(BAD_REQUEST, "upgrade_with_content")
            return False
        return keep

    def _check_head_size(self, size: int) -> None:
        limits = self._service.limits
        if len(self._target) > limits.target_bytes:
            self._refuse(LONG_TARGET, "long_target")
        if size > limits.head_bytes:
            self._refuse(LARGE_HEAD, "large_head")

    def _check_repeated(self, names: list[bytes]) -> None:
        if names.count(b"host") > 1:
            self._refuse(BAD_REQUEST, "repeated_host")  # RFC 9112 §3.2
        if names.count(b"transfer-encoding") > 1:
            self._refuse(NOT_IMPLEMENTED, "transfer_coding")

    def _check_transfer_coding(self, coding: bytes) -> None:
        # RFC 9112 §6.1: codings that are not understood, and any in HTTP/1.0.
        if coding.lower() != b"chunked":
            self._refuse(NOT_IMPLEMENTED, "transfer_coding")
        if self._parser.get_http_version() != "1.1":
            self._refuse(BAD_REQUEST, "chunked_before_1_1")

    def _refuse(self, answer: Response, reason: str) -> None:
        self._refused = Refused(answer, reason)
        raise self._refused
