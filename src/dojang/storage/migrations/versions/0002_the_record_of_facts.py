"""The record of facts is chained, what directories changed is counted apart, and a key can wait for
its verifiers; keys that sign the feed, the lineage of the database, and followers.

The release before this one goes on working on the same PostgreSQL database: it ignores the new
columns, sees no key of a use it does not know, and a trigger counts what it changes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

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
COUNTED = ("clients", "resources", "keys")

# Facts of a kind that the release before does not know, in words that it knows.
END_EVERY_KEY = """
INSERT INTO facts (epoch, number, kind, identifier, at, forget_after)
SELECT head.epoch, head.number + row_number() OVER (ORDER BY keys.kid), 'key', keys.kid,
    latest.at, latest.forget_after
FROM keys, head, (
    SELECT max(at) AS at, max(forget_after) AS forget_after FROM facts WHERE kind = 'everything'
) AS latest
WHERE latest.at IS NOT NULL
"""
COUNT_ENDED_KEYS = """
UPDATE head SET number = number + (SELECT count(*) FROM keys), generation = generation + 1
WHERE EXISTS (SELECT 1 FROM facts WHERE kind = 'everything')
"""


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def upgrade() -> None:
    op.add_column("head", sa.Column("fact_digest", sa.LargeBinary))
    op.add_column("head", sa.Column("directory", number, nullable=False, server_default="0"))
    op.add_column("head", sa.Column("lineage", sa.Text))
    op.add_column("head", sa.Column("moved_to", sa.Text))
    op.add_column("facts", sa.Column("digest", sa.LargeBinary))
    op.add_column("keys", sa.Column("active_by", number))
    op.add_column(
        "resources",
        sa.Column("followers_only", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "feed_keys",
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
        sa.PrimaryKeyConstraint("kid", name="pk_feed_keys"),
    )
    if is_postgresql():
        op.create_table(
            "followers",
            sa.Column("follower_id", name, nullable=False),
            sa.Column("client_id", sa.Text, nullable=False),
            sa.Column("name", sa.Text, nullable=False),
            sa.Column("epoch", number, nullable=False),
            sa.Column("number", number, nullable=False),
            sa.Column("kids", sa.Text, nullable=False),
            sa.Column("hold", sa.Double, nullable=False),
            sa.Column("seen_at", sa.Double, nullable=False),
            sa.PrimaryKeyConstraint("follower_id", name="pk_followers"),
            prefixes=["UNLOGGED"],
        )
        op.execute(COUNT_DIRECTORY)
        for table in COUNTED:
            op.execute(
                f"CREATE CONSTRAINT TRIGGER count_directory AFTER INSERT OR UPDATE OR DELETE "
                f"ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
                "WHEN (current_setting('dojang.counts', true) IS DISTINCT FROM 'on') "
                "EXECUTE FUNCTION dojang_count_directory()"
            )


def downgrade() -> None:
    if is_postgresql():
        for table in COUNTED:
            op.execute(f"DROP TRIGGER count_directory ON {table}")
        op.execute("DROP FUNCTION dojang_count_directory()")
        op.drop_table("followers")
    op.execute(END_EVERY_KEY)
    op.execute(COUNT_ENDED_KEYS)
    op.execute("DELETE FROM facts WHERE kind = 'everything'")
    op.drop_table("feed_keys")
    op.drop_column("resources", "followers_only")
    op.drop_column("keys", "active_by")
    op.drop_column("facts", "digest")
    op.drop_column("head", "moved_to")
    op.drop_column("head", "lineage")
    op.drop_column("head", "directory")
    op.drop_column("head", "fact_digest")
    # The digests of what follows begin anew: under numbers that nobody has seen with others.
    op.execute("UPDATE head SET epoch = epoch + 1")
