"""What an issuer signed, kept for others who follow it: one snapshot, and the pages since.

Pages are kept by the place in the record of facts that they continue, so that those of several
answers, cut in different places, are one record wherever they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from dojang.oauth.feed import MOST_PAGES, Page
from dojang.oauth.revocation_fact import Rev

MOST_BYTES: Final = 16 * 1_048_576  # of signed pages
BASE_BYTES: Final = MOST_BYTES // 4  # since the snapshot, until another is due


class Place(NamedTuple):
    """A place in the record of facts: a position, and the digest up to there."""

    rev: Rev
    digest: bytes


class Base(NamedTuple):
    """A snapshot at `place`: its manifest as it was signed, and the SHA-256 of its chunks."""

    place: Place
    manifest: str
    chunks: tuple[bytes, ...]


class _Kept(NamedTuple):
    signed: str
    end: Place


class FeedArchive:
    """`base` is the snapshot to begin from, None before the first. It is `outdated` when the keys
    that sign have changed: its manifest introduces others."""

    def __init__(self) -> None:
        self.base: Base | None = None
        self.outdated = False
        self._since_base = 0
        self._bytes = 0
        self._pages: dict[Place, _Kept] = {}
        self._known: dict[Place, None] = {}

    @property
    def base_due(self) -> bool:
        """Whether another snapshot would be better to begin from: this one is outdated, or so many
        pages came after it."""
        return self.base is not None and (self.outdated or self._since_base > BASE_BYTES)

    def keep_base(self, base: Base) -> None:
        """Begin from another snapshot."""
        self.base, self.outdated = base, False
        pages, end = self._find_way(base.place)
        self._since_base = sum(len(signed) for signed in pages)
        self.know(base.place)
        self.know(end)

    def keep_page(self, page: Page, signed: str) -> None:
        """A page whose signature was proven, and whose place in the record."""
        begin = Place(Rev(page.epoch, page.first - 1), page.before)
        if begin in self._pages:
            return
        end = Place(Rev(page.epoch, page.last), page.after)
        self._pages[begin] = _Kept(signed, end)
        self.know(end)
        self._bytes += len(signed)
        self._since_base += len(signed)
        while self._bytes > MOST_BYTES:
            oldest = next(iter(self._pages))
            self._bytes -= len(self._pages.pop(oldest).signed)
            self._known.pop(oldest, None)

    def know(self, place: Place) -> None:
        """The issuer has proven that its record has this place."""
        self._known[place] = None

    def knows(self, place: Place) -> bool:
        """Whether the issuer's record is known to have this place."""
        return place in self._known or place in self._pages

    def find(self, asked_at: Place, *, least: Place) -> tuple[tuple[str, ...], Place] | None:
        """Pages that lead from a place on, as many as an answer may hold, and where all that there
        are lead; None where they do not reach `least`."""
        if not self.knows(asked_at):
            return None
        pages, end = self._find_way(asked_at)
        if end.rev < least.rev or (end.rev == least.rev and end != least):
            return None
        return tuple(pages[:MOST_PAGES]), end

    def _find_way(self, place: Place) -> tuple[Sequence[str], Place]:
        pages = []
        while (kept := self._pages.get(place)) is not None:
            pages.append(kept.signed)
            place = kept.end
        return pages, place
