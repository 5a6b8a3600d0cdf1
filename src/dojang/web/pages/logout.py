"""The logout endpoint (OpenID Connect RP-Initiated Logout 1.0 §2), and the page that asks whether
the person means it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from dojang.oauth.http import Response
from dojang.server.paths import ACCOUNT, LOGOUT
from dojang.server.ports import Conflict
from dojang.server.signing_out import (
    FORM,
    SignedOut,
    SignOutAsked,
    begin_sign_out,
    confirm_sign_out,
)
from dojang.web.pages.cookies import Header
from dojang.web.pages.site import Site, Visit

LONGEST_ADDRESS: Final = 7000  # bytes; more would not fit into a request target
PAUSE: Final = 2  # seconds for clients to hear of it in their frames
# What of a request goes on with the form of the confirmation page.
_CARRIED: Final = (
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "ui_locales",
)


async def log_out(site: Site, visit: Visit, in_path: Mapping[str, str]) -> Response:
    """A client sends a person here, or the person comes by themselves."""
    return await _begin(site, visit, visit.read_query())


async def take_logout_form(site: Site, visit: Visit, in_path: Mapping[str, str]) -> Response:
    """A client's parameters in a form (§2), or the form of the confirmation page. A form of another
    site brings no cookies, so with the former the browser comes again by itself."""
    parameters = visit.read_form()
    if "form_key" in parameters:
        site.check_own_page(visit)
        return await _confirm(site, visit, parameters)
    encoded = urlencode(parameters)
    if len(encoded) > LONGEST_ADDRESS:
        return await _begin(site, visit, parameters)
    return site.artist.lead(f"{site.artist.base}{LOGOUT}?{encoded}")


async def _begin(site: Site, visit: Visit, parameters: Mapping[str, str]) -> Response:
    try:
        outcome = await begin_sign_out(site.provider, parameters, visit.browser)
    except Conflict:  # the session changed meanwhile
        outcome = await begin_sign_out(site.provider, parameters, visit.browser)
    if isinstance(outcome, SignOutAsked):
        return _ask(site, visit, parameters, outcome)
    return _finish(site, visit, parameters, outcome)


async def _confirm(site: Site, visit: Visit, form: Mapping[str, str]) -> Response:
    key = form["form_key"]
    try:
        outcome = await confirm_sign_out(site.provider, form, visit.browser, form_key=key)
    except Conflict:
        outcome = await confirm_sign_out(site.provider, form, visit.browser, form_key=key)
    return _finish(site, visit, form, outcome)


def _ask(
    site: Site, visit: Visit, parameters: Mapping[str, str], outcome: SignOutAsked
) -> Response:
    target, client = outcome.checked.target, outcome.checked.client
    return site.artist.draw(
        "logout.html",
        _choose_language(visit, parameters),
        target=target.uri if target else None,
        own=visit.own,
        action=site.artist.base + LOGOUT,
        account=site.artist.base + ACCOUNT,
        form_key=visit.browser.make_form_key(FORM),
        client=client.name if client else None,
        carried={name: parameters[name] for name in _CARRIED if name in parameters},
    )


def _finish(
    site: Site, visit: Visit, parameters: Mapping[str, str], outcome: SignedOut
) -> Response:
    # A session that was not shown, as in a form of another site, is nobody's to end.
    forget = () if visit.browser.session is None else (site.cookies.drop_session(),)
    location = outcome.checked.location
    if location is not None and not outcome.frames:
        return site.artist.lead(location, *forget)
    client = outcome.checked.client
    return draw_signed_out(
        site,
        _choose_language(visit, parameters),
        own=forget,
        frames=outcome.frames,
        onward=(location, client.name) if location and client else None,
    )


def draw_signed_out(
    site: Site,
    language: str,
    *,
    own: tuple[Header, ...],
    frames: tuple[str, ...] = (),
    onward: tuple[str, str] | None = None,
) -> Response:
    """The page that says so. It opens `frames`, and goes `onward` to an address, and to whom, by
    itself."""
    return site.artist.draw(
        "signed_out.html",
        language,
        own=own,
        account=site.artist.base + ACCOUNT,
        frames=frames,
        onward=onward,
        pause=PAUSE,
    )


def _choose_language(visit: Visit, parameters: Mapping[str, str]) -> str:
    return visit.choose_language(parameters.get("ui_locales", "").split())
