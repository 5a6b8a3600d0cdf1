"""The public face: one protocol for all ways of verifying, and one value that chooses the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import AsyncTransport, Transport
from dojang.resource.expect import Expect
from dojang.resource.hybrid import HybridVerifier
from dojang.resource.introspection import TIMEOUT, BearerSource, IntrospectionVerifier
from dojang.resource.local import LocalVerifier
from dojang.resource.staleness import DEFAULT_STALENESS, WhenStale
from dojang.resource.verified import VerifiedToken
from dojang.trust.credentials import Credentials
from dojang.trust.feed_status import FeedStatus
from dojang.trust.follower import Follower
from dojang.trust.relay_door import parse_relay
from dojang.trust.remote_keys import KeySource, RemoteKeys
from dojang.trust.shared_followers import SHARED_FOLLOWERS, Contact


class Verifier(Protocol):
    """Turns a token into a `VerifiedToken`.

    `freshness` is how old what it knows of revocations may be, in seconds; None: it knows nothing.
    """

    @property
    def freshness(self) -> float | None: ...

    @property
    def expect(self) -> Expect: ...

    def ready(self) -> bool:
        """Whether tokens can be verified; asking starts what is needed for it."""

    def need(self, bound: float) -> None:
        """A route relies on what is known of revocations for `bound` seconds."""

    def feed_status(self) -> FeedStatus | None:
        """How far a pushed view of revocations can be relied on now; None where there is none."""

    def verify(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """Raises `Refusal` and `Unavailable`."""

    async def verify_async(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """As `verify`, without blocking the loop."""


class Strategy(Protocol):
    """A way of verifying, chosen but not yet bound to what is expected."""

    def build(self, expect: Expect) -> Verifier: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """With the issuer's keys, which are found by its metadata or at `jwks_uri`, or are `keys`."""

    jwks_uri: str | None = None
    fetch_from: str | None = None
    keys: KeySource | None = None
    transport: Transport | None = None
    clock: Clock = SYSTEM_CLOCK

    def build(self, expect: Expect) -> LocalVerifier:
        keys = self.keys or RemoteKeys(
            expect.issuer,
            jwks_uri=self.jwks_uri,
            fetch_from=self.fetch_from,
            transport=self.transport,
            clock=self.clock,
        )
        return LocalVerifier(expect, keys=keys, clock=self.clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """By asking the issuer; the members are those of `IntrospectionVerifier`."""

    credentials: Credentials | None = None
    source: BearerSource | None = None
    endpoint: str | None = None
    fetch_from: str | None = None
    keep: float = 0
    timeout: float = TIMEOUT
    transport: Transport | None = None
    async_transport: AsyncTransport | None = None
    clock: Clock = SYSTEM_CLOCK

    def build(self, expect: Expect) -> IntrospectionVerifier:
        return IntrospectionVerifier(
            expect,
            credentials=self.credentials,
            source=self.source,
            endpoint=self.endpoint,
            fetch_from=self.fetch_from,
            keep=self.keep,
            timeout=self.timeout,
            transport=self.transport,
            async_transport=self.async_transport,
            clock=self.clock,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid:
    """Both: the keys first, then a view of revocations that the issuer pushes, at most `staleness`
    seconds old; where it is older, what `when_stale` says. An issuer that offers no such feed is
    asked about what the keys let pass.

    `follow` is whether to follow the feed; or `unix:` and the path of a socket, where one process
    of this host follows it for all (`dojang follow`); or a `Follower` of the caller's.

    Verifiers of a process that follow the same issuer, at the same place (`fetch_from`, socket) and
    as the same client (equal credentials of ours, the same `source`, the same `transport`) share
    one `Follower`, and so one conversation and one view, kept as fresh as the smallest bound of
    them needs. With a clock of the caller's each has its own, driven by hand (`Follower.poll`).
    """

    introspection: Introspection
    local: Local = Local()
    staleness: float = DEFAULT_STALENESS
    when_stale: WhenStale = WhenStale.ASK
    follow: bool | str | Follower = True

    def build(self, expect: Expect) -> HybridVerifier:
        return HybridVerifier(
            local=self.local.build(expect),
            introspection=self.introspection.build(expect),
            follower=self._find_follower(expect),
            staleness=self.staleness,
            when_stale=self.when_stale,
            clock=self.local.clock,
        )

    def _find_follower(self, expect: Expect) -> Follower | None:
        follow, asking = self.follow, self.introspection
        if isinstance(follow, Follower):
            return follow
        if follow is False:
            return None
        relay = parse_relay(follow) if isinstance(follow, str) else None
        contact = Contact(
            issuer=expect.issuer,
            credentials=None if relay else asking.credentials,
            source=None if relay else asking.source,
            relay=relay,
            fetch_from=asking.fetch_from,
            transport=None if relay else asking.transport,
        )
        return SHARED_FOLLOWERS.find(contact, clock=asking.clock)


LOCAL = Local()
