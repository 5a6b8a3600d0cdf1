"""Whether a request was made by a page of this very application (CSRF).

Three things a stranger's page cannot do together: send a header of its own to another origin
without being asked for it by CORS, which is never granted here; hide in `Sec-Fetch-Site` that it is
a stranger; and hide it in `Origin`.
"""

from __future__ import annotations

from typing import Final

from dojang.oauth.http import Request

CSRF_HEADER: Final = b"dojang-bff"
SAFE: Final = frozenset({"GET", "HEAD"})


class Foreign(Exception):
    """The request was not made by a page of this application, or nothing shows that it was.
    `reason` is for operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_own_page(request: Request, origin: bytes) -> None:
    """Raises `Foreign`, and `OAuthError` for a header that stands twice."""
    if request.header(CSRF_HEADER) != b"1":
        raise Foreign("no_header")
    site, said = request.header(b"sec-fetch-site"), request.header(b"origin")
    if site not in (None, b"same-origin"):
        raise Foreign("other_site")
    if said not in (None, origin):
        raise Foreign("other_origin")
    if site is None and said is None and request.method not in SAFE:
        raise Foreign("no_origin")


def check_navigation(request: Request) -> None:
    """A sign-in begins when a person goes somewhere, not for an image or a script. Raises
    `Foreign`."""
    if request.header(b"sec-fetch-dest") not in (None, b"document"):
        raise Foreign("no_navigation")
