"""What ought to be true of tokens, in plain Python: who was given what, and what was taken back.

Times are of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, field


@dataclass(slots=True)
class Token:
    """`refused` says that a view has said that it is revoked; `doomed`, that its end was committed
    and never acknowledged: it may live or not. One that is `forged` was made by who
    has a key of the server, and names a position that is later than every fact."""

    text: str = field(repr=False)
    client: str
    grant: str
    jti: str
    kid: str
    expires_at: float
    refused: bool = False
    doomed: bool = False
    forged: bool = False


@dataclass(slots=True)
class Database:
    """The part of what ought to be true that lies in a database, and goes back with it."""

    dead: dict[str, float] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    issued: set[str] = field(default_factory=set)


class Expected:
    """`tokens` by `jti`. `forked`: an old database is in place, and no epoch has begun since."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.database = Database()
        self.forked = False
        self.before: Database | None = None  # the right one, while an old one is in its place

    def issue(self, token: Token) -> None:
        self.tokens[token.jti] = token
        if not token.forged:
            self.database.issued.add(token.jti)

    def end(self, now: float, **which: str) -> None:
        """The end of the tokens with this `jti`, `client`, `grant` or `kid` is acknowledged; of all
        of them without. Forged ones end only with their key."""
        for token in self.tokens.values():
            if token.forged and "kid" not in which:
                continue
            if all(getattr(token, name) == value for name, value in which.items()):
                self.database.dead.setdefault(token.jti, now)

    def copy(self) -> Database:
        return deepcopy(self.database)

    def put_back(self, copied: Database) -> None:
        """An old copy takes the place of the database, and nobody is told."""
        if self.before is None:
            self.before = self.database
        self.database = deepcopy(copied)
        self.forked = True

    def undo(self, now: float) -> None:
        """The right database is back, and bounds count from now: the old one could prove that
        nothing had happened."""
        assert self.before is not None
        self.before.dead = dict.fromkeys(self.before.dead, now)
        self.database, self.before, self.forked = self.before, None, False

    def begin_epoch(self, copied: Database, now: float, *, kept: Collection[str] = ()) -> None:
        """A copy takes the place of the database as it should: nothing of before is good. Forged
        tokens live on where their key is `kept`."""
        self.database, self.before, self.forked = deepcopy(copied), None, False
        for token in self.tokens.values():
            if not (token.forged and token.kid in kept):
                self.database.dead.setdefault(token.jti, now)

    def dead_at(self, token: Token) -> float | None:
        """When its end was acknowledged, as far as the present database can know; None while it
        lives. Of a token that this database never issued nothing is said."""
        if token.jti not in self.database.issued and self.forked:
            return None
        return self.database.dead.get(token.jti)

    def is_good(self, token: Token, now: float) -> bool:
        """Whether nobody may refuse it."""
        known = token.jti in self.database.issued and not token.doomed
        good = known and token.jti not in self.database.dead and now < token.expires_at
        return good and not self.forked
