"""Tokens to call others with, for whoever one was called by (RFC 8693): kept as long as they are
good, asked for once by all who were called with the same token."""

from __future__ import annotations

import logging
from hashlib import sha256
from random import SystemRandom
from threading import Lock
from typing import Final

from dojang.client.token_endpoint import TIMEOUT, TokenEndpoint
from dojang.client.token_request import Busy, TokenRefused
from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import Transport, drive
from dojang.fetch.flight import Flight
from dojang.fetch.forking import renew_in_children
from dojang.oauth.errors import Unavailable
from dojang.oauth.token_exchange import ACCESS_TOKEN, GRANT_TYPE
from dojang.trust.credentials import Credentials

_log = logging.getLogger("dojang.client")
_RANDOM: Final = SystemRandom()
MOST_KEPT: Final = 8192
WIDTH: Final = 32
MARGIN: Final = 5.0  # seconds before its end that a token is given to nobody any more
PAUSE: Final = 1.0  # seconds that a refusal stands, and that an issuer that is down is left alone
YOUNG: Final = 5.0


def build_exchange_form(token: str, audience: str, scope: str | None) -> dict[str, str]:
    """The form of a token exchange."""
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "audience": audience,
    }
    return form if scope is None else {**form, "scope": scope}


class Exchange:
    """Exchanges what this service was called with, as the client of `credentials`. The token
    endpoint is found by the issuer's metadata, unless `token_endpoint` is given; `fetch_from` is
    another address of the same server. At most `most_kept` tokens are kept (0 keeps none), and
    `width` asked for at the same time.

    Safe for threads and tasks together. Raises `ValueError` for addresses that are not https.
    """

    def __init__(
        self,
        *,
        issuer: str,
        credentials: Credentials,
        token_endpoint: str | None = None,
        fetch_from: str | None = None,
        transport: Transport | None = None,
        clock: Clock = SYSTEM_CLOCK,
        timeout: float = TIMEOUT,
        most_kept: int = MOST_KEPT,
        width: int = WIDTH,
    ) -> None:
        self._endpoint = TokenEndpoint(
            issuer,
            credentials,
            address=token_endpoint,
            fetch_from=fetch_from,
            transport=transport,
            clock=clock,
            timeout=timeout,
        )
        self._clock = clock
        self._most = most_kept
        self._width = width
        self._kept: dict[bytes, _Exchanged] = {}
        self._wait_until = float("-inf")
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        issuer, client_id = self._endpoint.names
        return f"Exchange({issuer!r}, {client_id!r})"

    def renew(self) -> None:
        self._lock = Lock()
        self._under_way: dict[bytes, _Exchanged] = {}

    def exchange(self, token: str, *, audience: str, scope: str | None = None) -> str:
        """A token for `audience` that acts for the subject of `token`, an access token that this
        service was called with and has verified; without `scope`, for all that it may.

        Raises `TokenRefused` and `Unavailable`.
        """
        found = self._find(token, audience, scope)
        flight = found.flight
        if flight is not None:
            flight.wait(self._endpoint.timeout)
        return found.take(self._clock.monotonic())

    async def exchange_async(self, token: str, *, audience: str, scope: str | None = None) -> str:
        """As `exchange`, without blocking the loop."""
        found = self._find(token, audience, scope)
        flight = found.flight
        if flight is not None:
            await flight.wait_async(self._endpoint.timeout)
        return found.take(self._clock.monotonic())

    def discard(self, exchanged: str) -> None:
        """A service refused `exchanged`: the next is to be another. One that is seconds old stays,
        so that a service that refuses them all gets no storm of requests for tokens going."""
        now = self._clock.monotonic()
        with self._lock:
            for key, kept in self._kept.items():
                if kept.value == exchanged:
                    if now >= kept.since + YOUNG:
                        del self._kept[key]
                    return

    def _find(self, token: str, audience: str, scope: str | None) -> _Exchanged:
        """What is kept and good, or under way, or sets out now."""
        form = build_exchange_form(token, audience, scope)
        key = _digest(token, audience, scope)
        now = self._clock.monotonic()
        with self._lock:
            found = self._kept.get(key)
            if found is not None and now < found.until:
                return found
            found = self._under_way.get(key)
            if found is None:
                if now < self._wait_until:
                    raise Unavailable(
                        "the token endpoint", retry_after=int(self._wait_until - now) + 1
                    )
                if len(self._under_way) >= self._width:
                    raise Unavailable("the token endpoint (too many wait for it)")
                found = self._under_way[key] = _Exchanged()
                found.flight = Flight(lambda: self._ask(key, form), name="dojang-exchange")
        return found

    def _ask(self, key: bytes, form: dict[str, str]) -> None:
        asked_at = self._clock.monotonic()
        with self._lock:
            found = self._under_way[key]
        try:
            granted = drive(self._endpoint.ask(form), self._endpoint.transport)
            end = asked_at + granted.lifetime
            found.value, found.since, found.end = granted.value, asked_at, end
            found.until = end - min(MARGIN, granted.lifetime / 2)
        except (TokenRefused, Unavailable) as failure:
            found.failure = failure
        except Exception as failure:  # noqa: BLE001  a transport of the caller's may raise anything
            found.failure = Unavailable(type(failure).__name__)
        if found.failure is not None:
            _log.warning("no token in exchange for %s: %s", form["audience"], found.failure)
        self._land(key, found)

    def _land(self, key: bytes, found: _Exchanged) -> None:
        now, failure = self._clock.monotonic(), found.failure
        with self._lock:
            if isinstance(failure, TokenRefused):
                found.until = now + PAUSE
            elif isinstance(failure, Busy):
                self._wait_until = now + failure.retry_after * _RANDOM.uniform(1.0, 1.2)
            elif failure is not None:
                self._wait_until = now + PAUSE * _RANDOM.uniform(0.5, 1.0)
            self._under_way.pop(key, None)
            self._keep(key, found)
            found.flight = None

    def _keep(self, key: bytes, found: _Exchanged) -> None:
        """It comes last of all that are kept; those before it go where there is no room."""
        self._kept.pop(key, None)
        if self._most > 0 and found.until > self._clock.monotonic():
            while len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = found


class _Exchanged:
    """A token, or why there is none; both are missing while it is under way. Times are monotonic
    seconds: `since` when it is there, `until` when it is given out, and its `end`."""

    __slots__ = ("end", "failure", "flight", "since", "until", "value")

    def __init__(self) -> None:
        self.value: str | None = None
        self.failure: TokenRefused | Unavailable | None = None
        self.since = self.until = self.end = float("-inf")
        self.flight: Flight | None = None

    def take(self, now: float) -> str:
        """The token. Raises `TokenRefused` and `Unavailable`."""
        if self.value is not None and now < self.end:
            return self.value
        if isinstance(self.failure, TokenRefused):
            raise TokenRefused(self.failure.error)
        if self.failure is not None:
            raise Unavailable(self.failure.what, retry_after=self.failure.retry_after)
        raise Unavailable("the token endpoint")


def _digest(token: str, audience: str, scope: str | None) -> bytes:
    """What a token is kept under: not the one that it came of."""
    asked = (token, audience, *(() if scope is None else (scope,)))
    return sha256(b"".join(b"%d %b" % (len(each), each.encode()) for each in asked)).digest()
