"""How the command line reaches the listeners of a server on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from dojang.cli.errors import Exit, Failure
from dojang.fetch import FetchFailed, FetchProblem, HttpTransport, Transport
from dojang.oauth.urls import is_loopback
from dojang.server.config import Address, UnixAddress

_EVERY_INTERFACE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  read, not bound


class Door(NamedTuple):
    """A listener: the URL in front of its paths, and what carries requests to it."""

    url: str
    transport: Transport


def find_door(address: Address) -> Door:
    """The door to a listener. Raises `Failure` where it is not on this machine."""
    if isinstance(address, UnixAddress):
        return Door("http://localhost", HttpTransport(unix=address.path))
    host = _EVERY_INTERFACE.get(address.host, address.host)
    if not is_loopback(host.strip("[]")):
        raise Failure(
            f"the listener at {address} is not on this machine's loopback; commands speak plain "
            "HTTP to loopback and unix sockets only: run them on that machine, or let it listen "
            "on loopback or a socket"
        )
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return Door(f"http://{host}:{address.port}", HttpTransport())


def fail_unreachable(what: str, error: FetchFailed) -> Failure:
    """`what` did not answer as it should."""
    return Failure(f"{what} does not answer: {_IN_WORDS[error.problem]}", Exit.UNREACHABLE)


_IN_WORDS: Final[Mapping[FetchProblem, str]] = {
    FetchProblem.BUSY: "too many requests are under way",
    FetchProblem.CONNECTION: "no connection; is it running?",
    FetchProblem.ENCODED: "its answer is compressed, which was not asked for",
    FetchProblem.MALFORMED: "what came back is not HTTP",
    FetchProblem.REDIRECT: "it sends elsewhere, and redirects are not followed",
    FetchProblem.TIMEOUT: "nothing came in time",
    FetchProblem.TLS: "its TLS certificate is not trusted, or it speaks no TLS",
    FetchProblem.TOO_LARGE: "its answer is too large",
}
