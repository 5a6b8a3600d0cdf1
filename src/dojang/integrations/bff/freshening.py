"""Access tokens of a session, renewed ahead of time: one refresh for all who wait, however many
tabs ask at once, on however many nodes. A refresh token is spent by its use, and a second use of it
looks like theft (RFC 9700 §4.14.2)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from dojang.client import RelyingParty, SignInRefused, TokenRefused, Tokens, Unavailable
from dojang.fetch import FetchFailed
from dojang.integrations.bff.records import Access, BrowserSession
from dojang.integrations.bff.vault import Kept, Vault

YOUNG: Final = 5.0  # seconds in which a token that a refresh brought is not renewed again
LONGEST: Final = 5.5  # seconds for a refresh: less than a lock lasts
PAUSE: Final = 2.0  # seconds between two attempts that fail, while the old token serves
MOST_PAUSES: Final = 10_000

_log: Final = logging.getLogger("dojang.bff")


class SessionOver(Exception):
    """Nobody is signed in any more."""


class Freshening:
    """The access tokens of the sessions in `vault`. For one event loop."""

    def __init__(self, party: RelyingParty, vault: Vault) -> None:
        self._party = party
        self._vault = vault
        self._clock = party.clock
        self._flights: dict[tuple[str, str], asyncio.Task[Access]] = {}
        self._pauses: dict[str, float] = {}

    async def find_access(self, kept: Kept, resource: str | None) -> Access:
        """A good access token for a resource. Waits only where there is none, or it is to be
        renewed. Raises `SessionOver` and `Unavailable`."""
        access = kept.session.access.get(resource or "")
        now = self._clock.now()
        if access is not None and now < access.renew_at:
            return access
        if access is None or now >= access.expires_at:
            return await self._renew(kept.key, resource, beyond=None)
        if kept.session.refresh_token is None or self._is_pausing(kept.key):
            return access
        try:
            return await self._renew(kept.key, resource, beyond=None)
        except Unavailable:
            self._pause(kept.key)
            return access

    async def find_another(self, kept: Kept, resource: str | None, refused: Access) -> Access:
        """An access token in place of one that its resource refused; the same one where it is
        young: a service that refuses them all must not turn its requests into refreshes.

        Raises `SessionOver` and `Unavailable`.
        """
        if refused.refreshed and self._clock.now() < refused.issued_at + YOUNG:
            return refused
        return await self._renew(kept.key, resource, beyond=refused.token)

    async def _renew(self, key: str, resource: str | None, *, beyond: str | None) -> Access:
        """Join the refresh that is under way, or begin one. Who leaves does not stop it: what it
        spends is spent."""
        flight = self._flights.get((key, resource or ""))
        if flight is None:
            flight = asyncio.create_task(self._fly(key, resource, beyond))
            self._flights[key, resource or ""] = flight
            flight.add_done_callback(lambda _: self._flights.pop((key, resource or ""), None))
            flight.add_done_callback(_forget_failure)
        return await asyncio.shield(flight)

    async def _fly(self, key: str, resource: str | None, beyond: str | None) -> Access:
        async with self._vault.store.lock(key):
            session = await self._vault.open(key)
            if session is None:
                raise SessionOver
            access = session.access.get(resource or "")
            if access is not None and self._serves(access, beyond):
                return access  # another node was first
            later = await self._refresh(key, session, resource)
            if not await self._vault.replace(key, later):
                await self._give_back(later)
                raise SessionOver
        self._pauses.pop(key, None)
        return later.access[resource or ""]

    def _serves(self, access: Access, beyond: str | None) -> bool:
        return access.token != beyond and self._clock.now() < access.renew_at

    async def _refresh(
        self, key: str, session: BrowserSession, resource: str | None
    ) -> BrowserSession:
        """The session with a new token, not kept yet. Where there is none to be had, its end."""
        if session.refresh_token is None:
            if (resource or "") not in session.access:
                raise Unavailable("an access token for another resource, without a refresh token")
            await self._vault.end(key)
            raise SessionOver
        try:
            tokens = await self._ask(session.refresh_token, session, resource)
        except TokenRefused as refused:
            if refused.error != "invalid_grant":
                _log.warning("no refresh: the provider answers %s", refused.error)
                raise Unavailable("the refresh of a session") from None
            why = "the provider has ended it"
        except SignInRefused as refused:
            why = f"the refresh brought a bad id_token ({refused.flaw})"
            await self._give_back(session)
        else:
            return session.renew(resource, tokens, now=self._clock.now())
        _log.info("a session is over: %s", why)
        await self._vault.end(key)
        raise SessionOver

    async def _ask(
        self, refresh_token: str, session: BrowserSession, resource: str | None
    ) -> Tokens:
        """An answer that is lost is asked for again at once: the provider may have spent the
        token, and give the same answer for a short while only (RFC 9700 §4.14.2)."""
        try:
            async with asyncio.timeout(LONGEST):
                try:
                    return await self._party.refresh_async(
                        refresh_token, before=session.before, resource=resource
                    )
                except FetchFailed:
                    return await self._party.refresh_async(
                        refresh_token, before=session.before, resource=resource
                    )
        except TimeoutError:
            pass
        raise Unavailable("the refresh of a session")

    async def _give_back(self, session: BrowserSession) -> None:
        if session.refresh_token is not None:
            with suppress(Unavailable):
                await self._party.revoke_async(session.refresh_token)

    def _is_pausing(self, key: str) -> bool:
        return self._clock.monotonic() < self._pauses.get(key, float("-inf"))

    def _pause(self, key: str) -> None:
        if len(self._pauses) >= MOST_PAUSES:
            self._pauses.clear()
        self._pauses[key] = self._clock.monotonic() + PAUSE


def _forget_failure(flight: asyncio.Task[Access]) -> None:
    """What failed was told to those who waited; where nobody did, nobody is told."""
    if not flight.cancelled():
        flight.exception()
