"""A client is changed: what is not named stays as it is, and what was issued under rights that it
has no more ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dojang.server.admin.client_members import UpdateClient, list_held, list_named, merge
from dojang.server.admin.client_metadata import check_rights, list_said, read_metadata
from dojang.server.admin.client_plans import AddClient, plan_replacement
from dojang.server.admin.clients import describe_client, load_client
from dojang.server.admin.errors import conflict
from dojang.server.ending import end_grants
from dojang.server.granting import CODE_LIFETIME
from dojang.server.model import AppendFact, AuditEvent, Client
from dojang.server.people import Grant, Registration
from dojang.server.ports import Change, Drop, PutClient

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_UNSAID = frozenset({"version", "secrets", "shown_since"})  # they change with others


async def update_client(provider: Provider, actor: str, asked: UpdateClient) -> dict[str, Any]:
    """Change a client: row, facts and audit event in one commit. Then, where people sign in to it
    no more, what they allowed it to hold on ends, too; and where a redirect URI is gone, what was
    sent there and may not have been redeemed yet."""
    client = await load_client(provider, asked.client_id)
    check_version("client", client.client_id, client.version, asked.version)
    besides = await _plan_adoption(provider, client, adopt=asked.adopt)
    wanted = await _find_wanted(provider, client, asked)
    now_ms = int(provider.clock.now() * 1000)
    now = now_ms // 1000
    planned = await plan_replacement(provider, client, wanted, now_ms=now_ms)
    changed = list_changed(client, planned.client)
    event = AuditEvent(
        at=now,
        actor=actor,
        action="client.update",
        target=client.client_id,
        detail={"changed": " ".join(changed)},
    )
    await provider.store.commit([PutClient(planned.client), *planned.besides, *besides, event])
    await _end_what_is_left(provider, client, planned.client, now=now)
    revoked = [each for each in planned.besides if isinstance(each, AppendFact)]
    answer: dict[str, Any] = {
        "client": describe_client(planned.client),
        "changed": changed,
        "revoked": [{"kind": each.kind, "identifier": each.identifier} for each in revoked],
    }
    if planned.secret is not None:
        answer["client_secret"] = planned.secret
    return answer


def check_version(what: str, identifier: str, held: int, seen: int | None) -> None:
    """Raises `OperationRefused` where it was changed since the caller has seen it."""
    if seen is not None and seen != held:
        raise conflict(
            f"version: the {what} {identifier!r} is at {held}, not {seen}: somebody changed it; "
            "look at it again and repeat"
        )


async def _plan_adoption(provider: Provider, client: Client, *, adopt: bool) -> list[Change]:
    registration = await provider.store.find(Registration, client.client_id)
    if registration is None:
        return []
    if not adopt:
        raise conflict(
            f"the client {client.client_id!r} registered itself, and would undo this with its next "
            "change (RFC 7592); to take it over say adopt, and it can change itself no more"
        )
    return [Drop(registration)]


async def _find_wanted(provider: Provider, client: Client, asked: UpdateClient) -> AddClient:
    named, held = list_named(asked), list_held(client)
    if asked.metadata is None:
        return merge(held, named)
    read = read_metadata(asked.metadata, client.client_id, new=False)
    wanted = merge(held, await list_said(provider, read, named=named, held=client), named)
    check_rights(read, wanted)
    return wanted


async def _end_what_is_left(provider: Provider, before: Client, after: Client, *, now: int) -> None:
    if before.sign_in is None:
        return
    left = after.sign_in.redirect_uris if after.sign_in else ()
    if set(before.sign_in.redirect_uris) <= set(left):
        return

    def ends(grant: Grant) -> bool:
        return after.sign_in is None or grant.created_at > now - CODE_LIFETIME

    await end_grants(provider, "client_id", before.client_id, ends=ends)


def list_changed(before: msgspec.Struct, after: msgspec.Struct) -> list[str]:
    """The members that differ, of `sign_in` each by itself."""
    found: list[str] = []
    for name in before.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if name in _UNSAID or old == new:
            continue
        parts = isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct)
        found += [f"{name}.{each}" for each in list_changed(old, new)] if parts else [name]
    return found
