"""Sessions of people in browsers, as operators see and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from dojang.server.admin.errors import conflict, invalid, not_found
from dojang.server.admin.users import load_user
from dojang.server.ending import plan_session_end
from dojang.server.model import AuditEvent
from dojang.server.people import Session
from dojang.server.sessions import is_alive

if TYPE_CHECKING:
    from dojang.server.provider import Provider

MOST_LISTED: Final = 1000


class ListSessions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: of one person or of all, those after the session_id `after`, `limit` at most."""

    username: str | None = None
    after: str = ""
    limit: int = MOST_LISTED


class NamedSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session, by the `sid` of its tokens."""

    session_id: str


async def list_sessions(provider: Provider, actor: str, asked: ListSessions) -> dict[str, Any]:
    """A page of sessions, oldest first. `alive`: whether the person is still signed in there."""
    if not 1 <= asked.limit <= MOST_LISTED:
        raise invalid(f"limit: must be 1 to {MOST_LISTED}")
    if asked.username is None:
        sessions = await provider.store.list_all(Session, after=asked.after, limit=asked.limit)
    else:
        account = await load_user(provider, asked.username)
        sessions = await provider.store.list_by(
            Session, "account_id", account.account_id, after=asked.after, limit=asked.limit
        )
    now = int(provider.clock.now())
    return {"sessions": [describe_session(session, now) for session in sessions]}


async def end_session(provider: Provider, actor: str, asked: NamedSession) -> dict[str, Any]:
    """Sign a person out of one browser: the session, its grants and their tokens end."""
    session = await provider.store.find(Session, asked.session_id)
    if session is None:
        raise not_found("session", asked.session_id)
    now = int(provider.clock.now())
    ended = await plan_session_end(provider, session, now=now)
    if not ended:
        raise conflict(f"the session {asked.session_id!r} has ended already")
    event = AuditEvent(at=now, actor=actor, action="session.end", target=session.session_id)
    await provider.store.commit([*ended, event])
    return {"session_id": session.session_id}


def describe_session(session: Session, now: int) -> dict[str, Any]:
    """A session as operators see it: nothing of its cookie."""
    described: dict[str, Any] = msgspec.to_builtins(session)
    del described["digest"]
    return described | {"alive": is_alive(session, now)}
