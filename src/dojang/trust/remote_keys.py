"""Keeping an issuer's key set: when it is fetched, who waits for it, and what a failure means.

Three numbers rule it: `timeout` for one answer, `cooldown` between two attempts that tokens can
cause, and a longest age (`key_sets`). At most one attempt is under way.
"""

from __future__ import annotations

import logging
from random import SystemRandom
from threading import Lock
from typing import Final, Protocol

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import FetchRequest, Flow, HttpTransport, Transport, drive
from dojang.fetch.flight import Flight
from dojang.fetch.forking import renew_in_children
from dojang.jose.errors import InvalidKey
from dojang.jose.keys import KeySet
from dojang.oauth.errors import Unavailable
from dojang.oauth.urls import parse_url
from dojang.trust.background import BACKGROUND
from dojang.trust.discovery import Issuer
from dojang.trust.key_sets import MAX_BYTES, STALE_LIMIT, TrustedKeys

_log = logging.getLogger("dojang.trust")

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does
TIMEOUT: Final = 5.0
COOLDOWN: Final = 30.0


class KeySource(Protocol):
    """Where a verifier finds its keys. `keys` is read for every token: a good set or None.
    `failed` says whether the last attempt to fetch it did; `timeout` is in seconds."""

    keys: KeySet | None
    failed: bool
    timeout: float

    @property
    def issuer(self) -> str | None:
        """Whose keys; None where they were given by hand."""

    def look(self) -> Flight | None:
        """To be called about once a second; what to wait for before `keys` is relied on."""

    def seek(self) -> Flight | None:
        """A token names a key that is not in the set; what to wait for before it is refused."""

    def refresh(self) -> None:
        """The issuer says that its keys are others now: fetch them, without waiting for it."""


class FixedKeys:
    """Keys given by hand. They never change."""

    __slots__ = ("failed", "keys", "timeout")

    issuer = None

    def __init__(self, keys: KeySet) -> None:
        self.keys: KeySet | None = keys
        self.failed = False
        self.timeout = 0.0

    def look(self) -> Flight | None:
        return None

    def seek(self) -> Flight | None:
        return None

    def refresh(self) -> None:
        pass


