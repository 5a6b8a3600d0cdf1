"""A connection that is served: requests in, answers out in the same order.

A handler that waits for nothing is answered at once, in one write; else it goes on in a task and
what comes meanwhile is held back. No timer belongs to a connection: the service looks at all of
them in turn and has them end what takes too long (C112, F16).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from dojang.oauth.http import Headers, Request, Response
from dojang.web.failures import build_unavailable
from dojang.web.peer import describe_peer
from dojang.web.reading import BODY, HEAD, NEW, TIMEOUT, Exchange, Reader, Refused
from dojang.web.routing import RouteTable
from dojang.web.service import Service
from dojang.web.suspension import go_on
from dojang.web.wire import CLOSE, CONTINUE, build_answer, build_beginning, build_end, build_part

SLICE: Final = 4096  # bytes read before waiting answers and full buffers are noticed


class Connection(asyncio.Protocol):
    """One connection to a listener with `routes`, and with `reserve` connections that no other
    listener can take from it."""

    __slots__ = (
        "_begun",
        "_busy_since",
        "_busy_with",
        "_ended",
        "_held",
        "_paused",
        "_queue",
        "_reader",
        "_reserve",
        "_routes",
        "_service",
        "_task",
        "_transport",
    )

    def __init__(self, routes: RouteTable, service: Service, *, reserve: int = 0) -> None:
        self._routes = routes
        self._service = service
        self._reserve = reserve
        self._transport: Any = None
        self._queue: deque[Exchange] = deque()
        self._held = b""
        self._task: asyncio.Task[Response] | None = None
        self._busy_with: Exchange | None = None
        self._busy_since = 0.0
        self._begun = False  # parts of the answer that is due are sent
        self._paused = False  # the peer does not take what was written
        self._ended = False  # nothing more is read

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = describe_peer(transport.get_extra_info("peername"))
        self._reader = Reader(self, self._routes, self._service, peer=peer)
        if not self._service.admit(self, reserve=self._reserve):
            self._refuse(build_unavailable(), "too_many_connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.leave(self)
        self._ended = True
        self._queue.clear()
        self._held = b""
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._paused = True
        self._busy_since = self._service.now

    def resume_writing(self) -> None:
        self._paused = False
        self._catch_up()

    def data_received(self, data: bytes) -> None:
        if self._task is not None or self._paused:
            self._hold(data)
        elif len(data) <= SLICE:
            self._read(data)
        else:
            self._read_slices(data)

    # Requests.

    def _read(self, data: bytes | memoryview) -> None:
        if self._ended:
            return
        try:
            self._reader.read(data)
        except Refused as refused:
            self._refuse(refused.answer, refused.reason)

    def _read_slices(self, data: bytes) -> None:
        view = memoryview(data)
        for at in range(0, len(data), SLICE):
            if self._task is not None or self._paused:
                self._hold(data[at:])
                return
            self._read(view[at : at + SLICE])

    def _hold(self, data: bytes) -> None:
        if not self._ended:
            self._held += data
            self._transport.pause_reading()

    def _catch_up(self) -> None:
        """After a late answer or a full buffer: what waits, in order, then what was held."""
        while self._queue and self._task is None and not self._paused:
            self._answer(self._queue.popleft())
        if self._task is None and not self._paused and not self._transport.is_closing():
            held, self._held = self._held, b""
            self._read_slices(held)
            if not self._held:
                self._transport.resume_reading()

    def take(self, exchange: Exchange) -> None:
        """Answer a request, or keep it until those before it are answered."""
        if self._ended:
            return
        self._ended = exchange.last
        if self._task is not None or self._paused:
            self._queue.append(exchange)
        else:
            self._answer(exchange)

    def invite(self) -> None:
        """Tell the peer to send the content, unless an answer is to come first."""
        if self._task is None and not self._queue and not self._ended:
            self._transport.write(CONTINUE)

    # Answers.

    def _answer(self, exchange: Exchange) -> None:
        handler, request, lines, last = self._busy_with = exchange
        try:
            answer = handler(request)
            if not isinstance(answer, Response):
                try:
                    waited = answer.send(None)
                except StopIteration as done:
                    answer = done.value
                else:
                    self._task = task = asyncio.create_task(go_on(answer, waited))
                    self._busy_since = self._service.now
                    task.add_done_callback(self._answer_late)
                    return
        except Exception as error:  # noqa: BLE001  whatever happened, the peer gets an answer
            answer = self._service.failures.build_response(error, request)
        self._write(answer, request.method, lines, last=last)

    def _answer_late(self, task: asyncio.Task[Response]) -> None:
        exchange = self._busy_with
        self._task = self._busy_with = None
        error = None if task.cancelled() else task.exception()
        if exchange is None or self._transport.is_closing():
            return
        if task.cancelled():
            answer = build_unavailable()
        elif error is None:
            answer = task.result()
        elif isinstance(error, Exception):
            answer = self._service.failures.build_response(error, exchange.request)
        else:
            raise error
        self._write(answer, exchange.request.method, exchange.lines, last=exchange.last)
        self._catch_up()

    def send(self, headers: Headers, part: bytes) -> None:
        """A part of the answer to the request that is in hand; lost where none is."""
        busy = self._busy_with
        if busy is None or self._transport.is_closing():
            return
        data = build_part(part)
        if not self._begun:
            lines = busy.lines + CLOSE if self._service.draining else busy.lines
            data = build_beginning(headers, lines, self._service.date) + data
            self._begun = True
        self._transport.write(data)

    def _write(self, answer: Response, method: str, lines: bytes, *, last: bool) -> None:
        service = self._service
        self._busy_with = None
        service.statuses[answer.status] += 1
        if self._begun:
            self._write_end(answer, last=last)
            return
        if service.draining:
            last = True
        if last:
            lines += CLOSE
        self._transport.write(
            build_answer(answer, lines, service.date, with_content=method != "HEAD")
        )
        self._reader.since = service.now
        if last:
            self._end()

    def _write_end(self, answer: Response, *, last: bool) -> None:
        """The end of an answer that was begun as a good one; where it is none, the peer is to see
        that it has no end."""
        self._begun = False
        if answer.status != 200:
            self._ended = True
            self._queue.clear()
            self._transport.abort()
            return
        self._transport.write(build_end(answer.body))
        self._reader.since = self._service.now
        if last or self._service.draining:
            self._end()

    def _refuse(self, answer: Response, reason: str) -> None:
        """Answer what cannot be read on from here; in order, after what waits."""
        self._service.refusals[reason] += 1
        request = Request("", "", b"", (), b"", "")
        self.take(Exchange(lambda _: answer, request, b"", last=True))

    def _end(self) -> None:
        """Say that it is over, and take no more. Closing at once would reset the connection
        before the peer has read the answer (RFC 9112 §9.6)."""
        self._ended = True
        self._queue.clear()
        self._held = b""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    # What the service calls.

    def drain(self) -> None:
        """The server stops: close now if no request is in hand, else after its answer."""
        idle = self._task is None and not self._queue
        if idle and self._reader.phase not in (HEAD, BODY):
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """End what has taken too long."""
        limits = self._service.limits
        if self._task is not None or self._paused:
            if now - self._busy_since >= limits.request_seconds:
                self._end_slow()
            return
        waited = now - self._reader.since
        phase = self._reader.phase
        if self._ended:
            if waited >= limits.linger_seconds:
                self._transport.abort()
        elif phase in (HEAD, BODY):
            if waited >= (limits.head_seconds if phase == HEAD else limits.request_seconds):
                self._refuse(TIMEOUT, "slow_head" if phase == HEAD else "slow_content")
        elif waited >= (limits.head_seconds if phase == NEW else self._service.idle_seconds):
            self._transport.close()

    def _end_slow(self) -> None:
        if self._task is not None:
            self._service.refusals["slow_answer"] += 1
            self._task.cancel()
        else:
            self._service.refusals["slow_reader"] += 1
            self._transport.abort()
