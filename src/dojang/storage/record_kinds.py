"""How records of people lie in tables, the same for every kind: columns by which they are asked
for, when they expire, the record itself as JSON, its version, and its key.

A member that a later release adds has a default, so that what lies there can be read by both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from dojang.server.people import (
    Account,
    Attempts,
    Code,
    Consent,
    Grant,
    Interaction,
    LogoutNotice,
    PushedRequest,
    Record,
    RefreshToken,
    Registration,
    RegistrationToken,
    Session,
    SignInName,
)
from dojang.storage.records import Row
from dojang.storage.statements import Statements, build_statements

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class RecordKind(NamedTuple):
    """A kind of record: what it is called, its table, its key, and the members it is found by."""

    what: str
    table: str
    key: str
    owners: tuple[str, ...]
    parse: Callable[[str], Any]
    statements: Statements
    drop_all: str
    drop_expired: str
    find: str
    list_all: str
    list_by: Mapping[str, str]

    @property
    def columns(self) -> str:
        """In the order of `build_row`."""
        return _name_columns(self.owners, self.key)

    def identify(self, record: Record) -> str:
        """The key of `record`."""
        identifier: str = getattr(record, self.key)
        return identifier

    def build_row(self, record: Record) -> Row:
        """`record` as it lies in its table."""
        return (
            *(getattr(record, owner) for owner in self.owners),
            getattr(record, "expires_at", None),
            _encode(record).decode(),
            record.version,
            self.identify(record),
        )


def _name_columns(owners: tuple[str, ...], key: str) -> str:
    return ", ".join((*owners, "expires_at", "body", "version", key))


def _describe(
    kind: type[Record], what: str, table: str, key: str, owners: tuple[str, ...] = ()
) -> RecordKind:
    columns = _name_columns(owners, key)
    page = f"{key} > $1 ORDER BY {key} LIMIT $2"
    return RecordKind(
        what=what,
        table=table,
        key=key,
        owners=owners,
        parse=msgspec.json.Decoder(kind).decode,
        statements=build_statements(table, columns),
        drop_all=f"DELETE FROM {table}",
        drop_expired=(
            f"DELETE FROM {table} WHERE {key} IN "
            f"(SELECT {key} FROM {table} WHERE expires_at < $1 LIMIT $2)"
        ),
        find=f"SELECT body FROM {table} WHERE {key} = $1",
        list_all=f"SELECT body FROM {table} WHERE {page}",
        list_by={
            owner: (
                f"SELECT body FROM {table} WHERE {owner} = $1 AND {key} > $2 "
                f"ORDER BY {key} LIMIT $3"
            )
            for owner in owners
        },
    )


KINDS: Final[Mapping[type[msgspec.Struct], RecordKind]] = {
    Account: _describe(Account, "account", "accounts", "account_id"),
    SignInName: _describe(SignInName, "name", "sign_in_names", "name", ("account_id",)),
    Session: _describe(Session, "session", "sessions", "session_id", ("account_id",)),
    Consent: _describe(Consent, "consent", "consents", "consent_id", ("account_id", "client_id")),
    Grant: _describe(
        Grant, "grant", "grants", "grant_id", ("account_id", "client_id", "session_id")
    ),
    Code: _describe(Code, "code", "codes", "code_id"),
    RefreshToken: _describe(
        RefreshToken, "refresh token", "refresh_tokens", "token_id", ("grant_id",)
    ),
    Interaction: _describe(Interaction, "interaction", "interactions", "interaction_id"),
    PushedRequest: _describe(PushedRequest, "pushed request", "pushed_requests", "request_id"),
    Attempts: _describe(Attempts, "attempts", "attempts", "subject"),
    LogoutNotice: _describe(LogoutNotice, "logout notice", "logout_notices", "notice_id"),
    Registration: _describe(Registration, "registration", "registrations", "client_id"),
    RegistrationToken: _describe(
        RegistrationToken, "registration token", "registration_tokens", "token_id"
    ),
}
