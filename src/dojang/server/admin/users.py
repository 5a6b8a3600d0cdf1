"""People whom this server keeps: who may sign in, and an end to that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dojang.oauth.claims import check_claims
from dojang.oauth.revocation_fact import FactKind
from dojang.server.admin.errors import (
    OperationRefused,
    check_text,
    conflict,
    invalid,
    not_found,
)
from dojang.server.ending import end_account, plan_fact
from dojang.server.ids import new_id
from dojang.server.kept_accounts import KeptAccounts, normalise_name
from dojang.server.model import AuditEvent
from dojang.server.owned import load_owned
from dojang.server.passwords import BadPassword
from dojang.server.people import Account, Consent, SignInName
from dojang.server.ports import Drop, Put

if TYPE_CHECKING:
    from dojang.server.provider import Provider

MOST_LISTED: Final = 1000
LONGEST_NAME: Final = 200
LARGEST_CLAIMS: Final = 8192  # bytes


class AddUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`claims`: those of OpenID Connect Core §5.1, such as name and email. Without a password the
    person cannot sign in yet."""

    username: str
    password: str | None = None
    claims: dict[str, Any] = {}


class ListUsers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: those after the account_id `after`, `limit` at most."""

    after: str = ""
    limit: int = MOST_LISTED


class NamedUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person, by the name they sign in with."""

    username: str


class SetPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It ends every session and grant of the person."""

    username: str
    password: str


class SetClaims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What clients may know of the person from now on; all of it."""

    username: str
    claims: dict[str, Any]


async def add_user(provider: Provider, actor: str, asked: AddUser) -> dict[str, Any]:
    """Let a person sign in."""
    accounts = _find_accounts(provider)
    check_text("username", asked.username, most=LONGEST_NAME)
    name = normalise_name(asked.username)
    if name is None:
        raise invalid("username: no name")
    _check_claims(asked.claims)
    if await accounts.find_account(asked.username) is not None:
        raise conflict(f"the user {asked.username!r} exists already")
    now_ms = int(provider.clock.now() * 1000)
    now = now_ms // 1000
    account = Account(
        account_id=new_id(now_ms),
        username=asked.username.strip(),
        password=await _hash(accounts, asked.password),
        claims=asked.claims,
        created_at=now,
        password_changed_at=now if asked.password else None,
    )
    await provider.store.commit(
        [
            Put(account),
            Put(SignInName(name=name, account_id=account.account_id)),
            _event(now, actor, "user.add", account),
        ]
    )
    return {"user": describe_user(account)}


async def list_users(provider: Provider, actor: str, asked: ListUsers) -> dict[str, Any]:
    """A page of people, by account_id."""
    if not 1 <= asked.limit <= MOST_LISTED:
        raise invalid(f"limit: must be 1 to {MOST_LISTED}")
    accounts = await provider.store.list_all(Account, after=asked.after, limit=asked.limit)
    return {"users": [describe_user(account) for account in accounts]}


async def set_password(provider: Provider, actor: str, asked: SetPassword) -> dict[str, Any]:
    """Another password, and an end to every session and grant of before (C62)."""
    accounts = _find_accounts(provider)
    account = await load_user(provider, asked.username)
    hashed = await _hash(accounts, asked.password)
    now = int(provider.clock.now())
    return await _end_all(
        provider,
        actor,
        account,
        "user.set_password",
        lambda account: replace(account, password=hashed, password_changed_at=now),
    )


async def set_claims(provider: Provider, actor: str, asked: SetClaims) -> dict[str, Any]:
    """What is known of a person."""
    _check_claims(asked.claims)
    account = await load_user(provider, asked.username)
    changed = replace(account, claims=asked.claims, version=account.version + 1)
    now = int(provider.clock.now())
    await provider.store.commit([Put(changed), _event(now, actor, "user.set_claims", changed)])
    return {"user": describe_user(changed)}


