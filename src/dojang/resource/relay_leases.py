"""The processes of a host that follow its relay: each has joined, and is present while it asks."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request

if TYPE_CHECKING:
    from dojang.clock import Clock

LEASE_LIFE: Final = 3600  # seconds
LONGEST_SILENCE: Final = 30.0  # seconds, and a process is gone: longer than any question waits
MOST: Final = 4096


class RelayLease:
    """`kids` are the keys for access tokens that the process said it holds; None before it said
    anything."""

    __slots__ = ("joined_at", "kids", "lease", "name", "proof_key", "seen_at")

    def __init__(self, lease: str, name: str, proof_key: bytes, now: float) -> None:
        self.lease = lease
        self.name = name
        self.proof_key = proof_key
        self.kids: frozenset[str] | None = None
        self.joined_at = self.seen_at = now


class RelayLeases:
    """Times are of the boot clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[str, RelayLease] = {}

    def issue(self, name: str, proof_key: bytes) -> str:
        """A lease for a process of that name. Raises `OAuthError` where there are too many."""
        now = self._clock.monotonic()
        self._drop_absent(now)
        if len(self._leases) >= MOST:
            raise OAuthError(
                ErrorCode.TOO_MANY_FOLLOWERS,
                "The relay has as many followers as it may have.",
                reason="too_many_followers",
            )
        lease = f"dojang_fl_{token_urlsafe(24)}"
        self._leases[lease] = RelayLease(lease, name, proof_key, now)
        return lease

    def find(self, request: Request) -> RelayLease:
        """The lease that a request bears. Raises `OAuthError`."""
        header = request.header(b"authorization") or b""
        now = self._clock.monotonic()
        found = self._leases.get(header.removeprefix(b"Bearer ").decode("latin-1"))
        if found is None or now - found.joined_at > LEASE_LIFE:
            raise OAuthError(
                ErrorCode.INVALID_TOKEN, "The lease is not good: join again.", reason="no_lease"
            )
        return found

    def note(self, lease: RelayLease, kids: tuple[str, ...]) -> None:
        """The process asks, and holds these keys."""
        lease.seen_at = self._clock.monotonic()
        lease.kids = frozenset(kids)

    def find_shared_kids(self) -> frozenset[str] | None:
        """The keys that every process holds; None where there is no process."""
        self._drop_absent(self._clock.monotonic())
        held = [lease.kids for lease in self._leases.values() if lease.kids is not None]
        return frozenset.intersection(*held) if held else None

    def list_names(self) -> list[str]:
        """Who is present."""
        self._drop_absent(self._clock.monotonic())
        return sorted(lease.name for lease in self._leases.values())

    def _drop_absent(self, now: float) -> None:
        self._leases = {
            name: lease
            for name, lease in self._leases.items()
            if now - lease.seen_at <= LONGEST_SILENCE
        }
