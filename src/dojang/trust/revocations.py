"""What has been revoked, as of a position: a cache of facts that answers without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dojang.oauth.revocation_fact import Fact, FactKind, Rev, kills

CLAIM_OF: Final[Mapping[FactKind, str]] = {
    FactKind.TOKEN: "jti",
    FactKind.GRANT: "grant",
    FactKind.SESSION: "sid",
    FactKind.CLIENT: "client_id",
    FactKind.ACCOUNT: "sub",
    FactKind.KEY: "kid",
    FactKind.EVERYTHING: "iss",
}


class RevocationView:
    """The latest fact about every identifier, up to and including `as_of`.

    Facts are applied in order, by one writer; reading never waits.
    """

    __slots__ = ("_facts", "as_of")

    def __init__(self, as_of: Rev) -> None:
        self.as_of = as_of
        self._facts: dict[tuple[FactKind, str], Fact] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def apply(self, facts: Iterable[Fact]) -> None:
        """Take in later facts. Raises `ValueError` for a fact that is not later than `as_of`."""
        for fact in facts:
            if fact.rev <= self.as_of:
                raise ValueError("facts are applied in order, each once")
            self._facts[fact.kind, fact.identifier] = fact
            self.as_of = fact.rev

    def find_killer(self, rev: Rev, identifiers: Mapping[str, object]) -> FactKind | None:
        """The kind of a fact that killed a token, or None while it lives.

        `rev` is the token's; `identifiers` maps the names in `CLAIM_OF` to the token's own.
        """
        if rev >= self.as_of or not self._facts:  # no fact came after it
            return None
        for kind, claim in CLAIM_OF.items():
            identifier = identifiers.get(claim)
            if isinstance(identifier, str):
                fact = self._facts.get((kind, identifier))
                if fact is not None and kills(fact, rev):
                    return kind
        return None

    def forget(self, now: int) -> None:
        """Drop facts that can match no token that is alive at `now` (seconds since 1970)."""
        spent = [key for key, fact in self._facts.items() if fact.forget_after < now]
        for key in spent:
            del self._facts[key]
