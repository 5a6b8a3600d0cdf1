"""A sign-in in the browser, page after page: every one comes back to one decision
(`checks.next_step`).

What the person is in the middle of is kept by the server under a random id, and bound to their
browser (C44); the pages around it are not made here.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from dojang.oauth.authorization import PARAMETERS
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import RedirectTarget
from dojang.server.accounts import Proven
from dojang.server.authorizing import (
    CheckedAuthorization,
    build_refusal,
    check_authorization,
    find_target,
)
from dojang.server.browsers import Browser, check_form_key
from dojang.server.checks.next_step import Person, Situation, Step, find_next_step
from dojang.server.granting import grant_code, widen_consent
from dojang.server.handles import NewHandle
from dojang.server.id_token_hints import find_hinted_subject
from dojang.server.ids import new_id
from dojang.server.people import Consent, Interaction, Session
from dojang.server.ports import Change, Drop, Put
from dojang.server.pushed_requests import find_pushed, plan_use
from dojang.server.request_objects import find_target_beside, open_request_object
from dojang.server.sessions import find_session
from dojang.server.signing_in import check_password, enter
from dojang.server.vouching import find_interaction_address, take_ticket

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LIFETIME: Final = 1800  # seconds for a person to go through the pages


class Redirected(Struct, frozen=True, kw_only=True):
    """The browser goes to the client, with the answer. `session`: a cookie that is set on the
    way."""

    target: RedirectTarget
    parameters: Mapping[str, str]
    session: NewHandle | None = None


class PersonAsked(Struct, frozen=True, kw_only=True):
    """A page is shown: to sign in, or to consent. `session` as in `Redirected`; `failed` says that
    name and password did not fit."""

    step: Step
    interaction: Interaction
    checked: CheckedAuthorization
    account_id: str | None = None
    failed: bool = False
    session: NewHandle | None = None


Outcome: TypeAlias = Redirected | PersonAsked


class InteractionOver(Exception):
    """The interaction is not there, is another browser's, or took too long."""


async def begin_authorization(
    provider: Provider, parameters: Mapping[str, str], browser: Browser
) -> Outcome:
    """An authorization request that has just come. Raises `OAuthError` where it is to be shown and
    not sent, and `Unavailable`."""
    now = provider.clock.now()
    await provider.state.reach_barrier()
    pushed = await find_pushed(provider, parameters, now=int(now))
    if pushed is not None:
        parameters, signed = pushed.parameters, pushed.signed
    else:
        try:
            opened = await open_request_object(provider, parameters, now=int(now))
        except OAuthError as error:
            return _refuse(provider, await find_target_beside(provider, parameters, error), error)
        parameters, signed = opened or parameters, opened is not None
    addressed = await find_target(provider, parameters, pushed=pushed is not None, signed=signed)
    try:
        checked = check_authorization(provider, addressed)
        session = await find_session(provider, browser.session, now=int(now))
        interaction = Interaction(
            interaction_id=new_id(int(now * 1000)),
            digest=browser.digest,
            client_id=addressed.client.client_id,
            parameters={name: value for name, value in parameters.items() if name in PARAMETERS},
            created_at=int(now),
            expires_at=int(now) + LIFETIME,
            pushed=pushed.request_id if pushed else None,
            signed=signed,
        )
        outcome = await _advance(provider, checked, interaction, session, now=now, kept=False)
    except OAuthError as error:
        return _refuse(provider, addressed.target, error)
    if isinstance(outcome, PersonAsked):
        await provider.store.commit([Put(outcome.interaction)])
    return outcome


async def resume(provider: Provider, interaction_id: str, browser: Browser) -> Outcome:
    """Where an interaction stands. Raises `InteractionOver` and `Unavailable`."""
    now = provider.clock.now()
    interaction, checked = await _load(provider, interaction_id, browser, now=int(now))
    session = await find_session(provider, browser.session, now=int(now))
    try:
        return await _advance(provider, checked, interaction, session, now=now)
    except OAuthError as error:
        return await _end(provider, checked, interaction, error)


