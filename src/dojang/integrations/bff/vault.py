"""Sessions under their key: the browser has a random name of one, the store has it sealed under a
hash of that name, and only together with the key of this application do they give tokens."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from dojang.clock import Clock
from dojang.integrations.bff.records import BrowserSession, dump_session, parse_session
from dojang.integrations.bff.sessions import BrowserSessions
from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.jose.seal import SealRing

ID_BYTES: Final = 32
_ID_LENGTH: Final = 43
_CONTEXT: Final = b"dojang browser session "

_log: Final = logging.getLogger("dojang.bff")


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Of a session, in seconds: without use, and in all."""

    idle: int = 1800
    absolute: int = 28_800

    def __post_init__(self) -> None:
        if not 0 < self.idle <= self.absolute:
            raise ValueError("a session lasts a while, and idle no longer than in all")


class Kept(NamedTuple):
    """A session and the key that it is kept under."""

    key: str
    session: BrowserSession


class Vault:
    """The sessions in `store`, sealed with `ring`."""

    def __init__(
        self, store: BrowserSessions, ring: SealRing, *, lifetimes: Lifetimes, clock: Clock
    ) -> None:
        self.store: Final = store
        self.ring: Final = ring
        self.lifetimes: Final = lifetimes
        self._clock = clock

    async def begin(self, session: BrowserSession, *, names: Sequence[str], at: int) -> str | None:
        """A new name for the browser to show; None where the provider has ended what it rests on.
        `at` is when the provider said who signed in."""
        shown = base64url.encode(secrets.token_bytes(ID_BYTES))
        key = find_key(shown)
        kept = await self.store.begin(
            key,
            self._seal(key, session),
            names=names,
            at=at,
            idle=self.lifetimes.idle,
            longest=self.lifetimes.absolute,
        )
        return shown if kept else None

    async def find(self, shown: str | None, *, use: bool) -> Kept | None:
        """The session that a browser shows. To `use` it keeps it alive."""
        if shown is None or len(shown) != _ID_LENGTH or not shown.isascii():
            return None
        key = find_key(shown)
        session = await self.open(key, idle=self.lifetimes.idle if use else None)
        return None if session is None else Kept(key, session)

    async def open(self, key: str, *, idle: int | None = None) -> BrowserSession | None:
        """The session under a key."""
        box = await self.store.find(key, idle=idle)
        if box is None:
            return None
        try:
            session = parse_session(self.ring.open(box, _CONTEXT + key.encode())[0])
        except (InvalidToken, KeyError, TypeError):
            _log.warning("a session does not open: another key sealed it, or it was changed")
            return None
        if self._clock.now() >= session.ends_at:
            await self.store.end(key)
            return None
        return session

    async def replace(self, key: str, session: BrowserSession) -> bool:
        """Keep it as it is now. False where it has ended."""
        return await self.store.replace(key, self._seal(key, session))

    async def end(self, key: str) -> None:
        """Nobody shows it any more with success."""
        await self.store.end(key)

    def _seal(self, key: str, session: BrowserSession) -> bytes:
        return self.ring.seal(dump_session(session), _CONTEXT + key.encode())


def find_key(shown: str) -> str:
    """What a session is kept under: who reads the store cannot show it."""
    return sha256(shown.encode()).hexdigest()


def name_session(issuer: str, session_id: str) -> str:
    """The name of a provider's session."""
    return sha256(f"sid\0{issuer}\0{session_id}".encode()).hexdigest()


def name_person(issuer: str, subject: str) -> str:
    """The name of all sessions of a person."""
    return sha256(f"sub\0{issuer}\0{subject}".encode()).hexdigest()
