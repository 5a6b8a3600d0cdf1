"""Initial access tokens (RFC 7591 §3): who may register clients, how many, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dojang.server.admin.errors import check_text, invalid, not_found
from dojang.server.handles import REGISTRATION_TOKEN, new_handle
from dojang.server.model import AuditEvent
from dojang.server.people import RegistrationToken
from dojang.server.ports import Drop, Put

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LONGEST_LIFE: Final = 366 * 86_400  # seconds
MOST_CLIENTS: Final = 10_000
MOST_LISTED: Final = 1000


class AddRegistrationToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One for `clients` registrations, good for `lifetime` seconds. `label` says whose it is."""

    label: str = "registration"
    clients: int = 1
    lifetime: int = 86_400


class ListRegistrationTokens(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: those after the token_id `after`, `limit` at most."""

    after: str = ""
    limit: int = MOST_LISTED


class NamedRegistrationToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token, by its id."""

    token_id: str


async def add_registration_token(
    provider: Provider, actor: str, asked: AddRegistrationToken
) -> dict[str, Any]:
    """The token is in this answer and nowhere else, ever."""
    check_text("label", asked.label, most=200)
    if not 1 <= asked.clients <= MOST_CLIENTS:
        raise invalid(f"clients: must be 1 to {MOST_CLIENTS}")
    if not 60 <= asked.lifetime <= LONGEST_LIFE:
        raise invalid(f"lifetime: must be 60 to {LONGEST_LIFE} seconds")
    now = int(provider.clock.now())
    handle = new_handle(REGISTRATION_TOKEN, now=now)
    token = RegistrationToken(
        token_id=handle.identifier,
        digest=handle.digest,
        label=asked.label,
        left=asked.clients,
        created_at=now,
        expires_at=now + asked.lifetime,
    )
    event = AuditEvent(
        at=now,
        actor=actor,
        action="registration_token.add",
        target=token.token_id,
        detail={"label": asked.label, "clients": str(asked.clients)},
    )
    await provider.store.commit([Put(token), event])
    return {"registration_token": _describe(token), "token": handle.text}


async def list_registration_tokens(
    provider: Provider, actor: str, asked: ListRegistrationTokens
) -> dict[str, Any]:
    """A page of those that have not been forgotten, oldest first."""
    if not 1 <= asked.limit <= MOST_LISTED:
        raise invalid(f"limit: must be 1 to {MOST_LISTED}")
    tokens = await provider.store.list_all(RegistrationToken, after=asked.after, limit=asked.limit)
    return {"registration_tokens": [_describe(token) for token in tokens]}


async def revoke_registration_token(
    provider: Provider, actor: str, asked: NamedRegistrationToken
) -> dict[str, Any]:
    """No more clients by this token; those that it registered stay."""
    token = await provider.store.find(RegistrationToken, asked.token_id)
    if token is None:
        raise not_found("registration token", asked.token_id)
    event = AuditEvent(
        at=int(provider.clock.now()),
        actor=actor,
        action="registration_token.revoke",
        target=token.token_id,
    )
    await provider.store.commit([Drop(token), event])
    return {"registration_token": _describe(token)}


def _describe(token: RegistrationToken) -> dict[str, Any]:
    """A token as operators see it: of its secret nothing."""
    return {
        "token_id": token.token_id,
        "label": token.label,
        "left": token.left,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }
