"""Hints by way of Redis: a stream that nodes wake each other with.

Nothing rests on it. What it loses is learnt from the database a moment later, so its failures
reach nobody: they are logged, and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from random import SystemRandom
from secrets import token_hex
from typing import Any, Final

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does
STREAM: Final = "dojang:commits"
KEPT: Final = 100  # entries; a reader that missed more has been told all the same
TIMEOUT: Final = 1.0  # seconds for an answer
BLOCK: Final = 2.0  # seconds that a reader waits for news
FIRST_PAUSE: Final = 0.05  # seconds before a new attempt; doubled each time, up to
LONGEST_PAUSE: Final = 2.0
CLOSING_PAUSE: Final = 0.05  # seconds
FAILURES: Final = (RedisError, OSError)  # TimeoutError is an OSError

_log: Final = logging.getLogger("dojang.storage")


class RedisHints:
    """The stream at `url`; `heard` is called when another node has told of a commit."""

    def __init__(self, url: str, heard: Callable[[], None]) -> None:
        self._url = url
        self._heard = heard
        self._name = token_hex(8)
        self._news = asyncio.Event()
        self._failing: set[str] = set()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._keep_on("telling", self._write)),
            loop.create_task(self._keep_on("listening", self._read)),
        ]

    def tell(self) -> None:
        """Tell the other nodes, soon: what is told together is told once."""
        self._news.set()

    async def _keep_on(self, what: str, work: Callable[[Any], Any]) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            client = redis.Redis.from_url(
                self._url,
                socket_timeout=BLOCK + TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
            try:
                await work(client)
            except FAILURES as error:
                self._note(what, error)
            finally:
                with suppress(*FAILURES):
                    await client.aclose()
            pause = min(2 * pause, LONGEST_PAUSE)
            if loop.time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(_RANDOM.uniform(pause / 2, pause))

    async def _write(self, client: Any) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                async with asyncio.timeout(TIMEOUT):
                    await client.xadd(STREAM, {"node": self._name}, maxlen=KEPT, approximate=True)
            except BaseException:
                self._news.set()
                raise
            self._note("telling", None)

    async def _read(self, client: Any) -> None:
        last = await self._find_last(client)
        self._note("listening", None)
        self._heard()  # what was told meanwhile was missed
        while True:
            news = await client.xread({STREAM: last}, block=int(BLOCK * 1000))
            if not news:
                # A stream that was deleted may begin anew with numbers that were passed already.
                last = await self._find_last(client)
                continue
            entries = _list_entries(news)
            last = entries[-1][0]
            if any(fields.get(b"node") != self._name.encode() for _, fields in entries):
                self._heard()

    async def _find_last(self, client: Any) -> bytes:
        async with asyncio.timeout(TIMEOUT):
            newest = await client.xrevrange(STREAM, count=1)
        return newest[0][0] if newest else b"0"

    def _note(self, what: str, error: Exception | None) -> None:
        if error is not None and what not in self._failing:
            # Its text may hold what was asked; the kind says enough.
            _log.warning("Redis fails in %s of commits: %s", what, type(error).__name__)
            self._failing.add(what)
        elif error is None and what in self._failing:
            _log.info("Redis is back for %s of commits", what)
            self._failing.remove(what)

    async def close(self) -> None:
        """Stop."""
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()  # more than once: redis-py may swallow one in the middle of an answer
            _, pending = await asyncio.wait(pending, timeout=CLOSING_PAUSE)


def _list_entries(news: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Of the one stream that was asked for, whichever way the protocol puts it."""
    (stream,) = news.values() if isinstance(news, dict) else [entries for _, entries in news]
    # RESP3 puts the entries into one more list.
    return list(stream[0] if stream and isinstance(stream[0], list) else stream)
