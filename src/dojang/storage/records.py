"""Rows and the values they hold. Lists and JWKs are JSON text; everything else has a column.

A row that changes ends with the column that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from dojang.oauth.revocation_fact import Fact, FactKind, Rev
from dojang.server.followers import Follower
from dojang.server.model import (
    AuditEvent,
    AuditRecord,
    AuthenticationMethod,
    Client,
    ExchangeGrant,
    KeyRecord,
    KeyUse,
    Resource,
    SecretHash,
    SignIn,
    StandingGrant,
    TokenFormat,
)

Row: TypeAlias = Sequence[Any]

LONGEST_ENTRY: Final = 64  # bytes

_encode = msgspec.json.Encoder(order="deterministic").encode
_parse_secrets = msgspec.json.Decoder(tuple[SecretHash, ...]).decode
_parse_grants = msgspec.json.Decoder(tuple[StandingGrant, ...]).decode
_parse_sign_in = msgspec.json.Decoder(SignIn).decode
_parse_exchanges = msgspec.json.Decoder(tuple[ExchangeGrant, ...]).decode
_parse_strings = msgspec.json.Decoder(tuple[str, ...]).decode
_parse_object = msgspec.json.Decoder(dict[str, Any]).decode
_parse_detail = msgspec.json.Decoder(dict[str, str]).decode


def _dump(value: object) -> str:
    return _encode(value).decode()


def _dump_optional(value: object) -> str | None:
    return None if value is None else _dump(value)


def is_storable(text: str) -> bool:
    """Whether every database can hold `text`: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_row(row: Row) -> Row:
    """`row`, if every database can hold it. Raises ValueError."""
    for value in row:
        if isinstance(value, str) and not is_storable(value):
            raise ValueError("a text holds a character that cannot be stored")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("a number is too large to be stored")
    return row


def check_entry(key: bytes) -> None:
    """Raises ValueError where a replay entry is empty or longer than 64 bytes."""
    if not 0 < len(key) <= LONGEST_ENTRY:
        raise ValueError(f"a replay entry has 1 to {LONGEST_ENTRY} bytes")


def build_client_row(client: Client) -> Row:
    """In the order of `statements.CLIENT_COLUMNS`."""
    return (
        client.name,
        _write_method(client),
        _dump(client.secrets),
        _dump_optional(client.jwks),
        client.jwks_uri,
        _dump(client.grants),
        _dump_optional(client.sign_in),
        _dump_optional(client.exchanges or None),
        client.enabled,
        client.created_at,
        client.version,
        client.client_id,
    )


def _write_method(client: Client) -> str:
    """The release before this one knows no public client: to it, one has no secret yet."""
    public = client.authentication is AuthenticationMethod.NONE
    if public != (client.sign_in is not None and client.sign_in.public):
        raise ValueError("a public client, and no other, authenticates with none")
    return (AuthenticationMethod.BASIC if public else client.authentication).value


def parse_client(row: Row) -> Client:
    """The reverse of `build_client_row`."""
    sign_in = None if row[6] is None else _parse_sign_in(row[6])
    public = sign_in is not None and sign_in.public
    return Client(
        name=row[0],
        authentication=AuthenticationMethod.NONE if public else AuthenticationMethod(row[1]),
        secrets=_parse_secrets(row[2]),
        jwks=None if row[3] is None else _parse_object(row[3]),
        jwks_uri=row[4],
        grants=_parse_grants(row[5]),
        sign_in=sign_in,
        exchanges=() if row[7] is None else _parse_exchanges(row[7]),
        enabled=bool(row[8]),
        created_at=row[9],
        version=row[10],
        client_id=row[11],
    )


def build_resource_row(resource: Resource) -> Row:
    """In the order of `statements.RESOURCE_COLUMNS`."""
    return (
        _dump(resource.scopes),
        resource.token_format.value,
        resource.algorithm,
        resource.access_token_lifetime,
        _dump(resource.introspectors),
        resource.followers_only,
        resource.version,
        resource.identifier,
    )


def parse_resource(row: Row) -> Resource:
    """The reverse of `build_resource_row`."""
    return Resource(
        scopes=_parse_strings(row[0]),
        token_format=TokenFormat(row[1]),
        algorithm=row[2],
        access_token_lifetime=row[3],
        introspectors=_parse_strings(row[4]),
        followers_only=bool(row[5]),
        version=row[6],
        identifier=row[7],
    )


def build_key_row(key: KeyRecord) -> Row:
    """In the order of `statements.KEY_COLUMNS`."""
    return (
        key.use.value,
        key.algorithm,
        key.sealed,
        _dump_optional(key.public_jwk),
        key.published_at,
        key.active_from,
        key.active_until,
        key.gone_at,
        key.revoked_at,
        key.active_by,
        key.version,
        key.kid,
    )


def parse_key(row: Row) -> KeyRecord:
    """The reverse of `build_key_row`."""
    return KeyRecord(
        use=KeyUse(row[0]),
        algorithm=row[1],
        sealed=row[2],
        public_jwk=None if row[3] is None else _parse_object(row[3]),
        published_at=row[4],
        active_from=row[5],
        active_until=row[6],
        gone_at=row[7],
        revoked_at=row[8],
        active_by=row[9],
        version=row[10],
        kid=row[11],
    )


def build_fact_row(fact: Fact) -> Row:
    """In the order of `statements.FACT_COLUMNS`."""
    rev, kind, identifier, at, forget_after, digest = fact
    return (rev.epoch, rev.number, kind.value, identifier, at, forget_after, digest)


def parse_fact(row: Row) -> Fact:
    """The reverse of `build_fact_row`."""
    return Fact(Rev(row[0], row[1]), FactKind(row[2]), row[3], row[4], row[5], row[6] or b"")


def build_audit_row(record: AuditRecord) -> Row:
    """In the order of `statements.AUDIT_COLUMNS`."""
    event = record.event
    return (
        record.number,
        event.at,
        event.actor,
        event.action,
        event.target,
        event.outcome,
        _dump(event.detail),
        record.digest,
    )


def parse_audit(row: Row) -> AuditRecord:
    """The reverse of `build_audit_row`."""
    event = AuditEvent(
        at=row[1],
        actor=row[2],
        action=row[3],
        target=row[4],
        outcome=row[5],
        detail=_parse_detail(row[6]),
    )
    return AuditRecord(number=row[0], event=event, digest=row[7])


def build_follower_row(follower: Follower) -> Row:
    """In the order of `statements.FOLLOWER_COLUMNS`."""
    return (
        follower.client_id,
        follower.name,
        *follower.rev,
        _dump(follower.kids),
        follower.hold,
        follower.seen_at,
        follower.follower_id,
    )


def parse_follower(row: Row) -> Follower:
    """The reverse of `build_follower_row`."""
    return Follower(
        client_id=row[0],
        name=row[1],
        rev=Rev(row[2], row[3]),
        kids=_parse_strings(row[4]),
        hold=row[5],
        seen_at=row[6],
        follower_id=row[7],
    )
