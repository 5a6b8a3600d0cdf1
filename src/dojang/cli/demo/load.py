"""Traffic: clients on connections that stay open, each with its next request as soon as the last
was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from dojang.cli.demo.report import Speed, Strategy

_TIMEOUT: Final = 10.0
_FAILED: Final = 0  # the status of a request that got no answer


class Sample(NamedTuple):
    """One request: when it left and when its answer was there (`perf_counter` seconds)."""

    strategy: Strategy
    sent_at: float
    done_at: float
    status: int


class Door(NamedTuple):
    """Where requests go, by strategy: that is a part of the path."""

    port: int
    path: str
    method: str = "GET"

    def find_path(self, strategy: Strategy) -> str:
        return self.path.replace("{strategy}", strategy)


class Caller:
    """One client with one connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, token: str) -> tuple[int, bytes]:
        """Status and body; status 0 where no answer came. Without a token none is shown."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._ask(method, path, token)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            self.close()
            return _FAILED, b""

    async def _ask(self, method: str, path: str, token: str) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        shown = f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n"
            f"{shown}\r\n".encode("ascii")
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, length = head.partition(b"content-length:")
        body = await reader.readexactly(int(length.partition(b"\r\n")[0]))
        return int(head[9:12]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Load:
    """Callers at work. `samples` grows while they are; `accepted` counts by strategy; `token` is
    the one of their next requests."""

    def __init__(self, door: Door) -> None:
        self.samples: list[Sample] = []
        self.accepted: dict[Strategy, int] = {}
        self.token = ""
        self._last: dict[Strategy, Sample] = {}
        self._door = door

    @asynccontextmanager
    async def run(
        self, strategies: Iterable[Strategy], token: str, *, clients: int, pause: float = 0
    ) -> AsyncIterator[None]:
        """Keep `clients` callers a strategy busy; `pause` is between their requests (seconds)."""
        strategies = tuple(strategies)
        self.token = token
        self.accepted = dict.fromkeys(strategies, 0)
        tasks = [
            asyncio.create_task(self._work(strategy, pause))
            for strategy in strategies
            for _ in range(clients)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    async def _work(self, strategy: Strategy, pause: float) -> None:
        door = self._door
        caller, path = Caller(door.port), door.find_path(strategy)
        try:
            while True:
                sent_at = time.perf_counter()
                status, _ = await caller.ask(door.method, path, self.token)
                sample = Sample(strategy, sent_at, time.perf_counter(), status)
                self.samples.append(sample)
                self._last[strategy] = sample
                self.accepted[strategy] += status == 200
                await asyncio.sleep(pause)
        finally:
            caller.close()

    def find_last(self, strategy: Strategy) -> Sample:
        """The request of a strategy that was answered last."""
        return self._last.get(strategy, Sample(strategy, 0.0, 0.0, _FAILED))

    def select(
        self, strategy: Strategy, *, after: float = 0.0, before: float = float("inf")
    ) -> list[Sample]:
        """The requests of a strategy that were sent in a span of time."""
        return [
            each
            for each in self.samples
            if each.strategy == strategy and after <= each.sent_at < before
        ]


def measure(strategy: Strategy, samples: list[Sample]) -> Speed:
    """The speed of a strategy that was alone."""
    times = sorted(each.done_at - each.sent_at for each in samples)
    if not times:
        return Speed(strategy=strategy, requests_per_s=0, p50_ms=0, p99_ms=0)
    span = samples[-1].done_at - samples[0].sent_at
    return Speed(
        strategy=strategy,
        requests_per_s=round(len(times) / span, 1),
        p50_ms=round(times[len(times) // 2] * 1000, 2),
        p99_ms=round(times[len(times) * 99 // 100] * 1000, 2),
    )
