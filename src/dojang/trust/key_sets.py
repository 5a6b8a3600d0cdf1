"""The keys an issuer publishes, as last proven good: a cache that takes bytes and exposes only
what it has checked, and as of when. Who fetches, and when, is `remote_keys`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from dojang.jose.errors import InvalidKey, Reason
from dojang.jose.keys import KeySet

LONGEST_AGE: Final = 600.0  # seconds a set counts as fresh, whatever its server says
SHORTEST_AGE: Final = 60.0
STALE_LIMIT: Final = 86_400.0  # seconds a set is used while its server gives no better one
MAX_BYTES: Final = 262_144

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.IGNORECASE)


class KeyState(NamedTuple):
    """A good set. `as_of` and `fresh_until` are on the monotonic clock."""

    keys: KeySet
    document: bytes
    etag: str | None
    as_of: float
    fresh_until: float


class TrustedKeys:
    """The last good set. A good one is never replaced by an empty, bad or huge one."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: KeyState | None = None

    def take(self, document: bytes, headers: Mapping[str, str], *, now: float) -> None:
        """Take in a JWK set as it was received at `now` (monotonic seconds).

        Entries that are unusable are skipped. The `KeySet` stays the same object while the
        document does. Raises `InvalidKey` for a set that must not be used; nothing has changed
        then.
        """
        if len(document) > MAX_BYTES:
            raise InvalidKey(Reason.TOO_LARGE, "the key set is too large")
        if self.state is not None and self.state.document == document:
            keys = self.state.keys
        else:
            keys = KeySet.parse(document)
            if not len(keys):
                raise InvalidKey(Reason.BAD_KEY, "the key set has no usable key")
        fresh_until = now + find_age(headers)
        self.state = KeyState(keys, document, headers.get("etag"), now, fresh_until)

    def confirm(self, headers: Mapping[str, str], *, now: float) -> None:
        """The server says that the set is unchanged (RFC 9110 §15.4.5)."""
        if self.state is not None:
            self.state = self.state._replace(as_of=now, fresh_until=now + find_age(headers))


def find_age(headers: Mapping[str, str]) -> float:
    """How long a set stays fresh, in seconds: what `Cache-Control` says, within bounds."""
    said = _MAX_AGE.search(headers.get("cache-control", ""))
    age = float(said.group(1)) if said else LONGEST_AGE
    return min(max(age, SHORTEST_AGE), LONGEST_AGE)
