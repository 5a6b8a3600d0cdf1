"""The provider as a client knows it: its metadata, asked for again now and then, and its keys."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final

from dojang.clock import Clock
from dojang.fetch import Flow, Transport
from dojang.oauth.errors import Unavailable
from dojang.oauth.metadata import ServerMetadata
from dojang.trust.discovery import Issuer
from dojang.trust.remote_keys import KeySource, RemoteKeys

METADATA_AGE: Final = 3600.0  # seconds before it is asked for again
RETRY_AFTER: Final = 60.0  # seconds, where that failed and the old one serves on

_log = logging.getLogger("dojang.client")


class KnownProvider:
    """`issuer`, over a blocking `transport`; `timeout` is for each answer, in seconds. `keys` are
    asked for at the address of the metadata unless they are given."""

    def __init__(
        self,
        issuer: str,
        *,
        transport: Transport,
        clock: Clock,
        timeout: float,
        keys: KeySource | None = None,
        fetch_from: str | None = None,
        also_at: Collection[str] = (),
    ) -> None:
        self._issuer = Issuer(issuer, fetch_from=fetch_from, also_at=also_at)
        self._transport = transport
        self._clock = clock
        self._timeout = timeout
        self._metadata: ServerMetadata | None = None
        self._ask_at = float("-inf")
        self._given_keys = keys
        self._keys: tuple[str, KeySource] | None = None

    @property
    def issuer(self) -> str:
        return self._issuer.name

    def find_address(self, endpoint: str) -> str:
        """Where an endpoint of the metadata is asked. Raises `Unavailable` for a strange host."""
        return self._issuer.find_address(endpoint)

    def discover(self) -> Flow[ServerMetadata]:
        """The metadata. In an outage the last serves. Raises `Unavailable`."""
        now = self._clock.monotonic()
        if self._metadata is not None and now < self._ask_at:
            return self._metadata
        try:
            self._metadata = yield from self._issuer.discover(timeout=self._timeout, openid=True)
            self._ask_at = now + METADATA_AGE
        except Unavailable as failure:
            if self._metadata is None:
                raise
            _log.warning("the metadata of %s could not be refreshed: %s", self.issuer, failure)
            self._ask_at = now + RETRY_AFTER
        return self._metadata

    def find_keys(self, metadata: ServerMetadata) -> KeySource:
        """Where its keys are looked up; asking starts to fetch them. Raises `Unavailable`."""
        if self._given_keys is not None:
            return self._given_keys
        if metadata.jwks_uri is None:
            raise Unavailable(f"{self.issuer} (its metadata names no key set)")
        address = self._issuer.find_address(metadata.jwks_uri)
        if self._keys is None or self._keys[0] != address:
            keys = RemoteKeys(
                self.issuer,
                jwks_uri=address,
                transport=self._transport,
                clock=self._clock,
                timeout=self._timeout,
            )
            self._keys = (address, keys)
            keys.look()
        return self._keys[1]
