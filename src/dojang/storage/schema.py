"""The tables. Migrations make them; a test holds the two together. Imported only to migrate."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

from dojang.storage.record_kinds import KINDS, RecordKind

NAMES = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
metadata = MetaData(naming_convention=NAMES)
postgresql_metadata = MetaData(naming_convention=NAMES)  # what PostgreSQL has besides

# Names sort by code point on every machine.
Name = Text().with_variant(Text(collation="C"), "postgresql")
Number = BigInteger().with_variant(Integer(), "sqlite")

head = Table(
    "head",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Number, nullable=False),
    Column("number", Number, nullable=False),
    Column("generation", Number, nullable=False),
    Column("audit_number", Number, nullable=False),
    Column("audit_digest", LargeBinary),
    Column("fact_digest", LargeBinary),
    Column("directory", Number, nullable=False, server_default="0"),
    Column("lineage", Text),
    Column("moved_to", Text),
    CheckConstraint("place = 1", name="one_row"),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", Name, primary_key=True),
    Column("name", Text, nullable=False),
    Column("authentication", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("jwks", Text),
    Column("grants", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("version", Number, nullable=False),
    Column("sign_in", Text),
    Column("exchanges", Text),
    Column("jwks_uri", Text),
)

resources = Table(
    "resources",
    metadata,
    Column("identifier", Name, primary_key=True),
    Column("scopes", Text, nullable=False),
    Column("token_format", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("access_token_lifetime", Number, nullable=False),
    Column("introspectors", Text, nullable=False),
    Column("version", Number, nullable=False),
    Column("followers_only", Boolean, nullable=False, server_default=false()),
)


def _list_key_columns() -> list[Column[Any]]:
    return [
        Column("kid", Name, primary_key=True),
        Column("key_use", Text, nullable=False),
        Column("algorithm", Text, nullable=False),
        Column("sealed", LargeBinary, nullable=False),
        Column("public_jwk", Text),
        Column("published_at", Number, nullable=False),
        Column("active_from", Number),
        Column("active_until", Number),
        Column("gone_at", Number),
        Column("revoked_at", Number),
        Column("version", Number, nullable=False),
        Column("active_by", Number),
    ]


keys = Table("keys", metadata, *_list_key_columns())

# Apart, because the releases before them take every row of `keys` for a key of a use they know.
feed_keys = Table("feed_keys", metadata, *_list_key_columns())
id_token_keys = Table("id_token_keys", metadata, *_list_key_columns())

facts = Table(
    "facts",
    metadata,
    Column("epoch", Number, primary_key=True, autoincrement=False),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("at", Number, nullable=False),
    Column("forget_after", Number, nullable=False),
    Column("digest", LargeBinary),
    Index(None, "forget_after"),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("at", Number, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

replay = Table(
    "replay",
    metadata,
    Column("entry", LargeBinary, primary_key=True),
    Column("until", Number, nullable=False),
    Index(None, "until"),
    sqlite_with_rowid=False,
)


def _make_record_table(kind: RecordKind) -> Table:
    return Table(
        kind.table,
        metadata,
        Column(kind.key, Name, primary_key=True),
        *(Column(owner, Name) for owner in kind.owners),
        Column("expires_at", Number),
        Column("body", Text, nullable=False),
        Column("version", Number, nullable=False),
        *(Index(None, owner) for owner in kind.owners),
        Index(None, "expires_at"),
    )


records = [_make_record_table(kind) for kind in KINDS.values()]

# What every node tells the others of its followers; a crash may take it.
followers = Table(
    "followers",
    postgresql_metadata,
    Column("follower_id", Name, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("epoch", Number, nullable=False),
    Column("number", Number, nullable=False),
    Column("kids", Text, nullable=False),
    Column("hold", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    prefixes=["UNLOGGED"],
)

# The release before this one, and people with psql, change what directories hold without counting
# it. Connections of this release say that they count for themselves.
COUNT_DIRECTORY = """
CREATE FUNCTION dojang_count_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('dojang.counts', true) IS DISTINCT FROM 'on' THEN
        PERFORM set_config('dojang.counts', 'on', true);
        UPDATE head SET directory = directory + 1;
    END IF;
    RETURN NULL;
END
$$
"""
TRIGGERS = [
    COUNT_DIRECTORY,
    *(
        f"CREATE CONSTRAINT TRIGGER count_directory AFTER INSERT OR UPDATE OR DELETE ON {table} "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "WHEN (current_setting('dojang.counts', true) IS DISTINCT FROM 'on') "
        "EXECUTE FUNCTION dojang_count_directory()"
        for table in ("clients", "resources", "keys")
    ),
]
