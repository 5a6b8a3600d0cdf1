"""Simulated verifiers: followers of the feed, which say what they hold, and others, who poll."""

from functools import lru_cache

from dojang.jose import base64url
from dojang.jose.keys import KeySet
from dojang.oauth.http import Response
from dojang.testing import Issuer
from tests.server.follower import HandFollower
from tests.server.front_door import get


def fetch_keys(issuer: Issuer) -> KeySet:
    """The key set as it is published now."""
    return _parse(get(issuer, "/.well-known/jwks.json").body)


@lru_cache
def _parse(document: bytes) -> KeySet:
    return KeySet.parse(document)


class SimulatedFollower:
    """One that is there as long as it reports; its client is made where there is none."""

    def __init__(self, issuer: Issuer, name: str, *, client_id: str = "orders") -> None:
        self.issuer = issuer
        self.name = name
        self.client_id = client_id
        try:
            issuer.credentials(client_id)
        except KeyError:
            issuer.add_client(client_id)
            issuer.add_resource(
                f"urn:{client_id}", ["x"], token_format="opaque", introspectors=[client_id]
            )
        self._follower = HandFollower(issuer, client_id, name=name)
        self.fetch()

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
        response = self._ask()
        if response.status == 401:  # its lease has ended
            self._follower.join(self.client_id, name=self.name)
            response = self._ask()
        assert response.status == 200, response.body

    def _ask(self) -> Response:
        position = self.issuer.provider.state.position  # it has come so far
        kids = " ".join(sorted(self.kids)) or None
        digest = base64url.encode(position.digest)
        epoch, head = map(str, position.rev)
        return self._follower.send(
            self._follower.build(epoch=epoch, head=head, digest=digest, kids=kids)
        )
