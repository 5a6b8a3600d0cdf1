"""Addresses that a browser opens out of sight when a session ends in it (OpenID Connect
Front-Channel Logout §3): for clients that keep nothing but a cookie there. Browsers that give
framed pages no cookies defeat it; back-channel notices (`logout_notices`) do not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from dojang.server.people import Session

if TYPE_CHECKING:
    from dojang.server.provider import Provider


async def find_logout_frames(provider: Provider, session: Session) -> tuple[str, ...]:
    """The addresses of the clients of `session` that want it, with `iss` and `sid` (§2)."""
    told = urlencode({"iss": provider.issuer, "sid": session.session_id})
    frames = []
    for client_id in session.clients:
        client = await provider.state.find_client(client_id)
        uri = client.sign_in.frontchannel_logout_uri if client and client.sign_in else None
        if uri is not None:
            frames.append(f"{uri}{'&' if '?' in uri else '?'}{told}")
    return tuple(frames)
