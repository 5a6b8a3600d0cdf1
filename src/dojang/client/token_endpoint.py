"""The token endpoint of an issuer, as a client of it knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dojang.client.token_request import Granted, build_token_request, parse_token_response
from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import Flow, HttpTransport, Transport
from dojang.oauth.errors import Unavailable
from dojang.oauth.urls import parse_url
from dojang.trust.credentials import Credentials
from dojang.trust.discovery import Issuer

TIMEOUT: Final = 5.0  # seconds


class TokenEndpoint:
    """Where tokens come from. It is found by the issuer's metadata, unless `address` is given;
    `fetch_from` is another address of the same server. Raises `ValueError` for addresses that are
    not https."""

    def __init__(
        self,
        issuer: str,
        credentials: Credentials,
        *,
        address: str | None = None,
        fetch_from: str | None = None,
        transport: Transport | None = None,
        clock: Clock = SYSTEM_CLOCK,
        timeout: float = TIMEOUT,
    ) -> None:
        if address is not None:
            parse_url(address)
        self._issuer = Issuer(issuer, fetch_from=fetch_from)
        self._credentials = credentials
        self._address = address
        self.transport: Final = transport or HttpTransport()
        self.clock: Final = clock
        self.timeout: Final = timeout

    @property
    def names(self) -> tuple[str, str]:
        """The issuer, and the client there."""
        return self._issuer.name, self._credentials.client_id

    def ask(self, form: Mapping[str, str]) -> Flow[Granted]:
        """A token for a form, which the client proves to be its own. Raises as
        `parse_token_response`."""
        if self._address is None:
            metadata = yield from self._issuer.discover(timeout=self.timeout)
            if metadata.token_endpoint is None:
                raise Unavailable(f"{self._issuer.name} (its metadata names no token endpoint)")
            self._address = self._issuer.find_address(metadata.token_endpoint)
        response = yield build_token_request(
            self._address,
            self._credentials,
            form,
            issuer=self._issuer.name,
            now=self.clock.now(),
            timeout=self.timeout,
        )
        return parse_token_response(response)
