"""Simulated verifiers: followers of the feed, which say what they hold, and others, who poll."""

from dojang.jose.keys import KeySet
from dojang.oauth.revocation_fact import Rev
from dojang.server.followers import Follower
from dojang.testing import Issuer
from tests.server.front_door import get


def fetch_keys(issuer: Issuer) -> KeySet:
    """The key set as it is published now."""
    return KeySet.parse(get(issuer, "/.well-known/jwks.json").body)


class SimulatedFollower:
    """One that is connected, until it is said to be gone."""

    def __init__(self, issuer: Issuer, name: str, *, client_id: str = "orders") -> None:
        self.name = name
        self.client_id = client_id
        self.issuer = issuer
        self.kids = fetch_keys(issuer).kids
        self.report()

    def fetch(self) -> None:
        """Fetch the key set and say so."""
        self.kids = fetch_keys(self.issuer).kids
        self.report()

    def lose(self, *kids: str) -> None:
        """Say that it does not hold these keys."""
        self.kids -= set(kids)
        self.report()

    def report(self) -> None:
        """Ask a question, which says what it holds."""
        position = self.issuer.provider.state.position
        self.issuer.provider.feed.followers.report(
            Follower(
                follower_id=f"id of {self.client_id} {self.name}",
                client_id=self.client_id,
                name=self.name,
                rev=Rev(position.epoch, position.head),
                kids=tuple(sorted(self.kids)),
                hold=0.5,
                seen_at=self.issuer.clock.now(),
            )
        )
