"""What a person's yes becomes: a grant and a code (RFC 6749 §4.1.2), in one unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from dojang.oauth.authorization import OFFLINE_ACCESS
from dojang.server.authorizing import CheckedAuthorization, build_answer
from dojang.server.handles import CODE, new_handle
from dojang.server.ids import new_id
from dojang.server.model import AuditEvent, RefreshRule
from dojang.server.people import Code, Consent, Grant, Session
from dojang.server.ports import Change, Hold, Put

if TYPE_CHECKING:
    from dojang.server.provider import Provider

CODE_LIFETIME: Final = 60  # seconds; clients redeem it at once
# A spent code is remembered for as long as what came of it may be alive (RFC 6749 §4.1.2).
CODE_MEMORY: Final = 86_400  # seconds


async def grant_code(
    provider: Provider,
    checked: CheckedAuthorization,
    session: Session,
    *,
    consent: Consent | None,
    remembered: Consent | None,
    now: float,
    besides: tuple[Change, ...] = (),
) -> dict[str, str]:
    """The authorization response. `consent` is what the person has just allowed, to be remembered,
    and `remembered` what they allowed before; `besides` are changes of the same unit of work.

    Raises `Conflict` where the session ended meanwhile, and `Unavailable`.
    """
    client, request, wanted = checked.addressed.client, checked.request, checked.wanted
    at = int(now)
    handle = new_handle(CODE, now=now)
    offline = (
        OFFLINE_ACCESS in wanted.scopes and checked.addressed.sign_in.refresh != RefreshRule.NONE
    )
    grant = Grant(
        grant_id=new_id(int(now * 1000)),
        client_id=client.client_id,
        account_id=session.account_id,
        session_id=None if offline else session.session_id,
        given_in=session.session_id,
        scopes=wanted.scopes,
        resource=wanted.resource,
        resource_scopes=wanted.resource_scopes,
        claims=wanted.claims,
        auth_time=session.auth_time,
        amr=session.amr,
        acr=session.acr,
        created_at=at,
        expires_at=at + CODE_MEMORY,
    )
    code = Code(
        code_id=handle.identifier,
        digest=handle.digest,
        grant_id=grant.grant_id,
        client_id=client.client_id,
        redirect_uri=checked.addressed.parameters.get("redirect_uri"),
        code_challenge=request.code_challenge,
        nonce=request.nonce,
        valid_until=at + CODE_LIFETIME,
        expires_at=at + CODE_MEMORY,
    )
    changes: list[Change] = [
        *besides,
        Put(grant),
        Put(code),
        _note_client(session, client.client_id),
    ]
    if consent is not None:
        event = AuditEvent(
            at=at,
            actor=session.account_id,
            action="consent.give",
            target=client.client_id,
            detail={name: " ".join(scopes) for name, scopes in consent.scopes.items()},
        )
        changes += [Put(consent), event]
    elif remembered is not None:  # it must not be withdrawn meanwhile
        changes.append(Hold(remembered))
    await provider.store.commit(changes)
    return build_answer(provider, checked.addressed.target, {"code": handle.text})


def _note_client(session: Session, client_id: str) -> Change:
    """The session as it is, or with one more client that signed the person in."""
    if client_id in session.clients:
        return Hold(session)
    clients = (*session.clients, client_id)
    return Put(replace(session, clients=clients, version=session.version + 1))


def widen_consent(
    held: Consent | None, checked: CheckedAuthorization, account_id: str, userinfo: str, *, now: int
) -> Consent:
    """What the person allowed before and allows now, in one."""
    wanted = checked.wanted
    scopes = dict(held.scopes) if held else {}
    scopes[userinfo] = _join(scopes.get(userinfo, ()), wanted.personal_scopes)
    if wanted.resource is not None:
        before = scopes.get(wanted.resource, ())
        scopes[wanted.resource] = _join(before, wanted.resource_scopes)
    return Consent(
        account_id=account_id,
        client_id=checked.addressed.client.client_id,
        scopes=scopes,
        given_at=now,
        version=held.version + 1 if held else 1,
    )


def _join(before: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *added)))
