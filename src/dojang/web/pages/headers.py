"""The headers of every page: nothing runs, nothing is loaded from elsewhere, nothing is framed,
nothing is kept (C42, C43, C113)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from dojang.oauth.http import Headers

HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_FIXED: Final[Headers] = (
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+")


@cache
def build_safe_headers(*, secure: bool) -> Headers:
    """What every answer has, redirects included. `secure`: the issuer is https."""
    return (*_FIXED, _HSTS) if secure else _FIXED


def build_content_policy(targets: Sequence[str] = (), *, script: str | None = None) -> bytes:
    """The Content-Security-Policy of a page (CSP 3). `targets` are addresses that its forms may
    lead to, of which only the origin is told; `script` is the hash of the one that may run.

    Chromium holds a redirect that follows a form against `form-action` too: the client's address
    is named on every page whose form may end there.
    """
    allowed = " ".join(dict.fromkeys(("'self'", *map(find_source, targets))))
    return (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        + (f"script-src '{script}'; " if script else "")
        + f"form-action {allowed}; frame-ancestors 'none'; base-uri 'none'"
    ).encode("ascii")


def find_source(uri: str) -> str:
    """The source expression (CSP 3 §2.3.1) that covers a redirect URI: its origin, or its scheme
    where a host cannot be written there, as an IPv6 address cannot."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
        return f"{parts.scheme}:"
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
