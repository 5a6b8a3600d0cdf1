"""Taking back what people allowed: a fact for the tokens, and the rows that outlive it, in one unit
of work. Every way to end something comes through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from dojang.oauth.revocation_fact import FactKind
from dojang.server.lifetimes import FACT_LIFE
from dojang.server.logout_notices import plan_notices
from dojang.server.model import AppendFact, Client
from dojang.server.owned import load_owned
from dojang.server.people import Account, Consent, Grant, Session
from dojang.server.ports import Change, Conflict, Drop, DropClient, Put

if TYPE_CHECKING:
    from dojang.server.provider import Provider


ATTEMPTS: Final = 8  # at a unit of work, where others move what it is about
WHOLE_ATTEMPTS: Final = 3  # of them, with all grants in the same unit
TOGETHER: Final = 100  # grants in one unit


def plan_fact(kind: FactKind, identifier: str, *, now: int) -> AppendFact:
    """The fact that ends every token of `identifier` so far."""
    return AppendFact(kind=kind, identifier=identifier, at=now, forget_after=now + FACT_LIFE)


def plan_client_end(client: Client, *, now: int) -> list[Change]:
    """The end of a client: forgotten, and every token it has with it. What people allowed it to
    hold on is ended by `end_grants`, once it can get nothing more."""
    return [DropClient(client), plan_fact(FactKind.CLIENT, client.client_id, now=now)]


def plan_grant_end(grant: Grant, *, now: int) -> list[Change]:
    """The end of a grant, with its refresh tokens; none where it has ended."""
    if grant.ended_at is not None:
        return []
    ended = replace(grant, ended_at=now, version=grant.version + 1)
    return [Put(ended), plan_fact(FactKind.GRANT, grant.grant_id, now=now)]


async def end_grant(provider: Provider, grant_id: str, *, besides: Sequence[Change]) -> None:
    """The end of one grant, whatever others do with it meanwhile; nothing where it has ended.
    `besides` are changes of the same unit of work. Raises `Conflict` and `Unavailable`."""
    for attempt in range(ATTEMPTS):
        grant = await provider.store.find(Grant, grant_id)
        if grant is None or grant.ended_at is not None:
            return
        changes = plan_grant_end(grant, now=int(provider.clock.now()))
        if await _try(provider, [*changes, *besides], last=attempt == ATTEMPTS - 1):
            return


async def plan_session_end(provider: Provider, session: Session, *, now: int) -> list[Change]:
    """The end of a session and of the grants that do not outlive it; its clients will be told."""
    if session.ended_at is not None:
        return []
    ended = replace(session, ended_at=now, version=session.version + 1)
    changes: list[Change] = [
        Put(ended),
        plan_fact(FactKind.SESSION, session.session_id, now=now),
    ]
    async for grant in load_owned(provider.store, Grant, "session_id", session.session_id):
        changes += plan_grant_end(grant, now=now)
    return [*changes, *await plan_notices(provider, session, now=now)]


async def end_consent(
    provider: Provider, account_id: str, client_id: str, *, besides: Sequence[Change]
) -> None:
    """The end of what a person allowed a client: forgotten, and its live grants with it. `besides`
    are changes of the same unit of work. Raises `Conflict` and `Unavailable`."""
    for attempt in range(ATTEMPTS):
        consent = await provider.store.find(Consent, f"{account_id} {client_id}")
        if consent is None:
            return
        now = int(provider.clock.now())
        changes: list[Change] = [Drop(consent), *besides]
        if attempt < WHOLE_ATTEMPTS:
            async for grant in load_owned(provider.store, Grant, "account_id", account_id):
                if grant.client_id == client_id:
                    changes += plan_grant_end(grant, now=now)
        if await _try(provider, changes, last=attempt == ATTEMPTS - 1):
            break
    await end_grants(
        provider, "account_id", account_id, ends=lambda grant: grant.client_id == client_id
    )


async def end_account(
    provider: Provider,
    account_id: str,
    amend: Callable[[Account], Account],
    *,
    besides: Callable[[Account], Sequence[Change]],
    spare: str | None = None,
) -> Account | None:
    """The end of every session and grant of a person, whose account `amend` makes what it is from
    now on; None where there is no such account. The session `spare` lives on, with its grants: the
    one in which they changed their password. `besides` are changes of the same unit of work.

    Nothing begins beside it: a new session holds the account, a new grant its session. Who has a
    session and makes grants all the while cannot hinder it: sessions end first if need be, and
    then grants, until none is left. Raises `Conflict` and `Unavailable`.
    """
    later: Account | None = None
    for attempt in range(ATTEMPTS):
        account = await provider.store.find(Account, account_id)
        if account is None:
            return None
        later = replace(amend(account), version=account.version + 1)
        whole = attempt < WHOLE_ATTEMPTS
        changes = await _plan_account_end(provider, later, spare=spare, grants=whole)
        if await _try(provider, [*changes, *besides(later)], last=attempt == ATTEMPTS - 1):
            break
    await end_grants(provider, "account_id", account_id, ends=lambda grant: _is_other(grant, spare))
    return later


async def _plan_account_end(
    provider: Provider, account: Account, *, spare: str | None, grants: bool
) -> list[Change]:
    now = int(provider.clock.now())
    changes: list[Change] = [Put(account)]
    async for session in load_owned(provider.store, Session, "account_id", account.account_id):
        if session.ended_at is None and session.session_id != spare:
            ended = replace(session, ended_at=now, version=session.version + 1)
            changes += [Put(ended), plan_fact(FactKind.SESSION, session.session_id, now=now)]
            changes += await plan_notices(provider, session, now=now)
    if grants:
        async for grant in load_owned(provider.store, Grant, "account_id", account.account_id):
            if _is_other(grant, spare):
                changes += plan_grant_end(grant, now=now)
    return changes


def _is_other(grant: Grant, spare: str | None) -> bool:
    return spare is None or grant.session_id != spare


async def end_guest(provider: Provider, account_id: str) -> bool:
    """The end of every session and grant of a person whom the application keeps, whatever begins
    meanwhile; False where there was none. Raises `Conflict` and `Unavailable`."""
    found = False
    for attempt in range(ATTEMPTS):
        now = int(provider.clock.now())
        changes: list[Change] = []
        async for session in load_owned(provider.store, Session, "account_id", account_id):
            changes += await plan_session_end(provider, session, now=now)
        if not changes:
            break
        found = True
        await _try(provider, changes, last=attempt == ATTEMPTS - 1)
    return await end_grants(provider, "account_id", account_id, ends=lambda _: True) or found


async def end_grants(
    provider: Provider, owner: str, identifier: str, *, ends: Callable[[Grant], bool]
) -> bool:
    """End the grants of an owner, some at a time, until none is left: those too that began in the
    meantime; False where there was none. Raises `Unavailable`."""
    together, found = TOGETHER, False
    while True:
        alive = [
            grant
            async for grant in load_owned(provider.store, Grant, owner, identifier)
            if grant.ended_at is None and ends(grant)
        ]
        if not alive:
            return found
        found = True
        now = int(provider.clock.now())
        for first in range(0, len(alive), together):
            part = alive[first : first + together]
            changes = [change for grant in part for change in plan_grant_end(grant, now=now)]
            if not await _try(provider, changes, last=False):
                together = 1  # one of them is in use; the others need not wait


async def _try(provider: Provider, changes: Sequence[Change], *, last: bool) -> bool:
    """Whether they are written; False where something moved meanwhile, to be looked at again."""
    try:
        await provider.store.commit(changes)
    except Conflict:
        if last:
            raise
        return False
    return True
