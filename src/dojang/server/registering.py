"""Clients that register themselves (RFC 7591), and change or remove what they registered
(RFC 7592). What such a client may become is the operator's to say."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.registration import (
    OF_THE_SERVER,
    build_metadata,
    parse_client_metadata,
    refuse_metadata,
)
from dojang.server.admin.client_plans import PlannedClient, plan_client, plan_replacement
from dojang.server.admin.errors import OperationRefused
from dojang.server.admin.exchanges import describe_exchanges
from dojang.server.ending import end_grants, plan_client_end
from dojang.server.handles import REGISTRATION, REGISTRATION_TOKEN, new_secret, parse_handle
from dojang.server.model import AuditEvent, Client
from dojang.server.paths import CLIENT_CONFIGURATION
from dojang.server.people import Attempts, Registration, RegistrationToken
from dojang.server.ports import Change, Conflict, Drop, Put, PutClient
from dojang.server.registered_metadata import build_wanted
from dojang.server.registration_policy import RegistrationPolicy
from dojang.server.understood_metadata import check_redirect_uris, find_sector
from dojang.trust.client_auth import is_secret

if TYPE_CHECKING:
    from dojang.server.provider import Provider

ATTEMPTS: Final = 5  # where others register at the same time
HOUR: Final = 3600
PAUSE: Final = 3  # seconds between two fetches for one payer
EVERYONE: Final = "everyone"
_COUNTED_AS: Final = "registrations"


class RegisteredClient(NamedTuple):
    """A client that showed its own registration access token, as of the barrier."""

    client: Client
    registration: Registration
    token: str


async def find_registration_token(
    provider: Provider, shown: str | None, *, now: int
) -> RegistrationToken:
    """The initial access token, good for one more client. Raises `OAuthError(INVALID_TOKEN)`."""
    handle = parse_handle(REGISTRATION_TOKEN, shown or "")
    token = await provider.store.find(RegistrationToken, handle.identifier) if handle else None
    if (
        handle is None
        or token is None
        or not handle.opens(token.digest)
        or now >= token.expires_at
        or token.left < 1
    ):
        raise _refuse_token("initial_access_token")
    return token


async def find_registered(
    provider: Provider, client_id: str, shown: str | None
) -> RegisteredClient:
    """The client `client_id`, whose registration access token `shown` is (C102).

    Raises `OAuthError(INVALID_TOKEN)`, the same whatever is wrong.
    """
    handle = parse_handle(REGISTRATION, shown or "")
    if handle is None or shown is None or handle.identifier != client_id:
        raise _refuse_token("registration_access_token")
    registration = await provider.store.find(Registration, handle.identifier)
    client = await provider.store.find_client(client_id)
    if registration is None or not handle.opens(registration.digest):
        raise _refuse_token("registration_access_token")
    if client is None or not client.enabled:
        raise _refuse_token("registered_client_gone")
    return RegisteredClient(client, registration, shown)


async def register(
    provider: Provider,
    policy: RegistrationPolicy,
    members: dict[str, Any],
    *,
    shown: str | None,
) -> dict[str, Any]:
    """A new client. `shown` is the bearer token of the request, if there is one.

    Raises `OAuthError` and `Unavailable`.
    """
    payer = EVERYONE
    if not policy.open_to_everyone:  # before anything is fetched for whoever it is
        payer = (await find_registration_token(provider, shown, now=_now(provider))).token_id
    metadata = parse_client_metadata(members)
    check_redirect_uris(metadata)
    await _pace(provider, payer, metadata.sector_identifier_uri)
    sector = await find_sector(provider, metadata)
    for _ in range(ATTEMPTS):
        async with provider.changing:
            await provider.state.reach_barrier()
            now_ms = int(provider.clock.now() * 1000)
            now = now_ms // 1000
            actor, spending = await _spend(provider, policy, shown, now=now)
            wanted, said = build_wanted(provider, policy, metadata, sector)
            planned = await _plan(plan_client(provider, wanted, now_ms=now_ms))
            client_id = planned.client.client_id
            handle = new_secret(REGISTRATION, client_id)
            registration = Registration(
                client_id=client_id,
                digest=handle.digest,
                metadata=build_metadata(said),
                registered_at=now,
            )
            event = AuditEvent(
                at=now,
                actor=actor,
                action="client.register",
                target=client_id,
                detail={"name": planned.client.name},
            )
            changes: list[Change] = [
                *spending,
                PutClient(planned.client),
                Put(registration),
                *planned.besides,
                event,
            ]
            try:
                await provider.store.commit(changes)
            except Conflict:
                continue
            return describe(provider, planned, registration, handle.text)
    raise Unavailable("registration (others register at the same time)")


async def _pace(provider: Provider, payer: str, *addresses: str | None) -> None:
    """Fetch for one payer at most once in `PAUSE`, on whichever node: nobody is to have this server
    call on others without end. Raises `Unavailable`."""
    if not any(addresses):
        return
    now = _now(provider)
    key = sha256(f"registration fetches for {payer}".encode()).digest()
    if not await provider.store.consume_once(key, until=now + PAUSE - 1, now=now):
        raise Unavailable("registration (another address was fetched just now)", retry_after=PAUSE)


def _now(provider: Provider) -> int:
    return int(provider.clock.now())


async def _spend(
    provider: Provider, policy: RegistrationPolicy, shown: str | None, *, now: int
) -> tuple[str, list[Change]]:
    """Who registers, and what it costs them. Raises `OAuthError` and `Unavailable`."""
    if policy.open_to_everyone:
        return EVERYONE, [await _count(provider, policy, now=now)]
    token = await find_registration_token(provider, shown, now=now)
    later = replace(token, left=token.left - 1, version=token.version + 1)
    return f"registration-token:{token.token_id}", [Put(later)]


async def _count(provider: Provider, policy: RegistrationPolicy, *, now: int) -> Change:
    """One more client of this hour. Raises `Unavailable` where that is too many."""
    held = await provider.store.find(Attempts, _COUNTED_AS)
    begun = Attempts(subject=_COUNTED_AS, count=0, since=now, expires_at=now + HOUR)
    if held is not None:
        over = now >= held.expires_at
        begun = replace(begun if over else held, version=held.version)
    if begun.count >= policy.hourly_limit:
        raise Unavailable("registration (registration.hourly_limit)", retry_after=60)
    version = 1 if held is None else held.version + 1
    return Put(replace(begun, count=begun.count + 1, version=version))


async def change(
    provider: Provider,
    policy: RegistrationPolicy,
    client_id: str,
    members: dict[str, Any],
    *,
    shown: str | None,
) -> dict[str, Any]:
    """The client as it is to be from now on: what is not said is no more (RFC 7592 §2.2).

    Raises `OAuthError` and `Unavailable`.
    """
    registered = await find_registered(provider, client_id, shown)
    _check_own(registered.client, members, now=_now(provider))
    metadata = parse_client_metadata(members)
    check_redirect_uris(metadata)
    moved = metadata.jwks_uri != registered.client.jwks_uri  # anybody may have it fetched anew
    keys_at = metadata.jwks_uri if moved else None
    await _pace(provider, client_id, metadata.sector_identifier_uri, keys_at)
    sector = await find_sector(provider, metadata)
    for _ in range(ATTEMPTS):
        async with provider.changing:
            await provider.state.reach_barrier()
            now_ms = int(provider.clock.now() * 1000)
            client, registration, token = await find_registered(provider, client_id, shown)
            wanted, said = build_wanted(provider, policy, metadata, sector)
            kept = replace(wanted, exchanges=describe_exchanges(client))  # the operator's to say
            planned = await _plan(plan_replacement(provider, client, kept, now_ms=now_ms))
            later = replace(
                registration, metadata=build_metadata(said), version=registration.version + 1
            )
            event = _describe_event(client_id, "client.change_registration", now_ms // 1000)
            try:
                await provider.store.commit(
                    [PutClient(planned.client), Put(later), *planned.besides, event]
                )
            except Conflict:
                continue
            return describe(provider, planned, later, token)
    raise Unavailable("registration (somebody changes the client at the same time)")


async def remove(provider: Provider, client_id: str, *, shown: str | None) -> None:
    """Forget the client, with a fact that ends every token it has (RFC 7592 §2.3); then what people
    allowed it to hold on ends, too. Raises `OAuthError` and `Unavailable`."""
    for _ in range(ATTEMPTS):
        async with provider.changing:
            await provider.state.reach_barrier()
            now = int(provider.clock.now())
            client, registration, _ = await find_registered(provider, client_id, shown)
            changes: list[Change] = [
                *plan_client_end(client, now=now),
                Drop(registration),
                _describe_event(client_id, "client.remove_registration", now),
            ]
            try:
                await provider.store.commit(changes)
            except Conflict:
                continue
        await end_grants(provider, "client_id", client_id, ends=lambda _: True)
        return
    raise Unavailable("registration (somebody changes the client at the same time)")


def describe(
    provider: Provider, planned: PlannedClient, registration: Registration, token: str
) -> dict[str, Any]:
    """The client information response (RFC 7591 §3.2.1, RFC 7592 §3). A secret is in it once."""
    client_id = registration.client_id
    answer: dict[str, Any] = {
        **registration.metadata,
        "client_id": client_id,
        "client_id_issued_at": registration.registered_at,
        "registration_access_token": token,
        "registration_client_uri": provider.issuer
        + CLIENT_CONFIGURATION.format(client_id=client_id),
    }
    if planned.secret is not None:
        answer["client_secret"] = planned.secret
    if planned.client.secrets:
        answer["client_secret_expires_at"] = 0
    return answer


def _check_own(client: Client, members: Mapping[str, Any], *, now: int) -> None:
    """RFC 7592 §2.2: a client names itself, and nothing that is the server's to say."""
    if members.get("client_id") != client.client_id:
        raise refuse_metadata("client_id is not that of the client.", "another_client_id")
    if any(name in members for name in OF_THE_SERVER):
        raise refuse_metadata(f"Leave out {', '.join(OF_THE_SERVER)}.", "said_by_the_server")
    secret = members.get("client_secret")
    alive = [each.digest for each in client.secrets if (each.expires_at or now + 1) > now]
    if secret is not None and not (isinstance(secret, str) and is_secret(secret, alive)):
        raise refuse_metadata("client_secret is not that of the client.", "another_secret")


async def _plan(planning: Awaitable[PlannedClient]) -> PlannedClient:
    """What the rules for every client say, in the words of RFC 7591 §3.2.2."""
    try:
        return await planning
    except OperationRefused as error:
        raise refuse_metadata(f"{error.detail}.", "refused_by_the_rules") from error


def _describe_event(client_id: str, action: str, now: int) -> AuditEvent:
    return AuditEvent(at=now, actor=client_id, action=action, target=client_id)


def _refuse_token(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_TOKEN, "The token is not good here.", reason=reason)
