"""A request as bytes of HTTP/1.1 (RFC 9112 §3), and where it goes."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from dojang.fetch.message import FetchRequest, check_request
from dojang.fetch.pool import Origin, parse_origin


class Target(NamedTuple):
    """Where a URL leads. `line` is the request line without its method, and the headers that every
    request there has."""

    origin: Origin
    line: str


@lru_cache(maxsize=256)
def find_target(url: str) -> Target:
    """Raises `ValueError` for a URL that may not be fetched."""
    parts = check_request(FetchRequest("GET", url))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    line = f" {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: identity\r\n"
    return Target(parse_origin(parts), line)


def build_request(request: FetchRequest, target: Target) -> bytes:
    """A whole request; its headers were checked."""
    method, body = request.method, request.body
    fields = "".join([f"{name}: {value}\r\n" for name, value in request.headers])
    length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
    return f"{method}{target.line}{fields}{length}\r\n".encode("ascii") + body
