"""The record of facts is chained, what directories changed is counted apart, and a key can wait for
its verifiers. The release before this one ignores the new columns."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("head", sa.Column("fact_digest", sa.LargeBinary))
    op.add_column("head", sa.Column("directory", number, nullable=False, server_default="0"))
    op.add_column("facts", sa.Column("digest", sa.LargeBinary))
    op.add_column("keys", sa.Column("active_by", number))


def downgrade() -> None:
    op.drop_column("keys", "active_by")
    op.drop_column("facts", "digest")
    op.drop_column("head", "directory")
    op.drop_column("head", "fact_digest")
