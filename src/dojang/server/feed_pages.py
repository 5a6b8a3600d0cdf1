"""The record of facts cut into signed pages. Every page is cut and signed once, while it is recent.

Followers are where answers have left them, so pages end where answers have ended: those who are a
little behind share the pages of the last answers. Those who are far behind share pages that end at
round numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from dojang.oauth.feed import MOST_PAGES, MOST_RECORDS, Page, build_page
from dojang.oauth.revocation_fact import Rev

if TYPE_CHECKING:
    from dojang.server.counters import Counters
    from dojang.server.fact_log import FactLog, LoggedFact
    from dojang.server.feed_keys import FeedKeys

MOST_HELD: Final = 1024  # pages, of at most 8 KB
ENDS_HELD: Final = 8


class Pages:
    """Pages of one log under one set of keys."""

    def __init__(self, log: FactLog, keys: FeedKeys, counters: Counters, *, issuer: str) -> None:
        self.log = log
        self.keys = keys
        self._counters = counters
        self._issuer = issuer
        self._held: dict[tuple[bytes, int], str] = {}
        self._ends: deque[Rev] = deque(maxlen=ENDS_HELD)

    def find(self, rev: Rev, digest: bytes, *, end: Rev, now: int) -> tuple[str, ...] | None:
        """Pages that lead from `rev`, where the record had this digest, to `end`, or as far as an
        answer can hold; None where none do. `now` is what a new page says of its time."""
        facts = self.log.find_after(rev, digest, most=MOST_PAGES * MOST_RECORDS)
        if facts is None:
            return None
        if end not in self._ends:
            self._ends.append(end)
        pages: list[str] = []
        for first, last in _cut(rev.number + 1, self._find_ends(rev, end)):
            records = facts[first - rev.number - 1 : last - rev.number]
            if len(pages) == MOST_PAGES or len(records) <= last - first:
                break
            pages.append(self._load(records, digest, now=now))
            digest = records[-1].digest
        return tuple(pages)

    def _find_ends(self, after: Rev, end: Rev) -> Iterable[int]:
        if min(self._ends) <= after:
            return sorted(each.number for each in self._ends if after < each <= end)
        round_number = after.number - after.number % MOST_RECORDS + MOST_RECORDS
        return [*range(round_number, end.number, MOST_RECORDS), end.number]

    def _load(self, facts: Sequence[LoggedFact], before: bytes, *, now: int) -> str:
        place = (before, facts[-1].rev.number)
        page = self._held.get(place)
        if page is None:
            if len(self._held) >= MOST_HELD:
                del self._held[next(iter(self._held))]
            page = self._held[place] = self._sign(facts, before, now=now)
        return page

    def _sign(self, facts: Sequence[LoggedFact], before: bytes, *, now: int) -> str:
        first, last = facts[0], facts[-1]
        page = Page(
            first.rev.epoch,
            first.rev.number,
            last.rev.number,
            before,
            last.digest,
            now,
            self.keys.introduces,
            tuple(fact.record for fact in facts),
        )
        self._counters["dojang_feed_pages_signed_total",] += 1
        return self.keys.signer.sign(build_page(page, issuer=self._issuer))


def _cut(first: int, ends: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last numbers of pages that end at `ends`, and earlier where one is full."""
    for end in ends:
        while first <= end:
            last = min(first + MOST_RECORDS - 1, end)
            yield first, last
            first = last + 1
