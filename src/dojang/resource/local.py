"""Local verification: RFC 9068 §4 against the issuer's published keys, with no call on the way."""

from __future__ import annotations

from collections.abc import Generator

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch.flight import Flight
from dojang.jose.errors import UnknownKey
from dojang.oauth.errors import Unavailable
from dojang.resource.admission import Admission, Admitted
from dojang.resource.errors import Refusal, RefusalReason
from dojang.resource.expect import Expect
from dojang.resource.staleness import WhenStale
from dojang.resource.verified import VerifiedToken
from dojang.trust.remote_keys import KeySource, RemoteKeys

_LOOK_EVERY = 1.0  # seconds between two looks at the age of the keys


class LocalVerifier:
    """Verifies JWT access tokens with the issuer's keys. It cannot see a revocation: a token is
    good until it expires.

    `known_tokens` bounds the cache of proven signatures; 0 turns it off. Raises `ValueError` where
    `keys` are those of another issuer.
    """

    freshness: float | None = None  # seconds; None: blind to revocation

    def __init__(
        self,
        expect: Expect,
        *,
        keys: KeySource | None = None,
        clock: Clock = SYSTEM_CLOCK,
        known_tokens: int = 8192,
    ) -> None:
        self._source = keys or RemoteKeys(expect.issuer, clock=clock)
        if self._source.issuer not in (None, expect.issuer):
            raise ValueError("the keys are another issuer's")  # RFC 8725 §3.8
        self._now = clock.now
        self._size = known_tokens
        self._expect = expect
        self._admission: Admission | None = None
        self._looked_at = self._look_at = float("-inf")

    def __repr__(self) -> str:
        return f"LocalVerifier({self._expect!r})"

    @property
    def expect(self) -> Expect:
        """What is demanded. Replacing it drops every token that was seen before."""
        return self._expect

    @expect.setter
    def expect(self, expect: Expect) -> None:
        if self._source.issuer not in (None, expect.issuer):
            raise ValueError("the keys are another issuer's")
        self._expect = expect

    @property
    def keys(self) -> KeySource:
        """Where the keys come from."""
        return self._source

    @property
    def known_tokens(self) -> int:
        """How many tokens are known at most."""
        return self._size

    def ready(self) -> bool:
        """Whether there are keys to verify with; asking starts to fetch them."""
        self._source.look()
        return self._source.keys is not None

    def feed_status(self) -> None:
        """None: nothing is followed."""

    def need(self, bound: float) -> None:
        """Nothing: there is nothing to keep fresh."""

    def verify(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """The token, verified. Waits only where no keys are there yet, or a key is not known.

        Raises `Refusal`; `Unavailable` where the keys cannot be had; `ValueError` for a
        `staleness` or `when_stale`: nothing is known of revocation here.
        """
        admission = self._admission
        if (
            admission is not None
            and admission.keys is self._source.keys
            and admission.expect is self._expect
            and staleness is None
            and when_stale is None
        ):
            now = self._now()
            if self._looked_at <= now < self._look_at:
                admitted = admission.known.get(token)
                if admitted is not None:
                    verified, issuer, audience, typ, last, first, _, _ = admitted
                    if (
                        issuer == admission.issuer
                        and admission.audience in audience
                        and typ == admission.typ
                        and first <= now < last
                    ):
                        return verified
                try:
                    return admission.admit(token, now=now)[0]
                except UnknownKey:
                    pass
        _check_blind(staleness, when_stale)
        return self._wait(self._verify(token))[1][0]

    async def verify_async(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """As `verify`, without blocking the loop."""
        _check_blind(staleness, when_stale)
        return (await self.admit_async(token))[1][0]

    def knows(self, token: str) -> bool:
        """Whether the signature of a token was proven before."""
        admission = self._admission
        return admission is not None and token in admission.known

    def admit(self, token: str) -> tuple[Admission, Admitted]:
        """As `verify`, with all that is known of the token and under what: for further checks."""
        now = self._now()
        admission = self._find_admission(now)
        if admission is not None:
            try:
                return admission, admission.admit(token, now=now)
            except UnknownKey:
                pass
        return self._wait(self._verify(token))

    async def admit_async(self, token: str) -> tuple[Admission, Admitted]:
        """As `admit`, without blocking the loop."""
        now = self._now()
        admission = self._find_admission(now)
        if admission is not None:
            try:
                return admission, admission.admit(token, now=now)
            except UnknownKey:
                pass
        flow = self._verify(token)
        try:
            flight = next(flow)
            while True:
                await flight.wait_async(self._source.timeout)
                flight = next(flow)
        except StopIteration as done:
            result: tuple[Admission, Admitted] = done.value
            return result

    def _wait(self, flow: _Verification) -> tuple[Admission, Admitted]:
        try:
            flight = next(flow)
            while True:
                flight.wait(self._source.timeout)
                flight = next(flow)
        except StopIteration as done:
            result: tuple[Admission, Admitted] = done.value
            return result

    def _verify(self, token: str) -> _Verification:
        """Keys → signature and claims; where the key is not known, keys again and once more."""
        now = self._now()
        if self._source.keys is None or not self._looked_at <= now < self._look_at:
            flight = self._source.look()
            if flight is not None:
                yield flight
            now = self._now()
            self._looked_at, self._look_at = now, now + _LOOK_EVERY
        try:
            return self._admit(token, now)
        except UnknownKey:
            flight = self._source.seek()
        if flight is not None:
            yield flight
        try:
            return self._admit(token, self._now())
        except UnknownKey:
            pass
        # A key that a fresh set lacks does not exist; one that a stale set lacks might.
        if self._source.failed or (flight is not None and not flight.landed):
            raise Unavailable(f"the key set of {self._expect.issuer}")
        raise Refusal(RefusalReason.UNKNOWN_KEY)

    def _find_admission(self, now: float) -> Admission | None:
        """The one that is good now; None where keys are to be looked at first."""
        admission = self._admission
        if (
            admission is not None
            and admission.keys is self._source.keys
            and admission.expect is self._expect
            and self._looked_at <= now < self._look_at
        ):
            return admission
        return None

    def _admit(self, token: str, now: float) -> tuple[Admission, Admitted]:
        keys = self._source.keys
        if keys is None:
            raise Unavailable(f"the key set of {self._expect.issuer}")
        admission = self._admission
        if admission is None or admission.keys is not keys or admission.expect is not self._expect:
            admission = Admission(self._expect, keys, size=self._size)
            self._admission = admission
        return admission, admission.admit(token, now=now)


_Verification = Generator[Flight, None, tuple[Admission, Admitted]]


def _check_blind(staleness: float | None, when_stale: WhenStale | None) -> None:
    if staleness is not None or when_stale is not None:
        raise ValueError("a local check knows nothing of revocation: use a hybrid verifier")
