"""The tables. Migrations make them; a test holds the two together. Imported only to migrate."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

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
)

keys = Table(
    "keys",
    metadata,
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
)

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
