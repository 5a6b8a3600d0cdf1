"""A person signs out because a client asks for it (OpenID Connect RP-Initiated Logout 1.0).

An id_token that belongs to the very session in the browser says that the client may; anything less
is put to the person first (§2). Nobody is sent anywhere but to where the client registered (§3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import (
    BadRedirectUri,
    RedirectTarget,
    ResponseMode,
    build_location,
    check_redirect_uri,
)
from dojang.server.browsers import Browser, check_form_key
from dojang.server.ending import plan_session_end
from dojang.server.id_token_hints import parse_id_token_hint
from dojang.server.logout_frames import find_logout_frames
from dojang.server.model import AuditEvent, Client
from dojang.server.people import Session
from dojang.server.sessions import find_session

if TYPE_CHECKING:
    from dojang.server.provider import Provider

FORM: Final = "logout"  # what the form of the confirmation page is for


class CheckedLogout(Struct, frozen=True, kw_only=True):
    """A request that is right: by `client`, where one is named; `hint` are the claims of its
    id_token, and `target` is where the browser goes on to, if anywhere."""

    client: Client | None
    hint: Mapping[str, Any] | None
    target: RedirectTarget | None

    @property
    def location(self) -> str | None:
        """The address to go on to, with the state that the client sent along (§3)."""
        if self.target is None:
            return None
        if self.target.state is None:
            return self.target.uri
        return build_location(self.target, {"state": self.target.state})


class SignedOut(Struct, frozen=True, kw_only=True):
    """Nobody is signed in any more. `frames` are what the browser opens out of sight."""

    checked: CheckedLogout
    frames: tuple[str, ...] = ()


class SignOutAsked(Struct, frozen=True, kw_only=True):
    """The person is asked whether they want to sign out."""

    checked: CheckedLogout


Outcome: TypeAlias = SignedOut | SignOutAsked


async def begin_sign_out(
    provider: Provider, parameters: Mapping[str, str], browser: Browser
) -> Outcome:
    """A request that a client sent the browser with. Raises `OAuthError`, which is shown and never
    sent, `Conflict` and `Unavailable`."""
    await provider.state.reach_barrier()
    now = int(provider.clock.now())
    checked = await check_logout(provider, parameters, now=now)
    session = await find_session(provider, browser.session, now=now)
    if session is None:
        return SignedOut(checked=checked)
    if not _belongs(provider, checked, session):
        return SignOutAsked(checked=checked)
    return await _end(provider, checked, session, now=now)


async def confirm_sign_out(
    provider: Provider, parameters: Mapping[str, str], browser: Browser, *, form_key: str
) -> SignedOut:
    """The form of the confirmation page: the person wants to. Raises as `begin_sign_out`, and
    `BadForm`."""
    check_form_key(browser, FORM, form_key)
    await provider.state.reach_barrier()
    now = int(provider.clock.now())
    checked = await check_logout(provider, parameters, now=now)
    session = await find_session(provider, browser.session, now=now)
    if session is None:
        return SignedOut(checked=checked)
    return await _end(provider, checked, session, now=now)


async def check_logout(
    provider: Provider, parameters: Mapping[str, str], *, now: int
) -> CheckedLogout:
    """Hint → client → where to go on to. The barrier was reached before. Raises `OAuthError`."""
    hint = None
    if "id_token_hint" in parameters:
        hint = parse_id_token_hint(provider, parameters["id_token_hint"], now=now)
        if hint is None:
            raise _refuse("invalid id_token_hint", "id_token_hint")
    client = await _find_client(provider, hint, parameters.get("client_id"))
    return CheckedLogout(client=client, hint=hint, target=_find_target(client, parameters))


async def _find_client(
    provider: Provider, hint: Mapping[str, Any] | None, named: str | None
) -> Client | None:
    """The client that the hint was made for and that is named, which must be the same (§2)."""
    told = None if hint is None else hint["aud"]
    if told is not None and named is not None and told != named:
        raise _refuse("client_id is not the one of id_token_hint", "client_differs")
    client_id = told if named is None else named
    if client_id is None:
        return None
    known = client_id.isascii() and client_id.isprintable()
    client = await provider.state.find_client(client_id) if known else None
    if client is None or client.sign_in is None:
        raise OAuthError(
            ErrorCode.INVALID_CLIENT, "invalid client_id", reason="client_not_for_people"
        )
    return client


def _find_target(client: Client | None, parameters: Mapping[str, str]) -> RedirectTarget | None:
    """None where nothing is asked for, and where nobody says whose address it would be."""
    asked = parameters.get("post_logout_redirect_uri")
    if asked is None or client is None or client.sign_in is None:
        return None
    registered = client.sign_in.post_logout_redirect_uris
    try:
        if asked not in registered:  # not even another port of this machine (§3)
            raise BadRedirectUri
        return check_redirect_uri(
            asked, registered, mode=ResponseMode.QUERY, state=parameters.get("state")
        )
    except BadRedirectUri:
        raise _refuse("invalid post_logout_redirect_uri", "post_logout_redirect_uri") from None


def _belongs(provider: Provider, checked: CheckedLogout, session: Session) -> bool:
    """Whether the hint is an id_token of this person, and of this session where it names one."""
    if checked.hint is None or checked.client is None:
        return False
    subject = provider.subjects.name(session.account_id, checked.client)
    same = checked.hint.get("sid", session.session_id) == session.session_id
    return same and bool(checked.hint["sub"] == subject)


async def _end(
    provider: Provider, checked: CheckedLogout, session: Session, *, now: int
) -> SignedOut:
    event = AuditEvent(
        at=now,
        actor=session.account_id,
        action="session.end",
        target=session.session_id,
        detail={"client": checked.client.client_id} if checked.client else {},
    )
    await provider.store.commit([*await plan_session_end(provider, session, now=now), event])
    return SignedOut(checked=checked, frames=await find_logout_frames(provider, session))


def _refuse(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, description, reason=reason)
