"""One follower for all of a process that follow the same issuer, at the same place, as the same
client: one conversation, one lease and one view, however many verifiers there are.

Nobody is held here. A follower lives as long as its verifiers do, and what it is told apart by as
long as it does, so that whatever is compared by identity is still there.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Final
from weakref import ref

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import Transport
from dojang.fetch.forking import renew_in_children
from dojang.trust.credentials import (
    ClientSecretBasic,
    ClientSecretPost,
    Credentials,
    PrivateKeyJwt,
)
from dojang.trust.feed_door import BearerSource
from dojang.trust.follower import Follower

_VALUES: Final = (ClientSecretBasic, ClientSecretPost, PrivateKeyJwt)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Contact:
    """Whom to follow, at which place and as whom; the members are those of `Follower`.

    It shows nothing: credentials of the caller's own may have a secret in their repr.
    """

    issuer: str
    credentials: Credentials | None = None
    source: BearerSource | None = None
    relay: str | None = None
    fetch_from: str | None = None
    transport: Transport | None = None

    @property
    def place(self) -> tuple[str, str | None, str | None]:
        return self.issuer, self.fetch_from, self.relay

    def is_same(self, other: Contact) -> bool:
        """Whether both are one conversation."""
        return (
            self.place == other.place
            and self.source is other.source
            and self.transport is other.transport
            and _are_same(self.credentials, other.credentials)
        )


class _Contacted(Follower):
    """Knows its contact, and whether it was closed."""

    def __init__(self, contact: Contact, clock: Clock) -> None:
        super().__init__(
            contact.issuer,
            credentials=contact.credentials,
            source=contact.source,
            relay=contact.relay,
            fetch_from=contact.fetch_from,
            transport=contact.transport,
            clock=clock,
            by_hand=clock is not SYSTEM_CLOCK,
        )
        self.contact: Final = contact
        self.closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


class SharedFollowers:
    """Those that somebody holds."""

    def __init__(self) -> None:
        self._known: set[ref[_Contacted]] = set()
        self.renew()
        renew_in_children(self)

    def __len__(self) -> int:
        return len(self._known)

    def renew(self) -> None:
        self._lock = Lock()

    def find(self, contact: Contact, *, clock: Clock = SYSTEM_CLOCK) -> Follower:
        """Who follows there already, or a new follower: always for a clock of the caller's, which
        has its follower driven by hand, and where the one that did was closed. Raises
        `ValueError`."""
        if clock is not SYSTEM_CLOCK:
            return _Contacted(contact, clock)
        with self._lock:
            for each in tuple(self._known):
                known = each()
                if known is not None and not known.closed and known.contact.is_same(contact):
                    return known
            follower = _Contacted(contact, clock)
            # The last reference may go on any thread, under this lock too: forgetting takes none.
            self._known.add(ref(follower, self._known.discard))
            return follower


def _are_same(one: Credentials | None, other: Credentials | None) -> bool:
    """Ours are values. Of others it is not known what their equality leaves out, nor whether they
    stay as they are: each is one of its own."""
    if type(one) is type(other) and type(one) in _VALUES:
        return one == other
    return one is other


SHARED_FOLLOWERS: Final = SharedFollowers()
