"""HTTP/1.1 over asyncio alone: what follows a feed asks hundreds of times a second."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import cast

from dojang.fetch.deadline import is_quiet
from dojang.fetch.errors import Broken, FetchFailed, FetchProblem
from dojang.fetch.forking import renew_in_children
from dojang.fetch.message import FetchRequest, FetchResponse, check_request
from dojang.fetch.names import Address, FindAddresses, find_addresses, lead_to_socket
from dojang.fetch.pool import Origin, Pool
from dojang.fetch.reading import AnswerReader
from dojang.fetch.tls import find_context
from dojang.fetch.writing import Target, build_request, find_target


class AsyncHttpTransport:
    """An `AsyncTransport` for one event loop. `tls` is the context for https (default: the
    system's trust store, verified). With `unix` every request goes to the server behind that
    socket; `find` says where every other host is.

    At most `kept_per_host` idle connections are kept for one origin, and `kept` in all.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        unix: str | None = None,
        find: FindAddresses = find_addresses,
        kept_per_host: int = 8,
        kept: int = 64,
    ) -> None:
        self._tls = tls
        self._find = find if unix is None else lead_to_socket(unix)
        self._limits = {"per_origin": kept_per_host, "total": kept}
        self._inherited: list[object] = []
        self._begin()
        renew_in_children(self)

    def __repr__(self) -> str:
        return "AsyncHttpTransport()"

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    def renew(self) -> None:
        # The parent's loop is not the child's to touch: both would speak to one epoll instance.
        for connection in self._open:
            connection.forsake()
        self._inherited.append((self._pool, self._open))
        self._begin()

    def _begin(self) -> None:
        self._pool: Pool[_Connection] = Pool(**self._limits)
        self._open: set[_Connection] = set()

    async def send(self, request: FetchRequest) -> FetchResponse:
        check_request(request)
        deadline = asyncio.get_running_loop().time() + request.timeout
        try:
            return await self._send(request, deadline)
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

    async def _send(self, request: FetchRequest, deadline: float) -> FetchResponse:
        target = find_target(request.url)
        while (kept := self._pool.take(target.origin)) is not None:
            try:
                return await self._ask(kept, request, target, deadline)
            except Broken:
                if request.method != "GET" and not request.repeatable:
                    raise
        async with asyncio.timeout_at(deadline):
            connection = await self._connect(target.origin, deadline)
        return await self._ask(connection, request, target, deadline)

    async def _ask(
        self, connection: _Connection, request: FetchRequest, target: Target, deadline: float
    ) -> FetchResponse:
        response = await connection.ask(request, target, deadline)
        if connection.reusable:
            self._pool.keep(target.origin, connection)
        else:
            connection.close()
        return response

    async def _connect(self, origin: Origin, deadline: float) -> _Connection:
        scheme, host, port = origin
        found = await asyncio.wrap_future(self._find(host, port))
        plug = await _plug_in(found, deadline)
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(plug, self._open),
                sock=plug,
                ssl=None if scheme == "http" else self._tls or find_context(),
                server_hostname=None if scheme == "http" else host,
            )
        except BaseException:
            plug.close()
            raise
        return connection


class _Connection(asyncio.Protocol):
    """One connection to one origin, one question at a time. `reusable` is said of the last."""

    def __init__(self, plug: socket.socket, others: set[_Connection]) -> None:
        self.reusable = False
        self._plug = plug
        self._others = others
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader: AnswerReader
        self._answer: asyncio.Future[FetchResponse] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, request: FetchRequest, target: Target, deadline: float) -> FetchResponse:
        """The answer. Closed again if that fails: what comes later must answer nothing else."""
        self._reader = AnswerReader(request)
        answer: asyncio.Future[FetchResponse] = self._loop.create_future()
        self._answer = answer
        self._set_deadline(deadline)
        self._transport.write(build_request(request, target))
        try:
            return await answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None

    def is_quiet(self) -> bool:
        return not self._transport.is_closing() and is_quiet(self._plug)

    def close(self) -> None:
        self._transport.abort()

    def forsake(self) -> None:
        """In a forked child: close its half of the socket and nothing else."""
        self._plug.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in name alone
        self._others.add(self)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.done():  # to a question that nobody asked
            self.close()
            return
        try:
            response = self._reader.feed(data)
        except FetchFailed as failure:
            answer.set_exception(failure)
        else:
            if response is not None:
                self.reusable = self._reader.reusable
                answer.set_result(response)

    def connection_lost(self, failure: Exception | None) -> None:
        self._others.discard(self)
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
        answer = self._answer
        if answer is None or answer.done():
            return
        if not self._reader.begun:
            answer.set_exception(Broken())
        elif failure is not None:
            answer.set_exception(ConnectionError())
        else:
            try:
                answer.set_result(self._reader.end())
            except FetchFailed as flaw:
                answer.set_exception(flaw)

    def _set_deadline(self, deadline: float) -> None:
        """The timer is moved when it fires, not with every question: that is what most of them
        would pay for a deadline that never comes."""
        self._deadline = deadline
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        answer = self._answer
        if answer is None or answer.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._expire)
        else:
            answer.set_exception(TimeoutError())


async def _plug_in(addresses: list[Address], deadline: float) -> socket.socket:
    """A connection to the first address that answers. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    failure: OSError = ConnectionError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        plug = socket.socket(family, kind, protocol)
        plug.settimeout(0)
        # An address that does not answer leaves time for the others.
        share = (deadline - loop.time()) / (len(addresses) - index)
        try:
            async with asyncio.timeout(share):
                await loop.sock_connect(plug, address)
        except OSError as raised:
            plug.close()
            failure = raised
        except BaseException:
            plug.close()
            raise
        else:
            return plug
    raise failure
