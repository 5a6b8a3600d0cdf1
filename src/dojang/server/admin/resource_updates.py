"""A resource is changed: what is not named stays as it is. A scope that it has no more is taken
away from every client, with the tokens that carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from dojang.oauth.revocation_fact import FactKind
from dojang.server.admin.client_updates import check_version, list_changed
from dojang.server.admin.errors import invalid
from dojang.server.admin.losses import plan_losses, take_away
from dojang.server.admin.resources import (
    check_resource,
    describe_resource,
    find_resource,
    plan_keys,
)
from dojang.server.ending import plan_fact
from dojang.server.model import AppendFact, AuditEvent, Client, Resource, TokenFormat
from dojang.server.ports import Change, PutClient, PutResource

if TYPE_CHECKING:
    from dojang.server.provider import Provider

PAGE: Final = 1000  # clients read at once


class UpdateResource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As in `AddResource`: lists are whole. `version`: the one that the caller has seen; another is
    a conflict."""

    identifier: str
    version: int | None = None
    scopes: tuple[str, ...] | UnsetType = UNSET
    token_format: TokenFormat | UnsetType = UNSET
    algorithm: str | UnsetType = UNSET
    access_token_lifetime: int | UnsetType = UNSET
    introspectors: tuple[str, ...] | UnsetType = UNSET
    followers_only: bool | UnsetType = UNSET


async def update_resource(provider: Provider, actor: str, asked: UpdateResource) -> dict[str, Any]:
    """Change a resource: its row, those of clients that lose a scope, and facts, in one commit.
    Tokens of before stay as they are, in format, algorithm and lifetime."""
    resource = find_resource(provider, asked.identifier)
    if asked.identifier in provider.own_audiences:
        raise invalid("identifier: this server's own endpoints are not changed")
    check_version("resource", resource.identifier, resource.version, asked.version)
    named = {name: value for name, value in asdict(asked).items() if value is not UNSET}
    later = replace(resource, **{**named, "version": resource.version + 1})
    check_resource(later)
    now = int(provider.clock.now())
    changes = await _plan_client_changes(provider, resource, later, now=now)
    changed = list_changed(resource, later)
    event = AuditEvent(
        at=now,
        actor=actor,
        action="resource.update",
        target=resource.identifier,
        detail={"changed": " ".join(changed)},
    )
    keys = await plan_keys(provider, later, now=now)
    await provider.store.commit([PutResource(later), *keys, *changes, event])
    facts = [each for each in changes if isinstance(each, AppendFact)]
    return {
        "resource": describe_resource(later),
        "changed": changed,
        "revoked": [{"kind": each.kind, "identifier": each.identifier} for each in facts],
    }


async def _plan_client_changes(
    provider: Provider, before: Resource, after: Resource, *, now: int
) -> list[Change]:
    """Clients without the scopes that are gone, and the end of what came of them; and the end of
    what those who ask about its tokens no more have exchanged them for."""
    lost = set(before.scopes) - set(after.scopes)
    strangers = set(before.introspectors) - set(after.introspectors)
    if not lost and not strangers:
        return []
    changes: list[Change] = []
    for client in await _list_clients(provider):
        later = take_away(client, after.identifier, lost)
        if later is not client:
            changes.append(PutClient(later))
        ended = plan_losses(client, later, now=now)
        if client.client_id in strangers:
            held = [plan_fact(FactKind.GRANT, each.grant_id, now=now) for each in client.exchanges]
            ended += [fact for fact in held if fact not in ended]
        changes += ended
    return changes


async def _list_clients(provider: Provider) -> list[Client]:
    found: list[Client] = []
    while True:
        after = found[-1].client_id if found else ""
        page = await provider.store.list_clients(after=after, limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found
