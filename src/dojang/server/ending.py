"""Taking back what people allowed: a fact for the tokens, and the rows that outlive it, in one unit
of work. Every way to end something comes through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from dojang.oauth.revocation_fact import FactKind
from dojang.server.lifetimes import FACT_LIFE
from dojang.server.logout_notices import plan_notices
from dojang.server.model import AppendFact
from dojang.server.owned import load_owned
from dojang.server.people import Account, Consent, Grant, Session
from dojang.server.ports import Change, Drop, Put

if TYPE_CHECKING:
    from dojang.server.provider import Provider


def plan_fact(kind: FactKind, identifier: str, *, now: int) -> AppendFact:
    """The fact that ends every token of `identifier` so far."""
    return AppendFact(kind=kind, identifier=identifier, at=now, forget_after=now + FACT_LIFE)


def plan_grant_end(grant: Grant, *, now: int) -> list[Change]:
    """The end of a grant, with its refresh tokens; none where it has ended."""
    if grant.ended_at is not None:
        return []
    ended = replace(grant, ended_at=now, version=grant.version + 1)
    return [Put(ended), plan_fact(FactKind.GRANT, grant.grant_id, now=now)]


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


async def plan_consent_end(provider: Provider, consent: Consent, *, now: int) -> list[Change]:
    """The end of what a person allowed a client: forgotten, and its live grants with it."""
    changes: list[Change] = [Drop(consent)]
    async for grant in load_owned(provider.store, Grant, "account_id", consent.account_id):
        if grant.client_id == consent.client_id:
            changes += plan_grant_end(grant, now=now)
    return changes


async def plan_account_end(
    provider: Provider, account: Account, *, now: int, spare: str | None = None
) -> list[Change]:
    """The end of every session and grant of a person; `account` is as it is to be from now on, one
    version later, so that nothing begins beside it. The session `spare` lives on, with its grants:
    the one in which they changed their password."""
    changes: list[Change] = [Put(account)]
    async for session in load_owned(provider.store, Session, "account_id", account.account_id):
        if session.ended_at is None and session.session_id != spare:
            ended = replace(session, ended_at=now, version=session.version + 1)
            changes += [Put(ended), plan_fact(FactKind.SESSION, session.session_id, now=now)]
            changes += await plan_notices(provider, session, now=now)
    async for grant in load_owned(provider.store, Grant, "account_id", account.account_id):
        if spare is None or grant.session_id != spare:
            changes += plan_grant_end(grant, now=now)
    return changes
