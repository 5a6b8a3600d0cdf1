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
from dojang.resource.verified import VerifiedToken
from dojang.trust.credentials import Credentials
from dojang.trust.remote_keys import KeySource, RemoteKeys


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

    def verify(self, token: str, *, staleness: float | None = None) -> VerifiedToken:
        """Raises `Refusal` and `Unavailable`."""

    async def verify_async(self, token: str, *, staleness: float | None = None) -> VerifiedToken:
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
    """Both: the keys first, then the issuer about what the keys let pass."""

    introspection: Introspection
    local: Local = Local()

    def build(self, expect: Expect) -> HybridVerifier:
        return HybridVerifier(
            local=self.local.build(expect), introspection=self.introspection.build(expect)
        )


LOCAL = Local()
