"""Alembic's entry: it writes the SQL of a migration; `dojang.storage.migrate` runs it, in a
transaction of its own."""

from alembic import context

from dojang.storage.schema import metadata

dialect = context.config.attributes["dialect"]
context.configure(
    dialect_name=dialect, target_metadata=metadata, as_sql=True, transactional_ddl=False
)
context.run_migrations()
