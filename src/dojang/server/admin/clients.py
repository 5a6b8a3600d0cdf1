"""Clients: who may ask for tokens, with what proof, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dojang.oauth.revocation_fact import FactKind
from dojang.server.admin.client_members import NewClient, list_named, merge
from dojang.server.admin.client_metadata import check_rights, list_said, read_metadata
from dojang.server.admin.client_plans import SECRET_METHODS, AddClient, plan_client
from dojang.server.admin.errors import conflict, invalid, not_found
from dojang.server.admin.exchanges import SetExchanges, plan_exchange_change
from dojang.server.ending import end_grants, plan_client_end
from dojang.server.lifetimes import FACT_LIFE
from dojang.server.model import AppendFact, AuditEvent, Client, SecretHash
from dojang.server.people import Registration
from dojang.server.ports import Change, Drop, PutClient
from dojang.trust.client_auth import generate_secret, hash_secret

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LONGEST_OVERLAP = 30 * 86_400  # seconds that an old secret may live on after its replacement
MOST_LISTED = 1000


class ListClients(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: those after the client_id `after`, `limit` at most."""

    after: str = ""
    limit: int = MOST_LISTED


class NamedClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One client."""

    client_id: str


class RotateSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overlap`: seconds for which the old secret still works; 0 ends it at once."""

    client_id: str
    overlap: int = 0


async def add_client(provider: Provider, actor: str, asked: NewClient) -> dict[str, Any]:
    """Register a client. Its secret is in this answer and nowhere else, ever."""
    wanted = await _find_wanted(provider, asked)
    now_ms = int(provider.clock.now() * 1000)
    planned = await plan_client(provider, wanted, now_ms=now_ms)
    client = planned.client
    if await provider.store.find_client(client.client_id) is not None:
        raise conflict(f"the client {client.client_id!r} exists already")
    event = _event(now_ms // 1000, actor, "client.add", client.client_id)
    await provider.store.commit([PutClient(client), *planned.besides, event])
    answer: dict[str, Any] = {"client": describe_client(client)}
    if planned.secret is not None:
        answer["client_secret"] = planned.secret
    return answer


async def _find_wanted(provider: Provider, asked: NewClient) -> AddClient:
    named, client_id = list_named(asked), asked.client_id
    if asked.metadata is None:
        return merge(named, {"client_id": client_id})
    read = read_metadata(asked.metadata, client_id, new=True)
    said = await list_said(provider, read, named=named, held=None)
    own = client_id or asked.metadata.get("client_id")
    wanted = merge(said, named, {"client_id": own})
    check_rights(read, wanted)
    return wanted


async def show_client(provider: Provider, actor: str, asked: NamedClient) -> dict[str, Any]:
    """All of one client. `registered`: it registered itself, and manages itself (RFC 7592)."""
    client = await load_client(provider, asked.client_id)
    registration = await provider.store.find(Registration, client.client_id)
    return {"client": describe_client(client), "registered": registration is not None}


async def list_clients(provider: Provider, actor: str, asked: ListClients) -> dict[str, Any]:
    """A page of clients, by client_id."""
    if not 1 <= asked.limit <= MOST_LISTED:
        raise invalid(f"limit: must be 1 to {MOST_LISTED}")
    clients = await provider.store.list_clients(after=asked.after, limit=asked.limit)
    return {"clients": [describe_client(client) for client in clients]}


async def rotate_secret(provider: Provider, actor: str, asked: RotateSecret) -> dict[str, Any]:
    """A new secret for a client; the ones before end now, or after `overlap`."""
    client = await load_client(provider, asked.client_id)
    if client.authentication not in SECRET_METHODS:
        raise invalid(f"client_id: a client of {client.authentication} has no secret")
    if not 0 <= asked.overlap <= LONGEST_OVERLAP:
        raise invalid(f"overlap: must be 0 to {LONGEST_OVERLAP} seconds")
    now = int(provider.clock.now())
    until = now + asked.overlap
    kept = tuple(
        replace(old, expires_at=min(until, old.expires_at or until))
        for old in client.secrets
        if asked.overlap and (old.expires_at is None or now < old.expires_at)
    )
    secret = generate_secret()
    changed = replace(
        client,
        secrets=(SecretHash(digest=hash_secret(secret)), *kept),
        version=client.version + 1,
    )
    await provider.store.commit(
        [PutClient(changed), _event(now, actor, "client.rotate_secret", client.client_id)]
    )
    return {"client": describe_client(changed), "client_secret": secret}


async def set_exchanges(provider: Provider, actor: str, asked: SetExchanges) -> dict[str, Any]:
    """Let a client exchange for this and nothing else. Where a rule is gone, tokens for its
    resource end: row and facts in one commit."""
    client = await load_client(provider, asked.client_id)
    now = int(provider.clock.now())
    changed, ended = plan_exchange_change(provider, client, asked.exchanges, now=now)
    event = _event(now, actor, "client.set_exchanges", client.client_id)
    await provider.store.commit([PutClient(changed), *ended, event])
    return {"client": describe_client(changed)}


async def disable_client(provider: Provider, actor: str, asked: NamedClient) -> dict[str, Any]:
    """No more tokens for a client, and an end to those it has: row and fact in one commit. Then
    what people allowed it to hold on ends, too."""
    return await _set_enabled(provider, actor, asked.client_id, enabled=False)


async def enable_client(provider: Provider, actor: str, asked: NamedClient) -> dict[str, Any]:
    """Let a client ask for tokens again. Those from before stay dead."""
    return await _set_enabled(provider, actor, asked.client_id, enabled=True)


async def remove_client(provider: Provider, actor: str, asked: NamedClient) -> dict[str, Any]:
    """Forget a client, and its registration where it registered itself: row and fact in one commit.
    Then what people allowed it to hold on ends, too."""
    client = await load_client(provider, asked.client_id)
    now = int(provider.clock.now())
    changes = [
        *plan_client_end(client, now=now),
        _event(now, actor, "client.remove", client.client_id),
    ]
    registration = await provider.store.find(Registration, client.client_id)
    if registration is not None:
        changes.append(Drop(registration))
    await provider.store.commit(changes)
    await end_grants(provider, "client_id", client.client_id, ends=lambda _: True)
    return {"client": describe_client(client)}


async def _set_enabled(
    provider: Provider, actor: str, client_id: str, *, enabled: bool
) -> dict[str, Any]:
    client = await load_client(provider, client_id)
    now = int(provider.clock.now())
    changed = replace(client, enabled=enabled, version=client.version + 1)
    changes: list[Change] = [PutClient(changed)]
    if not enabled:
        changes.append(
            AppendFact(
                kind=FactKind.CLIENT, identifier=client_id, at=now, forget_after=now + FACT_LIFE
            )
        )
    action = "client.enable" if enabled else "client.disable"
    await provider.store.commit([*changes, _event(now, actor, action, client_id)])
    if not enabled:
        await end_grants(provider, "client_id", client_id, ends=lambda _: True)
    return {"client": describe_client(changed)}


async def load_client(provider: Provider, client_id: str) -> Client:
    """The client. Raises `OperationRefused` where there is none."""
    client = await provider.store.find_client(client_id)
    if client is None:
        raise not_found("client", client_id)
    return client


def describe_client(client: Client) -> dict[str, Any]:
    """A client as operators see it: of its secrets only how many work."""
    described: dict[str, Any] = msgspec.to_builtins(client)
    described["secrets"] = len(client.secrets)
    return described


def _event(now: int, actor: str, action: str, client_id: str) -> AuditEvent:
    return AuditEvent(at=now, actor=actor, action=action, target=client_id)
