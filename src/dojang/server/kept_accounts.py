"""People whom this server keeps itself: names, passwords, and how often somebody may guess."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec.structs import replace

from dojang.clock import Clock
from dojang.server.accounts import Profile, Proven, TooManyAttempts
from dojang.server.checks.next_step import PASSWORD_ACR
from dojang.server.model import AuditEvent
from dojang.server.passwords import Passwords
from dojang.server.people import Account, Attempts, SignInName
from dojang.server.ports import Change, Conflict, Hold, Put, Store

LONGEST_NAME: Final = 255
WINDOW: Final = 900  # seconds for which a failure counts
MOST_OF_ACCOUNT: Final = 10  # failures in a window, whether there is such a person or not
MOST_OF_NETWORK: Final = 100


def normalise_name(name: str) -> str | None:
    """The one form of a sign-in name (C107): composed, without case, without outer spaces; None for
    what cannot be one."""
    normal = unicodedata.normalize("NFKC", name).strip().casefold()
    if not 0 < len(normal) <= LONGEST_NAME or not normal.isprintable():
        return None
    return normal


def find_network(address: str) -> str:
    """What one household has: an IPv4 address, or the 64 bits before an IPv6 one (C107)."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ip_network((found, 64), strict=False))


class KeptAccounts:
    """`Accounts` in the store."""

    def __init__(self, store: Store, clock: Clock, passwords: Passwords) -> None:
        self._store = store
        self._clock = clock
        self.passwords: Final = passwords

    async def find_account(self, username: str) -> Account | None:
        """Whom a name belongs to."""
        name = normalise_name(username)
        found = await self._store.find(SignInName, name) if name else None
        return await self._store.find(Account, found.account_id) if found else None

    async def authenticate(self, username: str, password: str, *, network: str) -> Proven | None:
        """As `Accounts.authenticate`. Failures count against the name and against the network,
        in the store: restarting or asking many nodes at once wins nothing."""
        now = int(self._clock.now())
        from_network, of_name = (
            f"network {find_network(network)}",
            f"name {normalise_name(username)}",
        )
        if not await self._count(from_network, most=MOST_OF_NETWORK, now=now):
            raise TooManyAttempts(WINDOW)
        allowed = await self._count(of_name, most=MOST_OF_ACCOUNT, now=now)
        account = await self.find_account(username)
        hashed = account.password if account and allowed else None
        right = await self.passwords.verify(password, hashed)
        if account is None or not right or not account.enabled:
            return None
        await self._take_back(of_name)
        await self._take_back(from_network)
        return Proven(
            account_id=account.account_id, amr=("pwd",), acr=PASSWORD_ACR, holds=(Hold(account),)
        )

    async def _count(self, subject: str, *, most: int, now: int) -> bool:
        """Count an attempt before it is made, so that many at once are not more than one after the
        other; False where there were `most` already."""
        while True:
            held = await self._store.find(Attempts, subject)
            if held is None or now >= held.since + WINDOW:
                version = held.version + 1 if held else 1
                counted = Attempts(
                    subject=subject, count=1, since=now, expires_at=now + WINDOW, version=version
                )
            elif held.count >= most:
                return False
            else:
                counted = replace(held, count=held.count + 1, version=held.version + 1)
            changes: list[Change] = [Put(counted)]
            if counted.count == most:
                changes.append(_build_event(subject, now))
            with suppress(Conflict):  # somebody else counted: look again
                await self._store.commit(changes)
                return True

    async def _take_back(self, subject: str) -> None:
        """Uncount one that was right."""
        held = await self._store.find(Attempts, subject)
        if held is not None and held.count > 0:
            fewer = replace(held, count=held.count - 1, version=held.version + 1)
            with suppress(Conflict):
                await self._store.commit([Put(fewer)])

    async def find_profile(self, account_id: str) -> Profile | None:
        """As `Accounts.find_profile`."""
        account = await self._store.find(Account, account_id)
        if account is None or not account.enabled:
            return None
        claims = {"preferred_username": account.username, **account.claims}
        return Profile(account_id=account_id, claims=claims)


def _build_event(subject: str, now: int) -> AuditEvent:
    """Once a window: from now on even what is right is refused."""
    return AuditEvent(
        at=now,
        actor="dojang",
        action="account.throttle",
        target=subject,
        outcome="refused",
        detail={"seconds": str(WINDOW)},
    )
