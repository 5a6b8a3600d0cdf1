"""One SQL text for both databases. Parameters stand in order, each once, so that `$1` of
PostgreSQL becomes `?` of SQLite by itself."""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

CLIENT_COLUMNS: Final = (
    "name, authentication, secrets, jwks, jwks_uri, grants, sign_in, exchanges, enabled, "
    "created_at, version, client_id"
)
RESOURCE_COLUMNS: Final = (
    "scopes, token_format, algorithm, access_token_lifetime, introspectors, followers_only, "
    "version, identifier"
)
KEY_COLUMNS: Final = (
    "key_use, algorithm, sealed, public_jwk, published_at, active_from, active_until, gone_at, "
    "revoked_at, active_by, version, kid"
)
FACT_COLUMNS: Final = "epoch, number, kind, identifier, at, forget_after, digest"
AUDIT_COLUMNS: Final = "number, at, actor, action, target, outcome, detail, digest"
HEAD_COLUMNS: Final = (
    "epoch, number, generation, audit_number, audit_digest, fact_digest, directory, lineage"
)
FOLLOWER_COLUMNS: Final = "client_id, name, epoch, number, kids, hold, seen_at, follower_id"

READ_REVISION: Final = "SELECT version_num FROM alembic_version"
READ_HEAD: Final = f"SELECT {HEAD_COLUMNS} FROM head"
LOCK_HEAD: Final = f"{READ_HEAD} FOR UPDATE"
FIND_DIGESTS: Final = (
    "SELECT (SELECT digest FROM facts WHERE number = $1 AND epoch <= $2), "
    "(SELECT digest FROM audit WHERE number = $3)"
)
WRITE_HEAD: Final = (
    "UPDATE head SET epoch = $1, number = $2, generation = $3, audit_number = $4, "
    "audit_digest = $5, fact_digest = $6, directory = $7, lineage = $8"
)

FIND_CLIENT: Final = f"SELECT {CLIENT_COLUMNS} FROM clients WHERE client_id = $1"
LIST_CLIENTS: Final = (
    f"SELECT {CLIENT_COLUMNS} FROM clients WHERE client_id > $1 ORDER BY client_id LIMIT $2"
)
LIST_RESOURCES: Final = f"SELECT {RESOURCE_COLUMNS} FROM resources ORDER BY identifier"
KEY_TABLES: Final = ("keys", "feed_keys", "id_token_keys")
LOAD_KEYS: Final = (
    " UNION ALL ".join(f"SELECT {KEY_COLUMNS} FROM {table}" for table in KEY_TABLES)
    + " ORDER BY kid"
)
LOAD_FACTS: Final = (
    f"SELECT {FACT_COLUMNS} FROM facts WHERE (epoch, number) > ($1, $2) "
    "ORDER BY epoch, number LIMIT $3"
)
LOAD_AUDIT: Final = f"SELECT {AUDIT_COLUMNS} FROM audit WHERE number > $1 ORDER BY number LIMIT $2"

INSERT_FACT: Final = f"INSERT INTO facts ({FACT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"
INSERT_AUDIT: Final = f"INSERT INTO audit ({AUDIT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"

# A spent entry that has expired is as good as none; it changes nothing while it lives.
CONSUME: Final = (
    "INSERT INTO replay (entry, until) VALUES ($1, $2) ON CONFLICT (entry) "
    "DO UPDATE SET until = excluded.until WHERE replay.until < $3"
)
DROP_ENTRIES: Final = (
    "DELETE FROM replay WHERE entry IN "
    "(SELECT entry FROM replay WHERE until < $1 ORDER BY until LIMIT $2)"
)
DROP_FACTS: Final = (
    "DELETE FROM facts WHERE (epoch, number) IN "
    "(SELECT epoch, number FROM facts WHERE forget_after < $1 LIMIT $2)"
)


def _build_insert(table: str, columns: str) -> str:
    names = columns.split(", ")
    values = ", ".join(f"${place}" for place in range(1, len(names) + 1))
    return f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT ({names[-1]}) DO NOTHING"


def _build_update(table: str, columns: str) -> str:
    *names, key = columns.split(", ")
    sets = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, 1))
    place = len(names) + 1
    return f"UPDATE {table} SET {sets} WHERE {key} = ${place} AND version = ${place + 1}"


class Statements(NamedTuple):
    """How a row of a table is added, replaced, looked for under its version, and dropped. `drop`
    looks into several tables where a key may lie in either."""

    insert: str
    update: str
    hold: str
    drop: tuple[str, ...]


def build_statements(table: str, columns: str, *, beside: tuple[str, ...] = ()) -> Statements:
    """Those of `table`, whose key is the last of `columns`; `beside` are all tables like it."""
    key = columns.rpartition(", ")[2]
    return Statements(
        insert=_build_insert(table, columns),
        update=_build_update(table, columns),
        hold=f"SELECT 1 FROM {table} WHERE {key} = $1 AND version = $2",
        drop=tuple(
            f"DELETE FROM {each} WHERE {key} = $1 AND version = $2" for each in beside or (table,)
        ),
    )


CLIENTS: Final = build_statements("clients", CLIENT_COLUMNS)
RESOURCES: Final = build_statements("resources", RESOURCE_COLUMNS)
KEYS: Final = {
    table: build_statements(table, KEY_COLUMNS, beside=KEY_TABLES) for table in KEY_TABLES
}


@cache
def for_sqlite(statement: str) -> str:
    """`statement` with SQLite's placeholders."""
    return re.sub(r"\$\d+", "?", statement)
