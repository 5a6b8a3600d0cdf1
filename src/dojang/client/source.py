"""Tokens for a machine (RFC 6749 §4.4): kept, renewed ahead of time, asked for once by all.

While the authorization server is down the current token serves until it expires.
"""

from __future__ import annotations

import logging
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
from dojang.trust.credentials import Credentials

__all__ = ["BoundSource", "TokenRefused", "TokenSource"]

_log = logging.getLogger("dojang.client")

_RANDOM: Final = SystemRandom()  # a forked child must not pause as its parent does
SHORTEST_PAUSE: Final = 0.5  # seconds
LONGEST_PAUSE: Final = 60.0
YOUNG: Final = 5.0


class TokenSource:
    """Client credentials at one issuer. Its token endpoint is found by its metadata, unless
    `token_endpoint` is given; `fetch_from` is another address of the same server.

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
    ) -> None:
        self.endpoint: Final = TokenEndpoint(
            issuer,
            credentials,
            address=token_endpoint,
            fetch_from=fetch_from,
            transport=transport,
            clock=clock,
            timeout=timeout,
        )
        self._bound: dict[tuple[str | None, str | None], BoundSource] = {}
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        issuer, client_id = self.endpoint.names
        return f"TokenSource({issuer!r}, {client_id!r})"

    def bind(self, *, resource: str | None = None, scope: str | None = None) -> BoundSource:
        """The tokens for one resource (RFC 8707) and scope; the same object every time."""
        with self._lock:
            found = self._bound.get((resource, scope))
            if found is None:
                found = BoundSource(self, resource, scope)
                self._bound[resource, scope] = found
            return found

    def token(self, *, resource: str | None = None, scope: str | None = None) -> str:
        """A good token. Raises `TokenRefused` and `Unavailable`."""
        return self.bind(resource=resource, scope=scope).token()

    async def token_async(self, *, resource: str | None = None, scope: str | None = None) -> str:
        """As `token`, without blocking the loop."""
        return await self.bind(resource=resource, scope=scope).token_async()

    def renew(self) -> None:
        self._lock = Lock()


def build_grant_form(resource: str | None, scope: str | None) -> dict[str, str]:
    """The form of client credentials."""
    named = {"resource": resource, "scope": scope}
    given = {name: value for name, value in named.items() if value is not None}
    return {"grant_type": "client_credentials", **given}


class BoundSource:
    """The tokens for one resource and scope, made by `TokenSource.bind`."""

    def __init__(self, source: TokenSource, resource: str | None, scope: str | None) -> None:
        self._endpoint = source.endpoint
        self._resource = resource
        self._scope = scope
        self._form = build_grant_form(resource, scope)
        self._clock = source.endpoint.clock
        self._token: str | None = None
        self._issued_at = self._renew_at = self._expires_at = self._ask_at = float("-inf")
        self._failures = 0
        self._failure: TokenRefused | Unavailable | None = None
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        return f"BoundSource({self._resource!r}, {self._scope!r})"

    def renew(self) -> None:
        self._lock = Lock()
        self._flight: Flight | None = None

    def token(self) -> str:
        """A good token. Waits only where there is none.

        Raises `TokenRefused` and `Unavailable`.
        """
        token, flight = self._find()
        if token is None:
            if flight is not None:
                flight.wait(self._endpoint.timeout)
            token = self._take()
        return token

    async def token_async(self) -> str:
        """As `token`, without blocking the loop."""
        token, flight = self._find()
        if token is None:
            if flight is not None:
                await flight.wait_async(self._endpoint.timeout)
            token = self._take()
        return token

    def discard(self, token: str) -> None:
        """A service refused `token`: the next is to be another. One that is seconds old stays: a
        service that refuses them all must not turn its requests into requests for tokens."""
        with self._lock:
            if self._token == token and self._clock.monotonic() >= self._issued_at + YOUNG:
                self._token = None

    def _find(self) -> tuple[str | None, Flight | None]:
        """The token that serves now, and the flight that is to bring the next."""
        now = self._clock.monotonic()
        with self._lock:
            if self._token is not None and now < self._renew_at:
                return self._token, None
            if self._flight is not None and self._flight.landed:
                self._flight = None
            if self._flight is None and now >= self._ask_at:
                self._flight = Flight(self._refresh, name="dojang-token")
            token = self._token if now < self._expires_at else None
            return token, self._flight

    def _take(self) -> str:
        with self._lock:
            if self._token is not None and self._clock.monotonic() < self._expires_at:
                return self._token
            failure = self._failure
        if isinstance(failure, TokenRefused):
            raise TokenRefused(failure.error)
        if failure is not None:
            raise Unavailable(failure.what, retry_after=failure.retry_after)
        raise Unavailable("the token endpoint")

    def _refresh(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            granted = drive(self._endpoint.ask(self._form), self._endpoint.transport)
        except (TokenRefused, Unavailable) as failure:
            self._fail(failure)
            return
        except Exception as failure:  # noqa: BLE001  a transport of the caller's may raise anything
            self._fail(Unavailable(type(failure).__name__))
            return
        with self._lock:
            self._token = granted.value
            self._issued_at = asked_at
            self._expires_at = asked_at + granted.lifetime
            # Ahead of time, and not all clients at once.
            self._renew_at = asked_at + granted.lifetime * _RANDOM.uniform(0.7, 0.85)
            self._failures, self._failure, self._ask_at = 0, None, asked_at

    def _fail(self, failure: TokenRefused | Unavailable) -> None:
        _log.warning("no new token for %s: %s", self._resource, failure)
        with self._lock:
            self._failures += 1
            self._failure = failure
            pause = min(SHORTEST_PAUSE * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE)
            pause *= _RANDOM.uniform(0.5, 1.0)
            if isinstance(failure, Busy):
                pause = max(pause, failure.retry_after * _RANDOM.uniform(1.0, 1.2))
            self._ask_at = self._clock.monotonic() + pause
