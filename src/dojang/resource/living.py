"""Tokens that live as far as the view of revocations knows: what a warm request reads, and what a
fact that arrives takes out again, before it counts as known."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

from dojang.fetch.forking import renew_in_children
from dojang.jose.keys import KeySet
from dojang.oauth.feed import Record
from dojang.oauth.revocation_fact import FactKind
from dojang.resource.admission import Admission, Admitted
from dojang.resource.expect import Expect
from dojang.resource.verified import VerifiedToken
from dojang.trust.marks import Marks
from dojang.trust.remote_keys import KeySource
from dojang.trust.revocations import RevocationView

# The verified token, the first and the last moment it is good (leeway included).
Lively = tuple[VerifiedToken, float, float]

# Rare, and about most tokens if about any: all are looked at again then.
_BROAD: Final = frozenset({FactKind.KEY, FactKind.EVERYTHING})


class Living:
    """At most `size` tokens, admitted under `expect` and `key_set`; where one of these changed
    they are not to be used. `keys` is where the key sets come from."""

    __slots__ = (
        "__weakref__",
        "_lock",
        "_named",
        "_size",
        "expect",
        "key_set",
        "keys",
        "tokens",
    )

    def __init__(self, keys: KeySource, *, size: int) -> None:
        self.keys = keys
        self.expect: Expect | None = None
        self.key_set: KeySet | None = None
        self.tokens: dict[str, Lively] = {}
        self._named: dict[bytes, list[str]] = {}
        self._size = size
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = Lock()

    def find_killer(
        self,
        token: str,
        admission: Admission,
        admitted: Admitted,
        marks: Marks,
        view: RevocationView,
    ) -> FactKind | None:
        """The kind of a fact that ended a token, or None: then it is among the living until a fact
        takes it out.

        Under the lock that takes out: a fact is either in the view before it is looked at, or
        finds the token among the living after.
        """
        with self._lock:
            killer = view.find_killer(marks)
            if killer is None and self._size:
                self._make_room(admission)
                if token not in self.tokens:
                    self._add(token, admitted, marks)
        return killer

    def evict(self, records: Sequence[Record]) -> None:
        """Take out what new facts end."""
        with self._lock:
            for kind, tag, _ in records:
                if kind in _BROAD:
                    self._drop()
                    return
                for token in self._named.pop(tag, ()):
                    self.tokens.pop(token, None)

    def evict_all(self) -> None:
        """Take out everything: it is not said what is new."""
        with self._lock:
            self._drop()

    def _make_room(self, admission: Admission) -> None:
        if self.expect is not admission.expect or self.key_set is not admission.keys:
            self._drop()
            self.expect, self.key_set = admission.expect, admission.keys
        elif len(self.tokens) >= self._size:
            self._drop()

    def _add(self, token: str, admitted: Admitted, marks: Marks) -> None:
        verified, _, _, _, last, first, _, _ = admitted
        self.tokens[token] = (verified, first, last)
        if marks.token is not None:
            self._named[marks.token] = [token]
        for kind, tag in zip(marks.kinds, marks.tags, strict=True):
            if kind not in _BROAD:
                self._named.setdefault(tag, []).append(token)

    def _drop(self) -> None:
        self.tokens.clear()
        self._named.clear()
