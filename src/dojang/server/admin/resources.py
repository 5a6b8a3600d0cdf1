"""Resources: the protected APIs and what their tokens are like."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from dojang.oauth.scopes import check_scope_name
from dojang.oauth.urls import parse_url
from dojang.server.admin.client_plans import check_client_id
from dojang.server.admin.errors import conflict, invalid, not_found
from dojang.server.lifetimes import LONGEST_ACCESS_TOKEN, SHORTEST_ACCESS_TOKEN
from dojang.server.model import AuditEvent, KeyUse, Resource, TokenFormat
from dojang.server.ports import Change, PutResource

if TYPE_CHECKING:
    from dojang.server.provider import Provider

SIGNING_ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
LONGEST_IDENTIFIER: Final = 1024
LONGEST_SCOPES: Final = 2048


class AddResource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`identifier`: an absolute URI (RFC 8707 §2); `access_token_lifetime`: seconds;
    `followers_only`: nobody who verifies its tokens only polls the key set."""

    identifier: str
    scopes: tuple[str, ...]
    token_format: TokenFormat = TokenFormat.JWT
    algorithm: str = "ES256"
    access_token_lifetime: int = 600
    introspectors: tuple[str, ...] = ()
    followers_only: bool = False


class NamedResource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One resource."""

    identifier: str


class ListResources(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


async def add_resource(provider: Provider, actor: str, asked: AddResource) -> dict[str, Any]:
    """Register a resource, and the keys that its algorithm needs."""
    _check_identifier(asked.identifier)
    if asked.identifier in provider.state.resources:
        raise conflict(f"the resource {asked.identifier!r} exists already")
    resource = msgspec.convert(msgspec.structs.asdict(asked), Resource)
    check_resource(resource)
    now = int(provider.clock.now())
    await provider.store.commit(
        [
            PutResource(resource),
            *await plan_keys(provider, resource, now=now),
            AuditEvent(at=now, actor=actor, action="resource.add", target=asked.identifier),
        ]
    )
    return {"resource": describe_resource(resource)}


def check_resource(resource: Resource) -> None:
    """Raises `OperationRefused` for what no resource is like."""
    if not resource.scopes:
        raise invalid("scopes: a resource without scopes allows nothing; name one at least")
    for scope in resource.scopes:
        try:
            check_scope_name(scope)
        except ValueError as error:
            raise invalid(f"scopes: {error}") from error
    if len(set(resource.scopes)) != len(resource.scopes):
        raise invalid("scopes: one of them stands twice")
    if len(" ".join(resource.scopes)) > LONGEST_SCOPES:
        raise invalid(f"scopes: together {LONGEST_SCOPES} characters at most; they go into tokens")
    for client_id in resource.introspectors:
        check_client_id("introspectors", client_id)
    if resource.algorithm not in SIGNING_ALGORITHMS:
        known = ", ".join(sorted(SIGNING_ALGORITHMS))
        raise invalid(f"algorithm: must be one of {known}")
    if not SHORTEST_ACCESS_TOKEN <= resource.access_token_lifetime <= LONGEST_ACCESS_TOKEN:
        raise invalid(
            f"access_token_lifetime: must be {SHORTEST_ACCESS_TOKEN} to {LONGEST_ACCESS_TOKEN} "
            "seconds"
        )


async def plan_keys(provider: Provider, resource: Resource, *, now: int) -> list[Change]:
    """The first keys of its algorithm, where there are none."""
    plan = partial(provider.state.keys.plan_pair, KeyUse.ACCESS_TOKEN, resource.algorithm, now=now)
    return await provider.offload(plan)


async def show_resource(provider: Provider, actor: str, asked: NamedResource) -> dict[str, Any]:
    """One resource."""
    return {"resource": describe_resource(find_resource(provider, asked.identifier))}


def find_resource(provider: Provider, identifier: str) -> Resource:
    """The resource. Raises `OperationRefused` where there is none."""
    resource = provider.state.resources.get(identifier)
    if resource is None:
        raise not_found("resource", identifier)
    return resource


async def list_resources(provider: Provider, actor: str, asked: ListResources) -> dict[str, Any]:
    """Every resource, the server's own two included."""
    resources = provider.state.resources.values()
    return {"resources": [describe_resource(resource) for resource in resources]}


def describe_resource(resource: Resource) -> dict[str, Any]:
    """A resource as operators see it."""
    described: dict[str, Any] = msgspec.to_builtins(resource)
    return described


def _check_identifier(identifier: str) -> None:
    # RFC 8707 §2: an absolute URI without a fragment.
    scheme, colon, rest = identifier.partition(":")
    clean = all("!" <= character <= "~" for character in identifier) and "#" not in identifier
    if not (scheme and colon and rest and clean) or len(identifier) > LONGEST_IDENTIFIER:
        raise invalid(
            "identifier: must be an absolute URI without a fragment, for example "
            "https://orders.example"
        )
    if scheme in ("http", "https"):
        try:
            parse_url(identifier)
        except ValueError as error:
            raise invalid(f"identifier: {error}") from error
