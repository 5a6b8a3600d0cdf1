"""People whom this server keeps itself: names, passwords, and how often somebody may guess."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from hashlib import sha256
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
KNOWN_FOR: Final = 90 * 86_400  # seconds after a sign-in for which its browser is known


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

    async def authenticate(
        self, username: str, password: str, *, network: str, browser: bytes | None = None
    ) -> Proven | None:
        """As `Accounts.authenticate`. Failures count against the name and against the network,
        in the store: restarting or asking many nodes at once wins nothing.

        `browser` is the digest of one. Where the person signed in with it before, failures count
        against the two together: nobody shuts people out of it by guessing elsewhere (OWASP, Slow
        Down Online Guessing Attacks with Device Cookies).
        """
        now = int(self._clock.now())
        name = normalise_name(username)
        from_network, counted = f"network {find_network(network)}", f"name {name}"
        if not await self._count(from_network, most=MOST_OF_NETWORK, now=now):
            raise TooManyAttempts(WINDOW)
        own = _name_browser(browser, name)
        if own is not None and await self._is_known(own, now=now):
            counted = own
        allowed = await self._count(counted, most=MOST_OF_ACCOUNT, now=now)
        account = await self.find_account(username)
        hashed = account.password if account and allowed else None
        right = await self.passwords.verify(password, hashed)
        if account is None or not right or not account.enabled:
            return None
        await self._take_back(counted)
        await self._take_back(from_network)
        if own is not None:
            await self._know(own, now=now)
        return Proven(
            account_id=account.account_id, amr=("pwd",), acr=PASSWORD_ACR, holds=(Hold(account),)
        )

    async def _is_known(self, own: str, *, now: int) -> bool:
        held = await self._store.find(Attempts, own)
        return held is not None and now < held.expires_at

    async def _know(self, own: str, *, now: int) -> None:
        """From now on the browser is known, and has failed at nothing."""
        held = await self._store.find(Attempts, own)
        version = held.version + 1 if held else 1
        known = Attempts(
            subject=own, count=0, since=now, expires_at=now + KNOWN_FOR, version=version
        )
        with suppress(Conflict):  # a failure at the same time: known it is
            await self._store.commit([Put(known)])

    async def _count(self, subject: str, *, most: int, now: int) -> bool:
        """Count an attempt before it is made, so that many at once are not more than one after the
        other; False where there were `most` already."""
        while True:
            held = await self._store.find(Attempts, subject)
            if held is None or now >= held.since + WINDOW:
                version = held.version + 1 if held else 1
                until = max(now + WINDOW, held.expires_at if held else 0)
                counted = Attempts(
                    subject=subject, count=1, since=now, expires_at=until, version=version
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


def _name_browser(browser: bytes | None, name: str | None) -> str | None:
    """What counts for a browser and a name: of neither can it be read who signed in where."""
    if browser is None or name is None:
        return None
    return f"browser {sha256(browser + name.encode()).hexdigest()}"


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
