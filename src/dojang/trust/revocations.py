"""What has been revoked, as of a position: a cache of facts that answers without I/O.

The server holds one, and so does every follower. Facts are known by their tags (`oauth.feed`).
What is new, and kinds of which there are few facts, are in dictionaries; of the many there are
tables, at 19 bytes a token and 27 for anything else. About a token it is enough that there is a
fact, which can only be later than the token itself; and about a key, since who has one that leaked
writes any position into a token. About everything else the latest fact counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Final, NamedTuple

from dojang.fetch.flight import Flight
from dojang.fetch.forking import renew_in_children
from dojang.oauth.feed import TAG_BYTES, Record, Tagger
from dojang.oauth.revocation_fact import EPOCH_BITS, NUMBER_BITS, FactKind, Rev, pack_rev
from dojang.trust.marks import OTHER_KINDS, Marker, Marks
from dojang.trust.revocation_shards import REV, Image
from dojang.trust.revocation_table import Table
from dojang.trust.settled_facts import (
    REV_SHIFT,
    Facts,
    Settled,
    find_living,
    is_burdened,
    join,
    leave_out,
    list_chunks,
    open_chunks,
    pack_fact,
    settle,
    unite,
)

MOST_RECENT: Final = 32_768  # facts, then they are settled
MOST_WAITING: Final = 8 * MOST_RECENT

_TOKEN: Final = FactKind.TOKEN


class Snapshot(NamedTuple):
    """All facts of a view up to `rev`, as chunks to be sent or mapped."""

    rev: Rev
    chunks: list[bytes]


class _Held(NamedTuple):
    """Everything a reader looks at, taken in one step."""

    among_tokens: tuple[Callable[[bytes], object], ...]
    layers: tuple[tuple[Callable[[Iterable[bytes]], bool], Facts], ...]
    tables: tuple[tuple[FactKind, Table], ...]


class RevocationView:
    """The facts about every tag, up to and including `as_of`.

    They are applied in order, and moved into tables on a thread of their own. Any thread may read,
    and none ever waits for it.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.mark: Final = Marker(tagger).mark
        self.tag_token: Final = tagger.of_kind(FactKind.TOKEN)
        self.as_of = Rev(0, 0)
        self._end = 0  # as one number
        self._of_keys = False  # whether there ever was a fact about a key
        self._recent: Facts = {}
        self._recent_others = False  # whether it holds other than tokens
        self._moving: Facts = {}
        self._settled = Settled({}, {}, {})
        self._now = 0
        self._publish()
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._writing = Lock()  # for a moment
        self._settling = Lock()  # for as long as it takes; taken first

    def __len__(self) -> int:
        return len(self._recent) + len(self._moving) + self._settled.size

    def has_ended(self, token_id: str, rev: int) -> bool:
        """Whether there is a fact about the token of this id. `rev`, its own as one number, may
        tell without a look."""
        if rev >= self._end and not self._of_keys:
            return False
        tag = self.tag_token(token_id)
        for has in self._held.among_tokens:  # noqa: SIM110  a generator takes as long as they do
            if has(tag):
                return True
        return False

    def find_killer(self, marks: Marks) -> FactKind | None:
        """The kind of a fact that killed a token, or None while it lives."""
        rev, own, _, tags, ancestors = marks
        if rev >= self._end and not self._of_keys:  # no fact came after it
            return None
        if ancestors:
            return self._find_killer_of_any(marks)
        among_tokens, layers, tables = self._held
        if own is not None:
            for has in among_tokens:
                if has(own):
                    return FactKind.TOKEN
        for has_none, layer in layers:
            if not has_none(tags):
                killer = _find_in_layer(layer, marks)
                if killer is not None:
                    return killer
        return _find_in_tables(tables, marks) if tables else None

    def _find_killer_of_any(self, marks: Marks) -> FactKind | None:
        """Of a token, or of one that it was exchanged for."""
        for each in (marks, *marks.ancestors):
            killer = self.find_killer(each._replace(rev=marks.rev, ancestors=()))
            if killer is not None:
                return killer
        return None

    def apply(self, epoch: int, first: int, records: Sequence[Record]) -> None:
        """Take in later facts, numbered from `first` on.

        Raises `ValueError` where they are not later than `as_of`, or are none.
        """
        last = first + len(records) - 1
        if epoch >> EPOCH_BITS or last >> NUMBER_BITS:
            raise ValueError("there are no such positions")
        if {len(tag) for _, tag, _ in records} - {TAG_BYTES}:
            raise ValueError("a tag has not its length")
        begin = Rev(epoch, first)
        with self._writing:
            if begin <= self.as_of:
                raise ValueError("facts are applied in order, each once")
            self._add(pack_rev(begin), records)
            self._move_to(Rev(epoch, last))

    def announce(self, begin: int, records: Sequence[Record]) -> int:
        """Take in facts of a notice, from the position `begin` on, which are to be applied later:
        they count from now on, and `as_of` stays. The position of the last; both as one number."""
        with self._writing:
            last = self._add(begin, records)
            self._end = max(self._end, last)
        return last

    def _add(self, begin: int, records: Sequence[Record]) -> int:
        """The position of the last, as one number."""
        recent = self._recent
        for rev, (kind, tag, forget_after) in enumerate(records, begin):
            fact = pack_fact(kind, rev, forget_after)
            known = recent.setdefault(tag, fact)
            if known != fact:  # not what was announced
                recent[tag] = join(known, fact)
            if kind is not _TOKEN:
                self._note_other(kind)
        if len(recent) > MOST_RECENT:
            self._settle_aside()
        return begin + len(records) - 1

    def _note_other(self, kind: FactKind) -> None:
        self._of_keys |= kind is FactKind.KEY
        if not self._recent_others:
            self._recent_others = True
            self._publish()

    @property
    def crowded(self) -> bool:
        """Whether facts come faster than they are settled: who loads many should pause."""
        return len(self._recent) > MOST_WAITING

    def reach(self, rev: Rev) -> None:
        """Nothing that is still remembered was revoked up to `rev`."""
        with self._writing:
            self._move_to(rev)

    def forget(self, now: int) -> None:
        """Drop facts that can match no token that is alive at `now` (seconds since 1970). Where
        there are many, that happens aside, and not for a few of them."""
        self._now = now = max(now, self._now)
        with self._writing:
            recent = self._recent
            for tag in recent.keys() - find_living(recent, now).keys():
                del recent[tag]
        burdened = False
        if self._settling.acquire(blocking=False):
            try:
                self._forget_few(now)
                burdened = is_burdened(self._settled, now)
            finally:
                self._settling.release()
        if burdened:
            self._settle_aside()

    def settle(self) -> None:
        """Move what is new into the tables. It is done aside when it is due."""
        with self._settling:
            self._settle()

    def export(self) -> Snapshot:
        """Every fact there is now. Takes as long as `settle`."""
        with self._settling:
            self._settled = self._settled.let_go()
            rev = self._settle()
            return Snapshot(rev, list(list_chunks(self._settled)))

    def take(self, chunks: Sequence[Image] | Settled, *, rev: Rev) -> None:
        """Take in a snapshot of `rev`, whose chunks are used where they lie; or were opened before.
        What was known stays until it is forgotten: a database that went back must not bring back
        what it revoked.

        Raises `ValueError` for what is no chunk; nothing has changed then.
        """
        taken = chunks if isinstance(chunks, Settled) else open_chunks(chunks)
        with self._settling, self._writing:
            self._settled = unite(taken, self._settled)
            self._of_keys |= taken.has(FactKind.KEY)
            self._publish()
            self._move_to(rev)
        self._settle_unless_merged()

    def rebase(self, chunks: Sequence[Image] | Settled) -> None:
        """Take in a later snapshot of the same record of facts, in place of the last one that is
        shared, and keep only what is not in it.

        Raises `ValueError` for what is no chunk; nothing has changed then.
        """
        base = chunks if isinstance(chunks, Settled) else open_chunks(chunks)
        with self._settling:
            self._settle()
            settled = unite(base, leave_out(self._settled, base))
            with self._writing:
                self._settled = settled
                self._of_keys |= settled.has(FactKind.KEY)
                self._publish()
        self._settle_unless_merged()

    def _move_to(self, rev: Rev) -> None:
        self.as_of = max(self.as_of, rev)
        self._end = max(self._end, pack_rev(self.as_of))

    def _publish(self) -> None:
        settled = self._settled
        older = [layer for layer in (self._moving, settled.few) if layer]
        layers = [self._recent, *older]
        tokens = settled.list_tables(FactKind.TOKEN)
        self._held = _Held(
            (*(layer.__contains__ for layer in layers), *(table.find for table in tokens)),
            tuple(
                (layer.keys().isdisjoint, layer)
                for layer in (layers if self._recent_others else older)
            ),
            tuple((kind, table) for kind in OTHER_KINDS for table in settled.list_tables(kind)),
        )

    def _forget_few(self, now: int) -> None:
        few = find_living(self._settled.few, now)
        if len(few) < len(self._settled.few):
            with self._writing:
                self._settled = self._settled._replace(few=few)
                self._publish()

    def _settle_unless_merged(self) -> None:
        if not self._settled.merged():
            self._settle_aside()

    def _settle_aside(self) -> None:
        if not self._settling.locked():  # who calls may hold `_writing`
            Flight(self._settle_unless_busy, name="dojang-view")

    def _settle_unless_busy(self) -> None:
        if self._settling.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._settling.release()

    def _settle(self) -> Rev:
        """The position that is settled then."""
        with self._writing:
            rev = self.as_of
            if self._moving:  # it was broken off
                for tag, fact in self._recent.items():
                    self._moving[tag] = join(self._moving.get(tag, fact), fact)
            else:
                self._moving = self._recent
            self._recent, self._recent_others = {}, False
            self._publish()
        settled = settle(self._settled, self._moving, now=self._now)
        with self._writing:
            self._settled, self._moving = settled, {}
            self._publish()
        return rev


def _find_in_layer(layer: Facts, marks: Marks) -> FactKind | None:
    for kind, tag in zip(marks.kinds, marks.tags, strict=True):
        fact = layer.get(tag)
        if fact is not None and (fact >> REV_SHIFT > marks.rev or kind is FactKind.KEY):
            return kind
    return None


def _find_in_tables(tables: Sequence[tuple[FactKind, Table]], marks: Marks) -> FactKind | None:
    rev, _, kinds, tags, _ = marks
    for kind, table in tables:
        row = table.find(tags[kinds.index(kind)]) if kind in kinds else None
        if row is not None and (int.from_bytes(row[REV], "big") > rev or kind is FactKind.KEY):
            return kind
    return None
