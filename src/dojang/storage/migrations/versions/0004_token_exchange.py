"""Token exchange: what a client may have for the tokens that it is called with.

The release before this one leaves the column as it is and exchanges nothing; to it, what was
exchanged is not alive, because the client holds no standing grant of that name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("clients", sa.Column("exchanges", sa.Text))


def downgrade() -> None:
    op.drop_column("clients", "exchanges")
