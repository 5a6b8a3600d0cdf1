"""The cookies of a browser: the name of its session, and its sign-ins under way.

Names begin with `__Host-` (RFC 6265bis §4.1.3.2), so that no other host can set them. Only in
development, with http on this very machine, are they plain.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal

from dojang.client.transaction import LIFETIME
from dojang.jose import base64url
from dojang.oauth.http import Request

Header = tuple[bytes, bytes]
SameSite = Literal["Lax", "Strict"]

MOST_SIGN_INS: Final = 5  # under way in one browser


class Cookies:
    """The cookies of one origin. `lifetime` is a session's, in seconds."""

    def __init__(self, name: str, *, secure: bool, same_site: SameSite, lifetime: int) -> None:
        prefix = "__Host-" if secure else ""
        self.session: Final = prefix + name
        self._sign_in: Final = f"{prefix}{name}-sign-in-"
        self._attributes: Final = "; Path=/; HttpOnly" + "; Secure" * secure
        self._same_site = same_site
        self._lifetime = lifetime

    def find_session(self, request: Request) -> str | None:
        """The session that the browser shows. One that stands twice counts as absent."""
        return self._find(request, self.session)

    def find_sign_in(self, request: Request, state: str) -> str | None:
        """The sealed transaction of this browser that has the state."""
        return self._find(request, self._name_sign_in(state))

    def keep_session(self, shown: str) -> Header:
        """Have the browser keep a session."""
        same_site, age = self._same_site, self._lifetime
        return self._set(self.session, shown, f"; SameSite={same_site}; Max-Age={age}")

    def drop_session(self) -> Header:
        """Have the browser forget its session."""
        return self._set(self.session, "", f"; SameSite={self._same_site}; Max-Age=0")

    def keep_sign_in(self, state: str, sealed: str) -> Header:
        """Have the browser keep a transaction. It comes back from another site: Lax."""
        return self._set(self._name_sign_in(state), sealed, f"; SameSite=Lax; Max-Age={LIFETIME}")

    def drop_sign_in(self, state: str) -> Header:
        """Have the browser forget a transaction."""
        return self._drop_lax(self._name_sign_in(state))

    def drop_old_sign_ins(self, request: Request) -> list[Header]:
        """Have it forget them all where there are too many: a head has no room for more."""
        names = {name for name, _ in _list(request) if name.startswith(self._sign_in)}
        if len(names) < MOST_SIGN_INS:
            return []
        return [self._drop_lax(name) for name in sorted(names) if name.isascii()]

    def _name_sign_in(self, state: str) -> str:
        return self._sign_in + base64url.encode(sha256(state.encode()).digest())[:12]

    def _find(self, request: Request, wanted: str) -> str | None:
        found = [value for name, value in _list(request) if name == wanted]
        return found[0] if len(found) == 1 else None

    def _drop_lax(self, name: str) -> Header:
        return self._set(name, "", "; SameSite=Lax; Max-Age=0")

    def _set(self, name: str, value: str, rest: str) -> Header:
        return b"set-cookie", f"{name}={value}{self._attributes}{rest}".encode("ascii")


def _list(request: Request) -> list[tuple[str, str]]:
    pairs = []
    for header, text in request.headers:
        if header == b"cookie":
            for pair in text.decode("latin-1").split(";"):
                name, _, value = pair.strip().partition("=")
                pairs.append((name, value))
    return pairs
