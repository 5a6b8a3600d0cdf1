"""Conversations written once and driven twice: a generator yields requests and is sent the
responses; a failure is raised inside it, at the `yield`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from dojang.fetch.errors import FetchFailed
from dojang.fetch.message import FetchRequest, FetchResponse
from dojang.fetch.transport import AsyncTransport, Transport

T = TypeVar("T")
Flow = Generator[FetchRequest, FetchResponse, T]


def drive(flow: Flow[T], transport: Transport) -> T:
    """Run a flow over a blocking transport; what it returns."""
    try:
        request = next(flow)
        while True:
            try:
                response = transport.send(request)
            except FetchFailed as failure:
                request = flow.throw(failure)
            else:
                request = flow.send(response)
    except StopIteration as done:
        result: T = done.value
        return result


async def drive_async(flow: Flow[T], transport: AsyncTransport) -> T:
    """Run a flow over an asynchronous transport; what it returns."""
    try:
        request = next(flow)
        while True:
            try:
                response = await transport.send(request)
            except FetchFailed as failure:
                request = flow.throw(failure)
            else:
                request = flow.send(response)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        flow.close()
