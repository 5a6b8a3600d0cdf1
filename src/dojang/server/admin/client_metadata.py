"""Client metadata (RFC 7591 §2) that an operator gives: read as those of a client that registers
itself, with the rights of an operator. At which resource a client has a scope is not in them, and
is named besides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from dojang.oauth.claims import SCOPES
from dojang.oauth.errors import OAuthError
from dojang.oauth.registration import OF_THE_SERVER, ClientMetadata, parse_client_metadata
from dojang.oauth.scopes import parse_scope
from dojang.oauth.token_exchange import GRANT_TYPE as TOKEN_EXCHANGE
from dojang.server.admin.client_plans import AddClient
from dojang.server.admin.errors import invalid
from dojang.server.model import Client, RefreshRule, SignIn
from dojang.server.understood_metadata import (
    SAID_ALIKE,
    build_sign_in,
    check_supported,
    find_sector,
)

if TYPE_CHECKING:
    from dojang.server.provider import Provider

FOR_PEOPLE: Final = "authorization_code"
GRANT_TYPES: Final = (FOR_PEOPLE, "refresh_token", "client_credentials", TOKEN_EXCHANGE)
# What gives a client each of the grant types that are not for people.
_RIGHTS: Final = {"client_credentials": "grants", TOKEN_EXCHANGE: "exchanges"}
_KEPT_BACK: Final = ("client_secret", *OF_THE_SERVER)
_ALIKE: Final = {
    "name": "client_name",
    "authentication": "token_endpoint_auth_method",
    "jwks": "jwks",
    "jwks_uri": "jwks_uri",
}
_ORIGINS: Final[Mapping[str, set[str]]] = {
    **{ours: {theirs} for ours, theirs in SAID_ALIKE.items()},
    "refresh": {"grant_types"},
    "id_token_encryption": {"id_token_encrypted_response_alg", "id_token_encrypted_response_enc"},
    "userinfo_encryption": {"userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc"},
}


class ReadMetadata(NamedTuple):
    """Metadata, and the names of those that count: all of a new client's, with their defaults; of a
    change, those that are named. `scopes`: those that they name, None where they name none."""

    metadata: ClientMetadata
    counts: Collection[str]
    scopes: tuple[str, ...] | None

    def find_grant_types(self) -> Collection[str] | None:
        """None where they say nothing of it."""
        return self.metadata.grant_types if "grant_types" in self.counts else None


def read_metadata(given: Mapping[str, Any], client_id: str | None, *, new: bool) -> ReadMetadata:
    """Raises `OperationRefused`."""
    if found := sorted(given.keys() & set(_KEPT_BACK)):
        raise invalid(f"metadata: leave out {', '.join(found)}: this server makes its own")
    if client_id is not None and given.get("client_id", client_id) != client_id:
        raise invalid(f"metadata: client_id is not {client_id!r}: give the one that you mean")
    try:
        metadata = parse_client_metadata({k: v for k, v in given.items() if v is not None})
        check_supported(metadata, GRANT_TYPES)
        scopes = None if metadata.scope is None else parse_scope(metadata.scope)
    except OAuthError as error:
        raise _refuse(error) from error
    names = set(ClientMetadata.__struct_fields__)
    return ReadMetadata(metadata, names if new else names & given.keys(), scopes)


async def list_said(
    provider: Provider, read: ReadMetadata, *, named: Mapping[str, Any], held: Client | None
) -> dict[str, Any]:
    """What the metadata say of a client, as members of `AddClient`. `named` is what the operator
    says besides. Raises `OperationRefused`."""
    metadata = read.metadata
    said: dict[str, Any] = {
        ours: getattr(metadata, theirs) for ours, theirs in _ALIKE.items() if theirs in read.counts
    }
    if held is not None and read.scopes is not None:
        said["grants"] = [
            {"resource": grant.resource, "scopes": left}
            for grant in held.grants
            if (left := [scope for scope in grant.scopes if scope in read.scopes])
        ]
    grant_types = read.find_grant_types()
    for grant_type, right in _RIGHTS.items():
        if grant_types is not None and grant_type not in grant_types:
            said[right] = None
    if grant_types is not None and FOR_PEOPLE not in grant_types:
        _check_not_for_people(metadata)
        return said | {"sign_in": None}
    try:
        sign_in = _list_sign_in(read, held.sign_in if held else None)
        known = {**sign_in, **(named.get("sign_in") or {})}
        sign_in |= await _find_sector(provider, read, known, held)
    except OAuthError as error:
        raise _refuse(error) from error
    return said | {"sign_in": sign_in} if sign_in else said


def _list_sign_in(read: ReadMetadata, before: SignIn | None) -> dict[str, Any]:
    said = build_sign_in(read.metadata)
    sign_in = {ours: value for ours, value in said.items() if _ORIGINS[ours] & set(read.counts)}
    if read.scopes is not None:
        sign_in["scopes"] = [scope for scope in read.scopes if scope in SCOPES]
        sign_in["resources"] = {
            resource: left
            for resource, scopes in (before.resources if before else {}).items()
            if (left := [scope for scope in scopes if scope in read.scopes])
        }
    refreshes = before is not None and before.refresh is not RefreshRule.NONE
    if refreshes and sign_in.get("refresh") is RefreshRule.ROTATING:
        del sign_in["refresh"]  # which of the two it is they do not say
    return sign_in


async def _find_sector(
    provider: Provider, read: ReadMetadata, sign_in: Mapping[str, Any], held: Client | None
) -> dict[str, Any]:
    """The sector, where the metadata have a say in it."""
    before = held.sign_in if held else None
    addressed = read.metadata.sector_identifier_uri is not None
    changes = "subject_type" in read.counts and (
        before is None or before.subject_type != read.metadata.subject_type
    )
    uris = sign_in.get("redirect_uris") or (before.redirect_uris if before else ())
    if not uris or "sector" in sign_in or not (addressed or changes):
        return {}
    metadata = replace(read.metadata, redirect_uris=tuple(uris))
    return {"sector": await find_sector(provider, metadata)}


def _check_not_for_people(metadata: ClientMetadata) -> None:
    default = ClientMetadata()
    for name in SAID_ALIKE.values():
        if getattr(metadata, name) != getattr(default, name):
            raise invalid(
                f"metadata: {name} is about how people sign in, which they do at a client with "
                "authorization_code among its grant_types; leave it out, or add that"
            )


def check_rights(read: ReadMetadata, wanted: AddClient) -> None:
    """Raises `OperationRefused` where the metadata name a scope or a grant type, and nobody has
    said at which resource."""
    for grant_type in read.find_grant_types() or ():
        right = _RIGHTS.get(grant_type)
        if right is not None and not getattr(wanted, right):
            raise invalid(
                f"metadata: for the grant type {grant_type} name resources and scopes in {right}"
            )
    known = {scope for grant in wanted.grants for scope in grant.scopes}
    known.update(*(rule.scopes for rule in wanted.exchanges))
    if wanted.sign_in is not None:
        known.update(SCOPES, *wanted.sign_in.resources.values())
    missing = [scope for scope in read.scopes or () if scope not in known]
    if missing:
        raise invalid(
            f"metadata: say at which resource the client has the scope {' '.join(missing)}, in "
            "sign_in.resources (for people) or grants (for itself)"
        )


def _refuse(error: OAuthError) -> Exception:
    return invalid(f"metadata: {error.description.rstrip('.')}")
