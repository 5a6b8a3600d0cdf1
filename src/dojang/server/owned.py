"""All records of one owner, however many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from msgspec import Struct

from dojang.server.people import Consent, Grant, R, Session
from dojang.server.ports import People

_KEYS: Final[dict[type[Struct], str]] = {
    Session: "session_id",
    Consent: "consent_id",
    Grant: "grant_id",
}


async def load_owned(
    people: People, kind: type[R], owner: str, identifier: str
) -> AsyncIterator[R]:
    """Those whose member `owner` is `identifier`, a page at a time. Raises `Unavailable`."""
    after = ""
    while page := await people.list_by(kind, owner, identifier, after=after):
        for record in page:
            yield record
        after = getattr(page[-1], _KEYS[kind])
