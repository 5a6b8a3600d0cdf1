"""Telling clients that a session ended (OpenID Connect Back-Channel Logout §2.5).

A notice is written with the end itself, so that none is lost; whoever leads delivers it later, and
again with longer and longer pauses where a client does not answer. The person never waits, and no
client for another that is slow (C105).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from msgspec.structs import replace

from dojang.fetch import FetchFailed, FetchRequest, Outward
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.oauth.logout_token import MEDIA_TYPE, build_logout_token_claims
from dojang.server.ids import new_id
from dojang.server.people import LogoutNotice, Session
from dojang.server.ports import Change, Conflict, Drop, Put

if TYPE_CHECKING:
    from dojang.server.provider import Provider

TIMEOUT: Final = 5.0  # seconds for a client to answer
FIRST_PAUSE: Final = 5  # seconds; each is twice the one before
KEPT: Final = 86_400  # seconds; then the client has missed it
AT_ONCE: Final = 16  # deliveries under way
AT_ONCE_TO_ONE: Final = 2  # of them, to one client
PAGE: Final = 500

_log: Final = logging.getLogger("dojang.logout")


async def plan_notices(provider: Provider, session: Session, *, now: int) -> list[Change]:
    """A notice for every client of `session` that wants to be told."""
    changes: list[Change] = []
    for client_id in session.clients:
        client = await provider.state.find_client(client_id)
        if client is None or client.sign_in is None:
            continue
        if client.sign_in.backchannel_logout_uri is not None:
            notice = LogoutNotice(
                notice_id=new_id(now * 1000),
                client_id=client_id,
                session_id=session.session_id,
                sub=provider.subjects.name(session.account_id, client),
                due_at=now,
                expires_at=now + KEPT,
            )
            changes.append(Put(notice))
    return changes


async def deliver_notices(provider: Provider, outward: Outward) -> None:
    """Tell the clients whose notices are due: to be called about once a second, on the node that
    leads. Raises `Unavailable`."""
    turn, after = _Round(), ""
    while page := await provider.store.list_all(LogoutNotice, after=after, limit=PAGE):
        now = int(provider.clock.now())
        due = [notice for notice in page if notice.due_at <= now]
        await asyncio.gather(*(_deliver(provider, outward, turn, notice) for notice in due))
        after = page[-1].notice_id


class _Round:
    """One look at what is due. `silent` are clients that did not answer in it: what else is for
    them stays due."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.turns_of = defaultdict[str, asyncio.Semaphore](
            lambda: asyncio.Semaphore(AT_ONCE_TO_ONE)
        )
        self.silent = set[str]()


async def _deliver(
    provider: Provider,
    outward: Outward,
    turn: _Round,
    notice: LogoutNotice,
) -> None:
    async with turn.turns_of[notice.client_id], turn.turns:
        if notice.client_id in turn.silent:
            return
        client = await provider.state.find_client(notice.client_id)
        uri = client.sign_in.backchannel_logout_uri if client and client.sign_in else None
        if client is None or client.sign_in is None or uri is None:
            await _settle(provider, Drop(notice))
            return
        token = _sign(provider, notice, client.sign_in.id_token_algorithm)
        done = token is not None and await _post(outward, uri, token)
        if not done:
            turn.silent.add(notice.client_id)
    if done:
        await _settle(provider, Drop(notice))
        return
    pause = FIRST_PAUSE << min(notice.attempts, 12)
    later = replace(
        notice,
        due_at=int(provider.clock.now()) + pause,
        attempts=notice.attempts + 1,
        version=notice.version + 1,
    )
    _log.warning(
        "%s was not told of a logout; again in %d s",
        notice.client_id,
        pause,
        extra={"client": notice.client_id, "attempts": later.attempts},
    )
    await _settle(provider, Put(later))


def _sign(provider: Provider, notice: LogoutNotice, algorithm: str) -> str | None:
    """A token of this delivery; None where there is no key for it now."""
    now = provider.clock.now()
    key = provider.state.keys.at(int(now)).id_token_signers.get(algorithm)
    if key is None:
        return None
    claims = build_logout_token_claims(
        issuer=provider.issuer,
        client_id=notice.client_id,
        subject=notice.sub,
        session_id=notice.session_id,
        jti=new_id(int(now * 1000)),
        now=int(now),
    )
    return sign_jwt(claims, CompactSigner(key, typ=MEDIA_TYPE))


async def _post(outward: Outward, uri: str, token: str) -> bool:
    request = FetchRequest(
        "POST",
        uri,
        (("Content-Type", "application/x-www-form-urlencoded"),),
        urlencode({"logout_token": token}).encode(),
        timeout=TIMEOUT,
    )
    try:
        response = await outward.send(request)
    except FetchFailed as error:
        _log.info("%s: %s", urlsplit(uri).netloc, error)
        return False
    return response.status in (200, 204)


async def _settle(provider: Provider, change: Change) -> None:
    with suppress(Conflict):  # another node delivered it too
        await provider.store.commit([change])
