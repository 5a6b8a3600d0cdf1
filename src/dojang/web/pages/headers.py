"""The headers of every page: nothing runs, nothing is loaded from elsewhere, nothing is framed,
nothing is kept (C42, C43, C113)."""

from __future__ import annotations

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


@cache
def build_safe_headers(*, secure: bool) -> Headers:
    """What every answer has, redirects included. `secure`: the issuer is https."""
    return (*_FIXED, _HSTS) if secure else _FIXED


def build_content_policy(
    target: str | None = None, *, script: str | None = None, frames: Sequence[str] = ()
) -> bytes:
    """The Content-Security-Policy of a page (CSP 3). `target` is where its form may lead besides
    this server; `script` is the hash of the one that may run; `frames` are the addresses that the
    page opens.

    Chromium holds every redirect that follows a form against `form-action`, those of the client
    after ours included. Where the client leads on to is its own affair, so what is told is less
    than its origin.
    """
    allowed = " ".join(("'self'", *(find_sources(target) if target else ())))
    return (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        + (f"script-src '{script}'; " if script else "")
        + (f"frame-src {' '.join(map(_find_origin, frames))}; " if frames else "")
        + f"form-action {allowed}; frame-ancestors 'none'; base-uri 'none'"
    ).encode("ascii")


def _find_origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def find_sources(uri: str) -> tuple[str, ...]:
    """The source expressions (CSP 3 §2.3.1) of a redirect URI and of what may lie behind it: the
    web; this machine, for an application that listens on it; or a scheme of the application's own.
    """
    parts = urlsplit(uri)
    if parts.scheme == "https":
        return ("https:",)
    if parts.scheme != "http":
        return (f"{parts.scheme}:",)
    if ":" in (parts.hostname or ""):  # an IPv6 address cannot be written there
        return ("http:", "https:")
    names = dict.fromkeys((parts.hostname, "127.0.0.1", "localhost"))
    return (*(f"http://{name}:*" for name in names), "https:")
