"""Whether a person's grant is good now: its own end, its session's and the account's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.server.accounts import Profile
from dojang.server.people import Grant, Session
from dojang.server.sessions import is_alive

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class LiveGrant(NamedTuple):
    """A grant that is good as of the barrier, and whose it is."""

    grant: Grant
    profile: Profile


async def find_live_grant(provider: Provider, grant_id: str, *, now: int) -> LiveGrant:
    """Raises `OAuthError(INVALID_GRANT)`, the same whatever ended it, and `Unavailable`."""
    grant = await provider.store.find(Grant, grant_id)
    if grant is None or grant.ended_at is not None or now >= grant.expires_at:
        raise _refuse("grant_ended")
    if grant.session_id is not None:
        session = await provider.store.find(Session, grant.session_id)
        if session is None or not is_alive(session, now):
            raise _refuse("session_ended")
    profile = await provider.accounts.find_profile(grant.account_id)
    if profile is None:
        raise _refuse("account_gone")
    return LiveGrant(grant, profile)


def _refuse(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_GRANT, "The grant has ended.", reason=reason)
