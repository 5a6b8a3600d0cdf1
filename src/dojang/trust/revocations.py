"""What has been revoked, as of a position: a cache of facts that answers without I/O.

The server holds one, and so does every follower. Facts are known by their tags (`oauth.feed`).
Recent ones are in a dictionary; the many are in tables of 19 bytes a token, or 27 for what else
can be revoked. Of a token it is enough that there is a fact about it, which can only be later than
the token itself; and of a key, since who has one that leaked writes any position into a token.
About everything else the latest fact counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from mmap import mmap
from threading import Lock
from typing import Final, NamedTuple

from dojang.fetch.flight import Flight
from dojang.fetch.forking import renew_in_children
from dojang.oauth.feed import TAG_BYTES, Record, Tagger
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.trust.revocation_merging import MINUTE_BYTES, join_images, leave_out, merge_tables
from dojang.trust.revocation_table import Image, Shard, Table, open_shards

CLAIM_OF: Final[Mapping[FactKind, str]] = {
    FactKind.TOKEN: "jti",
    FactKind.GRANT: "grant",
    FactKind.SESSION: "sid",
    FactKind.CLIENT: "client_id",
    FactKind.ACCOUNT: "sub",
    FactKind.KEY: "kid",
    FactKind.EVERYTHING: "iss",
}

MOST_RECENT: Final = 16_384  # facts in the dictionary, or an eighth of those in the tables
MOST_KNOWN: Final = 16_384  # combinations of identifiers whose tags are remembered
NUMBER_BITS: Final = 48

_OTHER_KINDS: Final = tuple(kind for kind in CLAIM_OF if kind is not FactKind.TOKEN)
_MINUTES_BEGIN: Final = 1_577_836_800  # 2020: three bytes of minutes reach to 2051
_REV_BYTES: Final = 8
_TOKEN_ROW: Final = TAG_BYTES + MINUTE_BYTES
_OTHER_ROW: Final = TAG_BYTES + _REV_BYTES + MINUTE_BYTES


class Marks(NamedTuple):
    """What facts know a token by: its `rev` as one number, the tag of its own id, and the `tags`
    of what else it names, which are of these `kinds`."""

    rev: int
    token: bytes | None
    kinds: tuple[FactKind, ...]
    tags: tuple[bytes, ...]


class Snapshot(NamedTuple):
    """All facts of a view up to `rev` at least, as chunks to be sent or mapped."""

    rev: Rev
    chunks: list[bytes]


class _Recent(NamedTuple):
    kind: FactKind
    rev: int
    forget_after: int


class _Held(NamedTuple):
    """Everything a reader looks at, taken in one step. Only `recent` is written to; `settling` is
    on its way into the tables."""

    recent: dict[bytes, _Recent]
    settling: dict[bytes, _Recent]
    tokens: tuple[Table, ...]
    others: tuple[Table, ...]


def pack_rev(rev: Rev) -> int:
    """One number that is ordered as `rev` is."""
    return rev.epoch << NUMBER_BITS | rev.number


class RevocationView:
    """The facts about every tag, up to and including `as_of`.

    They are applied in order; reading never waits, on whatever thread.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.as_of = Rev(0, 0)
        self._tag = tagger.tag
        self.tag_token = tagger.of_kind(FactKind.TOKEN)
        self._known: dict[tuple[object, ...], tuple[tuple[FactKind, ...], tuple[bytes, ...]]] = {}
        self._held = _Held({}, {}, (), ())
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._writing = Lock()
        self._settling = Lock()

    def __len__(self) -> int:
        held = self._held
        tables = sum(table.count for table in (*held.tokens, *held.others))
        return len(held.recent) + len(held.settling) + tables

    def mark(self, rev: Rev, identifiers: Mapping[str, object]) -> Marks:
        """The marks of a token. `identifiers` maps the names in `CLAIM_OF` to the token's own;
        what is no text marks nothing."""
        find = identifiers.get
        own = find("jti")
        named: tuple[object, ...] = (  # of `_OTHER_KINDS`, in their order
            find("grant"),
            find("sid"),
            find("client_id"),
            find("sub"),
            find("kid"),
            find("iss"),
        )
        try:
            known = self._known.get(named)
        except TypeError:  # a claim of some other issuer's making
            named = tuple(name if isinstance(name, str) else None for name in named)
            known = self._known.get(named)
        if known is None:
            known = self._tag_others(named)
        return Marks(pack_rev(rev), self.tag_token(own) if type(own) is str else None, *known)

    def _tag_others(
        self, named: tuple[object, ...]
    ) -> tuple[tuple[FactKind, ...], tuple[bytes, ...]]:
        """Kinds and tags of what many tokens have in common; remembered."""
        pairs = [
            (kind, self._tag(kind, name))
            for kind, name in zip(_OTHER_KINDS, named, strict=True)
            if isinstance(name, str)
        ]
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        known = tuple(kind for kind, _ in pairs), tuple(tag for _, tag in pairs)
        self._known[named] = known
        return known

    def find_killer(self, marks: Marks) -> FactKind | None:
        """The kind of a fact that killed a token, or None while it lives."""
        recent, settling, tokens, others = self._held
        rev, own, kinds, tags = marks
        if own is not None:
            if own in recent or own in settling:
                return FactKind.TOKEN
            for table in tokens:
                if table.find(own) is not None:
                    return FactKind.TOKEN
        if not others and not settling and recent.keys().isdisjoint(tags):
            return None
        for kind, tag in zip(kinds, tags, strict=True):
            fact = recent.get(tag) or settling.get(tag)
            if fact is not None and (fact.rev > rev or kind is FactKind.KEY):
                return kind
            for table in others:
                kept = table.find(tag)
                if kept is not None and (
                    kind is FactKind.KEY or int.from_bytes(kept[:_REV_BYTES], "big") > rev
                ):
                    return kind
        return None

    def apply(self, epoch: int, first: int, records: Sequence[Record]) -> None:
        """Take in later facts, numbered from `first` on.

        Raises `ValueError` where they are not later than `as_of`.
        """
        if Rev(epoch, first) <= self.as_of:
            raise ValueError("facts are applied in order, each once")
        with self._writing:
            recent = self._held.recent
            for rev, (kind, tag, forget_after) in enumerate(records, pack_rev(Rev(epoch, first))):
                known = recent.get(tag)
                if known is not None:
                    forget_after = max(forget_after, known.forget_after)  # noqa: PLW2901
                recent[tag] = _Recent(kind, rev, forget_after)
            self.as_of = Rev(epoch, first + len(records) - 1)
        if len(recent) > MOST_RECENT:
            self._settle_if_many()

    def reach(self, rev: Rev) -> None:
        """Nothing that is still remembered was revoked up to `rev`."""
        with self._writing:
            self.as_of = max(self.as_of, rev)

    def _settle_if_many(self) -> None:
        held = self._held
        settled = sum(table.count for table in _find_own((*held.tokens, *held.others)))
        if len(held.recent) > max(MOST_RECENT, settled // 8) and not self._settling.locked():
            Flight(self._settle_aside, name="dojang-view")

    def _settle_aside(self) -> None:
        if self._settling.acquire(blocking=False):
            try:
                self._settle(0)
            finally:
                self._settling.release()

    def forget(self, now: int) -> None:
        """Drop facts that can match no token that is alive at `now` (seconds since 1970)."""
        with self._settling:
            self._settle(now)

    def export(self) -> Snapshot:
        """Every fact, in chunks of about a megabyte."""
        with self._settling:
            self._let_go()
            rev = self._settle(0)
            held = self._held
        chunks = [chunk for tables in (held.tokens, held.others) for chunk in join_images(tables)]
        return Snapshot(rev, chunks)

    def take(self, chunks: Sequence[Image], *, rev: Rev) -> None:
        """Take in a snapshot, whose chunks are used where they lie. What was known stays, until it
        is forgotten: a database that went back must not bring back what it revoked.

        Raises `ValueError` for what is no chunk; nothing has changed then.
        """
        tokens, others = _open_tables(chunks)
        with self._settling, self._writing:
            self._let_go()
            held = self._held
            self._held = held._replace(
                tokens=(tokens, *held.tokens) if tokens.count else held.tokens,
                others=(others, *held.others) if others.count else held.others,
            )
            self.as_of = max(self.as_of, rev)

    def rebase(self, chunks: Sequence[Image]) -> None:
        """Take in a later snapshot of the same record of facts, in place of the last one that is
        shared, and keep only what is not in it.

        Raises `ValueError` for what is no chunk; nothing has changed then.
        """
        tokens, others = _open_tables(chunks)
        with self._settling:
            self._settle(0)
            held = self._held
            own_tokens = [leave_out(tokens, table) for table in _find_own(held.tokens)]
            own_others = [leave_out(others, table) for table in _find_own(held.others)]
            with self._writing:
                self._held = self._held._replace(
                    tokens=_drop_empty(*own_tokens, tokens),
                    others=_drop_empty(*own_others, others),
                )

    def _let_go(self) -> None:
        """What is shared now is settled with the rest from now on."""
        for table in (*self._held.tokens, *self._held.others):
            table.shared = False

    def _settle(self, now: int) -> Rev:
        """Bring what is recent into the tables, without what is spent at `now`; the position that
        is in them then. One shard at a time, so that no other thread stands still for long."""
        with self._writing:
            rev = self.as_of
            held = self._held = self._held._replace(recent={}, settling=self._held.recent)
        own_tokens, own_others = _find_own(held.tokens), _find_own(held.others)
        if not held.settling and not now and len(own_tokens) < 2 and len(own_others) < 2:
            return rev
        token_rows: dict[int, list[bytes]] = {}
        other_rows: dict[int, list[bytes]] = {}
        for tag, fact in held.settling.items():
            minute = _pack_minute(fact.forget_after)
            if fact.kind is FactKind.TOKEN:
                token_rows.setdefault(tag[0], []).append(tag + minute)
            else:
                row = tag + fact.rev.to_bytes(_REV_BYTES, "big") + minute
                other_rows.setdefault(tag[0], []).append(row)
        spent = _pack_minute(now) if now else b""
        tokens = merge_tables(_TOKEN_ROW, own_tokens, token_rows, spent)
        others = merge_tables(_OTHER_ROW, own_others, other_rows, spent)
        with self._writing:
            self._held = self._held._replace(
                settling={},
                tokens=tuple(
                    each for each in (tokens, *held.tokens[len(own_tokens) :]) if each.count
                ),
                others=tuple(
                    each for each in (others, *held.others[len(own_others) :]) if each.count
                ),
            )
        return rev


def _find_own(tables: Iterable[Table]) -> tuple[Table, ...]:
    """Those in memory of this process alone."""
    return tuple(table for table in tables if not table.shared)


def _find_shared(tables: Iterable[Table]) -> tuple[Table, ...]:
    return tuple(table for table in tables if table.shared)


def _drop_empty(*tables: Table) -> tuple[Table, ...]:
    return tuple(table for table in tables if table.count)


def _open_tables(chunks: Sequence[Image]) -> tuple[Table, Table]:
    """Tables over the chunks of a snapshot. Raises `ValueError`."""
    by_width: dict[int, list[tuple[int, Shard]]] = {_TOKEN_ROW: [], _OTHER_ROW: []}
    shared = True
    for chunk in chunks:
        width = chunk[0] if len(chunk) else 0
        if width not in by_width:
            raise ValueError("a chunk holds rows of no known size")
        by_width[width] += open_shards(chunk, width)
        shared = shared and isinstance(chunk, mmap)
    tokens, others = (Table(width, each, shared=shared) for width, each in by_width.items())
    return tokens, others


def _pack_minute(seconds: int) -> bytes:
    """The end of the minute; what is beyond the last one there is, is kept until then."""
    minute = max(0, -(-(seconds - _MINUTES_BEGIN) // 60))
    return min(minute, 256**MINUTE_BYTES - 1).to_bytes(MINUTE_BYTES, "big")
