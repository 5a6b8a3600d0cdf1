"""The audit trail, as operators read it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from dojang.server.admin.errors import invalid
from dojang.server.audit import GENESIS, find_break

if TYPE_CHECKING:
    from dojang.server.provider import Provider

MOST_LISTED: Final = 1000
LAST_RECORD: Final = 2**63  # no store counts further


class ListAudit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page: the records after number `after`, `limit` at most."""

    after: int = 0
    limit: int = 100


class VerifyAudit(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


async def list_audit(provider: Provider, actor: str, asked: ListAudit) -> dict[str, Any]:
    """A page of the audit trail, oldest first."""
    if not 1 <= asked.limit <= MOST_LISTED or not 0 <= asked.after < LAST_RECORD:
        raise invalid(f"limit: must be 1 to {MOST_LISTED}; after: the number of a record, or 0")
    records = await provider.store.load_audit(after=asked.after, limit=asked.limit)
    return {
        "records": [
            {
                "number": record.number,
                **msgspec.to_builtins(record.event),
                "digest": record.digest.hex(),
            }
            for record in records
        ]
    }


async def verify_audit(provider: Provider, actor: str, asked: VerifyAudit) -> dict[str, Any]:
    """Recompute the chain from its beginning. `broken_at`: the first record that does not follow
    from the one before, None where all do."""
    previous, after = GENESIS, 0
    while records := await provider.store.load_audit(after=after, limit=MOST_LISTED):
        if records[0].number != after + 1:
            return {"intact": False, "broken_at": after + 1, "records": after}
        broken = await provider.offload(partial(find_break, records, previous))
        if broken is not None:
            return {"intact": False, "broken_at": broken, "records": after}
        previous, after = records[-1].digest, records[-1].number
    return {"intact": True, "broken_at": None, "records": after, "digest": previous.hex()}