async def disable_user(provider: Provider, actor: str, asked: NamedUser) -> dict[str, Any]:
    """No more sign-ins, and an end to every session and grant."""
    account = await load_user(provider, asked.username)
    return await _end_all(
        provider, actor, account, "user.disable", lambda account: replace(account, enabled=False)
    )


async def enable_user(provider: Provider, actor: str, asked: NamedUser) -> dict[str, Any]:
    """Let a person sign in again. What ended stays so."""
    account = await load_user(provider, asked.username)
    changed = replace(account, enabled=True, version=account.version + 1)
    now = int(provider.clock.now())
    await provider.store.commit([Put(changed), _event(now, actor, "user.enable", changed)])
    return {"user": describe_user(changed)}


async def sign_out_user(provider: Provider, actor: str, asked: NamedUser) -> dict[str, Any]:
    """End every session and grant of a person, who may sign in again."""
    account = await load_user(provider, asked.username)
    return await _end_all(provider, actor, account, "user.sign_out")


async def remove_user(provider: Provider, actor: str, asked: NamedUser) -> dict[str, Any]:
    """End all of it and forget the person. Their account_id is never given to anybody else
    (C108), and their name may be."""
    account = await load_user(provider, asked.username)
    # Disabled first: then nobody signs in between the end of it all and the last of it.
    await _end_all(
        provider, actor, account, "user.sign_out", lambda account: replace(account, enabled=False)
    )
    ended = await load_user(provider, asked.username)
    name = await provider.store.find(SignInName, normalise_name(asked.username) or "")
    now = int(provider.clock.now())
    allowed = load_owned(provider.store, Consent, "account_id", ended.account_id)
    changes = [Drop(ended), *([Drop(name)] if name else [])]
    changes += [Drop(consent) async for consent in allowed]
    await provider.store.commit([*changes, _event(now, actor, "user.remove", ended)])
    return {"user": describe_user(ended)}


async def _end_all(
    provider: Provider,
    actor: str,
    account: Account,
    action: str,
    amend: Callable[[Account], Account] = lambda account: account,
) -> dict[str, Any]:
    now = int(provider.clock.now())
    fact = plan_fact(FactKind.ACCOUNT, account.account_id, now=now)
    event = _event(now, actor, action, account)
    ended = await end_account(provider, account.account_id, amend, besides=lambda _: [fact, event])
    if ended is None:
        raise not_found("user", account.username)
    return {"user": describe_user(ended)}


async def load_user(provider: Provider, username: str) -> Account:
    """The person. Raises `OperationRefused` where there is none."""
    account = await _find_accounts(provider).find_account(username)
    if account is None:
        raise not_found("user", username)
    return account


def describe_user(account: Account) -> dict[str, Any]:
    """A person as operators see them: of the password only whether there is one."""
    described: dict[str, Any] = msgspec.to_builtins(account)
    described["password"] = account.password is not None
    return described


def _find_accounts(provider: Provider) -> KeptAccounts:
    accounts = provider.accounts
    if not isinstance(accounts, KeptAccounts):
        raise OperationRefused(
            409, "Not kept here", "the application that this server is part of keeps the users"
        )
    return accounts


async def _hash(accounts: KeptAccounts, password: str | None) -> str | None:
    if password is None:
        return None
    try:
        return await accounts.passwords.hash(password)
    except BadPassword as error:
        raise invalid(f"password: {error}") from None


def _check_claims(claims: dict[str, Any]) -> None:
    try:
        check_claims(claims)
    except ValueError as error:
        raise invalid(f"claims: {error}") from None
    if len(msgspec.json.encode(claims)) > LARGEST_CLAIMS:
        raise invalid(f"claims: at most {LARGEST_CLAIMS} bytes")


def _event(now: int, actor: str, action: str, account: Account) -> AuditEvent:
    return AuditEvent(at=now, actor=actor, action=action, target=account.account_id)
