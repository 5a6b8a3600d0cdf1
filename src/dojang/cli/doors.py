"""How the command line reaches the listeners of a server on this machine."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from typing import Final, NamedTuple

from dojang.cli.errors import Exit, Failure
from dojang.fetch import (
    FetchFailed,
    FetchProblem,
    FetchRequest,
    FetchResponse,
    HttpTransport,
    Transport,
    check_request,
    check_response,
)
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
        return Door("http://localhost", UnixTransport(address.path))
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


class UnixTransport:
    """A `Transport` to the server behind a unix socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    def send(self, request: FetchRequest) -> FetchResponse:
        parts = check_request(request)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection = _UnixConnection(self._path, request.timeout)
        try:
            connection.request(request.method, target, request.body or None, dict(request.headers))
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            check_response(request, response.status, headers)
            body = response.read(request.max_bytes + 1)
        except TimeoutError:
            problem = FetchProblem.TIMEOUT
        except http.client.HTTPException:
            problem = FetchProblem.MALFORMED
        except OSError:
            problem = FetchProblem.CONNECTION
        else:
            if len(body) <= request.max_bytes:
                return FetchResponse(response.status, headers, body)
            problem = FetchProblem.TOO_LARGE
        finally:
            connection.close()
        raise FetchFailed(f"unix:{self._path}", problem)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


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
