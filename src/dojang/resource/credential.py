"""Where a request carries its token (RFC 6750 §2): in the `Authorization` header, unless the
service names another place. Never in the query."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from dojang.resource.errors import Refusal, RefusalReason

_TOKEN: Final = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")  # b64token of RFC 6750 §2.1
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 §9.2.1, without TRACE


class RequestHead(NamedTuple):
    """What of a request matters here. Names of headers are in lower case. A WebSocket handshake
    says `websocket`, for a page of another origin may start one with the user's cookies."""

    method: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    websocket: bool = False

    def find(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


class PresentedToken(NamedTuple):
    """A token as it came: nothing of it is checked."""

    value: str

    def __repr__(self) -> str:
        return "PresentedToken()"


class TokenPlace(Protocol):
    """A place to look for tokens."""

    def find_tokens(self, head: RequestHead) -> list[bytes]:
        """All that stand there. Raises `Refusal` for what is malformed or may not be used."""


@dataclass(frozen=True, slots=True)
class BearerHeader:
    """`Authorization: Bearer …` (RFC 6750 §2.1)."""

    def find_tokens(self, head: RequestHead) -> list[bytes]:
        tokens = []
        for value in head.find(b"authorization"):
            scheme, _, rest = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                tokens.append(rest.lstrip(b" "))
        return tokens


@dataclass(frozen=True, slots=True)
class HeaderToken:
    """Another header that holds the token and nothing else."""

    name: str

    def find_tokens(self, head: RequestHead) -> list[bytes]:
        return head.find(self.name.lower().encode())


@dataclass(frozen=True, slots=True)
class CookieToken:
    """A cookie. On unsafe methods and WebSockets the request must come from this very origin, as
    `Sec-Fetch-Site` says, or from one of `origins`."""

    name: str
    origins: Collection[str] = ()

    def find_tokens(self, head: RequestHead) -> list[bytes]:
        wanted = self.name.encode()
        tokens = []
        for header in head.find(b"cookie"):
            for pair in header.split(b";"):
                name, _, value = pair.strip().partition(b"=")
                if name == wanted:
                    tokens.append(value)
        if tokens and (head.websocket or head.method not in _SAFE_METHODS):
            self._check_origin(head)
        return tokens

    def _check_origin(self, head: RequestHead) -> None:
        if head.find(b"sec-fetch-site") == [b"same-origin"]:
            return
        origins = head.find(b"origin")
        if len(origins) != 1 or origins[0].decode("latin-1") not in self.origins:
            raise Refusal(RefusalReason.FOREIGN_ORIGIN)


_BEARER: Final = BearerHeader()
DEFAULT_PLACES: Final[tuple[TokenPlace, ...]] = (_BEARER,)


def parse_presented(
    head: RequestHead, places: Collection[TokenPlace] = DEFAULT_PLACES
) -> PresentedToken:
    """The one token of a request.

    Raises `Refusal`: none, more than one (in whatever places), one in the query, or malformed.
    """
    if b"access_token" in unquote_to_bytes(head.query):
        _check_query(head.query)
    tokens = [token for place in places for token in place.find_tokens(head)]
    if _BEARER not in places and tokens:
        tokens += _BEARER.find_tokens(head)
    if not tokens:
        raise Refusal(RefusalReason.NO_CREDENTIALS)
    if len(tokens) > 1 or len(head.find(b"authorization")) > 1:
        raise Refusal(RefusalReason.TWO_TOKENS)
    if _TOKEN.fullmatch(tokens[0]) is None:
        raise Refusal(RefusalReason.MALFORMED_CREDENTIALS)
    return PresentedToken(tokens[0].decode("ascii"))


def _check_query(query: bytes) -> None:
    for pair in query.split(b"&"):
        if unquote_to_bytes(pair.partition(b"=")[0]) == b"access_token":
            raise Refusal(RefusalReason.TOKEN_IN_QUERY)
