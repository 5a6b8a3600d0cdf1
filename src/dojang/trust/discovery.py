"""Finding an issuer's endpoints (RFC 8414 §3), and which of them may be spoken to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from dojang.fetch import FetchRequest, Flow
from dojang.oauth.errors import Unavailable
from dojang.oauth.metadata import (
    MAX_BYTES,
    InvalidMetadata,
    ServerMetadata,
    find_metadata_paths,
    parse_metadata,
)
from dojang.oauth.urls import check_issuer, parse_url

_JSON: Final = (("Accept", "application/json"),)


class Issuer:
    """An issuer and where it is reached. `name` is what is checked, always; requests go to its own
    address unless `fetch_from`, the address of another door to the same server, is given.
    `also_at` are other hosts that its endpoints may be on, each as scheme, host and port."""

    __slots__ = ("_door", "_elsewhere", "_origin", "name")

    def __init__(
        self, name: str, *, fetch_from: str | None = None, also_at: Collection[str] = ()
    ) -> None:
        """Raises `ValueError` for what is no issuer, or no address that may be fetched from."""
        check_issuer(name)
        self.name = name
        self._origin = _find_origin(name)
        self._door = self._origin
        self._elsewhere = frozenset(map(_find_bare_origin, also_at))
        if fetch_from is not None:
            self._door = _find_bare_origin(fetch_from)

    def find_address(self, endpoint: str) -> str:
        """Where an endpoint named by the metadata is fetched.

        Raises `Unavailable` where it is on another host than the issuer: metadata that a
        stranger changed must not lead keys or credentials elsewhere.
        """
        origin = _find_origin(endpoint)
        if origin in self._elsewhere:
            return endpoint
        if origin != self._origin:
            raise Unavailable(f"{self.name} (its metadata names another host)")
        return self._door + endpoint[len(_split_origin(endpoint)) :]

    def discover(self, *, timeout: float, openid: bool = False) -> Flow[ServerMetadata]:
        """Ask the well-known places in turn, that of OpenID Connect Discovery (§4) first where
        `openid` says so; `timeout` is for each, in seconds.

        Raises `Unavailable`: no answer, no metadata there, or metadata of another issuer.
        """
        for path in find_metadata_paths(self.name, openid=openid):
            response = yield FetchRequest(
                "GET", self._door + path, _JSON, timeout=timeout, max_bytes=MAX_BYTES
            )
            if response.status == 200:
                try:
                    return parse_metadata(response.body, issuer=self.name)
                except InvalidMetadata as flaw:
                    raise Unavailable(f"{self.name} ({flaw})") from None
            if response.status != 404:
                break
        raise Unavailable(f"{self.name} (no metadata)")


def _split_origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0]
    return f"{scheme}://{authority}"


def _find_bare_origin(url: str) -> str:
    if urlsplit(url).path not in ("", "/") or parse_url(url).query:
        raise ValueError("fetch_from and also_at are scheme, host and port alone")
    return _find_origin(url)


def _find_origin(url: str) -> str:
    parts = parse_url(url)
    port = parts.port
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")
