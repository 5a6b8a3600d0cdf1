"""The authorization endpoint, and the pages of a sign-in that is under way (RFC 6749 §3.1, OpenID
Connect Core §3.1.2). What comes next is decided by `server.interaction`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from dojang.oauth.authorization import Prompt
from dojang.oauth.http import Request, Response, parse_form, parse_parameters
from dojang.oauth.redirects import ResponseMode, build_location
from dojang.server.checks.next_step import Step
from dojang.server.interaction import (
    Outcome,
    PersonAsked,
    Redirected,
    answer_consent,
    begin_authorization,
    come_back,
    resume,
    sign_in,
)
from dojang.server.paths import AUTHORIZATION, INTERACTION
from dojang.server.ports import Conflict
from dojang.server.vouching import TICKET, build_page_address, find_interaction_address
from dojang.web.pages.asking import draw_question
from dojang.web.pages.site import Site, Visit

LONGEST_ADDRESS: Final = 7000  # bytes; more would not fit into a request target


async def authorize(site: Site, visit: Visit, in_path: Mapping[str, str]) -> Response:
    """A client sends a person here."""
    request = visit.request
    if request.method == "POST":
        return await _take_posted(site, visit)
    return await _begin(site, visit, visit.read_query())


async def _take_posted(site: Site, visit: Visit) -> Response:
    """Parameters in a form are as good (OpenID Connect Core §3.1.2.1). A form of another site
    brings no cookies, so the browser comes again by itself; unless the address grew too long."""
    parameters = _join_parameters(visit.request)
    encoded = urlencode(parameters)
    if len(encoded) > LONGEST_ADDRESS:
        return await _begin(site, visit, parameters)
    return site.artist.lead(f"{site.artist.base}{AUTHORIZATION}?{encoded}")


def _join_parameters(request: Request) -> dict[str, str]:
    """Those of the form and of the address; what stands in both is repeated (C32)."""
    parse_form(request)  # the media type, too
    return parse_parameters(b"&".join(filter(None, (request.query, request.body))))


async def _begin(site: Site, visit: Visit, parameters: Mapping[str, str]) -> Response:
    try:
        outcome = await begin_authorization(site.provider, parameters, visit.browser)
    except Conflict:  # the session changed meanwhile
        outcome = await begin_authorization(site.provider, parameters, visit.browser)
    if isinstance(outcome, PersonAsked):
        return site.artist.lead(_find_path(site, outcome), *visit.own)
    return _lead_to_client(site, visit, outcome)


async def interact(site: Site, visit: Visit, in_path: Mapping[str, str]) -> Response:
    """The page that is next, and its form."""
    interaction_id = in_path["interaction_id"]
    posted = visit.request.method == "POST"
    form: Mapping[str, str] = {}
    if posted:
        site.check_own_page(visit)
        form = visit.read_form()
    ticket = None if posted else visit.read_query().get(TICKET)
    try:
        if ticket is not None:
            outcome = await come_back(site.provider, interaction_id, visit.browser, ticket=ticket)
        else:
            outcome = await _take_form(site, visit, interaction_id, form)
    except Conflict:  # another tab was first
        outcome = await resume(site.provider, interaction_id, visit.browser)
    if isinstance(outcome, Redirected):
        return _lead_to_client(site, visit, outcome)
    if ticket is not None:
        return site.artist.lead(_find_path(site, outcome), *_keep_session(site, outcome))
    page = site.provider.sign_in_page
    if outcome.step is Step.SIGN_IN and page is not None:
        return _lead_to_page(site, page, outcome, switching=form.get("action") == "switch")
    if posted and not outcome.failed and form.get("action") != "switch":
        return site.artist.lead(_find_path(site, outcome), *_keep_session(site, outcome))
    username = form.get("username") if outcome.failed else None
    return await draw_question(site, visit, outcome, username=username)


async def _take_form(
    site: Site, visit: Visit, interaction_id: str, form: Mapping[str, str]
) -> Outcome:
    provider, browser = site.provider, visit.browser
    form_key = form.get("form_key", "")
    match form.get("action"):
        case "sign_in" if provider.sign_in_page is None:
            return await sign_in(
                provider,
                interaction_id,
                browser,
                form_key=form_key,
                username=form.get("username", ""),
                password=form.get("password", ""),
            )
        case "allow" | "deny" as answer:
            return await answer_consent(
                provider, interaction_id, browser, form_key=form_key, allowed=answer == "allow"
            )
        case "switch":
            return await _ask_who_else(site, visit, interaction_id)
        case _:
            return await resume(provider, interaction_id, browser)


async def _ask_who_else(site: Site, visit: Visit, interaction_id: str) -> Outcome:
    """The sign-in page instead of the consent page. Nothing changes until somebody signs in."""
    outcome = await resume(site.provider, interaction_id, visit.browser)
    if isinstance(outcome, PersonAsked):
        return PersonAsked(
            step=Step.SIGN_IN, interaction=outcome.interaction, checked=outcome.checked
        )
    return outcome


def _lead_to_page(site: Site, page: str, asked: PersonAsked, *, switching: bool) -> Response:
    """To the application's own sign-in page."""
    request = asked.checked.request
    anew = (
        switching
        or bool(request.prompts & {Prompt.LOGIN, Prompt.SELECT_ACCOUNT})
        or asked.checked.max_age is not None
        or request.id_token_hint is not None
    )
    return site.artist.lead(
        build_page_address(
            page,
            find_interaction_address(site.provider, asked.interaction.interaction_id),
            anew=anew,
            login_hint=request.login_hint,
            ui_locales=request.ui_locales,
        )
    )


def _find_path(site: Site, asked: PersonAsked) -> str:
    path = INTERACTION.format(interaction_id=asked.interaction.interaction_id)
    return site.artist.base + path


def _keep_session(site: Site, outcome: Outcome) -> tuple[tuple[bytes, bytes], ...]:
    return () if outcome.session is None else (site.cookies.keep_session(outcome.session.text),)


def _lead_to_client(site: Site, visit: Visit, outcome: Redirected) -> Response:
    """The answer goes to the client: in the address, or in a form (Form Post Response Mode)."""
    own = (*visit.own, *_keep_session(site, outcome))
    target = outcome.target
    if target.mode is ResponseMode.QUERY:  # 303 repeats no post (C29)
        return site.artist.lead(build_location(target, outcome.parameters), *own)
    return site.artist.draw(
        "form_post.html",
        visit.language,
        own=own,
        script=True,
        target=target.uri,
        parameters=outcome.parameters,
    )
