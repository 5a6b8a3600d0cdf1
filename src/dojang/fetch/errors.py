"""What goes wrong outside. The message names the host and the problem: never a path, a query or
credentials."""

from __future__ import annotations

from enum import StrEnum

from dojang.oauth.errors import Unavailable


class FetchProblem(StrEnum):
    """Why no usable answer came back."""

    ADDRESS = "address"
    BUSY = "busy"
    CONNECTION = "connection"
    ENCODED = "encoded"
    MALFORMED = "malformed"
    REDIRECT = "redirect"
    TIMEOUT = "timeout"
    TLS = "tls"
    TOO_LARGE = "too_large"


class FetchFailed(Unavailable):
    """No usable answer came back. `problem` says why, for code; `host` where it was sent."""

    def __init__(self, host: str, problem: FetchProblem, *, retry_after: int = 1) -> None:
        super().__init__(f"{host} ({problem})", retry_after=retry_after)
        self.host = host
        self.problem = problem


class Broken(ConnectionError):
    """The connection ended before any byte of an answer came."""
