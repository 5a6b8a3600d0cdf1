"""Where the sessions of browsers are kept: the port, and an implementation for one process.

What is kept is sealed by whoever keeps it here, under a key that the store never sees; so whoever
reads the store has no token and no session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NamedTuple, Protocol
from weakref import WeakValueDictionary

from dojang.clock import SYSTEM_CLOCK, Clock

SWEEP_EVERY: Final = 60.0  # seconds


class BrowserSessions(Protocol):
    """A duty of every method: raise `Unavailable` where the answer is not known. Times that are
    compared with those of the issuer (`at`) are in seconds since 1970, the others are durations in
    seconds."""

    async def begin(
        self, key: str, value: bytes, *, names: Sequence[str], at: int, idle: int, longest: int
    ) -> bool:
        """Keep a session until it was not asked for during `idle`. It has `names`, by which it can
        be ended for `longest`. False, and nothing is kept, where one of them was ended as of `at`
        or later."""

    async def find(self, key: str, *, idle: int | None) -> bytes | None:
        """What is kept, from now on for another `idle`; None changes nothing about that."""

    async def replace(self, key: str, value: bytes) -> bool:
        """Keep another value. False, and nothing is kept, where the session has ended."""

    async def end(self, key: str) -> None:
        """Keep it no longer."""

    async def end_all(self, name: str, *, at: int, remember: int) -> None:
        """End all sessions with a name that began until `at`, and those that are about to."""

    async def claim(self, name: str, *, seconds: int) -> bool:
        """Whether nobody has claimed the name in the last `seconds`."""

    async def release(self, name: str) -> None:
        """As if the name had not been claimed."""

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """Within it nobody else, on any node, holds the lock of the key."""


class _Kept(NamedTuple):
    value: bytes
    idle: int
    until: float


class SessionsInOneProcess:
    """In the memory of this process, for development, for tests, and for an application that is
    one process: another does not see them, and with it they end."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._named: dict[str, dict[str, tuple[int, float]]] = {}
        self._ended: dict[str, tuple[int, float]] = {}
        self._claimed: dict[str, float] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._sweep_at = float("-inf")

    def __repr__(self) -> str:
        return f"SessionsInOneProcess({len(self._kept)} sessions)"

    async def begin(
        self, key: str, value: bytes, *, names: Sequence[str], at: int, idle: int, longest: int
    ) -> bool:
        now = self._sweep()
        if any(self._ended.get(name, (-1, now))[0] >= at for name in names):
            return False
        self._kept[key] = _Kept(value, idle, now + idle)
        for name in names:
            self._named.setdefault(name, {})[key] = (at, now + longest)
        return True

    async def find(self, key: str, *, idle: int | None) -> bytes | None:
        now = self._sweep()
        kept = self._kept.get(key)
        if kept is None or now >= kept.until:
            return None
        if idle is not None:
            self._kept[key] = _Kept(kept.value, idle, now + idle)
        return kept.value

    async def replace(self, key: str, value: bytes) -> bool:
        kept = self._kept.get(key)
        if kept is None or self._clock.monotonic() >= kept.until:
            return False
        self._kept[key] = kept._replace(value=value)
        return True

    async def end(self, key: str) -> None:
        self._kept.pop(key, None)

    async def end_all(self, name: str, *, at: int, remember: int) -> None:
        now = self._sweep()
        ended = max(at, self._ended.get(name, (at, now))[0])
        self._ended[name] = (ended, now + remember)
        keys = self._named.get(name, {})
        for key in [key for key, (began, _) in keys.items() if began <= at]:
            del keys[key]
            self._kept.pop(key, None)

    async def claim(self, name: str, *, seconds: int) -> bool:
        now = self._sweep()
        if self._claimed.get(name, now) > now:
            return False
        self._claimed[name] = now + seconds
        return True

    async def release(self, name: str) -> None:
        self._claimed.pop(name, None)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[None]:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        async with lock:
            yield

    def _sweep(self) -> float:
        """Forget what is over, now and then; the time."""
        now = self._clock.monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY
            self._kept = {key: each for key, each in self._kept.items() if each.until > now}
            self._ended = {name: each for name, each in self._ended.items() if each[1] > now}
            self._claimed = {name: until for name, until in self._claimed.items() if until > now}
            for name, keys in list(self._named.items()):
                alive = {key: each for key, each in keys.items() if each[1] > now}
                self._named[name] = alive
                if not alive:
                    del self._named[name]
        return now
