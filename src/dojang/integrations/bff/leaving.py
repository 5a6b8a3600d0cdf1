"""`GET /session`, `POST /logout` and `POST /backchannel-logout`: who is signed in, and how that
ends."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from dojang.client import LogoutRefused, Unavailable
from dojang.integrations.bff.parts import Parts, answer, refuse
from dojang.integrations.bff.vault import name_person, name_session
from dojang.oauth.http import Request, Response, parse_form

SKEW: Final = 60  # seconds that a jti is remembered beyond its token

_log: Final = logging.getLogger("dojang.bff")


async def tell_session(parts: Parts, request: Request) -> Response:
    """Who is signed in. Asking does not keep the session alive. Raises `Unavailable`."""
    kept = await parts.vault.find(parts.cookies.find_session(request), use=False)
    if kept is None:
        return answer(200, {"signed_in": False})
    session = kept.session
    ends_at = int(session.ends_at)
    return answer(200, {"signed_in": True, "claims": dict(session.claims), "ends_at": ends_at})


async def sign_out(parts: Parts, request: Request) -> Response:
    """End the session here, give its refresh token back, and say where the browser goes to sign
    out at the provider. Raises `Unavailable` where it does not end here."""
    party = parts.party
    kept = await parts.vault.find(parts.cookies.find_session(request), use=False)
    id_token = None
    if kept is not None:
        await parts.vault.end(kept.key)
        id_token = kept.session.id_token
        if kept.session.refresh_token is not None:
            with suppress(Unavailable):
                await party.revoke_async(kept.session.refresh_token)
    location = None
    try:
        location = await party.find_logout_url_async(
            return_to=parts.signed_out_url, id_token=id_token
        )
    except Unavailable as failure:
        _log.warning("a person is signed out here alone: %s", failure)
    document = {"location": location or parts.signed_out_url or "/"}
    return answer(200, document, parts.cookies.drop_session())


async def take_logout_token(parts: Parts, request: Request) -> Response:
    """The provider says what has ended (OpenID Connect Back-Channel Logout §2.5, §2.8).

    Raises `OAuthError`, and `Unavailable`: the provider tries again.
    """
    party, store = parts.party, parts.vault.store
    try:
        told = await party.read_logout_token_async(parse_form(request).get("logout_token", ""))
    except LogoutRefused as refused:
        _log.warning("logout token refused: %s", refused.flaw)
        return refuse(400, "invalid_request")
    left = max(told.expires_at - int(party.clock.now()), 0) + SKEW
    claim = name_session(party.issuer, f"jti {told.jti}")
    if not await store.claim(claim, seconds=left):
        _log.warning("logout token refused: it came before")
        return refuse(400, "invalid_request")
    if told.session_id is not None:
        name = name_session(party.issuer, told.session_id)
    else:
        name = name_person(party.issuer, told.subject or "")
    try:
        await store.end_all(name, at=told.issued_at, remember=parts.vault.lifetimes.absolute)
    except Unavailable:
        await store.release(claim)
        raise
    return answer(200, {})
