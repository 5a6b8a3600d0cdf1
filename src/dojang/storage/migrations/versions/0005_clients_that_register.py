"""Clients that register themselves: their registrations, the tokens that let them, and key sets
that are fetched.

The release before this one ignores all of it: to it, a client whose keys are to be fetched has
none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

TABLES = [("registrations", "client_id"), ("registration_tokens", "token_id")]


def upgrade() -> None:
    op.add_column("clients", sa.Column("jwks_uri", sa.Text))
    for table, key in TABLES:
        op.create_table(
            table,
            sa.Column(key, name, nullable=False),
            sa.Column("expires_at", number),
            sa.Column("body", sa.Text, nullable=False),
            sa.Column("version", number, nullable=False),
            sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
        )
        op.create_index(f"ix_{table}_expires_at", table, ["expires_at"])


def downgrade() -> None:
    for table, _ in reversed(TABLES):
        op.drop_index(f"ix_{table}_expires_at", table)
        op.drop_table(table)
    op.drop_column("clients", "jwks_uri")
