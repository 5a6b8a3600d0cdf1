"""What a client may exchange the tokens for that it is called with, as an operator registers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from dojang.oauth.scopes import check_scope_name
from dojang.server.admin.errors import invalid, not_found
from dojang.server.admin.losses import plan_losses
from dojang.server.ids import new_id
from dojang.server.model import (
    AppendFact,
    AuthenticationMethod,
    Client,
    ExchangeGrant,
    ExchangeRule,
)

if TYPE_CHECKING:
    from dojang.server.provider import Provider

MOST_RULES: Final = 100


class ExchangeWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scopes that it may have at one resource: for a token that carries all of `needs`, or,
    where that is empty, each for a token that carries a scope of the same name."""

    resource: str
    scopes: tuple[str, ...]
    needs: tuple[str, ...] = ()


class SetExchanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client may exchange for from now on; all of it."""

    client_id: str
    exchanges: tuple[ExchangeWanted, ...]


def plan_exchanges(
    provider: Provider,
    authentication: AuthenticationMethod,
    wanted: Sequence[ExchangeWanted],
    *,
    held: Sequence[ExchangeGrant] = (),
) -> tuple[ExchangeGrant, ...]:
    """What is to be registered; one that replaces a grant of `held` keeps its id.

    Raises `OperationRefused`.
    """
    if wanted and authentication is AuthenticationMethod.NONE:
        raise invalid("exchanges: a client that exchanges tokens proves who it is")
    rules: dict[str, list[ExchangeRule]] = {}
    for each in wanted:
        _check(provider, each)
        rules.setdefault(each.resource, []).extend(_read_rules(each))
    if sum(map(len, rules.values())) > MOST_RULES:
        raise invalid(f"exchanges: {MOST_RULES} rules at most")
    ids: Mapping[str, str] = {grant.resource: grant.grant_id for grant in held}
    now_ms = int(provider.clock.now() * 1000)
    return tuple(
        ExchangeGrant(
            grant_id=ids.get(resource) or new_id(now_ms),
            resource=resource,
            rules=tuple(dict.fromkeys(found)),
        )
        for resource, found in rules.items()
    )


def _read_rules(wanted: ExchangeWanted) -> list[ExchangeRule]:
    scopes = tuple(dict.fromkeys(wanted.scopes))
    if wanted.needs:
        return [ExchangeRule(needs=tuple(dict.fromkeys(wanted.needs)), gives=scopes)]
    return [ExchangeRule(needs=(scope,), gives=(scope,)) for scope in scopes]


def _check(provider: Provider, wanted: ExchangeWanted) -> None:
    if wanted.resource in provider.own_audiences:
        raise invalid("exchanges: no token is exchanged for one of this server's own endpoints")
    resource = provider.state.resources.get(wanted.resource)
    if resource is None:
        raise not_found("resource", wanted.resource)
    if not wanted.scopes or not set(wanted.scopes) <= set(resource.scopes):
        raise invalid(
            f"exchanges: the scopes at {wanted.resource} must be of {', '.join(resource.scopes)}"
        )
    for scope in wanted.needs:
        try:
            check_scope_name(scope)
        except ValueError as error:
            raise invalid(f"exchanges: {error}") from None


def describe_exchanges(client: Client) -> tuple[ExchangeWanted, ...]:
    """What `client` may exchange for, as it would be asked for."""
    return tuple(
        ExchangeWanted(resource=grant.resource, scopes=rule.gives, needs=rule.needs)
        for grant in client.exchanges
        for rule in grant.rules
    )


def plan_exchange_change(
    provider: Provider, client: Client, wanted: Sequence[ExchangeWanted], *, now: int
) -> tuple[Client, list[AppendFact]]:
    """The client as it is from now on, and the end of what came of grants that have lost a rule.
    Raises `OperationRefused`."""
    exchanges = plan_exchanges(provider, client.authentication, wanted, held=client.exchanges)
    changed = replace(client, exchanges=exchanges, version=client.version + 1)
    return changed, plan_losses(client, changed, now=now)
