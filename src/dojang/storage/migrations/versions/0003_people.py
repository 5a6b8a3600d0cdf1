"""People: accounts, sessions, consents, grants, codes, refresh tokens, and what waits for them; and
what a client may do for people.

The release before this one ignores all of it: to it, tokens of people are not alive.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# A table, its key, and the columns by which its records are asked for.
TABLES: list[tuple[str, str, list[str]]] = [
    ("accounts", "account_id", []),
    ("sign_in_names", "name", ["account_id"]),
    ("sessions", "session_id", ["account_id"]),
    ("consents", "consent_id", ["account_id", "client_id"]),
    ("grants", "grant_id", ["account_id", "client_id", "session_id"]),
    ("codes", "code_id", []),
    ("refresh_tokens", "token_id", ["grant_id"]),
    ("interactions", "interaction_id", []),
    ("pushed_requests", "request_id", []),
    ("attempts", "subject", []),
    ("logout_notices", "notice_id", []),
]


def upgrade() -> None:
    op.add_column("clients", sa.Column("sign_in", sa.Text))
    op.create_table(
        "id_token_keys",
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
        sa.Column("active_by", number),
        sa.PrimaryKeyConstraint("kid", name="pk_id_token_keys"),
    )
    for table, key, owners in TABLES:
        op.create_table(
            table,
            sa.Column(key, name, nullable=False),
            *(sa.Column(owner, name) for owner in owners),
            sa.Column("expires_at", number),
            sa.Column("body", sa.Text, nullable=False),
            sa.Column("version", number, nullable=False),
            sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
        )
        for column in [*owners, "expires_at"]:
            op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table, _, owners in reversed(TABLES):
        for column in [*owners, "expires_at"]:
            op.drop_index(f"ix_{table}_{column}", table)
        op.drop_table(table)
    op.drop_table("id_token_keys")
    op.drop_column("clients", "sign_in")
