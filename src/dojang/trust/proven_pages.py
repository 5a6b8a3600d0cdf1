"""Pages whose signature was proven in this process: one verification serves all its followers."""

from __future__ import annotations

from threading import Lock
from typing import Final

from dojang.fetch.forking import renew_in_children
from dojang.oauth.feed import Page, parse_page
from dojang.trust.feed_keys import FeedKeys

MOST: Final = 256


class ProvenPages:
    """The last pages, by issuer and by every byte of them, each with the key that it was proven
    under: it is good for whoever trusts that key."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], tuple[str, Page]] = {}
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = Lock()

    def find(self, signed: str, keys: FeedKeys, *, issuer: str) -> Page:
        """The page that `signed` is under one of `keys`. Raises `InvalidFeed`."""
        known = self._pages.get((issuer, signed))
        if known is not None and known[0] in keys.thumbprints:
            return known[1]
        claims, thumbprint = keys.verify(signed)
        page = parse_page(claims, issuer=issuer)
        with self._lock:
            if len(self._pages) >= MOST:
                del self._pages[next(iter(self._pages))]
            self._pages[issuer, signed] = (thumbprint, page)
        return page


PROVEN_PAGES: Final = ProvenPages()
