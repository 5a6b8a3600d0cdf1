"""The two cookies of a browser: its own secret, and its session (C41).

Names begin with `__Host-` (RFC 6265bis §4.1.3.2), so that no other host can set them. Only a
development server, with http on this very machine, has plain names.
"""

from __future__ import annotations

from secrets import token_bytes
from typing import Final, NamedTuple

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.http import Request
from dojang.server.kept_accounts import KNOWN_FOR
from dojang.server.sessions import LIFETIME

SECRET_BYTES: Final = 32

Header = tuple[bytes, bytes]


class Shown(NamedTuple):
    """What a browser shows. `is_new`: its secret was made just now, and is to be kept."""

    secret: bytes
    session: str | None
    is_new: bool


class Cookies:
    """The cookies of one issuer."""

    def __init__(self, issuer: str) -> None:
        secure = issuer.startswith("https:")
        prefix = "__Host-" if secure else ""
        self.session: Final = prefix + "dojang-session"
        self.browser: Final = prefix + "dojang-browser"
        self._attributes: Final = "; Path=/; HttpOnly; SameSite=Lax" + "; Secure" * secure

    def read(self, request: Request) -> Shown:
        """The cookies of a request. One that stands twice counts as absent."""
        found: dict[str, list[str]] = {self.session: [], self.browser: []}
        for header, value in request.headers:
            if header == b"cookie":
                for pair in value.decode("latin-1").split(";"):
                    name, _, content = pair.strip().partition("=")
                    if name in found:
                        found[name].append(content)
        session, browser = found[self.session], found[self.browser]
        secret = _parse_secret(browser[0]) if len(browser) == 1 else None
        return Shown(
            secret=secret or token_bytes(SECRET_BYTES),
            session=session[0] if len(session) == 1 else None,
            is_new=secret is None,
        )

    def keep_browser(self, secret: bytes) -> Header:
        """Have the browser keep its secret for as long as people who signed in are known by it."""
        return self._set(self.browser, base64url.encode(secret), f"; Max-Age={KNOWN_FOR}")

    def keep_session(self, handle: str) -> Header:
        """Have the browser keep a session for as long as it lives."""
        return self._set(self.session, handle, f"; Max-Age={LIFETIME}")

    def drop_session(self) -> Header:
        """Have the browser forget its session."""
        return self._set(self.session, "", "; Max-Age=0")

    def _set(self, name: str, value: str, age: str) -> Header:
        return b"set-cookie", f"{name}={value}{self._attributes}{age}".encode("ascii")


def _parse_secret(text: str) -> bytes | None:
    try:
        secret = base64url.decode(text)
    except InvalidToken:
        return None
    return secret if len(secret) == SECRET_BYTES else None
