"""Sessions of people in browsers, as their cookie proves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from dojang.server.accounts import Proven
from dojang.server.handles import SESSION, NewHandle, new_handle, new_secret, parse_handle
from dojang.server.people import Session

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LIFETIME: Final = 14 * 86_400  # seconds, from the sign-in
LONGEST_AGENT: Final = 200


async def find_session(provider: Provider, cookie: str | None, *, now: int) -> Session | None:
    """The session that `cookie` opens; None where there is none, or it has ended or expired."""
    handle = parse_handle(SESSION, cookie or "")
    if handle is None:
        return None
    session = await provider.store.find(Session, handle.identifier)
    if session is None or not handle.opens(session.digest) or not is_alive(session, now):
        return None
    return session


def is_alive(session: Session, now: int) -> bool:
    """Whether the person is still signed in there."""
    return session.ended_at is None and now < session.expires_at


class Begun(NamedTuple):
    """A session that begins, or goes on under a new secret, and the handle for its cookie."""

    session: Session
    handle: NewHandle


def begin_session(proven: Proven, *, agent: str, network: str, now: float) -> Begun:
    """A new one, under a new id, whatever the browser brought (C41)."""
    handle = new_handle(SESSION, now=now)
    at = int(now)
    session = Session(
        session_id=handle.identifier,
        digest=handle.digest,
        account_id=proven.account_id,
        auth_time=at if proven.auth_time is None else proven.auth_time,
        amr=proven.amr,
        acr=proven.acr,
        agent=agent[:LONGEST_AGENT],
        network=network,
        created_at=at,
        expires_at=at + LIFETIME,
    )
    return Begun(session, handle)


def renew_session(session: Session, proven: Proven, *, now: float) -> Begun:
    """The same session, whose person has proven again who they are. Its cookie is another from now
    on (C41); its clients know it by the same `sid`."""
    handle = new_secret(SESSION, session.session_id)
    at = int(now)
    renewed = replace(
        session,
        digest=handle.digest,
        auth_time=at if proven.auth_time is None else proven.auth_time,
        amr=proven.amr,
        acr=proven.acr,
        expires_at=at + LIFETIME,
        version=session.version + 1,
    )
    return Begun(renewed, handle)
