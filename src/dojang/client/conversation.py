"""Conversations that wait for keys too: as `dojang.fetch.flow`, with flights among the requests."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

from dojang.fetch import AsyncTransport, FetchFailed, FetchRequest, FetchResponse, Transport
from dojang.fetch.flight import Flight
from dojang.fetch.flow import Turn
from dojang.jose.errors import UnknownKey
from dojang.jose.keys import KeySet
from dojang.oauth.errors import Unavailable
from dojang.trust.remote_keys import KeySource

T = TypeVar("T")


class Landing(NamedTuple):
    """Wait for a flight, `timeout` seconds at most."""

    flight: Flight
    timeout: float


Step = FetchRequest | Turn | Landing
Conversation = Generator[Step, FetchResponse, T]

_NOTHING = FetchResponse(0, {}, b"")  # what a step that asks nobody is answered with


def hold(conversation: Conversation[T], transport: Transport) -> T:
    """Run a conversation over a blocking transport; what it returns."""
    try:
        step = next(conversation)
        while True:
            try:
                response = _take(step, transport)
            except FetchFailed as failure:
                step = conversation.throw(failure)
            else:
                step = conversation.send(response)
    except StopIteration as done:
        result: T = done.value
        return result


async def hold_async(conversation: Conversation[T], transport: AsyncTransport) -> T:
    """As `hold`, without blocking the loop."""
    try:
        step = next(conversation)
        while True:
            try:
                response = await _take_async(step, transport)
            except FetchFailed as failure:
                step = conversation.throw(failure)
            else:
                step = conversation.send(response)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        conversation.close()


def use_keys(source: KeySource, use: Callable[[KeySet], T]) -> Conversation[T]:
    """What `use` makes of the keys; where it raises `UnknownKey`, of newer keys.

    Raises `Unavailable`, and `UnknownKey` for a key that does not exist.
    """
    yield from _land(source, source.look())
    try:
        return use(_find(source))
    except UnknownKey:
        flight = source.seek()
    yield from _land(source, flight)
    try:
        return use(_find(source))
    except UnknownKey:
        # A key that a fresh set lacks does not exist; one that a stale set lacks might.
        if source.failed or (flight is not None and not flight.landed):
            raise Unavailable(f"the key set of {source.issuer}") from None
        raise


def _find(source: KeySource) -> KeySet:
    if source.keys is None:
        raise Unavailable(f"the key set of {source.issuer}")
    return source.keys


def _land(source: KeySource, flight: Flight | None) -> Conversation[None]:
    if flight is not None:
        yield Landing(flight, source.timeout)


def _take(step: Step, transport: Transport) -> FetchResponse:
    if isinstance(step, FetchRequest):
        return transport.send(step)
    if isinstance(step, Landing):
        step.flight.wait(step.timeout)
    return _NOTHING


async def _take_async(step: Step, transport: AsyncTransport) -> FetchResponse:
    if isinstance(step, FetchRequest):
        return await transport.send(step)
    if isinstance(step, Landing):
        await step.flight.wait_async(step.timeout)
    return _NOTHING
