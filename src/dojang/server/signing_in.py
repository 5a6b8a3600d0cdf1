"""A person signs in: by name and password, or because the application vouches for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dojang.server.accounts import Proven
from dojang.server.ending import plan_session_end
from dojang.server.kept_accounts import KeptAccounts
from dojang.server.model import AuditEvent
from dojang.server.people import Session
from dojang.server.ports import Change, Put
from dojang.server.sessions import Begun, begin_session, find_session, renew_session

if TYPE_CHECKING:
    from dojang.server.browsers import Browser
    from dojang.server.provider import Provider


def _nothing(_: Session) -> Sequence[Change]:
    return ()


async def check_password(
    provider: Provider, browser: Browser, username: str, password: str
) -> Proven | None:
    """Who has that name and that password; None where they do not fit. Raises `TooManyAttempts`
    and `Unavailable`."""
    accounts, network = provider.accounts, browser.network
    if isinstance(accounts, KeptAccounts):
        return await accounts.authenticate(
            username, password, network=network, browser=browser.digest
        )
    return await accounts.authenticate(username, password, network=network)


async def enter(
    provider: Provider,
    browser: Browser,
    proven: Proven,
    *,
    client_id: str | None = None,
    besides: Callable[[Session], Sequence[Change]] = _nothing,
) -> Begun:
    """The session of who has just proven who they are, and an end to anybody else's in this
    browser. `besides` are changes of the same unit of work. Raises `Conflict` and `Unavailable`."""
    now = provider.clock.now()
    begun, ended = await _replace_session(provider, browser, proven, now=now)
    client = {"client": client_id} if client_id else {}
    event = AuditEvent(
        at=int(now),
        actor=proven.account_id,
        action="account.sign_in",
        target=proven.account_id,
        detail={**client, "network": browser.network},
    )
    session = begun.session
    await provider.store.commit([*proven.holds, *ended, Put(session), *besides(session), event])
    return begun


async def _replace_session(
    provider: Provider, browser: Browser, proven: Proven, *, now: float
) -> tuple[Begun, list[Change]]:
    present = await find_session(provider, browser.session, now=int(now))
    if present is not None and present.account_id == proven.account_id:
        return renew_session(present, proven, now=now), []
    begun = begin_session(proven, agent=browser.agent, network=browser.network, now=now)
    ended = await plan_session_end(provider, present, now=int(now)) if present else []
    return begun, ended
