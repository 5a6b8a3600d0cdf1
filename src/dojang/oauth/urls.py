"""Which addresses may be spoken to: https, or plain http to this very machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def parse_url(url: str) -> SplitResult:
    """An absolute http or https URL, split.

    Raises `ValueError` for any other, for user information or a fragment in it, and for http to
    anything but loopback. No part of the URL is in the message: it may carry a secret.
    """
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("a URL is printable ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the URL is malformed") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise ValueError("the URL is not an absolute http or https URL")
    if "@" in parts.netloc or "#" in url or "\\" in url:
        raise ValueError("the URL has user information, a fragment or a backslash")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("the URL must be https: it leaves this machine")
    return parts


def check_issuer(issuer: str) -> None:
    """Raises `ValueError` unless `issuer` is an issuer identifier (RFC 8414 §2): a URL as
    `parse_url` takes it, without a query."""
    if parse_url(issuer).query or "?" in issuer:
        raise ValueError("an issuer has no query")


def is_loopback(host: str) -> bool:
    """Whether `host` is localhost or a literal address of 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
