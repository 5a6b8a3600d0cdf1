"""What a client is to be: asked for, checked, and made of what was asked for. Operators and clients
that register themselves come through here (C100)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from dojang.jose.errors import InvalidKey, Reason
from dojang.server.admin.errors import OperationRefused, check_text, invalid, not_found
from dojang.server.admin.exchanges import ExchangeWanted, plan_exchanges
from dojang.server.admin.losses import check_same, plan_losses
from dojang.server.admin.sign_in import (
    SignInWanted,
    check_outward,
    check_sign_in,
    check_uri,
    find_algorithms,
)
from dojang.server.client_keys import check_key_set
from dojang.server.encrypting import find_encryption_key
from dojang.server.ids import new_id
from dojang.server.model import (
    AuthenticationMethod,
    Client,
    KeyUse,
    Resource,
    SecretHash,
    SignIn,
    StandingGrant,
)
from dojang.server.ports import Change
from dojang.trust.client_auth import generate_secret, hash_secret

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LONGEST_NAME: Final = 200
SECRET_METHODS: Final = frozenset({AuthenticationMethod.BASIC, AuthenticationMethod.POST})


class GrantWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client may do at one resource."""

    resource: str
    scopes: tuple[str, ...]


class AddClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`client_id`: made where it is not given. `jwks`, a JWK Set, or `jwks_uri`, where one lies:
    its public keys, for `private_key_jwt` and what else it signs. `sign_in`: what it may do for
    people; `exchanges`: what for whoever calls it."""

    client_id: str | None = None
    name: str = ""
    authentication: AuthenticationMethod = AuthenticationMethod.BASIC
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    grants: tuple[GrantWanted, ...] = ()
    sign_in: SignInWanted | None = None
    exchanges: tuple[ExchangeWanted, ...] = ()


class PlannedClient(NamedTuple):
    """A client to be written, the secret it is told once, and what goes with it: the keys the
    server lacks for it, and the end of what came of rights that it has no more."""

    client: Client
    secret: str | None
    besides: list[Change]


async def plan_client(
    provider: Provider, asked: AddClient, *, now_ms: int, held: Client | None = None
) -> PlannedClient:
    """A new client; what it is given where `held` had something keeps the id of its grant. `now_ms`
    is in milliseconds since 1970. Raises `OperationRefused`."""
    client_id = asked.client_id if asked.client_id is not None else new_id(now_ms)
    check_client_id("client_id", client_id)
    if asked.name:
        check_text("name", asked.name, most=LONGEST_NAME)
    sign_in = None
    if asked.sign_in is not None:
        sign_in = check_sign_in(provider, asked.sign_in, asked.authentication)
    _check_keys(provider, asked)
    if asked.authentication is AuthenticationMethod.NONE and (sign_in is None or asked.grants):
        raise invalid(
            "authentication: none is for clients that people sign in to (redirect URIs) and that "
            "have no grants of their own"
        )
    secret = generate_secret() if asked.authentication in SECRET_METHODS else None
    client = Client(
        client_id=client_id,
        name=asked.name or client_id,
        authentication=asked.authentication,
        secrets=(SecretHash(digest=hash_secret(secret)),) if secret else (),
        jwks=asked.jwks,
        jwks_uri=asked.jwks_uri,
        grants=_plan_grants(provider, asked.grants, held.grants if held else (), now_ms=now_ms),
        sign_in=sign_in,
        exchanges=plan_exchanges(
            provider,
            asked.authentication,
            asked.exchanges,
            held=held.exchanges if held else (),
        ),
        created_at=now_ms // 1000,
    )
    keys = await _make_keys(provider, sign_in, now_ms // 1000) if sign_in else []
    return PlannedClient(client, secret, keys)


async def plan_replacement(
    provider: Provider, client: Client, asked: AddClient, *, now_ms: int
) -> PlannedClient:
    """`client` as it is asked to be from now on. Its secrets stay while it has any use for them; it
    is told a new one where it had none. Raises `OperationRefused`."""
    asked = replace(asked, client_id=client.client_id)
    planned = await plan_client(provider, asked, now_ms=now_ms, held=client)
    check_same(client, planned.client)
    kept = client.secrets if planned.client.authentication in SECRET_METHODS else ()
    later = replace(
        planned.client,
        secrets=kept or planned.client.secrets,
        sign_in=_find_shown(client, planned.client, now=now_ms // 1000),
        enabled=client.enabled,
        created_at=client.created_at,
        version=client.version + 1,
    )
    ended = plan_losses(client, later, now=now_ms // 1000)
    return PlannedClient(later, None if kept else planned.secret, [*planned.besides, *ended])


def _find_shown(before: Client, after: Client, *, now: int) -> SignIn | None:
    """What it may do for people, who are asked again (C40) where they are now shown another name,
    or an answer that goes to another host."""
    was, is_now = before.sign_in, after.sign_in
    if was is None or is_now is None:
        return is_now
    same = before.name == after.name and _find_hosts(is_now) <= _find_hosts(was)
    return replace(is_now, shown_since=was.shown_since if same else now)


def _find_hosts(sign_in: SignIn) -> set[tuple[str, str]]:
    parts = (urlsplit(uri) for uri in sign_in.redirect_uris)
    return {(each.scheme, each.netloc) for each in parts}


async def _make_keys(provider: Provider, sign_in: SignIn, now: int) -> list[Change]:
    """The first keys for what is said of people, where there are none."""
    changes: list[Change] = []
    for algorithm in sorted(find_algorithms(sign_in)):
        plan = partial(provider.state.keys.plan_pair, KeyUse.ID_TOKEN, algorithm, now=now)
        changes += await provider.offload(plan)
    return changes


def _plan_grants(
    provider: Provider,
    wanted: Sequence[GrantWanted],
    held: Sequence[StandingGrant],
    *,
    now_ms: int,
) -> tuple[StandingGrant, ...]:
    if len({each.resource for each in wanted}) != len(wanted):
        raise invalid("grants: a resource stands twice; give all of its scopes at once")
    ids: Mapping[str, str] = {grant.resource: grant.grant_id for grant in held}
    return tuple(
        _make_grant(provider, each, ids.get(each.resource) or new_id(now_ms)) for each in wanted
    )


def _make_grant(provider: Provider, wanted: GrantWanted, grant_id: str) -> StandingGrant:
    resource: Resource | None = provider.state.resources.get(wanted.resource)
    if resource is None:
        raise not_found("resource", wanted.resource)
    unknown = [scope for scope in wanted.scopes if scope not in resource.scopes]
    if unknown or not wanted.scopes:
        raise invalid(
            f"grants: the scopes at {wanted.resource} must be of {', '.join(resource.scopes)}"
        )
    scopes = tuple(dict.fromkeys(wanted.scopes))
    return StandingGrant(grant_id=grant_id, resource=wanted.resource, scopes=scopes)


def check_client_id(parameter: str, client_id: str) -> None:
    """Raises `OperationRefused` unless `client_id` is one that a client of ours can have."""
    # RFC 6749 Appendix A.1: printable ASCII; a colon would not survive Basic authentication.
    if not 1 <= len(client_id) <= 128 or not all("!" <= c <= "~" for c in client_id):
        raise invalid(f"{parameter}: must be 1 to 128 printable ASCII characters without spaces")
    if any(character in client_id for character in ':"\\/?#%'):
        raise invalid(f'{parameter}: must have none of : " \\ / ? # %')


def _check_keys(provider: Provider, asked: AddClient) -> None:
    """Its keys are given in one way, and can be used (RFC 7591 §2)."""
    signs = asked.authentication is AuthenticationMethod.PRIVATE_KEY_JWT or (
        asked.sign_in is not None and asked.sign_in.require_signed_request_object
    )
    encryptions = _find_encryptions(asked.sign_in) if asked.sign_in else set()
    if asked.jwks is not None and asked.jwks_uri is not None:
        raise invalid("jwks, jwks_uri: give one of the two")
    if asked.jwks_uri is not None:
        check_uri("jwks_uri", partial(check_outward, provider, asked.jwks_uri))
    elif asked.jwks is not None:
        try:
            check_key_set(asked.jwks, signs=signs)
            _check_encryption_keys(asked.jwks, encryptions)
        except InvalidKey as error:
            detail = f"jwks: a key cannot be used: {error.reason} ({error.detail})"
            raise OperationRefused(400, "Unusable key", detail) from error
    elif signs:
        raise invalid("jwks, jwks_uri: a client that signs gives a JWK Set of its public keys")
    elif encryptions:
        raise invalid("jwks, jwks_uri: there is no key to encrypt to")
    if not signs and asked.sign_in is None and (asked.jwks or asked.jwks_uri):
        raise invalid("jwks, jwks_uri: nothing that this client does needs keys")


def _find_encryptions(wanted: SignInWanted) -> set[str]:
    """The algorithms for which the client must have a key to be encrypted to."""
    wishes = (wanted.id_token_encryption, wanted.userinfo_encryption)
    return {wish[0] for wish in wishes if wish is not None}


def _check_encryption_keys(jwks: dict[str, Any], algorithms: set[str]) -> None:
    for algorithm in sorted(algorithms):
        if find_encryption_key(jwks, algorithm) is None:
            raise InvalidKey(Reason.BAD_KEY, f"none can be encrypted to with {algorithm}")
