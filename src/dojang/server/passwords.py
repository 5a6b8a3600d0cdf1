"""Passwords: argon2id (RFC 9106 §4), hashed one after the other.

Hashing takes tens of milliseconds of a core and megabytes. A bounded line keeps sign-ins from
starving token traffic (F17): whoever comes when it is full is told to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Final, TypeVar

from dojang.oauth.errors import Unavailable
from dojang.server.offloading import Offload, run_inline

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

SHORTEST: Final = 8  # characters (NIST SP 800-63B §5.1.1.2)
LONGEST: Final = 1024  # characters; whoever sends more sends junk
MOST_WAITING: Final = 64
AT_ONCE: Final = 1  # hashing holds no lock of the interpreter: the other cores go on

# Of a password that nobody has: an unknown name takes as long as a known one (C106).
_NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyBpdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


class BadPassword(ValueError):
    """A password that cannot be set; the message says why."""


def check_new_password(password: str) -> None:
    """Raises `BadPassword`. Long is good; no rule says of what (NIST SP 800-63B §5.1.1.2)."""
    if len(password) < SHORTEST:
        raise BadPassword(f"a password has at least {SHORTEST} characters")
    if len(password) > LONGEST:
        raise BadPassword(f"a password has at most {LONGEST} characters")


class Passwords:
    """Hashes beside the event loop, as `offload` does: `AT_ONCE` at a time, and no more than
    `MOST_WAITING` in line."""

    def __init__(self, offload: Offload = run_inline) -> None:
        self._offload = offload
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The PHC string. Raises `BadPassword` and `Unavailable`."""
        check_new_password(password)
        return await self._run(partial(_hash, password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether `password` is the one of `hashed` (None: nobody's), in the same time for every
        answer. Raises `Unavailable`."""
        return await self._run(partial(_verify, password[:LONGEST], hashed))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("the password check", retry_after=2)
        self._waiting += 1
        try:
            async with self._turns:
                return await self._offload(work)
        finally:
            self._waiting -= 1


@cache
def _make_hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # a server whose clients are machines needs none

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def _hash(password: str) -> str:
    return _make_hasher().hash(password)


def _verify(password: str, hashed: str | None) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _make_hasher().verify(hashed or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None
