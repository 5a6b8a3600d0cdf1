"""What a person sees and changes of their own account: sessions, apps, the password.

Everything is done as the person of the browser's session, and only to what is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from dojang.server.accounts import Profile
from dojang.server.browsers import Browser, check_form_key
from dojang.server.ending import end_account, end_consent, end_guest, plan_session_end
from dojang.server.handles import NewHandle
from dojang.server.kept_accounts import KeptAccounts
from dojang.server.model import AuditEvent, Client
from dojang.server.owned import load_owned
from dojang.server.passwords import check_new_password
from dojang.server.people import Account, Consent, Session
from dojang.server.sessions import find_session, is_alive
from dojang.server.signing_in import check_password, enter
from dojang.server.vouching import find_account_address, take_ticket

if TYPE_CHECKING:
    from dojang.server.provider import Provider

FORM: Final = "account"  # what the sign-in form of the account page is for


class SignedIn(Struct, frozen=True, kw_only=True):
    """Who is there. `form` is what their forms are for: those of an earlier session are not."""

    session: Session
    profile: Profile

    @property
    def form(self) -> str:
        return f"{FORM} {self.session.session_id}"


class AllowedApp(Struct, frozen=True, kw_only=True):
    """A client, and what the person allowed it."""

    client: Client
    consent: Consent


class Overview(Struct, frozen=True, kw_only=True):
    """All that is shown. `has_password`: whether it is kept here, and can be changed."""

    sessions: Sequence[Session]
    apps: Sequence[AllowedApp]
    has_password: bool


class WrongPassword(Exception):
    """The present password is not this one."""


async def find_person(provider: Provider, browser: Browser) -> SignedIn | None:
    """Whose session the browser has; None where nobody is signed in. Raises `Unavailable`."""
    await provider.state.reach_barrier()
    session = await find_session(provider, browser.session, now=int(provider.clock.now()))
    profile = await provider.accounts.find_profile(session.account_id) if session else None
    if session is None or profile is None:
        return None
    return SignedIn(session=session, profile=profile)


async def sign_in_to_account(
    provider: Provider, browser: Browser, *, form_key: str, username: str, password: str
) -> NewHandle | None:
    """The handle of a new session; None where name and password do not fit.

    Raises `BadForm`, `TooManyAttempts`, `Conflict` and `Unavailable`."""
    check_form_key(browser, FORM, form_key)
    proven = await check_password(provider, browser, username, password)
    if proven is None:
        return None
    return (await enter(provider, browser, proven)).handle


async def come_back_to_account(
    provider: Provider, browser: Browser, *, form_key: str, ticket: str
) -> NewHandle:
    """The handle of a new session, for whom the application vouches.

    Raises `BadForm`, `BadTicket`, `Conflict` and `Unavailable`."""
    await provider.state.reach_barrier()  # another node may have sealed it, under a later key
    return_to = find_account_address(provider, form_key)
    proven = await take_ticket(provider, ticket, return_to=return_to)
    check_form_key(browser, FORM, form_key)
    return (await enter(provider, browser, proven)).handle


async def load_overview(provider: Provider, person: SignedIn) -> Overview:
    """The sessions that live, the present one first, and the apps that are allowed."""
    now = int(provider.clock.now())
    account_id = person.session.account_id
    sessions = [
        each
        async for each in load_owned(provider.store, Session, "account_id", account_id)
        if is_alive(each, now)
    ]
    sessions.sort(key=lambda each: (each.session_id != person.session.session_id, -each.auth_time))
    apps = []
    async for consent in load_owned(provider.store, Consent, "account_id", account_id):
        client = await provider.state.find_client(consent.client_id)
        if client is not None:
            apps.append(AllowedApp(client=client, consent=consent))
    account = await _find_account(provider, person)
    has_password = account is not None and account.password is not None
    return Overview(sessions=sessions, apps=apps, has_password=has_password)


async def end_session(provider: Provider, person: SignedIn, session_id: str) -> None:
    """End one session of the person's; nothing where it is over, or another's. Raises `Conflict`
    and `Unavailable`, as everything below."""
    session = await provider.store.find(Session, session_id)
    if session is None or session.account_id != person.session.account_id:
        return
    now = int(provider.clock.now())
    ended = await plan_session_end(provider, session, now=now)
    if ended:
        event = _describe(person, "session.end", session_id, now=now)
        await provider.store.commit([*ended, event])


async def withdraw_app(provider: Provider, person: SignedIn, client_id: str) -> None:
    """Take back what the person allowed a client, and every token of it."""
    now = int(provider.clock.now())
    event = _describe(person, "consent.withdraw", client_id, now=now)
    await end_consent(provider, person.session.account_id, client_id, besides=[event])


async def sign_out_everywhere(provider: Provider, person: SignedIn) -> None:
    """End every session of the person, and what apps may do meanwhile (C62)."""
    now = int(provider.clock.now())
    account_id = person.session.account_id
    event = _describe(person, "account.sign_out", account_id, now=now)
    if isinstance(provider.accounts, KeptAccounts):
        await end_account(provider, account_id, lambda account: account, besides=lambda _: [event])
        return
    await end_guest(provider, account_id)
    await provider.store.commit([event])


async def change_password(
    provider: Provider, person: SignedIn, browser: Browser, *, present: str, new: str
) -> None:
    """Another password; every other session and grant of the person ends (C62).

    Raises `BadPassword`, `WrongPassword` and `TooManyAttempts` besides."""
    accounts = provider.accounts
    account = await _find_account(provider, person)
    if account is None or not isinstance(accounts, KeptAccounts):
        raise WrongPassword
    check_new_password(new)
    if await check_password(provider, browser, account.username, present) is None:
        raise WrongPassword
    hashed = await accounts.passwords.hash(new)
    now = int(provider.clock.now())
    event = _describe(person, "account.change_password", account.account_id, now=now)
    await end_account(
        provider,
        account.account_id,
        lambda account: replace(account, password=hashed, password_changed_at=now),
        besides=lambda _: [event],
        spare=person.session.session_id,
    )


async def _find_account(provider: Provider, person: SignedIn) -> Account | None:
    """None where the application that this server is part of keeps the people."""
    if not isinstance(provider.accounts, KeptAccounts):
        return None
    return await provider.store.find(Account, person.session.account_id)


def _describe(person: SignedIn, action: str, target: str, *, now: int) -> AuditEvent:
    return AuditEvent(at=now, actor=person.session.account_id, action=action, target=target)
