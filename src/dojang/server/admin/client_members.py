"""What operators say of a client, in part: members that they name, metadata (RFC 7591 §2), and what
is held of it already, one before the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dojang.server.admin.client_plans import AddClient, GrantWanted
from dojang.server.admin.errors import describe_invalid, invalid
from dojang.server.admin.exchanges import ExchangeWanted, describe_exchanges
from dojang.server.admin.sign_in import SignInWanted
from dojang.server.model import AuthenticationMethod, Client

INSTEAD: Final = {"jwks": "jwks_uri", "jwks_uri": "jwks"}  # one takes the place of the other


class ClientMembers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As in `AddClient`; those that are not named are left to what comes behind, and null is as if
    nobody had ever named it. `sign_in` has members of `SignInWanted`, named or not in the same way.
    `metadata`: client metadata, which stand behind everything that is named here."""

    metadata: dict[str, Any] | None = None
    name: str | UnsetType | None = UNSET
    authentication: AuthenticationMethod | UnsetType | None = UNSET
    jwks: dict[str, Any] | UnsetType | None = UNSET
    jwks_uri: str | UnsetType | None = UNSET
    grants: tuple[GrantWanted, ...] | UnsetType | None = UNSET
    sign_in: dict[str, Any] | UnsetType | None = UNSET
    exchanges: tuple[ExchangeWanted, ...] | UnsetType | None = UNSET


class NewClient(ClientMembers, frozen=True, kw_only=True):
    """`client_id`: that of the metadata where it is not given, or else made."""

    client_id: str | None = None


class UpdateClient(ClientMembers, frozen=True, kw_only=True):
    """`version`: the one that the caller has seen; another is a conflict. `adopt`: a client that
    registered itself is the operators' from now on, and no longer manages itself."""

    client_id: str
    version: int | None = None
    adopt: bool = False


MEMBERS: Final = tuple(
    name for name in ClientMembers.__struct_fields__ if name in AddClient.__struct_fields__
)


def list_named(asked: ClientMembers) -> dict[str, Any]:
    """The members that are named, without the metadata."""
    return {
        name: msgspec.to_builtins(value)
        for name in MEMBERS
        if (value := getattr(asked, name)) is not UNSET
    }


def list_held(client: Client) -> dict[str, Any]:
    """The members that a client has, as they would be asked for."""
    held = {name: msgspec.to_builtins(getattr(client, name)) for name in MEMBERS}
    held["grants"] = [
        {"resource": grant.resource, "scopes": grant.scopes} for grant in client.grants
    ]
    held["exchanges"] = msgspec.to_builtins(describe_exchanges(client))
    if client.sign_in is not None:
        known = SignInWanted.__struct_fields__
        held["sign_in"] = {name: held["sign_in"][name] for name in known}
    return held


def merge(*parts: Mapping[str, Any]) -> AddClient:
    """What is asked for in all: a member stands as the last part that names it has it; so do those
    of `sign_in`. Raises `OperationRefused`."""
    whole: dict[str, Any] = {}
    for part in parts:
        before, said = whole.get("sign_in"), part.get("sign_in")
        for name, value in part.items():
            whole[name] = value
            if value is not None and name in INSTEAD and INSTEAD[name] not in part:
                whole.pop(INSTEAD[name], None)
        if before is not None and said is not None:
            whole["sign_in"] = {**before, **said}
    if whole.get("sign_in") is not None:
        whole["sign_in"] = _drop_nulls(whole["sign_in"])
    try:
        return msgspec.convert(_drop_nulls(whole), AddClient)
    except msgspec.ValidationError as error:
        raise invalid(describe_invalid(str(error))) from None


def _drop_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
