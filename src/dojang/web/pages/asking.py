"""What a person is asked on the way to a client: to sign in, and to allow it (C40)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from dojang.oauth.authorization import OFFLINE_ACCESS
from dojang.oauth.claims import SCOPES, STANDARD
from dojang.oauth.http import Response
from dojang.oauth.urls import is_loopback
from dojang.server.authorizing import CheckedAuthorization
from dojang.server.checks.next_step import Step
from dojang.server.interaction import PersonAsked
from dojang.server.model import RefreshRule
from dojang.server.paths import INTERACTION
from dojang.server.sessions import LIFETIME
from dojang.web.pages.site import Site, Visit

_DAY: Final = 86_400  # seconds


class Recipient(Struct, frozen=True, kw_only=True):
    """Who asks, and where the answer goes: a `host`, or with `local` something on this device."""

    name: str
    host: str
    local: bool
    policy_uri: str | None
    tos_uri: str | None


async def draw_question(
    site: Site, visit: Visit, asked: PersonAsked, *, username: str | None
) -> Response:
    """The page of a question. `username` is what was typed before, if anything was."""
    request = asked.checked.request
    interaction_id = asked.interaction.interaction_id
    shared: dict[str, Any] = {
        "action": site.artist.base + INTERACTION.format(interaction_id=interaction_id),
        "form_key": visit.browser.make_form_key(interaction_id),
        "recipient": describe_recipient(asked.checked),
    }
    target = asked.checked.addressed.target.uri
    language = visit.choose_language(request.ui_locales)
    if asked.step is Step.SIGN_IN:
        return site.artist.draw(
            "sign_in.html",
            language,
            target=target,
            username=request.login_hint or "" if username is None else username,
            failed=asked.failed,
            **shared,
        )
    profile = await site.provider.accounts.find_profile(asked.account_id or "")
    claims = dict(profile.claims) if profile else {}
    return site.artist.draw(
        "consent.html",
        language,
        target=target,
        person=claims.get("preferred_username") or claims.get("name") or asked.account_id,
        wanted=asked.checked.wanted,
        claims=find_single_claims(asked.checked),
        days=_find_days(asked.checked),
        offline=_is_offline(asked.checked),
        **shared,
    )


def describe_recipient(checked: CheckedAuthorization) -> Recipient:
    """The client, as a person is to know it again."""
    addressed = checked.addressed
    parts = urlsplit(addressed.target.uri)
    host = parts.hostname or ""
    web = parts.scheme in ("http", "https")
    return Recipient(
        name=addressed.client.name,
        host=parts.netloc if web else parts.scheme,
        local=not web or is_loopback(host),
        policy_uri=_find_link(addressed.sign_in.policy_uri),
        tos_uri=_find_link(addressed.sign_in.tos_uri),
    )


def _find_link(uri: str | None) -> str | None:
    """A link leads to the web, whatever a client may have registered."""
    return uri if uri and uri.startswith(("https://", "http://")) else None


def find_single_claims(checked: CheckedAuthorization) -> tuple[str, ...]:
    """Claims that are asked for one by one (OpenID Connect Core §5.5), and that no scope shown
    covers."""
    covered = {claim for scope in checked.wanted.scopes for claim in SCOPES[scope]}
    asked = dict.fromkeys(name for half in checked.wanted.claims.values() for name in half)
    return tuple(name for name in asked if name in STANDARD and name not in covered)


def _is_offline(checked: CheckedAuthorization) -> bool:
    kept = checked.addressed.sign_in.refresh != RefreshRule.NONE
    return kept and OFFLINE_ACCESS in checked.wanted.scopes


def _find_days(checked: CheckedAuthorization) -> int:
    """How long the client can go on, at most."""
    lifetime = checked.addressed.sign_in.refresh_lifetime if _is_offline(checked) else LIFETIME
    return -(-lifetime // _DAY)
