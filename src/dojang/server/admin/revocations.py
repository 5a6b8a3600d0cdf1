"""Taking back: one token, everything of whom or what it names, or all there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dojang.oauth.revocation_fact import FactKind
from dojang.server.admin.clients import load_client
from dojang.server.admin.errors import check_text, invalid
from dojang.server.ending import (
    end_account,
    end_grants,
    end_guest,
    plan_fact,
    plan_grant_end,
    plan_session_end,
)
from dojang.server.epochs import REVOCABLE
from dojang.server.kept_accounts import KeptAccounts
from dojang.server.model import AuditEvent
from dojang.server.people import Grant, Session
from dojang.server.ports import Change, DropAll

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class RevokeToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token itself, or its `jti` where only that is known; one of the two."""

    token: str | None = None
    jti: str | None = None


class RevokeClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every token of the client so far; it may ask for new ones (to stop that, disable it)."""

    client_id: str


class RevokeGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every token of the grant so far."""

    grant: str


class RevokeSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every token of the session (`sid`) so far."""

    session: str


class RevokeAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every token about the subject so far."""

    subject: str


class RevokeEverything(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


async def revoke_token(provider: Provider, actor: str, asked: RevokeToken) -> dict[str, Any]:
    """Revoke one token, whoever holds it."""
    if (asked.token is None) == (asked.jti is None):
        raise invalid("token, jti: give one of the two")
    jti = asked.jti
    if asked.token is not None:
        now = int(provider.clock.now())
        presented = provider.state.tokens.parse(asked.token, now=now)
        if presented is None:
            raise invalid("token: this server did not make it, or its key is gone")
        jti = presented.claims.jti
    return await _append(provider, actor, FactKind.TOKEN, jti or "")


async def revoke_client(provider: Provider, actor: str, asked: RevokeClient) -> dict[str, Any]:
    """Revoke every token that a client holds, and what people allowed it to hold on."""
    client = await load_client(provider, asked.client_id)
    answer = await _append(provider, actor, FactKind.CLIENT, client.client_id)
    await end_grants(provider, "client_id", client.client_id, ends=lambda _: True)
    return answer


async def revoke_grant(provider: Provider, actor: str, asked: RevokeGrant) -> dict[str, Any]:
    """Revoke every token of a grant; a person's grant ends."""
    grant = await provider.store.find(Grant, asked.grant)
    now = int(provider.clock.now())
    ended = plan_grant_end(grant, now=now)[:1] if grant else []
    return await _append(provider, actor, FactKind.GRANT, asked.grant, *ended)


async def revoke_session(provider: Provider, actor: str, asked: RevokeSession) -> dict[str, Any]:
    """Revoke every token of a session, and end it where it is one of this server's: `known`."""
    session = await provider.store.find(Session, asked.session)
    now = int(provider.clock.now())
    ended = await plan_session_end(provider, session, now=now) if session else []
    answer = await _append(provider, actor, FactKind.SESSION, asked.session, *ended)
    return answer | {"known": session is not None}


async def revoke_account(provider: Provider, actor: str, asked: RevokeAccount) -> dict[str, Any]:
    """Revoke every token about a subject, whichever client holds it, and sign the person out
    everywhere. `known`: whether `subject` is the account_id of a person of this server, or of one
    of the application's who was signed in; a pairwise name is not."""
    check_text("subject", asked.subject, most=255)
    if isinstance(provider.accounts, KeptAccounts):
        ended = await end_account(
            provider, asked.subject, lambda account: account, besides=lambda _: []
        )
        known = ended is not None
    else:
        known = await end_guest(provider, asked.subject)
    answer = await _append(provider, actor, FactKind.ACCOUNT, asked.subject)
    return answer | {"known": known}


async def revoke_everything(
    provider: Provider, actor: str, asked: RevokeEverything
) -> dict[str, Any]:
    """Revoke every token that this server has issued so far; everybody signs in again."""
    ended = [DropAll(kind) for kind in REVOCABLE]
    return await _append(provider, actor, FactKind.EVERYTHING, provider.issuer, *ended)


async def _append(
    provider: Provider, actor: str, kind: FactKind, identifier: str, *ended: Change
) -> dict[str, Any]:
    if kind is not FactKind.EVERYTHING:
        check_text(kind, identifier, most=255)
    now = int(provider.clock.now())
    position = await provider.store.commit(
        [
            *ended,
            plan_fact(kind, identifier, now=now),
            AuditEvent(at=now, actor=actor, action=f"{kind}.revoke", target=identifier),
        ]
    )
    return {"kind": kind, "identifier": identifier, "rev": list(position.rev)}
