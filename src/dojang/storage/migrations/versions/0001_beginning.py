"""The beginning: what the client credentials grant, revocation and the audit trail need."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "head",
        sa.Column("place", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("epoch", number, nullable=False),
        sa.Column("number", number, nullable=False),
        sa.Column("generation", number, nullable=False),
        sa.Column("audit_number", number, nullable=False),
        sa.Column("audit_digest", sa.LargeBinary),
        sa.PrimaryKeyConstraint("place", name="pk_head"),
        sa.CheckConstraint("place = 1", name=op.f("ck_head_one_row")),
    )
    op.execute(
        "INSERT INTO head (place, epoch, number, generation, audit_number) VALUES (1, 1, 0, 0, 0)"
    )
    op.create_table(
        "clients",
        sa.Column("client_id", name, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("authentication", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("jwks", sa.Text),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("version", number, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_clients"),
    )
    op.create_table(
        "resources",
        sa.Column("identifier", name, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("token_format", sa.Text, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("access_token_lifetime", number, nullable=False),
        sa.Column("introspectors", sa.Text, nullable=False),
        sa.Column("version", number, nullable=False),
        sa.PrimaryKeyConstraint("identifier", name="pk_resources"),
    )
    op.create_table(
        "keys",
        sa.Column("kid", name, nullable=False),
        sa.Column("key_use", sa.Text, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("public_jwk", sa.Text),
        sa.Column("published_at", number, nullable=False),
        sa.Column("active_from", number),
        sa.Column("active_until", number),
        sa.Column("gone_at", number),
        sa.Column("revoked_at", number),
        sa.Column("version", number, nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_keys"),
    )
    op.create_table(
        "facts",
        sa.Column("epoch", number, nullable=False),
        sa.Column("number", number, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("at", number, nullable=False),
        sa.Column("forget_after", number, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "number", name="pk_facts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_facts_forget_after", "facts", ["forget_after"])
    op.create_table(
        "audit",
        sa.Column("number", number, nullable=False, autoincrement=False),
        sa.Column("at", number, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_table(
        "replay",
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("until", number, nullable=False),
        sa.PrimaryKeyConstraint("entry", name="pk_replay"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_replay_until", "replay", ["until"])


def downgrade() -> None:
    for table in ("replay", "audit", "facts", "keys", "resources", "clients", "head"):
        op.drop_table(table)
