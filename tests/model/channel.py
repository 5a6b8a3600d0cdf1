"""A channel between a follower and its issuer that loses, doubles, delays, replays and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, FetchResponse, Transport

Channel = Callable[[Transport, FetchRequest], FetchResponse]
Fault = Callable[[Transport, FetchRequest, Sequence[FetchResponse]], FetchResponse]


def deliver(transport: Transport, request: FetchRequest) -> FetchResponse:
    """Nothing is wrong."""
    return transport.send(request)


class FaultyTransport:
    """`channel` is what becomes of the next request; `heard` are the answers of before, by URL."""

    def __init__(self, transport: Transport) -> None:
        self.channel: Channel = deliver
        self.heard: dict[str, list[FetchResponse]] = {}
        self._transport = transport

    def send(self, request: FetchRequest) -> FetchResponse:
        channel, self.channel = self.channel, deliver
        response = channel(self._transport, request)
        self.heard.setdefault(request.url, []).append(response)
        return response


def _fail(request: FetchRequest) -> FetchResponse:
    raise FetchFailed(request.host, FetchProblem.CONNECTION)


def _lose(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    return _fail(request)


def _lose_answer(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    transport.send(request)
    return _fail(request)


def _double(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    transport.send(request)
    return transport.send(request)


def _replay_first(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    return heard[0] if heard else _fail(request)


def _replay_last(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    transport.send(request)
    return heard[-1] if heard else _fail(request)


def _mix(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    """What was said before, under the proof of now."""
    response = transport.send(request)
    return response._replace(body=heard[-1].body) if heard else response


def _change(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    response = transport.send(request)
    middle = len(response.body) // 2
    changed = bytearray(response.body)
    if changed:
        changed[middle] ^= 1
    return response._replace(body=bytes(changed))


def _cut(
    transport: Transport, request: FetchRequest, heard: Sequence[FetchResponse]
) -> FetchResponse:
    response = transport.send(request)
    return response._replace(body=response.body[: len(response.body) // 2])


FAULTS: Mapping[str, Fault] = {
    "lost": _lose,
    "answer lost": _lose_answer,
    "doubled": _double,
    "the first replayed": _replay_first,
    "the last replayed": _replay_last,
    "mixed": _mix,
    "changed": _change,
    "cut": _cut,
}