class RemoteKeys:
    """The keys of `issuer`, fetched from the address its metadata names, or from `jwks_uri`.

    Nothing is fetched before the first `look` or `seek`. `timeout` and `cooldown` are in seconds.
    Raises `ValueError` for an address that may not be fetched from.
    """

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str | None = None,
        fetch_from: str | None = None,
        transport: Transport | None = None,
        clock: Clock = SYSTEM_CLOCK,
        timeout: float = TIMEOUT,
        cooldown: float = COOLDOWN,
    ) -> None:
        if jwks_uri is not None:
            parse_url(jwks_uri)
        self.keys: KeySet | None = None
        self.failed = False
        self.timeout = timeout
        self._issuer = Issuer(issuer, fetch_from=fetch_from)
        self._given_address = self._address = jwks_uri
        self._transport = transport or HttpTransport()
        self._clock = clock
        self._cooldown = cooldown
        self._trusted = TrustedKeys()
        self._failures = 0
        self._asked_at = float("-inf")
        self._due_at = float("-inf")
        self._outdated = False
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        return f"RemoteKeys({self._issuer.name!r})"

    @property
    def issuer(self) -> str | None:
        return self._issuer.name

    @property
    def as_of(self) -> float | None:
        """When the set was last known to be the issuer's (monotonic seconds)."""
        state = self._trusted.state
        return None if state is None else state.as_of

    def renew(self) -> None:
        self._lock = Lock()
        self._flight: Flight | None = None
        self._fetching = False

    def look(self) -> Flight | None:
        BACKGROUND.watch(self)
        now = self._clock.monotonic()
        with self._lock:
            self._drop_spent(now)
            state = self._trusted.state
            if self.keys is not None and state is not None:
                if now < state.fresh_until or self.failed:
                    return None  # in an outage nobody waits: the last good set serves
                return self._find_flight() or self._start(now)
            return self._find_flight() or (self._start(now) if now >= self._due_at else None)

    def seek(self) -> Flight | None:
        now = self._clock.monotonic()
        with self._lock:
            flight = self._find_flight()
            if flight is None and now >= self._asked_at + self._cooldown:
                flight = self._start(now)
            return flight

    def refresh(self) -> None:
        with self._lock:
            self._outdated = True
            if not self._fetching or self._find_flight() is None:
                self._start(self._clock.monotonic())

    def tick(self) -> float:
        now = self._clock.monotonic()
        with self._lock:
            self._drop_spent(now)
            if self._find_flight() is not None:
                return 1.0
            if now >= self._due_at:
                self._start(now)
                return 1.0
            return self._due_at - now

    def _find_flight(self) -> Flight | None:
        if self._flight is not None and self._flight.landed:
            self._flight = None
        return self._flight

    def _start(self, now: float) -> Flight:
        self._asked_at = now
        self._fetching = True
        self._flight = Flight(self._refresh, name="dojang-keys")
        return self._flight

    def _drop_spent(self, now: float) -> None:
        state = self._trusted.state
        if state is not None and now >= state.as_of + STALE_LIMIT:
            self.keys = None

    def _refresh(self) -> None:
        while self._fetching:
            outdated, self._outdated = self._outdated, False
            self._refresh_once(past_caches=outdated)

    def _refresh_once(self, *, past_caches: bool) -> None:
        flaw: Exception | None = None
        try:
            drive(self._fetch(past_caches=past_caches), self._transport)
        except (Unavailable, InvalidKey) as failure:
            flaw = failure
        except Exception as failure:  # noqa: BLE001  a transport of the caller's may raise anything
            flaw = Unavailable(type(failure).__name__)
        now = self._clock.monotonic()
        with self._lock:
            # Again where the keys are said to have changed meanwhile: this may be what was before.
            self._fetching = self._outdated and flaw is None
            if flaw is None:
                self._succeed(now)
            else:
                self._outdated = self._outdated or past_caches
                self._fail(now, flaw)

    def _fetch(self, *, past_caches: bool) -> Flow[None]:
        if self._address is None:
            self._address = yield from self._find_address()
        headers = [("Accept", "application/jwk-set+json, application/json")]
        if past_caches:
            headers.append(("Cache-Control", "no-cache"))
        state = self._trusted.state
        if state is not None and state.etag is not None:
            headers.append(("If-None-Match", state.etag))
        response = yield FetchRequest(
            "GET", self._address, tuple(headers), timeout=self.timeout, max_bytes=MAX_BYTES
        )
        now = self._clock.monotonic()
        if response.status == 304 and state is not None and state.etag is not None:
            self._trusted.confirm(response.headers, now=now)
        elif response.status == 200:
            self._trusted.take(response.body, response.headers, now=now)
        else:
            raise Unavailable(f"the key set of {self._issuer.name}")

    def _find_address(self) -> Flow[str]:
        metadata = yield from self._issuer.discover(timeout=self.timeout)
        if metadata.jwks_uri is None:
            raise Unavailable(f"{self._issuer.name} (its metadata names no key set)")
        return self._issuer.find_address(metadata.jwks_uri)

    def _succeed(self, now: float) -> None:
        state = self._trusted.state
        if state is None:
            return
        if self._failures:
            _log.info("the keys of %s are fresh again", self._issuer.name)
        self.keys, self.failed, self._failures = state.keys, False, 0
        # Ahead of time, and not all services at once.
        self._due_at = now + (state.fresh_until - now) * _RANDOM.uniform(0.75, 0.9)

    def _fail(self, now: float, flaw: Exception) -> None:
        if not self._failures:
            _log.warning("the keys of %s could not be refreshed: %s", self._issuer.name, flaw)
        self.failed = True
        self._failures += 1
        self._address = self._given_address
        pause = self._cooldown
        if self.keys is None or self._outdated:  # some tokens cannot be verified: try sooner
            pause = min(pause, 2.0 ** min(self._failures - 1, 8))
        self._due_at = now + pause * _RANDOM.uniform(0.75, 1.25)