async def sign_in(
    provider: Provider,
    interaction_id: str,
    browser: Browser,
    *,
    form_key: str,
    username: str,
    password: str,
) -> Outcome:
    """The form of the sign-in page. Raises `InteractionOver`, `BadForm`, `TooManyAttempts` and
    `Unavailable`."""
    interaction, checked = await _load(
        provider, interaction_id, browser, now=int(provider.clock.now())
    )
    check_form_key(browser, interaction_id, form_key)
    proven = await check_password(provider, browser, username, password)
    if proven is None:
        return PersonAsked(step=Step.SIGN_IN, interaction=interaction, checked=checked, failed=True)
    return await _enter(provider, browser, interaction, checked, proven)


async def come_back(
    provider: Provider, interaction_id: str, browser: Browser, *, ticket: str
) -> Outcome:
    """The browser comes from the application's sign-in page, with a ticket that is spent whatever
    browser shows it. Raises `InteractionOver`, `BadTicket` and `Unavailable`."""
    return_to = find_interaction_address(provider, interaction_id)
    proven = await take_ticket(provider, ticket, return_to=return_to)
    interaction, checked = await _load(
        provider, interaction_id, browser, now=int(provider.clock.now())
    )
    outcome = await _enter(provider, browser, interaction, checked, proven)
    if isinstance(outcome, PersonAsked) and outcome.step is Step.SIGN_IN:
        stale = OAuthError(
            ErrorCode.LOGIN_REQUIRED,
            "The sign-in page did not ask the person anew.",
            reason="not_asked_anew",
        )
        ended = await _end(provider, checked, outcome.interaction, stale)
        return replace(ended, session=outcome.session)
    return outcome


async def _enter(
    provider: Provider,
    browser: Browser,
    interaction: Interaction,
    checked: CheckedAuthorization,
    proven: Proven,
) -> Outcome:
    """On from a sign-in, which counts as one for this request unless it was before it."""
    earlier = proven.auth_time is not None and proven.auth_time < interaction.created_at

    def sign(session: Session) -> Interaction:
        return replace(
            interaction,
            session_id=session.session_id,
            signed_in_at=None if earlier else session.auth_time,
            version=interaction.version + 1,
        )

    begun = await enter(
        provider,
        browser,
        proven,
        client_id=interaction.client_id,
        besides=lambda session: [Put(sign(session))],
    )
    signed_in, now = sign(begun.session), provider.clock.now()
    try:
        outcome = await _advance(provider, checked, signed_in, begun.session, now=now)
    except OAuthError as error:
        outcome = await _end(provider, checked, signed_in, error)
    return replace(outcome, session=begun.handle)


async def answer_consent(
    provider: Provider, interaction_id: str, browser: Browser, *, form_key: str, allowed: bool
) -> Outcome:
    """The form of the consent page. Raises `InteractionOver`, `BadForm` and `Unavailable`."""
    now = provider.clock.now()
    interaction, checked = await _load(provider, interaction_id, browser, now=int(now))
    check_form_key(browser, interaction_id, form_key)
    if not allowed:
        denied = OAuthError(
            ErrorCode.ACCESS_DENIED, "The person said no.", reason="consent_refused"
        )
        return await _end(provider, checked, interaction, denied)
    session = await find_session(provider, browser.session, now=int(now))
    try:
        return await _advance(provider, checked, interaction, session, now=now, consented=True)
    except OAuthError as error:
        return await _end(provider, checked, interaction, error)


async def _load(
    provider: Provider, interaction_id: str, browser: Browser, *, now: int
) -> tuple[Interaction, CheckedAuthorization]:
    """An interaction of this very browser, its request checked again: clients change."""
    await provider.state.reach_barrier()
    interaction = await provider.store.find(Interaction, interaction_id)
    if (
        interaction is None
        or not hmac.compare_digest(interaction.digest, browser.digest)
        or now >= interaction.expires_at
    ):
        raise InteractionOver
    try:
        addressed = await find_target(
            provider,
            interaction.parameters,
            pushed=interaction.pushed is not None,
            signed=interaction.signed,
        )
        return interaction, check_authorization(provider, addressed)
    except OAuthError:
        raise InteractionOver from None


