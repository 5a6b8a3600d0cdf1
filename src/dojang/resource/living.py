"""Tokens that live as far as the view of revocations knows: what a warm request reads, and what a
fact that arrives takes out again, before it counts as known."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

from dojang.fetch.forking import renew_in_children
from dojang.jose import json_object
from dojang.jose.keys import KeySet
from dojang.oauth.feed import Record
from dojang.oauth.revocation_fact import Rev
from dojang.oauth.token_exchange import ANCESTORS
from dojang.resource.admission import Admission, Admitted
from dojang.resource.expect import Expect
from dojang.trust.marks import Marks
from dojang.trust.remote_keys import KeySource
from dojang.trust.revocations import RevocationView

_new: Final = tuple.__new__  # of a named tuple, in half the time
_Name = tuple[object, ...]  # what facts would know it by, but for its own id

MOST_FAMILIES: Final = 8192
MOST_TAGS: Final = 6 * MOST_FAMILIES


class _Family:
    """Tokens that differ in nothing but their own ids: of one grant, session, client, subject, key,
    and exchanged for one token, if for any. Those whose `rev` is at least `lives_from` live, as far
    as facts about the family go."""

    __slots__ = ("lives_from", "name", "tags", "tokens")

    def __init__(self, name: _Name, tags: Sequence[bytes]) -> None:
        self.name = name
        self.tags = tags
        self.lives_from = 0
        self.tokens: list[str] = []


class Living:
    """At most `size` tokens, admitted under `expect` and `key_set`; where one of these changed
    they are not to be used. `keys` is where the key sets come from."""

    __slots__ = (
        "__weakref__",
        "_by_own_tag",
        "_families",
        "_lock",
        "_most",
        "_size",
        "_tags",
        "expect",
        "key_set",
        "keys",
        "tokens",
    )

    def __init__(self, keys: KeySource, *, size: int) -> None:
        self.keys: Final = keys
        self.expect: Expect | None = None
        self.key_set: KeySet | None = None
        self.tokens: dict[str, Admitted] = {}
        self._families: dict[_Name, _Family] = {}
        self._tags: set[bytes] = set()  # of families there are, and some that were
        self._by_own_tag: dict[bytes, str] = {}
        self._size = size
        self._most = max(size, 1)
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = Lock()

    def lives(self, admitted: Admitted, rev: int, view: RevocationView) -> bool:
        """Whether a token, whose `rev` is as one number, lives as far as the view knows. False also
        where none of its family was seen before: then `find_whether_dead` tells.

        Nothing is kept, so no lock is needed: of many tokens only one request is ever seen.
        """
        family = self._families.get(_find_name(admitted))
        if family is None or rev < family.lives_from:
            return False
        return not view.has_ended(admitted[6].claims["jti"], rev)

    def find_whether_dead(
        self,
        token: str,
        admission: Admission,
        admitted: Admitted,
        rev: int,
        view: RevocationView,
    ) -> bool:
        """Whether a fact that the view knows has ended a token. If not, it is among the living
        until a fact takes it out.

        Under the lock that takes out: a fact is either in the view before it is looked at, or
        finds the token among the living after.
        """
        name, own = _find_name(admitted), view.tag_token(admitted[6].claims["jti"])
        with self._lock:
            if (
                self.expect is not admission.expect
                or self.key_set is not admission.keys
                or len(self._by_own_tag) >= self._most
                or len(self._families) >= MOST_FAMILIES
                or len(self._tags) >= MOST_TAGS
            ):
                self._drop()
                self.expect, self.key_set = admission.expect, admission.keys
            family = self._families.get(name)
            if family is None or rev < family.lives_from:
                family = self._load_family(name, admitted, rev, view)
            if family is None or view.find_killer(_new(Marks, (rev, own, (), (), ()))) is not None:
                return True
            if self._size and token not in self.tokens:
                # One text for each id: an ECDSA signature has a twin that is as good.
                self.tokens.pop(self._by_own_tag.get(own, ""), None)
                self._by_own_tag[own] = token
                self.tokens[token] = admitted
                family.tokens.append(token)
        return False

    def evict(self, records: Sequence[Record]) -> None:
        """Take out what new facts end."""
        with self._lock:
            tags = {tag for _, tag, _ in records}
            for tag in self._by_own_tag.keys() & tags:
                self.tokens.pop(self._by_own_tag.pop(tag), None)
            named = self._tags & tags
            if named:
                self._drop_families(named)

    def let_go(self, token: str) -> None:
        """Take out one token, whatever the view knows of it."""
        with self._lock:
            self.tokens.pop(token, None)

    def evict_all(self) -> None:
        """Take out everything: it is not said what is new."""
        with self._lock:
            self._drop()

    def _load_family(
        self, name: _Name, admitted: Admitted, rev: int, view: RevocationView
    ) -> _Family | None:
        """The family of this name, where tokens of `rev` live; None where a fact has ended them."""
        identifiers = {**admitted[6].claims, "kid": admitted[7]}
        marks = view.mark(Rev(0, 0), identifiers)._replace(rev=rev, token=None)
        if view.find_killer(marks) is not None:
            return None
        family = self._families.get(name)
        if family is None:
            family = _Family(name, _list_tags(marks))
            self._families[name] = family
            self._tags.update(family.tags)
        family.lives_from = rev
        return family

    def _drop_families(self, named: set[bytes]) -> None:
        for family in list(self._families.values()):
            if not named.isdisjoint(family.tags):
                del self._families[family.name]
                for token in family.tokens:
                    self.tokens.pop(token, None)

    def _drop(self) -> None:
        self.tokens.clear()
        self._families.clear()
        self._tags.clear()
        self._by_own_tag.clear()


def _list_tags(marks: Marks) -> list[bytes]:
    """Of what a family is named by, and of the tokens that its own were exchanged for."""
    tags = list(marks.tags)
    for each in marks.ancestors:
        tags += each.tags if each.token is None else (each.token, *each.tags)
    return tags


def _find_name(admitted: Admitted) -> _Name:
    access = admitted[6]
    find = access.claims.get
    grant, session, ancestors = find("grant"), find("sid"), find(ANCESTORS)
    name = (
        grant if type(grant) is str else None,
        session if type(session) is str else None,
        access.client_id,
        access.subject,
        admitted[7],
        access.issuer,
    )
    return name if ancestors is None else (*name, json_object.dump({ANCESTORS: ancestors}))
