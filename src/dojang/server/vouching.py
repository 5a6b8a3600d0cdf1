"""People who sign in on a page of the application that this server is part of.

The browser is sent there, and comes back with a ticket in its address by which the application
vouches for a person: good for a minute, once, at this very address, and only in the browser that
was sent (C41, C44).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import Unavailable
from dojang.server.accounts import Proven
from dojang.server.paths import ACCOUNT, INTERACTION

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LIFETIME: Final = 60  # seconds for the browser to come back
LONGEST_ID: Final = 255  # characters of an account's id
RETURN_TO: Final = "return_to"  # the parameter of the sign-in page with the address to come back to
TICKET: Final = "ticket"  # the parameter that comes back
_CONTEXT: Final = b"dojang sign-in ticket"


class BadTicket(Exception):
    """The ticket is not this server's, is for another address, too old, or was shown before."""


class NotOurAddress(ValueError):
    """The address to come back to is none that this server sends people with."""

    def __init__(self, return_to: str) -> None:
        super().__init__(
            f"{return_to[:100]!r} is no address of this authorization server: give the "
            f"{RETURN_TO} that your sign-in page was opened with, unchanged"
        )


class _Ticket(Struct, frozen=True, array_like=True):
    return_to: str
    account_id: str
    amr: tuple[str, ...]
    acr: str | None
    auth_time: int
    expires_at: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Ticket).decode


def build_page_address(
    page: str, return_to: str, *, anew: bool, login_hint: str | None, ui_locales: Sequence[str] = ()
) -> str:
    """The address of the application's sign-in page, which is to send the browser back to
    `return_to`. `anew`: it is to ask even those who are signed in (`prompt=login`)."""
    wanted = {
        RETURN_TO: return_to,
        "prompt": "login" if anew else "",
        "login_hint": login_hint or "",
        "ui_locales": " ".join(ui_locales),
    }
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"{page}{'&' if urlsplit(page).query else '?'}{query}"


def vouch(
    provider: Provider,
    return_to: str,
    account_id: str,
    *,
    amr: Sequence[str],
    acr: str | None,
    auth_time: int | None,
) -> str:
    """The address to send the browser to, once the application knows that it is `account_id`'s.

    Raises `NotOurAddress`, `ValueError` for what cannot be an account's id, and `Unavailable`."""
    _check_address(provider, return_to)
    if not 0 < len(account_id) <= LONGEST_ID or not account_id.isprintable() or " " in account_id:
        raise ValueError("an account's id is 1 to 255 printable characters without a space")
    now = int(provider.clock.now())
    seals = provider.state.keys.at(now).seals
    if seals is None:
        raise Unavailable("the sealing keys")
    ticket = _Ticket(
        return_to=return_to,
        account_id=account_id,
        amr=tuple(amr),
        acr=acr,
        auth_time=now if auth_time is None else min(auth_time, now),
        expires_at=now + LIFETIME,
    )
    sealed = base64url.encode(seals.seal(_encode(ticket), _CONTEXT))
    return f"{return_to}{'&' if urlsplit(return_to).query else '?'}{TICKET}={sealed}"


async def take_ticket(provider: Provider, text: str, *, return_to: str) -> Proven:
    """For whom the application vouches. Raises `BadTicket` and `Unavailable`."""
    now = int(provider.clock.now())
    seals = provider.state.keys.at(now).seals
    if seals is None:
        raise Unavailable("the sealing keys")
    try:
        opened, _ = seals.open(base64url.decode(text), _CONTEXT)
    except InvalidToken:
        raise BadTicket from None
    ticket = _decode(opened)
    if ticket.return_to != return_to or now >= ticket.expires_at:
        raise BadTicket
    key = b"ticket" + sha256(text.encode()).digest()
    if not await provider.store.consume_once(key, until=ticket.expires_at, now=now):
        raise BadTicket
    return Proven(
        account_id=ticket.account_id, amr=ticket.amr, acr=ticket.acr, auth_time=ticket.auth_time
    )


def find_interaction_address(provider: Provider, interaction_id: str) -> str:
    """Where a person comes back to in an interaction."""
    return provider.issuer + INTERACTION.format(interaction_id=interaction_id)


def find_account_address(provider: Provider, form_key: str) -> str:
    """Where a person comes back to on the account page; the key is of the browser that left."""
    return f"{provider.issuer}{ACCOUNT}?{urlencode({'form_key': form_key})}"


def _check_address(provider: Provider, return_to: str) -> None:
    rest = return_to.removeprefix(provider.issuer)
    before, _, after = INTERACTION.partition("{interaction_id}")
    identifier = rest.removeprefix(before).removesuffix(after)
    interaction = rest.startswith(before) and identifier.isascii() and identifier.isalnum()
    account = rest.startswith(f"{ACCOUNT}?form_key=") and "&" not in rest and "#" not in rest
    if rest == return_to or not (interaction or account):
        raise NotOurAddress(return_to)
