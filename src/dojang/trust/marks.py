"""What facts know a token by."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Final, NamedTuple

from dojang.oauth.feed import Tagger
from dojang.oauth.revocation_fact import NUMBER_BITS, FactKind, Rev
from dojang.oauth.token_exchange import ANCESTORS

CLAIM_OF: Final[Mapping[FactKind, str]] = {
    FactKind.TOKEN: "jti",
    FactKind.GRANT: "grant",
    FactKind.SESSION: "sid",
    FactKind.CLIENT: "client_id",
    FactKind.ACCOUNT: "sub",
    FactKind.KEY: "kid",
    FactKind.EVERYTHING: "iss",
}
OTHER_KINDS: Final = tuple(kind for kind in CLAIM_OF if kind is not FactKind.TOKEN)
MOST_KNOWN: Final = 8192  # combinations of identifiers whose tags are remembered

_MACHINE_KINDS: Final = tuple(kind for kind in OTHER_KINDS if kind is not FactKind.SESSION)
_OTHER_CLAIMS: Final = tuple(CLAIM_OF[kind] for kind in OTHER_KINDS)
_find_names: Final = itemgetter(*_OTHER_CLAIMS)
_find_machine_names: Final = itemgetter(*(CLAIM_OF[kind] for kind in _MACHINE_KINDS))
_new: Final = tuple.__new__
_CLAIMS: Final = tuple(CLAIM_OF.values())
_NO_ANCESTORS: Final = ((),)


class Marks(NamedTuple):
    """Its `rev` as one number, the tag of its own id, and the `tags` of what else it names, which
    are of these `kinds`; and the marks of the tokens that it was exchanged for: what ended them
    after `rev` ended it."""

    rev: int
    token: bytes | None
    kinds: tuple[FactKind, ...]
    tags: tuple[bytes, ...]
    ancestors: tuple[Marks, ...] = ()


class Marker:
    """Makes marks under the view key of `tagger`. Tags of what many tokens have in common are
    remembered."""

    __slots__ = ("_known", "_tag", "_tag_token")

    def __init__(self, tagger: Tagger) -> None:
        self._tag = tagger.tag
        self._tag_token = tagger.of_kind(FactKind.TOKEN)
        self._known: dict[tuple[object, ...], tuple[tuple[FactKind, ...], tuple[bytes, ...]]] = {}

    def mark(self, rev: Rev, identifiers: Mapping[str, object]) -> Marks:
        """The marks of a token. `identifiers` maps the names in `CLAIM_OF` to the token's own, and
        `ancestors` to a list of such mappings; what is no text marks nothing."""
        names = _find_names if "sid" in identifiers else _find_machine_names
        try:
            named = names(identifiers)
            known = self._known.get(named)
        except (KeyError, TypeError):  # it names less, or by what is no text
            found = map(identifiers.get, _OTHER_CLAIMS)
            named = tuple(name if isinstance(name, str) else None for name in found)
            known = self._known.get(named)
        if known is None:
            known = self._tag_others(named)
        own = identifiers.get("jti")
        token = self._tag_token(own) if type(own) is str else None
        epoch, number = rev
        # As `Marks(…)`, in half the time.
        marks = _new(Marks, (epoch << NUMBER_BITS | number, token) + known + _NO_ANCESTORS)  # noqa: RUF005
        if ANCESTORS in identifiers:
            return marks._replace(ancestors=self._mark_ancestors(rev, identifiers[ANCESTORS]))
        return marks

    def _mark_ancestors(self, rev: Rev, named: object) -> tuple[Marks, ...]:
        return tuple(
            self.mark(rev, {name: each[name] for name in _CLAIMS if name in each})
            for each in (named if isinstance(named, list) else ())
            if isinstance(each, dict)
        )

    def _tag_others(
        self, named: tuple[object, ...]
    ) -> tuple[tuple[FactKind, ...], tuple[bytes, ...]]:
        kinds = OTHER_KINDS if len(named) == len(OTHER_KINDS) else _MACHINE_KINDS
        pairs = [
            (kind, self._tag(kind, name))
            for kind, name in zip(kinds, named, strict=True)
            if isinstance(name, str)
        ]
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        known = tuple(kind for kind, _ in pairs), tuple(tag for _, tag in pairs)
        self._known[named] = known
        return known
