"""What all connections of a process share: the time, the limits, the counts."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from dojang.web.failures import Failures
from dojang.web.limits import Limits
from dojang.web.peer import TrustedProxies
from dojang.web.wire import build_date

MOST_TURNED_AWAY: Final = 32  # connections that are let read why


class Closable(Protocol):
    """A connection, as the service sees it."""

    def drain(self) -> None: ...

    def check_time(self, now: float) -> None: ...

    def abort(self) -> None: ...


class Service:
    """Connections and what they look at. `now` (seconds of the loop's clock) and `date` are as
    of the last sweep, so that no request asks a clock."""

    def __init__(
        self, limits: Limits | None = None, *, trusted_proxies: Iterable[str] = ()
    ) -> None:
        self.limits: Final = limits or Limits()
        self.failures: Final = Failures(TrustedProxies(trusted_proxies))
        self.connections: Final[set[Closable]] = set()
        self.statuses: Final[dict[int, int]] = defaultdict(int)
        self.refusals: Final[dict[str, int]] = defaultdict(int)
        self.most_connections = self.limits.connections
        self.draining = False
        self.idle_seconds = self.limits.idle_seconds
        self._admitted: set[Closable] = set()
        self._turned_away: dict[Closable, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.now = 0.0
        self.date = build_date(time.time())
        self._emptied = asyncio.Event()

    def start(self) -> None:
        """Begin to sweep, in the running loop."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.date = build_date(time.time())
        self._timer = loop.call_later(self.limits.sweep_seconds, self._sweep)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()

    def admit(self, connection: Closable, *, reserve: int = 0) -> bool:
        """Count a connection in; False where it is one too many and must end. `reserve` is how
        many more than all others its listener may have."""
        self.connections.add(connection)
        if len(self._admitted) < self.most_connections + reserve:
            self._admitted.add(connection)
            return True
        self._turned_away[connection] = None
        if len(self._turned_away) > MOST_TURNED_AWAY:
            oldest = next(iter(self._turned_away))
            del self._turned_away[oldest]
            oldest.abort()
        return False

    def leave(self, connection: Closable) -> None:
        """Count a connection out."""
        self.connections.discard(connection)
        self._admitted.discard(connection)
        self._turned_away.pop(connection, None)
        if not self.connections:
            self._emptied.set()

    async def drain(self, *, grace_seconds: float) -> None:
        """Let no connection outlive its present request, nor any the grace."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        await self._wait_until_empty(grace_seconds)
        for connection in tuple(self.connections):
            connection.abort()
        await self._wait_until_empty(1)

    async def _wait_until_empty(self, seconds: float) -> None:
        self._emptied.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), seconds)

    def _sweep(self) -> None:
        self.start()
        # Idle connections give way before new ones are turned away.
        crowded = len(self.connections) > self.most_connections // 2
        limits = self.limits
        self.idle_seconds = limits.crowded_idle_seconds if crowded else limits.idle_seconds
        for connection in tuple(self.connections):
            connection.check_time(self.now)
