"""What a transport owes its callers, and how a blocking one serves an event loop."""

from __future__ import annotations

import asyncio
from typing import Protocol

from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.message import FetchRequest, FetchResponse
from dojang.fetch.workers import Full, Workers


class Transport(Protocol):
    """Blocking. Safe to use from many threads."""

    def send(self, request: FetchRequest) -> FetchResponse:
        """The response, whole. Duty: every rule of `check_request` and `check_response`, the
        request's limits of time and bytes. Raises `FetchFailed`; `ValueError` for the caller."""


class AsyncTransport(Protocol):
    """As `Transport`, without blocking the loop."""

    async def send(self, request: FetchRequest) -> FetchResponse: ...


class ThreadedTransport:
    """A blocking transport on a bounded number of threads. When all are taken a request fails at
    once: a stalled peer holds at most these threads, and no queue builds up before it."""

    def __init__(self, transport: Transport, *, threads: int = 16) -> None:
        self._transport = transport
        self._workers = Workers(threads, name="dojang-fetch")

    async def send(self, request: FetchRequest) -> FetchResponse:
        try:
            future = self._workers.run(lambda: self._transport.send(request))
        except Full:
            raise FetchFailed(request.host, FetchProblem.BUSY) from None
        return await asyncio.wrap_future(future)
