"""The account page: where a person is signed in, what they allow, and an end to either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Response
from dojang.server.browsers import check_form_key
from dojang.server.logout_frames import find_logout_frames
from dojang.server.own_account import (
    FORM,
    SignedIn,
    WrongPassword,
    change_password,
    come_back_to_account,
    end_session,
    find_person,
    load_overview,
    sign_in_to_account,
    sign_out_everywhere,
    withdraw_app,
)
from dojang.server.passwords import LONGEST, SHORTEST, BadPassword
from dojang.server.paths import ACCOUNT
from dojang.server.ports import Conflict
from dojang.server.vouching import TICKET, build_page_address, find_account_address
from dojang.web.pages.logout import draw_signed_out
from dojang.web.pages.site import Site, Visit

TRIES: Final = 5  # of a change, where somebody else changes the same at once
# What the page says was done, by the word in its address.
NOTICES: Final = frozenset(
    {"session_ended", "app_withdrawn", "signed_out", "signed_out_everywhere", "password_changed"}
)


async def show_account(site: Site, visit: Visit, in_path: Mapping[str, str]) -> Response:
    """The page, or its sign-in form."""
    query = visit.read_query()
    done = query.get("done")
    notice = done if done in NOTICES else None
    if TICKET in query:
        return await _come_back(site, visit, query)
    person = await find_person(site.provider, visit.browser)
    page = site.provider.sign_in_page
    if person is None and page is not None:
        if notice is not None:
            return draw_signed_out(site, visit.language, own=visit.own)
        return _lead_to_page(site, visit, page)
    if person is None:
        return _draw_sign_in(site, visit, notice=notice)
    return await _draw_account(site, visit, person, notice=notice)


async def change_account(site: Site, visit: Visit, in_path: Mapping[str, str]) -> Response:
    """One of the page's forms."""
    site.check_own_page(visit)
    form = visit.read_form()
    if form.get("action") == "sign_in" and site.provider.sign_in_page is None:
        return await _sign_in(site, visit, form)
    person = await find_person(site.provider, visit.browser)
    if person is None:  # it ended meanwhile: the page asks to sign in
        return _lead_back(site)
    check_form_key(visit.browser, person.form, form.get("form_key", ""))
    match form.get("action"):
        case "end_session":
            session_id = form.get("session_id", "")
            await _insist(partial(end_session, site.provider, person, session_id))
            if session_id == person.session.session_id:
                return await _lead_out(site, visit, person, "signed_out")
            return _lead_back(site, "session_ended")
        case "withdraw":
            client_id = form.get("client_id", "")
            await _insist(partial(withdraw_app, site.provider, person, client_id))
            return _lead_back(site, "app_withdrawn")
        case "sign_out":
            await _insist(partial(end_session, site.provider, person, person.session.session_id))
            return await _lead_out(site, visit, person, "signed_out")
        case "sign_out_everywhere":
            await _insist(partial(sign_out_everywhere, site.provider, person))
            return await _lead_out(site, visit, person, "signed_out_everywhere")
        case "change_password":
            return await _change_password(site, visit, person, form)
        case _:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "unknown action", reason="action")


async def _sign_in(site: Site, visit: Visit, form: Mapping[str, str]) -> Response:
    username = form.get("username", "")
    handle = await sign_in_to_account(
        site.provider,
        visit.browser,
        form_key=form.get("form_key", ""),
        username=username,
        password=form.get("password", ""),
    )
    if handle is None:
        return _draw_sign_in(site, visit, username=username, failed=True)
    return _lead_back(site, None, site.cookies.keep_session(handle.text))


async def _come_back(site: Site, visit: Visit, query: Mapping[str, str]) -> Response:
    form_key, ticket = query.get("form_key", ""), query[TICKET]
    handle = await come_back_to_account(
        site.provider, visit.browser, form_key=form_key, ticket=ticket
    )
    return _lead_back(site, None, site.cookies.keep_session(handle.text))


def _lead_to_page(site: Site, visit: Visit, page: str) -> Response:
    """To the application's own sign-in page."""
    return_to = find_account_address(site.provider, visit.browser.make_form_key(FORM))
    address = build_page_address(page, return_to, anew=False, login_hint=None)
    return site.artist.lead(address, *visit.own)


async def _change_password(
    site: Site, visit: Visit, person: SignedIn, form: Mapping[str, str]
) -> Response:
    try:
        await change_password(
            site.provider,
            person,
            visit.browser,
            present=form.get("password", ""),
            new=form.get("new_password", ""),
        )
    except WrongPassword:
        return await _draw_account(site, visit, person, problem="wrong_password")
    except BadPassword:
        return await _draw_account(site, visit, person, problem="bad_password")
    return _lead_back(site, "password_changed")


async def _insist(change: Callable[[], Awaitable[None]]) -> None:
    """Do what ends something, though somebody else changes it at the same time."""
    for _ in range(TRIES - 1):
        try:
            return await change()
        except Conflict:
            continue
    return await change()


def _lead_back(site: Site, done: str | None = None, *own: tuple[bytes, bytes]) -> Response:
    """To the page, so that reloading it repeats nothing."""
    query = f"?done={done}" if done else ""
    return site.artist.lead(f"{site.artist.base}{ACCOUNT}{query}", *own)


async def _lead_out(site: Site, visit: Visit, person: SignedIn, done: str) -> Response:
    forget = site.cookies.drop_session()
    frames = await find_logout_frames(site.provider, person.session)
    if frames:
        return draw_signed_out(site, visit.language, own=(forget,), frames=frames)
    return _lead_back(site, done, forget)


def _draw_sign_in(
    site: Site,
    visit: Visit,
    *,
    username: str = "",
    failed: bool = False,
    notice: str | None = None,
) -> Response:
    return site.artist.draw(
        "sign_in.html",
        visit.language,
        own=visit.own,
        action=site.artist.base + ACCOUNT,
        form_key=visit.browser.make_form_key(FORM),
        recipient=None,
        username=username,
        failed=failed,
        notice=notice,
    )


async def _draw_account(
    site: Site, visit: Visit, person: SignedIn, *, problem: str | None = None, **more: Any
) -> Response:
    overview = await load_overview(site.provider, person)
    claims = person.profile.claims
    return site.artist.draw(
        "account.html",
        visit.language,
        own=visit.own,
        action=site.artist.base + ACCOUNT,
        form_key=visit.browser.make_form_key(person.form),
        person=claims.get("name") or claims.get("preferred_username") or "",
        username=claims.get("preferred_username") or "",
        present=person.session.session_id,
        overview=overview,
        userinfo=site.provider.userinfo_audience,
        problem=problem,
        shortest=SHORTEST,
        longest=LONGEST,
        **{"notice": None, **more},
    )
