"""Local verification first, then whether the token was revoked: junk never reaches the issuer.

Without a pushed view of revocations, the issuer is asked.
"""

from __future__ import annotations

from dojang.resource.expect import Expect
from dojang.resource.introspection import IntrospectionVerifier
from dojang.resource.local import LocalVerifier
from dojang.resource.verified import VerifiedToken


class HybridVerifier:
    """Both checks of one token, in this order: `local`, then `introspection`, under one `Expect`.

    How stale the second may be is its `keep`; with 0 it is made every time. Raises `ValueError`
    where the two expect different things.
    """

    def __init__(self, *, local: LocalVerifier, introspection: IntrospectionVerifier) -> None:
        if local.expect != introspection.expect:
            raise ValueError("both verifiers must expect the same")
        self._local = local
        self._introspection = introspection
        self.freshness = introspection.freshness

    def __repr__(self) -> str:
        return f"HybridVerifier({self.expect!r})"

    @property
    def expect(self) -> Expect:
        """What is demanded."""
        return self._introspection.expect

    def ready(self) -> bool:
        """Whether there are keys to verify with."""
        return self._local.ready()

    def verify(self, token: str, *, staleness: float | None = None) -> VerifiedToken:
        """The token, verified here and, at most `staleness` seconds ago, by its issuer.

        Raises `Refusal` and `Unavailable`.
        """
        verified = self._local.verify(token)
        self._introspection.verify(token, staleness=staleness)
        return verified

    async def verify_async(self, token: str, *, staleness: float | None = None) -> VerifiedToken:
        """As `verify`, without blocking the loop."""
        verified = await self._local.verify_async(token)
        await self._introspection.verify_async(token, staleness=staleness)
        return verified
