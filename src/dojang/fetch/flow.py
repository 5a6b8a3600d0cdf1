"""Conversations written once and driven twice: a generator yields requests and is sent the
responses; a failure is raised inside it, at the `yield`. One that has much to do between two
requests does it in steps and yields `TURN` between them: other work of the thread goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from enum import Enum
from typing import Final, TypeVar

from dojang.fetch.errors import FetchFailed
from dojang.fetch.message import FetchRequest, FetchResponse
from dojang.fetch.transport import AsyncTransport, Transport

T = TypeVar("T")


class Turn(Enum):
    """Let others go on."""

    TURN = "turn"


TURN: Final = Turn.TURN

Flow = Generator[FetchRequest | Turn, FetchResponse, T]

_NOTHING: Final = FetchResponse(0, {}, b"")  # what a turn is answered with


def drive(flow: Flow[T], transport: Transport) -> T:
    """Run a flow over a blocking transport; what it returns."""
    try:
        request = next(flow)
        while True:
            try:
                response = _NOTHING if request is TURN else transport.send(request)
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
                response = await _answer(request, transport)
            except FetchFailed as failure:
                request = flow.throw(failure)
            else:
                request = flow.send(response)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        flow.close()


async def _answer(request: FetchRequest | Turn, transport: AsyncTransport) -> FetchResponse:
    if request is TURN:
        await asyncio.sleep(0)
        return _NOTHING
    return await transport.send(request)
