"""What a change takes away from a client, and the end of the tokens that came of it: facts for the
same unit of work as the change."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec.structs import replace

from dojang.oauth.revocation_fact import FactKind
from dojang.server.admin.errors import conflict
from dojang.server.ending import plan_fact
from dojang.server.model import (
    AppendFact,
    AuthenticationMethod,
    Client,
    ExchangeRule,
    SignIn,
    SubjectType,
)


def plan_losses(before: Client, after: Client, *, now: int) -> list[AppendFact]:
    """The end of every token so far that may carry what `after` may not have. Where that is
    something of people's, of all that the client holds: their refresh tokens live on, for what is
    left (C64)."""
    if _loses_of_people(before.sign_in, after.sign_in):
        return [plan_fact(FactKind.CLIENT, before.client_id, now=now)]
    scopes = {grant.grant_id: grant.scopes for grant in after.grants}
    rules = {grant.grant_id: grant.rules for grant in after.exchanges}
    ended = [
        grant.grant_id
        for grant in before.grants
        if not set(grant.scopes) <= set(scopes.get(grant.grant_id, ()))
    ]
    ended += [
        grant.grant_id
        for grant in before.exchanges
        if not set(grant.rules) <= set(rules.get(grant.grant_id, ()))
    ]
    return [plan_fact(FactKind.GRANT, grant_id, now=now) for grant_id in ended]


def _loses_of_people(before: SignIn | None, after: SignIn | None) -> bool:
    if before is None:
        return False
    return (
        after is None
        or not set(before.scopes) <= set(after.scopes)
        or any(
            not set(scopes) <= set(after.resources.get(resource, ()))
            for resource, scopes in before.resources.items()
        )
    )


def check_same(before: Client, after: Client) -> None:
    """Raises `OperationRefused` for what no client becomes: what it was given would be something
    else afterwards."""
    if after.authentication is AuthenticationMethod.NONE is not before.authentication:
        raise conflict(
            "authentication: a client that proves who it is does not become public; its refresh "
            "tokens would be good for whoever finds them. Add another client, and remove this one"
        )
    if before.sign_in and after.sign_in and _name_people(before) != _name_people(after):
        raise conflict(
            "subject_type, sector: people would have another sub at this client, which OpenID "
            "Connect Core §12.2 rules out. Leave them as they are, or add another client"
        )


def _name_people(client: Client) -> str | None:
    """By what `client` knows people; None: by the name that every client knows."""
    sign_in = client.sign_in
    if sign_in is None or sign_in.subject_type is SubjectType.PUBLIC:
        return None
    return sign_in.sector or client.client_id


def take_away(client: Client, resource: str, lost: Collection[str]) -> Client:
    """`client` without the scopes `lost` at `resource`; itself where it has none of them."""

    def leave(scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if scope not in lost)

    grants = [
        replace(each, scopes=leave(each.scopes)) if each.resource == resource else each
        for each in client.grants
    ]
    exchanges = [
        replace(each, rules=_narrow(each.rules, leave)) if each.resource == resource else each
        for each in client.exchanges
    ]
    sign_in = client.sign_in
    if sign_in is not None:
        left = {
            name: leave(scopes) if name == resource else scopes
            for name, scopes in sign_in.resources.items()
        }
        sign_in = replace(
            sign_in, resources={name: scopes for name, scopes in left.items() if scopes}
        )
    changed = replace(
        client,
        grants=tuple(each for each in grants if each.scopes),
        exchanges=tuple(each for each in exchanges if each.rules),
        sign_in=sign_in,
    )
    return client if changed == client else replace(changed, version=client.version + 1)


def _narrow(
    rules: tuple[ExchangeRule, ...], leave: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> tuple[ExchangeRule, ...]:
    narrowed = (replace(rule, gives=leave(rule.gives)) for rule in rules)
    return tuple(rule for rule in narrowed if rule.gives)
