"""HTTP/1.1 over blocking sockets: keep-alive connections in a bounded pool."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from threading import get_ident
from typing import Final
from weakref import finalize

from dojang.fetch.deadline import Deadline, connect, is_quiet
from dojang.fetch.errors import Broken, FetchFailed, FetchProblem
from dojang.fetch.forking import renew_in_children
from dojang.fetch.message import FetchRequest, FetchResponse, check_request
from dojang.fetch.names import FindAddresses, find_addresses, lead_to_socket
from dojang.fetch.pool import Origin, Pool
from dojang.fetch.reading import AnswerReader
from dojang.fetch.tls import find_context
from dojang.fetch.writing import Target, build_request, find_target

PIECE: Final = 65_536  # bytes


class HttpTransport:
    """A `Transport`. `tls` is the context for https (default: the system's trust store, verified).
    With `unix` every request goes to the server behind that socket.

    At most `kept_per_host` idle connections are kept for one origin, and `kept` in all.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        unix: str | None = None,
        kept_per_host: int = 8,
        kept: int = 64,
    ) -> None:
        self._tls = tls
        self._find = find_addresses if unix is None else lead_to_socket(unix)
        self._pool: Pool[_Connection] = Pool(per_origin=kept_per_host, total=kept)
        self._asking: dict[int, _Connection] = {}  # by thread
        finalize(self, self._pool.close)
        renew_in_children(self)

    def __repr__(self) -> str:
        return "HttpTransport()"

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    def abort(self, asker: int) -> None:
        """End what the thread of this `ident` is asking: it sees a broken connection. One that is
        connecting goes on."""
        connection = self._asking.get(asker)
        if connection is not None:
            connection.abort()

    def renew(self) -> None:
        # What is being asked is the parent's.
        asking, self._asking = self._asking, {}
        for connection in asking.values():
            connection.close()
        self._pool.renew()

    def send(self, request: FetchRequest) -> FetchResponse:
        check_request(request)
        deadline = Deadline(request.timeout)
        try:
            return self._send(request, find_target(request.url), deadline)
        except FetchFailed:
            raise
        except TimeoutError:
            problem = FetchProblem.TIMEOUT
        except ssl.SSLError:
            problem = FetchProblem.TLS
        except OSError:
            problem = FetchProblem.CONNECTION
        # Outside of the handlers: what was raised may quote the answer.
        raise FetchFailed(request.host, problem)

    def _send(self, request: FetchRequest, target: Target, deadline: Deadline) -> FetchResponse:
        while (kept := self._pool.take(target.origin)) is not None:
            try:
                return self._ask(kept, request, target, deadline)
            except Broken:
                if request.method != "GET" and not request.repeatable:
                    raise
        connection = _Connection(target.origin, self._find, self._tls, deadline)
        return self._ask(connection, request, target, deadline)

    def _ask(
        self, connection: _Connection, request: FetchRequest, target: Target, deadline: Deadline
    ) -> FetchResponse:
        asking, asker = self._asking, get_ident()
        asking[asker] = connection
        try:
            response = connection.ask(request, target, deadline)
        finally:
            asking.pop(asker, None)
        if connection.reusable:
            self._pool.keep(target.origin, connection)
        else:
            connection.close()
        return response


class _Connection:
    """One connection to one origin, one question at a time. `reusable` is said of the last."""

    def __init__(
        self, origin: Origin, find: FindAddresses, tls: ssl.SSLContext | None, deadline: Deadline
    ) -> None:
        scheme, host, port = origin
        self.reusable = self._aborted = False
        self._plug = connect(find(host, port).result(deadline.remaining()), deadline)
        if scheme == "http":
            return
        try:
            self._plug.settimeout(deadline.remaining())
            self._plug = (tls or find_context()).wrap_socket(self._plug, server_hostname=host)
        except BaseException:
            self._plug.close()
            raise

    def ask(self, request: FetchRequest, target: Target, deadline: Deadline) -> FetchResponse:
        """The answer. Closed again if that fails: what comes later must answer nothing else."""
        try:
            return self._ask(AnswerReader(request), build_request(request, target), deadline)
        except BaseException:
            self.close()
            raise

    def _ask(self, reader: AnswerReader, request: bytes, deadline: Deadline) -> FetchResponse:
        plug = self._plug
        try:
            plug.settimeout(deadline.remaining())
            plug.sendall(request)
            sent = True
        except (ConnectionError, ssl.SSLEOFError):
            # An answer may have come first, as one does that refuses what is too large.
            sent = False
        while True:
            data = self._receive(reader, deadline)
            response = reader.feed(data) if data else reader.end()
            if response is not None:
                self.reusable = sent and reader.reusable
                return response

    def _receive(self, reader: AnswerReader, deadline: Deadline) -> bytes:
        """What came; empty at the end of the connection. Raises `Broken` where that comes first,
        and `ConnectionError` where it was aborted."""
        try:
            self._plug.settimeout(deadline.remaining())
            data = self._plug.recv(PIECE)
        except ConnectionError:
            if reader.begun:
                raise
            data = b""
        if not data and (self._aborted or not reader.begun):
            raise ConnectionError if self._aborted else Broken
        return data

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer: an end of file would have."""
        return is_quiet(self._plug)

    def abort(self) -> None:
        """From another thread: what is being read ends."""
        self._aborted = True
        with suppress(OSError):
            socket.socket.shutdown(self._plug, socket.SHUT_RDWR)  # TLS state stays as it is

    def close(self) -> None:
        self._plug.close()
