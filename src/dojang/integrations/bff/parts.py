"""What the endpoints share, and how they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from dojang.client import RelyingParty
from dojang.integrations.bff.cookies import Cookies, Header
from dojang.integrations.bff.freshening import Freshening
from dojang.integrations.bff.vault import Vault
from dojang.oauth.http import NO_STORE, Response, build_json

SAFE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One application. `claims` are those its pages may see; `id_token_in_address` says that the
    provider is shown the id_token at a logout, and so the browser too."""

    party: RelyingParty
    vault: Vault
    freshening: Freshening
    cookies: Cookies
    claims: tuple[str, ...]
    failed_path: str
    signed_out_url: str | None
    id_token_in_address: bool


def find_origin(url: str) -> str:
    """Scheme, host and port of a URL, as browsers say them."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}[parts.scheme]
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def answer(status: int, document: dict[str, Any], *headers: Header) -> Response:
    """JSON for a page of the application."""
    return build_json(status, document, *SAFE_HEADERS, *headers)


def refuse(status: int, error: str, *headers: Header) -> Response:
    """An error, as pages of the application read it."""
    return answer(status, {"error": error}, *headers)


def lead(location: str, *headers: Header) -> Response:
    """Send the browser on."""
    to = (b"location", location.encode("ascii"))
    return Response(303, (to, *NO_STORE, *SAFE_HEADERS, *headers), b"")
