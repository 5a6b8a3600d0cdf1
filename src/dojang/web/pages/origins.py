"""Whether a form was posted from a page of this server, as far as the browser says so: a second
defence behind the key in the form (C41)."""

from __future__ import annotations

from urllib.parse import urlsplit

from dojang.oauth.http import Request
from dojang.server.browsers import BadForm


def check_own_page(request: Request, issuer: str) -> None:
    """Raises `BadForm` for a form of another site.

    Pages that send no referrer have browsers say `Origin: null` (Fetch standard, "append a request
    Origin header"), so an opaque origin is not held against anybody here.
    """
    parts = urlsplit(issuer)
    own = f"{parts.scheme}://{parts.netloc}".encode()
    site = request.header(b"sec-fetch-site") or b"same-origin"
    origin = request.header(b"origin") or b"null"
    if site not in (b"same-origin", b"none") or origin not in (own, b"null"):
        raise BadForm
