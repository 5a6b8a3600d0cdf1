"""Which resource servers requests go on to, and what of a request and an answer goes along."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from dojang.oauth.http import Headers, Request
from dojang.oauth.urls import parse_url

REQUEST_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-language",
        "content-language",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "prefer",
        "range",
        "traceparent",
        "tracestate",
        "x-request-id",
    }
)
RESPONSE_HEADERS: Final = frozenset(
    {
        "accept-ranges",
        "allow",
        "content-disposition",
        "content-language",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "preference-applied",
        "retry-after",
        "www-authenticate",
        "x-request-id",
    }
)
NEVER: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "cookie",
        "dojang-bff",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
MOST_DECODINGS: Final = 4
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_TARGET: Final = re.compile(r"[!-~]*")
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HIDDEN: Final = re.compile(r"%(?:2[fF]|5[cC])|[\\#]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class BadTarget(Exception):
    """The path leads nowhere, or could be read in two ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Requests whose path begins with `prefix` go to `url` and what follows the prefix.

    `resource` is whom their tokens are for (RFC 8707), where it is not that of the sign-in.
    `headers` and `answer_headers` go along besides the usual ones. `timeout` is in seconds,
    `most_answer` the largest answer in bytes. Raises `ValueError`.
    """

    prefix: str
    url: str
    resource: str | None = None
    headers: Collection[str] = ()
    answer_headers: Collection[str] = ()
    timeout: float = 30.0
    most_answer: int = 8 * 1_048_576

    def __post_init__(self) -> None:
        if _PREFIX.fullmatch(self.prefix) is None or not _is_plain(self.prefix):
            raise ValueError("a prefix is a path such as /api, without a slash at its end")
        if "?" in self.url or parse_url(self.url).query:
            raise ValueError("an upstream has no query")
        for name in (*self.headers, *self.answer_headers):
            if name.lower() in NEVER or _NAME.fullmatch(name.lower()) is None:
                raise ValueError(f"the header {name!r} never goes along")


def find_upstream(upstreams: Sequence[Upstream], path: str) -> Upstream | None:
    """The one whose prefix is the longest that the path lies under."""
    fitting = [each for each in upstreams if f"{path}/".startswith(each.prefix + "/")]
    return max(fitting, key=lambda each: len(each.prefix), default=None)


def build_target(upstream: Upstream, request: Request) -> str:
    """The address at the upstream: never beside its `url`, whoever decodes what. Raises
    `BadTarget`."""
    rest = request.path.removeprefix(upstream.prefix)
    query = request.query.decode("latin-1")
    if _TARGET.fullmatch(rest + query) is None or _HIDDEN.search(rest) or not _is_plain(rest):
        raise BadTarget
    if "#" in query or "\\" in query:
        raise BadTarget
    return upstream.url.rstrip("/") + rest + (f"?{query}" if query else "")


def select_request_headers(upstream: Upstream, request: Request) -> list[tuple[str, str]]:
    """The headers that go along: none of the connection, no cookie, no credentials. Raises
    `BadTarget` for a value that is not printable ASCII, and for a header that stands twice."""
    wanted = REQUEST_HEADERS.union(name.lower() for name in upstream.headers)
    given = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
    chosen = _select(given, wanted)
    if any(not (value.isascii() and value.isprintable()) for _, value in chosen):
        raise BadTarget
    if len({name for name, _ in chosen}) < len(chosen):
        raise BadTarget
    return chosen


def select_answer_headers(upstream: Upstream, headers: dict[str, str]) -> Headers:
    """The headers of an answer that go to the browser."""
    wanted = RESPONSE_HEADERS.union(name.lower() for name in upstream.answer_headers)
    chosen = _select(headers.items(), wanted)
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in chosen)


def _select(headers: Iterable[tuple[str, str]], wanted: frozenset[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name in wanted and name not in NEVER]


def _is_plain(path: str) -> bool:
    """Whether no segment means another place, or nothing, however often it is decoded, and with
    parameters left out or not (`/..;/`, which some servers read as `/../`)."""
    for _ in range(MOST_DECODINGS):
        segments = path.replace("\\", "/").split("/")[1:]
        names = {each.partition(";")[0] for each in segments}
        if names & {".", ".."} or "" in segments[:-1] or _CONTROL.search(path):
            return False
        try:
            decoded = unquote(path, errors="strict")
        except UnicodeDecodeError:
            return False
        if decoded == path:
            return True
        path = decoded
    return False
