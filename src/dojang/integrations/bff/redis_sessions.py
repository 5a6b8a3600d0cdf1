"""The sessions of browsers in Redis, for an application of many processes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from random import SystemRandom
from typing import Any, Final, TypeVar

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dojang.oauth.errors import Unavailable

T = TypeVar("T")

TIMEOUT: Final = 1.0  # seconds for an answer, which is asked for twice at most
# In case its process dies: longer than a refresh with two questions here may take, and shorter
# than the ten seconds in which our provider repeats an answer that was lost.
LOCK_LIFE: Final = 9_500  # milliseconds
LOCK_WAIT: Final = 10.0  # seconds; then nobody knows
POLL: Final = (0.01, 0.05)  # seconds between two looks at a lock that somebody has
SLACK: Final = 3600  # seconds that the issuer's clock may be off ours before a name is forgotten

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does
_FAILURES: Final = (RedisError, OSError)  # TimeoutError is an OSError
_RELEASE: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)


class RedisSessions:
    """At `url`, such as `rediss://cache.internal:6379/0`, in keys that begin with `prefix`. For
    one event loop. A Redis that evicts or restarts signs people out, and nothing worse."""

    def __init__(self, url: str, *, prefix: str = "dojang:bff:") -> None:
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"RedisSessions({self._prefix!r})"

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(*_FAILURES):
            await self._redis.aclose()

    async def begin(
        self, key: str, value: bytes, *, names: Sequence[str], at: int, idle: int, longest: int
    ) -> bool:
        session = self._name("session", key)
        async with self._redis.pipeline(transaction=True) as unit:
            unit.set(session, value, ex=idle)
            for name in map(self._index, names):
                unit.zremrangebyscore(name, "-inf", at - longest - SLACK)
                unit.zadd(name, {key: at})
                unit.expire(name, longest + SLACK)
            for name in names:
                unit.get(self._name("ended", name))
            answers = await _ask(unit.execute())
        # The index was written before these were read: who ends the name sees one or the other.
        ended = answers[len(answers) - len(names) :]
        if any(found is not None and int(found) >= at for found in ended):
            await self.end(key)
            return False
        return True

    async def find(self, key: str, *, idle: int | None) -> bytes | None:
        name = self._name("session", key)
        found: bytes | None = await _ask(
            self._redis.get(name) if idle is None else self._redis.getex(name, ex=idle)
        )
        return found

    async def replace(self, key: str, value: bytes) -> bool:
        name = self._name("session", key)
        return bool(await _ask(self._redis.set(name, value, xx=True, keepttl=True)))

    async def end(self, key: str) -> None:
        await _ask(self._redis.delete(self._name("session", key)))

    async def end_all(self, name: str, *, at: int, remember: int) -> None:
        ended = self._name("ended", name)
        before = await _ask(self._redis.get(ended))
        await _ask(self._redis.set(ended, max(at, int(before or 0)), ex=remember))
        keys = await _ask(self._redis.zrangebyscore(self._index(name), "-inf", at))
        sessions = [self._name("session", key.decode()) for key in keys]
        if sessions:
            await _ask(self._redis.delete(*sessions))
            await _ask(self._redis.zremrangebyscore(self._index(name), "-inf", at))

    async def claim(self, name: str, *, seconds: int) -> bool:
        mark = secrets.token_bytes(16)
        return await self._take(self._name("claimed", name), mark, life=max(seconds, 1) * 1000)

    async def release(self, name: str) -> None:
        await _ask(self._redis.delete(self._name("claimed", name)))

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[None]:
        name, mark = self._name("lock", key), secrets.token_bytes(16)
        until = asyncio.get_running_loop().time() + LOCK_WAIT
        while not await self._take(name, mark, life=LOCK_LIFE):
            if asyncio.get_running_loop().time() > until:
                raise Unavailable("the lock of a session")
            await asyncio.sleep(_RANDOM.uniform(*POLL))
        try:
            yield
        finally:
            with suppress(Unavailable):  # then it ends by itself
                await _ask(self._redis.eval(_RELEASE, 1, name, mark))

    async def _take(self, name: str, mark: bytes, *, life: int) -> bool:
        """Whether the name has our mark now, and no other. An answer may have been lost and the
        question repeated, so a no is looked at."""
        if await _ask(self._redis.set(name, mark, nx=True, px=life)):
            return True
        found: bytes | None = await _ask(self._redis.get(name))
        return found == mark

    def _name(self, kind: str, rest: str) -> str:
        return f"{self._prefix}{kind}:{rest}"

    def _index(self, name: str) -> str:
        return self._name("named", name)


async def _ask(answer: Awaitable[T]) -> T:
    with suppress(*_FAILURES):
        return await answer
    # Outside of a handler: what was raised may quote what was asked.
    raise Unavailable("the store of sessions")
