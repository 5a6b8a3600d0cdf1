"""Which schema this version of Dojang needs. Read at every start, so it imports nothing heavy."""

from __future__ import annotations

from typing import Final

from dojang.storage.errors import SchemaOutdated, SchemaTooNew

# Oldest first; one file each under migrations/versions.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
NEEDED: Final = REVISIONS[-1]


def check_revision(found: str | None) -> None:
    """Raises `SchemaOutdated` or `SchemaTooNew` unless the database is at the needed revision."""
    if found == NEEDED:
        return
    if found is None or found in REVISIONS:
        raise SchemaOutdated(found=found, needed=NEEDED)
    raise SchemaTooNew(found=found, known=NEEDED)
