"""Browsers, and the forms that were made for them."""

from __future__ import annotations

import hmac
from hashlib import sha256

from msgspec import Struct

from dojang.jose import base64url


class Browser(Struct, frozen=True, kw_only=True):
    """What a browser shows of itself: `secret` are the 32 bytes of its own cookie, `session` its
    session's. `network` is where it connects from."""

    secret: bytes
    session: str | None = None
    agent: str = ""
    network: str = ""

    @property
    def digest(self) -> bytes:
        """What is kept of `secret`."""
        return sha256(self.secret).digest()

    def make_form_key(self, purpose: str) -> str:
        """What every form of this browser carries for an interaction, or for what else `purpose`
        names (C41): nobody else can make it."""
        digest = hmac.digest(self.secret, b"dojang form " + purpose.encode(), "sha256")
        return base64url.encode(digest)


class BadForm(Exception):
    """The form was not made for this browser (C41)."""


def check_form_key(browser: Browser, purpose: str, form_key: str) -> None:
    """Raises `BadForm` unless the form was made for this browser, and for `purpose`."""
    expected = browser.make_form_key(purpose)
    if not hmac.compare_digest(expected.encode(), form_key.encode("utf-8", "replace")):
        raise BadForm
