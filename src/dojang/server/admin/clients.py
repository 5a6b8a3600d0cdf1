"""Clients: who may ask for tokens, with what proof, and for what."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dojang.jose.errors import InvalidKey
from dojang.jose.keys import KeySet
from dojang.oauth.revocation_fact import FactKind
from dojang.server.admin.errors import (
    OperationRefused,
    check_text,
    conflict,
    invalid,
    not_found,
)
from dojang.server.admin.exchanges import (
    ExchangeWanted,
    SetExchanges,
    plan_exchange_change,
    plan_exchanges,
)
from dojang.server.admin.sign_in import SignInWanted, check_sign_in, find_algorithms
from dojang.server.ending import end_grants
from dojang.server.ids import new_id
from dojang.server.lifetimes import FACT_LIFE
from dojang.server.model import (
    AppendFact,
    AuditEvent,
    AuthenticationMethod,
    Client,
    KeyUse,
    Resource,
    SecretHash,
    SignIn,
    StandingGrant,
)
from dojang.server.ports import Change, PutClient
from dojang.trust.client_auth import generate_secret, hash_secret

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LONGEST_OVERLAP = 30 * 86_400  # seconds that an old secret may live on after its replacement
MOST_LISTED = 1000
LONGEST_NAME = 200


class GrantWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client may do at one resource."""

    resource: str
    scopes: tuple[str, ...]


class AddClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`client_id`: made where it is not given. `jwks`: a JWK Set, for `private_key_jwt` alone.
    `sign_in`: what it may do for people; `exchanges`: what for whoever calls it."""

    client_id: str | None = None
    name: str = ""
    authentication: AuthenticationMethod = AuthenticationMethod.BASIC
    jwks: dict[str, Any] | None = None
    grants: tuple[GrantWanted, ...] = ()
    sign_in: SignInWanted | None = None
    exchanges: tuple[ExchangeWanted, ...] = ()


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


async def add_client(provider: Provider, actor: str, asked: AddClient) -> dict[str, Any]:
    """Register a client. Its secret is in this answer and nowhere else, ever."""
    now_ms = int(provider.clock.now() * 1000)
    now = now_ms // 1000
    client_id = asked.client_id if asked.client_id is not None else new_id(now_ms)
    check_client_id("client_id", client_id)
    if asked.name:
        check_text("name", asked.name, most=LONGEST_NAME)
    if await provider.store.find_client(client_id) is not None:
        raise conflict(f"the client {client_id!r} exists already")
    sign_in = None
    if asked.sign_in is not None:
        sign_in = check_sign_in(provider, asked.sign_in, asked.authentication)
    secret = None
    if asked.authentication is AuthenticationMethod.PRIVATE_KEY_JWT:
        _check_jwks(asked.jwks)
    elif asked.jwks is not None:
        raise invalid("jwks: only a private_key_jwt client has keys")
    elif asked.authentication is not AuthenticationMethod.NONE:
        secret = generate_secret()
    elif sign_in is None or asked.grants:
        raise invalid("authentication: a client that acts for itself proves who it is")
    client = Client(
        client_id=client_id,
        name=asked.name or client_id,
        authentication=asked.authentication,
        secrets=(SecretHash(digest=hash_secret(secret)),) if secret else (),
        jwks=asked.jwks,
        grants=tuple(_make_grant(provider, wanted, now_ms) for wanted in asked.grants),
        sign_in=sign_in,
        exchanges=plan_exchanges(provider, asked.authentication, asked.exchanges),
        created_at=now,
    )
    if len({grant.resource for grant in client.grants}) != len(client.grants):
        raise invalid("grants: a resource stands twice; give all of its scopes at once")
    keys = await _make_keys(provider, sign_in, now) if sign_in else []
    event = _event(now, actor, "client.add", client_id)
    await provider.store.commit([PutClient(client), *keys, event])
    answer: dict[str, Any] = {"client": describe_client(client)}
    if secret is not None:
        answer["client_secret"] = secret
    return answer


async def _make_keys(provider: Provider, sign_in: SignIn, now: int) -> list[Change]:
    """The first keys for what is said of people, where there are none."""
    changes: list[Change] = []
    for algorithm in sorted(find_algorithms(sign_in)):
        plan = partial(provider.state.keys.plan_pair, KeyUse.ID_TOKEN, algorithm, now=now)
        changes += await provider.offload(plan)
    return changes


async def list_clients(provider: Provider, actor: str, asked: ListClients) -> dict[str, Any]:
    """A page of clients, by client_id."""
    if not 1 <= asked.limit <= MOST_LISTED:
        raise invalid(f"limit: must be 1 to {MOST_LISTED}")
    clients = await provider.store.list_clients(after=asked.after, limit=asked.limit)
    return {"clients": [describe_client(client) for client in clients]}


async def rotate_secret(provider: Provider, actor: str, asked: RotateSecret) -> dict[str, Any]:
    """A new secret for a client; the ones before end now, or after `overlap`."""
    client = await load_client(provider, asked.client_id)
    if client.authentication in (AuthenticationMethod.PRIVATE_KEY_JWT, AuthenticationMethod.NONE):
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


def _make_grant(provider: Provider, wanted: GrantWanted, now_ms: int) -> StandingGrant:
    resource: Resource | None = provider.state.resources.get(wanted.resource)
    if resource is None:
        raise not_found("resource", wanted.resource)
    unknown = [scope for scope in wanted.scopes if scope not in resource.scopes]
    if unknown or not wanted.scopes:
        raise invalid(
            f"grants: the scopes at {wanted.resource} must be of {', '.join(resource.scopes)}"
        )
    scopes = tuple(dict.fromkeys(wanted.scopes))
    return StandingGrant(grant_id=new_id(now_ms), resource=wanted.resource, scopes=scopes)


def check_client_id(parameter: str, client_id: str) -> None:
    """Raises `OperationRefused` unless `client_id` is one that a client of ours can have."""
    # RFC 6749 Appendix A.1: printable ASCII; a colon would not survive Basic authentication.
    if not 1 <= len(client_id) <= 128 or not all("!" <= c <= "~" for c in client_id):
        raise invalid(f"{parameter}: must be 1 to 128 printable ASCII characters without spaces")
    if any(character in client_id for character in ':"\\/?#%'):
        raise invalid(f'{parameter}: must have none of : " \\ / ? # %')


def _check_jwks(jwks: dict[str, Any] | None) -> None:
    if jwks is None:
        raise invalid("jwks: a private_key_jwt client needs a JWK Set of its public keys")
    try:
        keys = KeySet.parse(jwks)
    except InvalidKey as error:
        raise invalid("jwks: not a JWK Set") from error
    if keys.skipped or not len(keys):
        reasons = ", ".join(sorted({skipped.reason for skipped in keys.skipped})) or "no key"
        raise OperationRefused(400, "Unusable key", f"jwks: a key cannot be used: {reasons}")


def _event(now: int, actor: str, action: str, client_id: str) -> AuditEvent:
    return AuditEvent(at=now, actor=actor, action=action, target=client_id)