async def _advance(
    provider: Provider,
    checked: CheckedAuthorization,
    interaction: Interaction,
    session: Session | None,
    *,
    now: float,
    kept: bool = True,
    consented: bool = False,
) -> Outcome:
    """The next page, or the answer. `kept`: whether the interaction is in the store."""
    client = checked.addressed.client
    person, held = None, None
    if session is not None and await provider.accounts.find_profile(session.account_id):
        subject = provider.subjects.name(session.account_id, client)
        person = Person(
            subject=subject,
            auth_time=session.auth_time,
            acr=session.acr,
        )
        held = await _find_consent(provider, session, checked)
    same = session is not None and interaction.session_id in (None, session.session_id)
    at = Situation(
        now=int(now),
        person=person,
        hinted=find_hinted_subject(provider, checked.request.id_token_hint, client, now=int(now)),
        remembered=held.scopes if held else {},
        userinfo=provider.userinfo_audience,
        first_party=checked.addressed.sign_in.first_party,
        imitable=checked.addressed.imitable,
        max_age=checked.max_age,
        signed_in_at=interaction.signed_in_at if same else None,
        consented=consented and same and interaction.session_id is not None,
    )
    step = find_next_step(checked.request, checked.wanted, at)
    if step is not Step.READY or session is None:
        if step is Step.CONSENT and session and interaction.session_id != session.session_id:
            interaction = await _ask_in(provider, interaction, session, kept=kept)
        return PersonAsked(
            step=step,
            interaction=interaction,
            checked=checked,
            account_id=session.account_id if session and step is Step.CONSENT else None,
        )
    await _check_subject(provider, provider.subjects.name(session.account_id, client))
    consent = None
    if consented:
        account, userinfo = session.account_id, provider.userinfo_audience
        consent = widen_consent(held, checked, account, userinfo, now=int(now))
    besides: tuple[Change, ...] = (Drop(interaction),) if kept else ()
    if interaction.pushed is not None:
        besides += (await plan_use(provider, interaction.pushed),)
    parameters = await grant_code(
        provider,
        checked,
        session,
        consent=consent,
        remembered=held,
        now=now,
        besides=besides,
    )
    return Redirected(target=checked.addressed.target, parameters=parameters)


async def _find_consent(
    provider: Provider, session: Session, checked: CheckedAuthorization
) -> Consent | None:
    """What the person allowed the client before; nothing of it where they knew it as another."""
    addressed = checked.addressed
    held = await provider.store.find(Consent, f"{session.account_id} {addressed.client.client_id}")
    if held is None or held.given_at > addressed.sign_in.shown_since:
        return held
    return replace(held, scopes={})


async def _check_subject(provider: Provider, subject: str) -> None:
    """Nobody goes by the name of a client: to an API their token would be one with which that
    client acts for itself (RFC 9700 §4.15). Raises `OAuthError`."""
    if await provider.state.find_client(subject) is not None:
        raise OAuthError(
            ErrorCode.ACCESS_DENIED, "The person has the name of a client.", reason="client_subject"
        )


async def _ask_in(
    provider: Provider, interaction: Interaction, session: Session, *, kept: bool
) -> Interaction:
    """The interaction, in which the person of `session` and no other is asked to consent."""
    version = interaction.version + 1 if kept else 1
    asking = replace(interaction, session_id=session.session_id, signed_in_at=None, version=version)
    if kept:
        await provider.store.commit([Put(asking)])
    return asking


async def _end(
    provider: Provider,
    checked: CheckedAuthorization,
    interaction: Interaction,
    error: OAuthError,
) -> Redirected:
    await provider.store.commit([Drop(interaction)])
    return _refuse(provider, checked.addressed.target, error)


def _refuse(provider: Provider, target: RedirectTarget, error: OAuthError) -> Redirected:
    provider.counters[
        "dojang_requests_total", "endpoint", "authorize", "outcome", error.reason
    ] += 1
    return Redirected(target=target, parameters=build_refusal(provider, target, error))
