"""`GET /login` and `GET /callback`: a browser goes to the provider and comes back with somebody."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from dojang.client import (
    Ask,
    NoTransaction,
    SignedIn,
    SignInDenied,
    SignInRefused,
    TokenRefused,
    Transaction,
    Unavailable,
)
from dojang.integrations.bff.cookies import Header
from dojang.integrations.bff.guard import check_navigation
from dojang.integrations.bff.parts import Parts, lead
from dojang.integrations.bff.records import make_session
from dojang.integrations.bff.vault import find_key, name_person, name_session
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, parse_parameters

LONGEST_PATH: Final = 1024
LONGEST_HINT: Final = 256
PROMPTS: Final = frozenset({"login", "consent", "select_account"})

_log: Final = logging.getLogger("dojang.bff")


async def begin_sign_in(parts: Parts, request: Request) -> Response:
    """Where to → a transaction for this browser → off to the provider.

    Raises `OAuthError` and `Foreign`.
    """
    check_navigation(request)
    asked = parse_parameters(request.query)
    return_to = check_path(asked.get("return_to", "/"))
    ask, note = _read_ask(asked), _write_note(parts, request, return_to)
    try:
        begun = await parts.party.begin_async(ask, note=note)
    except SignInDenied as denied:
        return _fail(parts, "provider_refuses", f"the provider answers {denied.error}")
    except Unavailable as failure:
        return _fail(parts, "unavailable", str(failure))
    transaction = begun.transaction
    return lead(
        begun.url,
        *parts.cookies.drop_old_sign_ins(request),
        parts.cookies.keep_sign_in(transaction.state, transaction.seal(parts.vault.ring)),
    )


async def finish_sign_in(parts: Parts, request: Request) -> Response:
    """The transaction of this browser → who it is → a session under a new name.

    Raises `OAuthError`.
    """
    state = parse_parameters(request.query).get("state", "")
    sealed = parts.cookies.find_sign_in(request, state)
    spent = parts.cookies.drop_sign_in(state)
    try:
        transaction = Transaction.open(sealed or "", parts.vault.ring)
    except NoTransaction:
        return _fail(parts, "no_sign_in", "this browser began none", spent)
    try:
        signed_in = await parts.party.finish_async(transaction, request.query)
        shown = await _begin_session(parts, signed_in)
    except SignInRefused as refused:
        why, error = str(refused.flaw), "sign_in_refused"
    except TokenRefused as refused:
        why, error = f"the token endpoint answers {refused.error}", "sign_in_refused"
    except SignInDenied as denied:
        why = error = denied.error
    except Unavailable as failure:
        why, error = str(failure), "unavailable"
    else:
        if shown is not None:
            return_to, _, former = transaction.note.partition("\n")
            await _end_former(parts, request, former)
            return lead(return_to, spent, parts.cookies.keep_session(shown))
        why, error = "the provider has ended the session", "signed_out"
    return _fail(parts, error, why, spent)


def check_path(path: str) -> str:
    """A path of this very origin, with what may follow it (no open redirect).

    Raises `OAuthError`.
    """
    visible = path.isascii() and path.isprintable() and " " not in path and "\\" not in path
    if not (visible and path.startswith("/") and len(path) <= LONGEST_PATH):
        raise _bad("return_to")
    try:
        split = urlsplit(path)
    except ValueError:
        raise _bad("return_to") from None
    if path.startswith("//") or split.scheme or split.netloc:
        raise _bad("return_to")
    return path


def _read_ask(asked: Mapping[str, str]) -> Ask:
    prompt, hint = asked.get("prompt"), asked.get("login_hint")
    if prompt is not None and prompt not in PROMPTS:
        raise _bad("prompt")
    if hint is not None and len(hint) > LONGEST_HINT:
        raise _bad("login_hint")
    locales = tuple(asked.get("ui_locales", "").split())
    if len(locales) > 8 or any(len(each) > 35 for each in locales):
        raise _bad("ui_locales")
    return Ask(prompt=prompt, login_hint=hint, ui_locales=locales)


def _write_note(parts: Parts, request: Request, return_to: str) -> str:
    """Where to go on to, and the session that the browser has until then."""
    shown = parts.cookies.find_session(request)
    return return_to if shown is None else f"{return_to}\n{find_key(shown)}"


async def _begin_session(parts: Parts, signed_in: SignedIn) -> str | None:
    """The name of a new session; None where the provider has ended it already. What is not kept
    is given back."""
    party, now = parts.party, parts.party.clock.now()
    shown = None
    try:
        session = make_session(
            signed_in,
            await _collect_claims(parts, signed_in),
            resource=party.resource,
            keep_id_token=parts.id_token_in_address,
            now=now,
            ends_at=now + parts.vault.lifetimes.absolute,
        )
        names = [name_person(party.issuer, signed_in.subject)]
        if signed_in.session_id is not None:
            names.append(name_session(party.issuer, signed_in.session_id))
        shown = await parts.vault.begin(session, names=names, at=int(signed_in.claims["iat"]))
    finally:
        if shown is None and signed_in.tokens.refresh_token is not None:
            with suppress(Unavailable):
                await party.revoke_async(signed_in.tokens.refresh_token)
    return shown


async def _collect_claims(parts: Parts, signed_in: SignedIn) -> dict[str, Any]:
    """Those that pages may see, where they are known: from the id_token, or else the userinfo
    endpoint, which takes an access token that is for nobody else."""
    known = dict(signed_in.claims)
    if parts.party.resource is None and any(name not in known for name in parts.claims):
        try:
            told = await parts.party.ask_userinfo_async(
                signed_in.tokens.access_token, subject=signed_in.subject
            )
        except (TokenRefused, Unavailable) as failure:
            _log.warning("the claims of a person are not all known: %s", failure)
        else:
            known = {**told, **known}
    return {name: known[name] for name in ("sub", *parts.claims) if name in known}


async def _end_former(parts: Parts, request: Request, former: str) -> None:
    """The session that the browser had before: it gets a new name with every sign-in, so that
    nobody can have given it one (no fixation)."""
    shown = parts.cookies.find_session(request)
    for key in {former, "" if shown is None else find_key(shown)} - {""}:
        with suppress(Unavailable):  # it ends by itself, and this browser has its name no more
            await parts.vault.end(key)


def _fail(parts: Parts, error: str, why: str, *headers: Header) -> Response:
    """Back to the application, which says what went wrong."""
    _log.info("nobody signed in: %s", why)
    separator = "&" if "?" in parts.failed_path else "?"
    query = urlencode({"sign_in_error": error})
    return lead(f"{parts.failed_path}{separator}{query}", *headers)


def _bad(name: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, f"{name} is not good.", reason=name)
