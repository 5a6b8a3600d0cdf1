"""Requests and responses as values, and the rules that hold for every transport."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.oauth.urls import parse_url

_parse_known_url: Final = lru_cache(maxsize=256)(parse_url)  # the same few, again and again


class FetchRequest(NamedTuple):
    """`timeout` is for all of it, from name look-up to the last byte, in seconds; `max_bytes`
    bounds the body that comes back. One that is `repeatable` (every GET is) may be sent again
    where a kept connection broke under it. `hear` is for `HttpTransport` and
    `AsyncHttpTransport`: of a 200 that comes in chunks it is given every line when it comes,
    without the line feed, and says whether to read on; what follows the last line is the body, and
    `max_bytes` bounds what is held at once. Where an answer does not come in chunks, or by another
    transport, the lines are in the body."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout: float = 5.0
    max_bytes: int = 65_536
    repeatable: bool = False
    hear: Callable[[bytes], bool] | None = None

    def __repr__(self) -> str:
        return f"FetchRequest({self.method} {urlsplit(self.url).netloc})"

    @property
    def host(self) -> str:
        """Host and port, as errors name them."""
        return urlsplit(self.url).netloc


class FetchResponse(NamedTuple):
    """`headers` have names in lower case; of a repeated one the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"FetchResponse({self.status}, {len(self.body)} bytes)"


def check_request(request: FetchRequest) -> SplitResult:
    """The request's URL, split.

    Raises `ValueError` for a URL that may not be fetched, or a header that would break the
    request: both are the caller's doing.
    """
    parts = _parse_known_url(request.url)
    text = "".join(chain.from_iterable(request.headers))
    if not text.isascii() or not text.isprintable():
        raise ValueError("a header is printable ASCII")
    return parts


def check_response(request: FetchRequest, status: int, headers: dict[str, str]) -> None:
    """Judge the head of a response, before its body is read.

    Raises `FetchFailed`: a redirect is never followed (credentials would follow too), an encoded
    body is never inflated, and one that says it is too large is not read.
    """
    if 300 <= status < 400 and status != 304:
        raise FetchFailed(request.host, FetchProblem.REDIRECT)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed(request.host, FetchProblem.ENCODED)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise FetchFailed(request.host, FetchProblem.MALFORMED)
    if int(length) > request.max_bytes:
        raise FetchFailed(request.host, FetchProblem.TOO_LARGE)
