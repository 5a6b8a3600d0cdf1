"""Where a browser may be sent with an answer: redirect URIs (RFC 9700 §2.1 and §4.1.3, RFC 8252
§7.3 and §8.4) and the responses that go there (RFC 6749 §4.1.2, RFC 9207 §2, OAuth 2.0 Form Post
Response Mode).

An error goes to a client only by way of a `RedirectTarget`, and only `check_redirect_uri` makes
one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

from dojang.oauth.urls import is_loopback

LONGEST_REDIRECT_URI: Final = 2048
_FORBIDDEN_SCHEMES: Final = frozenset(
    {"javascript", "data", "file", "vbscript", "about", "blob", "ftp", "mailto", "ws", "wss"}
)
_LOOPBACK: Final = ("127.0.0.1", "::1")


class ResponseMode(StrEnum):
    """How an answer travels: in the query, or in a form that the browser posts."""

    QUERY = "query"
    FORM_POST = "form_post"


class BadRedirectUri(Exception):
    """The redirect URI is not one of the client's: nothing may be sent there."""


class RedirectTarget(NamedTuple):
    """A redirect URI of the client, proven to be."""

    uri: str
    mode: ResponseMode
    state: str | None


def check_registered_redirect_uri(uri: str, *, native: bool) -> None:
    """Raises `ValueError` unless a client may register `uri`; the message says why.

    https, or for native clients http to a loopback address or a scheme of their own with a dot in
    it (RFC 8252 §7.1). Localhost by name is none of the machine's own to resolve (§8.3).
    """
    parts = _split(uri)
    if parts.scheme == "https":
        if not parts.hostname:
            raise ValueError("a redirect URI names a host")
        return
    if parts.scheme == "http":
        if not parts.hostname or not is_loopback(parts.hostname):
            raise ValueError("a redirect URI is https, or http to this very machine")
        return
    if not native:
        raise ValueError("only a native application has a redirect URI that is not https")
    if "." not in parts.scheme:
        raise ValueError("a private scheme has a dot in it, as in com.example.app:/callback")


def _split(uri: str) -> SplitResult:
    if len(uri) > LONGEST_REDIRECT_URI:
        raise ValueError(f"a redirect URI has at most {LONGEST_REDIRECT_URI} characters")
    if not uri.isascii() or any(character <= " " or character == "\x7f" for character in uri):
        raise ValueError("a redirect URI is printable ASCII")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise ValueError("the redirect URI is malformed") from None
    if port == 0:
        raise ValueError("nobody listens at port 0 of a redirect URI")
    if not parts.scheme or parts.scheme in _FORBIDDEN_SCHEMES:
        raise ValueError("a redirect URI is absolute, and of a scheme that leads to the client")
    if "#" in uri or "\\" in uri or "@" in parts.netloc or "*" in uri:
        raise ValueError("a redirect URI has no fragment, user, backslash or wildcard")
    return parts


def check_redirect_uri(
    asked: str | None, registered: Collection[str], *, mode: ResponseMode, state: str | None
) -> RedirectTarget:
    """The target of a request, whose `redirect_uri` is compared character by character.

    Only the port of a loopback address may differ (RFC 8252 §7.3), and a client with a single one
    need not name it. Raises `BadRedirectUri`.
    """
    if asked is None:
        if len(registered) != 1:
            raise BadRedirectUri
        return RedirectTarget(next(iter(registered)), mode, state)
    if asked in registered:
        return RedirectTarget(asked, mode, state)
    portless = _drop_loopback_port(asked)
    if portless is not None and portless in map(_drop_loopback_port, registered):
        return RedirectTarget(asked, mode, state)
    raise BadRedirectUri


def _drop_loopback_port(uri: str) -> tuple[str, ...] | None:
    """What must be equal in two loopback redirect URIs; None for any other."""
    try:
        parts = _split(uri)
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    written = host if parts.port is None else f"{host}:{parts.port}"
    if parts.netloc != written or not uri.startswith("http://"):  # another spelling of it
        return None
    return (parts.hostname, uri[len("http://") + len(parts.netloc) :])


def build_location(target: RedirectTarget, parameters: Mapping[str, str]) -> str:
    """The address that carries `parameters` in its query (RFC 6749 §4.1.2)."""
    separator = "&" if "?" in target.uri else "?"
    if target.uri.endswith(("?", "&")):
        separator = ""
    return f"{target.uri}{separator}{urlencode(parameters)}"
